"""A room over random histories and real runs: folds, invariants, deciders that repeat without effect."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings

from agentrooms.domain import posting
from agentrooms.domain.act import Act, Reason
from agentrooms.domain.agent import AgentLeft
from agentrooms.domain.collection import Collection
from agentrooms.domain.deal import DealCompleted, DealFailed, DealLocked, DealState, FailReason
from agentrooms.domain.event import Event
from agentrooms.domain.folding import evolve, fold
from agentrooms.domain.market import Market
from agentrooms.domain.posting import ActRefused
from agentrooms.domain.record import MESSAGES_A_MINUTE, MINUTE_MS
from agentrooms.domain.room import ActPosted, Room, RoomStatus
from agentrooms.domain.terms import ActKind, AgentStatus, LeaveReason, Role
from agentrooms.errors import Rejection
from agentrooms.events.catalogue import BY_TYPE
from tests.domain import runs, samples
from tests.domain.histories import MANDATES, TICK, Step, clear_act, events_of, histories

# The PRD's words, section 6; `paused` is ours.
AGENT_WORDS = {"spawned", "active", "negotiating", "deal_locked", "completed", "left", "paused"}
DEAL_WORDS = {"locked", "verifying", "executing", "completed", "failed"}
FEW = settings(max_examples=max(10, settings().max_examples // 2))


def check_invariants(room: Room) -> None:
    """Asserts what holds of every room at every moment."""
    assert {room.quotes[q].agent: q for q in room.quotes} == room.quote_of
    for name, quote in room.quote_of.items():
        assert room.agents[name].may_act, "an agent that may not act has no quote"
        assert room.quotes[quote].side is room.agents[name].role
    check_leaders(room)
    check_deals(room)
    assert {a.status for a in room.agents.values()} <= AGENT_WORDS
    assert set(room.records) == set(room.agents)
    assert all(len(r.recent_rounds) <= MESSAGES_A_MINUTE for r in room.records.values())
    assert len(room.lines) <= 30
    assert all(0 < len(rounds) <= MESSAGES_A_MINUTE for rounds in room.persons.values())
    for agent in room.agents.values():
        assert agent.present == (agent.left_reason is None)
        assert agent.present or agent.status in {AgentStatus.LEFT, AgentStatus.COMPLETED}
    if room.status is RoomStatus.INACTIVE:
        assert not any(agent.present for agent in room.agents.values())


def check_leaders(room: Room) -> None:
    """Asserts that each side and grade with quotes has its best one as leader, and no other leaders exist."""
    best: dict[tuple[Role, str], list[int]] = {}
    for quote in room.quotes.values():
        best.setdefault((quote.side, quote.grade), []).append(quote.price_usdc_micros)
    expected = {place: min(p) if place[0] is Role.SELLER else max(p) for place, p in best.items()}
    assert {place: room.quotes[q].price_usdc_micros for place, q in room.leaders.items()} == expected
    assert all((room.quotes[q].side, room.quotes[q].grade) == place for place, q in room.leaders.items())
    asks = [q.price_usdc_micros for q in room.quotes.values() if q.side is Role.SELLER and q.grade == room.base_grade]
    bids = [
        q.price_usdc_micros for q in room.quotes.values() if q.side is Role.BUYER and q.grade in {"", room.base_grade}
    ]
    assert (room.floor, room.top_bid) == (min(asks, default=None), max(bids, default=None))


def check_deals(room: Room) -> None:
    """Asserts that live deals bind their parties and share nothing, and that ended ones say when."""
    live = room.live_deals()
    for deal in live:
        for party in (deal.terms.buyer, deal.terms.seller):
            assert (room.agents[party].status, room.agents[party].deal) == (AgentStatus.DEAL_LOCKED, deal.terms.deal)
    bound = [a for d in live for a in (d.terms.buyer, d.terms.seller)]
    assert len(set(bound)) == len(bound)
    assert sorted(bound) == sorted(a.id for a in room.agents.values() if a.status is AgentStatus.DEAL_LOCKED)
    assert {deal.state for deal in room.deals.values()} <= DEAL_WORDS
    for deal in room.deals.values():
        assert deal.live == (deal.ended_round is None)


def check_splits(events: Sequence[Event]) -> None:
    """Asserts that folding in two parts is folding at once, wherever the cut, and that no fold changes its input."""
    whole, first = fold(Room(), events), Room()
    for cut, event in enumerate(events):
        before = repr(first)
        assert fold(first, events[cut:]) == whole
        after = evolve(first, event)
        assert repr(first) == before, f"{type(event).__name__} changed the room it was applied to"
        first = after
    assert first == whole


def again(step: Step) -> list[Event]:
    """What the same command comes to right after it took effect; a spoken act is refused by its type.

    What a person says may be said again: of one message, the room knows the command.
    """
    if step.name == "speak":
        return []
    try:
        return list(step.decide(step.after))
    except ActRefused:
        assert step.events, "a command that had no effect is not refused now"
        assert isinstance(step.events[0], ActPosted)
        return []


@given(histories())
def test_a_command_repeated_changes_nothing(history: list[Step]) -> None:
    """Every decider is idempotent: its own effect makes the command already true."""
    assert [(step.name, again(step)) for step in history if step.refused is None] == [
        (step.name, []) for step in history if step.refused is None
    ]


@given(histories())
def test_a_decider_returns_known_events_or_a_typed_rejection(history: list[Step]) -> None:
    """Nonsense is refused by type and reason; what is decided is in the catalogue and breaks no invariant."""
    for step in history:
        assert all(type(event) in BY_TYPE for event in step.events)
        assert step.refused is None or str(step.refused) != ""
        check_invariants(step.after)


@FEW
@given(histories())
def test_random_histories_fold_in_parts_as_at_once(history: list[Step]) -> None:
    """Where a snapshot is taken makes no difference."""
    check_splits(events_of(history))


@pytest.mark.parametrize("name", runs.RUNS)
def test_real_runs_fold_in_parts_as_at_once(name: str) -> None:
    """The same of every event of whole runs."""
    check_splits(runs.room_events(*runs.RUNS[name]))


@pytest.mark.parametrize("name", runs.RUNS)
def test_the_invariants_hold_after_every_event_of_real_runs(name: str) -> None:
    """Between two events of one round they hold as well, but for a party between its deal's end and its leaving."""
    room = Room()
    for event in runs.room_events(*runs.RUNS[name]):
        room = evolve(room, event)
        check_leaders(room)
        check_deals(room)
    check_invariants(room)


