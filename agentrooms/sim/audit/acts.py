"""What agents say: standing quotes, one act a round, the message rate, and silence where silence is due."""

from __future__ import annotations

from typing import ClassVar

from agentrooms.domain.agent import AgentSpawned
from agentrooms.domain.canonical import is_normal
from agentrooms.domain.room import ActPosted, ActsExplained, PersonSpoke, QuoteExpired, RoomClosed
from agentrooms.domain.terms import ActKind, Role
from agentrooms.domain.user import user_id
from agentrooms.events.record import PLATFORM
from agentrooms.sim.audit.floor import PRICED, Floor, Quote, Seat
from agentrooms.sim.audit.limits import wanted
from agentrooms.sim.audit.source import HIDDEN, Source
from agentrooms.sim.audit.walk import Handler, Line, Rule

MESSAGES_A_MINUTE = 10
MINUTE_MS = 60_000
TEXT_CHARACTERS_MAX = 280
_ANSWERS = (ActKind.COUNTER, ActKind.ACCEPT, ActKind.REJECT)
_FIELDS = ("price_usdc_micros", "quote", "refers_to", "to", "token_id")
_MAY_SAY = {
    ActKind.OFFER: {"price_usdc_micros", "quote", "token_id"},
    ActKind.COUNTER: set(_FIELDS),
    ActKind.ACCEPT: {"price_usdc_micros", "refers_to", "to", "token_id"},
    ActKind.REJECT: {"refers_to", "to"},
    ActKind.COMMENT: {"to"},
    ActKind.WITHDRAW: {"quote"},
    ActKind.LEAVE: set(),
}


