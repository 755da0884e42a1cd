"""A service that is slow holds up nobody who does not need it, and is not asked more and more."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import replace

from agentrooms.api.sockets.service import SPEAKERS
from agentrooms.api.sockets.session import SPEAKING_MAX
from agentrooms.events.postgres_log import PostgresLog
from tests.sockets.stage import QUICK, Client, Room, pass_first_time, serving, until


def test_rooms_that_answer_slowly_keep_nobody_from_signing_in(store: PostgresLog, redis_url: str, room: Room) -> None:
    with serving(store, redis_url) as process, ExitStack() as clients:
        clients.callback(process.go_on.set)
        for _ in range(SPEAKERS // SPEAKING_MAX):
            cat = clients.enter_context(closing(Client(process, "cat")))  # has ten messages a minute in all tests
            cat.hear("authenticated")
            for n in range(SPEAKING_MAX):
                cat.say(type="send_message", roomId=room.id, message=f"slow {n}")
        until(lambda: len(process.said) == SPEAKERS)
        ben = clients.enter_context(closing(Client(process, "ben")))
        assert ben.hear("authenticated")
        process.go_on.set()
        assert cat.hear("ack")


def test_a_token_that_is_read_slowly_is_no_silence(store: PostgresLog, redis_url: str) -> None:
    with serving(store, redis_url) as process, closing(Client(process, "ann")) as ann:
        ann.hear("authenticated")
        process.slow.add("ben")
        with closing(Client(process, "ben")) as ben:
            until(lambda: "ben" in process.asked)
            pass_first_time(process)
            process.go_on.set()
            assert ben.hear("authenticated")


def test_a_token_is_looked_at_once_at_a_time(store: PostgresLog, redis_url: str) -> None:
    with serving(store, redis_url, replace(QUICK, recheck_s=0.0)) as process, closing(Client(process, "ann")) as ann:
        ann.hear("authenticated")
        process.slow.add("ann")
        until(lambda: len(process.asked) > 1)
        before = len(process.asked)
        for _ in range(3):  # many times as long as it takes until the token is due
            ann.hear("hb")
        assert len(process.asked) <= before + 1
        process.go_on.set()
        until(lambda: len(process.asked) > before + 1)
