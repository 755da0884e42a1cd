"""The inbox on a real Postgres: one command an id, one answer a command, nobody waits in vain."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from agentrooms.domain.room import RoomOpened
from agentrooms.errors import InvalidInput
from agentrooms.events.store import StoreError
from agentrooms.live import inbox as inboxes
from agentrooms.live.commands import Answer, OpenRoom, PauseAgent, encode
from agentrooms.live.inbox import Inbox, InboxFull, NotSent, State, migrate_inbox
from tests.cutting import end_connections
from tests.live.world import World

OPEN = OpenRoom(id="r1", name="Main")


def test_a_command_sent_again_is_the_same_one(inbox: Inbox) -> None:
    first = inbox.send(OPEN)
    assert inbox.send(OPEN) == first
    assert [sent.id for sent in inbox.open()] == ["r1"]
    inbox.answer("r1", State.DONE, Answer(room="room_x"))
    assert inbox.send(OPEN).answer == Answer(room="room_x")
    assert inbox.open() == []


@pytest.mark.parametrize("answered", [False, True])
def test_another_command_under_the_same_id_is_refused(inbox: Inbox, answered: bool) -> None:
    inbox.send(OPEN)
    if answered:
        inbox.answer("r1", State.DONE, Answer())
    with pytest.raises(InvalidInput, match="another command has the id r1"):
        inbox.send(OpenRoom(id="r1", name="Other"))


def test_commands_are_read_in_the_order_in_which_they_were_sent(inbox: Inbox) -> None:
    """By many at once, too: what is read once is never followed by a smaller number."""
    with ThreadPoolExecutor(4) as pool:
        sending = [pool.submit(inbox.send, PauseAgent(id=f"p{n}", agent="a")) for n in range(60)]
        read: list[int] = []
        while len(read) < 60:
            read += [sent.number for sent in inbox.open(max(read, default=0), limit=7)]
        assert sorted(future.result().number for future in sending) == sorted(read)
    assert read == sorted(read)


def test_a_command_is_answered_once_and_its_body_forgotten(inbox: Inbox) -> None:
    sent = inbox.send(OPEN)
    assert (sent.state, sent.body, sent.answer) == (State.OPEN, encode(OPEN), None)
    answered = inbox.answer("r1", State.REFUSED, Answer(why="no"))
    assert inbox.answer("r1", State.DONE, Answer(room="room_x")) == answered == inbox.get("r1")
    assert (answered.state, answered.body, answered.answer) == (State.REFUSED, b"", Answer(why="no"))


def test_who_waits_is_woken_by_the_answer(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a look in between: the next one would come after an hour."""
    monkeypatch.setattr(inboxes, "POLL_S", 3_600.0)
    inbox.send(OPEN)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(inbox.wait, "r1", 7_200.0)
        listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT number, id%' AND state = 'idle'"
        with psycopg.connect(inbox._dsn, autocommit=True) as connection:
            while (connection.execute(listening).fetchone() or (0,))[0] == 0:
                pass
        inbox.answer("r1", State.DONE, Answer(room="room_x"))
        assert waiting.result().answer == Answer(room="room_x")


def test_who_waits_finds_an_answer_that_was_there_before_and_learns_that_there_is_none(inbox: Inbox) -> None:
    inbox.send(OPEN)
    assert inbox.wait("r1", 0.01).state is State.OPEN
    inbox.answer("r1", State.DONE, Answer())
    assert inbox.wait("r1", 60).state is State.DONE
    with pytest.raises(NotSent):
        inbox.wait("r2", 60)
    with pytest.raises(NotSent):
        inbox.get("r2")
    with pytest.raises(NotSent):
        inbox.answer("r2", State.DONE, Answer())


def test_the_desk_is_woken_by_a_command(inbox: Inbox) -> None:
    """Also by one that was sent when it was not waiting."""
    assert not inbox.await_new(0)
    inbox.send(OPEN)
    assert inbox.await_new(3_600)
    assert not inbox.await_new(0.01)
    assert end_connections(inbox._dsn, inbox._schema, listening=True) == 1
    with pytest.raises(StoreError):
        inbox.await_new(3_600)
    assert not inbox.await_new(0)


