"""Plays a market round by round with the real trader, guard and fold; a pair that agrees leaves at once."""

from __future__ import annotations

from dataclasses import dataclass

from agentrooms.domain.act import Act
from agentrooms.domain.agent import AgentLeft
from agentrooms.domain.folding import fold
from agentrooms.domain.ids import draw, seed_bytes
from agentrooms.domain.mandate import Mandate
from agentrooms.domain.market import Market
from agentrooms.domain.posting import ActRefused, check_act
from agentrooms.domain.room import Room
from agentrooms.domain.terms import ActKind, LeaveReason, Role, StrategyName
from agentrooms.domain.trader import decide
from tests.strategies.build import mandate_of, post, room_of, spawned, usdc

SHORTEST, LONGEST = 150, 240  # rounds of a mandate


@dataclass(frozen=True)
class Agreed:
    """An accepted quote; the price in micro-USDC."""

    round: int
    buyer: str
    seller: str
    price: int


@dataclass(frozen=True)
class Trader:
    """Who plays, its strategy, and its prices in USDC. Names that start with b buy."""

    name: str
    strategy: StrategyName
    start: int
    limit: int

    @property
    def role(self) -> Role:
        return Role.BUYER if self.name.startswith("b") else Role.SELLER


def play(traders: list[Trader], seed: int) -> tuple[list[Agreed], list[tuple[int, Act]]]:
    """Returns what was agreed and all acts that took effect, with their rounds."""
    key = seed_bytes(seed)
    spawns = {t.name: spawned(t.name, t.role, strategy=t.strategy) for t in traders}
    room = room_of(list(spawns.values()))
    mandates = {t.name: _mandate(t, key, room) for t in traders}
    dice = {name: seed_bytes(f"{seed}/{name}") for name in spawns}
    agreed: list[Agreed] = []
    acts: list[tuple[int, Act]] = []
    for round_ in range(1, LONGEST + 1):
        market = Market(room)
        present = [a for a in room.agents.values() if a.present]
        decided = [decide(market, a, mandates[a.id], round_, dice[a.id]) for a in present]
        for act in sorted((a for a in decided if a is not None), key=lambda a: draw(key, "order", a.agent, round_)):
            try:
                check_act(room, act, mandates[act.agent], round_)
            except ActRefused:
                continue
            acts.append((round_, act))
            room = _done(room, act, round_, agreed)
    return agreed, acts


def _mandate(trader: Trader, key: bytes, room: Room) -> Mandate:
    from_room = room.agents[trader.name]
    rounds = SHORTEST + draw(key, "expiry", trader.name) % (LONGEST - SHORTEST)
    spawn = spawned(trader.name, from_room.role, strategy=trader.strategy)
    return mandate_of(spawn, start=usdc(trader.start), limit=usdc(trader.limit), rounds=rounds)


def _done(room: Room, act: Act, round_: int, agreed: list[Agreed]) -> Room:
    if act.kind is ActKind.ACCEPT:
        assert act.price_usdc_micros is not None
        assert act.to is not None
        pair = (act.agent, act.to) if room.agents[act.agent].role is Role.BUYER else (act.to, act.agent)
        agreed.append(Agreed(round_, *pair, act.price_usdc_micros))
    room = post(room, act, round_)
    if act.kind is ActKind.ACCEPT:
        return fold(room, [AgentLeft(party, LeaveReason.SOLD_NFT, round_) for party in pair])
    return fold(room, [AgentLeft(act.agent, LeaveReason.GAVE_UP, round_)]) if act.kind is ActKind.LEAVE else room
