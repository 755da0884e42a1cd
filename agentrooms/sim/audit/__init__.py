"""The auditor: re-verifies an archive offline, from its bytes, with its own small readings of the rules."""

from __future__ import annotations

from pathlib import Path

from agentrooms.sim.audit import live, rerun
from agentrooms.sim.audit.acts import Acts
from agentrooms.sim.audit.certificates import Certificates
from agentrooms.sim.audit.chains import check_chains
from agentrooms.sim.audit.commands import Commands
from agentrooms.sim.audit.folds import check_fold
from agentrooms.sim.audit.heads import check_expected, check_fork, check_heads, check_key, head_of_log, note_data
from agentrooms.sim.audit.limits import Mandates
from agentrooms.sim.audit.lines import check_lines
from agentrooms.sim.audit.locks import Locks
from agentrooms.sim.audit.report import Check, Progress, Report, guarded, not_run
from agentrooms.sim.audit.settlement import check_settlement
from agentrooms.sim.audit.source import Source
from agentrooms.sim.audit.tables import check_tables
from agentrooms.sim.audit.walk import Rule, skipped, walk
from agentrooms.sim.audit.words import Words

__all__ = ["Check", "Progress", "Report", "audit"]

RULES: tuple[type[Rule], ...] = (Commands, Mandates, Acts, Locks, Words, Certificates)
PARTIAL_RULES: tuple[type[Rule], ...] = (Commands, Words, Certificates)  # those that need not know what came before
WHOLE = ("settlement", "fold", "tables")  # checks of a log from its beginning


def audit(
    folder: Path,
    *,
    expect_head: str | None = None,
    key: str | None = None,
    re_execute: bool = False,
    rpc: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Returns what is right, wrong and uncheckable about an archive. Raises NotAnArchive when files are missing.

    `expect_head` is the head noted elsewhere, `key` the public key (hex) that should have signed; `re_execute`
    runs a run's settings again, or the agents of an opened room from its recorded inputs; `rpc` is the address of a
    node of the chain, which then is asked for inclusion.
    """
    tell = progress if progress is not None else _silent
    source = Source(folder, tell)
    unchecked: list[str] = []
    checks = _integrity(source, expect_head, key, tell)
    checks += _meaning(source, rpc, unchecked, tell)
    fork = check_fork(source, unchecked)
    checks += [fork] if fork is not None else []
    if re_execute and source.live:
        checks.append(guarded(rerun.NAME, lambda: rerun.check_room(source, tell)))
    elif re_execute:
        checks.append(guarded(rerun.NAME, lambda: rerun.check_rerun(source.log, source.manifest, tell)))
    if source.room is not None:
        unchecked += live.notes(source, source.room, keyed=key is not None, re_execute=re_execute)
    else:
        unchecked += _notes(source, expect_head, re_execute=re_execute)
    return Report(head_of_log(source), tuple(checks), tuple(unchecked))


def _integrity(source: Source, expect_head: str | None, key: str | None, tell: Progress) -> list[Check]:
    """Are the bytes those that were written?"""
    log, total = source.log, len(source.log.lines)
    tell("lines", 0, total)
    checks = [guarded("lines", lambda: check_lines(log, partial=source.partial))]
    tell("chains", 0, total)
    checks.append(guarded("chains", lambda: check_chains(log, source.either)))
    checks.append(guarded("heads", lambda: check_heads(source)))
    if expect_head is not None:
        checks.append(guarded("expect_head", lambda: check_expected(source, expect_head)))
    if key is not None:
        checks.append(guarded("key", lambda: check_key(source, key)))
    return checks


def _meaning(source: Source, rpc: str | None, unchecked: list[str], tell: Progress) -> list[Check]:
    """Could what they say have happened?"""
    log, total = source.log, len(source.log.lines)
    rules = PARTIAL_RULES if source.partial else RULES
    why = _unreadable(source)
    if why:
        return [*skipped(rules, why), *(not_run(name, why) for name in WHOLE if not source.partial)]
    checks = walk(log, [rule(source) for rule in rules], tell)
    if source.partial:
        return checks
    tell("settlement", 0, total)
    checks.append(guarded("settlement", lambda: check_settlement(source, rpc, unchecked)))
    tell("fold", 0, total)
    checks.append(guarded("fold", lambda: check_fold(log)))
    tell("tables", 0, total)
    checks.append(guarded("tables", lambda: check_tables(log)))
    tell("tables", total, total)
    return checks


def _unreadable(source: Source) -> str:
    log = source.log
    if source.live and source.room is None:
        return "a room's archive cannot be read without its manifest"
    if log.broken:
        return f"line {min(log.broken)} cannot be read"
    return "" if log.events else "the log is empty"


def _notes(source: Source, expect_head: str | None, *, re_execute: bool) -> list[str]:
    """Returns what this audit leaves open."""
    notes: list[str] = []
    if source.manifest is not None:
        note_data(source.manifest, notes)
    if expect_head is None:
        notes.append(
            "whether all was rewritten and signed again: a simulated run's keys derive from its seed, so anybody can; "
            "only --expect-head with a head noted elsewhere finds it"
        )
    if source.vault is None:
        notes.append("limits and mandate signatures: the archive is sealed (it has no vault)")
    if not re_execute:
        notes.append("whether the run's settings give these events: --re-execute runs them again")
    return notes


def _silent(_stage: str, _done: int, _total: int) -> None:
    pass
