"""Settlement once more: every escrow transaction of the vault on a fresh ledger, and money and items counted."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from agentrooms.chain.ledger import LEDGER, LedgerChain
from agentrooms.chain.port import ChainError, Execution
from agentrooms.domain import verifier_set
from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import (
    Acceptance,
    DealCertified,
    DealCompleted,
    DealFailed,
    DealLocked,
    DealVerifying,
    EscrowSubmitted,
    FailReason,
    Receipt,
)
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted
from agentrooms.domain.verifier_set import VerifierSet, VerifierSetRegistered
from agentrooms.sim.audit.books import Books
from agentrooms.sim.audit.report import Check, Findings
from agentrooms.sim.audit.source import UNREADABLE, Log, Source, Vault

_EXECUTION = msgspec.json.Decoder(Execution)


class Replay:
    """Executes the submitted transactions in the log's order, which is the order in which the run sent them."""

    def __init__(self, log: Log, vault: Vault) -> None:
        self.found = Findings("settlement", log.place)
        self.books = Books()
        self._vault = vault
        self._chain = LedgerChain()
        self._locked: dict[str, DealLocked] = {}
        self._certified: dict[str, tuple[int, DealCertified]] = {}
        self._receipts: dict[str, Receipt | None] = {}
        self._accepted: dict[str, tuple[Acceptance, ...]] = {}

    def take(self, number: int, at_ms: int, event: Any) -> None:  # noqa: ANN401 - one of the union below
        """Takes one event of the log."""
        match event:
            case VerifierSetRegistered():
                self._chain.register(verifier_set.evolve(VerifierSet(), event))
            case LedgerFunded():
                self._chain.fund(event)
                self.books.fund(event)
            case LedgerMinted():
                self._mint(number, event)
            case DealLocked():
                self._locked.setdefault(event.terms.deal, event)
            case DealVerifying():
                self._accepted[event.deal] = event.acceptances
            case DealCertified():
                self._certified[event.deal] = (at_ms, event)
                self._check_blocks(number, event)
            case EscrowSubmitted():
                self._submit(number, event)
            case DealCompleted():
                self._completed(number, event)
            case DealFailed() if event.reason is FailReason.EXPIRED:
                self._expired(number, event)

    def _mint(self, number: int, event: LedgerMinted) -> None:
        wrong = self.books.mint(event)
        if wrong:
            self.found.wrong(number, wrong)
            return
        self._chain.mint(event)

    def _check_blocks(self, number: int, event: DealCertified) -> None:
        """No verifier can have seen a block that the ledger had not made when its vote was counted."""
        for vote in event.votes:
            seen, made = vote.annex.block, self._chain.block
            self.found.expect(
                0 <= seen <= made, number, f"{vote.verifier} saw block {seen}, the ledger had made {made} by then"
            )

    def _submit(self, number: int, event: EscrowSubmitted) -> None:
        self.found.count += 1
        self._receipts[event.deal] = None
        raw = self._raw(number, event)
        if raw is None:
            return
        try:
            self._chain.send(raw, self._certified[event.deal][0])
        except (AssertionError, ChainError, *UNREADABLE) as error:
            self.found.wrong(number, f"the ledger cannot execute transaction {event.tx_hash}: {error}")
        self._receipts[event.deal] = self._chain.sent(event.tx_hash).receipt

    def _raw(self, number: int, event: EscrowSubmitted) -> bytes | None:
        """Returns the transaction, None when it is not what was agreed and certified."""
        raw = self._vault.entries.get(event.tx_hash)
        if raw is None:
            self.found.wrong(number, f"transaction {event.tx_hash} is not in the vault")
            return None
        wrong = self._wrong_content(event, raw)
        if wrong:
            self.found.wrong(number, f"transaction {event.tx_hash}: {wrong}")
            return None
        return raw

    def compare(self, number: int, event: Any) -> None:  # noqa: ANN401 - as in `take`
        """Takes one event of a live room: its transactions are compared, the chain they ran on is not here."""
        match event:
            case DealLocked():
                self._locked.setdefault(event.terms.deal, event)
            case DealVerifying():
                self._accepted[event.deal] = event.acceptances
            case DealCertified():
                self._certified[event.deal] = (0, event)
            case EscrowSubmitted():
                self.found.count += 1
                self._raw(number, event)

    def _wrong_content(self, event: EscrowSubmitted, raw: bytes) -> str:
        """Compares a raw transaction with what the log says was agreed and certified."""
        if event.tx_hash != "0x" + hashlib.sha256(raw).hexdigest():
            return "its bytes have another hash"
        try:
            execution = _EXECUTION.decode(raw)
        except UNREADABLE as error:
            return f"it is no escrow execution: {error}"
        locked, certified = self._locked.get(event.deal), self._certified.get(event.deal)
        if locked is None or certified is None:
            return f"deal {event.deal} was not locked and certified before"
        terms = locked.terms
        mandates = (self._vault.mandate(terms.buyer_mandate), self._vault.mandate(terms.seller_mandate))
        pairs = {
            "terms": execution.terms == terms,
            "mandates": (execution.case.buyer, execution.case.seller) == mandates,
            "acceptances": execution.case.acceptances == self._accepted.get(event.deal),
            "votes": execution.votes == certified[1].votes,
            "encoding": canonical(execution) == raw,
        }
        differing = [what for what, equal in pairs.items() if not equal]
        return f"its {differing[0]} are not those of the log" if differing else ""

    def _completed(self, number: int, event: DealCompleted) -> None:
        self.found.count += 1
        ours = self._receipts.get(event.deal)
        if ours != event.receipt:
            self.found.wrong(number, f"the receipt does not come out again: {_differing(event.receipt, ours)}")
        locked = self._locked.get(event.deal)
        wrong = self.books.move(locked.terms) if locked is not None else f"deal {event.deal} was never locked"
        if wrong:
            self.found.wrong(number, wrong)

    def _expired(self, number: int, event: DealFailed) -> None:
        ours = self._receipts.get(event.deal)
        if ours is not None and (ours.succeeded or ours.reason != event.detail):
            said = ours.reason or "it was executed"
            self.found.wrong(number, f"the log says expired ({event.detail}), the ledger says {said}")

    def finish(self) -> Check:
        """Compares the ledger's end with the books."""
        books, chain = self.books, self._chain
        imbalance = books.imbalance()
        if imbalance:
            self.found.wrong(0, imbalance)
        for wallet in sorted(books.money.keys() | chain.balances.keys()):
            ours, theirs = books.money.get(wallet, 0), chain.balances.get(wallet, 0)
            self.found.expect(ours == theirs, 0, f"wallet {wallet} holds {theirs} on the ledger, {ours} by the log")
        for key in sorted(books.owners.keys() | chain.owners.keys()):
            owner, other = chain.owners.get(key), books.owners.get(key)
            self.found.expect(owner == other, 0, f"item {key[1]} belongs to {owner} on the ledger, {other} by the log")
        return self.found.check("transactions, receipts, owners and balances come out again on a fresh ledger")


