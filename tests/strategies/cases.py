"""A table's row: a situation and the act it must lead to."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from agentrooms.domain.money import USDC_MICROS
from agentrooms.domain.terms import ActKind, Role, StrategyName
from tests.strategies.build import ME, Said, act_of, scene

BUYER, SELLER = Role.BUYER, Role.SELLER
OFFER, COUNTER, ACCEPT = ActKind.OFFER, ActKind.COUNTER, ActKind.ACCEPT
REJECT, COMMENT, WITHDRAW = ActKind.REJECT, ActKind.COMMENT, ActKind.WITHDRAW


@dataclass(frozen=True)
class Case:
    """`me` (100 to 200 USDC, see build.py) in round `at` of 1000; `price` in USDC; `act` None is silence."""

    id: str
    role: Role
    at: int
    lines: tuple[Said, ...]
    act: ActKind | None
    rule: str = ""
    price: str | None = None
    to: str | None = None
    dice: dict[str, bool] = field(default_factory=dict)
    maximum: int | None = None


def offers(round_: int, agent: str, price: int) -> Said:
    return Said(round_, agent, OFFER, price)


def counters(round_: int, agent: str, price: int, answers: str = ME) -> Said:
    return Said(round_, agent, COUNTER, price, answers)


def rejects(round_: int, agent: str, answers: str = ME) -> Said:
    return Said(round_, agent, REJECT, None, answers)


def comments(round_: int, agent: str, to: str = ME) -> Said:
    return Said(round_, agent, COMMENT, None, None, to)


def withdraws(round_: int, agent: str = ME) -> Said:
    return Said(round_, agent, WITHDRAW)


def mine(round_: int, price: int) -> Said:
    return Said(round_, ME, OFFER, price)


def table(*cases: Case) -> pytest.MarkDecorator:
    """A parametrization with the cases' ids."""
    return pytest.mark.parametrize("case", cases, ids=[case.id for case in cases])


def check(strategy: StrategyName, case: Case) -> None:
    """Asserts that the strategy acts as the row says: kind, rule, price and addressee."""
    s = scene(strategy, case.role, case.at, case.lines, dice=case.dice, maximum=case.maximum)
    act = act_of(s)
    if act is None:
        assert case.act is None, f"silent, not {case.act}"
        return
    price = None if act.price_usdc_micros is None else Decimal(act.price_usdc_micros) / USDC_MICROS
    expected = None if case.price is None else Decimal(case.price)
    assert (act.kind, act.reason.rule, price, act.to) == (case.act, case.rule, expected, case.to)
