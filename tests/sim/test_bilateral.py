"""Two parties alone: the same guards as in a room, and a log of their own."""

from __future__ import annotations

import pytest

from agentrooms.domain.room import CloseReason, RoomClosed
from agentrooms.domain.terms import StrategyName
from agentrooms.events.journal import Entry, Journal
from agentrooms.events.transact import Contended
from agentrooms.sim import bilateral

PAIR = (StrategyName.AGGRESSIVE, StrategyName.AGGRESSIVE)


def test_a_negotiation_whose_log_somebody_else_writes_ends_with_an_error() -> None:
    """Else its events and its room would part."""
    table = bilateral._Table(*bilateral.parties(1, PAIR, agreeable=True), 1, 40)
    other = Journal(table.store, table._room_id)
    other.load()
    other.append([Entry(RoomClosed(CloseReason.REQUESTED, 0))], at_ms=0, cmd="other")
    with pytest.raises(Contended):
        _play(table)


def _play(table: bilateral._Table) -> None:
    for turn in range(1, 41):
        table.turn(turn)


def test_agreeable_parties_agree_within_both_limits() -> None:
    """As a check that the table above would have gone on."""
    buyer, seller = bilateral.parties(1, PAIR, agreeable=True)
    result = bilateral.negotiate(buyer, seller, seed=1, turns=40)
    assert result.price_usdc_micros is not None
    assert seller.limit_usdc_micros <= result.price_usdc_micros <= buyer.limit_usdc_micros
