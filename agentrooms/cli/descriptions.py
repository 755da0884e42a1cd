"""`agentrooms openapi|asyncapi|postman`: what describes the API, without a system that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agentrooms.cli.examples import examples

Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there instead of printing it.")]
Url = Annotated[str | None, typer.Option("--url", metavar="ORIGIN", help="Where the API is, else PUBLIC_URL.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    for command in (openapi, asyncapi, postman):
        name = command.__name__
        app.command(name, epilog=examples(f"agentrooms {name}", f"agentrooms {name} --out {name}.json"))(command)


def openapi(out: Out = None, url: Url = None) -> None:
    """Print the OpenAPI document of the REST interface."""
    from agentrooms.api.descriptions import openapi_document, text_of

    _write(text_of(openapi_document(_origin(url))), out)


def asyncapi(out: Out = None, url: Url = None) -> None:
    """Print the AsyncAPI document of the sockets."""
    from agentrooms.api.descriptions import asyncapi_document, text_of

    _write(text_of(asyncapi_document(_origin(url))), out)


def postman(out: Out = None, url: Url = None) -> None:
    """Print a Postman collection of the REST interface."""
    from agentrooms.api.descriptions import postman_collection, text_of

    _write(text_of(postman_collection(_origin(url))), out)


def _origin(url: str | None) -> str:
    from agentrooms.api.descriptions import PUBLIC_URL
    from agentrooms.services.settings import load_settings

    return url or load_settings().public_url or PUBLIC_URL


def _write(text: str, out: Path | None) -> None:
    from agentrooms.cli.console import talk

    if out is None:
        typer.echo(text, nl=False)
        return
    out.write_text(text, encoding="utf-8")
    talk(f"wrote {out}")
