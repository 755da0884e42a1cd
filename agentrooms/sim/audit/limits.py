"""Mandates: in the vault, hashed and signed; no quote, counter, accept or deal outside them.

`outside` is the auditor's own reading of a mandate, apart from the one that traders, verifiers and the
escrow share.
"""

from __future__ import annotations

import hashlib
from typing import ClassVar

from agentrooms.chain.ledger import LEDGER
from agentrooms.domain.agent import AgentReconfigured, AgentSpawned
from agentrooms.domain.assets import Item, WantKind, Wants
from agentrooms.domain.canonical import canonical
from agentrooms.domain.eip712 import EscrowDomain, keccak
from agentrooms.domain.mandate import Mandate, SignedMandate, is_signed, mandate_hash
from agentrooms.domain.room import ActPosted
from agentrooms.domain.terms import ActKind, Role
from agentrooms.domain.verifier_set import VerifierSetRegistered
from agentrooms.sim.audit.floor import Floor
from agentrooms.sim.audit.report import Check
from agentrooms.sim.audit.source import UNREADABLE, Source, Vault
from agentrooms.sim.audit.walk import Handler, Line, Rule
from agentrooms.sim.live_archive import room_key_name

TICK_USDC_MICROS = 10_000
HASH_HEX_DIGITS = 64
_PRICED = (ActKind.OFFER, ActKind.COUNTER, ActKind.ACCEPT)


class Mandates(Rule):
    """Invariant 3 for everything that is said, and the vault itself."""

    name: ClassVar[str] = "mandates"
    compared: ClassVar[str] = "mandates are in the vault with the hash and signature claimed; every price is within one"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._holders: dict[str, str] = {}
        self._sent: set[str] = set()
        self._escrow: EscrowDomain | None = None
        self._room_key = room_key_name(source.room.room) if source.room is not None else ""

    def handlers(self) -> dict[str, Handler]:
        """Nothing when the archive is sealed."""
        if self.vault is None:
            return {}
        return {
            "verifiers.registered": self._registered,
            "agent.spawned": self._spawned,
            "agent.reconfigured": self._reconfigured,
            "act.posted": self._posted,
            "escrow.submitted": self._submitted,
        }

    def finish(self) -> None:
        """Each entry of the vault is what its key says, used or not."""
        if self.vault is None:
            return
        for problem in self.vault.problems:
            self.found.wrong(0, problem)
        if self.live:
            self._check_own()
        for key in self.vault.entries.keys() - {self._room_key}:
            self.found.expect(
                _is_itself(self.vault, key, self._escrow),
                0,
                f"the vault's entry {key} is not what its key says, or is not signed",
            )

    def check(self) -> Check:
        """Returns the result, or that there is none without a vault."""
        if self.vault is None:
            return Check(self.name, True, 0, "", "not checked: the archive is sealed (it has no vault)")
        return super().check()

    def _check_own(self) -> None:
        """Checks that a live room's vault holds its own secrets, all of them, and nothing else."""
        assert self.vault is not None
        self.found.expect(
            self._room_key in self.vault.entries, 0, f"the vault has no key of the room ({self._room_key})"
        )
        for key in sorted(self.vault.entries.keys() - self._holders.keys() - self._sent - {self._room_key}):
            self.found.wrong(0, f"the vault's entry {key} is of nothing in this room: it belongs to another archive")

    def _registered(self, line: Line) -> None:
        event: VerifierSetRegistered = line.event
        self._escrow = EscrowDomain(event.chain_id, event.escrow)

    def _submitted(self, line: Line) -> None:
        self._sent.add(line.event.tx_hash)

    def _spawned(self, line: Line) -> None:
        self._claimed(line, line.event, line.event.mandate_hash)

    def _reconfigured(self, line: Line) -> None:
        event: AgentReconfigured = line.event
        seat = line.floor.seats.get(event.agent)
        if seat is None:
            self.found.wrong(line.number, f"agent {event.agent} was never spawned")
        elif event.mandate_hash != seat.mandate_hash:
            self._claimed(line, seat.spawned, event.mandate_hash)

    def _claimed(self, line: Line, spawned: AgentSpawned, key: str) -> None:
        """Checks the mandate an agent claims to have."""
        assert self.vault is not None
        self.found.count += 1
        holder = self._holders.setdefault(key, spawned.agent)
        if holder != spawned.agent:
            self.found.wrong(line.number, f"mandate {key} is that of agent {holder} already")
        signed = self.vault.mandate(key)
        if signed is None:
            self.found.wrong(line.number, f"mandate {key} of agent {spawned.agent} is not in the vault")
            return
        opened = line.floor.opened
        wrong = _misfit(
            signed, key, spawned, opened.collection if opened is not None else signed.mandate.collection, self._escrow
        )
        if wrong:
            self.found.wrong(line.number, f"mandate {key[:12]}… of agent {spawned.agent}: {wrong}")

    def _posted(self, line: Line) -> None:
        event: ActPosted = line.event
        seat = line.floor.seats.get(event.agent)
        if event.act not in _PRICED or seat is None or self.vault is None:
            return
        self.found.count += 1
        signed = self.vault.mandate(seat.mandate_hash)
        if signed is None:
            self.found.wrong(line.number, f"mandate {seat.mandate_hash} of agent {event.agent} is not in the vault")
            return
        item = _item(line.floor, event)
        wrong = outside(signed.mandate, item, event.price_usdc_micros, line.recorded.at_ms)
        if wrong:
            self.found.wrong(line.number, f"the {event.act} of agent {event.agent} lies outside its mandate: {wrong}")


