"""One's own account over HTTP: being told, taking one's data along, and being forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from psycopg import sql

from agentrooms.accounts.contacts import CODES_MAX_DAY, WEBHOOKS_MAX
from agentrooms.accounts.erasure import owned_tables
from agentrooms.accounts.notifications import Kind
from agentrooms.accounts.schema import SCHEMA
from agentrooms.api.home import Home
from agentrooms.events.postgres import connect
from agentrooms.jobs.catalogue import CONFIRMATION, WEBHOOK
from agentrooms.live.commands import OpenRoom
from tests.api.system import running_home
from tests.api.trading import Person, buyer

pytestmark = pytest.mark.xdist_group("api-account")  # one system for all of them

HOOK = "https://hooks.example.org/agentrooms"
MAIL = "ada@example.org"


@pytest.fixture(scope="module")
def home(postgres_dsn: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    path: Path = tmp_path_factory.mktemp("account")
    settings = {"requests_per_minute": 100_000, "smtp_url": "smtp://mail.example.org:25", "mail_from": "a@example.org"}
    with running_home(postgres_dsn, redis_url, path, **settings) as found:
        yield found


@pytest.fixture(scope="module")
def ada(home: Home) -> Person:
    return Person(home, "ada")


@pytest.fixture(scope="module")
def eve(home: Home) -> Person:
    return Person(home, "eve")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", f"/me/{one}") for one in ("dashboard", "portfolio", "notifications", "webhooks", "email", "export")),
        *(("POST", f"/me/{one}") for one in ("notifications/read", "webhooks", "webhooks/x/test", "email/confirm")),
        ("PUT", "/me/email"),
        ("DELETE", "/me/webhooks/x"),
        ("DELETE", "/me"),
    ],
)
def test_an_account_is_for_whoever_is_signed_in(home: Home, method: str, path: str) -> None:
    answer = Person(home, "nobody", signed_in=False).ask(method, path, None if method in {"GET", "DELETE"} else {})
    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_new_account_is_empty(eve: Person) -> None:
    board = eve.read("/me/dashboard")["dashboard"]
    assert (board["activeAgents"], board["recentDeals"], board["metrics"]["efficiency"]) == ([], [], None)
    held = eve.read("/me/portfolio")["portfolio"]
    assert (held["nfts"], held["balance"], held["committed"]["total"], held["realised"]["result"]) == ([], 0, 0, 0)
    assert (eve.read("/me/email"), eve.read("/me/webhooks")) == ({"email": None}, {"webhooks": []})
    assert eve.read("/me/notifications") == {"notifications": [], "unread": 0, "nextCursor": None}


def test_notifications_are_read_in_pages_and_marked_as_read(home: Home, ada: Person, eve: Person) -> None:
    for n in range(3):
        facts = {"name": "Ada", "priceMicros": "48250000", "role": "buyer"}
        home.notifications.record(f"n{n}", ada.user, Kind.DEAL_COMPLETED, room="room_x", deal=f"deal_{n}", facts=facts)
    first = ada.read("/me/notifications?limit=2")
    rest = ada.read(f"/me/notifications?limit=2&cursor={first['nextCursor']}")
    assert [one["id"] for one in first["notifications"] + rest["notifications"]] == ["n2", "n1", "n0"]
    assert (first["unread"], rest["nextCursor"]) == (3, None)
    told = first["notifications"][0]
    assert (told["type"], told["data"]["price"], told["data"]["dealId"]) == ("deal_completed", 48.25, "deal_2")
    assert eve.ask("POST", "/me/notifications/read", {}).json() == {"read": 0}
    assert ada.ask("POST", "/me/notifications/read", {"ids": ["n1"]}).json() == {"read": 1}
    assert [one["id"] for one in ada.read("/me/notifications?unread=true")["notifications"]] == ["n2", "n0"]
    assert ada.ask("POST", "/me/notifications/read", {}).json() == {"read": 2}
    assert ada.read("/me/notifications")["unread"] == 0
    assert ada.ask("POST", "/me/notifications/read", {"ids": ["a\0b"]}).status_code == 422
    assert ada.read("/me/dashboard")["dashboard"]["unreadNotifications"] == 0


def test_webhooks_show_their_secret_once_and_belong_to_one_user(home: Home, ada: Person, eve: Person) -> None:
    made = ada.made("/me/webhooks", {"url": HOOK, "events": ["deal_failed"]})["webhook"]
    assert made["secret"].startswith("whsec_")
    listed = ada.read("/me/webhooks")["webhooks"]
    assert listed == [{name: value for name, value in made.items() if name != "secret"}]
    assert eve.read("/me/webhooks") == {"webhooks": []}
    path = f"/me/webhooks/{made['id']}"
    assert eve.ask("DELETE", path).status_code == 404
    assert eve.ask("POST", f"{path}/test").status_code == 404
    tried = ada.ask("POST", f"{path}/test").json()["deliveryId"]
    assert home.jobs.get(tried).kind == WEBHOOK
    assert ada.ask("DELETE", path).json() == {"message": "Webhook removed"}
    assert ada.ask("DELETE", path).status_code == 404


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://169.254.169.254/latest/meta-data",
        "https://me:secret@hooks.example.org/",
        "file:///etc/passwd",
        "https://hooks.example.org:22/",
        "nothing",
        "",
    ],
)
def test_webhooks_go_to_public_addresses_only(eve: Person, url: str) -> None:
    answer = eve.ask("POST", "/me/webhooks", {"url": url})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
    assert eve.read("/me/webhooks") == {"webhooks": []}


def test_a_user_has_so_many_webhooks(home: Home) -> None:
    zoe = Person(home, "zoe")
    for n in range(WEBHOOKS_MAX):
        zoe.made("/me/webhooks", {"url": f"{HOOK}/{n}"})
    late = zoe.ask("POST", "/me/webhooks", {"url": HOOK})
    assert (late.status_code, late.json()["code"]) == (409, "refused")


def test_an_address_is_confirmed_with_the_code_that_was_mailed(home: Home, ada: Person) -> None:
    found = ada.ask("PUT", "/me/email", {"address": MAIL, "events": ["deal_completed"]}).json()["email"]
    assert (found["address"], found["confirmed"], found["events"]) == (MAIL, False, ["deal_completed"])
    assert CONFIRMATION in {job.kind for job in home.jobs.jobs()}
    named = home.contacts.new_code(ada.user)
    assert named is not None
    assert ada.ask("POST", "/me/email/confirm", {"code": f"{(int(named[1]) + 1) % 10**6:06}"}).status_code == 422
    assert ada.ask("POST", "/me/email/confirm", {"code": named[1]}).json()["email"]["confirmed"] is True
    assert ada.read("/me/email")["email"]["confirmed"] is True
    assert ada.ask("PUT", "/me/email", {"address": None}).json() == {"email": None}


def test_taking_an_address_back_gives_no_more_codes(home: Home) -> None:
    """Nor do many users who name the same mailbox."""
    liz, mailbox = Person(home, "liz"), {"address": "Liz@example.org"}

    def ask(who: Person, asked: dict[str, str]) -> int:
        status = who.ask("PUT", "/me/email", asked).status_code
        assert who.ask("PUT", "/me/email", {"address": None}).status_code == 200
        return status

    assert [ask(liz, mailbox) for _ in range(CODES_MAX_DAY + 1)] == [200] * CODES_MAX_DAY + [429]
    assert ask(liz, {"address": "other@example.org"}) == 429
    assert ask(Person(home, "joe"), {"address": "liz@example.org"}) == 429


def test_codes_are_mailed_a_few_times_a_day(eve: Person) -> None:
    asked = {"address": "eve@example.org"}
    answers = [eve.ask("PUT", "/me/email", asked).status_code for _ in range(CODES_MAX_DAY + 1)]
    assert answers == [200] * CODES_MAX_DAY + [409]


@pytest.mark.parametrize("address", ["nobody", "a@b", "a@b.c\r\nBcc: x@y.org", "x" * 255 + "@example.org", 7])
def test_what_is_no_address_is_refused(eve: Person, address: Any) -> None:
    assert eve.ask("PUT", "/me/email", {"address": address}).status_code == 422


def test_an_account_is_taken_along_and_then_forgotten(home: Home) -> None:
    kim = Person(home, "kim")
    kim.made("/wallet/fund", None)
    room = home.asking.ask(OpenRoom(id="erased", name="x")).room
    agent = kim.spawn(buyer(room, wants={"kind": "items", "tokenIds": ["1"]}))
    swarm = kim.made("/swarms/spawn", {"buyers": 3, "sellers": 3})["swarm"]["id"]
    kim.made(f"/rooms/{room}/messages", {"message": "Good evening."})
    kim.made("/me/webhooks", {"url": HOOK})
    kim.ask("PUT", "/me/email", {"address": "kim@example.org"})
    home.notifications.record("kim", kim.user, Kind.AGENT_LEFT, agent=agent["id"], facts={})
    whole = kim.read("/me/export")
    assert [(one["id"], one["mandate"]["maxPrice"]) for one in whole["agents"]] == [(agent["id"], 90.17)]
    assert [one["message"] for one in whole["messages"]] == ["Good evening."]
    assert (whole["email"]["address"], len(whole["webhooks"]), len(whole["sessions"])) == ("kim@example.org", 1, 1)
    assert (len(whole["notifications"]), whole["cut"]) == (1, [])
    assert "secret" not in whole["webhooks"][0]
    assert kept(home, kim.user) > 0
    assert home.jobs.jobs(user=kim.user)
    erased = kim.ask("DELETE", "/me")
    assert (erased.status_code, erased.json()["message"]) == (200, "Account erased")
    assert any("log" in one for one in erased.json()["kept"])
    assert kept(home, kim.user) == 0
    assert home.jobs.jobs(user=kim.user) == []
    assert kim.get("/me/dashboard").status_code == 401
    assert kim.get(f"/agents/{agent['id']}").status_code == 401  # the token holds nowhere
    nobody = Person(home, "nobody", signed_in=False)
    gone = nobody.read(f"/agents/{agent['id']}")["agent"]
    assert (gone["status"], gone["leftReason"]) == ("left", "user_removed")
    nobody.until(f"/swarms/{swarm}", lambda found: found["swarm"]["status"] == "completed")


def kept(home: Home, user: str) -> int:
    """How many rows of the schema name a user."""
    with connect(home.running.dsn, SCHEMA) as connection:
        tables = owned_tables(connection)
        assert len(tables) > 4
        count = sql.SQL("SELECT count(*) FROM {} WHERE user_id = %s")
        rows = [connection.execute(count.format(sql.Identifier(table)), [user]).fetchone() for table in tables]
    return sum(msgspec.convert(row, tuple[int])[0] for row in rows)
