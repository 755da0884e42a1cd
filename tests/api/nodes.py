"""A node of a chain where every item's metadata are at one address, and a server of pictures; for tests of items."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import msgspec

from agentrooms.chain.evm.holdings import EvmHoldings
from agentrooms.chain.evm.rpc import Rpc
from agentrooms.chain.ledger import LEDGER
from agentrooms.domain.eip712 import uint


class Node:
    """Answers every question with one text, which may change; counts the questions."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.asked = 0

    def holdings(self) -> EvmHoldings:
        return EvmHoldings(Rpc("http://node", transport=httpx.MockTransport(self._answer)), LEDGER)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        raw = self.text.encode()
        said = uint(32) + uint(len(raw)) + raw + b"\0" * (-len(raw) % 32)
        return httpx.Response(200, content=msgspec.json.encode({"result": "0x" + said.hex()}))


class Files:
    """What is at each path of a server: a status, a type it claims, a body; and which paths were asked for."""

    def __init__(self) -> None:
        self.at: dict[str, tuple[int, str, bytes]] = {}
        self.asked: list[str] = []
        self.url = ""


@contextlib.contextmanager
def files() -> Iterator[Files]:
    """A server on the loopback."""
    served = Files()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            status, kind, body = served.at.get(self.path, (404, "text/plain", b""))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Prints nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
