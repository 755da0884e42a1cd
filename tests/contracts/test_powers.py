"""What principals and the owner of the escrow may do, and what time means to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from agentrooms.chain.contracts.artefact import load
from agentrooms.chain.devnet.engine import DEPLOYER_KEY, RELAYER_KEY
from agentrooms.chain.evm import abi
from agentrooms.domain.secp256k1 import address_of
from tests.contracts.attacking import with_mandate
from tests.contracts.conftest import started
from tests.contracts.stage import (
    NEXT_VERIFIER_KEYS,
    NEXT_VERIFIERS,
    USDC,
    VERIFIERS,
    Stage,
)
from tests.contracts.world import World

replace = msgspec.structs.replace


# --- Principals --------------------------------------------------------------------------------------------


def test_nobody_cancels_for_another(stage: Stage) -> None:
    plan = stage.valid_plan()
    for mandate in (plan.seller.mandate, plan.buyer.mandate):
        stage.world.transact(stage.world.wallets.take(), stage.escrow, "cancel", mandate.hash())
    assert stage.tried(plan.signed()) is None


def test_the_counter_jumps_to_where_nobody_could_have_known(stage: Stage) -> None:
    wallet = stage.world.wallets.take()
    parent = stage.world.engine.head()
    receipt = stage.world.transact(wallet, stage.escrow, "cancelAll")
    expected = (int(parent.hash, 16) >> 128) + 1
    assert stage.world.read(stage.escrow, "counterOf", address_of(wallet)) == expected
    (log,) = receipt.logs
    assert abi.event(stage.escrow.artefact.abi, "AllCancelled", log.topics, log.data) == {
        "principal": address_of(wallet),
        "counter": expected,
    }


def test_a_mandate_of_the_new_counter_is_good(stage: Stage) -> None:
    plan = stage.plan()
    stage.world.transact(plan.buyer.wallet, stage.escrow, "cancelAll")
    counter = stage.world.read(stage.escrow, "counterOf", plan.buyer.mandate.principal)
    assert stage.tried(with_mandate(plan, "buyer", counter=counter).signed()) is None


# --- The owner ---------------------------------------------------------------------------------------------


def test_a_paused_escrow_executes_nothing_but_lets_people_cancel(fresh: Stage) -> None:
    plan = fresh.valid_plan()
    before = fresh.holdings(plan)
    fresh.world.transact(DEPLOYER_KEY, fresh.escrow, "pause")
    assert (fresh.check(plan.signed()), fresh.tried(plan.signed())) == ("paused", "paused")
    assert not fresh.execute(plan.signed()).succeeded
    assert fresh.holdings(plan) == before
    assert fresh.world.transact(plan.seller.wallet, fresh.escrow, "cancel", b"\1" * 32).succeeded
    fresh.world.transact(DEPLOYER_KEY, fresh.escrow, "unpause")
    assert fresh.execute(plan.signed()).succeeded


def test_rotation_voids_attestations_even_of_verifiers_that_stay(fresh: Stage) -> None:
    plan = fresh.valid_plan()
    fresh.world.transact(DEPLOYER_KEY, fresh.escrow, "rotate", VERIFIERS)
    assert fresh.tried(plan.signed()) == "attestation_not_by_verifier"
    assert fresh.tried(replace(plan, set_version=2).signed()) is None
    fresh.world.transact(DEPLOYER_KEY, fresh.escrow, "rotate", NEXT_VERIFIERS)
    assert fresh.world.read(fresh.escrow, "verifiers") == NEXT_VERIFIERS
    assert fresh.world.read(fresh.escrow, "setVersion") == 3
    assert fresh.tried(replace(plan, set_version=3).signed()) == "attestation_not_by_verifier"
    assert fresh.tried(replace(plan, set_version=3, attesters=NEXT_VERIFIER_KEYS).signed()) is None


BAD_SETS = {
    "a_zero": [*VERIFIERS[:6], "0x" + "0" * 40],
    "one_twice_side_by_side": [*VERIFIERS[:6], VERIFIERS[5]],
    "one_twice_far_apart": [VERIFIERS[6], *VERIFIERS[1:]],
}


@pytest.mark.parametrize("verifiers", BAD_SETS.values(), ids=BAD_SETS)
def test_a_set_is_seven_different_verifiers(stage: Stage, verifiers: list[str]) -> None:
    assert stage.world.tries(stage.escrow, "rotate", verifiers, sender=address_of(DEPLOYER_KEY)) is not None


OWNER_ONLY: dict[str, tuple[Any, ...]] = {
    "pause": (),
    "unpause": (),
    "rotate": (NEXT_VERIFIERS,),
    "transferOwnership": (VERIFIERS[0],),
}


@pytest.mark.parametrize("name", OWNER_ONLY)
def test_only_the_owner_may(stage: Stage, name: str) -> None:
    owner, other = address_of(DEPLOYER_KEY), address_of(RELAYER_KEY)
    assert stage.world.tries(stage.escrow, name, *OWNER_ONLY[name], sender=owner) is None
    assert stage.world.tries(stage.escrow, name, *OWNER_ONLY[name], sender=other) is not None


def test_ownership_moves_when_it_is_accepted(fresh: Stage) -> None:
    world, escrow, heir = fresh.world, fresh.escrow, fresh.world.wallets.take()
    assert not world.transact(heir, escrow, "acceptOwnership").succeeded
    world.transact(DEPLOYER_KEY, escrow, "transferOwnership", address_of(heir))
    assert (world.read(escrow, "owner"), world.read(escrow, "pendingOwner")) == (
        address_of(DEPLOYER_KEY),
        address_of(heir),
    )
    assert world.transact(heir, escrow, "acceptOwnership").succeeded
    assert (world.read(escrow, "owner"), world.read(escrow, "pendingOwner")) == (address_of(heir), "0x" + "0" * 40)
    assert not world.transact(DEPLOYER_KEY, escrow, "pause").succeeded
    assert world.transact(heir, escrow, "pause").succeeded
    assert not world.transact(heir, escrow, "acceptOwnership").succeeded


def test_no_function_but_execute_can_move_an_asset() -> None:
    """The escrow holds nothing, and these are all that change anything."""
    changing = {
        entry["name"]
        for entry in load("Escrow").abi
        if entry["type"] == "function" and entry["stateMutability"] != "view"
    }
    owners = {"rotate", "pause", "unpause", "transferOwnership", "acceptOwnership"}
    assert changing == {"execute", "cancel", "cancelAll"} | owners
    assert {entry.get("stateMutability") for entry in load("Escrow").abi} <= {None, "view", "nonpayable"}


# --- Time --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["pyevm-1", "pyevm-1000", "anvil-1", "anvil-1000"])
def clock(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Both engines with both units of block.timestamp."""
    name, unit = request.param.split("-")
    engine = started(name, int(unit))
    yield Stage(World(engine))
    engine.close()


