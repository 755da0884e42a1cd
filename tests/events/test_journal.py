"""The single writer's three guards, and the loop that decides again after a conflict."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agentrooms.domain import user
from agentrooms.domain.deal import DealFailed, FailReason
from agentrooms.domain.event import Event
from agentrooms.domain.posting import lock
from agentrooms.domain.room import CloseReason, RoomClosed
from agentrooms.domain.user import UserRegistered, WalletBudgeted
from agentrooms.errors import Rejection
from agentrooms.events import transact as transact_
from agentrooms.events.journal import Entry, Head, Journal, fence, locks_of, once
from agentrooms.events.record import GENESIS, PLATFORM, decode_line
from agentrooms.events.store import Conflict, EventStore, QueryItem
from agentrooms.events.tags import wallet_tag
from agentrooms.events.transact import ATTEMPTS_MAX, Contended, transact
from tests.domain import samples
from tests.domain.samples import TERMS, USDC
from tests.events.stores import ADAPTERS

WALLET = TERMS.buyer_wallet


@pytest.fixture(params=ADAPTERS)
def store(request: pytest.FixtureRequest, stores: None) -> EventStore:
    return ADAPTERS[request.param]()


def budget(amount: int) -> WalletBudgeted:
    return WalletBudgeted(WALLET, amount)


def append(journal: Journal, *events: Event, cmd: str) -> list[bytes] | Conflict:
    return journal.append([Entry(event) for event in events], at_ms=7, cmd=cmd)


def test_a_journal_numbers_links_and_tags_what_it_appends(store: EventStore) -> None:
    """Two events of one command, then one more: a dense, linked chain, found again by a second journal."""
    journal = Journal(store)
    lines = append(journal, budget(1), budget(2), cmd="a")
    assert isinstance(lines, list)
    more = append(journal, budget(3), cmd="b")
    assert isinstance(more, list)
    read = [decode_line(line) for line in (*lines, *more)]
    assert [(r.seq, r.prev, r.at_ms, r.cmd) for r in read] == [
        (1, GENESIS, 7, "a"),
        (2, read[0].hash, 7, "a"),
        (3, read[1].hash, 7, "b"),
    ]
    assert {r.tags for r in read} == {(PLATFORM, wallet_tag(WALLET))}
    other = Journal(store)
    assert (other.load(), other.head) == (read, Head(3, read[2].hash))
    assert other.load() == []
    assert journal.head == other.head


def test_the_fence_stops_a_second_writer_until_it_has_loaded(store: EventStore) -> None:
    """Whoever has not seen the last event of the chain appends nothing to it."""
    first, second = Journal(store, "room_1"), Journal(store, "room_1")
    first.load()
    second.load()
    assert isinstance(append(first, RoomClosed(CloseReason.REQUESTED, 1), cmd="a"), list)
    before = second.head
    assert isinstance(append(second, RoomClosed(CloseReason.REQUESTED, 1), cmd="b"), Conflict)
    assert second.head == before
    assert [r.cmd for r in second.load()] == ["a"]
    assert isinstance(append(second, RoomClosed(CloseReason.REQUESTED, 1), cmd="b"), list)
    assert [r.seq for r in Journal(store, "room_1").load()] == [1, 2]


def test_chains_do_not_disturb_each_other(store: EventStore) -> None:
    """Another room's events are no conflict, and each chain counts for itself."""
    rooms = [Journal(store, name) for name in ("room_1", "room_2")]
    for round_ in range(3):
        for room in rooms:
            assert isinstance(
                append(room, RoomClosed(CloseReason.REQUESTED, round_), cmd=f"{room.chain}:{round_}"), list
            )
    assert [[r.seq for r in Journal(store, room.chain).load()] for room in rooms] == [[1, 2, 3]] * 2


def test_a_command_has_one_effect(store: EventStore) -> None:
    """Whoever missed it, in whichever chain, cannot do it again."""
    first, second = Journal(store, "room_1"), Journal(store, "room_2")
    second.load()
    append(first, RoomClosed(CloseReason.REQUESTED, 1), cmd="pay")
    assert isinstance(append(second, RoomClosed(CloseReason.REQUESTED, 1), cmd="pay"), Conflict)
    assert (first.is_done("pay"), second.is_done("pay"), second.is_done("pay:2")) == (True, True, False)


