"""Alternating-offers negotiations of one buyer and one seller, with the full event log in memory.

The same strategies, guards, words, events and hash chain as in a room, without rounds between turns
(Rubinstein 1982). For tournaments of strategies and for measuring the core.
"""

from __future__ import annotations

import msgspec

from agentrooms.actors.agent_host import dice_key
from agentrooms.actors.wording import scripted_narrator, word
from agentrooms.domain import posting
from agentrooms.domain.agent import AgentSpawned
from agentrooms.domain.assets import Item, Wants
from agentrooms.domain.event import Event
from agentrooms.domain.folding import Draft
from agentrooms.domain.ids import derive_id, draw_below, seed_bytes
from agentrooms.domain.mandate import Mandate, mandate_hash
from agentrooms.domain.market import SETTLEMENT_MS, Market, situation
from agentrooms.domain.money import USDC_MICROS, to_tick
from agentrooms.domain.posting import ActRefused, Venue
from agentrooms.domain.room import Room, RoomOpened
from agentrooms.domain.site import Site
from agentrooms.domain.strategies import STRATEGIES
from agentrooms.domain.terms import ActKind, Role, StrategyName
from agentrooms.events.journal import Entry, Journal
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.store import Conflict
from agentrooms.events.transact import Contended
from agentrooms.sim.swarm import STYLES

ROUND_MS = 6_000  # one message a turn is within the rate
NOWHERE = "0x" + "0" * 40
VENUE = Venue(Site(0, NOWHERE, NOWHERE, NOWHERE), 0, 60_000)


class Party(msgspec.Struct, frozen=True):
    """One side: its strategy, its limit and its first price. Micro-USDC."""

    strategy: StrategyName
    limit_usdc_micros: int
    start_usdc_micros: int


class Result(msgspec.Struct, frozen=True):
    """How a negotiation ended; `price_usdc_micros` is None without agreement."""

    price_usdc_micros: int | None
    turns: int
    events: int


def negotiate(buyer: Party, seller: Party, *, seed: int, turns: int) -> Result:
    """Lets the two take turns, the buyer first, until one accepts or the turns are over."""
    table = _Table(buyer, seller, seed, turns)
    for turn in range(1, turns + 1):
        price = table.turn(turn)
        if price is not None:
            return Result(price, turn, table.store.head())
    return Result(None, turns, table.store.head())


class _Table:
    """One negotiation under way."""

    def __init__(self, buyer: Party, seller: Party, seed: int, turns: int) -> None:
        self.store = MemoryEventStore()
        self._key = seed_bytes(seed)
        self._room_id = derive_id("room", "bilateral", seed)
        self._journal = Journal(self.store, self._room_id)
        self._draft = Draft(Room())
        item = Item("1", "Item One", {})
        ends_ms = turns * ROUND_MS + SETTLEMENT_MS + 1
        self._sides = [
            self._side(Role.BUYER, buyer, None, Wants(), ends_ms),
            self._side(Role.SELLER, seller, item, None, ends_ms),
        ]
        opened = RoomOpened(
            base_grade="",
            collection=NOWHERE,
            comparable_by="",
            name="bilateral",
            quote_rounds=turns + 1,
            room=self._room_id,
            round_ms=ROUND_MS,
            started_at_ms=0,
        )
        self._post("open", 0, opened, *(spawned for spawned, _mandate, _key in self._sides))

    def turn(self, number: int) -> int | None:
        """Lets the side whose turn it is decide and post; returns the price it accepts."""
        spawned, mandate, key = self._sides[(number - 1) % 2]
        room = self._draft.room
        moment = situation(Market(room), room.agents[spawned.agent], mandate, number, key)
        act = STRATEGIES[spawned.strategy].decide(moment)
        if act is None:
            return None
        try:
            posting.check_act(room, act, mandate, number)
        except ActRefused:
            return None
        text, mood, wording = word(scripted_narrator(), self._key, room, act, mandate, number, self._draft.lines)
        events = [posting.posted(room, act, number, text=text, mood=mood, wording=wording)]
        if act.kind is not ActKind.ACCEPT:
            self._post(f"turn:{number}", number, *events)
            return None
        self._post(f"turn:{number}", number, *events, posting.lock(posting.terms_of(room, act, VENUE, number), number))
        return act.price_usdc_micros

    def _post(self, cmd: str, number: int, *events: Event) -> None:
        outcome = self._journal.append([Entry(event) for event in events], at_ms=number * ROUND_MS, cmd=cmd)
        if isinstance(outcome, Conflict):
            raise Contended(f"{cmd} of {self._room_id} met a conflict", hint="a negotiation's log is its own")
        for event in events:
            self._draft.apply(event)

    def _side(
        self, role: Role, party: Party, item: Item | None, wants: Wants | None, ends_ms: int
    ) -> tuple[AgentSpawned, Mandate, bytes]:
        agent = derive_id("agent", self._room_id, role)
        mandate = Mandate(
            role=role,
            principal=NOWHERE,
            collection=NOWHERE,
            currency=NOWHERE,
            item=item,
            wants=wants,
            reservation_usdc_micros=party.limit_usdc_micros,
            start_usdc_micros=party.start_usdc_micros,
            maximum_usdc_micros=party.start_usdc_micros if role is Role.SELLER else None,
            expires_at_ms=ends_ms,
            session_key=NOWHERE,
            identity="0" * 64,
            salt="0" * 64,
        )
        spawned = AgentSpawned(
            agent=agent,
            avatar="",
            item=item,
            mandate_hash=mandate_hash(mandate),
            name=role.capitalize(),
            owner=NOWHERE,
            role=role,
            round=0,
            strategy=party.strategy,
            style=STYLES[draw_below(self._key, len(STYLES), "style", agent)],
            swarm=None,
            wants=wants,
        )
        return spawned, mandate, dice_key(self._key, agent)


def parties(seed: int, pair: tuple[StrategyName, StrategyName], *, agreeable: bool) -> tuple[Party, Party]:
    """Returns a buyer and a seller on random limits that overlap, or do not, by up to a third."""
    key = seed_bytes(seed)
    middle = (1_000 + draw_below(key, 9_000, "middle")) * USDC_MICROS
    overlap = middle * (50 + draw_below(key, 300, "overlap")) // 1_000
    sign = 1 if agreeable else -1
    high, low = to_tick(middle + sign * overlap // 2), to_tick(middle - sign * overlap // 2)
    return Party(pair[0], high, to_tick(high // 2)), Party(pair[1], low, to_tick(low * 3 // 2))
