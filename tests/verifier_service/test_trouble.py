"""Where chain or memory fail, a service gives no vote, and says so; what fails within it shows nothing of a mandate."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from agentrooms.actors.plans import verifier_keys
from agentrooms.actors.verifier_wire import NONCE_BYTES, RunConsensus, authorization
from agentrooms.api.problems import MEDIA_TYPE
from agentrooms.api.verifier.app import verifier_app
from agentrooms.api.verifier.gate import Gate, wall_ms
from agentrooms.api.verifier.home import Home, Identity
from agentrooms.api.verifier.service import VerifierService
from agentrooms.chain.evm.rpc import Rpc
from agentrooms.chain.evm.view import EvmView
from agentrooms.chain.ledger import LEDGER
from agentrooms.events.file_vault import FileVault
from tests.domain import samples
from tests.domain.samples import SET, TERMS
from tests.verifier_service.stage import CALLER, key

NAME = SET.verifiers[0].id
IDENTITY = Identity(NAME, verifier_keys(samples.KEY, NAME))
PATH = "/run-consensus"


class Node(httpx.BaseTransport):
    """A node that answers every call with the same result, or not at all."""

    def __init__(self) -> None:
        self.result: object = None
        self.there = True

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if not self.there:
            raise httpx.ConnectError("nobody")
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": self.result})


class Place:
    """A service in this process, on a node that the test plays."""

    def __init__(self, folder: Path) -> None:
        self.node = Node()
        self.memory = FileVault(folder / "memory")
        rpc = Rpc("http://127.0.0.1:1/", transport=self.node, sleep=lambda _s: None)
        view = EvmView(rpc, LEDGER)
        home = Home(IDENTITY, self.memory, view, None, SET.version, frozenset({key()}))
        gate = Gate(IDENTITY.member.public_key, home.callers)
        self._app = verifier_app(VerifierService(home), gate)
        self._asked = 0

    def ask(self, path: str = PATH, body: bytes = b"") -> httpx.Response:
        """Asks for a vote on the sample deal, or what the body says."""
        data = body or msgspec.json.encode(RunConsensus(deal_id=TERMS.deal, case=samples.case_of()))
        self._asked += 1
        nonce = self._asked.to_bytes(NONCE_BYTES, "big")
        verifier = IDENTITY.member.public_key
        header = authorization(CALLER, verifier, path, data, at_ms=wall_ms(), nonce=nonce)
        return self.send("POST", path, data, header)

    def send(self, method: str, path: str, data: bytes = b"", header: str = "") -> httpx.Response:
        """Sends a request to the application in this process."""

        async def sent() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://verifier") as client:
                return await client.request(method, path, content=data, headers={"authorization": header})

        return asyncio.run(sent())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.memory.close()


def problem(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == MEDIA_TYPE
    return response.status_code, response.json()["detail"]


def test_a_chain_that_does_not_answer_is_silence_and_no_vote(place: Place) -> None:
    place.node.there = False
    assert problem(place.ask()) == (503, "the chain does not answer; ask again")
    assert place.memory.export() == b""
    told = place.send("GET", "/health").json()
    assert (told["status"], told["headBlock"], told["verifier"]) == ("chain unreachable", None, NAME)


def test_without_a_relayer_nothing_is_executed(place: Place) -> None:
    asked = {"dealId": TERMS.deal, "case": samples.case_of(), "votes": []}
    assert problem(place.ask("/execute-escrow", msgspec.json.encode(asked)))[0] == 501


def test_a_fault_within_is_logged_by_its_place_alone(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """An error's text may hold what was decoded."""
    place.node.result = "0x" + b"secret words".hex()
    with caplog.at_level(logging.ERROR):
        assert problem(place.ask()) in {
            (500, "a fault of this service"),
            (502, "the chain answered what cannot be used"),
        }
    assert place.memory.export() == b""
    assert "secret words" not in caplog.text
    assert b"secret words".hex() not in caplog.text


def test_without_its_memory_it_gives_no_vote(place: Place) -> None:
    place.memory.close()
    assert problem(place.ask()) == (503, "this verifier's memory cannot be used")
