"""A room's side of settlement: words, votes, transactions and ends, in the round they come or in the one that is drawn."""

from __future__ import annotations

import msgspec
import pytest

from agentrooms.actors.messages import (
    Accepted,
    AskAgain,
    Begin,
    CheckExpiry,
    Execute,
    Outcome,
    Resubmitted,
    Tick,
    Verdict,
    VerifyDeal,
)
from agentrooms.actors.plans import verifier_keys
from agentrooms.actors.runtime import Send
from agentrooms.actors.settling import EXPIRY_ROUNDS, VERIFY_ROUNDS
from agentrooms.consensus.evidence import EQUIVOCATION
from agentrooms.consensus.votes import signed_vote, statement_of
from agentrooms.domain.agent import AgentLeft
from agentrooms.domain.deal import (
    DealCertified,
    DealCompleted,
    DealFailed,
    DealLocked,
    DealState,
    Decision,
    EscrowSubmitted,
    FailReason,
    Misbehaviour,
    Receipt,
    Terms,
    VerifierAccused,
)
from tests.actors.stage import Stage, accept, events, offer, sent, words_for
from tests.domain import samples
from tests.domain.samples import KEY, NAMES, ROOM, ROUND_MS, START_MS

DONE = Receipt(1, "h", 1, "", succeeded=True, tx_hash="0xanybody")
DEAL_ROUNDS = 50  # what the stage's deals have


