"""Verifiers that lie and chains that are slow or never mine: nobody innocent is blamed, no lock stays, rounds go on."""

from __future__ import annotations

from itertools import cycle

import msgspec
import pytest

from agentrooms.actors.messages import AskVote, Message, VoteCast
from agentrooms.actors.plans import room_address, settlement_address, verifier_keys
from agentrooms.actors.runtime import Actor, Send
from agentrooms.chain.ledger import LedgerChain
from agentrooms.chain.port import Execution, Standing
from agentrooms.consensus.judgement import Case, Facts
from agentrooms.consensus.votes import cast
from agentrooms.domain.deal import DealFailed, DealState, Decision, FailReason, Terms
from agentrooms.domain.room import RoomStatus
from agentrooms.events.record import decode_line
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import preset
from tests.domain import runs
from tests.domain.runs import Silent

UNDERFUNDED = msgspec.structs.replace(preset("balanced_market", 3), underfunded_permille=1000)


class Slanderer:
    """A verifier that blames the seller, whatever the deal."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._keys = verifier_keys(engine.run_key, name)
        self._name = name

    def receive(self, message: Message) -> list[Send]:
        assert isinstance(message, AskVote)
        reasons = ("balance_too_low", "item_not_approved")
        vote = cast(self._keys, self._name, message.terms, reasons, block=1, at_ms=message.at_ms)
        return [Send(message.reply_to, VoteCast(vote))]


class Lagging(LedgerChain):
    """A ledger whose final time is half a minute behind."""

    def facts(self, case: Case, at_ms: int) -> Facts:
        return super().facts(case, at_ms - 30_000)

    def standing(self, terms: Terms, at_ms: int) -> Standing:
        return super().standing(terms, at_ms - 30_000)


class NeverMines(LedgerChain):
    """A ledger that takes transactions and forgets them; its time moves with every look."""

    looks = 0

    def send(self, raw: bytes, at_ms: int) -> None:
        """Loses the transaction."""

    def standing(self, terms: Terms, at_ms: int) -> Standing:
        self.looks += 1
        return super().standing(terms, at_ms + 1_000 * self.looks)


class Paused(LedgerChain):
    """A ledger whose escrow is paused, which no verifier sees: every transaction is refused."""

    def _refusal(self, execution: Execution, at_ms: int) -> str:
        return "paused"


def test_two_slanderers_make_nobody_leave() -> None:
    """Fewer than three verifiers name the seller: an honest one is not sure to be among them."""
    engine = Engine(UNDERFUNDED)
    for number in (6, 7):
        name = f"verifier_{number}"
        engine.runtime.place(f"verifier:{name}", lambda name=name: Slanderer(engine, name))  # type: ignore[misc]
    engine.run()
    failed = [deal for deal in engine.room.deals.values() if deal.state is DealState.FAILED]
    assert failed
    assert {deal.fail_reason for deal in failed} == {FailReason.REJECTED}
    blamed = {a.id for a in engine.room.agents.values() if a.left_reason == "deal_fault"}
    assert blamed == {deal.terms.buyer for deal in failed}


def test_a_chain_that_lags_delays_an_expiry_and_nothing_else() -> None:
    """Without a quorum the deal waits for the chain's own time, while the room's rounds go on."""
    engine = Engine(preset("small_test", 1), chain=Lagging())
    for number in (1, 2, 3):
        engine.runtime.place(f"verifier:verifier_{number}", Silent)
    engine.run()
    deals = list(engine.room.deals.values())
    assert deals
    assert {deal.fail_reason for deal in deals} == {FailReason.EXPIRED}
    for deal in deals:
        assert deal.ended_round is not None
        assert engine.room.at_ms(deal.ended_round) > deal.terms.deadline_ms + 30_000
    assert engine.room.status is RoomStatus.INACTIVE


def test_an_approved_deal_that_is_never_mined_expires_on_chain() -> None:
    """The chain's final time is past the deadline and the deal unused: it never can happen."""
    engine = Engine(preset("small_test", 1), chain=NeverMines())
    engine.run()
    deals = list(engine.room.deals.values())
    assert {deal.state for deal in deals} == {DealState.FAILED}
    assert deals[0].fail_reason is FailReason.EXPIRED  # later ones may be rejected: this chain's clock runs ahead
    assert deals[0].tx_hash is not None
    assert engine.room.live_deals() == []


class Postponed:
    """A settlement whose words to the room are on their way for some time."""

    def __init__(self, settlement: Actor, room: str, delays_ms: tuple[int, ...]) -> None:
        self._settlement = settlement
        self._room = room
        self._delays_ms = cycle(delays_ms)

    def receive(self, message: Message) -> list[Send]:
        sends = self._settlement.receive(message)
        return [s._replace(delay_ms=next(self._delays_ms)) if s.to == self._room else s for s in sends]


def refused_run(delays_ms: tuple[int, ...] = (0,), kills: tuple[int, ...] = ()) -> Engine:
    """A run in which the escrow refuses all that verifiers approve."""
    engine = Engine(preset("small_test", 1), chain=Paused())
    plan = engine.genesis.settlement_plan
    address = settlement_address(engine.room_id)

    def make() -> Actor:
        return Postponed(plan.make(address, engine._parts), room_address(engine.room_id), delays_ms)

    engine.runtime.place(address, make)
    count = 0
    while engine.runtime.step():
        count += 1
        if count in kills:
            engine.runtime.rebuild(room_address(engine.room_id))
    engine.finish()
    return engine


def test_a_deal_whose_transaction_reverts_waits_for_its_deadline() -> None:
    """It fails in the first round past it, with the reason of the revert, and nobody is blamed."""
    engine = refused_run()
    deals = list(engine.room.deals.values())
    assert deals
    for deal in deals:
        assert (deal.fail_reason, deal.decision) == (FailReason.EXPIRED, Decision.APPROVE)
        assert deal.ended_round is not None
        assert engine.room.at_ms(deal.ended_round - 1) <= deal.terms.deadline_ms < engine.room.at_ms(deal.ended_round)
    failed = [decode_line(line).event for line in runs.log_of(engine) if b'"deal.failed"' in line]
    assert {(e.detail, e.at_fault) for e in failed if isinstance(e, DealFailed)} == {("paused", ())}


@pytest.mark.parametrize(
    ("delays_ms", "kills"),
    [
        ((7,), ()),
        ((2_500, 0, 900), ()),
        ((9_000, 1_500), ()),
        ((0,), tuple(range(50, 2_000, 97))),
        ((3_100, 0), (300,)),
    ],
)
def test_when_a_revert_is_heard_of_changes_no_byte(delays_ms: tuple[int, ...], kills: tuple[int, ...]) -> None:
    """Slow answers and a room that is made anew: the deals end in the same rounds."""
    assert runs.log_of(refused_run(delays_ms, kills)) == runs.log_of(refused_run())
