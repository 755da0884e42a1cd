"""Re-execution: the run again from its settings, compared to the byte."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from agentrooms.actors.messages import Committed
from agentrooms.errors import InvalidInput
from agentrooms.sim import forks
from agentrooms.sim.archive import Manifest
from agentrooms.sim.audit.report import Check, Progress, not_run
from agentrooms.sim.audit.source import Log, fields_of
from agentrooms.sim.forks import Difference
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


def _versions(manifest: Manifest) -> str:
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
