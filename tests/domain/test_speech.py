"""What people say in a room: how often, how long, and that it changes nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.domain import posting
from agentrooms.domain.canonical import normalise
from agentrooms.domain.folding import evolve, fold
from agentrooms.domain.posting import PERSONS_MAX, TEXT_CHARACTERS_MAX
from agentrooms.domain.record import MESSAGES_A_MINUTE, MINUTE_MS
from agentrooms.domain.room import CloseReason, PersonSpoke, Room, RoomClosed, RoomStatus
from agentrooms.domain.user import user_id
from agentrooms.errors import Rejection
from tests.domain import samples
from tests.domain.histories import Step, events_of, histories

ROOM = fold(Room(), [samples.opened()])
PEOPLE = [samples.wallet(f"p{n}") for n in range(3)]


def spoke(round_: int = 1, text: str = "Hello!", wallet: str = PEOPLE[0]) -> PersonSpoke:
    return PersonSpoke(round_, text, user_id(wallet), wallet)


@given(
    st.lists(st.tuples(st.integers(0, 8), st.sampled_from(PEOPLE)), max_size=120), st.sampled_from([500, 1_000, 7_000])
)
def test_no_minute_holds_more_of_one_user_than_allowed(said: list[tuple[int, str]], round_ms: int) -> None:
    """Whoever else speaks: a user is refused if and only if ten of the last minute are theirs; little is remembered."""
    room, round_ = replace(ROOM, round_ms=round_ms), 0
    taken: dict[str, list[int]] = {wallet: [] for wallet in PEOPLE}
    for gap, wallet in said:
        round_ += gap
        recent = [other for other in taken[wallet] if (round_ - other) * round_ms < MINUTE_MS]
        event = spoke(round_, wallet=wallet)
        if len(recent) >= MESSAGES_A_MINUTE:
            with pytest.raises(Rejection, match="10 messages a minute"):
                posting.speak(room, event)
            continue
        assert posting.speak(room, event) == [event]
        room = evolve(room, event)
        taken[wallet].append(round_)
    assert all(len(rounds) <= MESSAGES_A_MINUTE for rounds in room.persons.values())
    last = max((rounds[-1] for rounds in taken.values() if rounds), default=0)
    active = {user_id(w) for w, rounds in taken.items() if rounds and (last - rounds[-1]) * round_ms < MINUTE_MS}
    assert set(room.persons) == active


@given(st.text(max_size=400))
def test_a_text_is_taken_when_it_is_short_and_visible(text: str) -> None:
    normal = normalise(text)
    if normal == text and 0 < len(text) <= TEXT_CHARACTERS_MAX:
        assert posting.speak(ROOM, spoke(text=text)) == [spoke(text=text)]
    else:
        with pytest.raises(Rejection, match="1 to 280 visible characters"):
            posting.speak(ROOM, spoke(text=text))


def test_nobody_speaks_in_a_closed_room_or_as_somebody_else() -> None:
    closed = evolve(ROOM, RoomClosed(CloseReason.REQUESTED, 1))
    assert closed.status is RoomStatus.INACTIVE
    with pytest.raises(Rejection, match="closed"):
        posting.speak(closed, spoke())
    with pytest.raises(Rejection, match="is not the user of wallet"):
        posting.speak(ROOM, PersonSpoke(1, "Hello!", user_id(PEOPLE[1]), PEOPLE[0]))


def test_so_many_people_speak_at_once_and_no_more() -> None:
    """Those who have spoken go on; a newcomer waits until somebody has been silent for a minute."""
    room = replace(ROOM, persons={f"user_{n}": (1,) for n in range(PERSONS_MAX)})
    with pytest.raises(Rejection, match="1000 people speak"):
        posting.speak(room, spoke(1))
    assert posting.speak(room, spoke(1 + MINUTE_MS // room.round_ms))
    assert posting.speak(replace(room, persons={**room.persons, user_id(PEOPLE[0]): (1,)}), spoke(1))


@given(histories())
def test_what_people_say_changes_nothing_but_when_they_spoke(history: list[Step]) -> None:
    """A room without their words is the same room."""
    events = events_of(history)
    silent = fold(Room(), [event for event in events if not isinstance(event, PersonSpoke)])
    whole = fold(Room(), events)
    assert replace(whole, persons={}, round=0) == replace(silent, round=0)
