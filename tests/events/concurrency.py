"""Several rooms, each with two writers, over one store: every interleaving of load and decide with append.

The rooms share items and wallets. Journals, deciders and lock rules are the real ones; an oracle
that knows only the stored lines judges after every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agentrooms.domain import deal as deals
from agentrooms.domain import locks, posting, user
from agentrooms.domain.deal import (
    Acceptance,
    Deal,
    DealCertified,
    DealCompleted,
    DealEvent,
    DealFailed,
    DealLocked,
    DealVerifying,
    Decision,
    EscrowSubmitted,
    FailReason,
    Receipt,
    Terms,
)
from agentrooms.domain.event import Event
from agentrooms.domain.mandate import SignedMandate
from agentrooms.errors import Rejection
from agentrooms.events.journal import Entry, Journal, locks_of
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.record import decode_line
from agentrooms.events.store import Conflict, EventStore, Query, QueryItem
from agentrooms.events.tags import wallet_tag
from agentrooms.events.transact import transact
from tests.domain import samples
from tests.domain.samples import USDC
from tests.events import oracle

ROOMS = ("room_1", "room_2")
WRITERS = 2 * len(ROOMS)  # two a room: the live one and one that does not know it was replaced
BUYERS = {name: samples.buyer_mandate(name) for name in ("w1", "w2")}
SELLERS = {f"s{n}": samples.seller_mandate(f"s{n}", item=samples.item(n)) for n in (1, 2)}
RECEIPT = Receipt(1, "h", 1, "", succeeded=True, tx_hash="0x1")


@cache
def buyer_mandate(name: str, counter: int) -> SignedMandate:
    return samples.buyer_mandate(name, counter=counter)


@cache
def seller_mandate(name: str, counter: int) -> SignedMandate:
    return samples.seller_mandate(name, item=SELLERS[name].mandate.item, counter=counter)


@dataclass(frozen=True)
class Order:
    """A command to lock: what a round would do when this buyer takes this seller's quote."""

    room: str
    round: int
    buyer: str
    seller: str
    price: int

    @property
    def cmd(self) -> str:
        """The command's id: a room has one such command a round."""
        return f"round:{self.room}:{self.round}"

    def terms(self) -> Terms:
        """The deal's terms: a fresh mandate each time; the agents' wallets and items are those of all rooms."""
        agents = (f"{self.room}/{self.buyer}", f"{self.room}/{self.seller}")
        return samples.terms_of(
            buyer_mandate(self.buyer, self.round),
            seller_mandate(self.seller, self.round),
            price=self.price * USDC,
            room=self.room,
            agents=agents,
            round_=self.round,
        )


@dataclass
class Plan:
    """Decided, not yet appended."""

    cmd: str
    events: list[tuple[Event, Terms | None]]
    unless: Query = ()


@dataclass
class Writer:
    """A process that writes one room's chain, with what it has seen of it."""

    journal: Journal
    deals: dict[str, Deal] = field(default_factory=dict)
    plan: Plan | None = None

    def load(self) -> None:
        """Learns what it has not seen of its own chain; what was decided before is void, as its position moves."""
        self.plan = None
        self.learn(recorded.event for recorded in self.journal.load())

    def learn(self, events: Iterable[Event]) -> None:
        """Folds events into the room's deals."""
        for event in events:
            if isinstance(event, DealLocked):
                self.deals[event.terms.deal] = deals.born(event)
            else:
                assert isinstance(event, DealVerifying | DealCertified | EscrowSubmitted | DealCompleted | DealFailed)
                self.deals[event.deal] = deals.evolve(self.deals[event.deal], event)


