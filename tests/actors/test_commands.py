"""A command with an id has one effect, however often and wherever it is sent; a refusal tells no limit."""

from __future__ import annotations

import re

import msgspec
import pytest

from agentrooms.actors.messages import (
    Close,
    Command,
    Done,
    Pause,
    Reconfigure,
    Refused,
    Remove,
    Resume,
    Scheduled,
    Spawn,
    Speak,
)
from agentrooms.domain.agent import AgentLeft, AgentPaused, AgentReconfigured, AgentResumed, AgentSpawned
from agentrooms.domain.event import Event
from agentrooms.domain.room import PersonSpoke, RoomClosed
from agentrooms.domain.terms import StrategyName
from agentrooms.domain.user import user_id
from agentrooms.events.journal import Journal
from agentrooms.events.record import decode_line
from agentrooms.events.tags import tags_of
from agentrooms.events.vault import put_mandate
from tests.actors.stage import MANDATES, Stage, accept, events, offer, refusals, sent
from tests.domain import samples
from tests.domain.samples import ROOM, USDC
from tests.events import oracle


def types(happened: list[Event]) -> list[type[Event]]:
    return [type(e) for e in happened]


def command_tags(stage: Stage) -> list[tuple[str, list[str]]]:
    """The type of each event that names a command, and those of its stored tags that do, the line's first."""
    named = []
    for stored in stage.store.read():
        tags = [tag for tag in stored.event.tags if tag.startswith(("command:", "cmd:")) and ":round:" not in tag]
        in_line = [tag for tag in decode_line(stored.event.data).tags if tag.startswith("command:")]
        if in_line:
            assert tags[: len(in_line)] == in_line
            named.append((stored.event.type, tags))
    return named


# --- One id, one effect ---------------------------------------------------------------------------------


def test_a_command_with_an_id_has_one_effect() -> None:
    """Sent twice in one round, again in a later one, and once more to a room rebuilt from its log."""
    stage = Stage()
    for _time in range(2):
        stage.tell(Pause("agent_b0", "p1"))
    assert types(events(stage.play())) == [AgentPaused]
    for command in (Resume("agent_b0", "r1"), Pause("agent_b0", "r2"), Resume("agent_b0", "r1")):
        stage.tell(command)
    assert types(events(stage.play())) == [AgentResumed, AgentPaused]
    stage.tell(Resume("agent_b0", "r3"))
    stage.play()
    stage.tell(Pause("agent_b0", "p1"))
    sends = stage.play()
    assert (events(sends), sent(sends, Done)) == ([], [Done(ROOM, "p1")])
    stage.actor = stage.make()
    stage.tell(Pause("agent_b0", "p1"))
    sends = stage.play()
    assert (events(sends), refusals(sends)) == ([], [])
    stage.tell(Pause("agent_b0", "p2"))
    assert types(events(stage.play())) == [AgentPaused]
    oracle.check(p.event.data for p in stage.store.read())


def test_without_an_id_a_command_is_taken_as_often_as_it_comes() -> None:
    """As the engine sends them; nothing names a command then."""
    stage = Stage()
    for command in (Pause("agent_b0"), Resume("agent_b0"), Pause("agent_b0")):
        stage.tell(command)
    assert len(events(stage.play())) == 3
    assert command_tags(stage) == []


def test_every_event_a_command_causes_carries_its_id_and_no_other_does() -> None:
    """In its line for readers, and as the store's own tag by which the command is found."""
    stage = Stage()
    stage.tell(Close("close:1"))
    stage.play(offer("agent_b0", 70))
    expected = [("agent.left", ["command:close:1", "cmd:close:1"])] * 5
    assert command_tags(stage) == [*expected, ("room.closed", ["command:close:1", "cmd:close:1"])]
    journal = Journal(stage.store, ROOM)
    for recorded in journal.load():
        named = "close:1" if isinstance(recorded.event, AgentLeft | RoomClosed) else ""
        assert recorded.tags == tags_of(recorded.event, ROOM, None, named)
        assert recorded.tags == tuple(sorted(recorded.tags))
    assert (journal.is_done("close:1"), journal.is_done("close:2")) == (True, False)


