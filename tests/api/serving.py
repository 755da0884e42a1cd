"""An API's application behind a real server on this machine, in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from agentrooms.api.app import Application
from agentrooms.api.home import Home
from agentrooms.api.server import config_of

WAIT_S = 30.0


@contextmanager
def served(home: Home) -> Iterator[str]:
    """Gives the address under which a home's API answers, as `agentrooms.api.server` serves it."""
    config = config_of(Application(home))
    config.host, config.port = "127.0.0.1", 0
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline_s = time.monotonic() + WAIT_S
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(WAIT_S)
        assert not thread.is_alive()
