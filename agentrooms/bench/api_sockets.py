"""Measures the API's sockets: many clients over rooms that speak at a steady rate, against a bare uvicorn application.

Who speaks, who listens and who serves are processes of their own. They share the machine's cores, and with them the
databases: the time a message takes is that of a machine that does all of it.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from agentrooms.bench.api_worker import BenchFailed, Worker
from agentrooms.bench.rows import PERMILLE, Progress, SocketRow, share
from agentrooms.events.postgres import migrate_log
from agentrooms.live.access import LOG, RUNNING, Running
from agentrooms.live.chain import chain_of
from agentrooms.live.inbox import migrate_inbox
from agentrooms.services.folder import DataFolder
from agentrooms.services.listening import listening
from agentrooms.services.postgres import Postgres
from agentrooms.services.redis import Redis
from agentrooms.services.settings import Settings

RATE = 20  # events a second in each room
WARM_S = 1.0
TRIAL_S = 3.0  # of one rate, when the highest is sought
TRIALS = 6
RATE_MAX = 640
PAIRS = 2  # of measurements: the API, then the baseline
PATIENCE_S = 20.0  # for what is still on its way when nobody speaks any more
AIM_P99_MICROS, AIM_RATIO_PERMILLE = 100_000, 1_300
LIMITLESS = {"REQUESTS_PER_MINUTE": "10000000", "SPAWNS_PER_HOUR": "1000000", "TRUSTED_PROXIES": "0"}
Run = Callable[[float, float], dict[str, Any]]


def run_sockets(
    *, clients: int, rooms: int, seconds: float, search: bool, say: Progress, folder: Path
) -> list[SocketRow]:
    """Returns the API's figures at RATE, the baseline's, and those of the highest rate that is soon enough."""
    with ExitStack() as ends:
        say("starting Postgres, Redis and the API")
        stage = ends.enter_context(_stage(folder, clients, rooms))
        return stage.measure(seconds, search=search, say=say)


class Side:
    """One of the two servers that are compared."""

    def __init__(self, name: str, worker: Worker, port: int, talk: Run) -> None:
        self.name, self.worker, self.port, self.talk = name, worker, port, talk


class Stage:
    """Everything that runs while sockets are measured."""

    def __init__(self, folder: Path, clients: int, rooms: int, api: Side, watcher: Worker, talker: Worker) -> None:
        self._folder, self._clients = folder, clients
        self._rooms = tuple(f"room_{number}" for number in range(rooms))
        self._api, self._watcher, self._talker = api, watcher, talker

    def measure(self, seconds: float, *, search: bool, say: Progress) -> list[SocketRow]:
        """Returns all figures."""
        found: dict[str, list[_Measured]] = {"api": [], "bare": []}
        sample = self._warmed(say)
        with _bare(self._folder, sample) as bare:
            for pair in range(PAIRS):
                for side in (self._api, bare):
                    say(f"{side.name}, {self._clients} clients, {pair + 1} of {PAIRS}")
                    with self._connected(side):
                        found[side.name].append(self._run(side, RATE, seconds / PAIRS))
        baseline = self._row("bare uvicorn", RATE, found["bare"])
        row = self._row("the API", RATE, found["api"], baseline)
        rows = [msgspec.structs.replace(row, aim_p99_micros=AIM_P99_MICROS, aim_ratio_permille=AIM_RATIO_PERMILLE)]
        rows.append(baseline)
        if search:
            rows.append(self._highest(say))
        return rows

    def _warmed(self, say: Progress) -> bytes:
        """Returns one frame as the API sends it."""
        say(f"{self._clients} clients join")
        with self._connected(self._api):
            sample: str = self._run(self._api, RATE, WARM_S).sample
        return sample.encode()

    @contextmanager
    def _connected(self, side: Side) -> Iterator[None]:
        self._watcher.ask(do="connect", port=side.port, clients=self._clients, rooms=self._rooms)
        try:
            yield
        finally:
            self._watcher.ask(do="leave")

    def _run(self, side: Side, rate: float, seconds: float) -> _Measured:
        """Lets the rooms speak for a while. Raises BenchFailed when clients that were not closed miss anything."""
        others = {"clients": self._watcher, "writer": self._talker}
        before_s, others_s = side.worker.cpu_s(), {name: one.cpu_s() for name, one in others.items()}
        said = side.talk(rate, seconds)
        seen = self._watcher.ask(do="collect", heads=said["heads"], patience_s=PATIENCE_S)
        if seen["missing"]:
            raise BenchFailed(f"clients of {side.name} that were not closed miss {seen['missing']} events")
        return _Measured(
            events=said["events"],
            took_s=said["took_s"],
            durable_s=said["durable_s"],
            not_published=said["frames_dropped"],
            frames=seen["frames"],
            ages_s=sorted(seen["ages_s"]),
            closed=seen["closed"],
            sample=seen["sample"],
            cpu_s=side.worker.cpu_s() - before_s,
            others_cpu_s={name: one.cpu_s() - others_s[name] for name, one in others.items()},
        )

    def _highest(self, say: Progress) -> SocketRow:
        """Returns the figures of the highest rate found at which the API is soon enough: doubled, then halved between."""
        good, bad, best = 0.0, float(RATE_MAX), None
        rate = float(RATE)
        for _trial in range(TRIALS):
            say(f"{rate:.0f} events a second a room")
            with self._connected(self._api):
                self._run(self._api, RATE, WARM_S)
                measured = self._run(self._api, rate, TRIAL_S)
            if measured.good:
                good, best = rate, measured
            else:
                bad = rate
            rate = min((good + bad) / 2, 2 * good) if good else bad / 2
            if bad - good < bad / 10:
                break
        name = "at most, p99 < 100 ms"
        return self._row(name, round(good), [] if best is None else [best])

    def _row(self, name: str, rate: int, parts: list[_Measured], baseline: SocketRow | None = None) -> SocketRow:
        frames, took_s = sum(part.frames for part in parts), sum(part.took_s for part in parts)
        ages = sorted(age for part in parts for age in part.ages_s)
        durable = sorted(age for part in parts for age in part.durable_s)
        cpu_nanos = int(sum(part.cpu_s for part in parts) * 1e9 / max(1, frames))
        closed = sum(sum(part.closed.values()) for part in parts)
        against = None if baseline is None else cpu_nanos * PERMILLE // max(1, baseline.cpu_nanos)
        return SocketRow(
            name=name,
            clients=self._clients,
            rooms=len(self._rooms),
            events_a_second=rate,
            events=sum(part.events for part in parts),
            deliveries=frames,
            deliveries_a_second=int(frames / took_s) if took_s else 0,
            closed=closed,
            not_published=sum(part.not_published for part in parts),
            cpu_nanos=cpu_nanos,
            busy_permille={
                "server": _busy(sum(part.cpu_s for part in parts), took_s),
                **{
                    other: _busy(sum(part.others_cpu_s[other] for part in parts), took_s)
                    for other in ("clients", "writer")
                },
            },
            p50_micros=share(ages, 0.5) if ages else None,
            p99_micros=share(ages, 0.99) if ages else None,
            durable_p50_micros=share(durable, 0.5) if durable else None,
            durable_p99_micros=share(durable, 0.99) if durable else None,
            ratio_permille=against,
        )


class _Measured(msgspec.Struct, frozen=True):
    """One run."""

    events: int
    took_s: float
    durable_s: list[float]
    not_published: int
    frames: int
    ages_s: list[float]
    closed: dict[str, int]
    sample: str
    cpu_s: float
    others_cpu_s: dict[str, float]

    @property
    def good(self) -> bool:
        """Whether everything came, soon enough."""
        return not self.closed and share(self.ages_s, 0.99) < AIM_P99_MICROS


def _busy(cpu_s: float, took_s: float) -> int:
    return int(cpu_s * PERMILLE / took_s) if took_s else 0


@contextmanager
def _stage(path: Path, clients: int, rooms: int) -> Iterator[Stage]:
    with ExitStack() as ends:
        folder = ends.enter_context(DataFolder(path).own("agentrooms bench api"))
        postgres, redis = Postgres(folder.postgres), Redis(folder.redis)
        ends.callback(postgres.stop)
        dsn = postgres.start()
        ends.callback(redis.stop)
        redis_url = redis.start()
        ends.enter_context(chain_of(Settings(chain_mode="ledger"), folder))
        migrate_log(dsn, LOG)
        migrate_inbox(dsn)
        files = ("--dsn", dsn, "--schema", LOG, "--redis", redis_url, "--rooms", str(rooms))
        said = folder.logs
        talker = ends.enter_context(Worker("agentrooms.bench.api_talk", said / "talk.log", *files))
        watcher = ends.enter_context(Worker("agentrooms.bench.api_watch", said / "watch.log"))
        api, port = ends.enter_context(api_process(Running(0, dsn, redis_url, "", str(folder.path))))

        def talk(rate: float, seconds: float) -> dict[str, Any]:
            return talker.ask(rate=rate, seconds=seconds)

        yield Stage(folder.path, clients, rooms, Side("api", api, port, talk), watcher, talker)


@contextmanager
def api_process(running: Running) -> Iterator[tuple[Worker, int]]:
    """Gives the API as `up` serves it, on a port of its own, with no limit on how much one address may ask."""
    folder = DataFolder(running.folder)
    described = folder.path / f"bench-{RUNNING}"
    described.write_bytes(msgspec.json.encode(running))
    options = ("--with-parent", "--running", str(described))
    with _served("agentrooms.api.server", folder.logs / "api.log", *options, env=LIMITLESS) as served:
        yield served


@contextmanager
def _bare(path: Path, template: bytes) -> Iterator[Side]:
    file = path / "template.json"
    file.write_bytes(template)
    options = ("--template", str(file))
    with _served("agentrooms.bench.api_bare", DataFolder(path).logs / "bare.log", *options) as (worker, port):

        def talk(rate: float, seconds: float) -> dict[str, Any]:
            url = f"http://127.0.0.1:{port}/talk?rate={rate}&seconds={seconds}"
            with urllib.request.urlopen(url, timeout=seconds + PATIENCE_S) as answer:
                found: dict[str, Any] = msgspec.json.decode(answer.read())
            return found

        yield Side("bare", worker, port, talk)


@contextmanager
def _served(module: str, said: Path, *options: str, env: dict[str, str] | None = None) -> Iterator[tuple[Worker, int]]:
    with listening("127.0.0.1", 0) as listener:
        fd, port = listener.fileno(), int(listener.getsockname()[1])
        with Worker(module, said, *options, "--fd", str(fd), fds=(fd,), env=env) as worker:
            yield worker, port
