"""What must hold of a log, its ledger, votes and tables when all is over, whatever struck in between."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
import psycopg
from nacl.signing import SigningKey
from psycopg import sql

from agentrooms.chain.ledger import LedgerChain
from agentrooms.domain.deal import DealCertified, DealCompleted, DealFailed, DealLocked, Terms, Vote
from agentrooms.domain.room import RoomClosed, RoomOpened
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.record import GENESIS, PLATFORM, Recorded, decode_line
from agentrooms.events.store import Positioned
from agentrooms.events.tags import cmd_tag
from agentrooms.events.vault import NotInVault, Vault
from agentrooms.live.access import READ
from agentrooms.projections.rebuild import compare, fill
from agentrooms.sim import archive
from agentrooms.sim.archive import Finished
from agentrooms.sim.audit import Report, audit
from agentrooms.sim.live_archive import export_room

AGAIN = "read_again"  # the schema of the tables that are made anew
CMD = cmd_tag("")
_CURSOR = sql.SQL("SELECT position FROM {}").format(sql.Identifier(READ, "cursor"))
_VOTE = msgspec.json.Decoder(Vote)


def recorded(stored: Iterable[Positioned]) -> list[Recorded]:
    """Returns the events of a log."""
    return [decode_line(found.event.data) for found in stored]


def rooms_of(events: Iterable[Recorded]) -> list[str]:
    """Returns the rooms that events are of."""
    return sorted({event.chain for event in events} - {PLATFORM})


def check_log(stored: Sequence[Positioned]) -> list[str]:
    """Checks positions, chains, rooms that must have closed, locks that must have ended and effects of commands."""
    events = recorded(stored)
    wrong = []
    if [found.position for found in stored] != list(range(1, len(stored) + 1)):
        wrong.append("the log's positions are not 1, 2, 3, …")
    return [*wrong, *_chains(events), *_rooms(events), *_locks(events), *_effects(stored, events)]


def _chains(events: Sequence[Recorded]) -> list[str]:
    ends: dict[str, tuple[int, str]] = {}
    wrong = []
    for event in events:
        seq, prev = ends.get(event.chain, (0, GENESIS))
        if (event.seq, event.prev) != (seq + 1, prev):
            wrong.append(f"chain {event.chain}: after {seq} comes {event.seq}, or on another hash")
        ends[event.chain] = (event.seq, event.hash)
    return wrong


def _rooms(events: Sequence[Recorded]) -> list[str]:
    opened = {event.chain for event in events if isinstance(event.event, RoomOpened)}
    closed = Counter(event.chain for event in events if isinstance(event.event, RoomClosed))
    return [f"room {room} has closed {closed[room]} times" for room in sorted(opened) if closed[room] != 1]


def _locks(events: Sequence[Recorded]) -> list[str]:
    locked: dict[str, int] = {}
    ended: Counter[str] = Counter()
    wrong = []
    for event in events:
        match event.event:
            case DealLocked(terms=terms):
                if terms.deal in locked:
                    wrong.append(f"deal {terms.deal} is locked twice")
                locked[terms.deal] = event.seq
            case DealCompleted(deal=deal) | DealFailed(deal=deal):
                ended[deal] += 1
    wrong += [f"deal {deal} ended {ended[deal]} times" for deal in locked if ended[deal] != 1]
    return wrong + [f"deal {deal} ended without a lock" for deal in ended.keys() - locked.keys()]


def _effects(stored: Sequence[Positioned], events: Sequence[Recorded]) -> list[str]:
    """Each command's events are one append: of one chain, one after the other, of one line command."""
    of: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for found, event in zip(stored, events, strict=True):
        for tag in found.event.tags:
            if tag.startswith(CMD):
                of[tag].add((event.chain, event.cmd))
    return [f"command {tag} had {len(effects)} effects" for tag, effects in of.items() if len(effects) != 1]


def check_ledger(memory: Vault, events: Sequence[Recorded]) -> list[str]:
    """Checks that the chain has executed the deals the log calls completed and no other, and that nothing is lost."""
    ledger = LedgerChain(memory)  # asserts after every entry that money is conserved
    terms = _terms(events)
    completed = [event.event.deal for event in events if isinstance(event.event, DealCompleted)]
    wrong = []
    if ledger.used.keys() != set(completed):
        wrong.append(f"executed on the chain {sorted(ledger.used)}, completed in the log {sorted(completed)}")
    owners = {(terms[deal].collection, terms[deal].item.token_id): terms[deal].buyer_wallet for deal in completed}
    return wrong + [
        f"{key} belongs to {ledger.owners.get(key)}" for key, to in owners.items() if ledger.owners.get(key) != to
    ]


def check_votes(memory: Vault, events: Sequence[Recorded]) -> list[str]:
    """Checks that each vote of a certificate is the one that its verifier remembers."""
    wrong = []
    for event in events:
        if not isinstance(event.event, DealCertified):
            continue
        for vote in event.event.votes:
            key = f"vote/{vote.verifier}/{event.event.deal}"
            try:
                kept = _VOTE.decode(memory.get(key))
            except NotInVault:
                wrong.append(f"{key} is not remembered")
                continue
            if kept != vote:
                wrong.append(f"{key}: the certificate has another vote")
    return wrong


def check_tables(dsn: str, schema: str) -> list[str]:
    """Compares the projector's tables with tables made anew, table by table. The projector must have caught up."""
    with closing(PostgresLog(dsn, schema)) as store:
        fill(store, dsn, AGAIN).close()
    return [f"tables: {difference}" for difference in compare(dsn, READ, AGAIN)]


def projected(dsn: str) -> int:
    """Returns the position up to which the tables are made; 0 when there are none yet."""
    try:
        with psycopg.connect(dsn) as connection:
            row = connection.execute(_CURSOR).fetchone()
    except psycopg.Error:
        return 0
    return int(row[0]) if row is not None else 0


def check_archives(
    store: PostgresLog, vault: Vault, key: SigningKey, room_key: Callable[[str], bytes], rooms: Sequence[str]
) -> list[str]:
    """Exports rooms with all limits, verifies them and lets their agents decide again."""
    wrong = []
    with tempfile.TemporaryDirectory(prefix="agentrooms-chaos-") as folder:
        for room in rooms:
            out = Path(folder) / room
            export_room(store, vault, room, first=1, last=None, opened=True, key=key, room_key=room_key(room), out=out)
            wrong += _failed(room, audit(out, re_execute=True))
    return wrong


def check_run(run: Finished) -> list[str]:
    """Writes the archive of a reproducible run and verifies it."""
    with tempfile.TemporaryDirectory(prefix="agentrooms-chaos-") as folder:
        out = Path(folder) / "run"
        archive.write(out, run)
        return _failed(run.run_id, audit(out))


def _failed(what: str, report: Report) -> list[str]:
    return [f"verify {what}: {check.name}: {check.detail}" for check in report.checks if not check.passed]


def _terms(events: Sequence[Recorded]) -> dict[str, Terms]:
    return {event.event.terms.deal: event.event.terms for event in events if isinstance(event.event, DealLocked)}
