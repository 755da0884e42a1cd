"""One key, one request, one answer; who dies in between blocks nobody for long; nothing is readable at rest."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from agentrooms.accounts import idempotency as module
from agentrooms.accounts.idempotency import (
    ANSWER_BYTES_MAX,
    KEPT_MS,
    LEASE_MS,
    Begun,
    Busy,
    Idempotency,
    Kept,
    Mismatch,
)
from agentrooms.events.postgres import Connections
from tests.accounts.clock import Clock, count, dump

ANSWER = Kept(201, {"content-type": "application/json"}, b'{"limit": 4817.23}')
SECRET = bytes(range(32))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def idempotency(accounts: Connections, clock: Clock) -> Idempotency:
    return Idempotency(accounts, SECRET, clock)


def begun(idempotency: Idempotency, request: bytes = b"POST /x 1", user: str = "u", key: str = "k") -> Begun:
    begun = idempotency.begin(user, key, request)
    assert isinstance(begun, Begun)
    return begun


def test_the_same_request_again_has_the_answer_that_was_kept(idempotency: Idempotency) -> None:
    idempotency.keep(begun(idempotency), ANSWER)
    assert idempotency.begin("u", "k", b"POST /x 1") == ANSWER
    assert idempotency.begin("u", "k", b"POST /x 2") == Mismatch()


def test_keys_of_users_are_apart(idempotency: Idempotency) -> None:
    idempotency.keep(begun(idempotency), ANSWER)
    assert isinstance(idempotency.begin("v", "k", b"POST /x 1"), Begun)


def test_of_many_at_once_one_does_it_and_the_others_wait(idempotency: Idempotency) -> None:
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: idempotency.begin("u", "k", b"r"), range(16)))
    assert sum(isinstance(one, Begun) for one in got) == 1
    assert got.count(Busy()) == 15


def test_another_request_under_a_key_that_is_being_used_is_refused_too(idempotency: Idempotency) -> None:
    begun(idempotency)
    assert idempotency.begin("u", "k", b"other") == Mismatch()


def test_who_died_loses_the_key_with_the_lease_and_cannot_answer_later(idempotency: Idempotency, clock: Clock) -> None:
    dead = begun(idempotency)
    clock.pass_ms(LEASE_MS - 1)
    assert idempotency.begin("u", "k", b"POST /x 1") == Busy()
    clock.pass_ms(1)
    alive = begun(idempotency)
    idempotency.let_go(dead)
    assert idempotency.begin("u", "k", b"POST /x 1") == Busy()
    idempotency.keep(dead, Kept(200, {}, b"late"))
    assert idempotency.begin("u", "k", b"POST /x 1") == Busy()
    idempotency.keep(alive, ANSWER)
    idempotency.keep(dead, Kept(200, {}, b"later"))
    idempotency.let_go(dead)
    assert idempotency.begin("u", "k", b"POST /x 1") == ANSWER


def test_a_key_given_back_is_free(idempotency: Idempotency) -> None:
    idempotency.let_go(begun(idempotency))
    assert isinstance(idempotency.begin("u", "k", b"other"), Begun)


def test_answers_are_kept_for_a_day(idempotency: Idempotency, clock: Clock, accounts: Connections) -> None:
    idempotency.keep(begun(idempotency), ANSWER)
    clock.pass_ms(KEPT_MS - 1)
    assert idempotency.begin("u", "k", b"POST /x 1") == ANSWER
    clock.pass_ms(1)
    begun(idempotency, key="another")
    assert count(accounts, "idempotency") == 1


def test_too_long_an_answer_is_not_kept(idempotency: Idempotency) -> None:
    idempotency.keep(begun(idempotency), Kept(200, {}, bytes(ANSWER_BYTES_MAX + 1)))
    begun(idempotency)


def test_a_user_has_so_many_keys_and_keeps_the_youngest(
    idempotency: Idempotency, clock: Clock, accounts: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEYS_MAX", 3)
    begun(idempotency, user="v")
    for number in range(5):
        clock.pass_ms(1)
        idempotency.keep(begun(idempotency, key=f"k{number}"), ANSWER)
    assert count(accounts, "idempotency") == 4
    assert idempotency.begin("u", "k2", b"POST /x 1") == ANSWER


def test_nothing_of_a_request_or_its_answer_is_readable_at_rest(
    idempotency: Idempotency, accounts: Connections
) -> None:
    """Nor by another installation that is given the tables."""
    idempotency.keep(begun(idempotency, b"POST /x 4817.23", key="my key 4817.23"), ANSWER)
    assert b"4817" not in dump(accounts, "idempotency")
    assert isinstance(Idempotency(accounts, bytes(32)).begin("u", "my key 4817.23", b"POST /x 4817.23"), Begun)
