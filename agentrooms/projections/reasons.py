"""Reasons: which rule of its strategy each act came from. For the agents' owners only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from agentrooms.domain.canonical import canonical
from agentrooms.domain.room import ActsExplained
from agentrooms.events.record import Recorded
from agentrooms.projections.schema import ROUND, Note, Table


class ReasonRow(msgspec.Struct, frozen=True):
    """Why one agent acted in one round."""

    room: Annotated[str, Note("room id")]
    event: Annotated[int, Note("place in the log of the round's explanation, from 1", "events")]
    round: Annotated[int, Note("round of the act; an agent acts at most once a round", ROUND)]
    agent: Annotated[str, Note("agent id")]
    rule: Annotated[str, Note("rule that decided")]
    facts: Annotated[str, Note("numbers it decided on, as a JSON object; prices in micro-USDC")]


def rows(events: Iterable[Recorded]) -> list[ReasonRow]:
    """Returns one row for each act explained, in the log's order, agents of a round by id."""
    found = []
    for number, recorded in enumerate(events, start=1):
        event = recorded.event
        if isinstance(event, ActsExplained):
            for agent, reason in sorted(event.reasons.items()):
                facts = canonical({name: value for name, value in reason.items() if name != "rule"}).decode()
                rule = str(reason.get("rule", ""))
                found.append(ReasonRow(recorded.chain, number, event.round, agent, rule, facts))
    return found


TABLE = Table("reasons", "Why each act was decided.", ReasonRow, rows, private=True)
