"""The log writer's process is killed, or its server restarts: nothing acknowledged is lost, nothing is doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agentrooms.events.log_writer import LogWriter
from agentrooms.events.postgres import migrate_log
from agentrooms.events.store import Condition, Conflict, QueryItem, StoredEvent, StoreError
from agentrooms.services import failpoints
from agentrooms.services.postgres import Postgres

COMMANDS = [f"c:{n}" for n in range(12)]


def apply(writer: LogWriter, command: str) -> int | Conflict:
    """A command's effect is two events; it has it once."""
    events = [StoredEvent("a", b"%s/%d" % (command.encode(), n), (command,)) for n in range(2)]
    return writer.append(events, Condition((QueryItem((command,)),), 0))


def effects(writer: LogWriter) -> list[bytes]:
    return [p.event.data for p in writer.read()]


def expected(commands: list[str]) -> list[bytes]:
    return [b"%s/%d" % (command.encode(), n) for command in commands for n in range(2)]


# Prints the command whose answer has come, from as many threads as it is told.
PROGRAM = """
import sys
from concurrent.futures import ThreadPoolExecutor
from agentrooms.events.log_writer import LogWriter
from tests.events.test_log_writer_crash import apply

dsn, schema, threads, commands = sys.argv[1:]
writer = LogWriter(dsn, schema)

def run(n):
    assert isinstance(apply(writer, f"c:{n}"), int)
    sys.stdout.write(f"c:{n}\\n")
    sys.stdout.flush()

with ThreadPoolExecutor(int(threads)) as pool:
    list(pool.map(run, range(int(commands))))
"""


def start(dsn: str, schema: str, *, threads: int = 1, commands: int, failpoint: str = "") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, dsn, schema, str(threads), str(commands)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, failpoints.VARIABLE: failpoint, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


@pytest.mark.parametrize(
    ("point", "kept"), [("log.before_commit", 4), ("log.after_commit", 5), ("log.before_answer", 5)]
)
def test_a_writer_killed_at_a_failpoint(postgres_dsn: str, fresh_schema: str, point: str, kept: int) -> None:
    """Whether the fifth command is in the log depends on the moment; when all come again, each has one effect."""
    migrate_log(postgres_dsn, fresh_schema)
    process = start(postgres_dsn, fresh_schema, commands=len(COMMANDS), failpoint=f"{point}:exit:5")
    acknowledged = process.communicate()[0].split()
    assert process.returncode == failpoints.EXIT_STATUS
    assert acknowledged == COMMANDS[:4]
    with closing(LogWriter(postgres_dsn, fresh_schema)) as writer:
        assert writer.stats().generation == 2
        assert effects(writer) == expected(COMMANDS[:kept])
        again = [apply(writer, command) for command in COMMANDS]
        assert [isinstance(outcome, Conflict) for outcome in again] == [n < kept for n in range(len(COMMANDS))]
        assert effects(writer) == expected(COMMANDS)


def test_a_writer_killed_under_load(postgres_dsn: str, fresh_schema: str) -> None:
    """`kill -9` while many threads append: groups are whole, and what was acknowledged is there."""
    migrate_log(postgres_dsn, fresh_schema)
    process = start(postgres_dsn, fresh_schema, threads=8, commands=100_000)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(500)]
    process.send_signal(signal.SIGKILL)
    acknowledged += [line for line in process.communicate()[0].split("\n")[:-1] if line]
    assert process.returncode == -signal.SIGKILL
    with closing(LogWriter(postgres_dsn, fresh_schema)) as writer:
        written = effects(writer)
        commands = [data.decode().removesuffix("/0") for data in written[::2]]
        assert written == expected(commands)
        assert len(set(commands)) == len(commands)
        assert set(acknowledged) <= set(commands)
        assert isinstance(apply(writer, acknowledged[-1]), Conflict)
        assert apply(writer, "new") == len(written) + 2


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Postgres]:
    server = Postgres(tmp_path / "postgres")
    server.start()
    yield server
    server.stop()


def test_the_server_restarts_under_load(server: Postgres) -> None:
    """In order, then by kill -9. Threads go on where they were; readers do too."""
    migrate_log(server.dsn, "log")
    writer = LogWriter(server.dsn, "log")
    ends = threading.Event()
    errors: list[BaseException] = []
    done = [0] * 4

    def run(thread: int) -> None:
        try:
            while not ends.is_set():
                assert isinstance(apply(writer, f"{thread}:{done[thread]}"), int)
                done[thread] += 1
                assert writer.read(limit=1) != []
        except BaseException as error:  # noqa: BLE001 -- shown by the test
            errors.append(error)

    def wait_for_progress() -> None:
        before = list(done)
        while any(new < old + 5 for new, old in zip(done, before, strict=True)) and not errors:
            ends.wait(0.005)

    threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    wait_for_progress()
    server.stop()
    server.start()
    wait_for_progress()
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while server.pid == pid:
        ends.wait(0.005)
    server.start()
    wait_for_progress()
    ends.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert writer.stats().recoveries >= 2
    written = effects(writer)
    writer.close()
    assert sorted(written) == sorted(d for t in range(4) for d in expected([f"{t}:{n}" for n in range(done[t])]))
    assert len(written) == 2 * sum(done)


def test_a_server_that_stays_away_is_a_clear_error_and_then_the_writer_goes_on(
    server: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for so long; callers are told that the outcome is not known. Nothing is doubled."""
    from agentrooms.events import postgres

    monkeypatch.setattr(postgres, "RECONNECT_S", 0.2)
    migrate_log(server.dsn, "log")
    with closing(LogWriter(server.dsn, "log")) as writer:
        assert apply(writer, "c:0") == 2
        server.stop()
        with pytest.raises(StoreError, match="cannot be reached") as caught:
            apply(writer, "c:1")
        assert "Postgres" in caught.value.hint
        with pytest.raises(StoreError, match="cannot be reached"):
            writer.read()
        server.start()
        assert isinstance(apply(writer, "c:0"), Conflict)
        assert apply(writer, "c:1") == 4
        assert effects(writer) == expected(["c:0", "c:1"])
