"""Swarms over HTTP: their creator steers them, anybody watches, whoever is signed in takes the files away."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentrooms.api.exports import csv_field
from agentrooms.api.home import Home
from agentrooms.events.journal import fence
from agentrooms.sim.audit import audit
from tests.api.system import running_home
from tests.api.trading import Person

pytestmark = pytest.mark.xdist_group("api-swarms")  # one system for all of them

SPAWNS = 6


@pytest.fixture(scope="module")
def home(postgres_dsn: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    path: Path = tmp_path_factory.mktemp("swarms")
    with running_home(postgres_dsn, redis_url, path, requests_per_minute=100_000, spawns_per_hour=SPAWNS) as found:
        yield found


@pytest.fixture(scope="module")
def ada(home: Home) -> Person:
    return Person(home, "ada")


@pytest.fixture(scope="module")
def eve(home: Home) -> Person:
    return Person(home, "eve")


@pytest.fixture(scope="module")
def nobody(home: Home) -> Person:
    return Person(home, "nobody", signed_in=False)


@pytest.fixture(scope="module")
def swarm(ada: Person) -> dict[str, Any]:
    """A swarm that has made a deal."""
    made: dict[str, Any] = ada.made("/swarms/spawn", {"preset": "small_test", "seed": 7})["swarm"]
    assert (made["preset"], made["totalAgents"], made["buyersCount"], made["sellersCount"]) == ("small_test", 5, 2, 3)
    assert (made["status"], made["userId"]) == ("running", ada.user)
    ended = ada.until(f"/swarms/{made['id']}", lambda found: found["swarm"]["dealsCompleted"] > 0)
    found: dict[str, Any] = ended["swarm"]
    return found


def test_a_swarm_is_watched_by_anybody(nobody: Person, swarm: dict[str, Any]) -> None:
    found = nobody.read(f"/swarms/{swarm['id']}")["swarm"]
    assert {agent["swarmId"] for agent in found["agents"]} == {swarm["id"]}
    assert found["analytics"]["dealsCompleted"] == found["dealsCompleted"]
    assert 0 < found["analytics"]["successRate"] <= 1
    assert found["analytics"]["avgDealTime"] > 0
    figures = nobody.read(f"/swarms/{swarm['id']}/analytics")
    assert (figures["swarmId"], figures["roomId"]) == (swarm["id"], swarm["roomId"])
    assert figures["analytics"]["volumeMicros"].isdigit()
    assert [one["id"] for one in nobody.read(f"/swarms?roomId={swarm['roomId']}")["swarms"]] == [swarm["id"]]
    agents = nobody.read(f"/agents?swarmId={swarm['id']}&limit=100")["agents"]
    assert {agent["id"] for agent in found["agents"]} <= {agent["id"] for agent in agents}
    assert nobody.get("/swarms/swarm_nothing").status_code == 404
    assert nobody.get("/swarms/swarm_nothing/analytics").status_code == 404


def test_the_creator_of_a_swarm_sees_no_limit_of_its_agents_but_steers_them(
    ada: Person, eve: Person, swarm: dict[str, Any]
) -> None:
    agent = swarm["agents"][0]["id"]
    assert ada.read(f"/agents/{agent}")["agent"]["mandate"] is None
    assert ada.get(f"/agents/{agent}/reasons").status_code == 403
    assert eve.ask("PATCH", f"/agents/{agent}", {"action": "pause"}).status_code == 403
    other = ada.made("/swarms/spawn", {"buyers": 3, "sellers": 3})["swarm"]
    found = ada.until(f"/swarms/{other['id']}", lambda found: bool(found["swarm"]["agents"]))["swarm"]
    own = f"/agents/{found['agents'][0]['id']}"
    assert ada.ask("PATCH", own, {"action": "pause"}).json()["agent"]["status"] == "paused"
    assert ada.ask("DELETE", own).status_code == 200


def test_lines_of_a_swarms_room_hide_what_is_private(home: Home, eve: Person, swarm: dict[str, Any]) -> None:
    answer = eve.get(f"/swarms/{swarm['id']}/export?format=ndjson")
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = [msgspec.json.decode(line) for line in answer.content.splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    hidden = [line for line in lines if "redacted" in line]
    assert hidden
    assert all(line.keys() == {"chain", "hash", "redacted", "seq"} for line in hidden)
    assert not any(line.get("type") == "acts.explained" for line in lines)
    stored = [found.event.data for found in home.store.read(fence(swarm["roomId"]), limit=len(lines))]
    assert all(line in stored for line in answer.content.splitlines() if b'"redacted"' not in line)


@pytest.mark.parametrize(("table", "of"), [("deals", "deal"), ("messages", "seq"), ("agents", "agent")])
def test_tables_of_a_swarm_are_csv_with_a_line_of_names(
    eve: Person, swarm: dict[str, Any], table: str, of: str
) -> None:
    answer = eve.get(f"/swarms/{swarm['id']}/export?format=csv&table={table}")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert answer.headers["content-type"].startswith("text/csv")
    assert {row["room"] for row in rows} == {swarm["roomId"]}
    assert len({row[of] for row in rows}) == len(rows) > 0


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_text_of_a_table_is_a_formula(text: str) -> None:
    assert next(csv.reader([csv_field(text)])) == [f"'{text}"]
    assert [csv_field(value) for value in (-1, None, f"a{text[0]}")] == ["-1", "", f'"a{text[0]}"']


def test_the_archive_of_a_swarms_room_verifies(eve: Person, swarm: dict[str, Any], tmp_path: Path) -> None:
    answer = eve.get(f"/swarms/{swarm['id']}/export?format=zip")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as zipped:
        zipped.extractall(tmp_path)
    report = audit(tmp_path / swarm["roomId"])
    assert report.passed, report
    assert not (tmp_path / swarm["roomId"] / "vault.ndjson").exists()


def test_exports_are_for_whoever_is_signed_in(eve: Person, nobody: Person, swarm: dict[str, Any]) -> None:
    assert nobody.get(f"/swarms/{swarm['id']}/export").status_code == 401
    assert eve.get("/swarms/swarm_nothing/export").status_code == 404
    assert eve.get(f"/swarms/{swarm['id']}/export?format=pdf").status_code == 422


def test_only_its_creator_steers_a_swarm(ada: Person, eve: Person, nobody: Person) -> None:
    made = ada.made("/swarms/spawn", {"buyers": 3, "sellers": 4, "seed": 3, "speed": 10})["swarm"]
    assert (made["preset"], made["totalAgents"], made["speed"]) == ("custom", 7, 10)
    path = f"/swarms/{made['id']}"
    assert ada.ask("PATCH", path, {"action": "pause"}).json()["swarm"]["status"] == "paused"
    assert eve.ask("PATCH", path, {"action": "stop"}).status_code == 403
    assert nobody.ask("PATCH", path, {"action": "stop"}).status_code == 401
    assert ada.ask("PATCH", path, {"action": "resume"}).json()["swarm"]["status"] == "running"
    assert ada.ask("PATCH", path, {"action": "speed", "speed": 0}).json()["swarm"]["speed"] == 0
    assert ada.ask("PATCH", path, {"action": "stop"}).json()["swarm"]["status"] == "completed"
    again = ada.ask("PATCH", path, {"action": "pause"})
    assert (again.status_code, again.json()["code"]) == (409, "refused")
    assert ada.ask("PATCH", "/swarms/swarm_nothing", {"action": "pause"}).status_code == 404


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"preset": "huge"},
        {"preset": "small_test", "buyers": 1, "sellers": 1},
        {"buyers": 1},
        {"buyers": 0, "sellers": 1},
        {"buyers": 1, "sellers": 251},
        {"preset": "small_test", "speed": 2},
        {"preset": "small_test", "seed": -1},
        {"preset": "small_test", "seed": 2**53},
        {"preset": "small_test", "owner": "0x" + "11" * 20},
    ],
)
def test_a_swarm_that_cannot_be_is_refused(eve: Person, asked: dict[str, Any]) -> None:
    assert eve.ask("POST", "/swarms/spawn", asked).status_code == 422


@pytest.mark.parametrize("asked", [{"action": "speed"}, {"action": "pause", "speed": 1}, {"action": "end"}, {}])
def test_steering_that_cannot_be_is_refused(ada: Person, swarm: dict[str, Any], asked: dict[str, Any]) -> None:
    assert ada.ask("PATCH", f"/swarms/{swarm['id']}", asked).status_code == 422


def test_a_user_spawns_so_many_swarms_an_hour(home: Home, eve: Person) -> None:
    missing = [eve.ask("POST", "/swarms/spawn", {"preset": "small_test", "roomId": "room_nothing"}) for _ in range(2)]
    assert {answer.status_code for answer in missing} == {404}  # and counts for nothing
    zoe = Person(home, "zoe")
    asked = {"buyers": 1, "sellers": 1, "speed": 0}
    answers = [zoe.ask("POST", "/swarms/spawn", asked, **{"Idempotency-Key": "one"}) for _ in range(SPAWNS + 2)]
    assert {answer.json()["swarm"]["id"] for answer in answers} == {answers[0].json()["swarm"]["id"]}
    for _ in range(SPAWNS - 1):
        zoe.made("/swarms/spawn", asked)
    late = zoe.ask("POST", "/swarms/spawn", asked)
    assert (late.status_code, late.json()["code"]) == (429, "rate_limited")