def test_a_command_that_waits_for_a_deal_to_end_keeps_its_id() -> None:
    stage = Stage()
    stage.play(offer("agent_s1", 90))
    stage.play(accept("agent_b0", "agent_s1", 2, 90))
    stage.tell(Close("c1"))
    stage.play()
    assert [w.command for w in stage.actor._mailbox] == [Close("c1")]


def test_a_scheduled_command_has_one_effect_too() -> None:
    stage = Stage()
    for round_ in (3, 4):
        stage.tell(Scheduled(round_, Remove("agent_b0", id="x")))
    assert [types(events(stage.play())) for _round in range(3)] == [[], [AgentLeft], []]


def test_what_a_person_says_is_said_once_and_in_the_rooms_round() -> None:
    """Between the commands of others; the second ten of a minute are refused, to whoever asked."""
    stage = Stage()
    wallet = samples.wallet("ann")
    said = PersonSpoke(0, "Hello!", user_id(wallet), wallet)
    stage.play()
    for command in (Pause("agent_b0", "p1"), Speak(said, "s1"), Speak(said, "s1"), Resume("agent_b0", "p2")):
        stage.tell(command)
    taken = events(stage.play())
    assert types(taken) == [AgentPaused, PersonSpoke, AgentResumed]
    assert taken[1] == msgspec.structs.replace(said, round=stage.actor.room.round)
    stage.actor = stage.make()
    for n in range(12):
        stage.tell(Speak(said, f"s{n}"))
    sends = stage.play()
    assert types(events(sends)) == [PersonSpoke] * 9
    assert [refused.id for refused in sent(sends, Refused)] == ["s10", "s11"]
    assert [done.id for done in sent(sends, Done)] == [f"s{n}" for n in range(10)]
    oracle.check(p.event.data for p in stage.store.read())


def test_a_refused_command_may_be_sent_again() -> None:
    """It has had no effect yet."""
    stage = Stage()
    mandate = samples.buyer_mandate("b9")
    spawn = Spawn(samples.spawned("agent_b9", mandate), "spawn:b9")
    stage.tell(spawn)
    assert sent(stage.play(), Refused)[0].id == "spawn:b9"
    put_mandate(stage.vault, mandate)
    stage.tell(spawn)
    assert types(events(stage.play())) == [AgentSpawned]


def test_one_id_has_one_effect_in_all_rooms() -> None:
    """Also when the other room is faster by less than a round."""
    first = Stage()
    second = Stage(first.store, "room_2")
    append = first.store.append
    raced: list[bool] = []

    def racing(*arguments: object) -> object:
        if not raced:
            raced.append(True)
            second.tell(Pause("agent_b0", "p1"))
            assert types(events(second.play())) == [AgentPaused]
        return append(*arguments)  # type: ignore[arg-type]

    first.tell(Pause("agent_b0", "p1"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first.store, "append", racing)
        assert events(first.play()) == []
    oracle.check(p.event.data for p in first.store.read())


@pytest.mark.parametrize(
    "id_", ["round:room_1:4", "open:room_2", "genesis", "swarm:complete", "a b", "é", "x" * 101, "a\n", "\u202ea"]
)
def test_an_id_that_takes_the_place_of_the_platforms_own_or_cannot_stand_in_a_tag_is_refused(id_: str) -> None:
    """Else somebody could make a round count as done before it was run."""
    stage = Stage()
    stage.tell(Pause("agent_b0", id_))
    sends = stage.play()
    assert events(sends) == []
    assert "is not the id of a command" in refusals(sends)[0][1]
    stage.tell(Pause("agent_b0", "spawn:agent_b0.A-1"))
    assert len(events(stage.play())) == 1


# --- Refusals -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "agent"),
    [
        (Spawn(samples.spawned("agent_n", samples.buyer_mandate("n")), "i1"), "agent_n"),
        (Pause("agent_x", "i1"), "agent_x"),
        (Resume("agent_x", "i1"), "agent_x"),
        (Remove("agent_x", id="i1"), "agent_x"),
        (Reconfigure("agent_x", id="i1"), "agent_x"),
        (Pause("agent_x"), "agent_x"),
    ],
)
def test_a_refusal_names_the_command_and_the_agent_it_is_about(command: Command, agent: str) -> None:
    """So that whoever sent it can be told."""
    stage = Stage()
    stage.tell(command)
    (refused,) = sent(stage.play(), Refused)
    assert (refused.room, refused.command, refused.id, refused.agent) == (
        ROOM,
        type(command).__name__,
        command.id,
        agent,
    )


