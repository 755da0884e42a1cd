"""Reads an archive's files without trusting a byte of them. What cannot be read is kept as a finding."""

from __future__ import annotations

import base64
import hashlib
from operator import itemgetter
from pathlib import Path
from typing import Any

import msgspec

from agentrooms.domain.canonical import canonical
from agentrooms.domain.event import Event
from agentrooms.domain.mandate import SignedMandate
from agentrooms.errors import AgentroomsError
from agentrooms.events.record import PLATFORM, Recorded, decode_line
from agentrooms.events.tags import command_tag
from agentrooms.sim.archive import (
    EVENTS,
    MANIFEST,
    ROOM,
    VAULT,
    Manifest,
    NotAnArchive,
    kind_of,
    read_manifest,
    require_format,
)
from agentrooms.sim.audit.report import Progress
from agentrooms.sim.live_archive import Redaction, RoomManifest, read_redaction, read_room_manifest

STEP = 10_000  # events between two reports of progress
UNREADABLE = (AgentroomsError, ValueError, RecursionError, OverflowError)

_COMMAND = command_tag("")
_MANDATE = msgspec.json.Decoder(SignedMandate)


HIDDEN, ELSEWHERE = "redacted", "elsewhere"  # types under which rules see what is no line of the archive's chains


class Hidden(Event, frozen=True):
    """What a rule sees of a redacted event: nothing."""


class Log:
    """The lines of `events.ndjson`; `events` holds those that decode, with their line numbers from 1.

    Of a live room's archive, `hidden` are the redacted lines and `elsewhere` those of other rooms; a run has none.
    """

    def __init__(self, data: bytes, progress: Progress, room: str | None = None) -> None:
        self.data = data
        self.ends_whole = data.endswith(b"\n") or not data
        self.lines = data.split(b"\n")
        if not self.lines[-1]:
            self.lines.pop()
        self.events: list[tuple[int, Recorded]] = []
        self.hidden: list[tuple[int, Redaction]] = []
        self.elsewhere: list[tuple[int, Recorded]] = []
        self.broken: dict[int, str] = {}
        for number, line in enumerate(self.lines, start=1):
            if number % STEP == 1:
                progress("read", number - 1, len(self.lines))
            try:
                self._read(number, line, room)
            except UNREADABLE as error:
                self.broken[number] = str(error)

    def _read(self, number: int, line: bytes, room: str | None) -> None:
        hidden = read_redaction(line) if room is not None and b'"redacted":' in line else None
        if hidden is not None:
            self.hidden.append((number, hidden))
            return
        recorded = decode_line(line)
        foreign = room is not None and recorded.chain not in {PLATFORM, room}
        (self.elsewhere if foreign else self.events).append((number, recorded))

    @property
    def end_line(self) -> int:
        """The number of the last line of a room's own chain, 0 when there is none."""
        return max((number for number, link in self.links() if link.chain != PLATFORM), default=0)

    def links(self) -> list[tuple[int, Recorded | Redaction]]:
        """Returns the lines that form whole chains: all but those of other rooms."""
        if not self.hidden:
            return list(self.events)
        return sorted([*self.events, *self.hidden], key=itemgetter(0))

    def decoded(self) -> list[tuple[int, Recorded]]:
        """Returns all lines that have a body."""
        return sorted([*self.events, *self.elsewhere], key=itemgetter(0)) if self.elsewhere else self.events

    def steps(self) -> list[tuple[int, Recorded]]:
        """Returns what rules walk along: redacted lines and those of other rooms have types of their own."""
        if not self.hidden and not self.elsewhere:
            return self.events
        other = [(number, msgspec.structs.replace(r, type=ELSEWHERE)) for number, r in self.elsewhere]
        hidden = [(n, Recorded(h.chain, h.seq, 0, "", HIDDEN, (), Hidden(), "", b"")) for n, h in self.hidden]
        return sorted([*self.events, *other, *hidden], key=itemgetter(0))

    def place(self, number: int) -> str:
        """Returns a line's place in words."""
        if not number:
            return ""
        where = f"{EVENTS} line {number}"
        hidden = next((h for n, h in self.hidden if n == number), None)
        if hidden is not None:
            return f"{where} ({hidden.chain} seq {hidden.seq}, redacted)"
        recorded = next((r for n, r in self.decoded() if n == number), None)
        return where if recorded is None else f"{where} ({recorded.chain} seq {recorded.seq}, {recorded.type})"


class Vault:
    """The vault's entries by key; `problems` says what is wrong with the file."""

    def __init__(self, data: bytes) -> None:
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.entries: dict[str, bytes] = {}
        self.problems: list[str] = []
        self._mandates: dict[str, SignedMandate | None] = {}
        for number, line in enumerate(data.splitlines(keepends=True), start=1):
            try:
                self._read(line)
            except UNREADABLE as error:
                self.problems.append(f"{VAULT} line {number} cannot be read: {error}")

    def _read(self, line: bytes) -> None:
        entry = msgspec.json.decode(line, type=dict[str, str])
        if set(entry) != {"key", "secret"} or canonical(entry) + b"\n" != line:
            raise ValueError("it is not a canonical entry of key and secret")
        if entry["key"] in self.entries:
            raise ValueError(f"key {entry['key']} stands there twice")
        secret = base64.b64decode(entry["secret"], validate=True)
        if base64.b64encode(secret).decode() != entry["secret"]:
            raise ValueError("its secret is not canonical base64")
        self.entries[entry["key"]] = secret

    def mandate(self, key: str) -> SignedMandate | None:
        """Returns the decoded entry of a key, None when there is none or it is no mandate."""
        if key not in self._mandates:
            self._mandates[key] = _mandate(self.entries.get(key))
        return self._mandates[key]


class Source:
    """One archive as it was found: that of a run, with `manifest`, or that of a live room, with `room`."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self.manifest_bytes = _bytes(folder / MANIFEST)
        require_format(folder)
        self.live = kind_of(folder) == ROOM
        self.manifest: Manifest | None = None
        self.room: RoomManifest | None = None
        self.manifest_problem = ""
        try:
            if self.live:
                self.room = read_room_manifest(folder)
            else:
                self.manifest = read_manifest(folder)
        except UNREADABLE as error:
            self.manifest_problem = str(error)
        room = self.room.room if self.room is not None else ""
        self.log = Log(_bytes(folder / EVENTS), progress, room if self.live else None)
        self.vault = Vault(_bytes(folder / VAULT)) if (folder / VAULT).exists() else None

    @property
    def partial(self) -> bool:
        """Whether the archive begins after its room's first line, so that nobody knows the state before."""
        return self.room is not None and self.room.first > 1

    @property
    def either(self) -> Manifest | RoomManifest | None:
        """The manifest of either kind, None when it cannot be read."""
        return self.room if self.live else self.manifest


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotAnArchive(
            f"{path.parent} has no readable {path.name}: {error}", hint="make an archive with `agentrooms swarm run`"
        ) from error


def _mandate(secret: bytes | None) -> SignedMandate | None:
    try:
        return _MANDATE.decode(secret) if secret is not None else None
    except UNREADABLE:
        return None


def fields_of(line: bytes) -> dict[str, Any]:
    """Returns a line's JSON object; {} for anything else."""
    try:
        found = msgspec.json.decode(line)
    except UNREADABLE:
        return {}
    return found if isinstance(found, dict) else {}


def command_of(recorded: Recorded) -> str:
    """Returns the id of the person's command that an event's tags name, "" for none."""
    return next((tag.removeprefix(_COMMAND) for tag in recorded.tags if tag.startswith(_COMMAND)), "")
