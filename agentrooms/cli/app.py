"""Puts the commands together. Nothing heavy is imported here, so that `--help` stays quick."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from agentrooms import __version__
from agentrooms.cli import (
    agent,
    api,
    backup,
    bench,
    chain,
    chaos,
    db,
    deal,
    descriptions,
    doctor,
    export,
    fork,
    jobs,
    projections,
    replay,
    room,
    status,
    swarm,
    up,
    verifier,
    verifiers,
    verify,
)
from agentrooms.cli.examples import examples

ORDER = (
    *("up", "status", "room", "agent", "swarm", "deal"),
    *("verify", "verifiers", "replay", "fork", "compare", "export"),
    *(
        "api",
        "jobs",
        "openapi",
        "asyncapi",
        "postman",
        "db",
        "projections",
        "backup",
        "restore",
        "bench",
        "chaos",
        "doctor",
        "verifier",
        "chain",
    ),
)


class _Ordered(TyperGroup):
    """Lists commands in the order in which people meet them."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401 - Typer's own type is private
        return sorted(super().list_commands(ctx), key=ORDER.index)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"agentrooms {__version__}")
        raise typer.Exit


def _root(
    ctx: typer.Context,
    _asked: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Rooms in which autonomous agents negotiate NFT trades under signed mandates.

    Every change is an event: each run can be replayed, forked, re-executed to the byte, and verified.
    """
    if ctx.invoked_subcommand is None:
        ctx.get_help()


app = typer.Typer(
    name="agentrooms",
    cls=_Ordered,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.callback(
    invoke_without_command=True,
    epilog=examples(
        "agentrooms up", "agentrooms swarm run balanced_market --seed 7 --out runs/a", "agentrooms verify runs/a"
    ),
)(_root)
for _module in (
    up,
    status,
    room,
    agent,
    swarm,
    deal,
    verify,
    verifiers,
    replay,
    fork,
    export,
    api,
    jobs,
    descriptions,
    db,
    projections,
    backup,
    bench,
    chain,
    chaos,
    doctor,
    verifier,
):
    _module.register(app)


@cache
def command() -> Any:  # noqa: ANN401 - the same
    """Returns the whole command line as one command."""
    root = typer.main.get_command(app)
    _hide_flag_types(root)
    return root


def _hide_flag_types(command: Any) -> None:  # noqa: ANN401 - the same
    """Takes `<bool>` out of the help: a flag takes no value."""
    for param in command.params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    command.get_help_option = partial(_help_option, command.get_help_option)
    for inner in getattr(command, "commands", {}).values():
        _hide_flag_types(inner)


def _help_option(make: Callable[[typer.Context], Any], ctx: typer.Context) -> Any:  # noqa: ANN401 - the same
    option = make(ctx)
    option.metavar = ""
    return option
