"""What may happen in a room next: the guards on acts, and the events that follow from them. Pure."""

from __future__ import annotations

import msgspec

from agentrooms.domain import agent as agents_
from agentrooms.domain.act import Act
from agentrooms.domain.agent import Agent, AgentSpawned
from agentrooms.domain.assets import Item
from agentrooms.domain.canonical import is_normal
from agentrooms.domain.collection import Collection
from agentrooms.domain.deal import DealCompleted, DealFailed, DealLocked, Terms, deal_hash, deal_id
from agentrooms.domain.event import Event
from agentrooms.domain.mandate import Mandate, SignedMandate, breach, broken_rule, is_signed
from agentrooms.domain.market import fits, rests
from agentrooms.domain.money import is_price
from agentrooms.domain.record import MESSAGES_A_MINUTE, MINUTE_MS, may_speak, within_rate
from agentrooms.domain.room import (
    ActPosted,
    CloseReason,
    PersonSpoke,
    Quote,
    QuoteExpired,
    Room,
    RoomClosed,
    RoomOpened,
    RoomStatus,
)
from agentrooms.domain.site import Site
from agentrooms.domain.terms import ActKind, AgentStatus, LeaveReason, Mood, Role
from agentrooms.domain.user import user_id
from agentrooms.errors import Rejection

AGENTS_MAX = 1000  # in one room
TEXT_CHARACTERS_MAX = 280
PERSONS_MAX = 1000  # users who speak in one room within a minute


class Venue(msgspec.Struct, frozen=True):
    """Where and by which verifier set this room's deals settle, and how long a deal may take."""

    site: Site
    set_version: int
    deal_ms: int


_FIELDS = ("price_usdc_micros", "refers_to", "to", "token_id")
_REQUIRED: dict[ActKind, frozenset[str]] = {
    ActKind.OFFER: frozenset({"price_usdc_micros"}),
    ActKind.COUNTER: frozenset({"price_usdc_micros", "refers_to", "to"}),
    ActKind.ACCEPT: frozenset({"price_usdc_micros", "refers_to", "to", "token_id"}),
    ActKind.REJECT: frozenset({"refers_to", "to"}),
    ActKind.COMMENT: frozenset(),
    ActKind.WITHDRAW: frozenset({"refers_to"}),
    ActKind.LEAVE: frozenset(),
}
_ALLOWED: dict[ActKind, frozenset[str]] = {
    **_REQUIRED,
    ActKind.OFFER: _REQUIRED[ActKind.OFFER] | {"token_id"},  # a seller's own; a buyer's bid may be on anything
    ActKind.COUNTER: _REQUIRED[ActKind.COUNTER] | {"token_id"},
    ActKind.COMMENT: frozenset({"to"}),
}


class ActRefused(Rejection):
    """An act no longer holds when the room clears it; it is dropped and its agent decides anew."""


def open_room(room: Room, opened: RoomOpened, collection: Collection) -> list[Event]:
    """Opens a room on an active collection and its terms, once."""
    terms = (opened.collection, opened.comparable_by, opened.base_grade)
    if (collection.address, collection.comparable_by, collection.base_grade) != terms or not collection.active:
        raise Rejection(f"{opened.collection} is not an active collection on these terms", hint="register it first")
    if room.id:
        if room.id != opened.room or room.collection != opened.collection:
            raise Rejection(f"room {room.id} is open on {room.collection}")
        return []
    return [opened]


def close_room(room: Room, reason: CloseReason, round_: int) -> list[Event]:
    """Closes a room; all agents leave. Raises Rejection while a deal is live."""
    if room.status is RoomStatus.INACTIVE:
        return []
    live = room.live_deals()
    if live:
        raise Rejection(f"room {room.id} has {len(live)} live deals", hint="close it when they have ended")
    present = [a for a in room.agents.values() if a.present]
    left = [event for a in present for event in agents_.leave(a, LeaveReason.ROOM_CLOSED, round_)]
    return [*left, RoomClosed(reason, round_)]


