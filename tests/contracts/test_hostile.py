"""Hostile contracts: whatever currency, collection or wallet do, a deal is settled whole or not at all."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from eth_utils.address import to_canonical_address

from agentrooms.chain.devnet.anvil import Anvil
from agentrooms.chain.devnet.engine import DEPLOYER_KEY, Call
from agentrooms.chain.devnet.pyevm import PyEvm
from agentrooms.chain.evm import abi
from agentrooms.domain.eip712 import digest
from agentrooms.domain.secp256k1 import address_of
from tests.contracts.attacking import with_mandate
from tests.contracts.deals import Execution, Plan
from tests.contracts.stage import FUNDS, PRICE, Stage
from tests.contracts.world import Contract, World

replace = msgspec.structs.replace
BOUNDED_GAS = 1_000_000  # enough for any check, however hostile the contracts it asks


def sent(stage: Stage, plan: Plan) -> bool:
    """Sends the deal, and makes sure that it changed all or nothing."""
    before = stage.holdings(plan)
    succeeded = stage.execute(plan.signed()).succeeded
    after = stage.holdings(plan)
    buyer, paid = plan.buyer.mandate.principal, plan.deal.price
    if succeeded:
        assert after[:6] == (buyer, before[1] + paid, before[2] - paid, before[3] - paid, 1, 1)
    else:
        assert after == before
    return succeeded


# --- Currencies --------------------------------------------------------------------------------------------

CURRENCIES = {
    "honest": (0, None),
    "takes_a_fee": (1, "payment_not_exact"),
    "answers_false": (2, "payment_failed"),
    "answers_nothing": (3, None),
    "moves_nothing": (4, "payment_not_exact"),
    "mints_more": (5, "payment_not_exact"),
    "answers_two": (6, "payment_failed"),
    "burns_the_payers": (7, "payment_not_exact"),
    "goes_silent": (9, "payment_not_exact"),
    "reverts_with_a_bomb": (10, "payment_failed"),
}


@pytest.mark.parametrize(("trick", "reason"), CURRENCIES.values(), ids=CURRENCIES)
def test_only_a_payment_of_exactly_the_price_counts(stage: Stage, trick: int, reason: str | None) -> None:
    plan = stage.plan(currency=stage.hostile("HostileToken", trick))
    assert stage.check(plan.signed()) is None, "no view can see it"
    assert stage.tried(plan.signed()) == reason
    assert sent(stage, plan) == (reason is None)


def test_a_blacklisted_seller_gets_no_money_and_keeps_the_item_until_the_deal_can_be_tried_again(stage: Stage) -> None:
    token = stage.hostile("HostileToken", 0)
    plan = stage.plan(currency=token)
    stage.world.transact(DEPLOYER_KEY, token, "blacklist", plan.seller.mandate.principal, True)
    assert stage.tried(plan.signed()) == "payment_failed"
    assert not sent(stage, plan)
    stage.world.transact(DEPLOYER_KEY, token, "blacklist", plan.seller.mandate.principal, False)
    assert sent(stage, plan)


# --- Collections -------------------------------------------------------------------------------------------

COLLECTIONS = {
    "honest": (0, None, None),
    "transfers_nothing": (1, None, "item_not_delivered"),
    "burns_gas": (3, "seller_does_not_own_item", "seller_does_not_own_item"),
    "answers_with_a_bomb": (4, None, None),
    "names_a_dirty_owner": (5, "seller_does_not_own_item", "seller_does_not_own_item"),
    "reverts_with_a_bomb": (6, None, "item_not_delivered"),
    "takes_the_item": (7, None, "item_not_delivered"),
}


@pytest.mark.parametrize(("trick", "seen", "reason"), COLLECTIONS.values(), ids=COLLECTIONS)
def test_the_money_goes_only_with_the_item(stage: Stage, trick: int, seen: str | None, reason: str | None) -> None:
    plan = stage.plan(collection=stage.hostile("HostileNft", trick))
    assert (stage.check(plan.signed()), stage.tried(plan.signed())) == (seen, reason)
    if seen is None:
        assert sent(stage, plan) == (reason is None)


def test_a_collection_without_traits_meets_no_trait(stage: Stage) -> None:
    plan = stage.plan(collection=stage.hostile("HostileNft", 0))
    plan = with_mandate(plan, "buyer", traits=((b"\1" * 32, b"\0" * 32),))
    assert stage.tried(plan.signed()) == "buyer_mandate_invalid:traits_not_held"


# --- Reentrancy --------------------------------------------------------------------------------------------

LOCKED = ("execute", "check", "facts", "executedBlockOf", "fillsOf")
OPEN = ("cancel", "cancelAll", "domainSeparator", "verifiers")  # nothing in them is half done
OWNERS = ("pause", "rotate")


def arguments(name: str, other: Execution) -> tuple[Any, ...]:
    """Returns what a contract gives when it calls back into the escrow in the middle of a deal."""
    sides = (other.seller.mandate.values(), other.seller.signature, other.buyer.mandate.values(), other.buyer.signature)
    return {
        "execute": other.values(),
        "check": other.values(),
        "facts": (other.deal.values(), *sides, ()),
        "executedBlockOf": (other.deal.deal_id,),
        "fillsOf": (other.deal.seller_mandate,),
        "cancel": (other.deal.seller_mandate,),
        "rotate": ([f"0x{n:040x}" for n in range(1, 8)],),
    }.get(name, ())


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("HostileNft", name) for name in LOCKED + OPEN + OWNERS),
        ("HostileToken", "execute"),
        ("HostileToken", "check"),
    ],
)
def test_a_deal_that_is_half_done_can_be_neither_used_nor_seen(stage: Stage, kind: str, name: str) -> None:
    other = stage.standing_plan().signed()
    hostile = stage.hostile(kind, 2 if kind == "HostileNft" else 8)
    data = abi.call_data(stage.escrow.artefact.abi, name, *arguments(name, other))
    stage.world.transact(DEPLOYER_KEY, hostile, "plan", stage.escrow.address, data, gas=4_000_000)
    plan = stage.plan(collection=hostile) if kind == "HostileNft" else stage.plan(currency=hostile)
    assert sent(stage, plan)
    assert stage.world.read(hostile, "called_back")
    assert stage.world.read(hostile, "succeeded") == (name in OPEN)
    assert stage.check(other) is None, "the other deal stands as before"


# --- Contracts that sign (ERC-1271) ------------------------------------------------------------------------


def signing(stage: Stage, side: str, trick: int = 0) -> tuple[Plan, Contract, bytes]:
    """Returns a deal one of whose principals is a contract, that contract, and the digest it must accept."""
    wallet = stage.hostile("HostileWallet", trick)
    plan = with_mandate(stage.plan(), side, principal=wallet.address)
    token, escrow = plan.deal.token_id, stage.escrow.address

    def act(contract: Contract, name: str, *args: Any) -> None:
        data = abi.call_data(contract.artefact.abi, name, *args)
        assert stage.world.transact(DEPLOYER_KEY, wallet, "act", contract.address, data).succeeded

    if side == "seller":
        owner = address_of(plan.seller.wallet)
        stage.world.transact(plan.seller.wallet, stage.collection, "transferFrom", owner, wallet.address, token)
        act(stage.collection, "approve", escrow, token)
    else:
        stage.world.transact(DEPLOYER_KEY, stage.usdc, "mint", wallet.address, FUNDS)
        act(stage.usdc, "approve", escrow, PRICE)
    mandate = plan.seller.mandate if side == "seller" else plan.buyer.mandate
    return plan, wallet, digest(stage.domain, mandate.hash())


@pytest.mark.parametrize("side", ["seller", "buyer"])
def test_a_contract_signs_and_may_revoke_until_the_deal_is_executed(stage: Stage, side: str) -> None:
    """The buyer's contract has no receiver function either: nothing in the middle of a swap asks for one."""
    plan, wallet, signed = signing(stage, side)
    refusal = f"{side}_mandate_invalid:signature"
    said = []
    for accepted in (False, True, False, True):
        stage.world.transact(DEPLOYER_KEY, wallet, "accept", signed, accepted)
        said.append((stage.check(plan.signed()), stage.tried(plan.signed())))
    assert said == [(refusal, refusal), (None, None)] * 2
    assert stage.execute(plan.signed()).succeeded
    assert stage.world.read(stage.collection, "ownerOf", plan.deal.token_id) == plan.buyer.mandate.principal


