"""What a swarm did, as a file: its room's lines, its tables, or the room's sealed archive. Nothing of it is secret."""

from __future__ import annotations

import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from agentrooms.api.home import Home
from agentrooms.api.problems import Problem
from agentrooms.events.catalogue import BY_NAME
from agentrooms.events.journal import fence
from agentrooms.events.record import decode_line
from agentrooms.live.access import LiveLog
from agentrooms.projections import queries
from agentrooms.projections.messages import MessageRow
from agentrooms.projections.read_rows import ReadAgent, ReadDeal, RoomRow, SwarmRow
from agentrooms.sim.live_archive import export_room, redact

LINES_A_PAGE = 1_000  # read at once
ROWS_A_PAGE = queries.PAGE_MAX
ARCHIVE_EVENTS_MAX = 50_000  # a longer room's archive `agentrooms export` writes
ARCHIVES_AT_ONCE = 2  # made in one process: each is held in memory
CHUNK_BYTES = 65_536
FORMULA = ("=", "+", "-", "@", "\t", "\r")
EPOCH = (1980, 1, 1, 0, 0, 0)  # of files in a zip, so that equal archives are equal bytes

_MAKING = threading.BoundedSemaphore(ARCHIVES_AT_ONCE)

Table = Literal["deals", "messages", "agents"]


def lines_of(home: Home, room: str) -> Iterator[bytes]:
    """Yields the lines of a room as the log has them now; of a private one its number and hash."""
    after, head = 0, home.store.head()
    while True:
        page = home.store.read(fence(room), after=after, limit=LINES_A_PAGE)
        for found in page:
            if found.position <= head:
                recorded = decode_line(found.event.data)
                yield (redact(recorded) if BY_NAME[recorded.type].private else recorded.line) + b"\n"
        if len(page) < LINES_A_PAGE or page[-1].position >= head:
            return
        after = page[-1].position


def table_of(home: Home, swarm: SwarmRow, table: Table) -> Iterator[bytes]:
    """Yields a table of a swarm as CSV, with a line of names first."""
    match table:
        case "deals":
            return _csv(
                ReadDeal,
                _pages(
                    home,
                    lambda read, last: queries.deals(
                        read, swarm=swarm.swarm, after=last.locked_event if last else None, limit=ROWS_A_PAGE
                    ),
                ),
            )
        case "messages":
            return _csv(
                MessageRow,
                _pages(
                    home,
                    lambda read, last: queries.swarm_messages(
                        read, swarm.swarm, after=last.event if last else 0, limit=ROWS_A_PAGE
                    ),
                ),
            )
        case "agents":
            return _csv(
                ReadAgent,
                _pages(
                    home,
                    lambda read, last: queries.agents(
                        read, swarm=swarm.swarm, after=last.agent if last else "", limit=ROWS_A_PAGE
                    ),
                ),
            )


def archive_of(home: Home, room: RoomRow) -> Iterator[bytes]:
    """Yields the sealed archive of a room as a zip, which is made in a file first. Raises Problem, InvalidInput."""
    if room.seq > ARCHIVE_EVENTS_MAX:
        raise Problem(
            413, f"the room has more than {ARCHIVE_EVENTS_MAX} events", hint="`agentrooms export room:ID` writes them"
        )
    if not _MAKING.acquire(blocking=False):
        raise Problem(503, "other archives are being made", hint="try again in a moment")
    made = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed when all of it is sent
    try:
        _make(home, room.room, made)
    except BaseException:
        made.close()
        raise
    finally:
        _MAKING.release()
    return _sent(made)


def _make(home: Home, room: str, made: IO[bytes]) -> None:
    log = LiveLog(home.store, home.vault, home.secret, "")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, room)
        key = log.signing_key()
        export_room(log.store, log.vault, room, first=1, last=None, opened=False, key=key, room_key=None, out=out)
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as zipped:
            for file in sorted(out.iterdir()):
                entry = zipfile.ZipInfo(f"{room}/{file.name}", EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                zipped.writestr(entry, file.read_bytes())


def _sent(made: IO[bytes]) -> Iterator[bytes]:
    with made:
        made.seek(0)
        while chunk := made.read(CHUNK_BYTES):
            yield chunk


def _pages(home: Home, fetch: Callable[[queries.Connection, Any], Sequence[Any]]) -> Iterator[Sequence[msgspec.Struct]]:
    last = None
    while page := home.reads.run(partial(_fetched, fetch, last)):
        yield page
        if len(page) < ROWS_A_PAGE:
            return
        last = page[-1]


def _fetched(
    fetch: Callable[[queries.Connection, Any], Sequence[Any]], last: object, read: queries.Connection
) -> Sequence[Any]:
    return fetch(read, last)


def _csv(row: type[msgspec.Struct], pages: Iterator[Sequence[msgspec.Struct]]) -> Iterator[bytes]:
    yield _encoded([row.__struct_fields__])
    for page in pages:
        yield _encoded([msgspec.to_builtins(msgspec.structs.astuple(one)) for one in page])


def _encoded(rows: Sequence[Sequence[object]]) -> bytes:
    return "".join(",".join(map(csv_field, row)) + "\n" for row in rows).encode()


def csv_field(value: object) -> str:
    """Returns a field of CSV: texts in quotes, a missing value is nothing.

    A text that a spreadsheet would run as a formula gets an apostrophe before it: strangers write messages and names.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(value)
    safe = f"'{value}" if value.startswith(FORMULA) else value
    return '"' + safe.replace('"', '""') + '"'
