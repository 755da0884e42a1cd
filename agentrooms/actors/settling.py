"""A room's side of settlement: which jobs to ask for, which answers are due in a round, what they mean.

Answers enter the log at a round drawn from the seed, however long they took: a room waits for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from agentrooms.actors.messages import Accepted, Begin, CheckExpiry, Execute, Outcome, Resubmitted, Verdict, VerifyDeal
from agentrooms.actors.runtime import Send
from agentrooms.consensus.evidence import is_proof
from agentrooms.consensus.judgement import at_fault
from agentrooms.consensus.protocol import Tally, receive
from agentrooms.domain import deal as deals
from agentrooms.domain.deal import (
    Acceptance,
    Deal,
    DealEvent,
    DealState,
    Decision,
    FailReason,
    VerifierAccused,
)
from agentrooms.domain.ids import draw_below
from agentrooms.domain.room import Room
from agentrooms.domain.verifier_set import QUORUM, VERIFIERS, VerifierSet

VERDICT_ROUNDS = (3, 3)  # at least three rounds after the lock, and up to two more
OUTCOME_ROUNDS = (3, 4)
VERIFY_ROUNDS = 10  # before a live room has verifiers asked again that left a deal undecided
EXPIRY_ROUNDS = 10  # between two looks whether the chain's final time has passed a deadline
VERIFY, EXECUTE, EXPIRY = "verify", "execute", "expiry"
BLAMED_BY = VERIFIERS - QUORUM + 1  # so many verifiers must name a reason before a party is at fault


Job = VerifyDeal | Execute | CheckExpiry


class Settling:
    """What a room has asked settlement for and has been told. Rebuilt empty: it asks again."""

    def __init__(self, run_key: bytes, settlement: str, verifiers: VerifierSet, *, patient: bool) -> None:
        """`patient` rooms wait for answers that are due; others take them in whatever round they come."""
        self._run_key = run_key
        self._patient = patient
        self.behind_ms = 0  # how far room time is behind the wall's, which is a real chain's
        self._settlement = settlement
        self._verifiers = verifiers
        self._asked: dict[tuple[str, str], Job] = {}  # in the order asked
        self._expiry_next: dict[str, int] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._verify_next: dict[str, int] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._words: dict[str, dict[str, Acceptance]] = {}
        self._resubmitted: dict[str, str] = {}

    def learn(self, answer: Verdict | Outcome | Resubmitted, round_: int) -> None:
        """Keeps an answer until its round; where the chain has not decided, it is asked again some rounds later."""
        if isinstance(answer, Verdict):
            self._verdicts[answer.deal] = answer
        elif isinstance(answer, Resubmitted):
            self._resubmitted[answer.deal] = answer.tx_hash
        elif answer.receipt is not None or answer.reason is not None:
            self._outcomes[answer.deal] = answer
        else:
            looked = self._asked.pop((answer.deal, EXPIRY), None)
            executed = self._patient and looked is None  # the round in which that answer came must not show
            self._expiry_next[answer.deal] = 0 if executed else round_ + EXPIRY_ROUNDS

    def hear(self, accepted: Iterable[Accepted]) -> None:
        """Keeps agents' words for deals until both of a deal are there."""
        for one in accepted:
            self._words.setdefault(one.deal, {})[one.acceptance.agent] = one.acceptance

    def jobs(self, room: Room, round_: int) -> list[Send]:
        """Returns the requests that live deals need and that have not been made.

        Their order is that of the room time they are about, then of the locks: a rebuilt room, which asks
        for all at once, asks in the same order as one that asked along the way.
        """
        live = room.live_deals()
        self._forget_ended({deal.terms.deal for deal in live})
        wanted = []
        for deal in live:
            stage = self._stage(room, deal, round_)
            if stage is not None and (deal.terms.deal, stage) not in self._asked:
                wanted.append((deal.terms.deal, stage, _job(room, deal, stage, self._now_ms(room, round_))))
        wanted.sort(key=lambda want: want[2].at_ms)
        self._asked.update({(deal, stage): job for deal, stage, job in wanted})
        return [Send(self._settlement, job) for _deal, _stage, job in wanted]

    def begin(self, room: str) -> Send:
        """Returns all requests that have no answer yet, in the order in which they were made."""
        answers: dict[str, Mapping[str, object]] = {VERIFY: self._verdicts}
        asked = self._asked.items()
        jobs = (job for (deal, stage), job in asked if deal not in answers.get(stage, self._outcomes))
        return Send(self._settlement, Begin(room, tuple(jobs)))

    def _forget_ended(self, live: set[str]) -> None:
        self._asked = {key: job for key, job in self._asked.items() if key[0] in live}
        kept = (self._verdicts, self._verify_next, self._outcomes, self._expiry_next, self._words, self._resubmitted)
        for answers in kept:
            for deal in answers.keys() - live:
                del answers[deal]

    def ready(self, room: Room, round_: int) -> bool:
        """Tells whether all answers that are due in the round have come, or none is waited for."""
        return not self._patient or all(self._has_answer(room, deal, round_) for deal in room.live_deals())

    def due(self, room: Room, round_: int) -> list[DealEvent]:
        """Returns the events of the answers that are due in the round, in lock order."""
        events: list[DealEvent] = []
        for deal in room.live_deals():
            words = self._words_of(deal)
            if deal.state is DealState.LOCKED and words is not None and round_ > deal.locked_round:
                events += deals.verify(deal, words, round_)
            elif deal.terms.deal in self._outcomes and self._outcome_due(room, deal, round_):
                events += self._ended(deal, round_)
            elif deal.terms.deal in self._resubmitted and deal.state is DealState.EXECUTING:
                events += self._resubmit(deal, round_)
            elif deal.state is DealState.VERIFYING and deal.decision is None and self._verdict_due(deal, round_):
                certified = self._certify(deal, round_)
                events += certified
                if not certified and not self._patient:
                    self._verify_again(room, deal, round_)
        return events

    def _stage(self, room: Room, deal: Deal, round_: int) -> str | None:
        """Returns what to ask for; an approved deal whose transaction failed is looked at until the chain decides."""
        looked = deal.terms.deal in self._expiry_next
        if deal.state is DealState.EXECUTING and not looked:
            return EXECUTE
        late = self._now_ms(room, round_) > deal.terms.deadline_ms
        if looked and self._patient and not (late and self._outcome_due(room, deal, round_)):
            return None  # on a run's own chain nobody else executes
        if looked or (late and (deal.state is DealState.LOCKED or self._undecided(deal))):
            return EXPIRY if round_ >= self._expiry_next.get(deal.terms.deal, 0) else None
        return VERIFY if deal.state is DealState.VERIFYING and deal.decision is None else None

    def _now_ms(self, room: Room, round_: int) -> int:
        return room.at_ms(round_) + self.behind_ms

    def _has_answer(self, room: Room, deal: Deal, round_: int) -> bool:
        name = deal.terms.deal
        if deal.state is DealState.LOCKED and (name, EXPIRY) not in self._asked:
            return True
        if deal.state is DealState.EXECUTING and name not in self._expiry_next:
            return name in self._outcomes or not self._outcome_due(room, deal, round_)
        if (name, EXPIRY) in self._asked:
            return name in self._outcomes
        if name in self._expiry_next:
            return True
        return name in self._verdicts or not self._verdict_due(deal, round_)

    def _verdict_due(self, deal: Deal, round_: int) -> bool:
        if not self._patient:
            return True
        least, spread = VERDICT_ROUNDS
        wait = least + draw_below(self._run_key, spread, "verdict", deal.terms.deal, deal.locked_round)
        return round_ >= deal.locked_round + wait

    def _outcome_due(self, room: Room, deal: Deal, round_: int) -> bool:
        if not self._patient:
            return True
        if deal.certified_round is None:
            return self._now_ms(room, round_) > deal.terms.deadline_ms
        least, spread = OUTCOME_ROUNDS
        wait = least + draw_below(self._run_key, spread, "outcome", deal.terms.deal, deal.certified_round)
        return round_ >= deal.certified_round + wait

    def _words_of(self, deal: Deal) -> tuple[Acceptance, Acceptance] | None:
        words = self._words.get(deal.terms.deal, {})
        buyer, seller = words.get(deal.terms.buyer), words.get(deal.terms.seller)
        return (buyer, seller) if buyer is not None and seller is not None else None

    def _verify_again(self, room: Room, deal: Deal, round_: int) -> None:
        """Has verifiers asked once more after some rounds, until the deadline: what they said stands, silence may end."""
        name = deal.terms.deal
        if name not in self._verdicts or self._now_ms(room, round_) > deal.terms.deadline_ms:
            return
        if round_ >= self._verify_next.setdefault(name, round_ + VERIFY_ROUNDS):
            del self._verdicts[name], self._verify_next[name]
            self._asked.pop((name, VERIFY), None)

    def _resubmit(self, deal: Deal, round_: int) -> list[DealEvent]:
        """Returns the event of a repriced transaction; only once it is in the log is it sent."""
        tx_hash = self._resubmitted.pop(deal.terms.deal)
        self._asked.pop((deal.terms.deal, EXECUTE), None)
        return deals.submit(deal, tx_hash, round_)

    def _ended(self, deal: Deal, round_: int) -> list[DealEvent]:
        """Returns the end that the chain has told, after what the votes on it have proved, should none have done so yet.

        A deal that was executed before this room had its certificate is verified again: its votes exist.
        """
        outcome = self._outcomes[deal.terms.deal]
        if outcome.reason is None and deal.state is not DealState.EXECUTING:
            self._forget(deal.terms.deal)
            return []
        accused = self._accused(deal, round_) if deal.decision is None else []
        return [*accused, *_end(deal, outcome, round_)]

    def _forget(self, deal: str) -> None:
        """Forgets all answers about a deal but its agents' words, so that they are asked for again."""
        for stage in (VERIFY, EXPIRY):
            self._asked.pop((deal, stage), None)
        self._verdicts.pop(deal, None)
        self._outcomes.pop(deal, None)
        self._expiry_next.pop(deal, None)

    def _accused(self, deal: Deal, round_: int) -> list[DealEvent]:
        """Returns an accusation for all evidence that holds, once each: settlement is believed no more than a verifier."""
        verdict = self._verdicts.get(deal.terms.deal)
        told = verdict.evidence if verdict is not None else ()
        proven = {(e.verifier, e.kind): e for e in told if is_proof(e, deal.terms, self._verifiers)}
        return [VerifierAccused(deal.terms.deal, evidence, round_) for evidence in proven.values()]

    def _undecided(self, deal: Deal) -> bool:
        verdict = self._verdicts.get(deal.terms.deal)
        return verdict is not None and deal.decision is None and _decision(verdict, self._tally(deal, verdict)) is None

    def _tally(self, deal: Deal, verdict: Verdict) -> Tally:
        tally = Tally(deal.terms, self._verifiers)
        for vote in verdict.votes:
            tally = receive(tally, vote)
        return tally

    def _certify(self, deal: Deal, round_: int) -> list[DealEvent]:
        verdict = self._verdicts.get(deal.terms.deal)
        if verdict is None:
            return []  # a room that does not wait has no answer yet
        tally = self._tally(deal, verdict)
        decision = _decision(verdict, tally)
        if decision is None:
            return []
        events = [*self._accused(deal, round_), *deals.certify(deal, decision, tally.certificate(), round_)]
        certified = deals.evolve(deal, events[-1])
        if decision is Decision.APPROVE:
            assert verdict.tx_hash is not None
            return [*events, *deals.submit(certified, verdict.tx_hash, round_)]
        blamed = _agreed_reasons(tally)
        faults = sorted({agent for reason in blamed for agent in at_fault(reason, deal.terms)})
        return [*events, *deals.fail(certified, FailReason.REJECTED, ",".join(blamed), tuple(faults), round_)]


