"""Random histories of a room: drawn commands, decided by the real deciders, one step after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
from hypothesis import strategies as st

from agentrooms.chain.ledger import LEDGER
from agentrooms.domain import agent as agents
from agentrooms.domain import deal as deals
from agentrooms.domain import locks, posting
from agentrooms.domain.act import Act, Reason
from agentrooms.domain.assets import WantKind, Wants
from agentrooms.domain.deal import Acceptance, DealCompleted, DealFailed, DealState, Decision, FailReason, Receipt
from agentrooms.domain.event import Event
from agentrooms.domain.folding import evolve, fold
from agentrooms.domain.mandate import SignedMandate, mandate_hash
from agentrooms.domain.market import fits, rests
from agentrooms.domain.posting import Venue
from agentrooms.domain.room import CloseReason, PersonSpoke, Room
from agentrooms.domain.terms import ActKind, LeaveReason, Mood, StrategyName, Style
from agentrooms.domain.user import WalletBudgeted, user_id
from agentrooms.errors import Rejection
from tests.domain import samples

VENUE = Venue(LEDGER, 1, 50_000)
RECEIPT = Receipt(1, "h", 1, "", succeeded=True, tx_hash="0xt")
TICK = 10_000
GRADES = ("common", "common", "rare")

BUYERS = {
    "agent_b0": samples.buyer_mandate("b0"),
    "agent_b1": samples.buyer_mandate("b1", wants=Wants(WantKind.TRAITS, traits={"grade": "rare"})),
    "agent_b2": samples.buyer_mandate("b2", wants=Wants(WantKind.ITEMS, ("1", "3"))),
    "agent_b3": samples.buyer_mandate("b3", wants=Wants(WantKind.TRAITS, traits={"grade": "common"})),
}
SELLERS = {
    f"agent_s{n}": samples.seller_mandate(f"s{n}", item=samples.item(n % 3 + 1, GRADES[n % 3])) for n in range(4)
}
MANDATES: dict[str, SignedMandate] = {**BUYERS, **SELLERS}
BY_HASH = {mandate_hash(m.mandate): m.mandate for m in MANDATES.values()}
BUDGETS = [WalletBudgeted(m.mandate.principal, 500 * samples.USDC) for m in BUYERS.values()]

Decide = Callable[[Room], Sequence[Event]]


@dataclass(frozen=True)
class Step:
    """One command: the room it met, how it is decided, what it came to; `refused` is the typed rejection."""

    name: str
    before: Room
    decide: Decide
    events: tuple[Event, ...]
    refused: Rejection | None

    @property
    def after(self) -> Room:
        """The room after the command."""
        return fold(self.before, self.events)


@st.composite
def histories(draw: st.DrawFn, steps: int = 60) -> list[Step]:
    """Histories of one room, from its opening on; some commands are nonsense."""
    made: list[Step] = []
    room, round_ = Room(), 0
    commands: list[tuple[str, Decide]] = [
        ("open", lambda room: posting.open_room(room, samples.opened(), samples.REGISTERED))
    ]
    commands += [(f"spawn {name}", _spawn(name, 0)) for name in draw(st.permutations(sorted(MANDATES)))[:6]]
    for _ in range(draw(st.integers(0, steps))):
        while commands:
            name, decide = commands.pop(0)
            try:
                events, refused = tuple(decide(room)), None
            except Rejection as rejection:
                events, refused = (), rejection
            made.append(Step(name, room, decide, events, refused))
            room = fold(room, events)
            commands += [
                ("depart", _depart(event)) for event in events if isinstance(event, DealCompleted | DealFailed)
            ]
        round_ += draw(st.sampled_from((0, 1, 1, 1, 7, 31)))
        commands.append(draw(_command(room, round_)))
    return made


def events_of(history: Sequence[Step]) -> list[Event]:
    """All events of a history."""
    return [event for step in history for event in step.events]


def _spawn(name: str, round_: int) -> Decide:
    return lambda room: posting.spawn(room, samples.spawned(name, MANDATES[name], round_))


def _depart(event: DealCompleted | DealFailed) -> Decide:
    return lambda room: posting.depart(room, event)


@st.composite
def _command(draw: st.DrawFn, room: Room, round_: int) -> tuple[str, Decide]:
    kinds = (
        ["bargain"] * 14
        + ["act"] * 8
        + ["agent", "spawn", "expire", "close", "speak", "speak"]
        + ["deal"] * (8 if room.deals else 0)
    )
    match draw(st.sampled_from(kinds)):
        case "bargain":
            return draw(_bargain(room, round_))
        case "act":
            return draw(_act(room, round_))
        case "agent":
            return draw(_life(room, round_))
        case "spawn":
            name = draw(st.sampled_from(sorted(MANDATES)))
            return f"spawn {name}", _spawn(name, round_)
        case "expire":
            return "expire", lambda room: posting.expire_quotes(room, round_)
        case "deal":
            return draw(_deal(room, round_))
        case "speak":
            return draw(_speech(round_))
    return "close", lambda room: posting.close_room(room, CloseReason.REQUESTED, round_)


@st.composite
def _speech(draw: st.DrawFn, round_: int) -> tuple[str, Decide]:
    """What a person says, whether it may be said or not."""
    wallet = samples.wallet(draw(st.sampled_from(("p0", "p1"))))
    text = draw(st.sampled_from(("Hello!", "Hello!", "", " x", "x" * 281)))
    spoke = PersonSpoke(round_, text, user_id(wallet), wallet)
    return "speak", lambda room: posting.speak(room, spoke)


@st.composite
def _bargain(draw: st.DrawFn, room: Room, round_: int) -> tuple[str, Decide]:
    """What a sensible agent does: it takes a quote on what it trades, or makes one within its limits."""
    free = [a for a in room.agents.values() if a.may_act and room.records[a.id].last_round != round_]
    if not free:
        return draw(_act(room, round_))
    agent = draw(st.sampled_from(free))
    token = agent.item.token_id if agent.item is not None else None
    quotes = [q for q in room.quotes.values() if q.side is not agent.role and fits(room, agent, q)]
    quotes = [q for q in quotes if not rests(room, agent, q, round_)]
    takes: bool = draw(st.booleans())
    if quotes and takes:
        quote = draw(st.sampled_from(quotes))
        kind, price, refers_to, to = ActKind.ACCEPT, quote.price_usdc_micros, quote.id, quote.agent
        token = token or _item_of(room, quote.agent)
    else:
        kind, price, refers_to, to = ActKind.OFFER, draw(st.integers(60, 100)) * samples.USDC, None, None
    act = Act(
        agent=agent.id,
        kind=kind,
        reason=Reason("test"),
        price_usdc_micros=price,
        refers_to=refers_to,
        to=to,
        token_id=token,
    )
    return f"{kind} {agent.id}", lambda room: clear_act(room, act, round_)


@st.composite
def _life(draw: st.DrawFn, room: Room, round_: int) -> tuple[str, Decide]:
    name = draw(st.sampled_from(sorted(room.agents)))
    style = draw(st.sampled_from(Style))
    strategy = draw(st.sampled_from(StrategyName))
    decides: dict[str, Decide] = {
        "pause": lambda room: agents.pause(room.agents[name], round_),
        "resume": lambda room: agents.resume(room.agents[name], round_),
        "remove": lambda room: agents.leave(room.agents[name], LeaveReason.USER_REMOVED, round_),
        "reconfigure": lambda room: agents.reconfigure(room.agents[name], round_, strategy=strategy, style=style),
    }
    what = draw(st.sampled_from(sorted(decides)))
    return f"{what} {name}", decides[what]


@st.composite
def _deal(draw: st.DrawFn, room: Room, round_: int) -> tuple[str, Decide]:
    name = draw(st.sampled_from(sorted(room.deals)))
    decision = draw(st.sampled_from(Decision))
    reason = draw(st.sampled_from(FailReason))
    decides: dict[str, Decide] = {
        "verify": lambda room: deals.verify(room.deals[name], _words(room, name), round_),
        "certify": lambda room: deals.certify(room.deals[name], decision, (), round_),
        "submit": lambda room: deals.submit(room.deals[name], RECEIPT.tx_hash, round_),
        "complete": lambda room: deals.complete(room.deals[name], RECEIPT, round_),
        "fail": lambda room: deals.fail(room.deals[name], reason, "why", (room.deals[name].terms.buyer,), round_),
    }
    following = {
        DealState.LOCKED: "verify",
        DealState.VERIFYING: "certify",
        DealState.EXECUTING: "complete" if room.deals[name].tx_hash else "submit",
    }
    likely = following.get(room.deals[name].state, "verify")
    if room.deals[name].decision is Decision.REJECT:
        likely, reason = "fail", draw(st.sampled_from([FailReason.REJECTED, FailReason.REJECTED, reason]))
    what = draw(st.sampled_from([*sorted(decides), *[likely] * len(decides)]))
    return f"{what} {name}", decides[what]


def _words(room: Room, deal: str) -> tuple[Acceptance, Acceptance]:
    """Both agents' words, by the names of the agents alone: a room does not judge signatures."""
    terms = room.deals[deal].terms
    return Acceptance(terms.buyer, "", ""), Acceptance(terms.seller, "", "")


