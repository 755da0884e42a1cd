"""Settlement: chains that are slow, silent or refuse; a deal ends only by what the final chain says."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec
import pytest

from agentrooms.actors.messages import (
    AskVote,
    Begin,
    CheckExpiry,
    Execute,
    Message,
    Outcome,
    Progressed,
    Resubmitted,
    Verdict,
    VerifyDeal,
    VoteCast,
)
from agentrooms.actors.plans import verifier_keys, verifier_plans
from agentrooms.actors.runtime import Send
from agentrooms.actors.settlement import EXPIRED, SettlementActor
from agentrooms.actors.verifier import VerifierActor
from agentrooms.chain.ledger import LedgerChain
from agentrooms.chain.port import ChainError, ChainUnreachable, Execution, RawTransaction, Sent, Standing
from agentrooms.consensus.evidence import is_proof
from agentrooms.consensus.votes import signed_vote, statement_of
from agentrooms.domain.deal import Decision, FailReason, Terms
from agentrooms.domain.progress import Stage
from agentrooms.events.vault import MemoryVault, put_mandate
from tests.domain import samples
from tests.domain.samples import BUYER, KEY, NAMES, ROOM, SELLER, SET, START_MS, TERMS, USDC, acceptances, wallet

VERIFY = VerifyDeal(TERMS, acceptances(), START_MS)
HOME = f"room:{ROOM}"
STEPS_MAX = 200  # deliveries of one conversation


class Talk:
    """A settlement with seven real verifiers on one chain; what it tells the room and the watcher is kept."""

    def __init__(self, chain: LedgerChain) -> None:
        samples.furnish(chain)
        self.chain = chain
        self.vault = MemoryVault()
        for mandate in (BUYER, SELLER):
            put_mandate(self.vault, mandate)
        self.actor = SettlementActor("settlement", "watcher", chain, self.vault, SET)
        self.verifiers: dict[str, Callable[[Message], list[Send]]] = {}
        for plan in verifier_plans(KEY, 1):
            verifier = VerifierActor(plan.name, plan.keys, chain, MemoryVault(), set_version=1)
            self.verifiers[f"verifier:{plan.name}"] = verifier.receive
        self.told: list[Message] = []
        self.shown: list[tuple[Stage, int]] = []
        self.waited_ms = 0
        self.actor.receive(Begin(ROOM, ()))

    def say(self, *messages: Message, before: Callable[[int], None] = lambda _step: None) -> list[Message]:
        """Delivers messages until nothing is on its way or the room has been told something; returns what it was told."""
        told = len(self.told)
        queue: deque[tuple[int, Send]] = deque((0, Send("settlement", message)) for message in messages)
        for step in range(STEPS_MAX):
            if not queue or len(self.told) > told:
                return self.told[told:]
            before(step)
            queue = deque(sorted(queue, key=lambda waiting: waiting[0]))
            at_ms, send = queue.popleft()
            self.waited_ms = max(self.waited_ms, at_ms)
            queue.extend((at_ms + answer.delay_ms, answer) for answer in self._deliver(send))
        raise AssertionError("they still talk")

    def _deliver(self, send: Send) -> list[Send]:
        if send.to == HOME:
            self.told.append(send.message)
        elif send.to == "watcher":
            assert isinstance(send.message, Progressed)
            self.shown.append((send.message.stage, send.message.percent))
        elif send.to == "settlement":
            return self.actor.receive(send.message)
        else:
            return self.verifiers[send.to](send.message)
        return []

    def verdict(self) -> Verdict:
        """What the room is told of the votes."""
        (told,) = self.say(VERIFY)
        assert isinstance(told, Verdict)
        return told

    def approved(self) -> str:
        """The stored transaction of the approved deal."""
        tx_hash = self.verdict().tx_hash
        assert tx_hash is not None
        return tx_hash

    def execute(self, at_ms: int = START_MS, before: Callable[[int], None] = lambda _step: None) -> Message:
        """What the room is told of the transaction's end."""
        (told,) = self.say(Execute(TERMS, self.approved(), at_ms), before=before)
        return told


class Refusing(LedgerChain):
    """A ledger whose escrow is paused while transactions are sent."""

    paused = True

    def _refusal(self, execution: Execution, at_ms: int) -> str:
        return "paused" if self.paused else super()._refusal(execution, at_ms)


