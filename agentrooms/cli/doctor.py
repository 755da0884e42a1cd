"""`agentrooms doctor`: whether this installation can do its work, and how to mend it."""

from __future__ import annotations

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.params import Json

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command("doctor", epilog=examples("agentrooms doctor", "agentrooms doctor --json"))(doctor)


def doctor(json: Json = False) -> None:
    """Check Python, packages, signatures, data, a tiny run, terminal and disk; each with what mends it.

    Exit code 1 when something fails; a warning is no failure.
    """
    import msgspec
    from rich.text import Text

    from agentrooms.cli.checkup import Health, examine
    from agentrooms.cli.console import clean, emit, out, table

    findings = examine()
    failed = any(finding.health is Health.FAIL for finding in findings)
    if json:
        emit({"passed": not failed, "checks": msgspec.to_builtins(findings)})
    else:
        shown = table("", "Checked", "Found")
        for finding in findings:
            found = Text(clean(finding.found))
            if finding.hint:
                found.append(f"\nhint: {finding.hint}", style="dim")
            shown.add_row(Text(finding.health, style=STYLES[finding.health]), finding.name, found)
        out().print(shown)
    if failed:
        raise typer.Exit(1)
