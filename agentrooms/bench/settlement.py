"""Measures settlement as it is: seven verifier processes, a settlement process, the log, a chain, and a room's part of it.

The baseline is the bare engine: the same seven views and one `execute` a deal, asked over HTTP of a devnet like it by
as many clients as rooms are measured, and nothing else.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import ray

from agentrooms.actors.cells import Cell, create
from agentrooms.actors.messages import Begin, Execute, Message, Outcome, Verdict, VerifyDeal
from agentrooms.actors.plans import Parts, SettlementPlan, VerifierPlan, verifier_address
from agentrooms.actors.ray_runtime import RayRuntime
from agentrooms.actors.remote import CellLine, RemoteChain, connect_parts, end, find
from agentrooms.actors.room_cell import SHARED
from agentrooms.actors.runtime import Actor, Send
from agentrooms.actors.service_cells import LogSpec, create_services
from agentrooms.actors.verifier import VerifierActor
from agentrooms.bench.deals import Supply, supply
from agentrooms.bench.rows import Progress, Row, against, row, with_times
from agentrooms.bench.schemas import drop_schema, new_schema
from agentrooms.chain.devnet.anvil_binary import find_anvil
from agentrooms.chain.devnet.engine import EngineUnusable
from agentrooms.chain.devnet.process import DevnetProcess
from agentrooms.chain.evm import calls
from agentrooms.chain.evm.devnet import DevnetChain, site_of
from agentrooms.chain.evm.rpc import Rpc
from agentrooms.chain.port import ChainError, Execution
from agentrooms.chain.spec import ChainMode, ChainSpec
from agentrooms.consensus.judgement import Case, Facts
from agentrooms.consensus.votes import cast
from agentrooms.domain.deal import DealCertified, Decision, EscrowSubmitted
from agentrooms.domain.mandate import SignedMandate
from agentrooms.domain.site import Site
from agentrooms.domain.verifier_set import QUORUM
from agentrooms.events.journal import Entry, Journal
from agentrooms.events.postgres import migrate_log
from agentrooms.events.vault import MemoryVault, put_mandates

DEALS = 60
CONFIRMED = 4  # deals that are waited for until three blocks confirm them
LANES = 2  # rooms at once where deals a second are measured: one a core
WARM = 5  # first deals of a room, which open connections and do not count
FINAL_CONFIRMATIONS = 3
CERTIFICATE_AIM_MICROS, EXECUTED_AIM_MICROS = 50_000, 500_000
QUIET = "quiet"  # a watcher that is nobody


class InHand(VerifierPlan, frozen=True):
    """A verifier that need not ask the chain: every deal is as its terms say. Or one that says nothing."""

    site: Site
    silent: bool = False

    def make(self, address: str, parts: Parts) -> Actor:
        """Returns the verifier."""
        if self.silent:
            return _Silent()
        return VerifierActor(self.name, self.keys, _Seen(self.site), parts.memory, set_version=self.set_version)


class _Silent:
    def receive(self, _message: Message) -> list[Send]:
        return []


class _Seen(msgspec.Struct, frozen=True):
    """A chain on which everything is as a deal's terms say."""

    site: Site

    def facts(self, case: Case, at_ms: int) -> Facts:
        terms = case.terms
        return Facts(
            owner=terms.seller_wallet,
            traits=terms.item.traits,
            approved=True,
            balance_usdc_micros=terms.price_usdc_micros,
            allowance_usdc_micros=terms.price_usdc_micros,
            deal_used=False,
            buyer_mandate_spent=False,
            seller_mandate_spent=False,
            block=1,
            at_ms=at_ms,
        )


class _Room:
    """A room's part in settlement: has one deal after the other verified, notes it in the log, has it executed."""

    def __init__(self, address: str, journal: Journal, cases: Sequence[Case], *, execute: bool) -> None:
        self.certified_s: list[float] = []
        self.executed_s: list[float] = []
        self.over = False
        self._room = address.partition(":")[2]
        self._journal = journal
        self._cases = iter(cases)
        self._execute = execute
        self._case: Case | None = None
        self._begun_s = 0.0

    def receive(self, message: Message) -> list[Send]:
        """Begins, takes a verdict, or an outcome."""
        if isinstance(message, Begin):
            return [Send(f"settlement:{self._room}", message), *self._next()]
        assert self._case is not None
        terms = self._case.terms
        if isinstance(message, Verdict) and len(message.votes) < QUORUM:
            return [self._verify()]  # as a live room does; the deal's time goes on
        if isinstance(message, Verdict):
            self.certified_s.append(time.monotonic() - self._begun_s)
            if not self._execute:
                return self._next()
            assert message.tx_hash is not None, "every deal of the bench is good"
            certified = DealCertified(
                deal=terms.deal, decision=Decision.APPROVE, round=1, set_version=1, votes=message.votes
            )
            self._append(certified, EscrowSubmitted(terms.deal, 1, message.tx_hash))
            return [Send(f"settlement:{self._room}", Execute(terms, message.tx_hash, 0))]
        if isinstance(message, Outcome):
            assert message.receipt is not None, "every deal of the bench can be executed"
            self.executed_s.append(time.monotonic() - self._begun_s)
            return self._next()
        return []

    def _next(self) -> list[Send]:
        self._case = next(self._cases, None)
        if self._case is None:
            self.over = True
            return []
        self._begun_s = time.monotonic()
        return [self._verify()]

    def _verify(self) -> Send:
        assert self._case is not None
        return Send(f"settlement:{self._room}", VerifyDeal(self._case.terms, self._case.acceptances, 0))

    def _append(self, certified: DealCertified, submitted: EscrowSubmitted) -> None:
        terms = None if self._case is None else self._case.terms
        entries = [Entry(event, terms) for event in (certified, submitted)]
        self._journal.append(entries, at_ms=0, cmd=f"bench:{certified.deal}")


