"""A run's archive: a folder with `events.ndjson`, `vault.ndjson` and a signed `manifest.json`.

Only `events.ndjson` is compared between runs. The manifest says what made it and where its chains
end; the vault holds the mock mandates, so that a simulated run can be checked in full.
"""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import msgspec
from nacl.signing import SigningKey

from agentrooms.domain.canonical import canonical, digest
from agentrooms.domain.keys import derive_key, public_hex, sign, verify
from agentrooms.errors import AgentroomsError, InvalidInput
from agentrooms.events.journal import Head
from agentrooms.events.record import Recorded, decode_line
from agentrooms.events.vault import MemoryVault
from agentrooms.sim import folders, sales
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import RunSettings

FORMAT = 1
EVENTS, VAULT, MANIFEST = "events.ndjson", "vault.ndjson", "manifest.json"


class Parent(msgspec.Struct, frozen=True):
    """Where a fork comes from: the parent's head and how many events they share."""

    head: str
    events: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What made an archive and where it ends; `signature` covers all the other fields."""

    format: int = FORMAT
    version: str
    commit: str | None
    lock_sha256: str | None
    python: str
    run: str
    settings: RunSettings
    data_sha256: dict[str, str]
    events: int
    events_sha256: str
    vault_sha256: str
    heads: dict[str, Head]
    head: str
    parent: Parent | None
    public_key: str
    signature: str = ""


class NotAnArchive(InvalidInput):
    """A folder does not hold a readable archive."""


_HINT = "an archive is a folder made by `agentrooms swarm run`"


def _unreadable(path: Path, error: OSError) -> NotAnArchive:
    return NotAnArchive(f"{path} cannot be read: {(error.strerror or str(error)).lower()}", hint=_HINT)


def head_of(heads: dict[str, Head]) -> str:
    """Returns the one hash that stands for where all chains end; keep it elsewhere to find a log rewritten whole."""
    return digest("agentrooms/heads/v1", canonical(heads))


def signed_bytes(manifest: Manifest) -> bytes:
    """Returns what the manifest's signature covers."""
    return b"agentrooms/manifest/v1\0" + canonical(msgspec.structs.replace(manifest, signature=""))


def is_signed(manifest: Manifest) -> bool:
    """Tells whether the manifest is as it was signed."""
    return verify(manifest.public_key, signed_bytes(manifest), manifest.signature)


def lines_of(engine: Engine) -> list[bytes]:
    """Returns a finished run's log as lines, in the log's order."""
    return [positioned.event.data for positioned in engine.store.read()]


def make_manifest(engine: Engine, lines: list[bytes], parent: Parent | None = None) -> Manifest:
    """Returns the signed manifest of a finished run."""
    key = derive_key(engine.run_key, "manifest", engine.run_id)
    heads = {r.chain: Head(r.seq, r.hash) for r in map(decode_line, lines)}
    unsigned = Manifest(
        version=version("agentrooms"),
        commit=_commit(),
        lock_sha256=_lock_hash(),
        python=platform.python_version(),
        run=engine.run_id,
        settings=engine.settings,
        data_sha256={sales.DATA_FILE: sales.data_hash()},
        events=len(lines),
        events_sha256=hashlib.sha256(b"".join(line + b"\n" for line in lines)).hexdigest(),
        vault_sha256=hashlib.sha256(engine.vault.export()).hexdigest(),
        heads=heads,
        head=head_of(heads),
        parent=parent,
        public_key=public_hex(key),
    )
    return seal(unsigned, key)


def seal(manifest: Manifest, key: SigningKey) -> Manifest:
    """Returns the manifest with its signature."""
    return msgspec.structs.replace(manifest, signature=sign(key, signed_bytes(manifest)))


def write(folder: Path, engine: Engine, *, parent: Parent | None = None) -> Manifest:
    """Writes a finished run's archive; its manifest goes last. Raises InvalidInput where it cannot be."""
    folders.require_free(folder)
    lines = lines_of(engine)
    manifest = make_manifest(engine, lines, parent)
    files = {
        EVENTS: b"".join(line + b"\n" for line in lines),
        VAULT: engine.vault.export(),
        MANIFEST: msgspec.json.format(canonical(manifest), indent=2) + b"\n",
    }
    folders.write_whole(folder, files)
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """Returns an archive's manifest. Raises NotAnArchive."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except OSError as error:
        raise _unreadable(folder / MANIFEST, error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotAnArchive(f"{folder / MANIFEST} is not a manifest: {error}", hint=_HINT) from error
    if manifest.format != FORMAT:
        raise NotAnArchive(f"{folder} has format {manifest.format}, this program reads {FORMAT}")
    return manifest


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
    """Returns the decoded log. Raises NotAnArchive with the number of the first line that is none."""
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
