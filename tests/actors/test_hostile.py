"""Verifiers that lie and chains that are slow or never mine: nobody innocent is blamed, no lock stays, rounds go on."""

from __future__ import annotations

import msgspec

from agentrooms.actors.messages import AskVote, Message, VoteCast
from agentrooms.actors.runtime import Send
from agentrooms.chain.ledger import LedgerChain
from agentrooms.consensus.judgement import Facts
from agentrooms.consensus.votes import cast
from agentrooms.domain.deal import DealState, FailReason, Terms
from agentrooms.domain.keys import derive_key
from agentrooms.domain.room import RoomStatus
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import preset
from tests.domain.runs import Silent

UNDERFUNDED = msgspec.structs.replace(preset("balanced_market", 3), underfunded_permille=1000)


class Slanderer:
    """A verifier that blames the seller, whatever the deal."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._key = derive_key(engine.run_key, "verifier", name)
        self._name = name

    def receive(self, message: Message) -> list[Send]:
        assert isinstance(message, AskVote)
        reasons = ("balance_too_low", "item_not_approved")
        vote = cast(self._key, self._name, message.terms, reasons, block=1, at_ms=message.at_ms)
        return [Send(message.reply_to, VoteCast(vote))]


class Lagging(LedgerChain):
    """A ledger whose final time is half a minute behind."""

    def facts(self, terms: Terms, at_ms: int) -> Facts:
        return super().facts(terms, at_ms - 30_000)


class NeverMines(LedgerChain):
    """A ledger that takes transactions and forgets them; its time moves with every look."""

    looks = 0

    def send(self, raw: bytes, at_ms: int) -> None:
        """Loses the transaction."""

    def facts(self, terms: Terms, at_ms: int) -> Facts:
        self.looks += 1
        return super().facts(terms, at_ms + 1_000 * self.looks)


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
