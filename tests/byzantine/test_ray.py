"""The same as real processes: seven verifiers, each its own, two of which die again and again while deals run."""

from __future__ import annotations

import pytest

from agentrooms.actors.cells import Cell, create
from agentrooms.actors.messages import Committed
from agentrooms.actors.plans import verifier_address
from agentrooms.actors.service_cells import LogSpec
from agentrooms.chaos.faults import Fault, FaultyPlan
from agentrooms.consensus.certificate import check_certificate
from agentrooms.domain.deal import DealCertified, DealCompleted, DealLocked, VerifierAccused
from agentrooms.events.record import decode_line
from agentrooms.sim.ray_run import RayRun
from agentrooms.sim.settings import preset
from tests.domain import runs
from tests.ray.cluster import kill_process
from tests.ray.conftest import cluster  # noqa: F401 - the fixture

pytestmark = pytest.mark.xdist_group("ray")

SETTINGS = preset("small_test", 7)
REMEMBERING, FORGETFUL = "verifier_2", "verifier_5"


def completed(lines: tuple[bytes, ...]) -> list[DealCompleted]:
    events = (decode_line(line).event for line in lines)
    return [event for event in events if isinstance(event, DealCompleted)]


@pytest.mark.usefixtures("cluster")
def test_two_that_die_while_deals_run_change_no_deal() -> None:
    """By SIGKILL, at each round that has events; one comes back with its memory, the other without."""
    run = RayRun(SETTINGS, LogSpec(None, ""))
    killed = {REMEMBERING: 0, FORGETFUL: 0}

    def strike(_committed: Committed) -> None:
        for name in killed:
            killed[name] += kill_process(run.scope, verifier_address(name))

    try:
        run.start()
        plan = next(plan for plan in run.genesis.verifier_plans if plan.name == FORGETFUL)
        forgetful = FaultyPlan(Fault.FORGETFUL, plan)
        create(Cell, run.scope, verifier_address(FORGETFUL), run.scope, forgetful, run.genesis.site)
        run.run(strike)
        lines = tuple(found.event.data for found in run.store.read())
    finally:
        run.close()
    assert min(killed.values()) > 0
    events = [decode_line(line).event for line in lines]
    terms = {event.terms.deal: event.terms for event in events if isinstance(event, DealLocked)}
    certified = [event for event in events if isinstance(event, DealCertified)]
    assert len(certified) == len(terms) > 0
    for event in certified:
        assert check_certificate(event.votes, event.decision, terms[event.deal], run.genesis.verifiers) is None
    assert not any(isinstance(event, VerifierAccused) for event in events)
    assert completed(lines) == completed(runs.lines(SETTINGS))
