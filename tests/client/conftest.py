"""One system and one API process for all tests of the client."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn

from agentrooms.api.app import Application
from agentrooms.api.home import Home
from agentrooms.api.server import config_of
from tests.api.system import running_home

START_S = 30.0


@contextmanager
def serving(home: Home) -> Iterator[str]:
    """Serves a home's application as an API process does; gives its address."""
    config = config_of(Application(home))
    config.host, config.port = "127.0.0.1", 0
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + START_S
        while not server.started:
            assert time.monotonic() < deadline, "the API does not start"
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="session")
def home(postgres_dsn: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("home")
    with running_home(postgres_dsn, redis_url, folder, requests_per_minute=100_000, spawns_per_hour=1_000) as home:
        yield home


@pytest.fixture(scope="session")
def url(home: Home) -> Iterator[str]:
    with serving(home) as url:
        yield url
