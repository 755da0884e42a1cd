"""The simulation's chain: a ledger in memory with the escrow's rules. No network, no consensus, no gas.

It refuses what the escrow contract refuses, moves item and money in one step or not at all, and has
hashes that depend on nothing but what was sent. Conservation is asserted after every transaction.

All that ever changed it is kept, entry by entry, in a memory that outlives it: a ledger made anew on the
same memory is the same ledger.
"""

from __future__ import annotations

import hashlib

import msgspec

from agentrooms.chain.port import ChainError, Execution, RawTransaction, Sent, Standing
from agentrooms.consensus.certificate import check_certificate
from agentrooms.consensus.judgement import Case, Facts, judge
from agentrooms.domain.canonical import canonical, digest
from agentrooms.domain.deal import Decision, Receipt, Terms
from agentrooms.domain.eip712 import ZERO_ADDRESS
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted, WalletFueled
from agentrooms.domain.site import Site
from agentrooms.domain.verifier_set import VerifierSet
from agentrooms.events.vault import MemoryVault, NotInVault, Vault
from agentrooms.services import failpoints

LEDGER = Site(
    chain_id=31_337_000,  # ours alone, so that nothing signed for the simulation is valid anywhere else
    escrow="0x" + hashlib.sha256(b"agentrooms/ledger-escrow/v1").hexdigest()[:40],
    currency="0x" + hashlib.sha256(b"agentrooms/ledger-usdc/v1").hexdigest()[:40],
    collection="0xb47e3cd837ddf8e4c57f05d70ab865de6e193bbb",  # the CryptoPunks contract, by name only: items are mock
)
NOBODY = ZERO_ADDRESS

_EXECUTION = msgspec.json.Decoder(Execution)


class Provided(msgspec.Struct, frozen=True, tag="provided"):
    """What was given from outside under one key: money, items, native coin, the verifiers that count from now on."""

    key: str
    funds: tuple[LedgerFunded, ...] = ()
    mints: tuple[LedgerMinted, ...] = ()
    verifiers: VerifierSet | None = None
    fuels: tuple[WalletFueled, ...] = ()


class Mined(msgspec.Struct, frozen=True, tag="sent"):
    """A transaction that was mined at a time of the chain."""

    raw: bytes
    at_ms: int


_ENTRY: msgspec.json.Decoder[Provided | Mined] = msgspec.json.Decoder(Provided | Mined)


