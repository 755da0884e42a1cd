"""Groups of commands, such as `agentrooms room`. Called alone, a group shows its help."""

from __future__ import annotations

import typer

from agentrooms.cli.examples import examples


def add_group(app: typer.Typer, name: str, help: str, *lines: str) -> typer.Typer:
    """Adds an empty group to the command line and returns it; `lines` are the examples below its help."""
    group = typer.Typer(help=help, rich_markup_mode="rich")
    group.callback(invoke_without_command=True, epilog=examples(*lines))(_alone)
    app.add_typer(group, name=name)
    return group


def _alone(ctx: typer.Context) -> None:
    if ctx.invoked_subcommand is None:
        ctx.get_help()
