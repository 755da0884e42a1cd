"""Rooms over HTTP: opened and closed by admins, listed in pages, watched by anybody, spoken in by whoever is signed in."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentrooms.api.home import Home
from agentrooms.api.models.base import iso
from agentrooms.api.routes.rooms import EVENTS_MAX
from agentrooms.chain.ledger import LEDGER
from agentrooms.events.journal import fence
from agentrooms.events.postgres import connect
from agentrooms.jobs.schema import SCHEMA as JOBS
from tests.api.system import running_home
from tests.api.trading import Person
from tests.domain.samples import wallet

pytestmark = pytest.mark.xdist_group("api-rooms")  # one system for all of them

HUGE = base64.urlsafe_b64encode(b"i9999999999999999999").decode().rstrip("=")  # a number beyond 64 bits
UNKNOWN = "0x" + "ab" * 20


@pytest.fixture(scope="module")
def home(postgres_dsn: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    path: Path = tmp_path_factory.mktemp("rooms")
    limits = {"requests_per_minute": 100_000, "admin_wallets": wallet("root")}
    with running_home(postgres_dsn, redis_url, path, **limits) as found:
        yield found


@pytest.fixture(scope="module")
def root(home: Home) -> Person:
    return Person(home, "root")


@pytest.fixture(scope="module")
def ada(home: Home) -> Person:
    return Person(home, "ada")


@pytest.fixture(scope="module")
def nobody(home: Home) -> Person:
    return Person(home, "nobody", signed_in=False)


def opened(root: Person, name: str, **more: Any) -> str:
    """A new room's id."""
    room: str = root.made("/rooms", {"name": name, **more})["room"]["id"]
    return room


def test_an_admin_opens_a_room_that_anybody_sees_at_once_and_closes_it(root: Person, nobody: Person) -> None:
    made = root.made("/rooms", {"name": "Punks, evening", "collection": "CryptoPunks", "roundMs": 500})["room"]
    assert (made["status"], made["roundMs"], made["floorPrice"], made["recentDeals"]) == ("active", 500, None, [])
    assert made["collectionName"] == "CryptoPunks"
    assert nobody.read(f"/rooms/{made['id']}")["room"] == made
    closed = root.ask("PATCH", f"/rooms/{made['id']}", {"action": "close"})
    assert closed.status_code == 200, closed.text
    assert (closed.json()["room"]["status"], closed.json()["room"]["closeReason"]) == ("inactive", "requested")


@pytest.mark.parametrize(("who", "status", "code"), [("ada", 403, "forbidden"), ("nobody", 401, "not_signed_in")])
def test_only_admins_open_and_close_rooms(
    request: pytest.FixtureRequest, root: Person, who: str, status: int, code: str
) -> None:
    person: Person = request.getfixturevalue(who)
    room = opened(root, f"not {who}'s")
    for answer in (
        person.ask("POST", "/rooms", {"name": "mine"}),
        person.ask("PATCH", f"/rooms/{room}", {"action": "close"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert root.read(f"/rooms/{room}")["room"]["status"] == "active"


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"name": "x", "collection": UNKNOWN}, 422),
        ({"name": "x", "collection": LEDGER.currency}, 422),
        ({"name": "x", "collection": "Nothing"}, 409),
        ({"name": 1.5}, 422),
        ({"name": ""}, 422),
        ({"name": "a" * 101}, 422),
        ({"name": "a\u202eb"}, 422),
        ({"name": "x", "roundMs": 1}, 422),
        ({"name": "x", "roundMs": 1000.5}, 422),
        ({"name": "x", "more": 1}, 422),
        ({}, 422),
        ([], 422),
    ],
)
def test_a_room_that_cannot_be_is_refused_clearly(root: Person, asked: Any, status: int) -> None:
    answer = root.ask("POST", "/rooms", asked)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["message"] == answer.json()["detail"]


def test_rooms_are_listed_in_pages_by_status_and_by_collection(root: Person, nobody: Person) -> None:
    mine = {opened(root, f"one of many {n}") for n in range(3)}
    root.ask("PATCH", f"/rooms/{min(mine)}", {"action": "close"})
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = nobody.read(f"/rooms?limit=2{cursor}")
        found += page["rooms"]
        if page["nextCursor"] is None:
            break
        assert len(page["rooms"]) == 2
        cursor = f"&cursor={page['nextCursor']}"
    ids = [room["id"] for room in found]
    assert ids == sorted(set(ids))
    assert mine <= set(ids)
    inactive = {room["id"] for room in nobody.read("/rooms?status=inactive&limit=100")["rooms"]}
    assert inactive == {room["id"] for room in found if room["status"] == "inactive"}
    address = found[0]["collection"]
    for text in ("cryptopunks", address, address.upper().replace("0X", "0x")):
        assert len(nobody.read(f"/rooms?collection={text}&limit=100")["rooms"]) == len(found)
    assert nobody.read(f"/rooms?collection={UNKNOWN}") == {"rooms": [], "nextCursor": None}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "cursor=%21", "cursor=c3g", "status=open", f"cursor={HUGE}"]
)
def test_a_list_asked_for_wrongly_is_refused(nobody: Person, query: str) -> None:
    answer = nobody.get(f"/deals?{query}")  # c3g is a cursor of lists by id, and deals are listed by number
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize("text", ["", "%00", "a%00b", "%F0%9F%92%A9", "a" * 101, "%0a"])
def test_a_collection_that_is_no_name_is_refused(nobody: Person, text: str) -> None:
    assert nobody.get(f"/rooms?collection={text}").status_code == 422


