"""`agentrooms api`: more processes of the API, beside the one that `up` starts."""

from __future__ import annotations

from typing import Annotated

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.groups import add_group


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    group = add_group(app, "api", "The API, beside the one that `up` starts.", "agentrooms api serve --port 8001")
    group.command("serve", epilog=examples("agentrooms api serve --port 8001"))(serve)


def serve(
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65_535, help="Port to listen on; 0 for any. Else API_PORT.")
    ] = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on. Else API_HOST.")] = None,
) -> None:
    """Serve the API of the running system in this process until Ctrl-C. Any number may run side by side.

    Set PUBLIC_URL to the address under which people reach all of them: their wallets sign for it.
    """
    from agentrooms.api import server
    from agentrooms.cli.console import talk
    from agentrooms.live.access import running
    from agentrooms.services.listening import listening
    from agentrooms.services.settings import load_settings

    settings = load_settings()
    found = running(settings)
    with listening(host or settings.api_host, settings.api_port if port is None else port) as listener:
        at, bound = listener.getsockname()[:2]
        talk(f"Serving the system of {settings.agentrooms_data} at http://{at}:{bound}; Ctrl-C ends.")
        server.serve(settings, found, listener, with_parent=False)