def test_all_signed_times_are_milliseconds_whatever_the_chain_counts(clock: Stage) -> None:
    plan, now = clock.plan(), clock.world.now_ms
    assert clock.world.read(clock.escrow, "msPerTick") == clock.world.engine.genesis.ms_per_tick
    assert clock.facts(plan)["nowMs"] == now
    reasons = [
        clock.tried(altered.signed())
        for altered in (
            plan.altered(deadline=now),
            plan.altered(deadline=now - 1),
            with_mandate(plan, "seller", expiry=now + 1),
            with_mandate(plan, "seller", expiry=now),
            with_mandate(plan, "buyer", expiry=now),
            with_mandate(plan, "seller", not_before=now),
            with_mandate(plan, "seller", not_before=now + 1),
            with_mandate(plan, "buyer", not_before=now + 1),
            plan.altered(deadline=now // 1000),  # seconds by mistake
        )
    ]
    assert reasons == [
        None,
        "deadline_passed",
        None,
        "seller_mandate_invalid:mandate_expired",
        "buyer_mandate_invalid:mandate_expired",
        None,
        "seller_mandate_invalid:mandate_not_started",
        "buyer_mandate_invalid:mandate_not_started",
        "deadline_passed",
    ]


def test_a_deal_ends_with_its_deadline(clock: Stage) -> None:
    plan = clock.plan()
    deadline = clock.world.now_ms + 5_000
    execution = plan.altered(deadline=deadline).signed()
    clock.world.mine(deadline)
    assert clock.tried(execution) is None
    clock.world.mine(deadline + 1_000)
    assert clock.tried(execution) == "deadline_passed"


def test_an_escrow_knows_only_two_units_of_time(world: World) -> None:
    data = bytes.fromhex(load("Escrow").initcode) + abi.constructor_data(load("Escrow").abi, 60, VERIFIERS)
    sent = world.send(DEPLOYER_KEY, None, data)
    world.mine()
    assert not world.receipt(sent).succeeded


def test_money_is_six_decimals(stage: Stage) -> None:
    assert 10 ** stage.world.read(stage.usdc, "decimals") == USDC
