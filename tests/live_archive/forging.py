"""Ways to tamper with a copy of a live room's archive."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from nacl.signing import SigningKey

from agentrooms.domain.canonical import canonical
from agentrooms.events.journal import Head
from agentrooms.events.record import line_hash
from agentrooms.sim import archive
from agentrooms.sim.live_archive import FORMAT, RoomManifest, read_room_manifest

Fields = dict[str, Any]
THIEF = SigningKey(b"t" * 32)


def copy(source: Path, folder: Path) -> Path:
    """Returns a copy to tamper with."""
    shutil.copytree(source, folder)
    return folder


def lines_of(folder: Path) -> list[bytes]:
    return archive.read_lines(folder)


def put_lines(folder: Path, lines: list[bytes]) -> None:
    (folder / archive.EVENTS).write_bytes(archive.events_file(lines))


def fields_of(folder: Path) -> list[Fields]:
    return [json.loads(line) for line in lines_of(folder)]


def relink(folder: Path, mutate: Callable[[list[Fields]], None]) -> None:
    """Changes lines and makes all links true again, as far as can be: a redacted line keeps its hash."""
    manifest = read_room_manifest(folder)
    lines = fields_of(folder)
    mutate(lines)
    ends = {manifest.room: Head(manifest.first - 1, manifest.prev)}
    written = []
    for fields in lines:
        if "redacted" in fields:
            line = canonical(fields)
            ends[fields["chain"]] = Head(fields["seq"], fields["hash"])
        elif fields["chain"] in {manifest.room, "platform"}:
            end = ends.get(fields["chain"], Head())
            line = canonical({**fields, "prev": end.hash, "seq": end.seq + 1})
            ends[fields["chain"]] = Head(end.seq + 1, line_hash(line))
        else:
            line = canonical(fields)
        written.append(line)
    put_lines(folder, written)
    resign(folder, heads={**manifest.heads, **ends}, last=ends[manifest.room].seq)


def resign(folder: Path, key: SigningKey = THIEF, **changes: object) -> RoomManifest:
    """Makes the manifest true of the files beside it and signs it with a key of the attacker's own."""
    manifest = msgspec.structs.replace(read_room_manifest(folder), **changes)
    data, vault = (folder / archive.EVENTS).read_bytes(), folder / archive.VAULT
    manifest = msgspec.structs.replace(
        manifest,
        format=FORMAT,
        events=data.count(b"\n"),
        events_sha256=hashlib.sha256(data).hexdigest(),
        redacted=data.count(b'"redacted":true'),
        vault_sha256=hashlib.sha256(vault.read_bytes()).hexdigest() if vault.exists() else None,
        head=archive.head_of(manifest.heads),
    )
    sealed = archive.seal(manifest, key)
    (folder / archive.MANIFEST).write_bytes(archive.file_of(sealed))
    return sealed


def change_vault(folder: Path, change: Callable[[dict[str, bytes]], None]) -> None:
    """Changes the vault's entries."""
    entries = [json.loads(line) for line in (folder / archive.VAULT).read_bytes().splitlines()]
    secrets = {entry["key"]: base64.b64decode(entry["secret"]) for entry in entries}
    change(secrets)
    lines = [canonical({"key": k, "secret": base64.b64encode(v).decode()}) for k, v in sorted(secrets.items())]
    (folder / archive.VAULT).write_bytes(archive.events_file(lines))