class Acts(Rule):
    """The rules of speech, from the auditor's own floor."""

    name: ClassVar[str] = "acts"
    compared: ClassVar[str] = "acts answer standing quotes at their price, one an agent a round, ten a minute"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._acted: dict[str, tuple[int, int, set[str]]] = {}
        self._cut = _last_round(source) if source.live else None

    def handlers(self) -> dict[str, Handler]:
        """Everything agents live through and say."""
        return {
            "act.posted": self._posted,
            "acts.explained": self._explained,
            HIDDEN: self._hidden,
            "person.spoke": self._person_spoke,
            "quote.expired": self._expired,
            "agent.spawned": self._spawned,
            "agent.left": self._left,
            "agent.paused": self._changed,
            "agent.resumed": self._resumed,
            "agent.reconfigured": self._changed,
            "room.closed": self._closed,
        }

    def finish(self) -> None:
        """No round's acts are without their explanation, unless a live room's archive ends among them."""
        for number, round_, _agents in self._acted.values():
            if round_ == self._cut:
                continue
            self.found.wrong(number, f"the acts of round {round_} are not explained")

    def _posted(self, line: Line) -> None:
        event: ActPosted = line.event
        self.found.count += 1
        self._note_actor(line, event)
        seat = line.floor.seats.get(event.agent)
        wrong = _stranger(line.floor, event) if seat is None else self._wrong(line, event, seat)
        if wrong:
            self.found.wrong(line.number, wrong)

    def _wrong(self, line: Line, event: ActPosted, seat: Seat) -> str:
        """Returns what is wrong with an act, "" for nothing."""
        hindrance = seat.hindrance()
        if line.floor.closed:
            hindrance = "is in a closed room"
        if hindrance and not (event.act is ActKind.LEAVE and hindrance == "is paused"):
            return f"agent {event.agent} acts though it {hindrance}"
        if seat.last_round >= event.round:
            return f"agent {event.agent} acts twice in round {event.round}"
        if event.act is not ActKind.LEAVE and (
            wrong := _too_often(line.floor, f"agent {event.agent}", seat.spoken, event.round)
        ):
            return wrong
        if not 0 < len(event.text) <= TEXT_CHARACTERS_MAX:
            return f"the text has {len(event.text)} characters, not 1 to {TEXT_CHARACTERS_MAX}"
        other = line.floor.seats.get(event.to) if event.to is not None else None
        if event.to is not None and (other is None or other is seat or other.left):
            return f"agent {event.agent} speaks to {event.to}, who is not there"
        more = [name for name in _FIELDS if getattr(event, name) is not None and name not in _MAY_SAY[event.act]]
        if more:
            return f"{event.act} is no act with {more[0]} ({getattr(event, more[0])})"
        return self._wrong_quote(line.floor, event, seat)

    def _wrong_quote(self, floor: Floor, event: ActPosted, seat: Seat) -> str:
        """Checks the quote an act makes, takes back or answers."""
        if event.act in PRICED:
            own = f"quote_{event.agent.removeprefix('agent_')}_{event.round}"
            if event.quote != own or event.price_usdc_micros is None:
                return f"the {event.act} makes quote {event.quote} at {event.price_usdc_micros}, not {own} at a price"
            if seat.spawned.item is not None and seat.spawned.item.token_id != event.token_id:
                return f"agent {event.agent} offers item {event.token_id}, it sells {seat.spawned.item.token_id}"
        elif event.act is ActKind.WITHDRAW and (event.quote is None or event.quote != seat.quote):
            return f"agent {event.agent} withdraws {event.quote}, what stands is {seat.quote}"
        if event.act not in _ANSWERS:
            return ""
        quote = floor.quotes.get(event.refers_to or "")
        if quote is None:
            return f"the {event.act} answers quote {event.refers_to}, which does not stand"
        return _wrong_answer(floor, event, seat, quote)

    def _note_actor(self, line: Line, event: ActPosted) -> None:
        chain = line.recorded.chain
        pending = self._acted.get(chain)
        if pending is not None and pending[1] == event.round:
            pending[2].add(event.agent)
            return
        if pending is not None:
            self.found.wrong(pending[0], f"the acts of round {pending[1]} are not explained")
        self._acted[chain] = (line.number, event.round, {event.agent})

    def _person_spoke(self, line: Line) -> None:
        event: PersonSpoke = line.event
        rounds = line.floor.persons.get(event.user, [])
        if event.user != user_id(event.wallet):
            self.found.wrong(line.number, f"{event.user} is not the user of wallet {event.wallet}")
        elif line.floor.closed:
            self.found.wrong(line.number, f"{event.user} speaks in a closed room")
        elif not 0 < len(event.text) <= TEXT_CHARACTERS_MAX or not is_normal(event.text):
            self.found.wrong(line.number, f"what is said is not 1 to {TEXT_CHARACTERS_MAX} visible characters")
        elif wrong := _too_often(line.floor, event.user, rounds, event.round):
            self.found.wrong(line.number, wrong)

    def _explained(self, line: Line) -> None:
        event: ActsExplained = line.event
        _number, round_, agents = self._acted.pop(line.recorded.chain, (0, -1, set()))
        if round_ != event.round or agents != set(event.reasons):
            named, acted = ", ".join(sorted(event.reasons)), ", ".join(sorted(agents))
            self.found.wrong(line.number, f"it explains acts of {named}; in round {round_} acted {acted or 'nobody'}")

    def _hidden(self, line: Line) -> None:
        if self._acted.pop(line.recorded.chain, None) is None:
            self.found.wrong(line.number, "the line is redacted, but no explanation of acts is due here")

    def _expired(self, line: Line) -> None:
        event: QuoteExpired = line.event
        quote = line.floor.quotes.get(event.quote)
        if quote is None or quote.agent != event.agent:
            self.found.wrong(line.number, f"quote {event.quote} of agent {event.agent} expires but does not stand")
        elif event.round < quote.round + _quote_rounds(line.floor):
            self.found.wrong(line.number, f"quote {event.quote} of round {quote.round} expires in round {event.round}")

    def _spawned(self, line: Line) -> None:
        event: AgentSpawned = line.event
        if event.agent in line.floor.seats:
            self.found.wrong(line.number, f"agent {event.agent} is spawned a second time")
        if (event.item is None) is (event.role is Role.SELLER) or (event.wants is None) is (event.role is Role.BUYER):
            self.found.wrong(line.number, f"agent {event.agent} is a {event.role} whose item or wants do not fit")
        sold = event.item.token_id if event.item is not None else None
        for name, seat in line.floor.seats.items():
            if sold is not None and not seat.left and seat.spawned.item and seat.spawned.item.token_id == sold:
                self.found.wrong(line.number, f"item {sold} is for sale by agent {name} already")

    def _changed(self, line: Line) -> None:
        seat = line.floor.seats.get(line.event.agent)
        hindrance = "was never spawned" if seat is None else seat.hindrance()
        if hindrance and hindrance != "is paused":
            self.found.wrong(line.number, f"agent {line.event.agent} is changed though it {hindrance}")

    def _resumed(self, line: Line) -> None:
        seat = line.floor.seats.get(line.event.agent)
        if seat is None or seat.left or not seat.paused:
            self.found.wrong(line.number, f"agent {line.event.agent} is resumed but was not paused")

    def _left(self, line: Line) -> None:
        seat = line.floor.seats.get(line.event.agent)
        if seat is None or seat.left:
            self.found.wrong(line.number, f"agent {line.event.agent} leaves but is not there")
        elif seat.deal is not None:
            self.found.wrong(line.number, f"agent {line.event.agent} leaves though it {seat.hindrance()}")

    def _closed(self, line: Line) -> None:
        event: RoomClosed = line.event
        present = sorted(name for name, seat in line.floor.seats.items() if not seat.left)
        if present or line.floor.closed:
            self.found.wrong(
                line.number, f"the room closes ({event.reason}) with {len(present)} agents in it, or again"
            )


