"""Measures the API's REST part over a whole living system: reads of the read models, and writes through the inbox.

The load comes from a process of its own, over connections that stay open. It shares the machine's cores with the API,
the databases and the actors of the system, in which a swarm trades at its usual pace.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from eth_account import Account

from agentrooms.bench.api_sockets import api_process
from agentrooms.bench.api_worker import BenchFailed, Worker
from agentrooms.bench.rows import Progress, Row, against, row, with_times
from agentrooms.client import Client
from agentrooms.domain.record import MESSAGES_A_MINUTE
from agentrooms.live.system import started
from agentrooms.services.folder import DataFolder
from agentrooms.services.settings import Settings

CONNECTIONS = 8  # of those who read
WRITERS = 16  # a write waits for its room's next round, so many wait at once; a process lets no more than 24
PATIENCE_S = 300.0  # until the first deal of a swarm, on a busy machine
POLL_S = 0.2

Found = TypeVar("Found")


def run_rest(*, seconds: float, writers: int = WRITERS, say: Progress, folder: Path) -> list[Row]:
    """Returns how many reads and writes a second the API answers. Starts and ends a system of its own, with Ray."""
    with ExitStack() as ends:
        say("starting a living system and its API")
        settings = Settings(
            agentrooms_data=folder, chain_mode="ledger", database_url=None, redis_url=None, ray_address=None
        )
        running = ends.enter_context(started(settings, "agentrooms bench api", _quiet))
        _api, port = ends.enter_context(api_process(running))
        asker = ends.enter_context(Worker("agentrooms.bench.api_requests", DataFolder(folder).logs / "requests.log"))
        stage = _Stage(asker, port, seconds, say)
        say("a swarm trades until it has made a deal")
        with _people(port, writers) as people:
            return stage.measure(people)


class _Stage:
    """What asks, whom, and for how long."""

    def __init__(self, asker: Worker, port: int, seconds: float, say: Progress) -> None:
        self._asker, self._port, self._seconds, self._say = asker, port, seconds, say

    def measure(self, people: Sequence[Client]) -> list[Row]:
        """Returns all figures."""
        owner = people[0]
        done = owner.spawn_swarm(preset="balanced_market", seed=7, speed=10).swarm
        room, deal = done.room_id, _first_deal(owner, done.room_id)
        tag = owner._http.get(f"/deals/{deal}").headers["etag"]  # noqa: SLF001 - the client keeps no headers
        bare = self._read("GET /healthz, which reads nothing", ["/healthz"])
        reads = [
            self._read("GET /rooms", ["/rooms"]),
            self._read("GET /rooms/{id}", [f"/rooms/{room}"]),
            self._read("GET /deals/{id}", [f"/deals/{deal}"]),
            self._read("GET /deals/{id} as known, 304", [f"/deals/{deal}"], 304, f"If-None-Match: {tag}"),
            self._read("GET /rooms/{id}/events, 100 of them", [f"/rooms/{room}/events"]),
        ]
        return [bare, *(against(one, bare) for one in reads), *self._writes(people)]

    def _writes(self, people: Sequence[Client]) -> list[Row]:
        self._say(f"a swarm of {len(people)} agents joins")
        owner = people[0]
        swarm = owner.spawn_swarm(buyers=len(people), sellers=1, seed=7, speed=1).swarm
        paused = [
            tuple(
                _request("PATCH", f"/agents/{agent}", {"action": action}, _token(owner))
                for action in ("pause", "resume")
            )
            for agent in _buyers(owner, swarm.id, len(people))
        ]
        spoken = [
            tuple(
                _request("POST", f"/rooms/{swarm.room_id}/messages", {"message": f"Word {n}"}, _token(one))
                for n in range(MESSAGES_A_MINUTE)
            )
            for one in people
        ]
        paced = _request("PATCH", f"/swarms/{swarm.id}", {"action": "speed", "speed": 1}, _token(owner))
        return [
            self._asked(f"PATCH /agents/{{id}}, {len(people)} at once, in rounds of 1 s", "writes", paused, 200),
            self._asked(f"POST /rooms/{{id}}/messages, {len(people)} at once", "writes", spoken, 201, once=True),
            self._asked("PATCH /swarms/{id}, no round to wait for", "writes", [(paced,)] * CONNECTIONS, 200),
        ]

    def _read(self, name: str, paths: Sequence[str], status: int = 200, *headers: str) -> Row:
        lane = tuple(_request("GET", path, None, None, *headers) for path in paths)
        return self._asked(name, "reads", [lane] * CONNECTIONS, status)

    def _asked(self, name: str, unit: str, lanes: Sequence[tuple[str, ...]], status: int, *, once: bool = False) -> Row:
        """Returns the figure of requests that must all have one status. Raises BenchFailed."""
        self._say(name)
        found = self._asker.ask(port=self._port, lanes=lanes, seconds=self._seconds, once=once)
        if found["statuses"].keys() != {str(status)}:
            raise BenchFailed(f"{name} was answered with {found['statuses']}, not all {status}")
        return with_times(row(name, unit, len(found["times_s"]), found["took_s"]), found["times_s"])


@contextmanager
def _people(port: int, count: int) -> Iterator[list[Client]]:
    """Gives so many people who are signed in."""
    with ExitStack() as ends:
        people = [ends.enter_context(Client(f"http://127.0.0.1:{port}")) for _ in range(count)]
        _until(lambda: people[0]._http.get("/readyz").status_code == 200, "the API is ready")  # noqa: SLF001 - see above
        for one in people:
            one.sign_in(bytes(Account.create().key))
        yield people


def _first_deal(client: Client, room: str) -> str:
    return _until(lambda: client.list_deals(room_id=room, status="completed").deals, "a swarm makes a deal")[0].id


def _buyers(client: Client, swarm: str, count: int) -> list[str]:
    """Waits until the buyers of a swarm have joined; one seller has nothing for most of them."""

    def joined() -> list[str]:
        agents = client.list_agents(swarm_id=swarm, limit=100).agents
        found = [agent.id for agent in agents if agent.role == "buyer"]
        return found if len(found) >= count else []

    return _until(joined, f"{count} agents join")[:count]


def _until(look: Callable[[], Found], what: str) -> Found:
    """Returns what is found as soon as it is any. Raises BenchFailed."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not (found := look()):
        if time.monotonic() > deadline_s:
            raise BenchFailed(f"waited {PATIENCE_S:g} s in vain until {what}")
        time.sleep(POLL_S)
    return found


def _token(client: Client) -> str:
    return client.session.access


def _request(method: str, path: str, body: dict[str, Any] | None, token: str | None, *headers: str) -> str:
    """Returns a request as it goes over the wire."""
    content = "" if body is None else json.dumps(body)
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join((*lines, "", content))


def _quiet(_what: str, _took_s: float) -> None:
    """Tells nobody."""
