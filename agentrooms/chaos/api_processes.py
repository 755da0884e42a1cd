"""Two API processes of one system, started again when they end, as `up` keeps its own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec

from agentrooms.chaos.relay import LOOPBACK
from agentrooms.client import ApiProblem, ApiUnreachable, Client
from agentrooms.client.exchange import Session
from agentrooms.domain.keys import derive_key
from agentrooms.live.access import RUNNING, Running
from agentrooms.services.child import Child, Keeper
from agentrooms.services.folder import DataFolder
from agentrooms.services.listening import listening

PROCESSES = 2
MODULE = "agentrooms.api.server"
PUBLIC_URL = "http://rooms.test"  # one for all processes, as behind a proxy
SETTINGS = {"PUBLIC_URL": PUBLIC_URL, "REQUESTS_PER_MINUTE": "1000000"}
ASK_S, SIGN_IN_S = 0.5, 120.0


class ApiProcesses:
    """Where they listen, and the number of each."""

    def __init__(self, ports: list[int], keepers: list[Keeper]) -> None:
        self.ports = ports
        self._keepers = keepers

    @property
    def urls(self) -> list[str]:
        """The origin of each."""
        return [f"http://{LOOPBACK}:{port}" for port in self.ports]

    def pid(self, which: int) -> int | None:
        """Returns the number of a process, None while it is being started again."""
        return self._keepers[which % len(self._keepers)].pid


@contextmanager
def api_processes(running: Running) -> Iterator[ApiProcesses]:
    """Gives the API processes of a system, which end with the block."""
    folder = DataFolder(running.folder)
    described = folder.path / RUNNING
    described.write_bytes(msgspec.json.encode(running))
    with ExitStack() as ends:
        ports, keepers = [], []
        for n in range(1, PROCESSES + 1):
            listener = ends.enter_context(closing(listening(LOOPBACK, 0)))
            keeper = _kept(described, folder.logs / f"api-{n}.log", listener.fileno(), f"API process {n}")
            ends.callback(keeper.stop)
            ports.append(listener.getsockname()[1])
            keepers.append(keeper)
        yield ApiProcesses(ports, keepers)


def _kept(described: Path, said: Path, fd: int, name: str) -> Keeper:
    def start() -> Child:
        options = ("--with-parent", "--running", str(described), "--fd", str(fd))
        return Child(MODULE, said, *options, fds=(fd,), env=SETTINGS)

    return Keeper(start, name)


def signed_in(url: str, secret: bytes, number: int) -> Session:
    """Returns the session of a person with a wallet of their own, once the API answers. Raises ApiProblem, ApiUnreachable."""
    key, last_s = bytes(derive_key(secret, "person", str(number))), time.monotonic() + SIGN_IN_S
    while True:
        with Client(url) as client:
            try:
                client.sign_in(key)
            except (ApiProblem, ApiUnreachable):  # the system is just starting
                if time.monotonic() > last_s:
                    raise
                time.sleep(ASK_S)
            else:
                return client.session
