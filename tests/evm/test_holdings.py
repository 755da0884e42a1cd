"""What people hold is what the chain says; contracts of strangers can say what they like."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
from eth_account.messages import encode_typed_data
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.chain.contracts.artefact import load
from agentrooms.chain.devnet.engine import DEPLOYER_KEY
from agentrooms.chain.evm import holdings as evm_holdings
from agentrooms.chain.evm.abi import constructor_data
from agentrooms.chain.evm.holdings import URI_BYTES_MAX, EvmHoldings, open_rpc
from agentrooms.chain.evm.outbox import PRICE_MIN_WEI, Outbox
from agentrooms.chain.evm.requests import Permit, Requests, TransactionRequest
from agentrooms.chain.evm.rpc import Rpc
from agentrooms.chain.holdings import Holdings, LedgerHoldings, PermitToken
from agentrooms.chain.ledger import LEDGER, LedgerChain
from agentrooms.chain.port import ChainError, ChainUnreachable
from agentrooms.domain import secp256k1
from agentrooms.domain.eip712 import EscrowDomain, keccak
from agentrooms.domain.mandate import mandate_digest, mandate_hash
from tests.contracts.stage import compiled
from tests.domain.samples import USDC, wallet, wallet_key
from tests.evm.market import FUNDS, Market

NOBODY = "0x" + "11" * 20
TOKEN = PermitToken("Test USD Coin", "1", EscrowDomain(11_812, "0x" + "22" * 20))


def holdings_of(market: Market) -> Holdings:
    if isinstance(market.chain, LedgerChain):
        return LedgerHoldings(market.memory)
    return EvmHoldings(market.evm.rpc, market.chain.site)


def send(market: Market, name: str, request: TransactionRequest) -> None:
    """The wallet does what it was asked to."""
    market.act(market.account(name), request.to, bytes.fromhex(request.data[2:]))


def deploy(market: Market, name: str, trick: int) -> str:
    evm = market.evm
    outbox = Outbox(evm.rpc, evm.site.chain_id, DEPLOYER_KEY, market.memory)
    artefact = compiled(name)
    data = bytes.fromhex(artefact.initcode) + constructor_data(artefact.abi, trick)
    made = outbox.make(f"{name}/{market.now_ms()}", None, data, 4_000_000)
    evm.rpc.call("eth_sendRawTransaction", "0x" + made.raw.hex())
    evm.mine()
    return str(evm.rpc.call("eth_getTransactionReceipt", made.tx_hash)["contractAddress"]).lower()


def test_holdings_before_and_after_a_deal(any_market: Market) -> None:
    market, site = any_market, any_market.chain.site
    deal, asked = market.deal(), holdings_of(market)
    item, seller, buyer = deal.terms.item.token_id, wallet(deal.seller), wallet(deal.buyer)
    assert asked.owner_of(site.collection, item) == seller
    assert asked.owner_of(site.collection, "999999") is None
    assert asked.is_approved(site.collection, item, seller)
    assert not asked.is_approved(site.collection, "999999", seller)
    assert asked.money(buyer) == (holdings := asked.money(buyer))
    assert (holdings.balance_usdc_micros, holdings.allowance_usdc_micros) == (FUNDS, FUNDS)
    traits = deal.terms.item.traits
    assert traits
    assert asked.held_traits(site.collection, item, traits) == traits
    assert asked.held_traits(site.collection, item, dict.fromkeys(traits, "other")) == {}
    assert asked.held_traits(NOBODY, item, traits) == {}
    assert asked.is_erc721(site.collection)
    assert not asked.is_erc721(site.currency)
    assert not asked.is_erc721(NOBODY)
    assert asked.has_code(site.escrow)
    assert not asked.has_code(NOBODY)
    head = asked.head()
    assert market.settle(deal).succeeded
    assert asked.head().block > head.block
    assert asked.owner_of(site.collection, item) == buyer
    assert not asked.is_approved(site.collection, item, buyer)
    assert asked.money(buyer).balance_usdc_micros == FUNDS - deal.terms.price_usdc_micros
    assert asked.mandate_state(buyer, deal.terms.buyer_mandate).fills == 1
    assert asked.counter(buyer) == 0


def test_a_wallet_that_does_as_asked_allows_and_cancels(fresh_market: Market) -> None:
    """Approval of money and item, a permit brought by somebody else, cancellation: each has the effect it says."""
    market, site, asked = fresh_market, fresh_market.chain.site, holdings_of(fresh_market)
    deal = market.deal()
    seller, buyer, item = wallet(deal.seller), wallet(deal.buyer), deal.terms.item.token_id
    requests = Requests(site, asked.gas_price_wei())
    send(market, deal.buyer, requests.allow(5 * USDC))
    assert asked.money(buyer).allowance_usdc_micros == 5 * USDC
    token = asked.permit_token()
    assert token is not None
    permit = Permit(token, buyer, site.escrow, 7 * USDC, asked.permit_nonce(buyer))
    assert permit.nonce == 1  # the market's own permit was the first
    signed = permit.checked(bytes.fromhex(secp256k1.sign(wallet_key(deal.buyer), permit.digest())))
    assert signed is not None
    send(market, "anybody", requests.permit(buyer, 7 * USDC, signed))
    assert asked.money(buyer).allowance_usdc_micros == 7 * USDC
    assert asked.permit_nonce(buyer) == 2
    assert market.settle(market.deal()).succeeded
    assert deal.case.seller is not None
    hashed = mandate_hash(deal.case.seller.mandate)
    assert not asked.mandate_state(seller, hashed).cancelled
    send(market, deal.seller, requests.cancel(hashed))
    assert asked.mandate_state(seller, hashed).cancelled
    send(market, deal.seller, requests.cancel_all())
    assert asked.counter(seller) > 0  # a step nobody can foresee
    assert asked.is_approved(site.collection, item, seller)
    send(market, deal.seller, requests.approve_item(site.collection, item))
    assert asked.is_approved(site.collection, item, seller)
    assert asked.name(site.collection) == "CryptoPunks"
    assert asked.token_uri(site.collection, item).startswith("data:application/json;base64,")
    assert asked.token_uri(site.collection, "999999") == ""


@pytest.mark.parametrize("trick", range(8))
def test_a_strangers_collection_answers_nothing_that_hurts(fresh_market: Market, trick: int) -> None:
    asked, address = holdings_of(fresh_market), deploy(fresh_market, "HostileNft", trick)
    owner = asked.owner_of(address, "1")
    assert owner is None
    assert not asked.is_erc721(address)
    assert asked.name(address) == ""
    assert asked.token_uri(address, "1") == ""
    assert not asked.is_approved(address, "1", NOBODY)


def test_a_contracts_wallet_vouches_for_what_it_accepted(fresh_market: Market) -> None:
    from agentrooms.chain.evm.abi import call_data

    market, asked = fresh_market, holdings_of(fresh_market)
    address, deal = deploy(market, "HostileWallet", 0), market.deal(provided=False)
    assert deal.case.buyer is not None
    digest = mandate_digest(deal.case.buyer.mandate, market.chain.site.domain)
    assert not asked.contract_signed(address, digest, b"\xc0\xde")
    market.act(DEPLOYER_KEY, address, call_data(compiled("HostileWallet").abi, "accept", digest, True))
    assert asked.contract_signed(address, digest, b"\xc0\xde")
    assert not asked.contract_signed(NOBODY, digest, b"\xc0\xde")
    assert not asked.contract_signed(market.chain.site.currency, digest, b"")


def answering(answer: object, seen: list[dict[str, Any]] | None = None) -> EvmHoldings:
    """Holdings on a node that answers every question alike."""

    def handle(request: httpx.Request) -> httpx.Response:
        asked = msgspec.json.decode(request.content, type=dict[str, Any])
        if seen is not None:
            seen.append(asked)
        return httpx.Response(200, content=msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "result": answer}))

    return EvmHoldings(Rpc("http://node", transport=httpx.MockTransport(handle)), LEDGER)


def word(value: int) -> str:
    return f"{value:064x}"


@pytest.mark.parametrize(
    "answer",
    [
        "0x",
        "0x01",
        "0x" + word(32),
        "0x" + word(0) + word(1 << 255),
        "0x" + word((1 << 256) - 1) + word(5),
        "0x" + word(32) + word(100) + "00" * 99,
        "0x" + word(32) + word(2) + "ff" * 32,
        "0x" + word(32) + word(URI_BYTES_MAX + 1) + "61" * (URI_BYTES_MAX + 64),
    ],
)
def test_a_text_that_is_none_is_empty(answer: str) -> None:
    assert answering(answer).token_uri(NOBODY, "1") == ""


def test_the_longest_text_is_read_and_a_name_is_cut_and_cleaned() -> None:
    body = "61" * URI_BYTES_MAX
    assert answering("0x" + word(32) + word(URI_BYTES_MAX) + body).token_uri(NOBODY, "1") == "a" * URI_BYTES_MAX
    name = ("Evil\u202e\n" + "x" * 100).encode()
    said = answering("0x" + word(32) + word(len(name)) + name.hex().ljust(256, "0")).name(NOBODY)
    assert said.startswith("Evilx")
    assert len(said) <= evm_holdings.NAME_CHARACTERS_MAX


@given(st.binary(max_size=200))
def test_any_answer_at_all_is_taken_for_no(answer: bytes) -> None:
    asked = answering("0x" + answer.hex())
    assert asked.owner_of(NOBODY, "1") is None or len(answer) == 32
    assert not asked.is_erc721(NOBODY)
    assert isinstance(asked.token_uri(NOBODY, "1"), str)
    assert not asked.contract_signed(NOBODY, b"\0" * 32, b"x")
    assert asked.held_traits(NOBODY, "1", {"Hat": "Beanie"}) == {}


@pytest.mark.parametrize("answer", [None, 1, "0xzz", "zz", [], {}])
def test_a_node_that_answers_no_bytes_is_unreachable(answer: object) -> None:
    with pytest.raises(ChainUnreachable):
        answering(answer).owner_of(NOBODY, "1")


def test_our_own_contract_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(ChainError, match="does not answer as ours"):
        answering("0x").money(NOBODY)


def test_a_currency_whose_separator_is_another_takes_no_permits() -> None:
    assert answering("0x" + word(7)).permit_token() is None


def test_what_a_stranger_may_burn_is_bounded_and_a_yes_is_remembered() -> None:
    seen: list[dict[str, Any]] = []
    asked = answering("0x" + word(32) + word(1) + "61" + "00" * 31, seen)
    assert [asked.name(NOBODY) for _ in range(3)] == ["a"] * 3
    assert len(seen) == 1
    assert int(seen[0]["params"][0]["gas"], 16) == evm_holdings.QUESTION_GAS


def test_nobody_waits_long_for_a_busy_node() -> None:
    """A node that asks for a minute's patience is said to be busy at once."""
    rpc = open_rpc("http://node", None)
    rpc._client = httpx.Client(
        transport=httpx.MockTransport(lambda _request: httpx.Response(429, headers={"Retry-After": "60"}))
    )
    with pytest.raises(ChainUnreachable, match="60 s"):
        EvmHoldings(rpc, LEDGER).head()


