"""Archives to audit, each made once a session, and ways to tamper with a copy."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from nacl.signing import SigningKey

from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import DealLocked, Terms
from agentrooms.domain.ids import seed_bytes
from agentrooms.domain.keys import derive_key, public_hex
from agentrooms.events.catalogue import UnknownEvent, decode
from agentrooms.events.journal import Head
from agentrooms.events.record import GENESIS, decode_line, line_hash
from agentrooms.events.tags import tags_of
from agentrooms.sim import archive, forks
from agentrooms.sim.audit import Report, audit
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import RunSettings, custom, preset

UNDERFUNDED_PERMILLE = 300

Fields = dict[str, Any]
Mutate = Callable[[list[Fields]], None]


def make(folder: Path, settings: RunSettings) -> Path:
    """Runs the settings and writes the archive."""
    engine = Engine(settings)
    engine.run()
    archive.write(folder, engine)
    return folder


def faulty_settings() -> RunSettings:
    """Returns settings of a run in which deals fail, complete and quotes expire; the first seed that has all."""
    for seed in range(1, 200):
        settings = msgspec.structs.replace(preset("balanced_market", seed), underfunded_permille=UNDERFUNDED_PERMILLE)
        engine = Engine(settings)
        engine.run()
        types = {decode_line(line).type for line in archive.lines_of(engine)}
        if {"deal.completed", "deal.failed", "quote.expired"} <= types:
            return settings
    raise AssertionError("no seed gives a run with all that")


def make_fork(source: Path, out: Path) -> Path:
    """Forks a run in its middle: one agent has another strategy and limit, another is removed."""
    recorded = archive.read_events(source)
    at = len(recorded) // 2
    left = {r.event.agent for r in recorded[:at] if r.type == "agent.left"}  # type: ignore[attr-defined]
    locked = [r.event.terms for r in recorded if r.type == "deal.locked"]  # type: ignore[attr-defined]
    busy = left | {agent for terms in locked for agent in (terms.buyer, terms.seller)}
    spawned = [r.event for r in recorded[:at] if r.type == "agent.spawned"]
    free = [e for e in spawned if e.agent not in busy]  # type: ignore[attr-defined]
    vault = archive.read_vault(source)
    assert vault is not None
    first, second = free[0], free[1]
    signed = json.loads(vault.get(first.mandate_hash))  # type: ignore[attr-defined]
    limit = signed["mandate"]["reservation_usdc_micros"] // 1_000_000 + (1 if first.role == "buyer" else -1)  # type: ignore[attr-defined]
    changes = [
        f"agent.{first.agent}.limit={limit}",  # type: ignore[attr-defined]
        f"agent.{first.agent}.strategy=patient",  # type: ignore[attr-defined]
        f"agent.{second.agent}.removed=true",  # type: ignore[attr-defined]
    ]
    forks.fork(source, out, at=at, changes=changes)
    return out


def settings_by_name() -> dict[str, RunSettings]:
    """Returns the runs the tests look at."""
    runs = {
        f"{name}-{seed}": preset(name, seed)
        for name, seeds in {
            "small_test": (7, 8, 9),
            "balanced_market": (1, 2),
            "high_competition": (3,),
            "buyers_market": (4,),
        }.items()
        for seed in seeds
    }
    return {**runs, "forty": custom(5, 20, 20)}


def copy(source: Path, folder: Path) -> Path:
    """Returns a copy to tamper with."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    return folder


def lines_of(folder: Path) -> list[bytes]:
    return (folder / archive.EVENTS).read_bytes().split(b"\n")[:-1]


def put_lines(folder: Path, lines: list[bytes]) -> None:
    (folder / archive.EVENTS).write_bytes(b"".join(line + b"\n" for line in lines))


def rewrite(folder: Path, mutate: Mutate, *, update_manifest: bool = True, key: SigningKey | None = None) -> None:
    """Changes a log as an attacker would: all links are made again, and the manifest is signed again.

    Without a key of the attacker's own, the run's key is used: anybody can derive it from the seed.
    """
    lines = [json.loads(line) for line in lines_of(folder)]
    mutate(lines)
    retag(lines)
    ends: dict[str, Head] = {}
    written = []
    for fields in lines:
        end = ends.get(fields["chain"], Head(0, GENESIS))
        line = canonical({**fields, "prev": end.hash, "seq": end.seq + 1})
        ends[fields["chain"]] = Head(end.seq + 1, line_hash(line))
        written.append(line)
    put_lines(folder, written)
    if update_manifest:
        resign(folder, ends, key)


def retag(lines: list[Fields]) -> None:
    """Gives every event that can be read the tags it should have."""
    terms: dict[str, Terms] = {}
    for fields in lines:
        try:
            event = decode(fields["type"], fields["v"], canonical(fields["data"]))
        except UnknownEvent:
            continue
        if isinstance(event, DealLocked):
            terms[event.terms.deal] = event.terms
        fields["tags"] = list(tags_of(event, fields["chain"], terms.get(getattr(event, "deal", ""))))


def resign(folder: Path, heads: dict[str, Head] | None = None, key: SigningKey | None = None) -> None:
    """Makes the manifest true of the log beside it, and signs it."""
    manifest = archive.read_manifest(folder)
    data = (folder / archive.EVENTS).read_bytes()
    key = key or derive_key(seed_bytes(manifest.settings.seed), "manifest", manifest.run)
    heads = manifest.heads if heads is None else heads
    changed = msgspec.structs.replace(
        manifest,
        events=data.count(b"\n"),
        events_sha256=hashlib.sha256(data).hexdigest(),
        vault_sha256=hashlib.sha256((folder / archive.VAULT).read_bytes()).hexdigest(),
        heads=heads,
        head=archive.head_of(heads),
        public_key=public_hex(key),
    )
    sealed = archive.seal(changed, key)
    (folder / archive.MANIFEST).write_bytes(msgspec.json.format(canonical(sealed), indent=2) + b"\n")


def failing(report: Report) -> dict[str, str]:
    """Returns the failed checks with place and detail."""
    return {check.name: f"{check.place}: {check.detail}" for check in report.checks if not check.passed}


def is_found(folder: Path) -> bool:
    """Tells whether a changed archive does not pass: a check fails, or it claims to be of another version."""
    try:
        return not audit(folder).passed
    except archive.OtherFormat:
        return True