def run_settlement(dsn: str, *, quick: bool, say: Progress) -> list[Row]:
    """Measures certificates, chain reads, and whole deals on each engine there is. Ray must have been started here."""
    deals = 12 if quick else DEALS
    rows = [_certificates(dsn, deals, faulty, say) for faulty in (0, 2)]
    for mode in (ChainMode.DEVNET, ChainMode.ANVIL):
        if mode is ChainMode.ANVIL and not _has_anvil():
            say("anvil: not found, left out")
            continue
        rows += _on_engine(dsn, mode, deals, say)
    return rows


def _has_anvil() -> bool:
    try:
        find_anvil()
    except EngineUnusable:
        return False
    return True


def _certificates(dsn: str, deals: int, faulty: int, say: Progress) -> Row:
    """Measures from the question to the certificate: seven processes, each of whose votes is on disk before it is sent."""
    name = f"certificates, {faulty} of 7 silent, observations in hand"
    say(name)
    site = site_of()
    given = supply(site, deals + WARM)
    plans = tuple(
        InHand(plan.name, plan.keys, plan.set_version, site, silent=number < faulty)
        for number, plan in enumerate(given.plans)
    )
    with _system(dsn, ChainSpec(), given, plans) as scope:
        begun = time.monotonic()
        (room,) = _play(scope, ChainSpec(site=site), [given.cases], execute=False)
        took = time.monotonic() - begun
    times = room.certified_s[WARM:]
    figure = with_times(row(name, "certificates", len(room.certified_s), took), times)
    return msgspec.structs.replace(figure, aim_p99_micros=CERTIFICATE_AIM_MICROS if faulty == 0 else None)


def _on_engine(dsn: str, mode: ChainMode, deals: int, say: Progress) -> list[Row]:
    return [
        _reads(mode, deals, say),
        *_deals(dsn, mode, deals, say),
        _deals_confirmed(dsn, mode, say),
    ]


def _reads(mode: ChainMode, deals: int, say: Progress) -> Row:
    """Measures the one view call a verifier makes, by one client."""
    say(f"chain reads on {mode}")
    with _devnet(mode) as url:
        given = supply(site_of(), deals)
        chain = DevnetChain(Rpc(url), MemoryVault())
        chain.provide(given.provided)
        times = [_timed(partial(chain.facts, case, 0)) for case in given.cases]
    return with_times(row(f"verifier's view of the chain, {mode}", "views", len(times), sum(times)), times)


def _deals(dsn: str, mode: ChainMode, deals: int, say: Progress) -> list[Row]:
    """Measures whole deals, in one room and in as many as there are lanes, and the bare engine."""
    alone, _ = _settled(dsn, mode, deals, 1, say)
    bare_alone = _bare(mode, deals, 1, say)
    both, _ = _settled(dsn, mode, deals, LANES, say)
    bare_both = _bare(mode, deals, LANES, say)
    return [bare_alone, against(alone, bare_alone), bare_both, against(both, bare_both)]


def _deals_confirmed(dsn: str, mode: ChainMode, say: Progress) -> Row:
    figure, _ = _settled(dsn, mode, CONFIRMED, 1, say, confirmations=FINAL_CONFIRMATIONS)
    return figure


def _settled(
    dsn: str, mode: ChainMode, deals: int, lanes: int, say: Progress, *, confirmations: int = 1
) -> tuple[Row, list[float]]:
    what = "executed" if confirmations == 1 else f"{confirmations} confirmations"
    name = f"deals, lock to {what}, {mode}, {lanes} room{'s' if lanes > 1 else ''}"
    say(name)
    with _devnet(mode) as url:
        spec = ChainSpec(mode=mode, site=site_of(), url=url, confirmations=confirmations)
        warm = WARM if confirmations == 1 else 1
        given = supply(spec.site, deals + warm * lanes, lanes=lanes)
        with _system(dsn, spec, given, given.plans) as scope:
            RemoteChain(scope, spec.site).provide(given.provided)
            cut = warm * lanes
            _play(scope, spec, _dealt(given.cases[:cut], lanes), execute=True)
            begun = time.monotonic()
            rooms = _play(scope, spec, _dealt(given.cases[cut:], lanes), execute=True)
            took = time.monotonic() - begun
    times = [one for room in rooms for one in room.executed_s]
    figure = with_times(row(name, "deals", len(times), took), times)
    aim = EXECUTED_AIM_MICROS if (mode, lanes, confirmations) == (ChainMode.DEVNET, 1, 1) else None
    return msgspec.structs.replace(figure, aim_p50_micros=aim), times


