"""Deals: exclusive locks, true terms, one end each, and nothing after it (invariants 1 to 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agentrooms.chain.ledger import LEDGER
from agentrooms.domain.deal import DealCompleted, DealFailed, DealLocked, Decision, FailReason, Terms, deal_hash
from agentrooms.domain.ids import derive_id
from agentrooms.domain.room import ActPosted
from agentrooms.domain.terms import ActKind
from agentrooms.domain.user import WalletBudgeted
from agentrooms.sim.audit.floor import Quote, Seat
from agentrooms.sim.audit.limits import outside
from agentrooms.sim.audit.source import ELSEWHERE, Source
from agentrooms.sim.audit.walk import Handler, Line, Rule


@dataclass(slots=True)
class Course:
    """One deal's way so far."""

    terms: Terms
    line: int
    stage: str = "locked"
    submitted: tuple[str, ...] = ()
    ended: int = 0


_FOLLOWS = {
    "deal.verifying": ("locked",),
    "deal.certified": ("verifying",),
    "escrow.submitted": ("approve", "submitted"),  # again, when the last one is stuck
    "deal.completed": ("submitted",),
}
_MAY_FAIL = {
    FailReason.REJECTED: ("reject",),
    FailReason.EXPIRED: ("locked", "verifying", "approve", "submitted"),
}