class Sale:
    """A room in which a deal has just been locked, in round 3."""

    def __init__(self, *, patient: bool) -> None:
        self.stage = Stage(patient=patient)
        self.stage.play(offer("agent_s1", 90))
        (lock,) = [
            e for e in events(self.stage.play(accept("agent_b0", "agent_s1", 2, 90))) if isinstance(e, DealLocked)
        ]
        self.terms: Terms = lock.terms

    def verifying(self) -> list[Send]:
        """Both agents sign."""
        return self.stage.play(words=tuple(Accepted(self.terms.deal, word) for word in words_for(self.terms)))

    def executing(self, *evidence: Misbehaviour) -> list[Send]:
        """Seven approve."""
        self.verifying()
        self.stage.tell(Verdict(self.terms.deal, samples.votes(7, terms=self.terms), "0xfirst", evidence))
        return self.stage.play()

    @property
    def state(self) -> DealState:
        """Where the deal stands."""
        return self.stage.actor.room.deals[self.terms.deal].state

    def jobs(self) -> list[tuple[int, str]]:
        """The jobs that settlement was given, and the round each is about."""
        made = [s.message for s in self.stage.sends if isinstance(s.message, VerifyDeal | Execute | CheckExpiry)]
        return [((job.at_ms - START_MS) // ROUND_MS, type(job).__name__) for job in made]

    def later(self, round_: int) -> None:
        """Plays on until a round has been played."""
        while self.stage.round < round_:
            self.stage.play()


def not_yet(sale: Sale) -> Outcome:
    return Outcome(sale.terms.deal, None, None, "")


def test_a_room_that_does_not_wait_takes_answers_in_the_round_they_come() -> None:
    """Votes, and the chain's word."""
    sale = Sale(patient=False)
    sale.verifying()
    assert events(sale.stage.play()) == []
    sale.stage.tell(Verdict(sale.terms.deal, samples.votes(7, terms=sale.terms), "0xfirst"))
    assert [type(e) for e in events(sale.stage.play())] == [DealCertified, EscrowSubmitted]
    sale.stage.tell(Outcome(sale.terms.deal, DONE, None, ""))
    ended = events(sale.stage.play())
    assert [type(e) for e in ended] == [DealCompleted, AgentLeft, AgentLeft]


def test_a_room_that_waits_holds_the_round_that_is_drawn_until_the_answer_comes() -> None:
    """Before it, rounds go on; in it, nothing but the answer moves it."""
    sale = Sale(patient=True)
    sale.verifying()
    while sent(sale.stage.play(), Tick):
        assert sale.stage.round < 3 + 6
    assert 3 + 3 <= sale.stage.round < 3 + 6  # three to five rounds after the lock
    assert sale.stage.actor.room.round < sale.stage.round
    answered = sale.stage.tell(Verdict(sale.terms.deal, samples.votes(7, terms=sale.terms), "0xfirst"))
    assert {s.to.split(":")[0] for s in answered} == {"host"}


def test_a_live_room_has_verifiers_asked_again_that_were_silent() -> None:
    """Four votes decide nothing; what silenced the others may be over some rounds later, and the deal goes on."""
    sale = Sale(patient=False)
    sale.verifying()
    sale.stage.tell(Verdict(sale.terms.deal, samples.votes(4, terms=sale.terms), None))
    undecided = sale.stage.round + 1
    sale.later(undecided + VERIFY_ROUNDS)
    assert [kind for _round, kind in sale.jobs()] == ["VerifyDeal", "VerifyDeal"]
    sale.stage.tell(Verdict(sale.terms.deal, samples.votes(7, terms=sale.terms), "0xfirst"))
    sale.stage.play()
    assert sale.state is DealState.EXECUTING


@pytest.mark.parametrize("patient", [True, False])
def test_a_deal_left_undecided_until_its_deadline_expires_on_chain(patient: bool) -> None:
    """However often verifiers were asked; our time alone ends nothing."""
    sale = Sale(patient=patient)
    sale.verifying()
    while sale.stage.round <= 4 + DEAL_ROUNDS:
        sale.stage.tell(Verdict(sale.terms.deal, samples.votes(4, terms=sale.terms), None))
        sale.stage.play()
    last = (sale.jobs()[-1][1], sale.state)
    assert last == ("CheckExpiry", DealState.VERIFYING)
    sale.stage.tell(Outcome(sale.terms.deal, None, FailReason.EXPIRED, "deadline_passed_unused"))
    (failed,) = [event for event in events(sale.stage.play()) if isinstance(event, DealFailed)]
    assert failed.reason is FailReason.EXPIRED


@pytest.mark.parametrize("patient", [False, True])
def test_a_deal_without_both_words_expires_on_chain(patient: bool) -> None:
    """Asked in the first round past its deadline, and only then; the chain's word ends it, and blames nobody."""
    sale = Sale(patient=patient)
    sale.stage.play(words=(Accepted(sale.terms.deal, words_for(sale.terms)[0]),))
    late = 3 + DEAL_ROUNDS + 1
    sale.later(late - 1)
    assert sale.jobs() == []
    sale.stage.tell(Tick(late))
    assert sale.jobs() == [(late, "CheckExpiry")]
    sale.stage.tell(Outcome(sale.terms.deal, None, FailReason.EXPIRED, "deadline_passed_unused"))
    (failed,) = [e for e in events(sale.stage.play()) if isinstance(e, DealFailed)]
    assert (failed.reason, failed.at_fault, failed.round) == (FailReason.EXPIRED, (), late)


def test_after_a_revert_a_live_room_looks_again_and_a_stranger_completes_the_deal() -> None:
    """Every few rounds; the receipt may be of any transaction that executed the deal."""
    sale = Sale(patient=False)
    sale.executing()
    sale.stage.tell(not_yet(sale))
    told = sale.stage.round
    for _look in range(3):
        sale.later(sale.stage.round + EXPIRY_ROUNDS)
        sale.stage.tell(not_yet(sale))
    looks = [(told + EXPIRY_ROUNDS * n, "CheckExpiry") for n in (1, 2, 3)]
    assert sale.jobs() == [(4, "VerifyDeal"), (5, "Execute"), *looks]
    sale.stage.tell(Outcome(sale.terms.deal, DONE, None, ""))
    assert [e.receipt for e in events(sale.stage.play()) if isinstance(e, DealCompleted)] == [DONE]


def test_after_a_revert_a_run_on_a_chain_of_its_own_looks_at_the_deadline_only() -> None:
    """Whichever round the answer came in: nobody else executes there, and the round must not show."""
    for delay in range(3):
        sale = Sale(patient=True)
        while sale.state is DealState.LOCKED:
            sale.verifying()
        sale.stage.tell(Verdict(sale.terms.deal, samples.votes(7, terms=sale.terms), "0xfirst"))
        while sale.state is not DealState.EXECUTING:
            sale.stage.play()
        sale.later(sale.stage.round + delay)
        sale.stage.tell(not_yet(sale))
        late = 3 + DEAL_ROUNDS + 1
        sale.later(late - 1)
        sale.stage.tell(Tick(late))
        assert [job for job in sale.jobs() if job[1] == "CheckExpiry"] == [(late, "CheckExpiry")]


def test_after_a_revert_a_deal_expires_with_the_reason_it_was_refused_for() -> None:
    """Who was to blame for the revert leaves."""
    sale = Sale(patient=False)
    sale.executing()
    sale.stage.tell(not_yet(sale))
    sale.later(3 + DEAL_ROUNDS + 1)
    sale.stage.tell(Outcome(sale.terms.deal, None, FailReason.EXPIRED, "balance_too_low"))
    ended = events(sale.stage.play())
    assert [(e.detail, e.at_fault) for e in ended if isinstance(e, DealFailed)] == [("balance_too_low", ("agent_b0",))]
    assert [e.agent for e in ended if isinstance(e, AgentLeft)] == ["agent_b0"]


def test_a_repriced_transaction_is_in_the_log_before_it_is_sent() -> None:
    """Told twice it is noted once; then settlement is given it, also by a room made anew."""
    sale = Sale(patient=False)
    assert [e.tx_hash for e in events(sale.executing()) if isinstance(e, EscrowSubmitted)] == ["0xfirst"]
    assert sent(sale.stage.tell(Resubmitted(sale.terms.deal, "0xsecond")), Execute) == []
    sends = sale.stage.play()
    assert events(sends) == [EscrowSubmitted(sale.terms.deal, sale.stage.round, "0xsecond")]
    assert [job.tx_hash for job in sent(sends, Execute)] == ["0xsecond"]
    sale.stage.tell(Resubmitted(sale.terms.deal, "0xsecond"))
    assert events(sale.stage.play()) == []
    sale.stage.actor = sale.stage.make()
    anew = sale.stage.tell(Tick(sale.stage.round + 1))
    assert [job.tx_hash for job in sent(anew, Execute)] == ["0xsecond"]


def test_votes_that_prove_a_verifier_faulty_are_kept_as_evidence() -> None:
    """Beside the certificate, each proof once; settlement cannot make one up."""
    sale = Sale(patient=False)
    keys = verifier_keys(KEY, NAMES[6])
    bad = signed_vote(keys, NAMES[6], statement_of(sale.terms, Decision.APPROVE), "", (), 0, 5)
    proof = Misbehaviour(kind="attestation_invalid", verifier=NAMES[6], votes=(bad,))
    two = samples.vote(NAMES[0], sale.terms), samples.vote(NAMES[0], sale.terms, ("self_trade",))
    false = [
        Misbehaviour(kind=EQUIVOCATION, verifier=NAMES[6], votes=(bad,)),
        Misbehaviour(kind="attestation_invalid", verifier=NAMES[5], votes=(bad,)),
        Misbehaviour(kind=EQUIVOCATION, verifier=NAMES[0], votes=two[:1]),
        Misbehaviour(kind="anything", verifier=NAMES[0], votes=()),
    ]
    true = Misbehaviour(kind=EQUIVOCATION, verifier=NAMES[0], votes=two)
    done = events(sale.executing(*false, proof, true))
    assert [type(e) for e in done] == [VerifierAccused, VerifierAccused, DealCertified, EscrowSubmitted]
    assert [e.evidence for e in done if isinstance(e, VerifierAccused)] == [proof, true]


def test_a_room_made_anew_tells_all_that_is_open() -> None:
    """A settlement that begins again gets every job without an answer, in the order of their times."""
    sale = Sale(patient=False)
    sale.executing()
    sale.stage.actor = sale.stage.make()
    sale.stage.tell(Tick(sale.stage.round + 1))
    (begin,) = [s.message for s in sale.stage.tell(AskAgain())]
    assert isinstance(begin, Begin)
    assert [type(job) for job in begin.jobs] == [Execute]
    assert begin.room == ROOM
    assert msgspec.structs.asdict(begin.jobs[0])["tx_hash"] == "0xfirst"