def outside(mandate: Mandate, item: Item | None, price: int | None, at_ms: int) -> str:
    """Returns how a price for an item (None: for whatever is wanted) leaves a mandate, "" when it does not."""
    if price is None or price <= 0 or price % TICK_USDC_MICROS:
        return f"price {price} is not a positive number of whole ticks"
    if at_ms >= mandate.expires_at_ms:
        return f"it expired at {mandate.expires_at_ms} ms, this is at {at_ms}"
    limit = mandate.reservation_usdc_micros
    if mandate.role is Role.BUYER:
        if item is not None and not (mandate.wants is not None and wanted(mandate.wants, item)):
            return f"item {item.token_id} is not wanted"
        return f"price {price} is above the limit {limit}" if price > limit else ""
    if item is None or mandate.item is None or item.token_id != mandate.item.token_id:
        return f"item {item.token_id if item else None} is not the one it sells"
    if price < limit:
        return f"price {price} is below the limit {limit}"
    most = mandate.maximum_usdc_micros
    return f"price {price} is above the maximum {most}" if most is not None and price > most else ""


def wanted(wants: Wants, item: Item) -> bool:
    """Tells whether wants cover an item."""
    if wants.kind is WantKind.ITEMS:
        return item.token_id in wants.token_ids
    return wants.kind is WantKind.ANY or wants.traits.items() <= item.traits.items()


def _item(floor: Floor, event: ActPosted) -> Item | None:
    """Returns the item an act is about: its seller's, or the one that a bid names."""
    quote = floor.made.get(event.refers_to or "") if event.act is ActKind.ACCEPT else None
    own = floor.item_of(event.agent) or (floor.item_of(quote.agent) if quote is not None else None)
    return own or floor.items.get(event.token_id or "")


def _misfit(
    signed: SignedMandate, key: str, spawned: AgentSpawned, collection: str, escrow: EscrowDomain | None
) -> str:
    mandate = signed.mandate
    pairs = {
        "its hash": (mandate_hash(mandate), key),
        "its principal": (mandate.principal, spawned.owner),
        "its role": (mandate.role, spawned.role),
        "its item": (mandate.item, spawned.item),
        "its wants": (mandate.wants, spawned.wants),
        "its collection": (mandate.collection, collection),
        "its fills": (mandate.fills, 1),
    }
    for what, (ours, due) in pairs.items():
        if ours != due:
            return f"{what} is {ours}, not {due}"
    if escrow is None:
        return "no verifier set, so no escrow, is registered before it"
    return "" if is_signed(signed, escrow) else f"its signature is not by {mandate.principal}"


def _is_itself(vault: Vault, key: str, escrow: EscrowDomain | None) -> bool:
    """Tells whether an entry hashes to its key: a mandate, or a raw transaction of the ledger."""
    secret = vault.entries[key]
    if len(key) != HASH_HEX_DIGITS:
        on_ledger = escrow == LEDGER.domain
        return key == "0x" + (hashlib.sha256(secret).hexdigest() if on_ledger else keccak(secret).hex())
    signed = vault.mandate(key)
    try:
        if signed is None or mandate_hash(signed.mandate) != key or canonical(signed) != secret:
            return False
    except UNREADABLE:
        return False
    return escrow is not None and is_signed(signed, escrow)
