"""A room's side of settlement: which jobs to ask for, which answers are due in a round, what they mean.

Answers enter the log at a round drawn from the seed, however long they took: a room waits for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from agentrooms.actors.messages import Begin, CheckExpiry, Execute, Outcome, Verdict, VerifyDeal
from agentrooms.actors.runtime import Send
from agentrooms.consensus.judgement import at_fault
from agentrooms.consensus.protocol import Tally, receive
from agentrooms.domain import deal as deals
from agentrooms.domain.deal import Deal, DealEvent, DealState, Decision, FailReason
from agentrooms.domain.ids import draw_below
from agentrooms.domain.room import Room
from agentrooms.domain.verifier_set import QUORUM, VERIFIERS, VerifierSet

VERDICT_ROUNDS = (3, 3)  # at least three rounds after the lock, and up to two more
OUTCOME_ROUNDS = (3, 4)
EXPIRY_ROUNDS = 10  # between two looks whether the chain's final time has passed a deadline
VERIFY, EXECUTE, EXPIRY = "verify", "execute", "expiry"
BLAMED_BY = VERIFIERS - QUORUM + 1  # so many verifiers must name a reason before a party is at fault


Job = VerifyDeal | Execute | CheckExpiry


class Settling:
    """What a room has asked settlement for and has been told. Rebuilt empty: it asks again."""

    def __init__(self, run_key: bytes, settlement: str, verifiers: VerifierSet) -> None:
        self._run_key = run_key
        self._settlement = settlement
        self._verifiers = verifiers
        self._asked: dict[tuple[str, str], Job] = {}  # in the order asked
        self._expiry_next: dict[str, int] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._outcomes: dict[str, Outcome] = {}

    def learn(self, answer: Verdict | Outcome, round_: int) -> None:
        """Keeps an answer until its round; where the chain has not decided, it is asked again some rounds later."""
        if isinstance(answer, Verdict):
            self._verdicts[answer.deal] = answer
        elif answer.receipt is not None or answer.reason is not None:
            self._outcomes[answer.deal] = answer
        else:
            self._asked.pop((answer.deal, EXPIRY), None)
            self._expiry_next[answer.deal] = round_ + EXPIRY_ROUNDS

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
                wanted.append((deal.terms.deal, stage, _job(room, deal, stage, round_)))
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
        for answers in (self._verdicts, self._outcomes, self._expiry_next):
            for deal in answers.keys() - live:
                del answers[deal]

    def ready(self, room: Room, round_: int) -> bool:
        """Tells whether all answers that are due in the round have come."""
        return all(self._has_answer(room, deal, round_) for deal in room.live_deals())

    def due(self, room: Room, round_: int) -> list[DealEvent]:
        """Returns the events of the answers that are due in the round, in lock order."""
        events: list[DealEvent] = []
        for deal in room.live_deals():
            if deal.state is DealState.LOCKED and round_ > deal.locked_round:
                events += deals.verify(deal, round_)
            elif deal.terms.deal in self._outcomes and self._outcome_due(room, deal, round_):
                events += _end(deal, self._outcomes[deal.terms.deal], round_)
            elif deal.state is DealState.VERIFYING and deal.decision is None and self._verdict_due(deal, round_):
                events += self._certify(deal, round_)
        return events

    def _stage(self, room: Room, deal: Deal, round_: int) -> str | None:
        if deal.state is DealState.EXECUTING:
            return EXECUTE
        if self._undecided(deal) and room.at_ms(round_) > deal.terms.deadline_ms:
            return EXPIRY if round_ >= self._expiry_next.get(deal.terms.deal, 0) else None
        return VERIFY if deal.decision is None else None

    def _has_answer(self, room: Room, deal: Deal, round_: int) -> bool:
        name = deal.terms.deal
        if deal.state is DealState.EXECUTING:
            return name in self._outcomes or not self._outcome_due(room, deal, round_)
        if (name, EXPIRY) in self._asked:
            return name in self._outcomes
        return name in self._verdicts or not self._verdict_due(deal, round_)

    def _verdict_due(self, deal: Deal, round_: int) -> bool:
        least, spread = VERDICT_ROUNDS
        wait = least + draw_below(self._run_key, spread, "verdict", deal.terms.deal, deal.locked_round)
        return round_ >= deal.locked_round + wait

    def _outcome_due(self, room: Room, deal: Deal, round_: int) -> bool:
        if deal.certified_round is None:
            return room.at_ms(round_) > deal.terms.deadline_ms
        least, spread = OUTCOME_ROUNDS
        wait = least + draw_below(self._run_key, spread, "outcome", deal.terms.deal, deal.certified_round)
        return round_ >= deal.certified_round + wait

    def _undecided(self, deal: Deal) -> bool:
        verdict = self._verdicts.get(deal.terms.deal)
        return verdict is not None and deal.decision is None and self._tally(deal, verdict).decided is None

    def _tally(self, deal: Deal, verdict: Verdict) -> Tally:
        tally = Tally(deal.terms, self._verifiers)
        for vote in verdict.votes:
            tally = receive(tally, vote)
        return tally

    def _certify(self, deal: Deal, round_: int) -> list[DealEvent]:
        verdict = self._verdicts[deal.terms.deal]
        tally = self._tally(deal, verdict)
        decision = tally.decided
        if decision is None:
            return []
        events = deals.certify(deal, decision, tally.certificate(), round_)
        certified = deals.evolve(deal, events[0])
        if decision is Decision.APPROVE:
            assert verdict.tx_hash is not None
            return [*events, *deals.submit(certified, verdict.tx_hash, round_)]
        blamed = _agreed_reasons(tally)
        faults = sorted({agent for reason in blamed for agent in at_fault(reason, deal.terms)})
        return [*events, *deals.fail(certified, FailReason.REJECTED, ",".join(blamed), tuple(faults), round_)]


def _agreed_reasons(tally: Tally) -> list[str]:
    """Returns the reasons so many verifiers name that an honest one is among them."""
    named = Counter(reason for vote in tally.votes.values() for reason in set(vote.annex.reasons))
    return sorted(reason for reason, count in named.items() if count >= BLAMED_BY)


def _job(room: Room, deal: Deal, stage: str, round_: int) -> Job:
    if stage == VERIFY:
        return VerifyDeal(deal.terms, room.at_ms(deal.locked_round))
    if stage == EXECUTE:
        assert deal.tx_hash is not None
        assert deal.certified_round is not None
        return Execute(deal.terms, deal.tx_hash, room.at_ms(deal.certified_round))
    return CheckExpiry(deal.terms, room.at_ms(round_))


def _end(deal: Deal, outcome: Outcome, round_: int) -> list[DealEvent]:
    if outcome.reason is None:
        assert outcome.receipt is not None
        return deals.complete(deal, outcome.receipt, round_)
    return deals.fail(deal, outcome.reason, outcome.detail, at_fault(outcome.detail, deal.terms), round_)