class Rooms(RuleBasedStateMachine):
    """Rules are one writer's step each, so that hypothesis draws the interleaving."""

    make_store: Callable[[], EventStore] = staticmethod(MemoryEventStore)

    def __init__(self) -> None:
        super().__init__()
        self.store = self.make_store()
        self.writers = [Writer(Journal(self.store, ROOMS[n % len(ROOMS)])) for n in range(WRITERS)]
        self.platform = [Journal(self.store) for _ in range(2)]
        self.judged = 0
        self.orders: list[Order] = []
        self.budget_commands: list[tuple[str, int]] = []
        for wallet in BUYERS:
            self.budget(wallet, 100)

    def budget(self, wallet: str, amount: int, *, cmd: str = "", writer: int = 0) -> None:
        """Sets a wallet's budget through the transact loop."""
        address = BUYERS[wallet].mandate.principal
        query = (QueryItem(tags=(wallet_tag(address),), types=("wallet.budgeted",)),)
        if not cmd:
            cmd = f"budget:{len(self.budget_commands)}"
            self.budget_commands.append((wallet, amount))
        transact(
            self.platform[writer],
            query,
            lambda events: _user(address, events),
            lambda state: user.set_budget(state, amount * USDC),
            at_ms=1,
            cmd=cmd,
        )

    @rule(
        wanted=st.lists(
            st.tuples(
                st.integers(0, WRITERS - 1),
                st.sampled_from(sorted(BUYERS)),
                st.sampled_from(sorted(SELLERS)),
                st.sampled_from((60, 70)),
            ),
            min_size=2,
            max_size=WRITERS,
            unique_by=lambda order: order[0],
        )
    )
    def begin_locks(self, wanted: list[tuple[int, str, str, int]]) -> None:
        """Writers load and decide new locks, one after the other; they append later, or never."""
        for writer, buyer, seller, price in wanted:
            order = Order(self.writers[writer].journal.chain, len(self.orders), buyer, seller, price)
            self.orders.append(order)
            self._begin(self.writers[writer], order)

    @precondition(lambda self: self.orders)
    @rule(writer=st.integers(0, WRITERS - 1), which=st.integers(0, 99))
    def begin_again(self, writer: int, which: int) -> None:
        """A command comes a second time, as after a lost answer."""
        chosen = self.writers[writer]
        orders = [order for order in self.orders if order.room == chosen.journal.chain]
        if orders:
            self._begin(chosen, orders[which % len(orders)])

    @rule(writer=st.integers(0, WRITERS - 1), completes=st.sampled_from((False, False, True)), which=st.integers(0, 9))
    def begin_end(self, writer: int, completes: bool, which: int) -> None:
        """A writer loads and decides the end of a live deal."""
        chosen = self.writers[writer]
        chosen.load()
        live = [deal for deal in chosen.deals.values() if deal.live]
        if live:
            deal = live[which % len(live)]
            events = _end(deal, completes=completes)
            chosen.plan = Plan(f"end:{deal.terms.deal}", [(event, deal.terms) for event in events])

    @rule(writers=st.permutations(range(WRITERS)) | st.lists(st.integers(0, WRITERS - 1), min_size=1, unique=True))
    def append(self, writers: list[int]) -> None:
        """Writers append what they decided, however long ago, in any order; after a conflict they forget it."""
        for writer in writers:
            self._append(self.writers[writer])

    @rule(
        wallet=st.sampled_from(sorted(BUYERS)),
        amount=st.sampled_from((100, 130, 1_000)),
        writer=st.integers(0, 1),
    )
    def set_budget(self, wallet: str, amount: int, writer: int) -> None:
        """A user changes a budget."""
        self.budget(wallet, amount, writer=writer)

    @rule(which=st.integers(0, 99), writer=st.integers(0, 1))
    def set_budget_again(self, which: int, writer: int) -> None:
        """An old change of a budget comes a second time."""
        number = which % len(self.budget_commands)
        wallet, amount = self.budget_commands[number]
        self.budget(wallet, amount, cmd=f"budget:{number}", writer=writer)

    @rule(writer=st.integers(0, WRITERS - 1))
    def crash(self, writer: int) -> None:
        """A writer dies and is built anew from the log."""
        chain = self.writers[writer].journal.chain
        self.writers[writer] = Writer(Journal(self.store, chain))

    @invariant()
    def the_log_is_sound(self) -> None:
        """The independent judge finds nothing; it looks whenever something was appended."""
        if self.store.head() == self.judged:
            return
        self.judged = self.store.head()
        oracle.check(p.event.data for p in self.store.read())

    def _append(self, writer: Writer) -> None:
        plan, writer.plan = writer.plan, None
        if plan is None:
            return
        outcome = writer.journal.append([Entry(*e) for e in plan.events], at_ms=1, cmd=plan.cmd, unless=plan.unless)
        if not isinstance(outcome, Conflict):
            writer.learn(decode_line(line).event for line in outcome)

    def _begin(self, writer: Writer, order: Order) -> None:
        writer.load()
        if writer.journal.is_done(order.cmd):
            return
        terms = order.terms()
        query = locks_of(terms)
        own = [posting.lock(deal.terms, deal.locked_round) for deal in writer.deals.values() if deal.live]
        try:
            locks.check_lock(locks.fold([*writer.journal.read(query), *own]), terms)
        except Rejection:
            return
        writer.plan = Plan(order.cmd, [(posting.lock(terms, order.round), None)], query)


def _user(address: str, events: Sequence[Event]) -> user.User:
    state = user.User(user.user_id(address), address)
    for event in events:
        assert isinstance(event, user.WalletBudgeted)
        state = user.evolve(state, event)
    return state


def _end(deal: Deal, *, completes: bool) -> list[Event]:
    """Takes a locked deal to its end, decided step by step by the real decider."""
    name = deal.terms.deal
    if not completes:
        return list(deals.fail(deal, FailReason.EXPIRED, "", (), 9))
    words = Acceptance(deal.terms.buyer, "", ""), Acceptance(deal.terms.seller, "", "")
    events: list[Event] = []
    decides: list[Callable[[Deal], list[DealEvent]]] = [
        lambda d: deals.verify(d, words, 9),
        lambda d: deals.certify(d, Decision.APPROVE, (), 9),
        lambda d: deals.submit(d, RECEIPT.tx_hash, 9),
        lambda d: deals.complete(d, RECEIPT, 9),
    ]
    for decide in decides:
        decided = decide(deal)
        events += decided
        for event in decided:
            deal = deals.evolve(deal, event)
    assert not deal.live, name
    return events
