"""The simulation's chain: a ledger in memory with the escrow's rules. No network, no consensus, no gas.

It refuses what the escrow contract refuses, moves item and money in one step or not at all, and has
hashes that depend on nothing but what was sent. Conservation is asserted after every transaction.
"""

from __future__ import annotations

import hashlib

import msgspec

from agentrooms.chain.port import ChainError, Execution, RawTransaction
from agentrooms.consensus.certificate import check_certificate
from agentrooms.consensus.judgement import Facts, judge
from agentrooms.domain.canonical import canonical, digest
from agentrooms.domain.deal import Decision, Receipt, Terms
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted
from agentrooms.domain.verifier_set import VerifierSet

LEDGER_CHAIN_ID = 31_337_000  # ours alone, so that nothing signed for the simulation is valid anywhere else
LEDGER_ESCROW = "0x" + hashlib.sha256(b"agentrooms/ledger-escrow/v1").hexdigest()[:40]
NOBODY = "0x" + "0" * 40

_EXECUTION = msgspec.json.Decoder(Execution)


class LedgerChain:
    """Balances, allowances, owners and approvals; one block a transaction."""

    def __init__(self) -> None:
        self.balances: dict[str, int] = {}
        self.allowances: dict[str, int] = {}
        self.owners: dict[tuple[str, str], str] = {}
        self.traits: dict[tuple[str, str], dict[str, str]] = {}
        self.approved: set[tuple[str, str]] = set()
        self.used: set[str] = set()
        self.used_mandates: set[str] = set()
        self.minted_usdc_micros = 0
        self.block = 0
        self.block_hash = digest("agentrooms/ledger-block/v1", b"genesis")
        self.at_ms = 0
        self.verifiers = VerifierSet()
        self._receipts: dict[str, Receipt] = {}

    @property
    def chain_id(self) -> int:
        """The ledger's chain id."""
        return LEDGER_CHAIN_ID

    @property
    def escrow(self) -> str:
        """The ledger's escrow address."""
        return LEDGER_ESCROW

    def fund(self, event: LedgerFunded) -> None:
        """Mints USDC to a wallet and sets its allowance to the escrow."""
        self.balances[event.wallet] = self.balances.get(event.wallet, 0) + event.balance_usdc_micros
        self.allowances[event.wallet] = event.allowance_usdc_micros
        self.minted_usdc_micros += event.balance_usdc_micros

    def mint(self, event: LedgerMinted) -> None:
        """Mints an item. Raises ChainError when it exists."""
        key = (event.collection, event.token_id)
        if key in self.owners:
            raise ChainError(f"item {event.token_id} of {event.collection} is minted already")
        self.owners[key] = event.owner
        self.traits[key] = event.traits
        if event.approved:
            self.approved.add(key)

    def register(self, verifiers: VerifierSet) -> None:
        """Makes the escrow count certificates against this set."""
        self.verifiers = verifiers

    def facts(self, terms: Terms, at_ms: int) -> Facts:
        """Returns the ledger's view of a deal at `at_ms`, or at its own time when that is later."""
        self.at_ms = max(self.at_ms, at_ms)
        key = (terms.collection, terms.item.token_id)
        return Facts(
            owner=self.owners.get(key, NOBODY),
            traits=self.traits.get(key, {}),
            approved=key in self.approved,
            balance_usdc_micros=self.balances.get(terms.buyer_wallet, 0),
            allowance_usdc_micros=self.allowances.get(terms.buyer_wallet, 0),
            deal_used=terms.deal in self.used,
            buyer_mandate_spent=terms.buyer_mandate in self.used_mandates,
            seller_mandate_spent=terms.seller_mandate in self.used_mandates,
            block=self.block,
            at_ms=self.at_ms,
        )

    def prepare(self, execution: Execution) -> RawTransaction:
        """Returns the transaction; its hash is that of its bytes."""
        raw = canonical(execution)
        return RawTransaction("0x" + hashlib.sha256(raw).hexdigest(), raw)

    def send(self, raw: bytes, at_ms: int) -> None:
        """Mines one block with the transaction at `at_ms`, or at the last block's time when that is later."""
        tx_hash = "0x" + hashlib.sha256(raw).hexdigest()
        if tx_hash in self._receipts:
            return
        try:
            execution = _EXECUTION.decode(raw)
        except msgspec.DecodeError as error:
            raise ChainError(f"transaction {tx_hash} is not an escrow execution: {error}") from error
        reason = self._refusal(execution, at_ms)
        if reason == "":
            self._swap(execution.terms)
        self.block += 1
        self.block_hash = digest(
            "agentrooms/ledger-block/v1", canonical([self.block_hash, tx_hash, self.at_ms, reason])
        )
        self._receipts[tx_hash] = Receipt(self.block, self.block_hash, self.at_ms, reason, reason == "", tx_hash)
        self.assert_conserved()

    def receipt(self, tx_hash: str) -> Receipt | None:
        """Returns the receipt; on the ledger one block is final."""
        return self._receipts.get(tx_hash)

    def assert_conserved(self) -> None:
        """Raises ChainError when money appeared or vanished or a balance is negative."""
        held = sum(self.balances.values())
        if held != self.minted_usdc_micros or min(self.balances.values(), default=0) < 0:
            raise ChainError(f"the ledger holds {held} micro-USDC of {self.minted_usdc_micros}, or a debt")

    def _refusal(self, execution: Execution, at_ms: int) -> str:
        """Returns why the escrow refuses, "" when it does not."""
        terms = execution.terms
        if (terms.chain_id, terms.escrow) != (self.chain_id, self.escrow):
            return "other_chain"
        reasons = judge(terms, execution.buyer, execution.seller, self.facts(terms, at_ms))
        if reasons:
            return reasons[0]
        wrong = check_certificate(execution.votes, Decision.APPROVE, terms, self.verifiers)
        return "certificate_invalid" if wrong is not None else ""

    def _swap(self, terms: Terms) -> None:
        key = (terms.collection, terms.item.token_id)
        self.balances[terms.buyer_wallet] -= terms.price_usdc_micros
        self.allowances[terms.buyer_wallet] -= terms.price_usdc_micros
        self.balances[terms.seller_wallet] = self.balances.get(terms.seller_wallet, 0) + terms.price_usdc_micros
        self.owners[key] = terms.buyer_wallet
        self.approved.discard(key)
        self.used.add(terms.deal)
        self.used_mandates |= {terms.buyer_mandate, terms.seller_mandate}
