"""Reads an archive's files without trusting a byte of them. What cannot be read is kept as a finding."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import msgspec

from agentrooms.domain.canonical import canonical
from agentrooms.domain.mandate import SignedMandate
from agentrooms.errors import AgentroomsError
from agentrooms.events.record import Recorded, decode_line
from agentrooms.events.tags import command_tag
from agentrooms.sim.archive import EVENTS, MANIFEST, VAULT, Manifest, NotAnArchive, read_manifest
from agentrooms.sim.audit.report import Progress

STEP = 10_000  # events between two reports of progress
UNREADABLE = (AgentroomsError, ValueError, RecursionError, OverflowError)

_COMMAND = command_tag("")
_MANDATE = msgspec.json.Decoder(SignedMandate)


class Log:
    """The lines of `events.ndjson`; `events` holds those that decode, with their line numbers from 1."""

    def __init__(self, data: bytes, progress: Progress) -> None:
        self.data = data
        self.ends_whole = data.endswith(b"\n") or not data
        self.lines = data.split(b"\n")
        if not self.lines[-1]:
            self.lines.pop()
        self.events: list[tuple[int, Recorded]] = []
        self.broken: dict[int, str] = {}
        for number, line in enumerate(self.lines, start=1):
            if number % STEP == 1:
                progress("read", number - 1, len(self.lines))
            try:
                self.events.append((number, decode_line(line)))
            except UNREADABLE as error:
                self.broken[number] = str(error)

    def place(self, number: int) -> str:
        """Returns a line's place in words."""
        if not number:
            return ""
        where = f"{EVENTS} line {number}"
        recorded = next((r for n, r in self.events if n == number), None)
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
    """One archive as it was found."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self.log = Log(_bytes(folder / EVENTS), progress)
        self.manifest_bytes = _bytes(folder / MANIFEST)
        self.manifest: Manifest | None = None
        self.manifest_problem = ""
        try:
            self.manifest = read_manifest(folder)
        except UNREADABLE as error:
            self.manifest_problem = str(error)
        self.vault = Vault(_bytes(folder / VAULT)) if (folder / VAULT).exists() else None


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
