"""Whether a wallet can trade is what a chain with an EVM says, before and after the wallet has allowed it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from agentrooms.api.collections import require_erc721
from agentrooms.api.mandates import approvals_of, require_owner, require_ready
from agentrooms.api.models.certificate import CertificateAnswer
from agentrooms.api.problems import Problem
from agentrooms.domain.mandate import Mandate
from tests.domain.samples import USDC, wallet
from tests.evm.market import FUNDS, Market, market
from tests.evm.test_holdings import NOBODY, holdings_of


@pytest.fixture(scope="module")
def evm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    with market("pyevm", tmp_path_factory.mktemp("evm")) as found:
        yield found


def mandates(evm: Market, *, provided: bool) -> tuple[Mandate, Mandate]:
    """Buyer's and seller's."""
    case = evm.deal(provided=provided).case
    assert case.buyer is not None
    assert case.seller is not None
    return case.buyer.mandate, case.seller.mandate


def refused(evm: Market, mandate: Mandate) -> Problem:
    """Why a wallet cannot trade; the reason holds no price."""
    with pytest.raises(Problem) as raised:
        require_ready(holdings_of(evm), mandate)
    assert not any(digit in f"{raised.value} {raised.value.hint}" for digit in "0123456789")
    return raised.value


def test_who_has_allowed_it_all_is_ready(evm: Market) -> None:
    buyer, seller = mandates(evm, provided=True)
    assert require_ready(holdings_of(evm), buyer) == FUNDS
    assert require_ready(holdings_of(evm), seller) == 0
    held = approvals_of(holdings_of(evm), buyer)
    assert (held.balance, held.allowance) == (FUNDS / USDC, FUNDS / USDC)
    assert not held.allowance_missing
    assert not held.item_approval_missing


def test_who_has_allowed_nothing_is_told_what_is_missing(evm: Market) -> None:
    buyer, seller = mandates(evm, provided=False)
    assert (refused(evm, buyer).status, refused(evm, buyer).code) == (409, "allowance_missing")
    assert (refused(evm, seller).status, refused(evm, seller).code) == (403, "not_owner")
    assert approvals_of(holdings_of(evm), seller).item_approval_missing


def test_an_item_is_owned_by_one_wallet(evm: Market) -> None:
    _buyer, seller = mandates(evm, provided=True)
    assert seller.item is not None
    require_owner(holdings_of(evm), seller.collection, seller.item.token_id, seller.principal)
    for other in (wallet("somebody"), NOBODY):
        with pytest.raises(Problem, match="does not own"):
            require_owner(holdings_of(evm), seller.collection, seller.item.token_id, other)


def test_rooms_are_opened_for_collections_only(evm: Market) -> None:
    site = evm.chain.site
    require_erc721(holdings_of(evm), site.collection)
    with pytest.raises(Problem, match="does not say that it is an ERC-721 collection"):
        require_erc721(holdings_of(evm), site.currency)
    with pytest.raises(Problem, match="there is no contract"):
        require_erc721(holdings_of(evm), NOBODY)


def test_a_certificate_has_no_place_for_a_limit() -> None:
    text = json.dumps(CertificateAnswer.model_json_schema(mode="serialization"))
    assert "mandateHash" in text
    assert not any(word in text for word in ("reservation", "minPrice", "maxPrice", "maximum_usdc", "salt"))