def test_an_entry_may_name_a_command_of_its_own(store: EventStore) -> None:
    """Its id stands in that line and finds that event; another chain cannot have its effect again."""
    first, second = Journal(store, "room_1"), Journal(store, "room_2")
    second.load()
    closed = RoomClosed(CloseReason.REQUESTED, 1)
    entries = [Entry(closed), Entry(closed, None, "p1"), Entry(closed, None, "p1"), Entry(closed, None, "p2")]
    lines = first.append(entries, at_ms=1, cmd="round:1")
    assert isinstance(lines, list)
    room = "room:room_1"
    named = ("command:p1", room)
    assert [decode_line(line).tags for line in lines] == [(room,), named, named, ("command:p2", room)]
    assert [p.event.tags[-1] for p in store.read()] == ["cmd:round:1", "cmd:p1", "cmd:p1", "cmd:p2"]
    assert [first.is_done(cmd) for cmd in ("round:1", "p1", "p2", "p3")] == [True, True, True, False]
    again = [Entry(closed), Entry(closed, None, "p2")]
    assert isinstance(second.append(again, at_ms=1, cmd="round:2"), Conflict)
    assert isinstance(second.append(again[:1], at_ms=1, cmd="round:2"), list)


def test_a_lock_conflicts_with_another_lock_of_its_item_or_wallet(store: EventStore) -> None:
    """The first lock wins; the loser's conflict says how to see it. An unrelated deal is none."""
    rooms = [Journal(store, f"room_{n}") for n in range(4)]
    other_item = samples.seller_mandate("other", item=samples.item(2))
    other_buyer = samples.buyer_mandate("other_buyer")
    deals = [
        samples.terms_of(),
        samples.terms_of(buyer=other_buyer, room="room_1"),
        samples.terms_of(seller=other_item, room="room_2"),
        samples.terms_of(buyer=other_buyer, seller=other_item, room="room_3"),
    ]
    for room in rooms:
        room.load()
    outcomes = [
        room.append([Entry(lock(terms, 1), terms)], at_ms=1, cmd=f"lock:{terms.deal}", unless=locks_of(terms))
        for room, terms in zip(rooms, deals, strict=True)
    ]
    assert [isinstance(outcome, Conflict) for outcome in outcomes] == [False, True, True, False]
    assert isinstance(outcomes[1], Conflict)
    seen = [decode_line(p.event.data).event for p in store.read(outcomes[1].query, after=outcomes[1].after)]
    assert lock(deals[0], 1) in seen


def test_the_end_of_a_deal_and_a_new_budget_are_seen_by_the_next_lock(store: EventStore) -> None:
    """All that a lock's decision rests on stands in its query."""
    room, platform = Journal(store, "room_1"), Journal(store)
    append(platform, budget(100 * USDC), cmd="budget")
    failed = DealFailed((), TERMS.deal, "", FailReason.EXPIRED, 2)
    room.load()
    room.append([Entry(lock(TERMS, 1), TERMS), Entry(failed, TERMS)], at_ms=1, cmd="round:1")
    assert room.read(locks_of(TERMS)) == [budget(100 * USDC), lock(TERMS, 1), failed]


def test_loading_moves_past_other_chains_events(store: EventStore) -> None:
    """What a writer has read past is no conflict, even though none of it was its own."""
    room, other = Journal(store, "room_1"), Journal(store, "room_2")
    room.load()
    append(other, RoomClosed(CloseReason.REQUESTED, 1), cmd="x")
    assert room.load() == []
    assert room.position == store.head()


# --- The transact loop ----------------------------------------------------------------------------------

QUERY = (QueryItem(tags=(wallet_tag(WALLET),)),)


def fold(events: Sequence[Event]) -> user.User:
    state = user.User()
    for event in events:
        assert isinstance(event, user.UserRegistered | user.WalletBudgeted)
        state = user.evolve(state, event)
    return state


