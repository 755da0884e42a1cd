"""`agentrooms verify`: checks an archive without trusting whoever made it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.params import Folder, Json, Misuse, head_hash

if TYPE_CHECKING:
    from agentrooms.sim.audit import Check, Report


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command(
        "verify",
        epilog=examples(
            "agentrooms verify runs/a",
            "agentrooms verify runs/a --re-execute",
            "agentrooms verify runs/a --expect-head 5f1d… --json",
            "agentrooms verify archives/x --rpc http://127.0.0.1:8545",
            "agentrooms verify archives/x --key 9a0c…",
        ),
    )(verify)


def _public_key(value: str) -> str:
    """Reads an Ed25519 public key."""
    text = value.strip().lower()
    if re.fullmatch(r"[0-9a-f]{64}", text) is None:
        raise Misuse(
            f"{value!r} is not a public key", "64 hexadecimal digits, as `agentrooms export room:ID` prints it"
        )
    return text


def verify(
    folder: Folder,
    re_execute: Annotated[
        bool, typer.Option("--re-execute", help="Run the agents again and compare every byte.")
    ] = False,
    expect_head: Annotated[
        str | None,
        typer.Option(
            "--expect-head",
            metavar="HASH",
            help="The head you noted elsewhere: finds a log that was rewritten as a whole.",
            parser=head_hash,
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="HEX",
            help="The public key of the installation that a live room's archive should be from.",
            parser=_public_key,
        ),
    ] = None,
    rpc: Annotated[
        str | None,
        typer.Option("--rpc", metavar="URL", help="A node of the chain, to ask whether it has the transactions."),
    ] = None,
    json: Json = False,
) -> None:
    """Check an archive: hash chains, signatures, certificates, mandates, invariants, conservation.

    Exit code 0 when all checks pass, 1 when one fails; the first failure is named with its place. What could not be
    checked is listed.
    """
    from agentrooms.cli.console import emit
    from agentrooms.cli.progress import step_progress
    from agentrooms.sim.audit import audit

    with step_progress(quiet=json) as step:

        def show(stage: str, done: int, total: int) -> None:
            step(f"{stage}: event {done:,} of {total:,}")

        report = audit(folder, expect_head=expect_head, key=key, re_execute=re_execute, rpc=rpc, progress=show)
    if json:
        emit(_document(report))
    else:
        _print(report)
    if not report.passed:
        raise typer.Exit(1)


def _document(report: Report) -> dict[str, Any]:
    return {
        "passed": report.passed,
        "head": report.head,
        "checks": [
            {"name": c.name, "passed": c.passed, "count": c.count, "place": c.place, "detail": c.detail}
            for c in report.checks
        ],
        "unchecked": list(report.unchecked),
    }


def _print(report: Report) -> None:
    from rich.text import Text

    from agentrooms.cli.console import clean, out, table

    screen = out()
    checks = table("", "Checked", ">Count", "")
    for check in report.checks:
        mark = Text("ok", style="green") if check.passed else Text("FAIL", style="bold red")
        checks.add_row(mark, clean(check.name), f"{check.count:,}", Text(clean(_remark(check))))
    screen.print(checks)
    for what in report.unchecked:
        screen.print(f"not checked: {clean(what)}", soft_wrap=True, markup=False)
    failed = [check for check in report.checks if not check.passed]
    if failed:
        first = failed[0]
        screen.print(Text(f"FAILED: {clean(first.name)}: {clean(_remark(first))}", style="bold red"), soft_wrap=True)
        return
    screen.print(Text("passed", style="bold green"), f"head {report.head}", soft_wrap=True)


def _remark(check: Check) -> str:
    return ": ".join(part for part in (check.place, check.detail) if part)
