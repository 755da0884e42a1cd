"""Contacts and notifications: bounded, somebody's own, gone when erased, and never read by others."""

from __future__ import annotations

import pytest

from agentrooms.accounts import notifications as notifications_module
from agentrooms.accounts.contacts import (
    ADDRESS_USERS_MAX,
    CODE_DIGITS,
    CODE_MS,
    CODE_TRIES_MAX,
    CODES_MAX_DAY,
    DEAD_MAX,
    WEBHOOKS_MAX,
    CodeRefused,
    Contacts,
    TooManyContacts,
)
from agentrooms.accounts.erasure import erase
from agentrooms.accounts.notifications import Kind, Notifications
from agentrooms.errors import InvalidInput
from agentrooms.events.postgres import Connections
from tests.jobs.clock import Clock

URL = "https://example.org/hook"
DAY_S = 86_400


def code_of(contacts: Contacts, user: str) -> str:
    found = contacts.new_code(user)
    assert found is not None
    return found[1]


# --- Webhooks -------------------------------------------------------------------------------------------


def test_webhooks_are_kept_for_their_owner_alone(contacts: Contacts, clock: Clock) -> None:
    made = contacts.add_webhook("user_a", URL, [Kind.DEAL_FAILED, Kind.DEAL_COMPLETED, Kind.DEAL_FAILED])
    assert made.events == (Kind.DEAL_COMPLETED, Kind.DEAL_FAILED)
    assert made.created_at_ms == clock.ms
    assert contacts.webhooks("user_a") == [made] == [contacts.webhook("user_a", made.id)]
    assert contacts.webhooks("user_b") == []
    assert contacts.webhook("user_b", made.id) is None
    assert not contacts.remove_webhook("user_b", made.id)
    assert contacts.remove_webhook("user_a", made.id)
    assert contacts.webhook("user_a", made.id) is None
    with pytest.raises(InvalidInput, match="an event is not known"):
        contacts.add_webhook("user_a", URL, ["everything"])  # type: ignore[list-item]


def test_every_webhook_has_a_secret_of_its_own(contacts: Contacts) -> None:
    assert len({contacts.add_webhook("user_a", URL).secret for _n in range(3)}) == 3


def test_a_request_that_comes_again_makes_no_second_webhook(contacts: Contacts) -> None:
    for _n in range(WEBHOOKS_MAX - 1):
        contacts.add_webhook("user_a", URL)
    made = contacts.add_webhook("user_a", URL, command="api:1")
    assert contacts.add_webhook("user_a", URL, command="api:1") == made
    assert len(contacts.webhooks("user_a")) == WEBHOOKS_MAX
    assert contacts.add_webhook("user_b", URL, command="api:1").id != made.id


def test_a_user_has_only_so_many_webhooks(contacts: Contacts) -> None:
    made = [contacts.add_webhook("user_a", URL) for _n in range(WEBHOOKS_MAX)]
    with pytest.raises(TooManyContacts):
        contacts.add_webhook("user_a", URL)
    contacts.add_webhook("user_b", URL)
    contacts.remove_webhook("user_a", made[0].id)
    contacts.add_webhook("user_a", URL)


def test_a_webhook_that_never_answers_is_switched_off_once(contacts: Contacts, clock: Clock) -> None:
    made = contacts.add_webhook("user_a", URL)
    for _n in range(DEAD_MAX - 1):
        assert not contacts.failed(made.id, 500, dead=True)
    contacts.answered(made.id, 204)
    assert not contacts.failed(made.id, 500, dead=False)
    off = [contacts.failed(made.id, None, dead=True) for _n in range(DEAD_MAX + 2)]
    assert off == [False] * (DEAD_MAX - 1) + [True, False, False]
    (kept,) = contacts.webhooks("user_a")
    assert (kept.active, kept.last_status, kept.last_at_ms) == (False, None, clock.ms)


# --- E-mail ---------------------------------------------------------------------------------------------


def test_an_address_counts_once_its_code_has_come_back(contacts: Contacts, clock: Clock) -> None:
    email = contacts.set_email("user_a", "ann@example.org", [Kind.DEAL_COMPLETED])
    assert not email.confirmed
    code = code_of(contacts, "user_a")
    clock.pass_s(1)
    confirmed = contacts.confirm("user_a", code)
    assert (confirmed.address, confirmed.confirmed_at_ms) == ("ann@example.org", clock.ms)
    assert contacts.new_code("user_a") is None
    with pytest.raises(CodeRefused):
        contacts.confirm("user_a", code)
    same = contacts.set_email("user_a", "ann@example.org", [Kind.AGENT_LEFT])
    assert (same.confirmed, same.events) == (True, (Kind.AGENT_LEFT,))
    clock.pass_s(1)
    other = contacts.set_email("user_a", "ann@example.com")
    assert (other.confirmed, other.created_at_ms) == (False, clock.ms)
    assert contacts.remove_email("user_a")
    assert contacts.email("user_a") is None


def test_a_code_is_for_one_user_some_minutes_and_few_tries(contacts: Contacts, clock: Clock) -> None:
    for user in ("user_a", "user_b"):
        contacts.set_email(user, f"{user}@example.org")
    code, other = code_of(contacts, "user_a"), code_of(contacts, "user_b")
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    if other != code:
        with pytest.raises(CodeRefused):
            contacts.confirm("user_b", code)
    for _n in range(CODE_TRIES_MAX):
        with pytest.raises(CodeRefused):
            contacts.confirm("user_a", wrong)
    with pytest.raises(CodeRefused):
        contacts.confirm("user_a", code)
    code = code_of(contacts, "user_a")
    clock.pass_s(CODE_MS / 1_000)
    with pytest.raises(CodeRefused):
        contacts.confirm("user_a", code)
    assert contacts.confirm("user_a", code_of(contacts, "user_a")).confirmed


