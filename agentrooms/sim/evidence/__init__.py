"""All that proves one deal, gathered from the log and checked again: words, votes, certificate, transactions, receipt.

`gather` is pure: decoded events and a vault in, a record out. `events_of` and `archived` find what it needs, in the
log of a living system and in an archive. Nothing here asks a chain; `agentrooms verify --rpc` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from agentrooms.domain.deal import DealLocked
from agentrooms.errors import InvalidInput
from agentrooms.events.record import Recorded, decode_line
from agentrooms.events.store import EventStore, QueryItem
from agentrooms.events.tags import chain_tag
from agentrooms.events.vault import MemoryVault
from agentrooms.sim.audit.source import Source
from agentrooms.sim.evidence.gathering import NoSuchDeal, gather
from agentrooms.sim.evidence.records import Checked, Evidence, Mark

__all__ = ["Checked", "Evidence", "Mark", "NoSuchDeal", "archived", "deals_named", "events_of", "gather"]

SHOWN_MAX = 4  # ids in a message


def events_of(store: EventStore, deal: str) -> list[Recorded]:
    """Returns the events that `gather` needs of a deal, in the log's order. Raises StoreError."""
    about = [decode_line(found.event.data) for found in store.read((QueryItem(tags=(f"deal:{deal}",)),))]
    agents = [
        QueryItem(tags=(f"agent:{agent}", chain_tag(recorded.chain)), types=("agent.spawned",))
        for recorded in about
        if isinstance(event := recorded.event, DealLocked)
        for agent in (event.terms.buyer, event.terms.seller)
    ]
    others = (QueryItem(tags=("verifiers",)), *agents)
    return [*(decode_line(found.event.data) for found in store.read(others)), *about]


def archived(folder: Path) -> tuple[list[Recorded], MemoryVault | None]:
    """Returns the events and the vault of an archive of either kind; a sealed one has none. Raises NotAnArchive.

    What cannot be read is left out: to name it is `agentrooms verify`'s work.
    """
    source = Source(folder, lambda _stage, _done, _total: None)
    events = [recorded for _number, recorded in source.log.decoded()]
    if source.vault is None:
        return events, None
    vault = MemoryVault()
    vault.put_many(source.vault.entries)
    return events, vault


def deals_named(events: Iterable[Recorded], text: str) -> str:
    """Returns the id of the one deal that begins with a text; `deal_` may be left out.

    Raises NoSuchDeal, or InvalidInput when several do.
    """
    head = text if text.startswith("deal_") else f"deal_{text}"
    known = [recorded.event.terms.deal for recorded in events if isinstance(recorded.event, DealLocked)]
    found = [deal for deal in known if deal.startswith(head)]
    if not found:
        raise NoSuchDeal(f"no deal begins with {text!r} among the {len(known)} that were locked here")
    if len(found) > 1 and head not in found:
        more = ", …" if len(found) > SHOWN_MAX else ""
        raise InvalidInput(
            f"several deals begin with {text!r}: {', '.join(found[:SHOWN_MAX])}{more}", hint="write more of it"
        )
    return head if head in found else found[0]
