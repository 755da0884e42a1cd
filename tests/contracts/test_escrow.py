"""The escrow: what a valid deal does, what it costs, its hashes, and what facts tell of the chain."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from eth_account.messages import SignableMessage, encode_typed_data

from agentrooms.chain.devnet.engine import CHAIN_ID, TX_GAS_MAX
from agentrooms.chain.evm import abi
from agentrooms.domain.eip712 import domain_separator, struct_hash, uint
from agentrooms.domain.merkle import proof, root
from tests.contracts.attacking import SIDES, with_mandate, with_order
from tests.contracts.deals import ATTESTATION_TYPE, DEAL_TYPE, MANDATE_TYPE, text_hash
from tests.contracts.stage import (
    FUNDS,
    PRICE,
    VERIFIER_KEYS,
    VERIFIERS,
    Stage,
    held_traits,
)
from tests.contracts.world import World

replace = msgspec.structs.replace
OLDEST_TX_BYTES = 9_000  # what the oldest networks take as one transaction
OVERHEAD_BYTES = 130  # of a legacy transaction around its data


# --- A valid deal ------------------------------------------------------------------------------------------


def test_a_deal_swaps_item_and_price_and_is_counted_once(stage: Stage) -> None:
    plan = stage.plan()
    seller, buyer = plan.seller.mandate.principal, plan.buyer.mandate.principal
    assert stage.holdings(plan) == (seller, 0, FUNDS, FUNDS, 0, 0, 0)
    receipt = stage.execute(plan.signed())
    assert receipt.succeeded
    assert stage.holdings(plan) == (buyer, PRICE, FUNDS - PRICE, FUNDS - PRICE, 1, 1, receipt.block_number)


def test_anyone_may_send_a_deal_and_it_says_what_happened(stage: Stage) -> None:
    plan = stage.plan()
    receipt = stage.execute(plan.signed(), stage.world.wallets.take())
    (log,) = [log for log in receipt.logs if log.address == stage.escrow.address]
    assert abi.event(stage.escrow.artefact.abi, "Executed", log.topics, log.data) == {
        "dealId": plan.deal.deal_id,
        "dealHash": plan.signed().deal.hash(),
        "seller": plan.seller.mandate.principal,
        "buyer": plan.buyer.mandate.principal,
        "collection": plan.deal.collection,
        "tokenId": plan.deal.token_id,
        "currency": plan.deal.currency,
        "price": PRICE,
    }


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_a_mandate_for_a_set_of_items_takes_each_of_them(stage: Stage, size: int) -> None:
    plan = stage.standing_plan()
    tokens = [plan.deal.token_id + n * 1_000_003 for n in range(size)]
    plan = with_mandate(plan, "buyer", items=root(tokens))
    execution = with_order(plan.signed(), "buyer", proof=proof(tokens, plan.deal.token_id))
    assert stage.tried(execution) is None


@pytest.mark.parametrize("side", SIDES)
def test_a_mandate_may_ask_for_traits_and_for_any_item(stage: Stage, side: str) -> None:
    plan = with_mandate(stage.standing_plan(), side, items=root([]), traits=held_traits())
    assert stage.tried(plan.signed()) is None


@pytest.mark.parametrize("count", [5, 6, 7])
def test_five_or_more_verifiers_suffice(stage: Stage, count: int) -> None:
    assert stage.tried(replace(stage.standing_plan(), attesters=VERIFIER_KEYS[-count:]).signed()) is None


def test_prices_may_lie_on_the_limits(stage: Stage) -> None:
    plan = stage.standing_plan()
    for side in SIDES:
        plan = with_mandate(plan, side, min_price=PRICE, max_price=PRICE)
    assert stage.tried(plan.signed()) is None


def test_a_mandate_of_two_fills_is_spent_by_two(stage: Stage) -> None:
    plan = with_mandate(stage.valid_plan(), "buyer", items=root([]), fills=2)
    assert stage.execute(plan.signed()).succeeded
    reasons: list[str | None] = []
    for _ in range(2):
        other = replace(stage.plan(buyer_wallet=plan.buyer.wallet), buyer=plan.buyer)
        reasons.append(stage.tried(other.signed()))
        stage.execute(other.signed())
    assert reasons == [None, "buyer_mandate_spent"]


def test_the_largest_deal_fits_into_a_transaction_of_the_oldest_networks(stage: Stage) -> None:
    execution = stage.standing_plan().signed()
    for side in SIDES:
        mandate = replace(getattr(execution, side).mandate, traits=((b"\1" * 32, b"\1" * 32),) * 16)
        execution = with_order(execution, side, mandate=mandate, signature=b"\1" * 1024, proof=(b"\1" * 32,) * 16)
    execution = replace(execution, attestations=(b"\1" * 65,) * 7)
    data = abi.call_data(stage.escrow.artefact.abi, "execute", *execution.values())
    assert len(data) + OVERHEAD_BYTES < OLDEST_TX_BYTES
    assert stage.check(execution) == "seller_mandate_invalid:other", "all of it is read"


@pytest.mark.parametrize("name", ["Collection", "Escrow", "TestUsdc"])
def test_each_contract_can_be_deployed_within_the_gas_of_one_transaction(world: World, name: str) -> None:
    args = {"Escrow": (1, VERIFIERS), "Collection": ("Demo", "DEMO")}.get(name, ())
    world.deploy_named(name, *args)
    assert world.engine.head().gas_used < 0.8 * TX_GAS_MAX


def test_an_execution_costs_a_tenth_of_a_transaction(stage: Stage) -> None:
    receipt = stage.execute(stage.plan().signed())
    assert receipt.gas_used < TX_GAS_MAX // 10


# --- Hashes, against an independent implementation ---------------------------------------------------------


def typed(domain: dict[str, Any], type_: str, message: dict[str, Any]) -> SignableMessage:
    types = {"EIP712Domain": [("string", "name"), ("string", "version"), ("uint256", "chainId")]}
    types["EIP712Domain"].append(("address", "verifyingContract"))
    for part in type_.split(")")[:-1]:
        name, members = part.split("(")
        types[name] = [(member.split(" ")[0], member.split(" ")[1]) for member in members.split(",")]
    return encode_typed_data(
        full_message={
            "domain": domain,
            "primaryType": type_.split("(", maxsplit=1)[0],
            "types": {name: [{"type": kind, "name": part} for kind, part in rows] for name, rows in types.items()},
            "message": message,
        }
    )


def test_domain_and_hashes_are_those_of_another_implementation(stage: Stage) -> None:
    plan = with_mandate(stage.standing_plan(), "buyer", traits=held_traits())
    execution = plan.signed()
    domain = {
        "name": "AgentroomsEscrow",
        "version": "1",
        "chainId": CHAIN_ID,
        "verifyingContract": stage.escrow.address,
    }
    names = {
        type_: [member.split(" ")[1] for member in type_[: type_.index(")")].split("(")[1].split(",")]
        for type_ in (MANDATE_TYPE, DEAL_TYPE, ATTESTATION_TYPE)
    }
    mandate = dict(zip(names[MANDATE_TYPE], execution.buyer.mandate.values(), strict=True))
    mandate["traits"] = [{"key": key, "value": text} for key, text in held_traits()]
    deal = dict(zip(names[DEAL_TYPE], execution.deal.values(), strict=True))
    attestation = {"deal": execution.deal.hash(), "setVersion": 1}
    said = [
        typed(domain, MANDATE_TYPE, mandate),
        typed(domain, DEAL_TYPE, deal),
        typed(domain, ATTESTATION_TYPE, attestation),
    ]
    assert {message.header for message in said} == {stage.world.read(stage.escrow, "domainSeparator")}
    assert {message.header for message in said} == {domain_separator(stage.domain)}
    assert [message.body for message in said] == [
        execution.buyer.mandate.hash(),
        execution.deal.hash(),
        struct_hash(ATTESTATION_TYPE, execution.deal.hash(), uint(1)),
    ]


# --- Facts -------------------------------------------------------------------------------------------------


def test_facts_tell_all_that_a_verifier_asks(stage: Stage) -> None:
    plan = stage.plan()
    keys = (text_hash("Hat"), text_hash("Wings"), text_hash("Type"))
    head = stage.world.engine.head()
    assert stage.facts(plan, keys) == {
        "owner": plan.seller.mandate.principal,
        "approved": True,
        "balance": FUNDS,
        "allowance": FUNDS,
        "executedBlock": 0,
        "sellerFills": 0,
        "buyerFills": 0,
        "sellerCancelled": False,
        "buyerCancelled": False,
        "sellerContractSigned": False,
        "buyerContractSigned": False,
        "paused": False,
        "setVersion": 1,
        "traitValues": (text_hash("Beanie"), b"\0" * 32, text_hash("Zombie")),
        "blockNumber": head.number,
        "nowMs": head.timestamp_ms,
    }


def test_facts_follow_what_happens(stage: Stage) -> None:
    plan = stage.plan()
    world, before = stage.world, stage.facts(plan)
    world.transact(plan.seller.wallet, stage.escrow, "cancel", plan.seller.mandate.hash())
    world.transact(plan.buyer.wallet, stage.escrow, "cancelAll")
    world.transact(plan.seller.wallet, stage.collection, "approve", "0x" + "0" * 40, plan.deal.token_id)
    world.transact(plan.buyer.wallet, stage.usdc, "approve", stage.escrow.address, 5)
    after = stage.facts(plan)
    changed = {name: after[name] for name in after if after[name] != before[name]}
    assert changed == {
        "approved": False,
        "allowance": 5,
        "sellerCancelled": True,
        "buyerCancelled": True,
        "blockNumber": world.engine.head().number,
        "nowMs": world.now_ms,
    }


def test_facts_after_an_execution_name_its_block(stage: Stage) -> None:
    plan = stage.plan()
    receipt = stage.execute(plan.signed())
    told = stage.facts(plan)
    assert (told["executedBlock"], told["sellerFills"], told["buyerFills"]) == (receipt.block_number, 1, 1)
    assert (told["owner"], told["approved"]) == (plan.buyer.mandate.principal, False)


@pytest.mark.parametrize("field", ["collection", "currency", "token_id"])
def test_facts_about_what_does_not_exist_are_zero_and_no_error(stage: Stage, field: str) -> None:
    plan = stage.standing_plan().altered(**{field: 1 << 200 if field == "token_id" else "0x" + "8" * 40})
    told = stage.facts(plan, (text_hash("Hat"),))
    unknown = (0, 0) if field == "currency" else ("0x" + "0" * 40, False)
    assert (told["balance"], told["allowance"]) == unknown or (told["owner"], told["approved"]) == unknown
    assert told["traitValues"] == ((text_hash("Beanie") if field == "currency" else b"\0" * 32),)


def test_an_operator_for_all_items_is_approved_too(stage: Stage) -> None:
    plan, zero = stage.plan(), "0x" + "0" * 40
    stage.world.transact(plan.seller.wallet, stage.collection, "approve", zero, plan.deal.token_id)
    stage.world.transact(plan.seller.wallet, stage.collection, "setApprovalForAll", stage.escrow.address, True)
    assert stage.facts(plan)["approved"]
    assert stage.execute(plan.signed()).succeeded
