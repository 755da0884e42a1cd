"""Whole runs: hosts, silent verifiers, empty wallets and crashes after an append."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import pytest

from agentrooms.actors.messages import Acts, Decide, Message
from agentrooms.actors.runtime import Actor, Send
from agentrooms.domain import locks
from agentrooms.domain.agent import AgentLeft
from agentrooms.domain.deal import DealCertified, DealCompleted, DealFailed, DealLocked, FailReason
from agentrooms.domain.folding import PAIR_REST_ROUNDS, fold
from agentrooms.domain.room import Room
from agentrooms.domain.terms import LeaveReason
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.store import Condition, Conflict, StoredEvent
from agentrooms.sim.engine import Engine
from tests.domain import runs
from tests.events import oracle

BALANCED = runs.settings("balanced_market", 7)


@pytest.mark.parametrize("name", runs.RUNS)
def test_the_log_of_a_run_is_sound(name: str) -> None:
    """By the judge that knows only stored lines."""
    oracle.check(runs.lines(*runs.RUNS[name]))


@pytest.mark.parametrize("hosts", [2, 4, 7])
@pytest.mark.parametrize("name", runs.RUNS)
def test_the_number_of_hosts_changes_no_byte(name: str, hosts: int) -> None:
    """Where agents live is not in the log."""
    run, silent = runs.RUNS[name]
    assert runs.lines(run, silent, hosts) == runs.lines(run, silent)


class Twisted:
    """A host whose answers come late and in another order."""

    def __init__(self, host: Actor, delay_ms: int, twist: Callable[[tuple[object, ...]], Sequence[object]]) -> None:
        self.host = host
        self.delay_ms = delay_ms
        self.twist = twist

    def receive(self, message: Message) -> list[Send]:
        assert isinstance(message, Decide)
        (send,) = self.host.receive(message)
        assert isinstance(send.message, Acts)
        said = send.message
        acts, accepted = tuple(self.twist(said.acts)), tuple(self.twist(said.accepted))
        twisted = Acts(said.round, said.host, acts, accepted)  # type: ignore[arg-type]
        return [Send(send.to, twisted, self.delay_ms)]


@pytest.mark.parametrize("delays", [(9, 5, 0), (0, 700, 20)])
def test_the_order_in_which_hosts_and_their_acts_arrive_changes_no_byte(delays: tuple[int, ...]) -> None:
    """Reversed, rotated and delayed by different times."""
    made = runs.engine(BALANCED, hosts=3)
    twists: list[Callable[[tuple[object, ...]], Sequence[object]]] = [
        lambda acts: acts[::-1],
        lambda acts: (*acts[1:], *acts[:1]),
        lambda acts: sorted(acts, key=repr),
    ]
    for number, (delay, twist) in enumerate(zip(delays, twists, strict=True)):
        address = f"host:{made.room_id}:{number}"
        host = made.genesis.room_plan().make(address, made._parts)
        made.runtime.place(address, partial(Twisted, host, delay, twist))
    made.run()
    assert runs.log_of(made) == runs.lines(BALANCED)


def test_two_silent_verifiers_hold_nothing_up() -> None:
    """Every deal completes with the five votes there are, in the same rounds as with seven."""
    with_seven, with_five = runs.room_events(BALANCED), runs.room_events(BALANCED, 2)
    certified = [e for e in with_five if isinstance(e, DealCertified)]
    assert certified
    assert {tuple(v.verifier for v in e.votes) for e in certified} == {tuple(f"verifier_{n}" for n in range(3, 8))}
    ends = [[(e.deal, e.round) for e in log if isinstance(e, DealCompleted)] for log in (with_seven, with_five)]
    assert ends[0] == ends[1]
    assert len(ends[0]) == len(certified)


def test_three_silent_verifiers_let_deals_expire_by_the_chains_time_only() -> None:
    """No certificate, no fault, no lock left; and no deal fails before its deadline has passed."""
    events = runs.room_events(BALANCED, 3)
    room = fold(Room(), events)
    locked = {e.terms.deal: e for e in events if isinstance(e, DealLocked)}
    failed = [e for e in events if isinstance(e, DealFailed)]
    assert locked
    assert [e for e in events if isinstance(e, DealCertified | DealCompleted)] == []
    assert sorted(e.deal for e in failed) == sorted(locked)
    assert {(e.reason, e.detail, e.at_fault) for e in failed} == {(FailReason.EXPIRED, "deadline_passed_unused", ())}
    for event in failed:
        deadline = locked[event.deal].terms.deadline_ms
        assert room.at_ms(event.round - 1) <= deadline < room.at_ms(event.round)
    assert locks.fold(events).live == {}
    assert LeaveReason.DEAL_FAULT not in {e.reason for e in events if isinstance(e, AgentLeft)}
    pairs = Counter((e.terms.buyer, e.terms.seller) for e in locked.values())
    ended = {e.deal: e.round for e in failed}
    for pair in pairs:
        rounds = sorted((e.round, ended[d]) for d, e in locked.items() if (e.terms.buyer, e.terms.seller) == pair)
        assert all(later[0] >= earlier[1] + PAIR_REST_ROUNDS for earlier, later in pairwise(rounds))


def test_a_buyer_without_money_is_at_fault_and_leaves_and_its_seller_trades_on() -> None:
    """Every deal is rejected by a certificate that says why; sellers stay until their own end."""
    events = runs.room_events(*runs.RUNS["underfunded"])
    failed = [e for e in events if isinstance(e, DealFailed)]
    terms = {e.terms.deal: e.terms for e in events if isinstance(e, DealLocked)}
    left = {e.agent: (e.reason, e.round) for e in events if isinstance(e, AgentLeft)}
    assert failed
    assert [e for e in events if isinstance(e, DealCompleted)] == []
    for event in failed:
        buyer, seller = terms[event.deal].buyer, terms[event.deal].seller
        assert (event.reason, event.detail, event.at_fault) == (FailReason.REJECTED, "balance_too_low", (buyer,))
        assert left[buyer] == (LeaveReason.DEAL_FAULT, event.round)
        assert left[seller][0] is not LeaveReason.DEAL_FAULT
        assert left[seller][1] > event.round
    again = Counter(t.seller for t in terms.values())
    assert max(again.values()) > 1, "no seller of this run traded on"
    assert locks.fold(events).live == {}


class Died(Exception):
    """The process was killed."""


class Deadly(MemoryEventStore):
    """A store whose caller dies right after a chosen append was durable."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after
        self.appends = 0

    def append(self, events: Sequence[StoredEvent], condition: Condition) -> int | Conflict:
        outcome = super().append(events, condition)
        self.appends += 1
        if self.appends == self.after:
            raise Died
        return outcome


def test_a_room_killed_right_after_any_append_ends_in_the_same_bytes() -> None:
    """What was durable is done, what was not sent is sent again: one run for every append of a whole run."""
    run = runs.settings("small_test", 1)
    expected = runs.lines(run)
    counting = Deadly(0)
    Engine(run, store=counting).run()
    first = 3  # before that: genesis and the opening of the room
    for after in range(first, counting.appends):
        made = Engine(run, store=Deadly(after), hosts=2)
        deaths = 0
        while True:
            try:
                if not made.runtime.step():
                    break
            except Died:
                deaths += 1
                made.runtime.rebuild(f"room:{made.room_id}")
        made.finish()
        assert (deaths, runs.log_of(made)) == (1, expected), f"killed after append {after}"
