"""Health, readiness, figures, log lines, headers and the pages of the API, over a running system."""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agentrooms import __version__
from agentrooms.api import docs_page, logs
from agentrooms.api.home import Home
from agentrooms.api.problems import Problem
from agentrooms.events.store import QueryItem
from agentrooms.live.commands import RegisterUser, RunSwarm
from agentrooms.live.health import Health
from tests.api.system import asking, bearer, running_home, sign_in
from tests.cli.system import wait_for

ROOT = Path(__file__).resolve().parents[2]
KEY = bytes.fromhex("5e" * 32)
Ask = Callable[[httpx.AsyncClient], Awaitable[Any]]


@pytest.fixture(scope="module")
def home(postgres_dsn: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with running_home(postgres_dsn, redis_url, tmp_path_factory.mktemp("home"), requests_per_minute=10_000) as home:
        home.asking.ask(RunSwarm(id="s", preset="small_test", seed=7))
        yield home


@pytest.fixture
def desk(home: Home) -> None:
    """The desk has just been heard of; whoever runs it here does not say so himself."""
    with closing(Health(home.running.dsn)) as health:
        health.note({"desk": {"pid": 1}, "verifier:verifier_1": {"pid": 2, "trouble": "no chain"}, "log": None})


@pytest.fixture(autouse=True)
def fresh_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every scrape reads: what one test found is not what the next finds."""
    monkeypatch.setattr("agentrooms.api.metrics.SCRAPE_S", 0.0)


def get(home: Home, path: str, **more: Any) -> httpx.Response:
    return asking(home, lambda http: http.get(path, **more))


# --- Health and readiness --------------------------------------------------------------------------------


def test_a_process_that_answers_is_alive(home: Home) -> None:
    assert get(home, "/healthz").json() == {"status": "ok", "version": __version__}


def test_it_is_ready_with_all_that_requests_need(home: Home, desk: None) -> None:
    answer = get(home, "/readyz")

    assert answer.status_code == 200, answer.text
    parts = {part["name"]: (part["ok"], part["required"]) for part in answer.json()["parts"]}
    assert parts == {
        "postgres": (True, True),
        "readModels": (True, True),
        "accounts": (True, True),
        "desk": (True, True),
        "redis": (True, False),
    }


@pytest.mark.parametrize(
    ("break_it", "part", "detail"),
    [
        (
            "UPDATE live.processes SET seen_at = now() - interval '1 hour' WHERE name = 'desk'",
            "desk",
            "silent for 3600",
        ),
        ("DELETE FROM live.processes WHERE name = 'desk'", "desk", "has not been heard of"),
        ("""UPDATE live.processes SET health = '{"trouble": "x"}' WHERE name = 'desk'""", "desk", "reports trouble"),
        ("UPDATE log.log_head SET position = position + 1000000", "readModels", "hold"),
        ("UPDATE read.cursor SET failure = 'x'", "readModels", "stand at event"),
        ("UPDATE accounts.schema_version SET number = -number", "accounts", "needed"),
    ],
)
def test_it_is_not_ready_without_one_of_them(
    home: Home, desk: None, break_it: str, part: str, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(home.running.dsn) as connection:  # seen by itself alone: nothing is committed
        connection.execute("SET search_path = read")
        connection.execute(break_it.encode())
        monkeypatch.setattr(home.reads, "run", lambda work: work(connection))
        answer = get(home, "/readyz")
        connection.rollback()

    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    (found,) = [one for one in answer.json()["parts"] if not one["ok"]]
    assert found["name"] == part
    assert detail in found["detail"]


def test_a_database_that_is_away_is_said_without_its_address(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from agentrooms.api.reading import Reads

    with closing(Reads("postgresql://ada:secret@127.0.0.1:1/none", "read")) as away:
        monkeypatch.setattr("agentrooms.api.reading.POOL_WAIT_S", 0.2)
        away._pool.timeout = 0.2
        monkeypatch.setattr(home.reads, "_pool", away._pool)
        ready, figures = get(home, "/readyz"), get(home, "/metrics")

    assert ready.status_code == 503
    assert [part["name"] for part in ready.json()["parts"]] == ["postgres", "redis"]
    assert "secret" not in ready.text
    assert "agentrooms_database_up 0.0" in figures.text
    assert "agentrooms_requests_total{" in figures.text, "those of the process are there"


# --- Figures ---------------------------------------------------------------------------------------------


def figures(home: Home) -> dict[str, dict[tuple[str, ...], float]]:
    """All samples by name and values of labels."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(get(home, "/metrics").text):
        for one in family.samples:
            found.setdefault(one.name, {})[tuple(one.labels.values())] = one.value
    return found


def test_figures_of_the_database_are_those_in_it(home: Home, desk: None) -> None:
    found = figures(home)

    (active,) = home.reads.run(
        lambda read: read.execute("SELECT count(*) FROM rooms WHERE status = 'active'").fetchall()
    )
    assert 0 < found["agentrooms_log_events_total"][()] <= home.store.head()
    assert found["agentrooms_rooms"][("active",)] == active[0] == 1
    assert found["agentrooms_swarms"] == {("running",): 1}
    assert found["agentrooms_database_up"][()] == 1
    assert found["agentrooms_projection_stands"][()] == 0
    assert found["agentrooms_processes_alive"] == {("desk",): 1, ("verifier",): 1}
    assert found["agentrooms_processes_troubled"] == {("desk",): 0, ("verifier",): 1}


def test_words_are_counted_on_from_scrape_to_scrape(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """In small steps and in large ones the count is the read model's."""
    from agentrooms.api.metrics import Scrape

    wait_for(lambda: len(home.store.read((QueryItem(types=("act.posted",)),))) > 20)
    monkeypatch.setattr("agentrooms.api.metrics.COUNT_EVENTS", 7)
    monkeypatch.setattr("agentrooms.api.metrics.COUNT_STEPS", 3)
    monkeypatch.setattr("agentrooms.api.metrics.SCRAPE_S", 0.0)
    scrape = Scrape(home.reads)
    totals = []
    while scrape._counted < home.store.head():
        scrape.text()
        totals.append(scrape._words.get("scripted", 0))

    assert len(totals) > 1
    assert totals == sorted(totals)
    counted = scrape._counted
    with psycopg.connect(home.running.dsn) as connection:
        query = "SELECT count(*) FROM log.events WHERE type = 'act.posted' AND position <= %s"
        assert connection.execute(query, [counted]).fetchone() == (totals[-1],)


def test_a_second_scrape_within_a_second_asks_the_database_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from agentrooms.api.metrics import Scrape

    monkeypatch.setattr("agentrooms.api.metrics.SCRAPE_S", 3_600.0)
    scrape = Scrape(home.reads)
    first = scrape._of_database()
    monkeypatch.setattr(home.reads, "run", lambda _work: pytest.fail("it asked"))

    assert scrape._of_database() == first


def test_requests_are_counted_by_the_template_of_their_path(home: Home) -> None:
    def count(**labels: str) -> float:
        from agentrooms.api.metrics import REGISTRY

        return REGISTRY.get_sample_value("agentrooms_requests_total", labels) or 0.0

    known = {"method": "GET", "route": "/rooms/{id}", "status": "404"}
    unknown = {"method": "GET", "route": "(none)", "status": "404"}
    before = count(**known), count(**unknown)

    get(home, "/rooms/room_none")
    get(home, "/nowhere/at/all")

    assert (count(**known), count(**unknown)) == (before[0] + 1, before[1] + 1)


def test_commands_are_counted_by_kind_and_outcome(home: Home) -> None:
    before = figures(home).get("agentrooms_commands_total", {})

    with pytest.raises(Problem):
        home.asking.ask(RunSwarm(id=secrets.token_hex(8), preset="small_test", room="room_none"))
    home.asking.ask(RegisterUser(id=secrets.token_hex(8), wallet="0x" + "ab" * 20))

    after = figures(home)["agentrooms_commands_total"]
    for labels in (("swarm.run", "refused"), ("user.register", "done")):
        assert after[labels] == before.get(labels, 0) + 1


# --- Log lines and headers -------------------------------------------------------------------------------


def test_a_request_leaves_one_line_that_holds_neither_query_nor_token(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def script(http: httpx.AsyncClient) -> None:
        token = (await sign_in(http, KEY))["accessToken"]
        caplog.clear()
        headers = {**bearer(token), "X-Request-Id": "my-request.1"}
        await http.get("/deals/my?limit=3&cursor=4817.23", headers=headers)

    asking(home, script)

    (record,) = [one for one in caplog.records if one.name == "agentrooms.api.around"]
    with logs.about(request_id="my-request.1"):
        line = json.loads(logs.formatter(json=True).format(record))
    assert {name: line[name] for name in ("event", "method", "path", "status")} == {
        "event": "request",
        "method": "GET",
        "path": "/deals/my",
        "status": 422,
    }
    assert "4817" not in json.dumps(line)
    assert "eyJ" not in json.dumps(line)


def test_the_id_in_a_path_is_in_the_line(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    get(home, "/deals/deal_none")

    (record,) = [one for one in caplog.records if one.name == "agentrooms.api.around"]
    assert vars(record)["deal"] == "deal_none"


@pytest.mark.parametrize("given", ["short", "a" * 65, "has blanks in it", "ümlaut-umlaut", "new\tlines-"])
def test_a_request_id_that_is_not_sane_is_replaced(home: Home, given: str) -> None:
    made = get(home, "/healthz", headers={"X-Request-Id": given.encode()}).headers["x-request-id"]

    assert re.fullmatch("[0-9a-f]{16}", made)


def test_a_sane_request_id_comes_back(home: Home) -> None:
    assert get(home, "/healthz", headers={"X-Request-Id": "trace-0123"}).headers["x-request-id"] == "trace-0123"


def test_answers_tell_browsers_to_be_strict(home: Home) -> None:
    headers = get(home, "/healthz").headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "strict-transport-security" not in headers, "only an https address has one"


# --- Descriptions and pages ------------------------------------------------------------------------------


def test_the_documents_are_served(home: Home) -> None:
    assert get(home, "/openapi.json").json()["servers"] == [{"url": home.public_url}]
    assert get(home, "/asyncapi.json").json()["asyncapi"] == "3.0.0"
    assert get(home, "/api/docs/openapi.json").json()["openapi"] == "3.0.3"


@pytest.mark.parametrize("path", ["/api/docs", "/api/docs/sockets"])
def test_a_page_asks_no_other_host_and_runs_no_script_in_its_text(home: Home, path: str) -> None:
    page = get(home, path)

    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert re.findall(r"""(?:src|href)=["'](?!/|#)""", page.text) == []
    assert re.findall(r"<script(?![^>]*\ssrc=)|\son\w+=", page.text) == []
    for named in re.findall(r'(?:src|href)="(/[^"#]*)"', page.text):
        assert get(home, named).status_code == 200, named


def test_the_page_of_the_sockets_shows_every_message(home: Home) -> None:
    page = get(home, "/api/docs/sockets").text

    for name in get(home, "/asyncapi.json").json()["components"]["messages"]:
        assert f'<section id="{name}">' in page


@pytest.mark.parametrize("name", sorted(docs_page.FILES))
def test_a_file_of_the_pages_is_served(home: Home, name: str) -> None:
    assert get(home, f"/api/docs/{name}").content == (docs_page.FILES[name] / name).read_bytes()


@pytest.mark.parametrize(
    "name", ["index.html", "docs.html", "..%2fhome.py", "%2e%2e/home.py", "swagger-ui.css.map", "%00"]
)
def test_no_other_file_is(home: Home, name: str) -> None:
    assert get(home, f"/api/docs/{name}").status_code == 404


# --- What is written of the figures ----------------------------------------------------------------------

OWN = re.compile(r"\b(?:agentrooms|process)_[a-z_]+\b")


def families(home: Home) -> set[str]:
    """The names of all figures, as queries name them."""
    text = get(home, "/metrics").text
    return {name for line in text.splitlines() if line.startswith("# TYPE") for name in [line.split()[2]]}


def test_the_page_has_every_figure(home: Home, desk: None) -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    rows = "\n".join(line for line in page.splitlines() if line.startswith("| `agentrooms_") and line.count("|") == 4)

    ours = {name for name in families(home) if name.startswith("agentrooms_") and not name.endswith("_created")}
    assert set(OWN.findall(rows)) == ours


def test_every_figure_of_the_dashboard_and_of_the_alerts_exists(home: Home, desk: None) -> None:
    board = json.loads((ROOT / "docs" / "grafana" / "agentrooms.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    known = families(home)

    asked = {name.removesuffix("_bucket") for text in (*queries, page) for name in OWN.findall(text)} - {"process_"}
    assert len(queries) > 20
    assert asked <= known