class Locks(Rule):
    """Locks of all rooms together: items and wallets are shared between rooms."""

    name: ClassVar[str] = "locks"
    compared: ClassVar[str] = "locks exclude each other, keep to budgets, mandates and quotes, and end exactly once"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._courses: dict[str, Course] = {}
        self._live: dict[str, Terms] = {}
        self._budgets: dict[str, int] = {}
        self._spent: dict[str, int] = {}
        self._fills: dict[str, str] = {}
        self._accepts: dict[str, Line] = {}
        self._end_line = source.log.end_line if source.live else 0

    def handlers(self) -> dict[str, Handler]:
        """Budgets, accepts and all that happens to a deal."""
        steps = dict.fromkeys(("deal.verifying", "deal.certified", "escrow.submitted"), self._step)
        return {
            **steps,
            "wallet.budgeted": self._budgeted,
            "act.posted": self._posted,
            "deal.locked": self._locked,
            "deal.completed": self._completed,
            "deal.failed": self._failed,
            ELSEWHERE: self._elsewhere,
        }

    def finish(self) -> None:
        """Every lock has ended, every accept has locked; a live room's archive may end before."""
        self.found.count = len(self._courses)
        for accept in self._accepts.values():
            if accept.number != self._end_line:
                self.found.wrong(accept.number, "the accept is followed by no lock")
        if self.live:
            return
        for name in self._live:
            self.found.wrong(self._courses[name].line, f"deal {name} never ends")

    def _budgeted(self, line: Line) -> None:
        event: WalletBudgeted = line.event
        self._budgets[event.wallet] = event.budget_usdc_micros

    def _posted(self, line: Line) -> None:
        event: ActPosted = line.event
        before = self._accepts.pop(line.recorded.chain, None)
        if before is not None:
            self.found.wrong(before.number, "the accept is followed by no lock")
        if event.act is ActKind.ACCEPT:
            self._accepts[line.recorded.chain] = line

    def _locked(self, line: Line) -> None:
        event: DealLocked = line.event
        terms = event.terms
        accept = self._accepts.pop(line.recorded.chain, None)
        quote = line.floor.quotes.get(terms.quote)
        wrongs = [_wrong_accept(line, terms, accept, quote), *self._shared(terms), *self._wrong_terms(line, terms)]
        if terms.deal in self._courses:
            wrongs.append(f"deal {terms.deal} was locked at line {self._courses[terms.deal].line} already")
        hashed = deal_hash(terms)
        if event.deal_hash != hashed:
            wrongs.append(f"the deal's hash is {hashed}, the event says {event.deal_hash}")
        for wrong in filter(None, wrongs):
            self.found.wrong(line.number, wrong)
        self._courses.setdefault(terms.deal, Course(terms, line.number))
        self._live[terms.deal] = terms

    def _elsewhere(self, line: Line) -> None:
        """Takes another room's lock, or the end of one, into account."""
        event = line.event
        if isinstance(event, DealLocked):
            for wrong in self._shared(event.terms):
                self.found.wrong(line.number, wrong)
            self._courses.setdefault(event.terms.deal, Course(event.terms, line.number))
            self._live[event.terms.deal] = event.terms
            return
        course = self._course(line)
        if course is not None and isinstance(event, DealCompleted):
            self._fill(course, event.deal)
        if course is not None:
            self._end(line, course)

    def _shared(self, terms: Terms) -> list[str]:
        """Returns what the lock shares with a live one, or overdraws."""
        mandates = {terms.buyer_mandate, terms.seller_mandate}
        wrongs = [f"mandate {m} was filled by deal {self._fills[m]}" for m in sorted(mandates & self._fills.keys())]
        reserved = 0
        for other in self._live.values():
            reserved += other.price_usdc_micros if other.buyer_wallet == terms.buyer_wallet else 0
            if (other.collection, other.item.token_id) == (terms.collection, terms.item.token_id):
                wrongs.append(f"item {terms.item.token_id} is locked by deal {other.deal} already")
            wrongs += [
                f"agent {agent} is locked by deal {other.deal} already"
                for agent in sorted({other.buyer, other.seller} & {terms.buyer, terms.seller})
            ]
            wrongs += [
                f"mandate {mandate} is locked by deal {other.deal} already"
                for mandate in sorted({other.buyer_mandate, other.seller_mandate} & mandates)
            ]
        free = self._budgets.get(terms.buyer_wallet, 0) - self._spent.get(terms.buyer_wallet, 0) - reserved
        if terms.price_usdc_micros > free:
            wrongs.append(
                f"wallet {terms.buyer_wallet} may lock {free} more micro-USDC, the deal locks {terms.price_usdc_micros}"
            )
        return wrongs

    def _wrong_terms(self, line: Line, terms: Terms) -> list[str]:
        """Returns which terms do not agree with the room, its agents and their mandates."""
        buyer, seller = line.floor.seats.get(terms.buyer), line.floor.seats.get(terms.seller)
        if buyer is None or seller is None:
            return [f"buyer {terms.buyer} or seller {terms.seller} was never spawned here"]
        opened, settings = line.floor.opened, self.manifest.settings if self.manifest is not None else None
        round_ = line.event.round
        pairs: dict[str, tuple[object, object]] = {
            "deal id": (terms.deal, derive_id("deal", terms.room, terms.buyer, terms.seller, round_)),
            "room": (terms.room, line.recorded.chain),
            "collection": (terms.collection, opened.collection if opened is not None else None),
            "buyer's role": (buyer.spawned.role, "buyer"),
            "seller's role": (seller.spawned.role, "seller"),
            "buyer's wallet": (terms.buyer_wallet, buyer.spawned.owner),
            "seller's wallet": (terms.seller_wallet, seller.spawned.owner),
            "buyer's mandate": (terms.buyer_mandate, buyer.mandate_hash),
            "seller's mandate": (terms.seller_mandate, seller.mandate_hash),
            "item": (terms.item, seller.spawned.item),
        }
        if settings is not None:
            pairs["deadline"] = (terms.deadline_ms, line.recorded.at_ms + settings.deal_ms)
        if self.live and terms.deadline_ms <= line.recorded.at_ms:
            pairs["deadline"] = (terms.deadline_ms, f"after {line.recorded.at_ms}")
        wrongs = [f"the {what} is {ours}, not {due}" for what, (ours, due) in pairs.items() if ours != due]
        return wrongs + [self._limit(line, terms, seat) for seat in (buyer, seller)]

    def _limit(self, line: Line, terms: Terms, seat: Seat) -> str:
        signed = self.vault.mandate(seat.mandate_hash) if self.vault is not None else None
        if signed is None:
            return ""
        wrong = outside(signed.mandate, terms.item, terms.price_usdc_micros, line.recorded.at_ms)
        return f"the deal lies outside the mandate of agent {seat.spawned.agent}: {wrong}" if wrong else ""

    def _course(self, line: Line) -> Course | None:
        """Returns the deal's live course; notes when there is none."""
        course = self._courses.get(line.event.deal)
        if course is None:
            self.found.wrong(line.number, f"deal {line.event.deal} was never locked")
        elif course.ended:
            self.found.wrong(line.number, f"deal {line.event.deal} ended at line {course.ended} already")
        elif course.terms.room != line.recorded.chain:
            self.found.wrong(line.number, f"deal {line.event.deal} is of room {course.terms.room}")
        else:
            return course
        return None

    def _step(self, line: Line) -> None:
        course = self._course(line)
        if course is None:
            return
        type_ = line.recorded.type
        self._must_follow(line, course, _FOLLOWS[type_])
        if type_ == "deal.verifying":
            course.stage = "verifying"
        elif type_ == "deal.certified":
            course.stage = "approve" if line.event.decision is Decision.APPROVE else "reject"
        else:
            course.stage, course.submitted = "submitted", (*course.submitted, line.event.tx_hash)

    def _completed(self, line: Line) -> None:
        event: DealCompleted = line.event
        course = self._course(line)
        if course is None:
            return
        self._must_follow(line, course, _FOLLOWS["deal.completed"])
        receipt = event.receipt
        ours = (
            receipt.tx_hash in course.submitted or course.terms.domain != LEDGER.domain
        )  # else anybody may execute it
        if not receipt.succeeded or not ours:
            what = "succeeded" if receipt.succeeded else "did not succeed"
            submitted = " and ".join(course.submitted) or "none"
            self.found.wrong(line.number, f"transaction {receipt.tx_hash} {what}, submitted was {submitted}")
        self._fill(course, event.deal)
        self._end(line, course)

    def _failed(self, line: Line) -> None:
        event: DealFailed = line.event
        course = self._course(line)
        if course is None:
            return
        self._must_follow(line, course, _MAY_FAIL[event.reason])
        strangers = sorted(set(event.at_fault) - {course.terms.buyer, course.terms.seller})
        if strangers:
            self.found.wrong(line.number, f"{strangers[0]} is blamed but is no party of deal {event.deal}")
        early = not self.live  # a run's chain has the room's time, a real one its own
        if early and event.reason is FailReason.EXPIRED and line.recorded.at_ms <= course.terms.deadline_ms:
            self.found.wrong(line.number, f"deal {event.deal} expires before its deadline {course.terms.deadline_ms}")
        self._end(line, course)

    def _fill(self, course: Course, deal: str) -> None:
        wallet = course.terms.buyer_wallet
        self._fills |= dict.fromkeys((course.terms.buyer_mandate, course.terms.seller_mandate), deal)
        self._spent[wallet] = self._spent.get(wallet, 0) + course.terms.price_usdc_micros

    def _end(self, line: Line, course: Course) -> None:
        course.ended = line.number
        self._live.pop(course.terms.deal, None)

    def _must_follow(self, line: Line, course: Course, stages: tuple[str, ...]) -> None:
        if course.stage not in stages:
            due = " or ".join(stages)
            self.found.wrong(line.number, f"deal {course.terms.deal} is at {course.stage}, not at {due}")


def _wrong_accept(line: Line, terms: Terms, accept: Line | None, quote: Quote | None) -> str:
    """Returns how a lock differs from the accept right before it and from the quote that was accepted."""
    if accept is None or accept.recorded.seq + 1 != line.recorded.seq or accept.recorded.cmd != line.recorded.cmd:
        return "no accept stands right before the lock"
    event: ActPosted = accept.event
    if event.refers_to != terms.quote or quote is None:
        return f"the lock is on quote {terms.quote}, accepted was {event.refers_to}"
    if {event.agent, quote.agent} != {terms.buyer, terms.seller}:
        return f"the lock binds {terms.buyer} and {terms.seller}, not {event.agent} and {quote.agent}"
    if terms.price_usdc_micros != quote.price_usdc_micros:
        return f"the price is {terms.price_usdc_micros} micro-USDC, quote {quote.id} was {quote.price_usdc_micros}"
    return ""
