"""The API beside `up`: a child process on a socket that stays when it has to be started again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from agentrooms.live.access import Running

MODULE = "agentrooms.api.server"


@contextmanager
def serving(running: Running, listener: socket.socket) -> Iterator[str]:
    """Gives the address of a running system's API, which ends with the block. Who asks before it is up, waits."""
    from agentrooms.live.access import RUNNING
    from agentrooms.services.child import Child, Keeper
    from agentrooms.services.folder import DataFolder

    folder = DataFolder(running.folder)
    described, fd = str(folder.path / RUNNING), listener.fileno()

    def start() -> Child:
        return Child(
            MODULE, folder.logs / "api.log", "--with-parent", "--running", described, "--fd", str(fd), fds=(fd,)
        )

    keeper = Keeper(start, "the API")
    try:
        host, port = listener.getsockname()[:2]
        yield f"http://{host}:{port}"
    finally:
        keeper.stop()
