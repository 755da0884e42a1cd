"""What one agent may learn of another: nothing but what is said in the room."""

from __future__ import annotations

from itertools import pairwise, zip_longest

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrooms.domain.ids import draw
from agentrooms.domain.mandate import mandate_hash
from agentrooms.domain.money import to_tick
from agentrooms.domain.room import ActPosted
from agentrooms.domain.terms import Role
from agentrooms.events.record import decode_line
from agentrooms.sim.archive import lines_of
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import custom
from agentrooms.sim.swarm import Recruit, Recruiter

SEEDS = st.integers(min_value=0, max_value=10_000)


def acts_of(engine: Engine) -> list[ActPosted]:
    engine.run()
    events = (decode_line(line).event for line in lines_of(engine))
    return [event for event in events if isinstance(event, ActPosted)]


def first_difference(a: list[ActPosted], b: list[ActPosted]) -> tuple[ActPosted | None, ActPosted | None] | None:
    return next(((x, y) for x, y in zip_longest(a, b) if x != y), None)


@settings(max_examples=12)
@given(seed=SEEDS, buyers=st.integers(2, 6), sellers=st.integers(2, 6), more_buyers=st.booleans())
def test_an_agent_more_shifts_no_act_until_it_speaks(seed: int, buyers: int, sellers: int, more_buyers: bool) -> None:
    """All acts are equal, words and order included, up to the newcomer's first act."""
    plain = Engine(custom(seed, buyers, sellers))
    larger = Engine(custom(seed, buyers + more_buyers, sellers + (not more_buyers)))
    before, after = acts_of(plain), acts_of(larger)
    (newcomer,) = set(larger.room.agents) - set(plain.room.agents)

    difference = first_difference(before, after)

    if difference is not None:
        assert first_mover(larger, difference) == newcomer


@settings(max_examples=25)
@given(seed=SEEDS, chosen=st.integers(0, 7), permille=st.integers(500, 1_500))
def test_a_hidden_limit_moves_only_its_own_agent(seed: int, chosen: int, permille: int) -> None:
    """With one agent's limit changed, the first act that differs is that agent's own."""
    changed: list[str] = []

    def change(recruits: list[Recruit], recruiter: Recruiter) -> list[Recruit]:
        recruit = sorted(recruits, key=lambda r: r.spawned.agent)[chosen]
        changed.append(recruit.spawned.agent)
        return [_with_limit(r, recruiter, permille) if r is recruit else r for r in recruits]

    plain = Engine(custom(seed, 4, 4))
    before, after = acts_of(plain), acts_of(Engine(custom(seed, 4, 4), change=change))
    difference = first_difference(before, after)

    if difference is not None:
        assert first_mover(plain, difference) == changed[0]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("seed", range(1, 7))
def test_limits_passed_round_on_one_side_move_first_an_agent_whose_limit_changed(seed: int, role: Role) -> None:
    """Permuting the limits of sellers, or of buyers, leaves every act equal until one of them acts differently."""
    changed: set[str] = set()

    def permute(recruits: list[Recruit], recruiter: Recruiter) -> list[Recruit]:
        side = [r for r in recruits if r.spawned.role is role]
        limits = {a.spawned.agent: limit_of(b) for a, b in pairwise([*side, side[0]])}
        made = [_limited(r, recruiter, limits.get(r.spawned.agent, limit_of(r))) for r in side]
        changed.update(new.spawned.agent for old, new in zip(side, made, strict=True) if limit_of(old) != limit_of(new))
        by_agent = {r.spawned.agent: r for r in made if r.spawned.agent in changed}
        return [by_agent.get(r.spawned.agent, r) for r in recruits]

    plain = Engine(custom(seed, 6, 6))
    difference = first_difference(acts_of(plain), acts_of(Engine(custom(seed, 6, 6), change=permute)))

    assert len(changed) >= 2
    assert difference is not None, "permuting the limits of one side should change something in the end"
    assert first_mover(plain, difference) in changed


def first_mover(engine: Engine, difference: tuple[ActPosted | None, ActPosted | None]) -> str:
    """Returns the agent that acted differently: of two agents the one whose turn came first, so that only one acted."""
    acts = [act for act in difference if act is not None]
    return min(acts, key=lambda a: (a.round, draw(engine.run_key, "order", a.agent, a.round))).agent


def limit_of(recruit: Recruit) -> int:
    return recruit.mandate.mandate.reservation_usdc_micros


def _with_limit(recruit: Recruit, recruiter: Recruiter, permille: int) -> Recruit:
    return _limited(recruit, recruiter, recruit.mandate.mandate.reservation_usdc_micros * permille // 1_000)


def _limited(recruit: Recruit, recruiter: Recruiter, limit: int) -> Recruit:
    """Returns the recruit with a limit as near to the wished one as its start price allows."""
    start = recruit.mandate.mandate.start_usdc_micros
    limit = max(limit, start) if recruit.spawned.role is Role.BUYER else min(limit, start)
    signed = recruiter.remandate(recruit, to_tick(limit))
    spawned = msgspec.structs.replace(recruit.spawned, mandate_hash=mandate_hash(signed.mandate))
    return msgspec.structs.replace(recruit, mandate=signed, spawned=spawned)