def spawn(room: Room, event: AgentSpawned) -> list[Event]:
    """Lets an agent join. Raises Rejection when the room is closed or full, or the item is for sale already."""
    _require_open(room)
    agents_.check_spawn(event)
    known = room.agents.get(event.agent)
    if known is not None:
        if known.mandate_hash == event.mandate_hash:
            return []
        raise Rejection(f"agent {event.agent} is in the room with another mandate")
    check_unheld(room, event.agent, event.mandate_hash)
    present = [a for a in room.agents.values() if a.present]
    if len(present) >= AGENTS_MAX:
        raise Rejection(f"room {room.id} is full with {AGENTS_MAX} agents")
    if event.item is not None and any(a.item and a.item.token_id == event.item.token_id for a in present):
        raise Rejection(f"item {event.item.token_id} is for sale in room {room.id} already")
    return [event]


def speak(room: Room, event: PersonSpoke) -> list[Event]:
    """Lets a person say something. Raises Rejection in a closed room, for a text that is none, or too often."""
    _require_open(room)
    if not 0 < len(event.text) <= TEXT_CHARACTERS_MAX or not is_normal(event.text):
        raise Rejection(
            f"what is said has 1 to {TEXT_CHARACTERS_MAX} visible characters", hint="normalise texts where they enter"
        )
    if event.user != user_id(event.wallet):
        raise Rejection(f"{event.user} is not the user of wallet {event.wallet}")
    recent = room.persons.get(event.user, ())
    if not within_rate(recent, event.round, room.round_ms):
        raise Rejection(f"a user says {MESSAGES_A_MINUTE} messages a minute at most", hint="wait a little")
    active = sum((event.round - rounds[-1]) * room.round_ms < MINUTE_MS for rounds in room.persons.values())
    if not recent and active >= PERSONS_MAX:
        raise Rejection(f"{PERSONS_MAX} people speak in room {room.id} already", hint="wait a minute")
    return [event]


def check_unheld(room: Room, agent: str, mandate_hash: str) -> None:
    """Raises Rejection when another agent has the mandate, also one that has left: a mandate is for one fill."""
    for other in room.agents.values():
        if other.mandate_hash == mandate_hash and other.id != agent:
            raise Rejection(f"mandate {mandate_hash} is that of agent {other.id}", hint="sign another mandate")


def check_mandated(agent: AgentSpawned | Agent, signed: SignedMandate, collection: str, venue: Venue) -> None:
    """Raises Rejection unless the mandate can stand, is the owner's own and for this role, item or wants, and market.

    All may read why: no value of the mandate is in it.
    """
    mandate = signed.mandate
    claimed = (agent.role, agent.owner, agent.item, agent.wants, collection, venue.site.currency)
    given = (mandate.role, mandate.principal, mandate.item, mandate.wants, mandate.collection, mandate.currency)
    if given != claimed:
        raise Rejection(
            "the mandate is not for this agent", hint="role, wallet, item or wants, collection and currency must agree"
        )
    rule = broken_rule(mandate)
    if rule is not None:
        raise Rejection(f"the mandate cannot stand: {rule}", hint="correct the mandate and sign it again")
    if not is_signed(signed, venue.site.domain):
        raise Rejection(f"the mandate is not signed by {agent.owner}", hint="sign it with the wallet it names")


