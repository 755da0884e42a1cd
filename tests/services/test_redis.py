"""Our own Redis: private, bounded, without memory of its own, and never somebody else's process."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

import agentrooms.services.redis as service
from agentrooms.services.redis import PID_FILE, Redis, RedisFailed, connect_or_start


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path / "it's a folder")
    yield server
    server.stop()


def test_it_answers_is_adopted_and_ends(server: Redis) -> None:
    with redis.Redis.from_url(server.start()) as connection:
        connection.set("a", "1")
        assert connection.config_get("save") == {"save": ""}
        assert connection.config_get("appendonly") == {"appendonly": "no"}
        assert connection.config_get("maxmemory") == {"maxmemory": str(256 * 1024**2)}
    pid = server.pid
    assert pid is not None
    again = Redis(server.folder)
    again.start()
    assert again.pid == pid
    server.stop()
    assert server.pid is None
    assert list(server.folder.glob("*.rdb")) == []


def test_killed_it_starts_again_empty(server: Redis) -> None:
    with redis.Redis.from_url(server.start()) as connection:
        connection.set("a", "1")
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with redis.Redis.from_url(server.start()) as connection:
        assert connection.dbsize() == 0


def test_a_stale_pid_file_is_no_licence_to_kill(server: Redis) -> None:
    server.folder.mkdir()
    (server.folder / PID_FILE).write_text(f"{os.getpid()}\n")
    assert server.pid is None
    server.stop()  # and this process is still here
    server.start()
    assert server.pid not in {None, os.getpid()}


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    server = Redis(tmp_path / ("long" * 30))
    try:
        with redis.Redis.from_url(server.start()) as connection:
            assert connection.ping()
        assert len(server.url) < 100
    finally:
        server.stop()


def test_a_server_at_a_url_is_used_and_left_alone(server: Redis, tmp_path: Path) -> None:
    cache = connect_or_start(server.start(), tmp_path / "other")
    cache.stop()
    assert cache.server is None
    assert server.pid is not None
    assert not (tmp_path / "other").exists()


def test_a_url_that_does_not_answer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RedisFailed, match="REDIS_URL does not answer"):
        connect_or_start(f"unix://{tmp_path}/none.sock", tmp_path)


def test_without_any_redis_server_the_error_says_what_to_do(
    server: Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(service, "WHEEL", "no_such_package")
    with pytest.raises(RedisFailed, match=r"3\.13") as caught:
        server.start()
    assert "REDIS_URL" in caught.value.hint
