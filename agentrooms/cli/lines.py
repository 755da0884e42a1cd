"""What happens in a room, as lines to read: from events to plain values, and from those to rich text."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec
from rich.text import Text

from agentrooms.cli.console import clean, usdc
from agentrooms.domain.agent import Agent, AgentLeft, AgentPaused, AgentReconfigured, AgentResumed, AgentSpawned
from agentrooms.domain.assets import Item, WantKind
from agentrooms.domain.deal import (
    Deal,
    DealCertified,
    DealCompleted,
    DealFailed,
    DealLocked,
    Decision,
    EscrowSubmitted,
    VerifierAccused,
)
from agentrooms.domain.eip712 import shortened
from agentrooms.domain.event import Event
from agentrooms.domain.explain import explain, why_failed
from agentrooms.domain.folding import evolve
from agentrooms.domain.progress import Stage
from agentrooms.domain.room import ActPosted, PersonSpoke, QuoteExpired, Room, RoomClosed
from agentrooms.domain.terms import ActKind, Role

ROLE_STYLES = {Role.BUYER: "cyan", Role.SELLER: "magenta"}
PERSON_AVATAR = "👤"


class Kind(StrEnum):
    """What a line tells."""

    SAID = "said"
    CAME = "came"
    LEFT = "left"
    DEAL = "deal"
    ENDED = "ended"
    NOTE = "note"
    PROGRESS = "progress"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a room's life. `agent` is empty when none did it, `name` too when nobody did; price in micro-USDC."""

    round: int
    kind: Kind
    text: str
    agent: str = ""
    name: str = ""
    avatar: str = ""
    role: Role | None = None
    act: ActKind | None = None
    mood: str = ""
    price_usdc_micros: int | None = None


class Reader:
    """Folds a room event by event and tells each one that people care about."""

    def __init__(self, room: Room) -> None:
        self.room = room

    def read(self, event: Event) -> Line | None:
        """Takes one event into account and returns its line."""
        self.room = evolve(self.room, event)
        return line_of(self.room, event)


def read_all(events: Iterable[Event], room: Room | None = None) -> list[Line]:
    """Returns the lines of a room's events."""
    reader = Reader(room if room is not None else Room())
    return [line for event in events if (line := reader.read(event)) is not None]


def line_of(room: Room, event: Event) -> Line | None:
    """Returns what an event reads as in the room after it, None for what only machines care about."""
    match event:
        case ActPosted():
            return _said(room.agents[event.agent], event)
        case PersonSpoke():
            name = shortened(event.wallet)
            return Line(round=event.round, kind=Kind.SAID, text=event.text, name=name, avatar=PERSON_AVATAR)
        case AgentSpawned():
            return _of(room.agents[event.agent], Kind.CAME, event.round, f"joins and {_purpose(room, event)}")
        case AgentLeft():
            return _of(room.agents[event.agent], Kind.LEFT, event.round, f"leaves: {words(event.reason)}")
        case AgentPaused() | AgentResumed():
            what = "is paused" if isinstance(event, AgentPaused) else "speaks again"
            return _of(room.agents[event.agent], Kind.NOTE, event.round, what)
        case AgentReconfigured():
            what = f"now trades {event.strategy}, style {event.style}"
            return _of(room.agents[event.agent], Kind.NOTE, event.round, what)
        case QuoteExpired():
            return _of(room.agents[event.agent], Kind.NOTE, event.round, "lets its quote expire")
        case DealLocked() | DealCertified() | EscrowSubmitted() | DealCompleted() | DealFailed():
            return _deal(room, event)
        case VerifierAccused():
            found = event.evidence
            return Line(round=event.round, kind=Kind.ENDED, text=f"! {found.verifier} is faulty: {explain(found.kind)}")
        case RoomClosed():
            return Line(round=event.round, kind=Kind.NOTE, text=f"the room closes: {words(event.reason)}")
    return None


def progress_line(deal: Deal, stage: Stage, percent: int) -> Line:
    """Returns that a deal's settlement has come to a stage."""
    text = f"… {deal.terms.item.name}: {stage}, {percent} %"
    return Line(round=deal.locked_round, kind=Kind.PROGRESS, text=text)


