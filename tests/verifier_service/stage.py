"""A devnet, three verifiers as services of their own, four in this process, and deals ready to be settled."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
from nacl.signing import SigningKey

from agentrooms.actors.messages import AskVote, Begin, Execute, Message, Outcome, Verdict, VerifyDeal, VoteCast
from agentrooms.actors.plans import Parts, RemoteVerifierPlan, VerifierPlan, mixed_plans, verifier_address
from agentrooms.actors.runtime import Actor, LocalRuntime
from agentrooms.actors.settlement import SettlementActor
from agentrooms.actors.verifier_client import RemoteVerifier
from agentrooms.actors.verifier_wire import NONCE_BYTES, authorization, caller_key
from agentrooms.chain.devnet.engine import START_MS
from agentrooms.chain.devnet.process import DevnetProcess
from agentrooms.chain.evm.devnet import GAS, LIVE_CHAIN_ID, DevnetChain, site_of
from agentrooms.chain.evm.rpc import Rpc
from agentrooms.chain.ledger import Provided
from agentrooms.chain.signing import approve_item, permit_usdc
from agentrooms.consensus.judgement import Case
from agentrooms.domain.deal import Acceptance, Terms, Vote
from agentrooms.domain.keys import public_hex
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted
from agentrooms.domain.mandate import SignedMandate, sign_mandate
from agentrooms.domain.secp256k1 import address_of
from agentrooms.domain.verifier_set import Verifier, VerifierSet
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.vault import MemoryVault, put_mandate
from agentrooms.language import ScriptedNarrator
from tests.cli.commands import AGENTROOMS, environment
from tests.domain import samples
from tests.domain.samples import USDC

REMOTE = ("verifier_5", "verifier_6", "verifier_7")
SECRET = b"s" * 32  # of the installation that asks
CALLER = caller_key(SECRET)
RELAYER = b"r" * 32
SITE = site_of(LIVE_CHAIN_ID)
DEALS = 16
ROOM = "room_1"
HOUR_MS = 3_600_000
LIMIT = 987_654_321 * USDC // 10  # of every buyer: a number that must be in no log and no answer
EXIT_TIMEOUT_S = 30


def key(caller: SigningKey = CALLER) -> str:
    """A caller's public key."""
    return public_hex(caller)


class Service:
    """One `agentrooms verifier serve`, in a folder of its own."""

    def __init__(self, folder: Path, name: str, chain_url: str) -> None:
        self.folder, self.name = folder / name, name
        self.log = folder / f"{name}.log"
        self._env = {
            "CHAIN_MODE": "devnet",
            "CHAIN_URL": chain_url,
            "VERIFIER_NAME": name,
            "VERIFIER_DATA": str(self.folder),
            "VERIFIER_CALLERS": f"{'0' * 64},{key()}",
            "RELAYER_KEY": RELAYER.hex(),
        }
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""
        self.member = Verifier("", "", "", "", "")

    def begin(self, **env: str) -> None:
        """Starts it; it listens when `ready` returns."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [AGENTROOMS, "verifier", "serve", "--json", "--port", str(self._port)],
                env=environment(**self._env, **env),
                cwd=self.folder.parent,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def ready(self) -> None:
        """Waits until it listens."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.log.read_text()
        ready = msgspec.json.decode(line)
        self.url, self.member = ready["url"], msgspec.convert(ready["member"], Verifier)
        self._port = int(self.url.rpartition(":")[2])

    @property
    def runs(self) -> bool:
        """Whether it was started and not ended since."""
        return self._process is not None

    def start(self, **env: str) -> None:
        """Starts it and waits."""
        self.begin(**env)
        self.ready()

    def kill(self) -> None:
        """Ends it as a crash would."""
        assert self._process is not None
        self._process.kill()
        self.ended()

    def ended(self) -> int:
        """Waits for its end and returns its exit code."""
        assert self._process is not None
        assert self._process.stdout is not None
        code = self._process.wait(EXIT_TIMEOUT_S)
        self._process.stdout.close()
        self._process = None
        return code

    @property
    def plan(self) -> RemoteVerifierPlan:
        """How its stand-in is made."""
        return RemoteVerifierPlan(self.member, self.url, bytes(CALLER))

    def stop(self) -> None:
        """Ends it if it runs."""
        if self._process is not None:
            self.kill()

    def post(self, path: str, body: bytes | Mapping[str, Any] | msgspec.Struct, **header: str) -> httpx.Response:
        """Asks as an allowed caller does; `header` replaces the signed one."""
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        authorized = header.get("authorization", self.sign(path, data))
        return httpx.post(self.url + path, content=data, headers={"authorization": authorized} if authorized else {})

    def sign(self, path: str, body: bytes, *, caller: SigningKey = CALLER, late_ms: int = 0, nonce: int = 0) -> str:
        """The header of a request to this service."""
        at_ms = time.time_ns() // 1_000_000 - late_ms
        drawn = nonce.to_bytes(NONCE_BYTES, "big") if nonce else time.time_ns().to_bytes(NONCE_BYTES, "big")
        return authorization(caller, self.member.public_key, path, body, at_ms=at_ms, nonce=drawn)


class Deal(msgspec.Struct, frozen=True):
    """One deal that can settle, and what its parties signed."""

    case: Case
    vault: MemoryVault

    @property
    def terms(self) -> Terms:
        return self.case.terms

    @property
    def acceptances(self) -> tuple[Acceptance, ...]:
        return self.case.acceptances

    @property
    def asked(self) -> AskVote:
        return AskVote(self.case, START_MS, "settlement")


