"""Builds rooms for strategies by folding real events, so no test can see a room that could not be.

The table's unit is whole USDC. `me` trades from 100 to 200: a buyer starts at 100 with limit 200, a
seller at 200 with limit 100, so `between` gives 100 + x/10 at x permille for a buyer, 200 - x/10 for a seller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentrooms.domain.act import Act
from agentrooms.domain.agent import AgentSpawned
from agentrooms.domain.assets import Item, WantKind, Wants
from agentrooms.domain.event import Event
from agentrooms.domain.folding import fold
from agentrooms.domain.ids import draw_below, seed_bytes
from agentrooms.domain.mandate import Mandate, check_mandate
from agentrooms.domain.market import SETTLEMENT_MS, Market, Situation, situation
from agentrooms.domain.money import USDC_MICROS
from agentrooms.domain.posting import posted, quote_id
from agentrooms.domain.room import ActPosted, Room, RoomOpened
from agentrooms.domain.strategies import STRATEGIES
from agentrooms.domain.terms import ActKind, Mood, Role, StrategyName, Style

ROUNDS = 1000  # an agent that joins in round 0 has as many permille behind it as rounds
ROUND_MS = 1_000
ME = "agent_me"
COMMON, RARE = "common", "rare"
ADDRESS = "0x" + "c" * 40


@dataclass(frozen=True)
class Said:
    """Something an agent of the room did. `price` in USDC; `answers` names whose standing quote it refers to."""

    round: int
    agent: str
    act: ActKind
    price: int | None = None
    answers: str | None = None
    to: str | None = None


def number(agent: str) -> int:
    """A number of its own for each name."""
    return int.from_bytes(agent.encode())


def usdc(price: int) -> int:
    return price * USDC_MICROS


def opened() -> RoomOpened:
    return RoomOpened(
        base_grade=COMMON,
        collection=ADDRESS,
        comparable_by="grade",
        name="floor",
        quote_rounds=ROUNDS,
        room="room_t",
        round_ms=ROUND_MS,
        started_at_ms=0,
    )


def spawned(
    agent: str,
    role: Role,
    *,
    strategy: StrategyName = StrategyName.PATIENT,
    grade: str = COMMON,
    wants: Wants | None = None,
) -> AgentSpawned:
    """A trader; the test's sellers each sell one item named after them."""
    item = Item(str(number(agent)), f"Punk {agent}", {"grade": grade}) if role is Role.SELLER else None
    return AgentSpawned(
        agent=agent,
        avatar="o",
        item=item,
        mandate_hash=f"{number(agent):064x}",
        name=agent,
        owner=f"0x{number(agent):040x}",
        role=role,
        round=0,
        strategy=strategy,
        style=Style.CASUAL,
        swarm=None,
        wants=(wants or Wants()) if role is Role.BUYER else None,
    )


def mandate_of(
    spawn: AgentSpawned, *, start: int, limit: int, maximum: int | None = None, rounds: int = ROUNDS
) -> Mandate:
    """A mandate in micro-USDC whose trading time is `rounds` from the room's start."""
    mandate = Mandate(
        role=spawn.role,
        principal=spawn.owner,
        collection=ADDRESS,
        currency=ADDRESS,
        item=spawn.item,
        wants=spawn.wants,
        reservation_usdc_micros=limit,
        start_usdc_micros=start,
        maximum_usdc_micros=(maximum or 2 * start) if spawn.role is Role.SELLER else None,
        expires_at_ms=rounds * ROUND_MS + SETTLEMENT_MS,
        session_key=ADDRESS,
        identity="0" * 64,
        salt="0" * 64,
    )
    check_mandate(mandate)
    return mandate


def said(room: Room, what: Said) -> Event:
    """The event of an act, with the ids a room would give it."""
    token = room.agents[what.agent].item
    own = room.quote_of.get(what.agent)
    priced = what.act in {ActKind.OFFER, ActKind.COUNTER}
    return ActPosted(
        act=what.act,
        agent=what.agent,
        mood=Mood.CALM,
        price_usdc_micros=None if what.price is None else usdc(what.price),
        quote=quote_id(what.agent, what.round) if priced else own if what.act is ActKind.WITHDRAW else None,
        refers_to=None if what.answers is None else room.quote_of[what.answers],
        round=what.round,
        text="",
        to=what.answers or what.to,
        token_id=token.token_id if token is not None else None,
        wording="scripted",
    )


def talk(room: Room, lines: Iterable[Said]) -> Room:
    """The room after the lines, in order."""
    for line in lines:
        room = fold(room, [said(room, line)])
    return room


def room_of(spawns: Sequence[AgentSpawned], lines: Iterable[Said] = ()) -> Room:
    """A room in which the agents joined in round 0 and then spoke."""
    return talk(fold(Room(), [opened(), *spawns]), lines)


def key_for(dice: dict[str, bool], round_: int) -> bytes:
    """A dice key under which each named draw of the round hits (is zero) or misses, whatever its bound up to 8."""
    for n in range(100_000):
        key = seed_bytes(n)
        if all(
            (draw_below(key, 24, purpose, round_=round_) == 0) if hits else _misses(key, purpose, round_)
            for purpose, hits in dice.items()
        ):
            return key
    raise AssertionError(f"no dice fall as {dice}")


def _misses(key: bytes, purpose: str, round_: int) -> bool:
    return all(draw_below(key, bound, purpose, round_=round_) for bound in (2, 3, 4, 6, 8))


def scene(
    strategy: StrategyName,
    role: Role,
    at: int,
    lines: Sequence[Said] = (),
    *,
    dice: dict[str, bool] | None = None,
    maximum: int | None = None,
) -> Situation:
    """`me` at a round, after the lines. Agents whose names start with b buy and with s sell."""
    me = spawned(ME, role, strategy=strategy)
    names = sorted({line.agent for line in lines} - {ME})
    others = [spawned(name, Role.BUYER if name.startswith("b") else Role.SELLER) for name in names]
    room = room_of([me, *others], lines)
    start, limit = (100, 200) if role is Role.BUYER else (200, 100)
    top = usdc(maximum) if maximum is not None else None
    mandate = mandate_of(me, start=usdc(start), limit=usdc(limit), maximum=top)
    key = key_for(dice or {}, at)
    return situation(Market(room), room.agents[ME], mandate, at, key)


def act_of(s: Situation) -> Act | None:
    return STRATEGIES[s.me.strategy].decide(s)


def post(room: Room, act: Act, round_: int) -> Room:
    """The room after it posted an act of a strategy."""
    return fold(room, [posted(room, act, round_, text="", mood=Mood.CALM, wording="scripted")])


def wants_traits(grade: str) -> Wants:
    return Wants(WantKind.TRAITS, traits={"grade": grade})