def check_act(room: Room, act: Act, mandate: Mandate, round_: int) -> None:
    """Raises ActRefused unless the act may be posted now: fields, room, rate, mandate, tick, quote still standing."""
    _check_fields(act)
    agent = room.agents.get(act.agent)
    if agent is None or not agent.present:
        raise ActRefused(f"agent {act.agent} is not in room {room.id}")
    if act.to is not None:
        other = room.agents.get(act.to)
        if other is None or other is agent or not other.present:
            raise ActRefused(f"agent {act.to} cannot be spoken to")
    record = room.records[agent.id]
    if record.last_round == round_:
        raise ActRefused(f"agent {agent.id} has acted in round {round_}")
    if act.kind is ActKind.LEAVE:
        if agent.deal is not None and agent.status is not AgentStatus.COMPLETED:
            raise ActRefused(f"agent {agent.id} has the live deal {agent.deal}")
        return
    if room.status is RoomStatus.INACTIVE or not agent.may_act:
        raise ActRefused(f"agent {agent.id} is {agent.status} in a room that is {room.status}")
    if not may_speak(record, round_, room.round_ms):
        raise ActRefused(f"agent {agent.id} has spoken too often")
    _check_kind(room, agent, act, mandate, round_)


def _check_fields(act: Act) -> None:
    """Checks what an act says against what acts of its kind say: a field too many could be taken for its word."""
    given = {name for name in _FIELDS if getattr(act, name) is not None}
    wrong = sorted((_REQUIRED[act.kind] - given) | (given - _ALLOWED[act.kind]))
    if wrong:
        raise ActRefused(f"an act {act.kind} needs or must not have: {', '.join(wrong)}")


def _check_kind(room: Room, agent: Agent, act: Act, mandate: Mandate, round_: int) -> None:
    if act.kind in {ActKind.OFFER, ActKind.COUNTER}:
        _check_price(room, agent, act, mandate, round_)
    if act.kind is ActKind.WITHDRAW and room.quote_of.get(agent.id) != act.refers_to:
        raise ActRefused(f"agent {agent.id} has no quote {act.refers_to} to withdraw")
    if act.kind in {ActKind.COUNTER, ActKind.ACCEPT, ActKind.REJECT}:
        quote = standing(room, agent, act)
        if act.kind is ActKind.ACCEPT:
            _check_accept(room, agent, quote, act, mandate, round_)


def _check_price(room: Room, agent: Agent, act: Act, mandate: Mandate, round_: int) -> None:
    price = act.price_usdc_micros
    if price is None or not is_price(price):
        raise ActRefused(f"a price is a positive number of whole ticks, was {price}")
    if agent.role is Role.SELLER:
        assert agent.item is not None
        if act.token_id != agent.item.token_id:
            raise ActRefused(f"agent {agent.id} sells item {agent.item.token_id}, not {act.token_id}")
        check_within(mandate, agent.item, price, room.at_ms(round_))
        return
    item = room.items.get(act.token_id) if act.token_id is not None else None
    if act.token_id is not None and item is None:
        raise ActRefused(f"item {act.token_id} is not for sale here")
    if item is not None:
        check_within(mandate, item, price, room.at_ms(round_))
    elif price > mandate.reservation_usdc_micros or room.at_ms(round_) >= mandate.expires_at_ms:
        raise ActRefused("the bid lies outside the mandate")


def check_within(mandate: Mandate, item: Item, price: int, at_ms: int) -> None:
    broken = breach(mandate, item, price, at_ms)
    if broken is not None:
        raise ActRefused(f"the act lies outside the mandate: {broken}")


def standing(room: Room, agent: Agent, act: Act) -> Quote:
    """Returns the other side's quote the act answers. Raises ActRefused when it stands no longer or is another's."""
    quote = room.quotes.get(act.refers_to or "")
    if quote is None or quote.side is agent.role:
        raise ActRefused(f"quote {act.refers_to} does not stand on the other side")
    if act.to != quote.agent:
        raise ActRefused(f"quote {quote.id} is that of agent {quote.agent}, not {act.to}")
    return quote


def _check_accept(room: Room, agent: Agent, quote: Quote, act: Act, mandate: Mandate, round_: int) -> None:
    if not fits(room, agent, quote) or rests(room, agent, quote, round_):
        raise ActRefused(f"quote {quote.id} is not for agent {agent.id} now")
    if act.price_usdc_micros != quote.price_usdc_micros:
        raise ActRefused(f"quote {quote.id} is {quote.price_usdc_micros} micro-USDC, not {act.price_usdc_micros}")
    item = _item(room, agent, quote)
    if act.token_id != item.token_id:
        raise ActRefused(f"quote {quote.id} is for item {item.token_id}, not {act.token_id}")
    check_within(mandate, item, quote.price_usdc_micros, room.at_ms(round_))


