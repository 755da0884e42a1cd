"""A run's archive: a folder with `events.ndjson`, `vault.ndjson` and a signed `manifest.json`.

Only `events.ndjson` is compared between runs. The manifest says what made it and where its chains
end; the vault holds the mock mandates, so that a simulated run can be checked in full. The archive
of a live room (`live_archive.py`) has the same files and shares what stands in `SignedManifest`.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
from nacl.signing import SigningKey

from agentrooms.domain.canonical import canonical, digest
from agentrooms.domain.keys import derive_key, public_hex, sign, verify
from agentrooms.errors import AgentroomsError, InvalidInput
from agentrooms.events.journal import Head
from agentrooms.events.record import Recorded, decode_line
from agentrooms.events.store import EventStore
from agentrooms.events.vault import MemoryVault, Vault
from agentrooms.sim import folders, sales
from agentrooms.sim.settings import RunSettings

EVENTS, VAULT, MANIFEST = "events.ndjson", "vault.ndjson", "manifest.json"
RUN, ROOM = "run", "room"  # kinds of archives; the manifest of a run, which came first, does not say it
FORMATS = {RUN: 2, ROOM: 3}  # what events and vault hold is part of it
FORMAT = FORMATS[RUN]


class Parent(msgspec.Struct, frozen=True):
    """Where a fork comes from: the parent's head and how many events they share."""

    head: str
    events: int


class SignedManifest(msgspec.Struct, frozen=True, kw_only=True):
    """What every manifest says of its log and of the program; `signature` covers all other fields, also a kind's own."""

    version: str
    commit: str | None
    lock_sha256: str | None
    python: str
    events: int
    events_sha256: str
    heads: dict[str, Head]
    head: str
    public_key: str
    signature: str = ""


class Manifest(SignedManifest, frozen=True, kw_only=True):
    """What made a run's archive and where it ends."""

    format: int = FORMAT
    run: str
    settings: RunSettings
    data_sha256: dict[str, str]
    vault_sha256: str
    parent: Parent | None


class Finished(Protocol):
    """A run that has come to its end, wherever its actors lived."""

    @property
    def settings(self) -> RunSettings:
        """What made it."""

    @property
    def run_key(self) -> bytes:
        """The key of all its draws."""

    @property
    def run_id(self) -> str:
        """Its id."""

    @property
    def store(self) -> EventStore:
        """Its log."""

    @property
    def vault(self) -> Vault:
        """Its secrets."""


SomeManifest = TypeVar("SomeManifest", bound=SignedManifest)


class NotAnArchive(InvalidInput):
    """A folder does not hold a readable archive."""


class OtherFormat(NotAnArchive):
    """An archive was made by an earlier or a later version, whose events this program does not know."""


_HINT = "an archive is a folder made by `agentrooms swarm run`"


def _unreadable(path: Path, error: OSError) -> NotAnArchive:
    return NotAnArchive(f"{path} cannot be read: {(error.strerror or str(error)).lower()}", hint=_HINT)


def head_of(heads: dict[str, Head]) -> str:
    """Returns the one hash that stands for where all chains end; keep it elsewhere to find a log rewritten whole."""
    return digest("agentrooms/heads/v1", canonical(heads))


def signed_bytes(manifest: SignedManifest) -> bytes:
    """Returns what the manifest's signature covers."""
    return b"agentrooms/manifest/v1\0" + canonical(msgspec.structs.replace(manifest, signature=""))


def is_signed(manifest: SignedManifest) -> bool:
    """Tells whether the manifest is as it was signed."""
    return verify(manifest.public_key, signed_bytes(manifest), manifest.signature)


def seal(manifest: SomeManifest, key: SigningKey) -> SomeManifest:
    """Returns the manifest with the key's signature."""
    unsigned = msgspec.structs.replace(manifest, public_key=public_hex(key), signature="")
    return msgspec.structs.replace(unsigned, signature=sign(key, signed_bytes(unsigned)))


def file_of(manifest: SignedManifest) -> bytes:
    """Returns the bytes of `manifest.json`."""
    return msgspec.json.format(canonical(manifest), indent=2) + b"\n"


def events_file(lines: list[bytes]) -> bytes:
    """Returns the bytes of `events.ndjson`."""
    return b"".join(line + b"\n" for line in lines)


def made_by() -> dict[str, Any]:
    """Returns the manifest's fields about the program that writes it."""
    return {
        "version": version("agentrooms"),
        "commit": _commit(),
        "lock_sha256": _lock_hash(),
        "python": platform.python_version(),
    }


def lines_of(run: Finished) -> list[bytes]:
    """Returns a finished run's log as lines, in the log's order."""
    return [positioned.event.data for positioned in run.store.read()]