def test_facts_tell_which_contract_signed(stage: Stage) -> None:
    plan, wallet, signed = signing(stage, "buyer")
    execution = plan.signed()
    args = arguments("facts", execution)
    told = [stage.world.read(stage.escrow, "facts", *args)[9:11]]
    stage.world.transact(DEPLOYER_KEY, wallet, "accept", signed, True)
    told.append(stage.world.read(stage.escrow, "facts", *args)[9:11])
    assert told == [(False, False), (False, True)]


WALLETS = {"burns_gas": 1, "answers_true": 3, "answers_short": 4, "reverts_with_a_bomb": 5}


@pytest.mark.parametrize("trick", WALLETS.values(), ids=WALLETS)
def test_a_contract_that_does_not_say_the_word_has_not_signed(stage: Stage, trick: int) -> None:
    plan, _, _ = signing(stage, "seller", trick)
    data = abi.call_data(stage.escrow.artefact.abi, "check", *plan.signed().values())
    said = stage.world.engine.call(Call(to=stage.escrow.address, data=data, gas=BOUNDED_GAS))
    assert int.from_bytes(said, "big") == 22
    assert stage.tried(plan.signed()) == "seller_mandate_invalid:signature"


def test_an_answer_that_begins_with_the_right_word_counts_and_its_rest_is_never_read(stage: Stage) -> None:
    plan, _, _ = signing(stage, "seller", 2)
    data = abi.call_data(stage.escrow.artefact.abi, "check", *plan.signed().values())
    said = stage.world.engine.call(Call(to=stage.escrow.address, data=data, gas=BOUNDED_GAS))
    assert int.from_bytes(said, "big") == 0