@given(histories())
def test_every_lock_ends_at_most_once(history: list[Step]) -> None:
    """After its end a deal has no further event."""
    ended: list[str] = []
    for event in events_of(history):
        assert getattr(event, "deal", None) not in ended
        if isinstance(event, DealCompleted | DealFailed):
            ended.append(event.deal)


@pytest.mark.parametrize("name", runs.RUNS)
def test_every_lock_of_a_finished_run_ended_exactly_once(name: str) -> None:
    """A run leaves no deal behind."""
    events = runs.room_events(*runs.RUNS[name])
    locked = [e.terms.deal for e in events if isinstance(e, DealLocked)]
    ended = [e.deal for e in events if isinstance(e, DealCompleted | DealFailed)]
    assert sorted(ended) == sorted(locked)
    assert len(set(locked)) == len(locked)


@given(histories())
def test_prices_of_deals_lie_within_both_mandates(history: list[Step]) -> None:
    """A lock's price is whole ticks, that of the accepted quote, and allowed by buyer and seller."""
    for step in history:
        for event in step.events:
            if isinstance(event, DealLocked):
                terms = event.terms
                buyer, seller = MANDATES[terms.buyer].mandate, MANDATES[terms.seller].mandate
                assert seller.reservation_usdc_micros <= terms.price_usdc_micros <= buyer.reservation_usdc_micros
                assert terms.price_usdc_micros % TICK == 0
                assert step.before.quotes[terms.quote].price_usdc_micros == terms.price_usdc_micros
                assert buyer.wants is not None
                assert buyer.wants.covers(terms.item)


