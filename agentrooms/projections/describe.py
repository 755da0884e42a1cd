"""Says in one line what an event is about, for a person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agentrooms.domain.agent import AgentLeft, AgentPaused, AgentReconfigured, AgentResumed, AgentSpawned
from agentrooms.domain.deal import DealCompleted, DealFailed, DealLocked
from agentrooms.domain.eip712 import shortened
from agentrooms.domain.event import Event
from agentrooms.domain.money import format_usdc
from agentrooms.domain.room import ActPosted, PersonSpoke, QuoteExpired
from agentrooms.domain.terms import ActKind
from agentrooms.events.record import PLATFORM, Recorded

_VERBS = {
    ActKind.OFFER: "offers",
    ActKind.COUNTER: "counters with",
    ActKind.ACCEPT: "accepts",
    ActKind.REJECT: "rejects an offer",
    ActKind.COMMENT: "comments",
    ActKind.WITHDRAW: "withdraws",
    ActKind.LEAVE: "takes leave",
}


def names_of(events: Iterable[Recorded]) -> dict[str, str]:
    """Returns the names of all agents of a log by their ids."""
    return {r.event.agent: r.event.name for r in events if isinstance(r.event, AgentSpawned)}


def describe(recorded: Recorded, names: Mapping[str, str]) -> str:
    """Returns one line, such as "round 7: Bo accepts 76.00 USDC (to Eve)". `names` are those of the agents."""
    said = _said(recorded.event, recorded.type, names)
    return said if recorded.chain == PLATFORM else f"round {getattr(recorded.event, 'round', 0)}: {said}"


def _said(event: Event, type_: str, names: Mapping[str, str]) -> str:
    match event:
        case ActPosted():
            price = f" {format_usdc(event.price_usdc_micros)} USDC" if event.price_usdc_micros is not None else ""
            to = f" (to {names.get(event.to, event.to)})" if event.to is not None else ""
            return f'{names.get(event.agent, event.agent)} {_VERBS[event.act]}{price}{to}: "{event.text}"'
        case PersonSpoke():
            return f'{shortened(event.wallet)} says: "{event.text}"'
        case AgentSpawned():
            return f"{event.name} joins as a {event.strategy} {event.role}"
        case AgentReconfigured():
            return f"{names.get(event.agent, event.agent)} becomes {event.strategy}, {event.style}"
        case AgentLeft():
            return f"{names.get(event.agent, event.agent)} leaves ({event.reason})"
        case AgentPaused() | AgentResumed() | QuoteExpired():
            return f"{type_} of {names.get(event.agent, event.agent)}"
        case DealLocked():
            terms = event.terms
            buyer, seller = names.get(terms.buyer, terms.buyer), names.get(terms.seller, terms.seller)
            return (
                f"{buyer} buys {terms.item.name} from {seller} at {format_usdc(terms.price_usdc_micros)} USDC, locked"
            )
        case DealCompleted():
            return f"{event.deal} completes"
        case DealFailed():
            return f"{event.deal} fails ({event.reason})"
    return type_