def posted(room: Room, act: Act, round_: int, *, text: str, mood: Mood, wording: str) -> ActPosted:
    """Returns the event of a checked act with its words; a priced act makes a quote of its own."""
    assert len(text) <= TEXT_CHARACTERS_MAX, f"a line has {len(text)} characters"
    quote = None
    if act.kind in {ActKind.OFFER, ActKind.COUNTER}:
        quote = quote_id(act.agent, round_)
    elif act.kind is ActKind.WITHDRAW:
        quote = room.quote_of[act.agent]
    return ActPosted(
        act=act.kind,
        agent=act.agent,
        mood=mood,
        price_usdc_micros=act.price_usdc_micros,
        quote=quote,
        refers_to=act.refers_to if act.kind is not ActKind.WITHDRAW else None,
        round=round_,
        text=text,
        to=act.to,
        token_id=act.token_id,
        wording=wording,
    )


def quote_id(agent: str, round_: int) -> str:
    """Returns the id of the one quote an agent can make in a round."""
    return f"quote_{agent.removeprefix('agent_')}_{round_}"


def terms_of(room: Room, act: Act, venue: Venue, round_: int) -> Terms:
    """Returns the terms an accepted quote stands for."""
    agent = room.agents[act.agent]
    quote = standing(room, agent, act)
    other = room.agents[quote.agent]
    buyer, seller = (agent, other) if agent.role is Role.BUYER else (other, agent)
    return Terms(
        buyer=buyer.id,
        buyer_mandate=buyer.mandate_hash,
        buyer_wallet=buyer.owner,
        chain_id=venue.site.chain_id,
        collection=room.collection,
        currency=venue.site.currency,
        deadline_ms=room.at_ms(round_) + venue.deal_ms,
        deal=deal_id(room.id, buyer.id, seller.id, round_),
        escrow=venue.site.escrow,
        item=_item(room, agent, quote),
        price_usdc_micros=quote.price_usdc_micros,
        quote=quote.id,
        room=room.id,
        seller=seller.id,
        seller_mandate=seller.mandate_hash,
        seller_wallet=seller.owner,
        set_version=venue.set_version,
    )


def lock(terms: Terms, round_: int) -> DealLocked:
    """Returns the lock of a deal on these terms."""
    return DealLocked(deal_hash(terms), round_, terms)


def expire_quotes(room: Room, round_: int) -> list[Event]:
    """Ends the quotes that have stood as long as quotes stand here."""
    ended = [q for q in room.quotes.values() if q.round + room.quote_rounds <= round_]
    return [QuoteExpired(q.agent, q.id, round_) for q in ended]


def depart(room: Room, ended: DealCompleted | DealFailed) -> list[Event]:
    """Lets the parties of an ended deal leave: both after a sale, those at fault after a failure."""
    terms = room.deals[ended.deal].terms
    if isinstance(ended, DealCompleted):
        reasons = {terms.buyer: LeaveReason.BOUGHT_NFT, terms.seller: LeaveReason.SOLD_NFT}
    else:
        reasons = dict.fromkeys(ended.at_fault, LeaveReason.DEAL_FAULT)
    return [e for agent, why in reasons.items() for e in agents_.leave(room.agents[agent], why, ended.round)]


def _item(room: Room, agent: Agent, quote: Quote) -> Item:
    seller = agent if agent.role is Role.SELLER else room.agents[quote.agent]
    assert seller.item is not None
    return seller.item


def _require_open(room: Room) -> None:
    if room.status is RoomStatus.INACTIVE:
        raise Rejection(f"room {room.id or '(unknown)'} is closed", hint="open another room")
