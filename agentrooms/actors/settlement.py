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
    Progressed,
    Resubmitted,
    Verdict,
    VerifyDeal,
    VoteCast,
    VoteTimeout,
)
from agentrooms.actors.runtime import Send
from agentrooms.chain.port import Chain, ChainUnreachable, Execution
from agentrooms.consensus.judgement import Case
from agentrooms.consensus.protocol import ASK_TIMEOUT_MS, ASKS_MAX, Tally, ask, receive
from agentrooms.domain import progress
from agentrooms.domain.deal import Decision, FailReason, Receipt, Terms
from agentrooms.domain.mandate import SignedMandate
from agentrooms.domain.verifier_set import VerifierSet
from agentrooms.errors import AgentroomsError
from agentrooms.events.vault import NotInVault, Vault, get_mandate
from agentrooms.services import failpoints

JOBS_MAX = 10_000  # waiting at once
RETRY_MS = 1_000  # before a chain that did not answer is asked again
EXPIRED = "deadline_passed_unused"

Job = VerifyDeal | Execute | CheckExpiry


class SettlementOverloaded(AgentroomsError):
    """More jobs wait than settlement will ever catch up with."""


class SettlementActor:
    """Works off one queue; only a verification waits for others."""

    def __init__(
        self, address: str, watcher: str, chain: Chain, vault: Vault, verifiers: VerifierSet, *, patient: bool = True
    ) -> None:
        """A `patient` one takes all votes that come in time, so that equal runs count equal votes; else a quorum is enough."""
        self._patient = patient
        self._address = address
        self._watcher = watcher
        self._chain = chain
        self._vault = vault
        self._verifiers = verifiers
        self._begun = False
        self._jobs: deque[Job] = deque()
        self._tally: Tally | None = None
        self._case: Case | None = None  # of the deal that is verified

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
            told = self._progress(tally.terms, *progress.by_votes(len(self._tally.votes)))
            return [told, *self._advance(timed_out=False)]
        if not isinstance(message, VoteTimeout) or (message.deal, message.ask) != (tally.terms.deal, tally.asks):
            return []
        return self._advance(timed_out=True)

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
                self._tally, self._case = Tally(job.terms, self._verifiers), self._case_of(job)
                return sends + self._ask(job)
            self._jobs.popleft()
            sends += self._settle(job)
        return sends

    def _settle(self, job: Execute | CheckExpiry) -> list[Send]:
        """Does a job on the chain; where that does not answer, again a little later."""
        try:
            return self._execute(job) if isinstance(job, Execute) else [self._look(job)]
        except ChainUnreachable:
            return [Send(self._address, job, RETRY_MS)]

    def _ask(self, job: VerifyDeal) -> list[Send]:
        assert self._tally is not None
        assert self._case is not None
        self._tally, silent = ask(self._tally)
        terms = job.terms
        asked = [Send(f"verifier:{name}", AskVote(self._case, job.at_ms, self._address)) for name in silent]
        failpoints.hit("settlement.asked")
        return [*asked, Send(self._address, VoteTimeout(terms.deal, self._tally.asks), ASK_TIMEOUT_MS)]

    def _case_of(self, job: VerifyDeal) -> Case:
        """Returns all that is judged of a deal. Verifiers check each part of it for themselves."""
        terms = job.terms
        buyer, seller = self._mandate(terms.buyer_mandate), self._mandate(terms.seller_mandate)
        return Case(terms=terms, buyer=buyer, seller=seller, acceptances=job.acceptances)

    def _mandate(self, key: str) -> SignedMandate | None:
        try:
            return get_mandate(self._vault, key)
        except NotInVault:
            return None

    def _advance(self, *, timed_out: bool) -> list[Send]:
        tally = self._tally
        assert tally is not None
        if tally.silent and timed_out and tally.asks < ASKS_MAX:
            return self._ask(self._verifying)
        enough = tally.decided is not None and not self._patient
        if tally.silent and not timed_out and not enough:
            return []
        job = self._verifying
        self._tally = None
        self._jobs.popleft()
        return [self._verdict(job, tally), *self._work()]

    @property
    def _verifying(self) -> VerifyDeal:
        job = self._jobs[0]
        assert isinstance(job, VerifyDeal), "a tally is of the job at the front"
        return job

    def _verdict(self, job: VerifyDeal, tally: Tally) -> Send:
        terms, votes = tally.terms, tally.certificate()
        tx_hash = None
        if tally.decided is Decision.APPROVE:
            try:
                tx_hash = self._store_transaction(job, tally)
            except ChainUnreachable:
                return Send(self._address, job, RETRY_MS)  # verifiers will say again what they said
        return Send(f"room:{terms.room}", Verdict(terms.deal, votes, tx_hash, tally.evidence))

    def _store_transaction(self, job: VerifyDeal, tally: Tally) -> str:
        """Returns the hash of the deal's transaction, which is in the vault before anybody hears of it."""
        assert self._case is not None
        transaction = self._chain.prepare(Execution(self._case, tally.certificate()))
        failpoints.hit("settlement.before_put")
        self._vault.put(transaction.tx_hash, transaction.raw)
        failpoints.hit("settlement.after_put")
        return transaction.tx_hash

    def _execute(self, job: Execute) -> list[Send]:
        """Sends the transaction that is in the log, as often as asked: twice sent is once sent."""
        failpoints.hit("settlement.before_send")
        self._chain.send(self._vault.get(job.tx_hash), job.at_ms)
        failpoints.hit("settlement.after_send")
        sent = self._chain.sent(job.tx_hash)
        if sent.receipt is not None:
            return [self._outcome(job, sent.receipt)]
        told = self._progress(job.terms, *progress.by_confirmations(sent.confirmations, sent.wanted))
        standing = self._chain.standing(job.terms, job.at_ms)
        if standing.executed is not None or standing.at_ms > job.terms.deadline_ms:
            return [self._look(CheckExpiry(job.terms, job.at_ms, job.tx_hash))]
        if sent.stuck:
            other = self._chain.reprice(job.tx_hash)
            self._vault.put(other.tx_hash, other.raw)
            return [told, Send(f"room:{job.terms.room}", Resubmitted(job.terms.deal, other.tx_hash))]
        return [told, Send(self._address, job, sent.again_ms)]

    def _outcome(self, job: Execute, receipt: Receipt) -> Send:
        """Returns what a final receipt of the deal's own transaction means.

        One that reverted ends nothing: the deal may have been executed by another, or may yet be until its deadline.
        """
        if not receipt.succeeded:
            return self._look(CheckExpiry(job.terms, job.at_ms, job.tx_hash))
        return Send(f"room:{job.terms.room}", Outcome(job.terms.deal, receipt, None, ""))

    def _look(self, job: CheckExpiry) -> Send:
        """Asks the final chain: executed by anybody, past the deadline and unused, or not decided yet."""
        terms = job.terms
        standing = self._chain.standing(terms, job.at_ms)
        if standing.executed is not None:
            outcome = Outcome(terms.deal, standing.executed, None, "")
        elif standing.at_ms > terms.deadline_ms:
            outcome = Outcome(terms.deal, None, FailReason.EXPIRED, self._why(job.tx_hash))
        else:
            outcome = Outcome(terms.deal, None, None, "")
        return Send(f"room:{terms.room}", outcome)

    def _why(self, tx_hash: str | None) -> str:
        """Returns why a deal's own transaction was refused, else that nobody executed it in time."""
        receipt = self._chain.sent(tx_hash).receipt if tx_hash is not None else None
        return receipt.reason if receipt is not None and receipt.reason else EXPIRED

    def _progress(self, terms: Terms, stage: progress.Stage, percent: int) -> Send:
        return Send(self._watcher, Progressed(terms.deal, stage, percent))
