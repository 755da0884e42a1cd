"""Erasing a user leaves nothing that names it, in whatever table, and all of everybody else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from agentrooms.accounts.challenges import Challenge, Challenges
from agentrooms.accounts.contacts import Contacts
from agentrooms.accounts.erasure import erase, owned_tables, stays
from agentrooms.accounts.idempotency import Idempotency
from agentrooms.accounts.notifications import Kind, Notifications
from agentrooms.accounts.schema import now_ms
from agentrooms.accounts.sessions import SessionEnded, Sessions
from agentrooms.domain.user import user_id
from agentrooms.errors import InvalidInput
from agentrooms.events.postgres import Connections
from tests.accounts.clock import count, dump, wallet

ERASED, OTHER = wallet(1), wallet(2)


def note(accounts: Connections, user: str) -> None:
    accounts.repeat(lambda connection: connection.execute("INSERT INTO later VALUES (%s, 'n')", [user]))


def test_erasing_a_user_leaves_nothing_of_it_and_all_of_others(accounts: Connections) -> None:
    """Also in a table that a later version adds."""
    accounts.repeat(lambda connection: connection.execute("CREATE TABLE later (user_id text, note text)"))
    sessions = Sessions(accounts, 60_000)
    for of in (ERASED, OTHER):
        granted = sessions.start(of)
        Challenges(accounts).open(Challenge(of, of, "d", 1, "m", now_ms() + 60_000))
        Idempotency(accounts, bytes(32)).begin(user_id(of), "k", b"r")
        note(accounts, user_id(of))
        if of == ERASED:
            erased = granted
    tables = accounts.repeat(owned_tables)
    assert {"challenges", "idempotency", "later", "sessions"} <= set(tables)
    gone = erase(accounts, user_id(ERASED))
    assert {table: gone[table] for table in ("challenges", "idempotency", "later", "sessions")} == {
        "challenges": 1,
        "idempotency": 1,
        "later": 1,
        "sessions": 1,
    }
    with pytest.raises(SessionEnded):
        sessions.refresh(erased.token)
    assert not sessions.is_open(erased.session.id)
    held = b"".join(dump(accounts, table) for table in tables)
    assert [text.encode() in held for text in (user_id(ERASED), ERASED, user_id(OTHER), OTHER)] == [
        False,
        False,
        True,
        True,
    ]
    assert [count(accounts, table) for table in ("challenges", "idempotency", "later", "sessions")] == [1, 1, 1, 1]
    assert sum(erase(accounts, user_id(ERASED)).values()) == 0


def test_who_signed_in_once_is_told_things_until_it_is_erased(accounts: Connections) -> None:
    """Also while no session of it is open."""
    sessions, notifications = Sessions(accounts, 60_000), Notifications(accounts)
    user = user_id(ERASED)

    def is_told(id_: str) -> bool:
        return notifications.record(id_, user, Kind.DEAL_FAILED, deal="deal_x", facts={}) is not None

    assert not is_told("before")
    sessions.end(sessions.start(ERASED).session.id)
    assert is_told("signed out")
    assert erase(accounts, user)["people"] == 1
    assert not is_told("erased")


def test_nothing_is_written_behind_an_erasure(accounts: Connections) -> None:
    """By requests that were let in before it, and by one that is writing while it begins."""
    sessions, contacts, notifications = Sessions(accounts, 60_000), Contacts(accounts), Notifications(accounts)
    user = user_id(ERASED)
    sessions.start(ERASED)
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(accounts.dsn, options=f"-c search_path={accounts.schema}") as writing:
            assert stays(writing, user)
            writing.execute("INSERT INTO idempotency VALUES (%s, 'k', 'r', 'o', 0, NULL, 0, 0)", [user])
            erasing = pool.submit(erase, accounts, user)
            while not waits_for_a_lock(accounts):
                assert not erasing.done()
        assert erasing.result()["idempotency"] == 1
    for write in (
        lambda: contacts.add_webhook(user, "https://example.org/hook"),
        lambda: contacts.set_email(user, "ann@example.org"),
    ):
        with pytest.raises(InvalidInput, match="no such user"):
            write()
    assert notifications.record("n", user, Kind.AGENT_LEFT, facts={}) is None
    assert sum(erase(accounts, user).values()) == 0


def waits_for_a_lock(accounts: Connections) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = %s"
    row = accounts.repeat(lambda connection: connection.execute(query, [accounts.schema]).fetchone())
    return row != (0,)