def test_a_room_that_has_not_changed_is_not_sent_again(root: Person, ada: Person) -> None:
    room = opened(root, "tagged")
    first = ada.get(f"/rooms/{room}")
    tag = first.headers["etag"]
    again = ada.get(f"/rooms/{room}", **{"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    ada.made(f"/rooms/{room}/messages", {"message": "Good evening."})
    changed = ada.get(f"/rooms/{room}", **{"If-None-Match": tag})
    assert (changed.status_code, changed.json()["room"]["seq"]) == (200, first.json()["room"]["seq"] + 1)


def test_words_are_heard_once_and_read_back_as_frames_as_lines_and_as_state(
    home: Home, root: Person, ada: Person, nobody: Person
) -> None:
    room = opened(root, "talk")
    key = {"Idempotency-Key": "say-1"}
    said = {ada.ask("POST", f"/rooms/{room}/messages", {"message": "Hello."}, **key).text for _ in range(2)}
    assert [msgspec.json.decode(one) for one in said] == [{"roomId": room, "userId": ada.user, "message": "Hello."}]
    page = nobody.read(f"/rooms/{room}/events?limit=1")
    rest = nobody.read(f"/rooms/{room}/events?after={page['nextAfter']}")
    frames = page["events"] + rest["events"]
    assert [frame["seq"] for frame in frames] == list(range(1, len(home.store.read(fence(room))) + 1))
    assert [(f["type"], f.get("message")) for f in frames] == [("room_opened", None), ("user_message", "Hello.")]
    assert rest["nextAfter"] is None
    lines = nobody.get(f"/rooms/{room}/events?format=ndjson")
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert [msgspec.json.decode(line) for line in lines.content.splitlines()] == frames
    state = nobody.read(f"/rooms/{room}/state?at=1")
    assert (state["seq"], state["name"], state["agents"]) == (1, "talk", [])
    assert nobody.read(f"/rooms/{room}/state")["seq"] == 2


@pytest.mark.parametrize(
    "text", ["", " ", "a" * 281, "zero\u200bwidth", "bell\x07", "\u202eright to left", 7, 1.5, None]
)
def test_words_that_are_none_are_refused(root: Person, ada: Person, text: Any) -> None:
    room = opened(root, "quiet")
    assert ada.ask("POST", f"/rooms/{room}/messages", {"message": text}).status_code == 422
    assert len(ada.read(f"/rooms/{room}/events")["events"]) == 1


def test_only_who_is_signed_in_speaks_and_only_in_an_open_room(root: Person, ada: Person, nobody: Person) -> None:
    room = opened(root, "closing")
    assert nobody.ask("POST", f"/rooms/{room}/messages", {"message": "x"}).status_code == 401
    root.ask("PATCH", f"/rooms/{room}", {"action": "close"})
    refused = ada.ask("POST", f"/rooms/{room}/messages", {"message": "x"})
    assert (refused.status_code, refused.json()["code"]) == (409, "refused")


@pytest.mark.parametrize(
    "path",
    ["", "/stats", "/history", "/events", "/state", "/messages?", "/state?at=0", f"/events?limit={EVENTS_MAX + 1}"],
)
def test_a_room_that_is_not_there_is_not_found(ada: Person, path: str) -> None:
    method, body = ("POST", {"message": "x"}) if path == "/messages?" else ("GET", None)
    answer = ada.ask(method, f"/rooms/room_nothing{path}", body)
    assert (answer.status_code, answer.json()["code"]) == ((422, "invalid") if "=" in path else (404, "not_found"))


@pytest.mark.parametrize("id_", ["..%2f..", "a b", "room%00", "x" * 101, "%F0%9F%92%A9"])
def test_ids_that_are_none_are_refused(nobody: Person, id_: str) -> None:
    assert nobody.get(f"/rooms/{id_}").status_code in {404, 422}


def test_figures_of_a_quiet_room_are_none(root: Person, nobody: Person) -> None:
    stats = nobody.read(f"/rooms/{opened(root, 'figures')}/stats")["stats"]
    assert (stats["totalDeals"], stats["avgDealTime"], stats["floorPrice"]) == (0, None, None)
    assert (stats["volume"], stats["volumeMicros"], stats["priceHistory"]) == (0, "0", [])


def test_the_history_of_a_room_is_read_in_pages(home: Home, root: Person, nobody: Person) -> None:
    room = opened(root, "history")
    times = [1_795_341_600_000, 1_795_341_900_001]
    with connect(home.running.dsn, JOBS) as connection:
        for at_ms, floor in zip(times, (None, 48_250_000), strict=True):
            row = [room, at_ms, floor, None, 5, 88, 4, 1, 193_000_000]
            connection.execute("INSERT INTO room_history VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)", row)
    page = nobody.read(f"/rooms/{room}/history?limit=1")
    rest = nobody.read(f"/rooms/{room}/history?after={page['nextAfter']}")
    assert [one["at"] for one in page["points"] + rest["points"]] == list(map(iso, times))
    assert rest["nextAfter"] is None
    assert rest["points"][0] == {
        "at": "2026-11-22T10:05:00.001Z",
        "floorPrice": 48.25,
        "floorPriceMicros": "48250000",
        "topBid": None,
        "topBidMicros": None,
        "activeAgents": 5,
        "messages": 88,
        "dealsCompleted": 4,
        "dealsFailed": 1,
        "volume": 193,
        "volumeMicros": "193000000",
    }
    assert nobody.read(f"/rooms/{opened(root, 'young')}/history") == {"points": [], "nextAfter": None}


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "after=yesterday", "after=2026-11-22T10:00:00"])
def test_a_history_asked_for_wrongly_is_refused(root: Person, nobody: Person, query: str) -> None:
    answer = nobody.get(f"/rooms/{opened(root, 'asked wrongly')}/history?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