@pytest.mark.parametrize("trick", [3, 1])
def test_facts_and_check_stay_affordable_with_hostile_contracts_everywhere(stage: Stage, trick: int) -> None:
    plan, _, _ = signing(stage, "seller", 1)
    plan = with_mandate(plan, "buyer", principal=plan.seller.mandate.principal)
    hostile = stage.hostile("HostileNft", trick)
    plan = plan.altered(collection=hostile.address, currency=hostile.address)
    execution = plan.signed()
    args = arguments("facts", execution)[:-1]
    data = abi.call_data(stage.escrow.artefact.abi, "facts", *args, [bytes([n]) * 32 for n in range(16)])
    told = stage.world.engine.call(Call(to=stage.escrow.address, data=data))
    facts = abi.answer(stage.escrow.artefact.abi, "facts", told)
    assert facts[:4] == ("0x" + "0" * 40, False, 0, 0)
    assert facts[13] == (b"\0" * 32,) * 16


def test_a_person_whose_account_has_code_signs_with_the_key(stage: Stage) -> None:
    """Since EIP-7702 that is possible; the code here refuses everything."""
    plan = stage.plan()
    reverts = bytes.fromhex("60006000fd")
    for side in (plan.seller, plan.buyer):
        set_code(stage.world, side.mandate.principal, reverts)
    assert stage.world.engine.code(plan.seller.mandate.principal) == reverts
    assert stage.tried(plan.signed()) is None


def set_code(world: World, address: str, code: bytes) -> None:
    """Gives an account code, until the next block."""
    engine = world.engine
    if isinstance(engine, Anvil):
        engine._rpc("anvil_setCode", address, "0x" + code.hex())
    else:
        assert isinstance(engine, PyEvm)
        engine._view.set_code(to_canonical_address(address), code)