def _bare(mode: ChainMode, deals: int, lanes: int, say: Progress) -> Row:
    """Measures the engine alone: for each deal seven views, the transaction, its receipt."""
    name = f"bare {mode}: 7 views and 1 execute, {lanes} client{'s' if lanes > 1 else ''}"
    say(name)
    with _devnet(mode) as url:
        given = supply(site_of(), deals, lanes=lanes)
        chain = DevnetChain(Rpc(url), MemoryVault())
        chain.provide(given.provided)
        prepared = [_prepared(chain, given, case) for case in given.cases]
        begun = time.monotonic()
        with ThreadPoolExecutor(lanes) as pool:
            times = [
                one
                for lane in pool.map(partial(_bare_lane, url), [prepared[n::lanes] for n in range(lanes)])
                for one in lane
            ]
        took = time.monotonic() - begun
    return with_times(row(name, "deals", len(times), took), times)


def _prepared(chain: DevnetChain, given: Supply, case: Case) -> tuple[str, str]:
    """Returns the view call and the raw transaction of a deal."""
    votes = tuple(cast(plan.keys, plan.name, case.terms, (), block=1, at_ms=0) for plan in given.plans)
    return "0x" + calls.facts_data(case).hex(), "0x" + chain.prepare(Execution(case, votes)).raw.hex()


def _bare_lane(url: str, deals: Sequence[tuple[str, str]]) -> list[float]:
    rpc, times = Rpc(url), []
    for view, raw in deals:
        begun = time.monotonic()
        for _verifier in range(7):
            rpc.call("eth_call", {"to": site_of().escrow, "data": view}, "latest")
        tx_hash = _sent(rpc, raw)
        while rpc.call("eth_getTransactionReceipt", tx_hash) is None:
            pass
        times.append(time.monotonic() - begun)
    return times


def _sent(rpc: Rpc, raw: str) -> str:
    """Returns the hash of a transaction once the node takes it: another lane's, of the nonce before, may still come."""
    while True:
        try:
            return str(rpc.call("eth_sendRawTransaction", raw))
        except ChainError:
            continue


def _dealt(cases: Sequence[Case], lanes: int) -> list[Sequence[Case]]:
    return [cases[lane::lanes] for lane in range(lanes)]


def _play(scope: str, chain: ChainSpec, lanes: list[Sequence[Case]], *, execute: bool) -> list[_Room]:
    """Lets rooms settle their deals side by side, each with a loop of its own, until all are through."""
    with ThreadPoolExecutor(len(lanes)) as pool:
        return list(pool.map(lambda cases: _play_one(scope, chain, cases, execute=execute), lanes))


def _play_one(scope: str, chain: ChainSpec, cases: Sequence[Case], *, execute: bool) -> _Room:
    address = f"room:{cases[0].terms.room}"
    parts = connect_parts(scope, chain)
    room = _Room(address, Journal(parts.store, cases[0].terms.room), cases, execute=execute)
    loop = RayRuntime(lambda to: CellLine(find(scope, SHARED.get(to.partition(":")[0], to))), virtual=False, speed=0)
    loop.place(address, lambda: room)
    loop.tell(address, Begin(cases[0].terms.room, ()))
    loop.run(until=lambda: room.over)
    return room


@contextmanager
def _system(dsn: str, chain: ChainSpec, given: Supply, plans: Sequence[VerifierPlan]) -> Iterator[str]:
    """Gives the scope of a log, a chain, a settlement and seven verifiers, each in a process of its own."""
    schema = scope = new_schema()
    migrate_log(dsn, schema)
    try:
        create_services(scope, LogSpec(dsn, schema), chain)
        put_mandates(connect_parts(scope, chain).vault, _mandates(given))
        settlement = SettlementPlan(given.verifiers, QUIET, patient=False)
        made = [create(Cell, scope, SHARED["settlement"], scope, settlement, chain.public)]
        made += [create(Cell, scope, verifier_address(plan.name), scope, plan, chain.public) for plan in plans]
        ray.get([cell.health.remote() for cell in made])  # a process that starts is a silent verifier
        yield scope
    finally:
        end(scope)
        drop_schema(dsn, schema)


def _mandates(given: Supply) -> Iterator[SignedMandate]:
    for case in given.cases:
        for signed in (case.buyer, case.seller):
            assert signed is not None
            yield signed


@contextmanager
def _devnet(mode: ChainMode) -> Iterator[str]:
    """Gives the address of a fresh devnet on disk, in a process of its own."""
    engine = "anvil" if mode is ChainMode.ANVIL else "pyevm"
    with tempfile.TemporaryDirectory(prefix="agentrooms-bench-") as folder:
        path = Path(folder)
        process = DevnetProcess(path / "log", "--path", str(path / "chain"), "--engine", engine)
        try:
            yield process.url
        finally:
            process.stop()


def _timed(work: partial[Facts]) -> float:
    begun = time.monotonic()
    work()
    return time.monotonic() - begun