def _decision(verdict: Verdict, tally: Tally) -> Decision | None:
    """Returns what the votes decide; an approval without its transaction is no answer yet."""
    unprepared = tally.decided is Decision.APPROVE and verdict.tx_hash is None
    return None if unprepared else tally.decided


def _agreed_reasons(tally: Tally) -> list[str]:
    """Returns the reasons so many verifiers name that an honest one is among them."""
    named = Counter(reason for vote in tally.votes.values() for reason in set(vote.annex.reasons))
    return sorted(reason for reason, count in named.items() if count >= BLAMED_BY)


def _job(room: Room, deal: Deal, stage: str, now_ms: int) -> Job:
    if stage == VERIFY:
        assert deal.verifying_round is not None
        return VerifyDeal(deal.terms, deal.acceptances, room.at_ms(deal.verifying_round))
    if stage == EXECUTE:
        assert deal.tx_hash is not None
        assert deal.certified_round is not None
        return Execute(deal.terms, deal.tx_hash, room.at_ms(deal.certified_round))
    return CheckExpiry(deal.terms, now_ms, deal.tx_hash)


def _end(deal: Deal, outcome: Outcome, round_: int) -> list[DealEvent]:
    if outcome.reason is None:
        assert outcome.receipt is not None
        return deals.complete(deal, outcome.receipt, round_)
    return deals.fail(deal, outcome.reason, outcome.detail, at_fault(outcome.detail, deal.terms), round_)