def _last_round(source: Source) -> int | None:
    """Returns the round in which a live room's archive may have been cut."""
    rounds = (getattr(r.event, "round", None) for _number, r in reversed(source.log.events) if r.chain != PLATFORM)
    return next(rounds, None)


def _stranger(_floor: Floor, event: ActPosted) -> str:
    return f"agent {event.agent} acts but was never spawned here"


def _too_often(floor: Floor, who: str, spoken: list[int], round_: int) -> str:
    if len(spoken) < MESSAGES_A_MINUTE or floor.opened is None:
        return ""
    first = spoken[-MESSAGES_A_MINUTE]
    if (round_ - first) * floor.opened.round_ms >= MINUTE_MS:
        return ""
    return f"{who} says its {MESSAGES_A_MINUTE + 1}th message within a minute (since round {first})"


def _wrong_answer(floor: Floor, event: ActPosted, seat: Seat, quote: Quote) -> str:
    """Checks an answer against the standing quote it refers to."""
    if quote.side is seat.spawned.role:
        return f"the {event.act} answers quote {quote.id} of its own side"
    if event.round >= quote.round + _quote_rounds(floor):
        return f"the {event.act} answers quote {quote.id} of round {quote.round}, which stood too long"
    if event.to != quote.agent:
        return f"the {event.act} is said to {event.to}, quote {quote.id} is of agent {quote.agent}"
    if event.act is not ActKind.ACCEPT:
        return ""
    if event.price_usdc_micros != quote.price_usdc_micros:
        return f"quote {quote.id} is {quote.price_usdc_micros} micro-USDC, accepted at {event.price_usdc_micros}"
    buyer, seller = (event.agent, quote.agent) if seat.spawned.role is Role.BUYER else (quote.agent, event.agent)
    item, wants = floor.item_of(seller), floor.seats[buyer].spawned.wants
    if item is None or wants is None or not wanted(wants, item):
        return f"quote {quote.id} is not about what agent {event.agent} trades"
    named = quote.token_id if quote.token_id is not None else item.token_id
    if named != item.token_id:
        return f"quote {quote.id} is for item {named}, not {item.token_id}"
    return "" if event.token_id == named else f"the accept names item {event.token_id}, the quote is for {named}"


def _quote_rounds(floor: Floor) -> int:
    return floor.opened.quote_rounds if floor.opened is not None else 0
