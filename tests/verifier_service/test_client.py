"""The stand-in of a remote verifier says nothing whenever that one says nothing it can use; its settings are checked."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from agentrooms.actors.messages import AskVote
from agentrooms.actors.plans import RemoteVerifierPlan, mixed_plans
from agentrooms.actors.verifier_client import RemoteVerifier, load_remotes
from agentrooms.actors.verifier_wire import ANSWER_BYTES_MAX, Consensus
from agentrooms.api.verifier import home as verifier_home
from agentrooms.api.verifier.home import MemoryLost
from agentrooms.domain.verifier_set import VERIFIERS, Verifier
from agentrooms.errors import InvalidInput
from agentrooms.services.settings import Settings
from tests.cli.commands import said
from tests.domain import samples
from tests.domain.samples import MEMBERS, START_MS

MEMBER = MEMBERS[0]
ASKED = AskVote(samples.case_of(), START_MS, "settlement")


def consensus(name: str) -> bytes:
    """A well-formed answer with the vote of a verifier."""
    vote = samples.vote(name)
    return msgspec.json.encode(Consensus(approved=True, verifier_count=7, approval_count=1, threshold=5, vote=vote))


def http(body: bytes, status: str = "200 OK", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\ncontent-length: {size}\r\n\r\n".encode() + body


class Liar:
    """A server that answers each request with the same bytes, and then waits for the other side to go."""

    def __init__(self) -> None:
        self.answer = b""
        liar = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.recv(1 << 20)
                self.request.sendall(liar.answer)
                while self.request.recv(1 << 20):
                    pass

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def liar() -> Iterator[Liar]:
    made = Liar()
    yield made
    made.close()


def heard(url: str) -> int:
    """How many answers the stand-in passes on."""
    actor = RemoteVerifier(MEMBER, url, b"k" * 32)
    try:
        return len(actor.receive(ASKED))
    finally:
        actor.close()


def test_a_vote_of_its_own_is_passed_on(liar: Liar) -> None:
    """Whether it counts, its signatures say."""
    liar.answer = http(consensus(MEMBER.id))
    assert heard(liar.url) == 1


ANSWERS: dict[str, bytes] = {
    "another's vote": http(consensus(MEMBERS[1].id)),
    "no JSON": http(b"<html>"),
    "no vote": http(b"{}"),
    "too deep": http(b"[" * 60_000),
    "an error": http(consensus(MEMBER.id), "500 Oops"),
    "a redirect": b"HTTP/1.1 307 x\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    "too long": http(consensus(MEMBER.id) + b" " * ANSWER_BYTES_MAX),
    "cut short, and then nothing": http(consensus(MEMBER.id), length=100_000)[:200],
    "nothing": b"",
    "no HTTP": b"\0" * 100,
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_anything_else_is_silence(liar: Liar, answer: bytes) -> None:
    liar.answer = answer
    assert heard(liar.url) == 0


def test_nobody_there_is_silence() -> None:
    assert heard("http://127.0.0.1:1") == 0


@pytest.mark.parametrize("url", ["", "verifier", "ftp://v", "http://", "http://me:pw@v", "http://v/?k=1", "http://v:x"])
def test_an_address_that_cannot_be_asked_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        RemoteVerifier(MEMBER, url, b"k" * 32)
    assert "pw" not in str(caught.value)


# --- Who runs elsewhere -----------------------------------------------------------------------------------


def listed(*members: Verifier) -> bytes:
    return msgspec.json.encode([{"url": "http://v:1", "member": member} for member in members])


def test_remotes_take_places_of_the_seven(tmp_path: Path) -> None:
    file = tmp_path / "verifiers.json"
    file.write_bytes(listed(MEMBERS[1], MEMBERS[6]))
    remotes = tuple(RemoteVerifierPlan(one.member, one.url, b"k" * 32) for one in load_remotes(file))
    plans = mixed_plans(b"s" * 32, 1, remotes)
    assert sorted(plan.name for plan in plans) == [member.id for member in MEMBERS]
    assert [plan.name for plan in plans if isinstance(plan, RemoteVerifierPlan)] == ["verifier_2", "verifier_7"]
    assert len(mixed_plans(b"s" * 32, 1, ())) == VERIFIERS


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (lambda: b"{}", "lists no verifiers"),
        (lambda: b"\xff", "lists no verifiers"),
        (lambda: listed(*MEMBERS, MEMBERS[0]), "each once"),
        (lambda: listed(MEMBER, MEMBER), "each once"),
        (lambda: listed(msgspec.structs.replace(MEMBER, id="verifier_9")), "have not signed for each other"),
        (lambda: listed(MEMBER).replace(b"http:", b"ftp:"), "not the URL"),
        (lambda: listed(MEMBER).replace(b'"url"', b'"uri"'), "lists no verifiers"),
    ],
)
def test_a_list_that_cannot_be_used_says_why(tmp_path: Path, data: Callable[[], bytes], why: str) -> None:
    file = tmp_path / "verifiers.json"
    file.write_bytes(data())
    with pytest.raises(InvalidInput, match=why):
        load_remotes(file)
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_remotes(tmp_path / "nowhere")


# --- A verifier's own place -------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("VERIFIER_NAME", "verifier_5")
    return tmp_path


def test_keys_are_made_once(place: Path) -> None:
    first = said("verifier", "identity")[0]
    assert said("verifier", "identity")[0] == first
    assert msgspec.json.decode(first)["id"] == "verifier_5"


def test_a_verifier_that_lost_its_memory_gives_no_vote_any_more(place: Path) -> None:
    said("verifier", "identity")
    (place / ".agentrooms-verifier" / "memory.sqlite").unlink()
    with pytest.raises(MemoryLost):
        verifier_home.identity(Settings())
    assert "may contradict itself" in said("verifier", "serve", code=1)[1]


@pytest.mark.parametrize(
    ("env", "why"),
    [
        ({"VERIFIER_NAME": ""}, "VERIFIER_NAME is not set"),
        ({}, "VERIFIER_CALLERS is not set"),
        ({"VERIFIER_CALLERS": "0" * 64}, "CHAIN_URL is not set"),
        ({"VERIFIER_CALLERS": "0" * 64, "CHAIN_MODE": "ledger"}, "no remote verifier can look at it"),
        ({"VERIFIER_CALLERS": "0" * 64, "CHAIN_MODE": "ark", "CHAIN_URL": "http://x"}, "ESCROW_ADDRESS"),
        ({"VERIFIER_CALLERS": "0" * 63}, "VERIFIER_CALLERS"),
        ({"VERIFIER_NAME": "Verifier 5"}, "VERIFIER_NAME"),
    ],
)
def test_what_is_not_set_is_named(place: Path, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], why: str) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert why in said("verifier", "serve", "--port", "0", code=1)[1]


def test_an_installation_prints_the_key_it_asks_with(place: Path) -> None:
    key = said("verifier", "caller")[0].strip()
    assert len(bytes.fromhex(key)) == 32
    assert said("verifier", "caller")[0].strip() == key
