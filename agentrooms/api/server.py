"""The API as a process of its own: `python -m agentrooms.api.server`, over the system of the settings' data folder.

Its first line on stdout says, in JSON, where it listens; then it serves until it is told to stop or, with
`--with-parent`, until its stdin ends, which is when whoever started it is gone. Any number may run side by side.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from agentrooms.api.app import Application
from agentrooms.api.home import Home
from agentrooms.api.logs import set_up
from agentrooms.api.sockets.framing import FramesProtocol
from agentrooms.errors import AgentroomsError
from agentrooms.live.access import Running, running
from agentrooms.services.listening import BACKLOG, listening
from agentrooms.services.settings import Settings, load_settings

CONNECTIONS_MAX = 10_000
HEADER_BYTES_MAX = 65_536
KEEPALIVE_S = 30
STOP_S = 3  # for requests in flight; sockets are told to come again
FRAME_BYTES_MAX = 16_384  # of what a socket may say


class Ready(msgspec.Struct, frozen=True):
    """What the API says when it can be asked."""

    url: str
    pid: int


def main(arguments: list[str] | None = None) -> int:
    """Serves until stopped; returns 1 when it cannot, having said why on stderr."""
    given = _parser().parse_args(arguments)
    try:
        settings = load_settings()
        found = msgspec.json.decode(given.running.read_bytes(), type=Running) if given.running else running(settings)
        with _listener(settings, given.fd) as listener:
            serve(settings, found, listener, with_parent=given.with_parent)
    except AgentroomsError as error:
        sys.stderr.write(f"{error}\n{error.hint}\n")
        return 1
    return 0


def _listener(settings: Settings, fd: int | None) -> socket.socket:
    return listening(settings.api_host, settings.api_port) if fd is None else socket.socket(fileno=fd)


def serve(settings: Settings, found: Running, listener: socket.socket, *, with_parent: bool) -> None:
    """Serves on a socket that listens until the process is told to stop."""
    set_up(json=not sys.stderr.isatty())
    host, port = listener.getsockname()[:2]
    url = f"http://{host}:{port}"
    with Home(settings, found, settings.public_url or url) as home:
        server = _Server(Application(home), Ready(url, os.getpid()))
        if with_parent:
            threading.Thread(target=_end_with_stdin, args=(server,), daemon=True).start()
        server.run(sockets=[listener])


def config_of(app: Any) -> uvicorn.Config:  # noqa: ANN401 - an ASGI application
    """Returns how uvicorn serves the application."""
    return uvicorn.Config(
        app,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http="h11",
        h11_max_incomplete_event_size=HEADER_BYTES_MAX,
        ws=FramesProtocol,
        ws_max_size=FRAME_BYTES_MAX,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        limit_concurrency=CONNECTIONS_MAX,
        timeout_keep_alive=KEEPALIVE_S,
        timeout_graceful_shutdown=STOP_S,
    )


class _Server(uvicorn.Server):
    """A server that says when it can be asked, and tells sockets to come again before it waits for their ends."""

    def __init__(self, app: Application, ready: Ready) -> None:
        super().__init__(config_of(app))
        self._application = app
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts serving, then says so."""
        await super().startup(sockets)
        if self.started:
            sys.stdout.write(msgspec.json.encode(self._ready).decode() + "\n")
            sys.stdout.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends serving."""
        self._application.sockets.close_all()
        await super().shutdown(sockets)


def _end_with_stdin(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="agentrooms.api.server")
    parser.add_argument("--running", type=Path, help="file that says where the system's parts are")
    parser.add_argument("--fd", type=int, help="a socket that listens already, else one of API_HOST and API_PORT")
    parser.add_argument("--with-parent", action="store_true", help="end when stdin does")
    return parser


if __name__ == "__main__":
    sys.exit(main())
