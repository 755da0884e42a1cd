"""How far a deal is: from settlement through Redis to whoever watches, and never back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.actors import progress_board
from agentrooms.actors.progress_board import ProgressBoard, Shown, progress_key
from agentrooms.cli.feed import Feed, waking
from agentrooms.cli.lines import Kind, progress_line, rich_line
from agentrooms.domain.deal import DealLocked, DealState
from agentrooms.domain.folding import fold
from agentrooms.domain.progress import Stage, at_percent, by_confirmations, by_votes, further, of_deal, of_state
from agentrooms.domain.room import Room
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.record import PLATFORM
from agentrooms.events.store import Condition, StoredEvent
from agentrooms.projections.redis_stats import progress_of
from agentrooms.services.redis import Redis, client
from tests.cli.test_up import frame
from tests.domain.runs import RUNS, recorded

ROOM, DEAL = "room_1", "deal_1"
SMALL = RUNS["small"]
GIVE_UP_S = 30.0


@pytest.fixture
def shown(redis_url: str) -> Iterator[redis.Redis]:
    """An empty Redis."""
    with closing(client(redis_url)) as connection:
        connection.flushall()
        yield connection


def written(connection: redis.Redis, wanted: dict[str, int], room: str = ROOM) -> None:
    """Waits until Redis shows just this of a room."""
    last = time.monotonic() + GIVE_UP_S
    while (found := progress_of(connection, room)) != wanted:
        assert time.monotonic() < last, (found, wanted)
        time.sleep(0.005)


# --- Numbers and stages -------------------------------------------------------------------------------------


def test_each_number_stands_for_its_stage_and_numbers_grow() -> None:
    steps = [
        of_state(DealState.LOCKED, decided=False, sent=False),
        *(by_votes(votes) for votes in range(8)),
        of_state(DealState.EXECUTING, decided=True, sent=False),
        *(by_confirmations(confirmations, 3) for confirmations in range(4)),
        of_state(DealState.COMPLETED, decided=True, sent=True),
    ]
    percents = [percent for _stage, percent in steps]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (5, 100)
    assert [at_percent(percent) for _stage, percent in steps] == [stage for stage, _percent in steps]
    assert list(dict.fromkeys(stage for stage, _percent in steps)) == list(Stage)
    assert by_confirmations(1, 1)[1] < 100  # only the log ends a deal


@given(st.lists(st.none() | st.integers(0, 99)), st.sampled_from(DealState))
def test_what_is_further_counts(told: list[int | None], state: DealState) -> None:
    known = of_state(state, decided=True, sent=True)
    seen = known
    for percent in told:
        again = further(seen, percent)
        assert again[1] >= seen[1]
        assert again == seen or again == (at_percent(again[1]), percent)
        seen = again


# --- Redis ---------------------------------------------------------------------------------------------------


def test_the_board_shows_the_newest_and_never_less(redis_url: str, shown: redis.Redis) -> None:
    board = ProgressBoard(redis_url)
    board.note(ROOM, {DEAL: 10, "deal_2": 25})
    written(shown, {DEAL: 10, "deal_2": 25})
    board.note(ROOM, {DEAL: 60})
    written(shown, {DEAL: 60, "deal_2": 25})
    board.note(ROOM, {DEAL: 10, "deal_3": 5})  # settlement was made anew
    written(shown, {DEAL: 60, "deal_2": 25, "deal_3": 5})
    assert 0 < shown.ttl(progress_key(ROOM)) <= progress_board.LIVES_S
    board.note(ROOM, {DEAL: None, "deal_3": None})
    written(shown, {"deal_2": 25})
    assert progress_of(shown, "room_2") == {}


def test_each_step_goes_out_on_the_rooms_channel(redis_url: str, shown: redis.Redis) -> None:
    with closing(shown.pubsub()) as heard:  # type: ignore[no-untyped-call]
        heard.subscribe(progress_key(ROOM))
        assert heard.get_message(timeout=GIVE_UP_S)["type"] == "subscribe"
        ProgressBoard(redis_url).note(ROOM, {DEAL: 80})
        message = heard.get_message(timeout=GIVE_UP_S)
    assert msgspec.json.decode(message["data"], type=Shown) == Shown(DEAL, Stage.CONFIRMATION, 80)


def test_without_redis_steps_are_dropped_and_few_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_board, "RETRY_S", 0.001)
    server = Redis(tmp_path)
    url = server.start()
    board = ProgressBoard(url, waiting_max=2)
    server.stop()
    board.note(ROOM, {f"deal_{n}": 10 for n in range(5)})
    assert board.dropped >= 3
    last = time.monotonic() + GIVE_UP_S
    while board.dropped < 5:
        assert time.monotonic() < last
        time.sleep(0.005)
    server.start()
    with closing(client(url)) as connection:
        board.note(ROOM, {DEAL: 42})
        written(connection, {DEAL: 42})
    server.stop()


# --- Who watches ---------------------------------------------------------------------------------------------


def stored(upto: int | None = None) -> list[StoredEvent]:
    """The first events of a run, as stored."""
    return [StoredEvent(r.type, r.line, r.tags) for r in recorded(*SMALL)][:upto]


def locked_at() -> tuple[int, DealLocked, str]:
    """How many events there are with the first lock, the lock itself, and its room."""
    found = next((n, r) for n, r in enumerate(recorded(*SMALL), start=1) if isinstance(r.event, DealLocked))
    assert isinstance(found[1].event, DealLocked)
    return found[0], found[1].event, found[1].chain


def test_who_watches_sees_each_stage_once_and_no_number_fall() -> None:
    count, lock, chain = locked_at()
    store = MemoryEventStore()
    store.append(stored(count), Condition((), 0))
    feed, deal = Feed(store, chain), lock.terms.deal
    assert feed.hear({}) == []
    feed.read()
    assert feed.hear({}) == []  # the lock is a line of its own
    told = [{}, {deal: 10}, {deal: 42}, {deal: 10}, {}, {deal: 54}, {deal: 75}, {deal: 60}, {deal: 80}]
    said = [line.text for percents in told for line in feed.hear(percents)]
    item = lock.terms.item.name
    assert said == [
        f"… {item}: consensus, 42 %",
        f"… {item}: execution, 75 %",
        f"… {item}: confirmation, 80 %",
    ]
    assert feed.scene("seed 1").percents == {deal: 80}
    assert "80%" in "\n".join(frame(feed.scene("seed 1"), 80, 24))
    assert "confirmation 80%" in "\n".join(frame(feed.scene("seed 1"), 120, 40))
    store.append(stored()[count:], Condition((), count))
    feed.read()
    assert feed.hear({deal: 99}) == []
    assert feed.scene("seed 1").percents == {}  # it is over


def test_a_watcher_is_woken_by_progress_and_does_without_redis(redis_url: str, shown: redis.Redis) -> None:
    with waking(redis_url, ROOM) as wake:
        assert wake.progress() == {}
        ProgressBoard(redis_url).note(ROOM, {DEAL: 25})
        written(shown, {DEAL: 25})
        assert wake.progress() == {DEAL: 25}
    with waking("unix:///nowhere/redis.sock", ROOM) as wake:
        assert wake.progress() == {}


def test_progress_lines_are_of_no_round() -> None:
    events = [r.event for r in recorded(*SMALL) if r.chain != PLATFORM]
    room = fold(Room(), events)
    deal = next(iter(room.deals.values()))
    line = progress_line(deal, *of_deal(deal))
    assert line.kind is Kind.PROGRESS
    assert rich_line(line, rounds=True).plain == f"      … {deal.terms.item.name}: confirmation, 100 %"