def rich_line(line: Line, *, rounds: bool = False) -> Text:
    """Returns the line for a terminal: name in its role's colour, price bold, mood beside it."""
    text = Text(overflow="fold")
    if line.kind is Kind.PROGRESS:  # of no round: it is not in the log
        return text.append(f"{'      ' if rounds else ''}{clean(line.text)}", style="dim green")
    if rounds:
        text.append(f"{line.round:>4}  ", style="dim")
    if line.kind in {Kind.DEAL, Kind.ENDED}:
        text.append(clean(line.text), style="bold green" if line.kind is Kind.DEAL else "bold red")
        return text
    if line.name:
        text.append(clean(f"{line.avatar} "))
        text.append(clean(line.name), style=f"bold {ROLE_STYLES[line.role]}" if line.role else "bold")
    if line.kind is not Kind.SAID:
        text.append(clean(f" {line.text}" if line.name else line.text), style="dim")
        return text
    if line.mood not in {"", "calm"}:
        text.append(f" ({line.mood})", style="italic dim")
    text.append(f": {clean(line.text)}")
    if line.price_usdc_micros is not None:
        price = usdc(line.price_usdc_micros)
        text.highlight_words([price, price.removesuffix(".00")], style="bold yellow")
    return text


def words(reason: str) -> str:
    """Returns a machine's word as people write it."""
    return {"sold_nft": "sold", "bought_nft": "bought", "timeout": "out of time"}.get(reason, reason.replace("_", " "))


def item_name(item: Item, comparable_by: str = "") -> str:
    """Returns an item with its grade."""
    grade = item.grade(comparable_by)
    return f"{item.name} ({grade})" if grade else item.name


def _said(agent: Agent, event: ActPosted) -> Line:
    line = _of(agent, Kind.SAID, event.round, event.text)
    return msgspec.structs.replace(line, act=event.act, mood=event.mood, price_usdc_micros=event.price_usdc_micros)


def _of(agent: Agent, kind: Kind, round_: int, text: str) -> Line:
    return Line(
        round=round_, kind=kind, text=text, agent=agent.id, name=agent.name, avatar=agent.avatar, role=agent.role
    )


def _purpose(room: Room, event: AgentSpawned) -> str:
    if event.item is not None:
        return f"sells {item_name(event.item, room.comparable_by)}"
    wants = event.wants
    if wants is None or wants.kind is WantKind.ANY:
        return "wants any item"
    if wants.kind is WantKind.ITEMS:
        return f"wants {' or '.join(f'#{token}' for token in wants.token_ids)}"
    return f"wants {' '.join(wants.traits.values())} items"


def _deal(room: Room, event: DealLocked | DealCertified | EscrowSubmitted | DealCompleted | DealFailed) -> Line | None:
    deal = room.deals[event.terms.deal if isinstance(event, DealLocked) else event.deal]
    terms = deal.terms
    buyer, seller, price = room.agents[terms.buyer].name, room.agents[terms.seller].name, terms.price_usdc_micros
    kind = Kind.DEAL
    match event:
        case DealLocked():
            text = f"● locked: {buyer} buys {terms.item.name} from {seller} for {usdc(price)}"
        case DealCertified():
            agreed = sum(vote.decision is event.decision for vote in event.votes)
            verdict = "approve" if event.decision is Decision.APPROVE else "reject"
            text = f"●● verified: {agreed} of {len(event.votes)} verifiers {verdict} {terms.item.name}"
            kind = Kind.DEAL if event.decision is Decision.APPROVE else Kind.ENDED
        case EscrowSubmitted():
            return None
        case DealCompleted():
            text = f"✔ done: {terms.item.name} is {buyer}'s, {usdc(price)} USDC are {seller}'s"
        case DealFailed():
            why = why_failed(event.reason, event.detail)
            kind, text = Kind.ENDED, f"✘ failed: {terms.item.name} for {usdc(price)}: {why}"
    return Line(round=event.round, kind=kind, text=text, price_usdc_micros=price)
