"""Attacks on a deal: each alteration of a valid one is refused with its reason, by the view and by the execution."""

from __future__ import annotations

import pytest

from agentrooms.chain.contracts.reasons import REASONS
from agentrooms.chain.devnet.engine import DEPLOYER_KEY
from tests.contracts import attacks_on_limits, attacks_on_signatures
from tests.contracts.attacking import ATTACKS, Attack
from tests.contracts.stage import Stage

TABLES = (attacks_on_signatures, attacks_on_limits)  # importing them fills the table


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_refused_with_its_reason(stage: Stage, attack: Attack) -> None:
    plan = stage.valid_plan() if attack.sends else stage.standing_plan()
    altered = attack.alter(stage, plan)
    assert (stage.check(altered), stage.tried(altered)) == (attack.reason, attack.reason)


def test_the_table_holds_every_reason_that_a_view_can_give() -> None:
    elsewhere = {"paused", "payment_failed", "payment_not_exact", "item_not_delivered"}
    assert {attack.reason for attack in ATTACKS} == set(REASONS.values()) - elsewhere


def test_after_all_attacks_the_deal_they_altered_is_still_good(stage: Stage) -> None:
    assert stage.tried(stage.standing_plan().signed()) is None


def test_a_refused_execution_consumes_nothing(stage: Stage) -> None:
    plan = stage.valid_plan()
    before = stage.holdings(plan)
    for attack in ATTACKS:
        if attack.sends or attack.name.split(":")[0] in {"deal_altered", "mandate_altered", "mandate_forged"}:
            continue
        data = attack.alter(stage, plan).values()
        stage.world.queue(DEPLOYER_KEY, stage.escrow, "execute", *data, gas=600_000)
        if len(stage.world.engine.pooled()) == 16:
            stage.world.mine()
    stage.world.mine()
    assert stage.holdings(plan) == before
    assert stage.execute(plan.signed()).succeeded