def registered(store: EventStore) -> Journal:
    journal = Journal(store)
    events = transact(journal, QUERY, fold, lambda u: user.register(u, WALLET), at_ms=1, cmd="register")
    assert events == [UserRegistered(user.user_id(WALLET), WALLET)]
    return journal


def test_a_command_is_decided_and_appended(store: EventStore) -> None:
    """Then it is done: the same id again does nothing, nor does another id when it is true already."""
    journal = registered(store)
    for cmd in ("register", "register:again"):
        assert transact(journal, QUERY, fold, lambda u: user.register(u, WALLET), at_ms=1, cmd=cmd) == []
    assert len(store.read()) == 1


def test_a_command_done_before_is_not_decided_again(store: EventStore) -> None:
    """Although the state would let it happen a second time."""
    journal = registered(store)
    assert transact(journal, QUERY, fold, lambda u: user.set_budget(u, 5), at_ms=1, cmd="five") == [budget(5)]
    assert transact(journal, QUERY, fold, lambda u: user.set_budget(u, 9), at_ms=1, cmd="nine") == [budget(9)]
    assert transact(journal, QUERY, fold, lambda u: user.set_budget(u, 5), at_ms=1, cmd="five") == []
    assert fold([decode_line(p.event.data).event for p in store.read(QUERY)]).budget_usdc_micros == 9


def test_a_rejection_comes_through_and_appends_nothing(store: EventStore) -> None:
    """The decider's own words."""
    journal = registered(store)
    with pytest.raises(Rejection, match="not negative"):
        transact(journal, QUERY, fold, lambda u: user.set_budget(u, -1), at_ms=1, cmd="minus")
    assert len(store.read()) == 1


def test_after_a_conflict_the_command_is_decided_on_what_came_in_between(store: EventStore) -> None:
    """Another writer is faster twice; the third decision has seen both."""
    journal, rival = registered(store), Journal(store)
    seen: list[int] = []

    def double(state: user.User) -> Sequence[Event]:
        seen.append(state.budget_usdc_micros)
        if len(seen) <= 2:
            rival.load()
            append(rival, budget(10 * len(seen)), cmd=f"rival:{len(seen)}")
        return user.set_budget(state, state.budget_usdc_micros + 1)

    assert transact(journal, QUERY, fold, double, at_ms=1, cmd="double") == [budget(21)]
    assert seen == [0, 10, 20]


def test_a_command_that_always_loses_gives_up_after_the_bound(store: EventStore) -> None:
    """With nothing appended by it."""
    journal, rival = registered(store), Journal(store)
    lost: list[int] = []

    def lose(state: user.User) -> Sequence[Event]:
        lost.append(state.budget_usdc_micros)
        rival.load()
        append(rival, budget(len(lost)), cmd=f"rival:{len(lost)}")
        return user.set_budget(state, 1_000)

    with pytest.raises(Contended) as caught:
        transact(journal, QUERY, fold, lose, at_ms=1, cmd="lose")
    assert (len(lost), caught.value.hint) == (ATTEMPTS_MAX, "try again")
    assert not journal.is_done("lose")


def test_a_command_over_the_whole_log_conflicts_with_anything_new(store: EventStore) -> None:
    """The empty query means every event, in the condition as in the reading."""
    journal, other = registered(store), Journal(store, "room_1")
    counts: list[int] = []

    def decide(events: int) -> Sequence[Event]:
        counts.append(events)
        if len(counts) == 1:
            append(other, RoomClosed(CloseReason.REQUESTED, 1), cmd="in between")
        return [budget(events)]

    assert transact(journal, (), len, decide, at_ms=1, cmd="count") == [budget(2)]
    assert counts == [1, 2]


def test_the_guards_are_three_queries() -> None:
    """Named here, since `test_guards_bite.py` takes each out."""
    assert (fence("room_1"), once("c")) == ((QueryItem(("room:room_1",)),), (QueryItem(("cmd:c",)),))
    assert [item.tags for item in locks_of(TERMS)] == [
        (f"nft:{TERMS.collection}/1",),
        (f"wallet:{TERMS.buyer_wallet}",),
    ]
    assert transact_.ATTEMPTS_MAX > 1
