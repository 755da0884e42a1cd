"""The whole settlement of a room on a Mainsail network: real settlement, seven real verifiers, time that nobody waits for."""

from __future__ import annotations

from typing import Any

import httpx

from agentrooms.actors.messages import Begin, CheckExpiry, Execute, Message, Outcome, Resubmitted, Verdict, VerifyDeal
from agentrooms.actors.plans import verifier_keys
from agentrooms.actors.runtime import LocalRuntime, Send
from agentrooms.actors.settlement import SettlementActor
from agentrooms.actors.verifier import VerifierActor
from agentrooms.chain.devnet.engine import RELAYER_KEY, START_MS, Genesis
from agentrooms.chain.devnet.mainsail import CHAIN_ID, Mainsail, Rules, VirtualClock
from agentrooms.chain.devnet.node import CommandNode
from agentrooms.chain.devnet.pyevm import PyEvm
from agentrooms.chain.devnet.transport import InProcess
from agentrooms.chain.evm.chain import EvmChain, Pace
from agentrooms.chain.evm.devnet import DevnetChain
from agentrooms.chain.evm.rpc import Rpc
from agentrooms.chain.evm.view import EvmView
from agentrooms.chain.spec import ARK_REQUESTS_PER_MINUTE
from agentrooms.events.vault import MemoryVault, put_mandate
from tests.domain import samples
from tests.evm.market import Deal, Market, in_process

ROOM, SETTLEMENT = f"room:{samples.ROOM}", "settlement"
EXPIRY_MS = 10_000  # between two looks at a deal that is not decided
OWN, SHARED = "own", "shared"


class Counted(InProcess):
    """The way of one client to the network; counts its requests and those turned away."""

    def __init__(self, mainsail: Mainsail, client: str) -> None:
        super().__init__(mainsail, client)
        self.requests = 0
        self.refused = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        self.requests += 1
        self.refused += response.status_code == httpx.codes.TOO_MANY_REQUESTS
        return response


class Desk:
    """What a room does with settlement's answers: an approved deal is executed, a stuck one goes on, others are looked at."""

    def __init__(self, deals: dict[str, Deal]) -> None:
        self._deals = deals
        self.hashes: dict[str, list[str]] = {}
        self.outcomes: dict[str, Outcome] = {}

    def receive(self, message: Message) -> list[Send]:
        """Answers settlement."""
        if isinstance(message, Verdict | Resubmitted) and message.tx_hash is not None:
            self.hashes.setdefault(message.deal, []).append(message.tx_hash)
            return [Send(SETTLEMENT, Execute(self._deals[message.deal].terms, message.tx_hash, 0))]
        assert isinstance(message, Outcome), message
        if message.receipt is not None or message.reason is not None:
            self.outcomes[message.deal] = message
            return []
        terms, tx_hash = self._deals[message.deal].terms, self.hashes[message.deal][-1]
        return [Send(SETTLEMENT, CheckExpiry(terms, 0, tx_hash), EXPIRY_MS)]


class Network:
    """One room's settlement. `own`: each client is counted by itself; `shared`: all are behind one address."""

    def __init__(
        self, clients: str = OWN, *, seed: bytes = b"", deals: int = 1, deal_ms: int = 1_800_000, **rules: Any
    ) -> None:
        engine = PyEvm(None, Genesis(chain_id=CHAIN_ID, start_ms=START_MS))
        given = MemoryVault()
        self.market = Market(
            DevnetChain(in_process(CommandNode(engine)), given, chain_id=CHAIN_ID, virtual=True), given, virtual=True
        )
        made = [self.market.deal(deadline_ms=START_MS + deal_ms) for _ in range(deals)]
        self.deals = {deal.terms.deal: deal for deal in made}
        self.clock = VirtualClock(engine.head().timestamp_ms)
        self._begin_ms = self.clock()
        self.engine, self.mainsail = engine, Mainsail(engine, self.clock, seed=seed, rules=Rules(**rules))
        self.clients: dict[str, Counted] = {}
        self._rpcs: dict[str, Rpc] = {}
        self._shared = clients == SHARED
        self._place()

    def rpc(self, name: str) -> Rpc:
        """A client of the network; one address has one client for all its parts."""
        client = "shared" if self._shared else name
        if client not in self.clients:
            self.clients[client] = Counted(self.mainsail, client)
            self._rpcs[client] = Rpc(
                "http://mainsail",
                transport=self.clients[client],
                requests_per_minute=ARK_REQUESTS_PER_MINUTE,
                clock=self.now_s,
                sleep=lambda s: self.clock.advance(-int(-s * 1_000 // 1)),
            )
        return self._rpcs[client]

    def now_s(self) -> float:
        """The virtual time."""
        return self.clock() / 1_000

    def run(self, every_ms: int = 0) -> None:
        """Locks a deal each so often and goes on until all have ended."""
        for at, deal in enumerate(self.deals.values()):
            job = VerifyDeal(deal.terms, deal.case.acceptances, 0)
            self.runtime.tell(SETTLEMENT, job, at * every_ms)
        while len(self.desk.outcomes) < len(self.deals):
            at_ms = self.runtime.next_at_ms()
            assert at_ms is not None, "nothing more happens"
            self.clock.advance(max(0, self._begin_ms + at_ms - self.clock()))
            self.runtime.step()
            self.runtime.now_ms = max(self.runtime.now_ms, self.clock() - self._begin_ms)

    @property
    def requests(self) -> dict[str, int]:
        """How many each client asked."""
        return {name: client.requests for name, client in self.clients.items()}

    @property
    def refused(self) -> int:
        """How many requests were turned away."""
        return sum(client.refused for client in self.clients.values())

    @property
    def elapsed_s(self) -> float:
        """How long it all took, in the network's time."""
        return (self.clock() - self._begin_ms) / 1_000

    def _place(self) -> None:
        site, vault, memory = self.market.chain.site, MemoryVault(), MemoryVault()
        for deal in self.deals.values():
            for signed in (deal.case.buyer, deal.case.seller):
                assert signed is not None
                put_mandate(vault, signed)
        self.runtime, self.desk = LocalRuntime(), Desk(self.deals)
        self.chain = EvmChain(self.rpc("settlement"), site, RELAYER_KEY, memory, pace=Pace(), now_s=self.now_s)
        self.chain.probe()
        for name in samples.NAMES:
            view, keys = EvmView(self.rpc(name), site), verifier_keys(samples.KEY, name)
            actor = VerifierActor(name, keys, view, memory, set_version=1)
            self.runtime.place(f"verifier:{name}", lambda actor=actor: actor)  # type: ignore[misc]
        self.settlement = SettlementActor(SETTLEMENT, "watcher", self.chain, vault, self.market.verifiers)
        self.runtime.place(SETTLEMENT, lambda: self.settlement)
        self.runtime.place(ROOM, lambda: self.desk)
        self.runtime.tell(SETTLEMENT, Begin(samples.ROOM, ()))
