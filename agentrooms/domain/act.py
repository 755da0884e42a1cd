"""What an agent decides in a round, and why. An act changes nothing until the room has posted it."""

from __future__ import annotations

import msgspec

from agentrooms.domain.terms import ActKind


class Reason(msgspec.Struct, frozen=True):
    """Why an act was decided: the rule that fired and public facts it fired on. For the owner only."""

    rule: str
    facts: dict[str, int] = {}


class Act(msgspec.Struct, frozen=True, kw_only=True):
    """One agent's decision. `refers_to` is the quote answered, never a number read from text."""

    agent: str
    kind: ActKind
    reason: Reason
    price_usdc_micros: int | None = None
    refers_to: str | None = None
    to: str | None = None
    token_id: str | None = None