def check_settlement(source: Source, rpc: str | None, unchecked: list[str]) -> Check:
    """Checks settlement: a run's on a fresh ledger, a live room's transactions, or either on an EVM.

    `rpc` is the address of a node of the chain, which then is asked for inclusion.
    """
    log, vault = source.log, source.vault
    on_evm = any(
        recorded.event.terms.domain != LEDGER.domain
        for _number, recorded in log.decoded()
        if isinstance(recorded.event, DealLocked)
    )
    if on_evm:
        if rpc is None:
            unchecked.append("whether the chain has these transactions: --rpc with a node of it asks")
        from agentrooms.sim.audit.evm import check_evm  # noqa: PLC0415 - half a second, and only some need it

        return check_evm(log, vault, rpc, live=source.live)
    if vault is None:
        unchecked.append("settlement was not executed again: no vault, so no raw transactions")
        return Check("settlement", True, 0, "", "not checked: no vault, so no raw transactions")
    replay = Replay(log, vault)
    if source.live:
        for number, recorded in log.events:
            replay.compare(number, recorded.event)
        return replay.found.check("every transaction is in the vault and is what was agreed and certified")
    for number, recorded in log.events:
        if recorded.type in _TYPES:
            replay.take(number, recorded.at_ms, recorded.event)
    return replay.finish()


_TYPES = frozenset(
    {
        "verifiers.registered",
        "ledger.funded",
        "ledger.minted",
        "deal.locked",
        "deal.verifying",
        "deal.certified",
        "escrow.submitted",
        "deal.completed",
        "deal.failed",
    }
)


def _differing(ours: Receipt, theirs: Receipt | None) -> str:
    if theirs is None:
        return "the ledger has none"
    names = [name for name in Receipt.__struct_fields__ if getattr(ours, name) != getattr(theirs, name)]
    return ", ".join(f"{name} {getattr(ours, name)} is {getattr(theirs, name)}" for name in names)