class Slow(LedgerChain):
    """A ledger on which a transaction sent waits until it is let in; its time is what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[bytes, int]] = []
        self.now_ms = 0
        self.stuck = False

    def send(self, raw: bytes, at_ms: int) -> None:
        self.waiting.append((raw, at_ms))

    def let_in(self) -> None:
        """Mines what waits."""
        for raw, at_ms in self.waiting:
            super().send(raw, at_ms)

    def sent(self, tx_hash: str) -> Sent:
        return msgspec.structs.replace(super().sent(tx_hash), stuck=self.stuck)

    def reprice(self, tx_hash: str) -> RawTransaction:
        return RawTransaction(tx_hash + "higher", b"higher")

    def standing(self, terms: Terms, at_ms: int) -> Standing:
        return super().standing(terms, max(at_ms, self.now_ms))


class Unsteady(LedgerChain):
    """A ledger that does not answer every so often, whatever it is asked."""

    def __init__(self, silent: set[int]) -> None:
        self.silent = silent
        self.asked = 0
        super().__init__()

    def _answer(self) -> None:
        self.asked += 1
        if self.asked in self.silent:
            raise ChainUnreachable("no answer")

    def prepare(self, execution: Execution) -> RawTransaction:
        self._answer()
        return super().prepare(execution)

    def send(self, raw: bytes, at_ms: int) -> None:
        self._answer()
        super().send(raw, at_ms)

    def sent(self, tx_hash: str) -> Sent:
        self._answer()
        return super().sent(tx_hash)

    def standing(self, terms: Terms, at_ms: int) -> Standing:
        self._answer()
        return super().standing(terms, at_ms)


def stranger(talk: Talk) -> str:
    """Somebody else sends the published execution in a transaction of their own: the votes are fewer, the deal the same."""
    case = samples.case_of()
    raw = talk.chain.prepare(Execution(case, samples.votes(5)))
    LedgerChain.send(talk.chain, raw.raw, START_MS)
    return raw.tx_hash


def test_an_approved_deal_is_stored_sent_and_completed() -> None:
    """The transaction is in the vault before the room hears of it."""
    talk = Talk(LedgerChain())
    told = talk.execute()
    assert isinstance(told, Outcome)
    assert told.receipt is not None
    assert (told.receipt.succeeded, told.reason) == (True, None)
    assert talk.vault.get(told.receipt.tx_hash) != b""
    assert talk.chain.owners[TERMS.collection, TERMS.item.token_id] == wallet("buyer")


def test_what_the_watcher_is_shown_never_goes_back() -> None:
    """From the first question to the last confirmation."""
    chain = Slow()
    talk = Talk(chain)
    talk.execute(before=lambda step: chain.let_in() if step == 9 else None)
    percents = [percent for _stage, percent in talk.shown]
    assert percents == sorted(percents)
    assert {stage for stage, _percent in talk.shown} >= {Stage.BALANCE, Stage.CONSENSUS, Stage.EXECUTION}


def test_a_revert_ends_nothing_and_a_strangers_execution_completes_the_deal() -> None:
    """The calldata is public: until the deadline anybody may try again, and the escrow swaps the same."""
    chain = Refusing()
    talk = Talk(chain)
    assert talk.execute() == Outcome(TERMS.deal, None, None, "")
    look = CheckExpiry(TERMS, START_MS + 1, chain.used.get(TERMS.deal))
    assert talk.say(look) == [Outcome(TERMS.deal, None, None, "")]
    chain.paused = False
    by = stranger(talk)
    (told,) = talk.say(look)
    assert isinstance(told, Outcome)
    assert told.receipt is not None
    assert (told.receipt.tx_hash, told.receipt.succeeded) == (by, True)
    assert chain.balances[wallet("seller")] == TERMS.price_usdc_micros


def test_a_revert_because_a_stranger_was_faster_completes_the_deal() -> None:
    """The deal's own transaction finds it used, and that is no failure."""
    talk = Talk(LedgerChain())
    tx_hash = talk.approved()
    by = stranger(talk)
    (told,) = talk.say(Execute(TERMS, tx_hash, START_MS))
    assert isinstance(told, Outcome)
    assert told.receipt is not None
    assert (told.receipt.tx_hash, told.reason) == (by, None)
    own = talk.chain.sent(tx_hash).receipt
    assert own is not None
    assert own.reason == "deal_already_used"