def known(accounts: Connections, user: str) -> None:
    accounts.repeat(lambda one: one.execute("INSERT INTO people VALUES (%s, 0)", [user]))


def test_nobodys_mailbox_is_flooded(contacts: Contacts, accounts: Connections, clock: Clock) -> None:
    contacts.set_email("user_a", "ann@example.org")
    for _n in range(CODES_MAX_DAY - 1):
        contacts.ask_code("user_a")
    with pytest.raises(TooManyContacts, match="in a day"):
        contacts.ask_code("user_a")
    with pytest.raises(TooManyContacts, match="in a day"):
        contacts.set_email("user_a", "bob@example.org")
    kept = contacts.email("user_a")
    assert kept is not None
    assert kept.address == "ann@example.org"
    clock.pass_s(DAY_S)
    contacts.ask_code("user_a")
    for n in range(ADDRESS_USERS_MAX - 1):
        known(accounts, f"user_{n}")
        contacts.set_email(f"user_{n}", "Ann@Example.org")
    known(accounts, "user_z")
    with pytest.raises(TooManyContacts, match="have this address"):
        contacts.set_email("user_z", "ann@example.org")
    with pytest.raises(InvalidInput, match="no e-mail address"):
        contacts.ask_code("user_z")


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "ann",
        "ann@",
        "@example.org",
        "ann@localhost",
        "ann@example.org\nBcc: all@example.org",
        "ann@example.org\r\n",
        "ann@example.org, bob@example.org",
        "Ann <ann@example.org>",
        "änn@example.org",
        "ann@[127.0.0.1]",
        "ann@127.0.0.1",
        "a..b@example.org",
        f"{'a' * 250}@example.org",
    ],
)
def test_what_is_no_address_is_refused_and_not_repeated(contacts: Contacts, wrong: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        contacts.set_email("user_a", wrong)
    assert not wrong or wrong not in str(refused.value)
    assert contacts.email("user_a") is None


# --- Notifications --------------------------------------------------------------------------------------


def record(notifications: Notifications, id_: str, user: str = "user_a") -> bool:
    return notifications.record(id_, user, Kind.DEAL_FAILED, deal="deal_x", facts={"reason": "expired"}) is not None


def test_a_notification_is_kept_once(contacts: Contacts, notifications: Notifications, clock: Clock) -> None:
    contacts.add_webhook("user_a", URL)
    first = notifications.record("n1", "user_a", Kind.AGENT_LEFT, room="room_a", agent="agent_a", facts={"a": 1})
    clock.pass_s(1)
    assert notifications.record("n1", "user_a", Kind.AGENT_LEFT, facts={}) == first == notifications.get("n1")
    assert notifications.page("user_a") == [first]
    assert notifications.page("user_b") == []


def test_who_never_signed_in_or_was_erased_is_told_nothing(
    accounts: Connections, contacts: Contacts, notifications: Notifications
) -> None:
    assert not record(notifications, "n0", "user_c")
    contacts.set_email("user_a", "ann@example.org")
    assert record(notifications, "n1")
    assert record(notifications, "n2", "user_b")
    erased = erase(accounts, "user_a")
    assert (erased["emails"], erased["webhooks"], erased["notifications"]) == (1, 0, 1)
    assert not record(notifications, "n1")
    assert [one.id for one in notifications.page("user_b")] == ["n2"]


def test_notifications_are_read_by_pages_and_marked(contacts: Contacts, notifications: Notifications) -> None:
    contacts.add_webhook("user_a", URL)
    contacts.add_webhook("user_b", URL)
    for n in range(5):
        record(notifications, f"n{n}")
    record(notifications, "other", "user_b")
    page = notifications.page("user_a", limit=2)
    assert [one.id for one in page] == ["n4", "n3"]
    assert [one.id for one in notifications.page("user_a", before=page[-1].number)] == ["n2", "n1", "n0"]
    assert notifications.read("user_a", ["n1", "other"]) == 1
    assert notifications.unread("user_a") == 4
    assert [one.id for one in notifications.page("user_a", unread=True)] == ["n4", "n3", "n2", "n0"]
    assert notifications.read("user_a") == 4
    assert (notifications.unread("user_a"), notifications.unread("user_b")) == (0, 1)
    with pytest.raises(InvalidInput):
        notifications.page("user_a", limit=101)


def test_the_oldest_notifications_go_first(
    contacts: Contacts, notifications: Notifications, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notifications_module, "KEPT_MAX", 3)
    contacts.add_webhook("user_a", URL)
    for n in range(6):
        record(notifications, f"n{n}")
    assert [one.id for one in notifications.page("user_a")] == ["n5", "n4", "n3"]


def test_no_secret_nor_code_can_be_guessed_from_the_tables(accounts: Connections, contacts: Contacts) -> None:
    contacts.set_email("user_a", "ann@example.org")
    code = code_of(contacts, "user_a")
    rows = accounts.repeat(lambda one: one.execute("SELECT emails::text FROM emails").fetchall())
    assert code not in str(rows)
    assert len(code) == CODE_DIGITS
