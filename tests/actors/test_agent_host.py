"""One agent's trouble, a lost mandate or a broken strategy, silences that agent and nobody else."""

from __future__ import annotations

from typing import ClassVar

import pytest

from agentrooms.actors.agent_host import AgentHost, dice_key
from agentrooms.actors.hosting import Hosting
from agentrooms.actors.messages import Decide, Reconfigure, Spawn
from agentrooms.domain import strategies
from agentrooms.domain.act import Act, Reason
from agentrooms.domain.agent import AgentReconfigured
from agentrooms.domain.event import Event
from agentrooms.domain.market import Situation
from agentrooms.domain.room import ActPosted
from agentrooms.domain.terms import ActKind, StrategyName, Style
from agentrooms.domain.trader import OutsideMandate
from agentrooms.events.journal import Entry, Journal
from agentrooms.events.keyring import Keyring
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.vault import MemoryVault, put_mandate
from tests.actors.stage import MANDATES, Stage, accept, events, offer
from tests.domain import samples
from tests.domain.samples import KEY, USDC


def host(past: tuple[Event, ...], without: tuple[str, ...] = ()) -> AgentHost:
    """A host of all agents whose vault lacks some of their mandates."""
    vault = MemoryVault()
    for agent, mandate in MANDATES.items():
        if agent not in without:
            put_mandate(vault, mandate)
    return AgentHost("host:room_1:0", Hosting("room_1", 1), vault, KEY, journal_of(past), Keyring(vault, KEY))


def journal_of(past: tuple[Event, ...]) -> Journal:
    """A journal of a log that holds these events and no others."""
    journal = Journal(MemoryEventStore(), samples.ROOM)
    journal.append([Entry(event) for event in past], at_ms=0, cmd="past")
    return Journal(journal.store, samples.ROOM)


def past() -> tuple[Event, ...]:
    """The events of a room with five agents, who have yet to speak."""
    stage = Stage()
    return tuple(r.event for r in Journal(stage.store, samples.ROOM).load())


def speakers(of: AgentHost, rounds: range = range(3, 40)) -> set[str]:
    """Who would act in any of the rounds."""
    return {act.agent for round_ in rounds for act in of.decide(round_)}


def test_an_agent_without_its_mandate_does_not_act_and_the_others_do() -> None:
    """Neither at first nor after a rebuild; the host lives."""
    history = past()
    assert speakers(host(history)) == set(MANDATES)
    assert speakers(host(history, without=("agent_b0",))) == set(MANDATES) - {"agent_b0"}
    changed = AgentReconfigured(
        agent="agent_b1", mandate_hash="lost", round=3, strategy=StrategyName.PATIENT, style=Style.FORMAL
    )
    assert speakers(host((*history, changed))) == set(MANDATES) - {"agent_b1"}


class Broken:
    """A strategy that names a price above every mandate, none at all, or fails on the spot."""

    pace_rounds: ClassVar[int] = 1

    def __init__(self, price: int | None, *, fails: bool = False) -> None:
        self._price = price
        self._fails = fails

    def decide(self, s: Situation) -> Act | None:
        """Breaks what every strategy promises."""
        assert not self._fails, "a strategy's own invariant"
        return Act(agent=s.me.id, kind=ActKind.OFFER, reason=Reason("broken"), price_usdc_micros=self._price)


@pytest.mark.parametrize("broken", [Broken(10**6 * USDC), Broken(None), Broken(70 * USDC, fails=True)])
def test_a_broken_strategy_silences_its_own_agents_alone(broken: Broken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever trades by another one goes on."""
    history = past()
    sniper = AgentReconfigured(
        agent="agent_b0",
        mandate_hash=samples.spawned("agent_b0", MANDATES["agent_b0"]).mandate_hash,
        round=3,
        strategy=StrategyName.SNIPER,
        style=Style.FORMAL,
    )
    monkeypatch.setitem(strategies.STRATEGIES, StrategyName.SNIPER, broken)
    made = host((*history, sniper))
    assert speakers(made, range(4, 40)) == set(MANDATES) - {"agent_b0"}
    assert made.receive(Decide(40, len(history) + 1, ())) != []


@pytest.mark.parametrize("price", [None, 10**6 * USDC, 100 * USDC + 10_000])
def test_leaving_the_mandate_is_a_named_error(price: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Money is not guarded by an assertion, and the error names no limit."""
    from agentrooms.domain import trader
    from agentrooms.domain.folding import fold
    from agentrooms.domain.market import Market
    from agentrooms.domain.room import Room

    room = fold(Room(), past())
    monkeypatch.setitem(strategies.STRATEGIES, StrategyName.PATIENT, Broken(price))
    me = room.agents["agent_b0"]
    with pytest.raises(OutsideMandate) as caught:
        trader.decide(Market(room), me, MANDATES["agent_b0"].mandate, 30, dice_key(KEY, me.id))
    assert not {"100", "50"} & set(str(caught.value).split())


def test_an_act_whose_mandate_is_lost_is_dropped_and_the_round_goes_on() -> None:
    """Also when it is the other party's."""
    stage = Stage()
    stage.play(offer("agent_s1", 90), offer("agent_b2", 60))
    stage.actor = stage.make()
    keys = {a: samples.spawned(a, m).mandate_hash for a, m in MANDATES.items()}
    for lost in ("agent_b0", "agent_s1"):
        del stage.vault._secrets[keys[lost]]
    done = events(stage.play(offer("agent_b0", 70), accept("agent_b1", "agent_s1", 2, 90), offer("agent_s2", 95)))
    assert [e.agent for e in done if isinstance(e, ActPosted)] == ["agent_s2"]


def test_a_mandate_lost_before_a_command_is_a_refusal() -> None:
    """Of that command alone."""
    stage = Stage()
    stage.tell(Reconfigure("agent_b0", mandate_hash="lost"))
    mandate = samples.buyer_mandate("b9")
    put_mandate(stage.vault, mandate)
    stage.tell(Spawn(samples.spawned("agent_b9", mandate)))
    assert len(events(stage.play())) == 1
