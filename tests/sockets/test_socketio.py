"""The same conversation with Socket.IO: polling with its own client, and WebSocket frame by frame."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import httpx
import pytest
import socketio  # type: ignore[import-untyped]
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

from agentrooms.events.postgres_log import PostgresLog
from tests.sockets.stage import ORIGIN, WAIT_S, Client, Process, Room, pass_first_time, serving, until


class Polling:
    """A client of the Socket.IO library."""

    def __init__(self, process: Process, auth: dict[str, str] | None = None) -> None:
        self.heard: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self.io = socketio.Client(reconnection=False)
        self.io.on("*", lambda event, *said: self.heard.put((event, said[0])))
        self.io.connect(f"http://127.0.0.1:{process.port}", auth=auth, transports=["polling"])

    def hear(self, event: str) -> dict[str, Any]:
        while True:
            name, said = self.heard.get(timeout=WAIT_S)
            if name == event:
                return said

    def close(self) -> None:
        self.io.disconnect()


class Raw:
    """Frames of Engine.IO over a WebSocket, as a browser sends them."""

    def __init__(self, process: Process, auth: object = None, origin: str | None = None) -> None:
        address = f"ws://127.0.0.1:{process.port}/socket.io/?EIO=4&transport=websocket"
        self._connecting = connect(address, origin=Origin(origin) if origin else None, max_queue=None)
        self.socket = self._connecting.__enter__()
        assert self.socket.recv(WAIT_S)[:1] == "0"
        self.socket.send("40" + ("" if auth is None else json.dumps(auth)))

    def next(self) -> str:
        text = self.socket.recv(WAIT_S)
        assert isinstance(text, str)
        return text

    def emit(self, event: str, data: object, ack: int | None = None) -> None:
        self.socket.send(f"42{'' if ack is None else ack}{json.dumps([event, data])}")

    def hear(self, event: str) -> dict[str, Any]:
        while True:
            text = self.next()
            if text.startswith("42") and json.loads(text[2:])[0] == event:
                said: dict[str, Any] = json.loads(text[2:])[1]
                return said

    def close(self) -> None:
        self._connecting.__exit__(None, None, None)


@pytest.fixture
def raw(process: Process) -> Iterator[Raw]:
    with closing(Raw(process)) as client:
        yield client


def test_the_prds_client(process: Process, room: Room) -> None:
    with closing(Polling(process, {"token": "ann"})) as client, closing(Client(process)) as plain:
        assert client.hear("authenticated")["walletAddress"].endswith("1")
        answer = client.io.call("join_room", {"roomId": room.id})
        assert (answer["type"], answer["head"], "snapshot" in answer) == ("joined", room.head, False)
        assert client.hear("joined")["snapshot"]["seq"] == room.head
        plain.join(room)
        room.round(3)
        plain.until(room.head)
        assert [client.hear("agent_message") for _ in range(3)] == plain.events
        assert client.io.call("send_message", {"roomId": room.id, "message": "45 USDC?", "id": "s"})["type"] == "ack"
        assert client.hear("proposal")["price"] == 45
        assert client.io.call("leave_room", {"roomId": room.id})["type"] == "left"


def test_a_bad_token_does_not_connect(process: Process) -> None:
    with pytest.raises(socketio.exceptions.ConnectionError, match="failed to connect"):
        Polling(process, {"token": "mallory"})
    with closing(Raw(process, {"token": "mallory"})) as client:
        refused = client.next()
        assert refused[:2] == "44"
        assert json.loads(refused[2:]) == {"message": "unauthorised", "data": {"code": "token_invalid"}}
        _until_closed(client)
    with closing(Raw(process, {"token": 5})) as client:
        assert client.next()[:2] == "44"
    until(lambda: not process.sockets._of_address)


def test_who_has_no_token_spectates_and_is_told_so_after_connecting(raw: Raw, room: Room) -> None:
    assert raw.next()[:2] == "40"
    assert json.loads(raw.next()[2:]) == ["spectating", {"type": "spectating"}]
    raw.emit("send_message", {"roomId": room.id, "message": "hello"})
    assert raw.hear("error")["code"] == "not_signed_in"


def test_resume_and_order(raw: Raw, room: Room) -> None:
    room.round(4)
    raw.emit("join_room", {"roomId": room.id, "after": 7})
    assert raw.hear("joined")["recovered"]
    room.round(4, private=True)
    seqs: list[int] = []
    while not seqs or seqs[-1] < room.head:
        event, said = json.loads(raw.next()[2:])
        assert event == said["type"]
        seqs += [said["seq"]] if "seq" in said else []
    assert seqs == list(range(8, room.head + 1))


@pytest.mark.parametrize("data", [{}, [], 3, None, {"roomId": "../x"}, {"roomId": "r", "type": "auth"}])
def test_what_is_not_understood_is_told(raw: Raw, data: object) -> None:
    raw.emit("join_room", data)
    assert raw.hear("error")["code"] in {"invalid", "not_found"}
    raw.emit("ping", {}, ack=7)
    while True:
        text = raw.next()
        if text.startswith("437"):
            break
    assert json.loads(text[3:])[0]["type"] == "pong"


def test_pages_of_other_origins_do_not_connect(process: Process) -> None:
    with closing(Raw(process, origin=ORIGIN)) as client:
        assert client.next()[:2] == "40"
    with pytest.raises(InvalidStatus):
        Raw(process, origin="https://evil.example")


def test_a_client_that_lags_is_told_and_cut_off(process: Process, room: Room) -> None:
    with closing(Raw(process)) as client:
        client.emit("join_room", {"roomId": room.id})
        client.hear("joined")
        room.round(1_200, publish=False)  # read from the log, so at once
        assert client.hear("error") == {"type": "error", "code": "lagged", "message": "lagged, resume with after"}
        _until_closed(client)


def test_a_connection_that_never_says_who_it_is_ends(process: Process) -> None:
    with connect(f"ws://127.0.0.1:{process.port}/socket.io/?EIO=4&transport=websocket") as socket:
        socket.recv(WAIT_S)
        assert list(socket) in ([], ["1"])  # at most that it ends


def test_who_goes_while_its_token_is_read_leaves_nothing(store: PostgresLog, redis_url: str) -> None:
    with ThreadPoolExecutor(1) as aside, serving(store, redis_url) as process:
        process.slow.add("ann")
        address = f"http://127.0.0.1:{process.port}/socket.io/?EIO=4&transport=polling"
        sid = json.loads(httpx.get(address).text[1:])["sid"]
        connecting = aside.submit(httpx.post, f"{address}&sid={sid}", content='40{"token":"ann"}', timeout=WAIT_S)
        until(lambda: process.asked)
        httpx.post(f"{address}&sid={sid}", content="1")  # closes
        assert len(process.sockets.sessions) == 1
        process.go_on.set()
        connecting.result()
        until(lambda: not process.sockets.sessions)
        assert not process.sockets._of_user
        assert not process.sockets._of_address
        assert not process.sockets._socketio._clients


def test_who_waits_for_its_token_to_be_read_is_not_cut_off(store: PostgresLog, redis_url: str) -> None:
    with serving(store, redis_url) as process:
        process.slow.add("ann")
        with closing(Raw(process, {"token": "ann"})) as client:
            until(lambda: process.asked)
            pass_first_time(process)
            with connect(f"ws://127.0.0.1:{process.port}/socket.io/?EIO=4&transport=websocket") as stranger:
                stranger.recv(WAIT_S)
                assert list(stranger) in ([], ["1"])
            process.go_on.set()
            assert client.next()[:2] == "40"


def _until_closed(client: Raw) -> None:
    for _ in client.socket:  # ends when it is closed
        pass