@given(histories())
def test_the_market_lists_quotes_best_first(history: list[Step]) -> None:
    """Agents see the room's quotes, each once, asks upwards and bids downwards."""
    room = fold(Room(), events_of(history))
    market = Market(room)
    asks, bids = ([q.price_usdc_micros for q in side] for side in (market.asks, market.bids))
    assert (asks, bids) == (sorted(asks), sorted(bids, reverse=True))
    assert sorted(q.id for q in [*market.asks, *market.bids]) == sorted(room.quotes)


# --- One act at a time ----------------------------------------------------------------------------------


def trading_room() -> Room:
    """A room in which a seller has asked 90 USDC and a buyer has not yet spoken."""
    room = fold(Room(), [samples.opened()])
    for name in ("agent_b0", "agent_b1", "agent_s0"):
        room = fold(room, posting.spawn(room, samples.spawned(name, MANDATES[name])))
    return fold(room, clear_act(room, ASK, 2))


ASK = Act(
    agent="agent_s0", kind=ActKind.OFFER, reason=Reason("test"), price_usdc_micros=90 * samples.USDC, token_id="1"
)
BID = Act(agent="agent_b0", kind=ActKind.OFFER, reason=Reason("test"), price_usdc_micros=70 * samples.USDC)
TAKE = Act(
    agent="agent_b0",
    kind=ActKind.ACCEPT,
    reason=Reason("test"),
    price_usdc_micros=90 * samples.USDC,
    refers_to=posting.quote_id("agent_s0", 2),
    to="agent_s0",
    token_id="1",
)

