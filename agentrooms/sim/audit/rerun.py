"""Re-execution: a run again from its settings, a live room from its recorded inputs, compared to the byte."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from agentrooms.actors.messages import Committed
from agentrooms.errors import InvalidInput
from agentrooms.events.vault import MemoryVault
from agentrooms.sim import forks
from agentrooms.sim.archive import Manifest, SignedManifest
from agentrooms.sim.audit.report import Check, Progress, not_run
from agentrooms.sim.audit.source import Log, Source, fields_of
from agentrooms.sim.forks import Difference
from agentrooms.sim.live_archive import room_key_name
from agentrooms.sim.reexecution import reexecute
from agentrooms.sim.settings import check, rounds_max

SHOWN = 4  # fields of a differing line
VALUE_CHARACTERS = 60
EVENTS_MORE, ROUNDS_MORE = 1_000, 100  # a run of a damaged log's settings may be twice as long, and so much more
NAME = "re_execution"


class _TooLong(Exception):
    """The run is far longer than the log."""


def check_rerun(log: Log, manifest: Manifest | None, progress: Progress) -> Check:
    """Runs the manifest's settings again and compares every line."""
    if manifest is None:
        return not_run(NAME, "without a manifest there are no settings to run")
    total, done = len(log.lines), 0
    spanned = max((recorded.at_ms for _number, recorded in log.events), default=0) - manifest.settings.started_at_ms
    try:
        check(manifest.settings)
        rounds = min(2 * max(0, spanned) // manifest.settings.round_ms + ROUNDS_MORE, rounds_max(manifest.settings))
    except InvalidInput as error:
        return not_run(NAME, str(error))

    def watch(committed: Committed) -> None:
        nonlocal done
        done += len(committed.events)
        if done > 2 * total + EVENTS_MORE:
            raise _TooLong(f"{done} events, the log has {total}")
        progress(NAME, min(done, total), total)

    def tick(round_: int) -> None:
        if round_ > rounds:
            raise _TooLong(f"round {rounds}, the log ends far before")

    try:
        recomputed = forks.reexecute(manifest, watch, tick)
    except _TooLong as error:
        return Check(NAME, False, total, "", f"the run goes on beyond {error}")
    except InvalidInput as error:
        return not_run(NAME, str(error))
    difference = forks.first_difference(log.lines, recomputed)
    if difference is None:
        return Check(NAME, True, total, "", f"all {total} lines come out again to the byte")
    detail = f"{_explain(difference)}{_versions(manifest)}"
    return Check(NAME, False, total, log.place(difference.line), detail)


def check_room(source: Source, progress: Progress) -> Check:
    """Lets the agents of an opened room decide again and compares every line of the room."""
    room, vault, log = source.room, source.vault, source.log
    if room is None:
        return not_run(NAME, "without a manifest nobody knows the room")
    if vault is None or not room.opened:
        return not_run(NAME, "the archive is sealed: agents decide by their mandates, which it does not hold")
    if source.partial:
        return not_run(NAME, f"the room's lines before seq {room.first} are not here")
    if log.broken or log.hidden:
        return not_run(NAME, "not every line of the room can be read")
    key = vault.entries.get(room_key_name(room.room))
    if not key:
        return not_run(NAME, f"the vault has no key of the room ({room_key_name(room.room)})")
    secrets = MemoryVault()
    for name, secret in vault.entries.items():
        secrets.put(name, secret)
    total = room.last

    def tell(done: int) -> None:
        progress(NAME, min(done, total), total)

    found = reexecute(log.decoded(), room.room, secrets, key, tell)
    if found is None:
        return Check(NAME, True, total, "", f"all {total} lines of the room come out again to the byte")
    why = found.why or _explain(Difference(found.line, found.recorded, found.recomputed))
    return Check(NAME, False, total, log.place(found.line), f"{why}{_versions(room)}")


def _versions(manifest: SignedManifest) -> str:
    ours = version("agentrooms")
    return "" if manifest.version == ours else f" (made by agentrooms {manifest.version}, this is {ours})"


def _explain(difference: Difference) -> str:
    if difference.recorded is None:
        return "the log ends here, the run goes on"
    if difference.recomputed is None:
        return "the log goes on here, the run has ended"
    recorded, recomputed = _flat(fields_of(difference.recorded)), _flat(fields_of(difference.recomputed))
    names = sorted(n for n in recorded.keys() | recomputed.keys() if recorded.get(n) != recomputed.get(n))
    shown = [f"{n} is {_short(recorded.get(n))}, recomputed {_short(recomputed.get(n))}" for n in names[:SHOWN]]
    more = f", and {len(names) - SHOWN} fields more" if len(names) > SHOWN else ""
    return "; ".join(shown) + more if shown else "the same fields in other bytes"


def _flat(value: object, path: str = "") -> dict[str, Any]:
    """Returns the leaves of a JSON value by their paths."""
    if isinstance(value, dict) and value:
        parts = [(f"{path}.{key}" if path else str(key), inner) for key, inner in value.items()]
    elif isinstance(value, list) and value:
        parts = [(f"{path}[{n}]", inner) for n, inner in enumerate(value)]
    else:
        return {path: value}
    return {name: leaf for inner_path, inner in parts for name, leaf in _flat(inner, inner_path).items()}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= VALUE_CHARACTERS else f"{text[:VALUE_CHARACTERS]}…"