class Stage:
    """The chain with everything on it, the set of seven, and the services of three."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.devnet = DevnetProcess(folder / "devnet.log", "--mode", "command", "--chain-id", str(LIVE_CHAIN_ID))
        self.rpc = Rpc(self.devnet.url)
        self.services = [Service(folder, name, self.devnet.url) for name in REMOTE]
        for service in self.services:
            service.begin()
        for service in self.services:
            service.ready()
        self.plans = mixed_plans(SECRET, 1, tuple(service.plan for service in self.services))
        members = tuple(sorted((plan.member for plan in self.plans), key=lambda member: member.id))
        self.set = VerifierSet(1, SITE.chain_id, SITE.escrow, members)
        self.chain = DevnetChain(self.rpc, MemoryVault(), chain_id=LIVE_CHAIN_ID, virtual=True)
        funds, mints = _provisions()
        self.chain.provide(Provided("stage", funds, mints, self.set))
        relayer = self.chain._made("relayer", address_of(RELAYER), b"", GAS, 10**18)
        self.chain._run([relayer])
        self._deals = iter(range(1, DEALS + 1))

    def deal(self) -> Deal:
        """The next deal: nobody has heard of it."""
        return _deal(next(self._deals))

    def revive(self) -> None:
        """Starts the services that a test before has ended."""
        ended = [service for service in self.services if not service.runs]
        for service in ended:
            service.begin()
        for service in ended:
            service.ready()

    def close(self) -> None:
        """Ends everything."""
        for service in self.services:
            service.stop()
        self.rpc.close()
        self.devnet.stop()

    def settle(self, deal: Deal, actors: Mapping[str, Actor]) -> tuple[Verdict, Outcome | None]:
        """Has a deal verified by the set, and executed when it is approved; plays its room."""
        heard: list[Message] = []
        runtime = LocalRuntime()
        for name, actor in actors.items():
            runtime.place(verifier_address(name), partial(_itself, actor))
        settlement = SettlementActor("settlement", "watcher", self.chain, deal.vault, self.set)
        runtime.place("settlement", lambda: settlement)
        runtime.watch(f"room:{ROOM}", heard.append)
        runtime.tell("settlement", Begin(ROOM, (VerifyDeal(deal.terms, deal.acceptances, START_MS),)))
        runtime.run()
        (verdict,) = heard
        assert isinstance(verdict, Verdict)
        if verdict.tx_hash is None:
            return verdict, None
        runtime.tell("settlement", Execute(deal.terms, verdict.tx_hash, START_MS))
        runtime.run()
        outcome = heard[-1]
        assert isinstance(outcome, Outcome)
        return verdict, outcome

    def actors(self, deal: Deal, plans: Sequence[VerifierPlan | RemoteVerifierPlan] = ()) -> dict[str, Actor]:
        """The set's actors, with what this deal's mandates are in."""
        parts = Parts(MemoryEventStore(), deal.vault, MemoryVault(), self.chain, ScriptedNarrator())
        return {plan.name: plan.make(verifier_address(plan.name), parts) for plan in plans or self.plans}


def closing(actors: Mapping[str, Actor]) -> None:
    """Ends the connections of remote ones."""
    for actor in actors.values():
        if isinstance(actor, RemoteVerifier):
            actor.close()


def ask(service: Service, deal: Deal) -> Vote | None:
    """A service's vote on a deal, None when its stand-in says nothing."""
    actor = RemoteVerifier(service.member, service.url, bytes(CALLER))
    try:
        sends = actor.receive(deal.asked)
    finally:
        actor.close()
    votes = [send.message.vote for send in sends if isinstance(send.message, VoteCast)]
    assert len(votes) == len(sends) <= 1
    return votes[0] if votes else None


def _itself(actor: Actor) -> Actor:
    return actor


def _provisions() -> tuple[tuple[LedgerFunded, ...], tuple[LedgerMinted, ...]]:
    funds, mints = [], []
    for n in range(1, DEALS + 1):
        buyer, seller, item = samples.wallet(f"buyer{n}"), samples.wallet(f"seller{n}"), samples.item(n)
        permit = permit_usdc(samples.wallet_key(f"buyer{n}"), SITE, 1_000 * USDC)
        funds.append(LedgerFunded(1_000 * USDC, 1_000 * USDC, buyer, permit))
        approval = approve_item(samples.wallet_key(f"seller{n}"), SITE, item.token_id)
        mints.append(LedgerMinted(True, SITE.collection, seller, item.token_id, item.traits, approval))
    return tuple(funds), tuple(mints)


def _deal(n: int) -> Deal:
    common = {"collection": SITE.collection, "currency": SITE.currency, "expires_at_ms": START_MS + 10 * HOUR_MS}
    buyer = _signed(samples.buyer_mandate(f"buyer{n}", reservation_usdc_micros=LIMIT, **common), f"buyer{n}")
    seller = _signed(samples.seller_mandate(f"seller{n}", item=samples.item(n), **common), f"seller{n}")
    terms = samples.terms_of(
        buyer,
        seller,
        agents=(f"agent_b{n}", f"agent_s{n}"),
        chain_id=SITE.chain_id,
        escrow=SITE.escrow,
        deadline_ms=START_MS + HOUR_MS,
    )
    vault = MemoryVault()
    for mandate in (buyer, seller):
        put_mandate(vault, mandate)
    words = samples.acceptances(terms, f"buyer{n}", f"seller{n}")
    return Deal(Case(terms=terms, buyer=buyer, seller=seller, acceptances=words), vault)


def _signed(mandate: SignedMandate, wallet: str) -> SignedMandate:
    return sign_mandate(mandate.mandate, SITE.domain, samples.wallet_key(wallet))


def vote_of(actor: Actor, deal: Deal) -> Vote:
    """An actor's vote on a deal."""
    (send,) = actor.receive(deal.asked)
    assert isinstance(send.message, VoteCast)
    return send.message.vote