ASKED = posting.quote_id("agent_s0", 2)
ANSWERING: dict[str, object] = {"refers_to": ASKED, "to": "agent_s0"}
BARE: dict[str, object] = {"price_usdc_micros": None}
REFUSED: dict[str, dict[str, object]] = {
    "nobody": {"agent": "agent_x"},
    "no_price": {"price_usdc_micros": None},
    "half_a_tick": {"price_usdc_micros": 70 * samples.USDC + TICK // 2},
    "negative": {"price_usdc_micros": -TICK},
    "zero": {"price_usdc_micros": 0},
    "above_limit": {"price_usdc_micros": 101 * samples.USDC},
    "unknown_item": {"token_id": "99"},
    "to_nobody": {"to": "agent_x"},
    "to_itself": {"to": "agent_b0"},
    "counter_to_nothing": {**ANSWERING, "kind": ActKind.COUNTER, "refers_to": "quote_none"},
    "counter_to_none": {"kind": ActKind.COUNTER},
    "accept_of_nothing": {**ANSWERING, "kind": ActKind.ACCEPT, "refers_to": "quote_none", "token_id": "1"},
    "reject_of_nothing": {**ANSWERING, **BARE, "kind": ActKind.REJECT, "refers_to": "quote_none"},
    "nothing_to_withdraw": {**BARE, "kind": ActKind.WITHDRAW},
    "leave_addressed_to_nobody": {**BARE, "kind": ActKind.LEAVE, "to": "agent_x"},
    "an_offer_that_answers": {"refers_to": ASKED},
    "an_offer_to_somebody": {"to": "agent_s0"},
    "a_comment_with_a_price": {"kind": ActKind.COMMENT},
    "a_comment_that_answers": {**BARE, "kind": ActKind.COMMENT, "refers_to": ASKED},
    "a_comment_on_an_item": {**BARE, "kind": ActKind.COMMENT, "token_id": "1"},
    "a_reject_with_a_price_of_zero": {**ANSWERING, "kind": ActKind.REJECT, "price_usdc_micros": 0},
    "a_reject_with_an_item": {**ANSWERING, **BARE, "kind": ActKind.REJECT, "token_id": "1"},
    "a_reject_to_nobody": {**BARE, "kind": ActKind.REJECT, "refers_to": ASKED},
    "a_reject_to_another": {**ANSWERING, **BARE, "kind": ActKind.REJECT, "to": "agent_b1"},
    "a_counter_to_another": {**ANSWERING, "kind": ActKind.COUNTER, "to": "agent_b1"},
    "a_counter_without_a_price": {**ANSWERING, **BARE, "kind": ActKind.COUNTER},
    "a_withdrawal_with_a_price": {"kind": ActKind.WITHDRAW, "refers_to": ASKED},
    "a_withdrawal_of_anothers_quote": {**BARE, "kind": ActKind.WITHDRAW, "refers_to": ASKED},
    "a_leave_with_a_price": {"kind": ActKind.LEAVE},
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_act_that_does_not_hold_is_refused(name: str) -> None:
    """Each guard alone refuses."""
    room = trading_room()
    assert len(clear_act(room, BID, 3)) == 1
    with pytest.raises(ActRefused):
        clear_act(room, msgspec.structs.replace(BID, **REFUSED[name]), 3)


@pytest.mark.parametrize("kind", ActKind)
def test_each_kind_of_act_holds_with_its_own_fields(kind: ActKind) -> None:
    """So it is the one wrong field that is refused above."""
    room = fold(trading_room(), clear_act(trading_room(), BID, 3))
    own = posting.quote_id("agent_b0", 3)
    fields: dict[ActKind, dict[str, object]] = {
        ActKind.OFFER: {},
        ActKind.COUNTER: ANSWERING,
        ActKind.ACCEPT: {**ANSWERING, "price_usdc_micros": 90 * samples.USDC, "token_id": "1"},
        ActKind.REJECT: {**ANSWERING, **BARE},
        ActKind.COMMENT: {**BARE, "to": "agent_s0"},
        ActKind.WITHDRAW: {**BARE, "refers_to": own},
        ActKind.LEAVE: BARE,
    }
    posted = clear_act(room, msgspec.structs.replace(BID, kind=kind, **fields[kind]), 4)[0]
    assert isinstance(posted, ActPosted)
    assert posted.act is kind


def test_a_leave_is_the_one_act_of_its_round() -> None:
    """Who has spoken in a round leaves in a later one."""
    room = fold(trading_room(), clear_act(trading_room(), BID, 3))
    leave = msgspec.structs.replace(BID, kind=ActKind.LEAVE, price_usdc_micros=None)
    with pytest.raises(ActRefused, match="has acted in round 3"):
        clear_act(room, leave, 3)
    assert len(clear_act(room, leave, 4)) == 2


def test_only_the_own_quote_is_withdrawn() -> None:
    """Having one of its own, an agent still cannot name another's."""
    room = fold(trading_room(), clear_act(trading_room(), BID, 3))
    act = msgspec.structs.replace(BID, kind=ActKind.WITHDRAW, price_usdc_micros=None, refers_to=ASKED)
    with pytest.raises(ActRefused, match=f"has no quote {ASKED}"):
        clear_act(room, act, 4)


def test_an_accept_locks_the_deal_at_the_quoted_price() -> None:
    """The lock names quote, price, item and both parties."""
    _posted, lock = clear_act(trading_room(), TAKE, 3)
    assert isinstance(lock, DealLocked)
    terms = lock.terms
    assert (terms.buyer, terms.seller, terms.item, terms.quote, terms.price_usdc_micros) == (
        "agent_b0",
        "agent_s0",
        samples.item(1),
        TAKE.refers_to,
        90 * samples.USDC,
    )
    assert terms.deadline_ms == samples.START_MS + 3 * samples.ROUND_MS + 50_000


@pytest.mark.parametrize(
    "changes",
    [
        {"price_usdc_micros": 89 * samples.USDC},
        {"agent": "agent_b1"},  # wants rare items only
        {"refers_to": posting.quote_id("agent_s0", 1)},
        {"token_id": "2"},
        {"token_id": None},
        {"to": "agent_b1"},
    ],
)
def test_an_accept_of_another_price_item_or_quote_is_refused(changes: dict[str, object]) -> None:
    """A number from text cannot become a price."""
    with pytest.raises(ActRefused):
        clear_act(trading_room(), msgspec.structs.replace(TAKE, **changes), 3)


def test_a_locked_agent_cannot_act_and_has_no_quote() -> None:
    """After the lock both are silent; the one quote of each is gone."""
    room = trading_room()
    room = fold(room, clear_act(room, BID, 3))
    room = fold(room, clear_act(room, TAKE, 4))
    assert (room.quotes, room.quote_of, room.leaders) == ({}, {}, {})
    for act in (BID, ASK, msgspec.structs.replace(BID, kind=ActKind.LEAVE, price_usdc_micros=None)):
        with pytest.raises(ActRefused):
            clear_act(room, act, 5)


def test_a_failed_pair_rests_and_the_one_at_fault_leaves() -> None:
    """The other trades on, but not with that pair's quotes for a while."""
    room = trading_room()
    room = fold(room, clear_act(room, TAKE, 3))
    (deal,) = room.deals
    failed = DealFailed((), deal, "", FailReason.EXPIRED, 4)
    room = fold(room, [failed, *posting.depart(evolve(room, failed), failed)])
    room = fold(room, clear_act(room, ASK, 5))
    quote = posting.quote_id("agent_s0", 5)
    with pytest.raises(ActRefused, match="is not for agent"):
        clear_act(room, msgspec.structs.replace(TAKE, refers_to=quote), 33)
    assert len(clear_act(room, msgspec.structs.replace(TAKE, refers_to=quote), 34)) == 2
    blamed = DealFailed(("agent_b0",), deal, "", FailReason.EXPIRED, 4)
    locked = fold(trading_room(), clear_act(trading_room(), TAKE, 3))
    gone = fold(locked, [blamed, *posting.depart(evolve(locked, blamed), blamed)])
    assert (gone.agents["agent_b0"].left_reason, gone.agents["agent_s0"].present) == (LeaveReason.DEAL_FAULT, True)


def test_an_agent_keeps_to_the_message_rate() -> None:
    """Ten messages in any minute of room time, then one more when the first is a minute old."""
    room, spoken = trading_room(), []
    comment = Act(agent="agent_b0", kind=ActKind.COMMENT, reason=Reason("test"))
    for round_ in range(3, 3 + 2 * MINUTE_MS // samples.ROUND_MS):
        try:
            room = fold(room, clear_act(room, comment, round_))
            spoken.append(round_)
        except ActRefused:
            pass
    assert spoken == [*range(3, 13), *range(63, 73)]


def test_a_mandate_is_for_one_agent_of_the_room() -> None:
    """Also when the first has left: its mandate may have had its fill."""
    room = trading_room()
    second = samples.spawned("agent_b7", MANDATES["agent_b0"])
    gone = fold(room, [AgentLeft("agent_b0", LeaveReason.USER_REMOVED, 3)])
    for held in (room, gone):
        with pytest.raises(Rejection, match="is that of agent agent_b0"):
            posting.spawn(held, second)
    assert posting.spawn(room, samples.spawned("agent_b7", samples.buyer_mandate("b0", counter=1))) != []


def test_a_state_word_beyond_the_list_would_be_noticed() -> None:
    """The words here are all the words there are."""
    assert {str(s) for s in AgentStatus} == AGENT_WORDS
    assert {str(s) for s in DealState} == DEAL_WORDS
    assert {str(s) for s in RoomStatus} == {"active", "inactive"}


@pytest.mark.parametrize(
    "collection",
    [
        Collection(),
        dataclasses.replace(samples.REGISTERED, active=False),
        dataclasses.replace(samples.REGISTERED, address="0x" + "9" * 40),
        dataclasses.replace(samples.REGISTERED, base_grade="rare"),
    ],
    ids=["unknown", "closed", "another", "other terms"],
)
def test_a_room_opens_on_an_active_collection_and_its_terms_only(collection: Collection) -> None:
    """Otherwise its floor would be of something nobody registered."""
    assert posting.open_room(Room(), samples.opened(), samples.REGISTERED) == [samples.opened()]
    with pytest.raises(Rejection, match="not an active collection"):
        posting.open_room(Room(), samples.opened(), collection)