SECRETS: list[dict[str, object]] = [
    {"reservation_usdc_micros": 87 * USDC, "start_usdc_micros": 93 * USDC},
    {"reservation_usdc_micros": 87_123_456},
    {"start_usdc_micros": 87_123_456},
    {"maximum_usdc_micros": 87 * USDC},
    {"fills": 87},
    {"identity": "87" * 16},
]


@pytest.mark.parametrize("changes", SECRETS)
def test_a_refusal_tells_no_limit(changes: dict[str, object]) -> None:
    """It goes to all who watch the room: it names the rule, and not one value of the mandate."""
    stage = Stage()
    mandate = samples.buyer_mandate("b9", **changes)
    key = put_mandate(stage.vault, mandate)
    stage.tell(Spawn(samples.spawned("agent_b9", mandate)))
    stage.tell(Reconfigure("agent_b0", mandate_hash=put_mandate(stage.vault, samples.buyer_mandate("b0", **changes))))
    whys = [why for _name, why in refusals(stage.play())]
    assert [("the mandate cannot stand" in why, re.findall(r"87|93|100|50\d", why)) for why in whys] == [(True, [])] * 2
    assert key not in "".join(whys)


def test_a_refusal_tells_nothing_of_bytes_that_are_no_mandate() -> None:
    """A vault entry that was tampered with holds what nobody should read either."""
    stage = Stage()
    mandate = samples.buyer_mandate("b9")
    event = samples.spawned("agent_b9", mandate)
    stage.vault.put(event.mandate_hash, b'{"mandate":{"role":"limit 87"},"signature":""}')
    stage.tell(Spawn(event))
    ((_name, why),) = refusals(stage.play())
    assert why == f"the vault holds nothing for {event.mandate_hash}"


@pytest.mark.parametrize("changes", [{"salt": "87" * 16}, {"principal": "limit 87"}, {"expires_at_ms": -87}])
def test_a_refusal_tells_nothing_of_a_mandate_that_has_no_hash(changes: dict[str, object]) -> None:
    """It is nobody's: what was put in its place cannot be what the agent names."""
    stage = Stage()
    mandate = samples.buyer_mandate("b9")
    event = samples.spawned("agent_b9", mandate)
    odd = msgspec.structs.replace(mandate, mandate=msgspec.structs.replace(mandate.mandate, **changes))
    stage.vault.put(event.mandate_hash, msgspec.json.encode(odd))
    stage.tell(Spawn(event))
    ((_name, why),) = refusals(stage.play())
    assert why == f"the vault holds nothing for {event.mandate_hash}"


def test_a_mandate_serves_one_agent() -> None:
    """Neither a second agent nor one that is given it later may hold it."""
    stage = Stage()
    held = MANDATES["agent_b0"]
    stage.tell(Spawn(samples.spawned("agent_b7", held)))
    own = samples.buyer_mandate("b0", counter=1)
    second = samples.spawned("agent_b8", own)
    put_mandate(stage.vault, own)
    stage.tell(Spawn(second))
    sends = stage.play()
    assert [name for name, why in refusals(sends) if "is that of agent agent_b0" in why] == ["Spawn"]
    assert types(events(sends)) == [AgentSpawned]
    stage.tell(Reconfigure("agent_b8", mandate_hash=samples.spawned("agent_b0", held).mandate_hash))
    stage.tell(Reconfigure("agent_b0", StrategyName.SNIPER, mandate_hash=samples.spawned("", held).mandate_hash))
    sends = stage.play()
    assert [name for name, why in refusals(sends) if "is that of agent agent_b0" in why] == ["Reconfigure"]
    assert types(events(sends)) == [AgentReconfigured]


def test_a_name_that_cannot_be_stored_is_refused_and_the_round_goes_on() -> None:
    """It would break the append of everybody's round."""
    stage = Stage()
    mandate = samples.buyer_mandate("b9")
    put_mandate(stage.vault, mandate)
    stage.tell(Spawn(msgspec.structs.replace(samples.spawned("agent_b9", mandate), name="Zoe\u0308")))
    sends = stage.play(offer("agent_b0", 70))
    assert "is not in Unicode normal form C" in refusals(sends)[0][1]
    assert len(events(sends)) == 2