@st.composite
def _act(draw: st.DrawFn, room: Room, round_: int) -> tuple[str, Decide]:
    """An act, mostly a sensible one: a price near the limits, an accept of a standing quote at its price."""
    name = draw(st.sampled_from([*sorted(room.agents), "agent_nobody"]))
    kind = draw(st.sampled_from([ActKind.OFFER, ActKind.ACCEPT, ActKind.ACCEPT, *ActKind]))
    agent = room.agents.get(name)
    others = sorted(q.id for q in room.quotes.values() if agent is None or q.side is not agent.role)
    answered = room.quotes.get(draw(st.sampled_from([*others, "quote_none"])))
    price = draw(st.integers(60, 100)) * samples.USDC + draw(st.sampled_from((0, 0, 0, TICK, 1)))
    token = agent.item.token_id if agent is not None and agent.item is not None else None
    if token is None:
        token = draw(st.sampled_from([None, None, *sorted(room.items), "none"]))
    fields: dict[str, object] = {}
    match kind:
        case ActKind.OFFER:
            fields = {"price_usdc_micros": price, "token_id": token}
        case ActKind.COUNTER if answered:
            to = {"refers_to": answered.id, "to": answered.agent}
            fields = {"price_usdc_micros": price, "token_id": token, **to}
        case ActKind.ACCEPT if answered:
            item = _item_of(room, name) or _item_of(room, answered.agent)
            to = {"refers_to": answered.id, "to": answered.agent}
            fields = {"price_usdc_micros": answered.price_usdc_micros, "token_id": item, **to}
        case ActKind.REJECT if answered:
            fields = {"refers_to": answered.id, "to": answered.agent}
        case ActKind.COMMENT:
            fields = {"to": draw(st.sampled_from([None, *sorted(room.agents), "agent_nobody"]))}
        case ActKind.WITHDRAW:
            fields = {"refers_to": room.quote_of.get(name, "quote_none")}
    fields |= draw(st.sampled_from(({}, {}, {}, *_NONSENSE)))
    act = msgspec.convert({"agent": name, "kind": kind, "reason": {"rule": "test"}, **fields}, Act)
    return f"{kind} {name}", lambda room: clear_act(room, act, round_)