def test_a_deal_that_was_refused_expires_with_the_reason_it_was_refused_for() -> None:
    """Once the final chain's time is past the deadline, and not before; one never sent in time gives no reason."""
    talk = Talk(Refusing())
    tx_hash = talk.approved()
    assert talk.say(Execute(TERMS, tx_hash, START_MS)) == [Outcome(TERMS.deal, None, None, "")]
    on_time, late = TERMS.deadline_ms, TERMS.deadline_ms + 1
    assert talk.say(CheckExpiry(TERMS, on_time, tx_hash)) == [Outcome(TERMS.deal, None, None, "")]
    assert talk.say(CheckExpiry(TERMS, late, tx_hash)) == [Outcome(TERMS.deal, None, FailReason.EXPIRED, "paused")]
    never = Talk(LedgerChain())
    assert never.say(CheckExpiry(TERMS, late)) == [Outcome(TERMS.deal, None, FailReason.EXPIRED, EXPIRED)]


def test_a_transaction_that_waits_is_looked_at_until_it_is_final() -> None:
    """The room is told once."""
    chain = Slow()
    talk = Talk(chain)
    told = talk.execute(before=lambda step: chain.let_in() if step == 5 else None)
    assert isinstance(told, Outcome)
    assert told.receipt is not None
    assert talk.waited_ms >= 250


def test_a_transaction_that_is_never_mined_expires_on_chain() -> None:
    """By the final chain's time; ours does not count."""
    chain = Slow()
    talk = Talk(chain)

    def pass_(step: int) -> None:
        chain.now_ms = TERMS.deadline_ms + (step > 20)

    assert talk.execute(before=pass_) == Outcome(TERMS.deal, None, FailReason.EXPIRED, EXPIRED)


def test_a_stuck_transaction_is_repriced_and_the_room_told_before_it_is_sent() -> None:
    """The new one is stored and waits for the log; the old one may still be mined, and that completes the deal."""
    chain = Slow()
    talk = Talk(chain)
    chain.stuck = True
    tx_hash = talk.approved()
    assert talk.say(Execute(TERMS, tx_hash, START_MS)) == [Resubmitted(TERMS.deal, tx_hash + "higher")]
    assert talk.vault.get(tx_hash + "higher") == b"higher"
    assert [raw for raw, _at in chain.waiting] == [talk.vault.get(tx_hash)]
    chain.stuck = False
    chain.let_in()
    chain.waiting = []
    (told,) = talk.say(Execute(TERMS, tx_hash + "higher", START_MS))
    assert isinstance(told, Outcome)
    assert told.receipt is not None
    assert (told.receipt.tx_hash, told.receipt.succeeded) == (tx_hash, True)


@pytest.mark.parametrize("silent", [{1}, {2}, {3}, {1, 2, 3}, {2, 4}, {3, 5, 7}])
def test_a_chain_that_does_not_answer_is_asked_again(silent: set[int]) -> None:
    """Whichever question it was: the same votes, the same transaction, the same end, a little later."""
    steady, unsteady = Talk(LedgerChain()), Talk(Unsteady(silent))
    assert unsteady.execute() == steady.execute()
    assert unsteady.waited_ms >= 1_000


def test_a_chain_error_that_is_no_silence_is_raised() -> None:
    """Else it would be asked for ever."""
    talk = Talk(LedgerChain())
    talk.vault.put("0xbad", b"no transaction")
    with pytest.raises(ChainError, match="is not an escrow execution"):
        talk.say(Execute(TERMS, "0xbad", START_MS))


def test_what_verifiers_do_wrong_is_told_with_the_votes() -> None:
    """Six approve; the seventh's own signed nonsense comes along as a proof, and its vote does not count."""
    talk = Talk(LedgerChain())
    keys = verifier_keys(KEY, NAMES[6])
    bad = signed_vote(keys, NAMES[6], statement_of(TERMS, Decision.APPROVE), "", (), 0, START_MS)

    def lie(message: Message) -> list[Send]:
        assert isinstance(message, AskVote)
        return [Send(message.reply_to, VoteCast(bad))]

    talk.verifiers[f"verifier:{NAMES[6]}"] = lie
    verdict = talk.verdict()
    assert [vote.verifier for vote in verdict.votes] == list(NAMES[:6])
    (evidence,) = verdict.evidence
    assert (evidence.verifier, evidence.kind) == (NAMES[6], "attestation_invalid")
    assert is_proof(evidence, TERMS, SET)
    assert verdict.tx_hash is not None


def test_a_rejected_deal_has_no_transaction() -> None:
    """And what verifiers agree on is in their votes."""
    talk = Talk(LedgerChain())
    talk.chain.balances[wallet("buyer")] = 5 * USDC
    talk.chain.minted_usdc_micros = 5 * USDC
    verdict = talk.verdict()
    assert {vote.annex.reasons for vote in verdict.votes} == {("balance_too_low",)}
    assert (verdict.tx_hash, len(verdict.votes)) == (None, 7)