@given(
    st.integers(0, (1 << 256) - 1),
    st.integers(0, (1 << 256) - 1),
    st.text(min_size=1, max_size=20),
    st.integers(1, 1 << 60),
)
def test_permits_are_hashed_as_another_implementation_does(amount: int, nonce: int, name: str, chain_id: int) -> None:
    token = PermitToken(name, "2", EscrowDomain(chain_id, TOKEN.contract.address))
    permit = Permit(token, wallet("ada"), "0x" + "33" * 20, amount, nonce)
    encoded = encode_typed_data(full_message=permit.typed_data())
    assert permit.digest() == keccak(b"\x19" + encoded.version + encoded.header + encoded.body)


def test_only_the_owners_key_over_this_very_permit_is_taken() -> None:
    permit = Permit(TOKEN, wallet("ada"), "0x" + "33" * 20, 5, 0)
    raw = bytes.fromhex(secp256k1.sign(wallet_key("ada"), permit.digest()))
    assert permit.checked(raw) == raw
    assert permit.checked(raw[:-1] + bytes([raw[-1] - 27])) == raw
    other = msgspec.structs.replace(permit, amount_usdc_micros=6)
    assert other.checked(raw) is None
    assert permit.checked(bytes.fromhex(secp256k1.sign(wallet_key("bob"), permit.digest()))) is None
    for broken in (b"", raw[:-1], raw + b"\0", b"\0" * 65, b"\xff" * 65):
        assert permit.checked(broken) is None


def test_a_request_pays_at_least_what_the_chain_takes() -> None:
    assert answering("0x1").gas_price_wei() == PRICE_MIN_WEI
    assert answering(hex(PRICE_MIN_WEI * 2)).gas_price_wei() == PRICE_MIN_WEI * 2


def test_the_abi_of_our_own_collection_has_what_is_asked_of_others() -> None:
    names = {part["name"] for part in load("Collection").abi if part["type"] == "function"}
    assert {"ownerOf", "getApproved", "isApprovedForAll", "supportsInterface", "tokenURI", "name", "approve"} <= names