_NONSENSE: tuple[dict[str, object], ...] = (
    {"price_usdc_micros": None},
    {"price_usdc_micros": 70 * samples.USDC},
    {"refers_to": None},
    {"refers_to": "quote_none"},
    {"to": None},
    {"to": "agent_b0"},
    {"token_id": None},
    {"token_id": "1"},
)


def _item_of(room: Room, agent: str) -> str | None:
    item = room.agents[agent].item if agent in room.agents else None
    return None if item is None else item.token_id


def clear_act(room: Room, act: Act, round_: int) -> list[Event]:
    """Posts an act as a room does: checked, worded, with its lock or leave. Raises ActRefused."""
    agent = room.agents.get(act.agent)
    mandate = BY_HASH[agent.mandate_hash] if agent is not None else samples.BUYER.mandate
    posting.check_act(room, act, mandate, round_)
    posted = posting.posted(room, act, round_, text=f"{act.kind} {round_}", mood=Mood.CALM, wording="scripted")
    events: list[Event] = [posted]
    if act.kind is ActKind.ACCEPT:
        terms = posting.terms_of(room, act, VENUE, round_)
        held = locks.fold([*BUDGETS, *(posting.lock(d.terms, d.locked_round) for d in room.live_deals())])
        locks.check_lock(held, terms)
        events.append(posting.lock(terms, round_))
    if act.kind is ActKind.LEAVE:
        events += agents.leave(evolve(room, posted).agents[act.agent], LeaveReason.GAVE_UP, round_)
    return events
