"""Lines of the log: what they hold, and what they never hold."""

from __future__ import annotations

import json
import logging
import threading
from typing import Any

import pytest

from agentrooms.api import logs

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyX3gifQ.c2lnbmF0dXJl"
SIGNATURE = "0x" + "1b" * 65
log = logging.getLogger("agentrooms.test_logs")


def line(message: str = "said", *, error: bool = False, **extra: Any) -> dict[str, Any]:
    """One line as it is written."""
    record = log.makeRecord(log.name, logging.INFO, __file__, 1, message, (), None, extra=extra)
    if error:
        try:
            raise ValueError(f"{TOKEN} is not 4817.23")
        except ValueError as caught:
            record.exc_info = (type(caught), caught, caught.__traceback__)
    text = logs.formatter(json=True).format(record)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_line_begins_with_when_how_grave_and_what() -> None:
    with logs.about(request_id="abcdefgh"):
        found = line(path="/rooms/{id}", took_ms=1.5)

    assert list(found) == ["ts", "level", "event", "request_id", "path", "took_ms"]
    assert found["ts"].endswith("Z")
    assert (found["level"], found["event"]) == ("info", "said")


def test_what_an_endpoint_notes_on_its_thread_is_in_the_lines_of_its_request() -> None:
    import contextvars

    with logs.about(request_id="abcdefgh"):
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(lambda: logs.note(room="room_a", position=7),))
        thread.start()
        thread.join()
        found = line()

    assert (found["room"], found["position"]) == ("room_a", 7)
    assert "room" not in line(), "another request's"


@pytest.mark.parametrize(
    "name",
    [
        *("access_token", "signature", "limit", "limit_usdc_micros", "minPrice", "starting_price", "price"),
        *(
            "authorization",
            "Authorization",
            "cookie",
            "secret",
            "password",
            "body",
            "query",
            "dsn",
            "budget_usdc_micros",
        ),
    ],
)
def test_a_field_with_a_secrets_name_is_masked(name: str) -> None:
    fields: dict[str, Any] = {name: "4817.23", "held": {name: 4817.23, "others": [{name: "x"}]}}

    found = line(**fields)

    assert found[name] == logs.MASK
    assert found["held"] == {name: logs.MASK, "others": [{name: logs.MASK}]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"sent {TOKEN} along", f"sent {logs.MASK} along"),
        (f"signed as {SIGNATURE}", f"signed as {logs.MASK}"),
        ("Bearer abc.def", f"Bearer {logs.MASK}"),
        ("postgresql://ada:secret@host/db", f"postgresql://{logs.MASK}host/db"),
        ("GET /deals?price=4817.23 failed", f"GET /deals{logs.MASK} failed"),
        ("room room_lg4yq2x7mk3ve of 0x52908400098527886e0f7030069857d2e4169ee7", None),
    ],
)
def test_a_text_that_looks_like_a_secret_is_masked(text: str, shown: str | None) -> None:
    assert line(text)["event"] == (shown or text)


def test_an_exception_is_told_by_its_type_and_place() -> None:
    found = line(error=True)

    assert found["error"] == "ValueError"
    assert found["where"].split(":")[0] == __name__
    assert "4817" not in json.dumps(found)


def test_a_text_is_cut() -> None:
    assert len(line("a" * 10_000)["event"]) == logs.TEXT_MAX


def test_a_terminal_gets_text() -> None:
    record = log.makeRecord(log.name, logging.INFO, __file__, 1, "said", (), None, extra={"room": "room_a"})

    text = logs.formatter(json=False).format(record)

    assert "said" in text
    assert not text.startswith("{")


def test_addresses_of_requests_that_libraries_log_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """They hold queries."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", list(root.handlers))
    monkeypatch.setattr(root, "level", root.level)
    levels = {name: logging.getLogger(name).level for name in (*logs.QUIET, "uvicorn", "uvicorn.error")}
    try:
        logs.set_up(json=True)

        assert not logging.getLogger("httpx").isEnabledFor(logging.INFO)
        assert log.isEnabledFor(logging.INFO)
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
