"""`agentrooms verifier`: one verifier of a set as a service of its own, on another machine or for another owner."""

from __future__ import annotations

from typing import Annotated

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.groups import add_group
from agentrooms.cli.params import whole

PORT_MAX = 65_535


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    group = add_group(
        app,
        "verifier",
        "One verifier as a service of its own.",
        "agentrooms verifier identity",
        "agentrooms verifier serve",
    )
    group.command("serve", epilog=examples("agentrooms verifier serve", "agentrooms verifier serve --port 8751"))(serve)
    group.command("identity", epilog=examples("agentrooms verifier identity > member.json"))(identity)
    group.command("caller", epilog=examples("agentrooms verifier caller"))(caller)


def serve(
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Where to listen; 0.0.0.0 is everywhere.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", help="0 takes a free one.", parser=whole(0, PORT_MAX))
    ] = 8750,
    json: Annotated[bool, typer.Option("--json", help="Say in one line of JSON where it listens.")] = False,
) -> None:
    """Serve the verifier of VERIFIER_DATA to the installations of VERIFIER_CALLERS until Ctrl-C.

    It looks at the chain of CHAIN_MODE through CHAIN_URL. Bodies hold mandates: between networks put TLS before it.
    """
    import os
    import socket
    import sys
    from contextlib import closing

    import msgspec

    from agentrooms.api.verifier import app as verifier_app
    from agentrooms.api.verifier import home as verifier_home
    from agentrooms.api.verifier.gate import Gate
    from agentrooms.api.verifier.service import VerifierService
    from agentrooms.cli.console import talk
    from agentrooms.cli.screen import cut_short
    from agentrooms.events.file_vault import FileVault
    from agentrooms.services.folder import DataFolder
    from agentrooms.services.settings import load_settings

    settings = load_settings()
    member = verifier_home.identity(settings).member
    with (
        cut_short(),
        DataFolder(settings.verifier_data).own("agentrooms verifier serve"),
        closing(FileVault(verifier_home.memory_of(settings))) as memory,
        socket.create_server((host, port)) as listener,
    ):
        home = verifier_home.home(settings, memory)
        url = f"http://{host}:{listener.getsockname()[1]}"
        talk(
            f"{member.id} ({member.address}) votes on deals of chain {home.view.site.chain_id}, set {home.set_version}."
        )
        talk(f"It listens at {url}; Ctrl-C ends.")
        if json:
            ready = {"url": url, "pid": os.getpid(), "member": member}
            sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
            sys.stdout.flush()
        verifier_app.serve(
            verifier_app.verifier_app(VerifierService(home), Gate(member.public_key, home.callers)), listener
        )


def identity() -> None:
    """Print the public record of the verifier of VERIFIER_DATA, to be registered in a set; keys are made if need be."""
    from agentrooms.api.verifier.home import identity as identity_of
    from agentrooms.cli.console import emit
    from agentrooms.services.settings import load_settings

    emit(identity_of(load_settings()).member)


def caller() -> None:
    """Print the public key that this installation signs its requests with; a verifier has it in VERIFIER_CALLERS."""
    from agentrooms.actors.verifier_wire import caller_key
    from agentrooms.cli.console import out
    from agentrooms.domain.keys import public_hex
    from agentrooms.services.folder import DataFolder
    from agentrooms.services.settings import load_settings

    folder = DataFolder(load_settings().agentrooms_data)
    if not folder.path.exists():
        with folder.own("agentrooms verifier caller"):
            folder.secret()
    out().print(public_hex(caller_key(folder.secret())))
