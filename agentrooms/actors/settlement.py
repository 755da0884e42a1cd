"""Settlement of one room: collects votes, prepares and sends escrow transactions, reads their ends. One job at a time.

Jobs run in the order a room asked for them, so a reproducible run sees the chain in one order only. One
that was made anew takes no job of a room until the room has told it all that are open, in their order.
"""

from __future__ import annotations

from collections import deque

from agentrooms.actors.messages import (
    AskVote,
    Begin,
    CheckExpiry,
    Execute,
    Message,
    Outcome,
    Verdict,
    VerifyDeal,
    VoteCast,
    VoteTimeout,
)
from agentrooms.actors.runtime import Send
from agentrooms.chain.port import Chain, Execution
from agentrooms.consensus.protocol import ASK_TIMEOUT_MS, ASKS_MAX, Tally, ask, receive
from agentrooms.domain.deal import Decision, FailReason, Terms
from agentrooms.domain.verifier_set import VerifierSet
from agentrooms.errors import AgentroomsError
from agentrooms.events.vault import Vault, get_mandate
from agentrooms.services import failpoints

JOBS_MAX = 10_000  # waiting at once
RECEIPT_POLL_MS = 1_000
EXPIRED = "deadline_passed_unused"

Job = VerifyDeal | Execute | CheckExpiry


class SettlementOverloaded(AgentroomsError):
    """More jobs wait than settlement will ever catch up with."""


class SettlementActor:
    """Works off one queue; only a verification waits for others."""

    def __init__(self, address: str, chain: Chain, vault: Vault, verifiers: VerifierSet) -> None:
        self._address = address
        self._chain = chain
        self._vault = vault
        self._verifiers = verifiers
        self._begun = False
        self._jobs: deque[Job] = deque()
        self._tally: Tally | None = None

    def receive(self, message: Message) -> list[Send]:
        """Takes a job, a vote or a time-out."""
        if isinstance(message, Begin):
            # What it waited for may have been on its way through a loop of the room that is gone, time-outs included.
            self._begun = True
            self._jobs.clear()
            self._tally = None
            return self._take(*message.jobs)
        if isinstance(message, VerifyDeal | Execute | CheckExpiry):
            return self._take(message) if self._begun else []
        tally = self._tally
        if tally is None:
            return []
        if isinstance(message, VoteCast):
            self._tally = receive(tally, message.vote)
        elif not isinstance(message, VoteTimeout) or (message.deal, message.ask) != (tally.terms.deal, tally.asks):
            return []
        return self._advance(timed_out=isinstance(message, VoteTimeout))

    def _take(self, *jobs: Job) -> list[Send]:
        if len(self._jobs) + len(jobs) > JOBS_MAX:
            raise SettlementOverloaded(
                f"{JOBS_MAX} settlement jobs wait", hint="run fewer rooms against one settlement"
            )
        self._jobs.extend(jobs)
        return self._work()

    def _work(self) -> list[Send]:
        """Does the jobs at the front of the queue up to the first that must wait for votes."""
        sends: list[Send] = []
        while self._jobs and self._tally is None:
            job = self._jobs[0]
            if isinstance(job, VerifyDeal):
                self._tally = Tally(job.terms, self._verifiers)
                return sends + self._ask(job.at_ms)
            self._jobs.popleft()
            sends.append(self._execute(job) if isinstance(job, Execute) else self._check_expiry(job))
        return sends

    def _ask(self, at_ms: int) -> list[Send]:
        assert self._tally is not None
        self._tally, silent = ask(self._tally)
        terms = self._tally.terms
        asked = [Send(f"verifier:{name}", AskVote(terms, at_ms, self._address)) for name in silent]
        return [*asked, Send(self._address, VoteTimeout(terms.deal, self._tally.asks), ASK_TIMEOUT_MS)]

    def _advance(self, *, timed_out: bool) -> list[Send]:
        tally = self._tally
        assert tally is not None
        if tally.silent and timed_out and tally.asks < ASKS_MAX:
            job = self._jobs[0]
            return self._ask(job.at_ms)
        if tally.silent and not timed_out:
            return []
        self._tally = None
        self._jobs.popleft()
        return [self._verdict(tally), *self._work()]

    def _verdict(self, tally: Tally) -> Send:
        terms, votes = tally.terms, tally.certificate()
        tx_hash = None
        if tally.decided is Decision.APPROVE:
            buyer, seller = (get_mandate(self._vault, key) for key in (terms.buyer_mandate, terms.seller_mandate))
            transaction = self._chain.prepare(Execution(terms=terms, buyer=buyer, seller=seller, votes=votes))
            failpoints.hit("settlement.before_put")
            self._vault.put(transaction.tx_hash, transaction.raw)
            tx_hash = transaction.tx_hash
        return Send(f"room:{terms.room}", Verdict(terms.deal, votes, tx_hash))

    def _execute(self, job: Execute) -> Send:
        failpoints.hit("settlement.before_send")
        self._chain.send(self._vault.get(job.tx_hash), job.at_ms)
        failpoints.hit("settlement.after_send")
        receipt = self._chain.receipt(job.tx_hash)
        if receipt is None and self._is_expired(job.terms, job.at_ms):
            return Send(f"room:{job.terms.room}", Outcome(job.terms.deal, None, FailReason.EXPIRED, EXPIRED))
        if receipt is None:  # sent again with the next look: the same transaction twice is sent once
            return Send(self._address, job, RECEIPT_POLL_MS)
        reason = None if receipt.succeeded else FailReason.REVERTED
        return Send(f"room:{job.terms.room}", Outcome(job.terms.deal, receipt, reason, receipt.reason))

    def _check_expiry(self, job: CheckExpiry) -> Send:
        reason = FailReason.EXPIRED if self._is_expired(job.terms, job.at_ms) else None
        return Send(f"room:{job.terms.room}", Outcome(job.terms.deal, None, reason, EXPIRED))

    def _is_expired(self, terms: Terms, at_ms: int) -> bool:
        """Tells whether the final chain is past the deadline and has not executed the deal: then it never will."""
        facts = self._chain.facts(terms, at_ms)
        return not facts.deal_used and facts.at_ms > terms.deadline_ms
