"""The manifest: signed, as it was written, and true of the log beside it."""

from __future__ import annotations

import hashlib

from agentrooms.domain.ids import derive_id, seed_bytes
from agentrooms.domain.keys import derive_key, public_hex
from agentrooms.events.catalogue import BY_NAME
from agentrooms.sim import sales
from agentrooms.sim.archive import MANIFEST, VAULT, Manifest, SignedManifest, file_of, head_of, is_signed
from agentrooms.sim.audit.chains import heads_of
from agentrooms.sim.audit.report import Check, Findings, not_run
from agentrooms.sim.audit.source import UNREADABLE, Source
from agentrooms.sim.live_archive import RoomManifest


def head_of_log(source: Source) -> str:
    """Returns the head of the log as it is, "" when not all of it can be read."""
    if not source.log.events or source.log.broken:
        return ""
    try:
        return head_of(heads_of(source.log))
    except UNREADABLE:  # a chain's name that has no canonical form
        return ""


def check_heads(source: Source) -> Check:
    """Compares the manifest with the log and with its own signature."""
    manifest = source.either
    if manifest is None:
        return not_run("heads", source.manifest_problem)
    found = Findings("heads", source.log.place)
    _check_seal(found, manifest, source.manifest_bytes)
    if source.room is not None:
        _check_room(found, source, source.room)
    if source.manifest is not None:
        _check_run_key(found, source.manifest)
    _check_content(found, source, manifest)
    return found.check("signature, counts, hashes and chain heads of the manifest agree with the log")


def _check_content(found: Findings, source: Source, manifest: Manifest | RoomManifest) -> None:
    log = source.log
    counted = len(log.lines)
    found.expect(manifest.events == counted, 0, f"the log has {counted} events, {MANIFEST} says {manifest.events}")
    hashed = hashlib.sha256(log.data).hexdigest()
    found.expect(
        manifest.events_sha256 == hashed,
        0,
        f"events.ndjson hashes to {hashed}, {MANIFEST} has {manifest.events_sha256}",
    )
    if source.vault is not None:
        kept, said = source.vault.sha256, manifest.vault_sha256
        found.expect(kept == said, 0, f"{VAULT} hashes to {kept}, {MANIFEST} has {said}")
    heads = heads_of(log)
    for chain in sorted(heads.keys() | manifest.heads.keys()):
        ours, theirs = heads.get(chain), manifest.heads.get(chain)
        found.expect(ours == theirs, 0, f"chain {chain} ends in {ours}, {MANIFEST} says {theirs}")
    head = head_of(heads)
    found.expect(manifest.head == head, 0, f"the log's head is {head}, {MANIFEST} says {manifest.head}")


def _check_seal(found: Findings, manifest: SignedManifest, written: bytes) -> None:
    found.expect(is_signed(manifest), 0, f"the signature of {MANIFEST} is not by its key {manifest.public_key}")
    found.expect(written == file_of(manifest), 0, f"{MANIFEST} holds bytes that are not its content as it is written")


def _check_run_key(found: Findings, manifest: Manifest) -> None:
    run = derive_id("run", manifest.settings.seed)
    found.expect(manifest.run == run, 0, f"run {manifest.run} is not that of seed {manifest.settings.seed}: {run}")
    key = public_hex(derive_key(seed_bytes(manifest.settings.seed), "manifest", run))
    found.expect(
        manifest.public_key == key, 0, f"{MANIFEST} is signed by {manifest.public_key}, this run's key is {key}"
    )


def _check_room(found: Findings, source: Source, manifest: RoomManifest) -> None:
    """Compares what a live room's manifest says of its lines and of its vault."""
    log, head = source.log, manifest.heads.get(manifest.room)
    last = head.seq if head is not None else 0
    found.expect(last == manifest.last, 0, f"the room's chain ends at seq {last}, {MANIFEST} says {manifest.last}")
    for what, counted, said in (
        ("redacted", len(log.hidden), manifest.redacted),
        ("other rooms'", len(log.elsewhere), manifest.elsewhere),
    ):
        found.expect(counted == said, 0, f"the log has {counted} {what} lines, {MANIFEST} says {said}")
    for number, hidden in log.hidden:
        found.expect(hidden.chain == manifest.room, number, f"a line of chain {hidden.chain} is redacted")
    bare = [number for number, recorded in log.events if BY_NAME[recorded.type].private]
    if manifest.opened:
        found.expect(source.vault is not None, 0, f"the archive is opened by its manifest, but has no {VAULT}")
        found.expect(not log.hidden, 0, "the archive is opened by its manifest, but has redacted lines")
    else:
        found.expect(source.vault is None, 0, f"the archive is sealed by its manifest, but has a {VAULT}")
        found.expect(not bare, bare[0] if bare else 0, "the archive is sealed, but this private event has its body")


def check_key(source: Source, expected: str) -> Check:
    """Compares the key that signed a manifest with the one its maker is known by."""
    manifest = source.either
    key = manifest.public_key if manifest is not None else "unreadable"
    if key == expected:
        return Check("key", True, 1, "", f"{MANIFEST} is signed by the expected key")
    return Check("key", False, 1, "", f"{MANIFEST} is signed by {key}, expected was {expected}")


def check_expected(source: Source, expected: str) -> Check:
    """Compares the log's head with one kept elsewhere."""
    head = head_of_log(source)
    if head and head == expected.strip().lower():
        return Check("expect_head", True, 1, "", f"the log's head is the expected {head}")
    return Check("expect_head", False, 1, "", f"the log's head is {head or 'not computable'}, expected {expected}")


def check_fork(source: Source, unchecked: list[str]) -> Check | None:
    """Notes where a fork comes from; None when the run is none."""
    manifest = source.manifest
    if manifest is None or manifest.parent is None:
        return None
    parent, found = manifest.parent, Findings("fork", source.log.place)
    unchecked.append(
        f"the first {parent.events} events are said to be those of head {parent.head}: compare with that archive"
    )
    lines = len(source.log.lines)
    found.expect(0 < parent.events <= lines, 0, f"{parent.events} events are shared, but the log has {lines}")
    found.expect(bool(manifest.settings.interventions), 0, "a fork changes something, this one has no interventions")
    return found.check(f"forked from head {parent.head} after {parent.events} events")


def note_data(manifest: Manifest, unchecked: list[str]) -> None:
    """Notes data that the run used and that is not what ships with this program."""
    shipped = {sales.DATA_FILE: sales.data_hash()}
    unchecked.extend(
        f"the run used {name} {used}, this program ships {shipped.get(name, 'none')}"
        for name, used in manifest.data_sha256.items()
        if shipped.get(name) != used
    )
