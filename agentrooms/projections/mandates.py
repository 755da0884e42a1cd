"""Mandates: the true limits of a simulated run's agents. Secret in a live room, and read from the vault only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated

import msgspec
from msgspec.structs import replace

from agentrooms.domain.agent import AgentReconfigured, AgentSpawned
from agentrooms.domain.deal import DealCompleted, DealLocked, Terms
from agentrooms.domain.mandate import Mandate
from agentrooms.domain.terms import Role
from agentrooms.events.record import Recorded
from agentrooms.projections.schema import MILLISECONDS, ROUND, USDC_MICROS, Note, Table

Lookup = Callable[[str], Mandate]
"""Returns the mandate of a hash that the log holds."""


class MandateRow(msgspec.Struct, frozen=True):
    """One mandate of one agent, and what it gained under it."""

    room: Annotated[str, Note("room id")]
    agent: Annotated[str, Note("agent id")]
    role: Annotated[Role, Note("buyer or seller")]
    mandate_hash: Annotated[str, Note("what stands for the mandate in the log")]
    from_event: Annotated[int, Note("place in the log from which it held, from 1", "events")]
    from_round: Annotated[int, Note("round from which it held", ROUND)]
    until_round: Annotated[int | None, Note("round in which another took its place", ROUND, "it was the last")]
    limit_usdc_micros: Annotated[
        int, Note("reservation price: the most the buyer pays, the least the seller takes", USDC_MICROS)
    ]
    start_usdc_micros: Annotated[int, Note("price at which the agent is to open", USDC_MICROS)]
    maximum_usdc_micros: Annotated[int | None, Note("most the seller may ask", USDC_MICROS, "a buyer")]
    expires_at_ms: Annotated[int, Note("time after which it allows no deal", MILLISECONDS)]
    price_usdc_micros: Annotated[
        int | None, Note("price of the deal completed under it", USDC_MICROS, "no such deal completed")
    ]
    surplus_usdc_micros: Annotated[
        int | None,
        Note("how much better than the limit that price was for its agent", USDC_MICROS, "no such deal completed"),
    ]


def rows(mandate_of: Lookup, events: Iterable[Recorded]) -> list[MandateRow]:
    """Returns one row for each mandate an agent had, in the order in which they came to hold."""
    found: dict[tuple[str, str], MandateRow] = {}
    current: dict[str, str] = {}
    locked: dict[str, Terms] = {}
    for number, recorded in enumerate(events, start=1):
        event = recorded.event
        match event:
            case AgentSpawned() | AgentReconfigured():
                held = current.get(event.agent)
                if held == event.mandate_hash:
                    continue
                if held is not None:
                    found[event.agent, held] = replace(found[event.agent, held], until_round=event.round)
                current[event.agent] = event.mandate_hash
                mandate = mandate_of(event.mandate_hash)
                found[event.agent, event.mandate_hash] = _row(recorded, number, event, mandate)
            case DealLocked():
                locked[event.terms.deal] = event.terms
            case DealCompleted() if event.deal in locked:
                terms = locked[event.deal]
                for key in ((terms.buyer, terms.buyer_mandate), (terms.seller, terms.seller_mandate)):
                    if key in found:
                        found[key] = _sold(found[key], terms.price_usdc_micros)
    return list(found.values())


def _row(recorded: Recorded, number: int, event: AgentSpawned | AgentReconfigured, mandate: Mandate) -> MandateRow:
    return MandateRow(
        room=recorded.chain,
        agent=event.agent,
        role=mandate.role,
        mandate_hash=event.mandate_hash,
        from_event=number,
        from_round=event.round,
        until_round=None,
        limit_usdc_micros=mandate.reservation_usdc_micros,
        start_usdc_micros=mandate.start_usdc_micros,
        maximum_usdc_micros=mandate.maximum_usdc_micros,
        expires_at_ms=mandate.expires_at_ms,
        price_usdc_micros=None,
        surplus_usdc_micros=None,
    )


def _sold(row: MandateRow, price: int) -> MandateRow:
    surplus = row.limit_usdc_micros - price if row.role is Role.BUYER else price - row.limit_usdc_micros
    return replace(row, price_usdc_micros=price, surplus_usdc_micros=surplus)


def table(mandate_of: Lookup) -> Table:
    """Returns the table for a log whose mandates can be looked up."""
    return Table(
        "mandates",
        "The agents' limits and what they gained; only of runs whose vault is at hand.",
        MandateRow,
        partial(rows, mandate_of),
        private=True,
    )