def make_manifest(run: Finished, lines: list[bytes], parent: Parent | None = None) -> Manifest:
    """Returns the signed manifest of a finished run."""
    key = derive_key(run.run_key, "manifest", run.run_id)
    heads = {r.chain: Head(r.seq, r.hash) for r in map(decode_line, lines)}
    unsigned = Manifest(
        **made_by(),
        run=run.run_id,
        settings=run.settings,
        data_sha256={sales.DATA_FILE: sales.data_hash()},
        events=len(lines),
        events_sha256=hashlib.sha256(events_file(lines)).hexdigest(),
        vault_sha256=hashlib.sha256(run.vault.export()).hexdigest(),
        heads=heads,
        head=head_of(heads),
        parent=parent,
        public_key="",
    )
    return seal(unsigned, key)


def write(folder: Path, run: Finished, *, parent: Parent | None = None) -> Manifest:
    """Writes a finished run's archive; its manifest goes last. Raises InvalidInput where it cannot be."""
    folders.require_free(folder)
    lines = lines_of(run)
    manifest = make_manifest(run, lines, parent)
    files = {
        EVENTS: events_file(lines),
        VAULT: run.vault.export(),
        MANIFEST: file_of(manifest),
    }
    folders.write_whole(folder, files)
    return manifest


class _Kind(msgspec.Struct, frozen=True):
    """What is read of a manifest first."""

    format: int = FORMAT
    kind: str = RUN
    version: str = "unknown"


def kind_of(folder: Path) -> str:
    """Returns the kind of archive a folder's manifest claims, RUN when it cannot be read. Raises NotAnArchive."""
    try:
        return msgspec.json.decode(manifest_bytes(folder), type=_Kind).kind
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return RUN


def manifest_bytes(folder: Path) -> bytes:
    """Returns the bytes of an archive's manifest. Raises NotAnArchive."""
    try:
        return (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise _unreadable(folder / MANIFEST, error) from error


def decode_manifest(folder: Path, type_: type[SomeManifest]) -> SomeManifest:
    """Returns an archive's manifest of one kind. Raises NotAnArchive, also OtherFormat."""
    require_format(folder)
    data = manifest_bytes(folder)
    try:
        return msgspec.json.decode(data, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotAnArchive(f"{folder / MANIFEST} is not a manifest: {error}", hint=_HINT) from error


def require_format(folder: Path) -> None:
    """Raises OtherFormat for the archive of another version; what cannot be told is left to whoever reads on."""
    try:
        found = msgspec.json.decode(manifest_bytes(folder), type=_Kind)
    except (NotAnArchive, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    due = FORMATS.get(found.kind, found.format)
    if found.format == due:
        return
    which = "an earlier" if found.format < due else "a later"
    raise OtherFormat(
        f"{folder} was made by {which} version of agentrooms ({found.version[:20]!a}): it has format {found.format}, "
        f"this program reads format {due}",
        hint="use that version for it, or run its settings anew with this one",
    )


def read_manifest(folder: Path) -> Manifest:
    """Returns the manifest of a run's archive. Raises NotAnArchive, also for the archive of a live room."""
    if kind_of(folder) == ROOM:
        raise NotAnArchive(f"{folder} is the archive of a live room, not of a run", hint="`agentrooms verify` reads it")
    return decode_manifest(folder, Manifest)


def read_lines(folder: Path) -> list[bytes]:
    """Returns the lines of `events.ndjson` as stored. Raises NotAnArchive."""
    try:
        data = (folder / EVENTS).read_bytes()
    except OSError as error:
        raise _unreadable(folder / EVENTS, error) from error
    if data and not data.endswith(b"\n"):
        raise NotAnArchive(f"{folder / EVENTS} ends within a line", hint="the file was cut; take an intact copy")
    return data.split(b"\n")[:-1]


def read_events(folder: Path) -> list[Recorded]:
    """Returns the decoded log. Raises NotAnArchive with the number of the first line that is none, also OtherFormat."""
    require_format(folder)
    events = []
    for number, line in enumerate(read_lines(folder), start=1):
        try:
            events.append(decode_line(line))
        except AgentroomsError as error:
            raise NotAnArchive(
                f"{folder / EVENTS}, line {number}: {error}", hint="`agentrooms verify` tells more"
            ) from error
    return events


def read_vault(folder: Path) -> MemoryVault | None:
    """Returns the archive's vault, None for a sealed archive."""
    path = folder / VAULT
    return MemoryVault.load(path.read_bytes()) if path.exists() else None


def _root() -> Path:
    return Path(__file__).resolve().parents[2]


def _commit() -> str | None:
    """Returns the commit of the checkout this program runs from, None when it is installed."""
    if not (_root() / ".git").exists():
        return None
    command = ["git", "-C", str(_root()), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=5)  # noqa: S603 - fixed
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()


def _lock_hash() -> str | None:
    lock = _root() / "requirements" / "main.lock"
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else None
