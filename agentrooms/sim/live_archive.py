"""The archive of a live room: its lines from one number to another, and what of the log they rest on.

`events.ndjson` holds, in the log's order and byte as stored: the room's lines, the roomless chain up to the
room's last line, and the locks that other rooms held on the items and wallets of this room's agents. A *sealed*
archive has no vault, and of a private event only its place and hash. An *opened* one, which only who holds
the vault can make, has all bodies and a vault with the agents' mandates, the transactions and the room's key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
from nacl.signing import SigningKey

from agentrooms.domain.agent import AgentReconfigured, AgentSpawned
from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import EscrowSubmitted
from agentrooms.errors import InvalidInput
from agentrooms.events.catalogue import BY_NAME
from agentrooms.events.journal import LOCK_TYPES, Head, fence
from agentrooms.events.record import PLATFORM, Recorded, decode_line
from agentrooms.events.store import EventStore, Positioned, Query, with_any
from agentrooms.events.tags import nft_tag, wallet_tag
from agentrooms.events.vault import MemoryVault, Vault
from agentrooms.sim import archive, folders

FORMAT = archive.FORMATS[archive.ROOM]
PAGE = 10_000  # events read from the store at once
ELSEWHERE_TYPES = tuple(name for name in LOCK_TYPES if name != "wallet.budgeted")  # budgets are roomless


class RoomManifest(archive.SignedManifest, frozen=True, kw_only=True):
    """What a live room's archive holds: its lines `first` to `last`; `prev` is the hash of the line before them.

    Of these lines `redacted` are given by their hash alone; `elsewhere` lines are other rooms' locks.
    """

    format: int = FORMAT
    kind: str = archive.ROOM
    room: str
    first: int
    last: int
    prev: str
    redacted: int
    elsewhere: int
    opened: bool
    vault_sha256: str | None


class Redaction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """What stands in a sealed archive for a private line: its place, and the hash that the next line holds."""

    chain: str
    hash: str
    redacted: Literal[True]  # what tells it from a line
    seq: int


_REDACTION = msgspec.json.Decoder(Redaction)


def redact(recorded: Recorded) -> bytes:
    """Returns the line that stands for a private one."""
    return canonical({"chain": recorded.chain, "hash": recorded.hash, "redacted": True, "seq": recorded.seq})


def read_redaction(line: bytes) -> Redaction | None:
    """Returns the redaction that a line is, None when it is none."""
    try:
        found = _REDACTION.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if canonical(msgspec.to_builtins(found)) == line else None


def room_key_name(room: str) -> str:
    """Returns the key of the vault's entry that holds a room's secret key."""
    return f"room:{room}"


def read_room_manifest(folder: Path) -> RoomManifest:
    """Returns the manifest of a live room's archive. Raises NotAnArchive."""
    return archive.decode_manifest(folder, RoomManifest)