def test_only_so_many_commands_wait(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inboxes, "OPEN_MAX", 2)
    for n in range(2):
        inbox.send(PauseAgent(id=f"p{n}", agent="a"))
    with pytest.raises(InboxFull, match="2 commands wait"):
        inbox.send(OPEN)
    assert inbox.send(PauseAgent(id="p0", agent="a")).number
    inbox.answer("p0", State.DONE, Answer())
    inbox.send(OPEN)


def test_old_answers_are_forgotten_open_commands_never(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inboxes, "PRUNE_EVERY", 1)
    monkeypatch.setattr(inboxes, "KEPT_MAX", 2)
    for n in range(6):
        inbox.send(PauseAgent(id=f"p{n}", agent="a"))
    for n in range(1, 6):
        inbox.answer(f"p{n}", State.DONE, Answer())
    assert [sent.id for sent in inbox.open()] == ["p0"]
    for forgotten in ("p1", "p2", "p3"):
        with pytest.raises(NotSent):
            inbox.get(forgotten)
    assert [inbox.get(kept).state for kept in ("p4", "p5")] == [State.DONE] * 2


def test_a_lost_connection_is_made_anew(inbox: Inbox) -> None:
    inbox.send(OPEN)
    assert end_connections(inbox._dsn, inbox._schema)
    assert inbox.get("r1").state is State.OPEN


def test_a_database_without_an_inbox_is_named(postgres_dsn: str) -> None:
    inbox = Inbox(postgres_dsn, "nowhere")
    with pytest.raises(StoreError):
        inbox.send(OPEN)
    inbox.close()


def test_the_inbox_is_migrated_once(postgres_dsn: str, fresh_schema: str) -> None:
    first, second = [migrate_inbox(postgres_dsn, fresh_schema) for _time in range(2)]
    assert (first[:1], second) == ([1], [])


# --- What only a hostile program writes -----------------------------------------------------------------


def write(world: World, schema: str, id_: str, body: bytes) -> None:
    with psycopg.connect(world.inbox._dsn, autocommit=True) as connection:
        insert = sql.SQL("INSERT INTO {} (id, body, body_sha256) VALUES (%s, %s, %s)")
        table = sql.Identifier(schema, "commands")
        connection.execute(insert.format(table), [id_, body, hashlib.sha256(body).hexdigest()])


@pytest.mark.parametrize("body", [b"", b"\xff\x00", b"[]", b'{"command":"room.shred","id":"h1"}', b"[" * 9_000])
def test_the_desk_refuses_what_is_no_command_and_goes_on(world: World, fresh_schema: str, body: bytes) -> None:
    write(world, fresh_schema, "h1", body)
    assert world.ask(OPEN).room
    assert world.inbox.get("h1").state is State.REFUSED


def test_the_desk_refuses_a_body_that_has_the_id_of_another(world: World, fresh_schema: str) -> None:
    """Neither the row's own id nor an earlier command's gives it another effect."""
    world.ask(OPEN)
    write(world, fresh_schema, "h1", encode(OPEN))
    write(world, fresh_schema, "h2", encode(OpenRoom(id="r1", name="Other")))
    world.step()
    assert [world.inbox.get(id_).state for id_ in ("h1", "h2")] == [State.REFUSED] * 2
    rooms = {chain for chain in world.rooms for event in world.events(chain) if isinstance(event, RoomOpened)}
    assert len(rooms) == 1


def test_a_command_forgotten_by_the_inbox_and_sent_again_has_no_second_effect(world: World, fresh_schema: str) -> None:
    """The desk remembers what it decided."""
    first = world.ask(OPEN)
    with psycopg.connect(world.inbox._dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(fresh_schema, "commands")))
    before = world.lines()
    assert world.ask(OPEN) == first
    assert world.lines()[: len(before)] == before
    assert len(world.rooms) == 1
