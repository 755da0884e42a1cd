"""Limits that nobody ever says are in nobody's answers but their owner's, in a full live run with a deal.

Each limit is far from what its agent quotes. All that goes out of the system is kept and searched: answers to everybody,
frames, logs, figures, Redis, tables, commands, an export. When a deal is executed its mandates are on the chain.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
import redis
from psycopg import sql
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from agentrooms.live.access import LOG, Running, running_in
from agentrooms.services.folder import DataFolder
from tests.acceptance.prd import TIMEOUT_S, Person, _Rpc, until
from tests.acceptance.sentinels import Found, Piece, Searcher, folder_pieces, redis_pieces, zip_pieces
from tests.cli.commands import agentrooms
from tests.cli.system import MARK, Up, up

pytestmark = [pytest.mark.xdist_group("up"), pytest.mark.slow]

LIMITS = {  # whose limit: micro-USDC
    "buyer": 4_817_230_000,
    "seller": 1_093_710_000,
    "seller's most": 7_391_570_000,
    "waiting": 5_926_410_000,  # of a buyer that finds nothing
}
OWNERS = {"buyer": {"buyer"}, "seller": {"seller", "seller's most"}, "waiting": {"waiting"}}
EXECUTED = {"buyer", "seller", "seller's most"}
BUDGET = "9000"  # what wallets let the escrow take: chosen by people, and no limit
NAMES = ("admin", "buyer", "seller", "waiting", "stranger")
KEYS = {name: f"0x{number:064x}" for number, name in enumerate(NAMES, start=8_101)}
SEARCHER = Searcher(LIMITS)
ROUND_MS = 250


@dataclass
class Kept:
    """All that went out, by whom it was for and where."""

    pieces: list[tuple[str, Piece]] = field(default_factory=list)

    def add(self, whose: str, place: str, data: bytes) -> None:
        self.pieces.append((whose, (place, data)))

    def found(self, whose: str) -> list[Found]:
        return SEARCHER.search_all(piece for one, piece in self.pieces if one == whose)


class Watched(Person):
    """Somebody all of whose answers are kept."""

    def __init__(self, url: str, name: str, kept: Kept, http: httpx.Client) -> None:
        super().__init__(url, KEYS.get(name, KEYS["stranger"]))
        self.name, self._kept = name, kept
        self._http = http

    def ask(self, method: str, path: str, status: int | None = 200, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        got = self._http.request(method, self.url + path, headers=headers, **more)
        self._http.cookies.clear()  # it is shared
        assert status is None or got.status_code == status, f"{method} {path}: {got.status_code} {got.text}"
        self._kept.add(self.name, f"{method} {path} ({got.status_code})", repr(got.headers.raw).encode() + got.content)
        if got.headers.get("content-type") == "application/zip":
            for place, data in zip_pieces(path, got.content):
                self._kept.add(self.name, place, data)
        return got.json() if "json" in got.headers.get("content-type", "") and "ndjson" not in path else got.text


class Listener:
    """A socket that hears all there is until it is closed."""

    def __init__(self, socket: ClientConnection, person: Watched, room: str, kept: Kept) -> None:
        self._socket, self._person, self._kept = socket, person, kept
        self.types: list[str] = []
        hello = {"type": "auth", "token": person.token} if person.token else {"type": "spectate"}
        for message in (hello, {"type": "join_room", "roomId": room}):
            socket.send(json.dumps(message))
        self._thread = threading.Thread(target=self._hear)
        self._thread.start()

    def _hear(self) -> None:
        try:
            while True:
                frame = self._socket.recv(timeout=None)
                self._kept.add(self._person.name, "frame", frame if isinstance(frame, bytes) else frame.encode())
                self.types.append(json.loads(frame)["type"])
        except ConnectionClosed:
            pass

    def close(self) -> None:
        self._socket.close()
        self._thread.join()


@dataclass
class Run:
    """A system in which a deal was made, and all that it let out."""

    started: Up
    running: Running
    people: dict[str, Watched]
    kept: Kept
    deal: dict[str, Any]
    agents: dict[str, str]
    heard: dict[str, list[str]]
    found: dict[str, list[Found]]  # by whom it was for


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder, kept = tmp_path_factory.mktemp("sentinels"), Kept()
    admin = Person("http://nowhere.invalid", KEYS["admin"]).wallet
    (folder / ".env").write_text(f"ADMIN_WALLETS={admin}\nREQUESTS_PER_MINUTE=100000\nAPI_PORT=0\n")
    with httpx.Client(timeout=TIMEOUT_S) as http, up(folder) as started:
        url = started.until_said(r"The API is at (\S+),")
        until(lambda: http.get(f"{url}/readyz").status_code == 200, 4 * TIMEOUT_S)
        people = {name: Watched(url, name, kept, http) for name in (*NAMES, "nobody")}
        yield _traded(started, people, kept)


def _traded(started: Up, people: dict[str, Watched], kept: Kept) -> Run:
    """Has two agents with limits far from their prices make a deal, while everybody listens."""
    buyer, seller, waiting = (people[name] for name in ("buyer", "seller", "waiting"))
    for name in NAMES:
        people[name].sign_in()
    room = people["admin"].ask("POST", "/rooms", 201, json={"name": "Sentinels", "roundMs": ROUND_MS})["room"]["id"]
    nft = seller.ask("POST", "/wallet/fund", 201)["nftId"]
    seller.approve(nftId=nft)
    for one in (buyer, waiting):
        one.ask("POST", "/wallet/fund", 201)
        one.approve(amount=BUDGET)
    listened: dict[str, Listener] = {}
    with ExitStack() as ends:
        for name, person in people.items():
            socket = ends.enter_context(connect(person.url.replace("http", "ws", 1) + "/ws", max_size=None))
            listened[name] = Listener(socket, person, room, kept)
            ends.callback(listened[name].close)
        common = {"roomId": room, "communicationStyle": "casual", "strategy": "aggressive"}
        selling = seller.spawn(**common, role="seller", nftId=nft, startingPrice=4_400, **_limits("seller"))
        nothing = {"kind": "items", "tokenIds": ["1"]}
        idle = waiting.spawn(**common, role="buyer", startingPrice=60, wants=nothing, **_limits("waiting"))
        waiting.ask("PATCH", f"/agents/{idle['id']}", json={"action": "pause"})
        buying = buyer.spawn(**common, role="buyer", startingPrice=3_900, **_limits("buyer"))
        mine = until(lambda: buyer.ask("GET", "/deals/my?status=completed")["deals"], 2 * TIMEOUT_S)
        until(lambda: all("deal_completed" in one.types for one in listened.values()))
        people["stranger"].ask("POST", "/swarms/spawn", 201, json={"roomId": room, "buyers": 1, "sellers": 1})
        agents = {"buyer": buying["id"], "seller": selling["id"], "waiting": idle["id"]}
        for person in people.values():
            _look_at_all(person, room, mine[0], agents, nft)
        _refused(people, room, nft)
    heard = {name: one.types for name, one in listened.items()}
    found = {name: kept.found(name) for name in people}
    return Run(started, running_in(DataFolder(started.data)), people, kept, mine[0], agents, heard, found)


def _limits(name: str) -> dict[str, Any]:
    """A limit of each side as JSON numbers and texts."""
    amounts = {one: f"{micros / 1_000_000:.2f}" for one, micros in LIMITS.items()}
    if name == "seller":
        return {"minPrice": float(amounts["seller"]), "maxPrice": amounts["seller's most"]}
    return {"maxPrice": float(amounts[name])}


def _look_at_all(person: Watched, room: str, deal: dict[str, Any], agents: dict[str, str], nft: str) -> None:
    """Asks for all that can be asked for."""
    found = person.ask("GET", f"/swarms?roomId={room}")["swarms"]
    swarm = found[0]["id"]
    paths = [
        *(f"/rooms{more}" for more in ("", f"/{room}", f"/{room}/stats", f"/{room}/state", f"/{room}/state?at=20")),
        *(f"/rooms/{room}/events?limit=1000{more}" for more in ("", "&format=ndjson")),
        *(f"/agents{more}" for more in ("?limit=100", f"?roomId={room}", "/my")),
        *(f"/agents/{agent}{more}" for agent in agents.values() for more in ("", "/reasons?limit=100")),
        *(f"/deals{more}" for more in ("", "/my", f"/{deal['id']}", f"/{deal['id']}/certificate")),
        *(f"/swarms{more}" for more in ("", f"/{swarm}", f"/{swarm}/analytics")),
        *(f"/nfts{more}" for more in ("", f"/{nft}", f"/{nft}/image")),
        *("/chain", f"/wallet/approvals?amount={BUDGET}&nftId={nft}", "/wallet/cancellation"),
        *(f"/me/{one}" for one in ("dashboard", "portfolio", "notifications", "webhooks", "email", "export")),
        *("/auth/me", "/runs", "/healthz", "/readyz", "/metrics", "/openapi.json", "/asyncapi.json", "/api/docs"),
    ]
    if person.name in {"buyer", "stranger", "nobody"}:  # the same file for whoever may have it
        paths += [f"/swarms/{swarm}/export?format={kind}" for kind in ("ndjson", "zip")]
        paths += [f"/swarms/{swarm}/export?format=csv&table={table}" for table in ("deals", "messages", "agents")]
    for path in paths:
        person.ask("GET", path, None)


def _refused(people: dict[str, Watched], room: str, nft: str) -> None:
    """Says limits in requests that are refused: nothing of them comes back, not to their owner either."""
    common = {"roomId": room, "communicationStyle": "casual", "strategy": "patient"}
    for name in ("buyer", "nobody", "stranger"):
        for wrong in (
            {**common, "role": "buyer", "startingPrice": 9_000, "maxPrice": 4_817.23},
            {**common, "role": "buyer", "startingPrice": "4817.23"},
            {**common, "role": "seller", "nftId": nft, "startingPrice": 1, "minPrice": "1093.71"},
            {**common, "role": "dealer", "startingPrice": 4_817.23, "maxPrice": [4_817.23]},
        ):
            people[name].ask("POST", "/agents/mandate", None, json=wrong)
            people[name].ask(
                "POST", "/agents/spawn", None, json={**wrong, "mandateId": "draft_x", "signature": "0x" + "1b" * 65}
            )


def test_limits_are_in_their_owners_answers_alone(run: Run) -> None:
    for name in run.people:
        found = run.found[name]
        assert {one.name for one in found} == OWNERS.get(name, set()), (name, found)
        assert "frame" not in {one.place for one in found}, (name, found)
    for types in run.heard.values():  # what agents say is all that a narrator was told
        assert {"agent_message", "deal_completed", "private", "room_stats"} <= set(types)


def test_owners_see_them_where_they_ask_for_them(run: Run) -> None:
    for name, theirs in OWNERS.items():
        by_place: dict[str, set[str]] = {}
        for one in run.found[name]:
            by_place.setdefault(one.place.split("?")[0].split(" (")[0], set()).add(one.name)
        agent = run.agents[name]
        allowed = {
            "POST /agents/mandate",
            "POST /agents/spawn",
            f"GET /agents/{agent}",
            "GET /me/export",
            "GET /me/portfolio",
        }
        assert by_place.keys() <= allowed | {f"GET /agents/{agent}/reasons", f"PATCH /agents/{agent}"}, by_place
        assert by_place[f"GET /agents/{agent}"] == theirs


def test_no_refusal_repeats_a_limit_to_anybody(run: Run) -> None:
    refusals = [
        piece for _whose, piece in run.kept.pieces if any(f"({status})" in piece[0] for status in (403, 409, 422))
    ]
    assert len(refusals) > 15
    assert SEARCHER.search_all(refusals) == []


def test_no_log_of_any_process_holds_one(run: Run) -> None:
    folder = run.started.folder
    logs = list(folder_pieces(folder, _is_log))
    assert {"api.log"} <= {Path(place).name for place, _ in logs}
    sessions = _ray_sessions(run.started)
    assert sessions
    for session in sessions:
        logs += folder_pieces(session / "logs")
    assert sum(len(data) for _, data in logs) > 1_000
    assert SEARCHER.search_all(logs) == []
    (run.started.data / "logs" / "planted.log").write_text('{"event":"refused","limit":"4817230000"}\n')
    assert {one.name for one in SEARCHER.search_all(folder_pieces(folder, _is_log))} == {"buyer"}
    (run.started.data / "logs" / "planted.log").unlink()


def test_nothing_in_redis_holds_one(run: Run) -> None:
    client = redis.Redis.from_url(run.running.redis_url)
    try:
        kept = list(redis_pieces(client))
        assert len(kept) > 10
        assert SEARCHER.search_all(kept) == []
        client.set("planted", json.dumps({"max_price": 4_817.23}))
        assert {one.name for one in SEARCHER.search_all(redis_pieces(client))} == {"buyer"}
        client.delete("planted")
    finally:
        client.close()


def test_no_table_but_log_and_vault_holds_one(run: Run) -> None:
    with psycopg.connect(run.running.dsn) as connection:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE'"
            " AND table_schema NOT IN ('pg_catalog', 'information_schema', %s)",
            [LOG],
        ).fetchall()
        assert {"read", "accounts", "live", "jobs"} <= {schema for schema, _ in tables}
        for schema, table in tables:
            rows = connection.execute(
                sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(schema, table))
            ).fetchall()
            text = "\n".join(str(row[0]) for row in rows)
            found = SEARCHER.search(f"{schema}.{table}", text.encode())
            found += SEARCHER.search(f"{schema}.{table}", _unhexed(text))
            assert found == [], (schema, table, found)


def test_no_ordinary_command_says_one(run: Run) -> None:
    room = run.deal["roomId"]
    buyer, seller, waiting = (run.agents[name] for name in ("buyer", "seller", "waiting"))
    for command in (
        f"room show {room}",
        f"agent show {buyer}",
        f"agent show {seller} --json",
        f"agent show {waiting} --json",
        "agent list --json",
        f"deal show {run.deal['id']}",
        f"deal show {run.deal['id']} --json",
        "deal list --json",
        "jobs list --json",
        "status --json",
    ):
        done = agentrooms(*command.split(), cwd=run.started.folder)
        assert SEARCHER.search(command, (done.stdout + done.stderr).encode()) == []
    assert SEARCHER.search("up", (run.started.out + run.started.err).encode()) == []


def test_what_an_operator_exports_is_sealed_unless_they_open_it(run: Run, tmp_path: Path) -> None:
    room = f"room:{run.deal['roomId']}"
    agentrooms("export", room, "--out", tmp_path / "sealed", cwd=run.started.folder)
    pieces = list(folder_pieces(tmp_path / "sealed"))
    assert pieces
    assert SEARCHER.search_all(pieces) == []
    checked = agentrooms("verify", tmp_path / "sealed", cwd=run.started.folder)
    assert SEARCHER.search("verify", (checked.stdout + checked.stderr).encode()) == []
    agentrooms("export", room, "--open-limits", "--out", tmp_path / "open", cwd=run.started.folder)
    assert {one.name for one in SEARCHER.search_all(folder_pieces(tmp_path / "open"))} == LIMITS.keys()


def test_an_executed_deal_shows_both_mandates_on_the_chain(run: Run) -> None:
    chain = run.people["nobody"].ask("GET", "/chain")
    sent = _Rpc(chain["rpcUrl"]).call("eth_getTransactionByHash", run.deal["txHash"])
    assert {one.name for one in SEARCHER.search("calldata", sent["input"].encode())} == EXECUTED
    receipt = _Rpc(chain["rpcUrl"]).call("eth_getTransactionReceipt", run.deal["txHash"])
    assert SEARCHER.search("receipt", json.dumps(receipt).encode()) == []


@pytest.mark.parametrize(
    "plant",
    [
        lambda kept: kept.add("nobody", "frame", b'{"type":"agent_message","message":"not above 4817.23"}'),
        lambda kept: kept.add("stranger", "GET /x (200)", b'{"typedData":{"reservation":"0x11F2118B0"}}'),
    ],
)
def test_a_planted_leak_is_found(plant: Callable[[Kept], None]) -> None:
    kept = Kept()
    kept.add("nobody", "frame", b'{"type":"agent_message","message":"4000 is my word"}')
    assert kept.found("nobody") == []
    plant(kept)
    assert {one.name for one in kept.found("nobody") + kept.found("stranger")} == {"buyer"}


def _is_log(path: Path) -> bool:
    return path.suffix in {".log", ".out", ".err"} or "logs" in path.parts or path.name.startswith(("out-", "err-"))


def _ray_sessions(started: Up) -> set[Path]:
    """The folders of the clusters of a system."""
    found = set()
    for process in psutil.process_iter(["cmdline", "environ"]):
        if (process.info["environ"] or {}).get(MARK) == started.mark:
            found |= {
                Path(one.partition("=")[2])
                for one in process.info["cmdline"] or []
                if "--session_dir=" in one or "--session-dir=" in one
            }
    return {one for one in found if one.is_dir()}


def _unhexed(text: str) -> bytes:
    """Columns of bytes as bytes: Postgres writes them in hex."""
    return b"\n".join(bytes.fromhex(digits) for digits in re.findall(r"\\x((?:[0-9a-f]{2})+)", text))
