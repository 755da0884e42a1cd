"""The escrow agrees with a model written from its specification, over random histories of a market."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from tests.contracts.histories import History, Step, steps
from tests.contracts.stage import Stage
from tests.contracts.world import World

EXAMPLES = 10  # on each engine; tests/contracts/campaign.py plays thousands


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(history_steps=steps())
def test_contract_and_model_agree_after_every_step(world: World, history_steps: list[Step]) -> None:
    history = History(Stage(world))
    for step in history_steps:
        history.play(step)