def export_room(
    store: EventStore,
    vault: Vault,
    room: str,
    *,
    first: int,
    last: int | None,
    opened: bool,
    key: SigningKey,
    room_key: bytes | None,
    out: Path,
) -> RoomManifest:
    """Writes the archive of a room's lines `first` to `last` (None: all there are) into the folder `out`.

    Signed with the installation's `key`. `opened` puts the agents' mandates and `room_key` into it; then it
    begins with the room's first line. Raises InvalidInput for a room or lines that are not there, or when `out`
    cannot be written; NotInVault when a mandate or transaction is missing.
    """
    folders.require_free(out)
    chain = [(place, decode_line(data)) for place, data in _read(store, fence(room))]
    last = _checked(room, [r for _place, r in chain], first, last, opened=opened)
    until = chain[last - 1][0]
    mine = chain[first - 1 : last]
    platform = [found for found in _read(store, fence(PLATFORM)) if found[0] <= until]
    other = _elsewhere(store, room, [r for _place, r in chain[:last]], until) if first == 1 else {}
    hidden = [r.seq for _place, r in mine if BY_NAME[r.type].private and not opened]
    private = set(hidden)
    lines = {place: redact(r) if r.seq in private else r.line for place, r in mine} | dict(platform) | other
    secrets = _secrets(vault, room, [r for _place, r in mine], room_key) if opened else None
    heads = {room: Head(last, mine[-1][1].hash)}
    if platform:
        end = decode_line(platform[-1][1])
        heads[PLATFORM] = Head(end.seq, end.hash)
    events = archive.events_file([line for _place, line in sorted(lines.items())])
    manifest = RoomManifest(
        **archive.made_by(),
        room=room,
        first=first,
        last=last,
        prev=mine[0][1].prev,
        redacted=len(hidden),
        elsewhere=len(other),
        opened=opened,
        events=len(lines),
        events_sha256=hashlib.sha256(events).hexdigest(),
        vault_sha256=hashlib.sha256(secrets).hexdigest() if secrets is not None else None,
        heads=heads,
        head=archive.head_of(heads),
        public_key="",
    )
    sealed = archive.seal(manifest, key)
    files = {archive.EVENTS: events} | ({archive.VAULT: secrets} if secrets is not None else {})
    folders.write_whole(out, {**files, archive.MANIFEST: archive.file_of(sealed)})
    return sealed


def _checked(room: str, chain: Sequence[Recorded], first: int, last: int | None, *, opened: bool) -> int:
    """Returns the last line to export. Raises InvalidInput for what cannot be exported."""
    if not chain or chain[0].chain == PLATFORM:
        raise InvalidInput(f"the log has no room {room}", hint="`agentrooms room list` names the rooms")
    count = len(chain)
    end = count if last is None else last
    if not 1 <= first <= end <= count:
        raise InvalidInput(f"room {room} has events 1 to {count}, asked were {first} to {end}", hint="count from 1")
    if opened and first > 1:
        raise InvalidInput(
            f"an opened archive begins with the room's first event, asked was {first}",
            hint="without what came before, limits check nothing: export from 1, or sealed",
        )
    return end


def _read(store: EventStore, query: Query) -> Iterator[tuple[int, bytes]]:
    """Yields positions and lines of a query, page by page."""
    after = 0
    while True:
        page: list[Positioned] = store.read(query, after=after, limit=PAGE)
        yield from ((found.position, found.event.data) for found in page)
        if len(page) < PAGE:
            return
        after = page[-1].position


def _elsewhere(store: EventStore, room: str, chain: Sequence[Recorded], until: int) -> dict[int, bytes]:
    """Returns other rooms' locks, and their ends, on what this room's agents sell or pay from."""
    tags: set[str] = set()
    collection = getattr(chain[0].event, "collection", "")
    for recorded in chain:
        event = recorded.event
        if isinstance(event, AgentSpawned):
            tags.add(wallet_tag(event.owner) if event.item is None else nft_tag(collection, event.item.token_id))
    found: dict[int, bytes] = {}
    for query in with_any(tags, ELSEWHERE_TYPES):
        found.update(_read(store, query))
    return {place: line for place, line in found.items() if place <= until and decode_line(line).chain != room}


def _secrets(vault: Vault, room: str, chain: Sequence[Recorded], room_key: bytes | None) -> bytes:
    """Returns the vault of an opened archive: what this room's lines refer to, and nothing else."""
    if room_key is None:
        raise InvalidInput(f"the key of room {room} is not known", hint="export sealed, or where the room lives")
    opened = MemoryVault()
    opened.put(room_key_name(room), room_key)
    for recorded in chain:
        event = recorded.event
        if isinstance(event, AgentSpawned | AgentReconfigured):
            opened.put(event.mandate_hash, vault.get(event.mandate_hash))
        elif isinstance(event, EscrowSubmitted):
            opened.put(event.tx_hash, vault.get(event.tx_hash))
    return opened.export()
