"""`agentrooms status`: how the running system is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.params import Json

if TYPE_CHECKING:
    from agentrooms.live.access import Running
    from agentrooms.live.health import Process
    from agentrooms.live.survey import Survey, VerifierState

ETHER = 10**18  # wei of a coin
NODE_SHOWN = 6  # characters of a node's id
SPEEDS = {0: "max", 1: "1x", 10: "10x"}
SHOWN_ELSEWHERE = {"pid", "trouble", "hosts", "node"}  # of what a process says of itself


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command("status", epilog=examples("agentrooms status", "agentrooms status --json"))(status)


def status(json: Json = False) -> None:
    """Show services, chain, processes, log, tables, waiting commands and rooms of the running system.

    Exit code 1 when something is wrong with them, or when nothing runs.
    """
    from agentrooms.cli.console import clean, emit, out, talk
    from agentrooms.live.access import running
    from agentrooms.live.chain_state import relayer_of
    from agentrooms.live.survey import survey
    from agentrooms.services.settings import load_settings

    settings = load_settings()
    found = running(settings)
    talk(f"Asking the system running in {settings.agentrooms_data}.")
    seen = survey(found, relayer_of(settings))
    if json:
        emit(_document(seen, found))
    else:
        _print(seen)
        out().print(clean(_verdict(seen)), style="bold red" if seen.faults else "bold green", markup=False)
    if seen.faults:
        raise typer.Exit(1)


def _document(seen: Survey, found: Running) -> dict[str, Any]:
    import msgspec

    return {"well": not seen.faults, "starting": seen.starting, "data": found.path, **msgspec.to_builtins(seen)}


def _verdict(seen: Survey) -> str:
    from agentrooms.cli.console import count

    if seen.faults:
        return f"Something is wrong: {'; '.join(seen.faults)}."
    if seen.starting:
        return f"Starting, for {seen.age_s:.0f} s; nothing is wrong so far."
    behind = count(seen.lag.events if seen.lag is not None else 0, "event")
    return f"All is well: {count(len(seen.processes), 'process', 'processes')}, {count(len(seen.rooms), 'open room')}, tables {behind} behind."


def _print(seen: Survey) -> None:
    from agentrooms.cli.console import out
    from agentrooms.cli.facts import print_facts, table_by_id

    services = [(service.name, service.found if service.answers else f"does not answer: {service.found}") for service in seen.services]  # fmt: skip
    print_facts(("System", f"process {seen.pid}, up for {length(seen.age_s)}"), *services, *_chain(seen), *_state(seen))
    if seen.processes:
        nodes = {process.health.get("node") for process in seen.processes} - {None}
        columns = ("Process", "Says", ">Pid", ">Heard", ">Starts", *(["Node"] if len(nodes) > 1 else []))
        told = {f"verifier:{one.verifier}": _verifier(one) for one in seen.verifiers}
        rows = [_row(process, told.get(process.name, [])) for process in seen.processes]
        shown = table_by_id(*columns, ids=[row[0] for row in rows])
        for process, row in zip(seen.processes, rows, strict=True):
            shown.add_row(*row[: len(columns)], style=None if process.alive else "red")
        out().print(shown)
    if seen.rooms:
        _print_rooms(seen)


def _state(seen: Survey) -> list[tuple[str, str]]:
    from agentrooms.cli.console import count

    if seen.log_head is None:
        return []
    lag = seen.lag
    tables = "none yet" if lag is None else f"at event {lag.position:,}, {count(lag.events, 'event')} behind"
    rebuilt = f", rebuilt {count(lag.epoch, 'time')}" if lag is not None and lag.epoch else ""
    return [
        ("Log", count(seen.log_head, "event")),
        ("Tables", tables + rebuilt),
        ("Inbox", f"{count(seen.open_commands or 0, 'command')} without an answer"),
    ]


def _chain(seen: Survey) -> list[tuple[str, str]]:
    """Returns what there is to say of the chain."""
    from agentrooms.cli.console import NONE
    from agentrooms.cli.facts import at

    chain = seen.chain
    if chain is None:
        return []
    version = f"version {seen.set_version}" if seen.set_version is not None else "none registered yet"
    facts = [
        ("Chain", f"{chain.mode}, id {chain.chain_id}{f', node {chain.url}' if chain.url else ''}"),
        ("Escrow", chain.escrow),
        ("Verifier set", version if chain.set_version is not None or not chain.url else f"{version} (by the log)"),
    ]
    if not chain.url:
        return facts
    if not chain.answers:
        return [*facts, ("Head", f"does not answer: {chain.found}")]
    balance = f"{chain.balance_wei / ETHER:,.4f}" if chain.balance_wei is not None else NONE
    head = f"block {chain.block:,} of {at(chain.block_at_ms)}"
    relayer = f"{chain.relayer}, holds {balance} of the chain's coin" if chain.relayer else ""
    return [*facts, ("Head", head), ("Relayer", relayer)]


def _verifier(one: VerifierState) -> list[str]:
    """Returns what a verifier's line says beside what its process does."""
    from agentrooms.cli.console import count
    from agentrooms.cli.evidence import short
    from agentrooms.cli.facts import wide

    accused = [f"accused {count(one.accused, 'time')}"] if one.accused else []
    return [*accused, f"attests as {one.address if wide() else short(one.address)}"]


def _row(process: Process, more: list[str]) -> tuple[str, ...]:
    from agentrooms.cli.console import NONE, clean

    said = process.health
    facts = [str(said["trouble"])] if said.get("trouble") else []
    facts += more
    facts += [f"{name.replace('_', ' ')} {said[name]}" for name in sorted(said) if _tells(name, said[name])]
    node = str(said.get("node", ""))[:NODE_SHOWN]
    heard = f"{process.silent_s:.0f} s ago"
    return (
        clean(process.name),
        clean(", ".join(facts)),
        str(said.get("pid", NONE)),
        heard,
        str(process.starts),
        clean(node),
    )


def _tells(name: str, value: object) -> bool:
    return name not in SHOWN_ELSEWHERE and bool(value)


def _print_rooms(seen: Survey) -> None:
    from agentrooms.cli.console import NONE, clean, out
    from agentrooms.cli.facts import table_by_id

    ids = [room.room for room in seen.rooms]
    shown = table_by_id("Room", "Name", ">Round", ">Speed", ">Agents", "Trouble", ids=ids)
    for room in seen.rooms:
        pace = NONE if room.speed is None else SPEEDS.get(room.speed, f"{room.speed}x")
        round_ = NONE if room.round is None else f"{room.round:,}"
        shown.add_row(room.room, clean(room.name), round_, pace, str(room.agents), clean(room.trouble) or NONE)
    out().print(shown)


def length(seconds: float) -> str:
    """Returns a length of time in its two largest units, such as "2 h 5 min"."""
    whole = int(seconds)
    days, hours, minutes = whole // 86_400, whole // 3_600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