class LedgerChain:
    """Balances, allowances, owners and approvals; one block a transaction."""

    def __init__(self, memory: Vault | None = None) -> None:
        """`memory` keeps what changes the ledger; without one, that ends with the object."""
        self.balances: dict[str, int] = {}
        self.allowances: dict[str, int] = {}
        self.owners: dict[tuple[str, str], str] = {}
        self.traits: dict[tuple[str, str], dict[str, str]] = {}
        self.approved: set[tuple[str, str]] = set()
        self.used: dict[str, str] = {}  # by which transaction
        self.used_mandates: set[str] = set()
        self.minted_usdc_micros = 0
        self.block = 0
        self.block_hash = digest("agentrooms/ledger-block/v1", b"genesis")
        self._times_ms: dict[str, int] = {}  # rooms run at paces of their own: each has its own time here
        self.verifiers = VerifierSet()
        self._receipts: dict[str, Receipt] = {}
        self._provided: set[str] = set()
        self._memory: Vault = memory if memory is not None else MemoryVault()
        self._entries = 0
        self._kept_all = False
        self._recall()

    @property
    def site(self) -> Site:
        """The ledger's own."""
        return LEDGER

    def provide(self, provided: Provided) -> None:
        """Mints USDC and items, sets allowances, registers verifiers; the same key again changes nothing.

        It has no native coin, so none is given.

        Raises ChainError when an item exists already.
        """
        self._recall()
        if provided.key in self._provided:
            return
        keys = [(mint.collection, mint.token_id) for mint in provided.mints]
        taken = [key for n, key in enumerate(keys) if key in self.owners or key in keys[:n]]
        if taken:
            raise ChainError(f"item {taken[0][1]} of {taken[0][0]} is minted already")
        self._keep(provided)
        self._apply(provided)

    def fund(self, event: LedgerFunded, key: str = "") -> None:
        """Mints USDC to a wallet and sets its allowance to the escrow, once for each key that is not ""."""
        self.provide(Provided(key or self._next_key(), funds=(event,)))

    def mint(self, event: LedgerMinted, key: str = "") -> None:
        """Mints an item, once for each key that is not "". Raises ChainError when it exists."""
        self.provide(Provided(key or self._next_key(), mints=(event,)))

    def register(self, verifiers: VerifierSet) -> None:
        """Makes the escrow count certificates against this set."""
        self.provide(Provided(f"verifiers/{verifiers.version}", verifiers=verifiers))

    def facts(self, case: Case, at_ms: int) -> Facts:
        """Returns the ledger's view of a deal at `at_ms`, or at the latest time its room has shown, when that is later."""
        self._recall()
        terms = case.terms
        now_ms = self._move(terms.room, at_ms)
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
            at_ms=now_ms,
            set_version=self.verifiers.version,
        )

    def prepare(self, execution: Execution) -> RawTransaction:
        """Returns the transaction; its hash is that of its bytes."""
        raw = canonical(execution)
        return RawTransaction(_hash(raw), raw)

    def send(self, raw: bytes, at_ms: int) -> None:
        """Mines one block with the transaction at `at_ms`, or at its room's time when that is later."""
        tx_hash = _hash(raw)
        self._recall()
        if tx_hash in self._receipts:
            return
        try:
            room = _EXECUTION.decode(raw).terms.room
        except msgspec.DecodeError as error:
            raise ChainError(f"transaction {tx_hash} is not an escrow execution: {error}") from error
        mined = Mined(raw, self._move(room, at_ms))
        self._keep(mined)
        self._apply(mined)

    def reprice(self, tx_hash: str) -> RawTransaction:
        """Raises ChainError: the ledger has no prices, nothing gets stuck."""
        raise ChainError(f"transaction {tx_hash} cannot be repriced: the ledger has no fees")

    def sent(self, tx_hash: str) -> Sent:
        """Returns the receipt; on the ledger one block is final."""
        self._recall()
        receipt = self._receipts.get(tx_hash)
        return Sent(confirmations=int(receipt is not None), receipt=receipt)

    def standing(self, terms: Terms, at_ms: int) -> Standing:
        """Returns the room's time and the deal's execution."""
        self._recall()
        return Standing(self._move(terms.room, at_ms), self._receipts.get(self.used.get(terms.deal, "")))

    def assert_conserved(self) -> None:
        """Raises ChainError when money appeared or vanished or a balance is negative."""
        held = sum(self.balances.values())
        if held != self.minted_usdc_micros or min(self.balances.values(), default=0) < 0:
            raise ChainError(f"the ledger holds {held} micro-USDC of {self.minted_usdc_micros}, or a debt")

    def _keep(self, entry: Provided | Mined) -> None:
        failpoints.hit("chain.before_keep")
        self._kept_all = False  # should the memory fail now, it may hold the entry or not
        self._memory.put(_entry_key(self._entries), canonical(entry))
        self._kept_all = True
        failpoints.hit("chain.after_keep")
        self._entries += 1

    def _recall(self) -> None:
        """Becomes the ledger that its memory tells of, where it may have forgotten something."""
        if self._kept_all:
            return
        self._kept_all = True  # applying an entry asks for facts, which must not recall the next one meanwhile
        try:
            while (entry := self._next_entry()) is not None:
                self._entries += 1
                self._apply(entry)
        except BaseException:  # whatever cut it short, what was not applied is looked for again
            self._kept_all = False
            raise

    def _next_entry(self) -> Provided | Mined | None:
        try:
            return _ENTRY.decode(self._memory.get(_entry_key(self._entries)))
        except NotInVault:
            return None

    def _apply(self, entry: Provided | Mined) -> None:
        if isinstance(entry, Provided):
            self._give(entry)
        else:
            self._mine(entry)
        self.assert_conserved()

    def _give(self, provided: Provided) -> None:
        self._provided.add(provided.key)
        for fund in provided.funds:
            self.balances[fund.wallet] = self.balances.get(fund.wallet, 0) + fund.balance_usdc_micros
            self.allowances[fund.wallet] = fund.allowance_usdc_micros
            self.minted_usdc_micros += fund.balance_usdc_micros
        for mint in provided.mints:
            key = (mint.collection, mint.token_id)
            self.owners[key] = mint.owner
            self.traits[key] = mint.traits
            if mint.approved:
                self.approved.add(key)
        if provided.verifiers is not None:
            self.verifiers = provided.verifiers

    def _mine(self, mined: Mined) -> None:
        execution, tx_hash = _EXECUTION.decode(mined.raw), _hash(mined.raw)
        at_ms = self._move(execution.terms.room, mined.at_ms)
        reason = self._refusal(execution, at_ms)
        if reason == "":
            self._swap(execution.terms)
            self.used[execution.terms.deal] = tx_hash
        self.block += 1
        self.block_hash = digest("agentrooms/ledger-block/v1", canonical([self.block_hash, tx_hash, at_ms, reason]))
        self._receipts[tx_hash] = Receipt(self.block, self.block_hash, at_ms, reason, reason == "", tx_hash)

    def _move(self, room: str, at_ms: int) -> int:
        self._times_ms[room] = max(self._times_ms.get(room, 0), at_ms)
        return self._times_ms[room]

    def _next_key(self) -> str:
        return f"entry/{self._entries}"

    def _refusal(self, execution: Execution, at_ms: int) -> str:
        """Returns why the escrow refuses, "" when it does not."""
        terms = execution.terms
        if terms.domain != LEDGER.domain:
            return "other_chain"
        reasons = judge(execution.case, self.facts(execution.case, at_ms))
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
        self.used_mandates |= {terms.buyer_mandate, terms.seller_mandate}


def _hash(raw: bytes) -> str:
    return "0x" + hashlib.sha256(raw).hexdigest()


def _entry_key(number: int) -> str:
    return f"ledger/{number:012d}"
