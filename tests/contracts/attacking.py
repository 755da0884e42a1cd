"""Attacks on a deal: a table of named alterations of a valid one, each with the reason that must refuse it.

An attack takes a stage and the plan of a deal that the escrow would execute, does what it needs on the chain, and
returns what it sends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tests.contracts.deals import Execution, Order, Plan, Side
from tests.contracts.stage import Stage

Alter = Callable[[Stage, Plan], Execution]
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
ZERO = "0x" + "0" * 40
replace = msgspec.structs.replace
SIDES = ("seller", "buyer")


class Attack(msgspec.Struct, frozen=True):
    """One row: how to alter a deal and what must come of it. `sends`: it changes the chain, so its deal is its own."""

    name: str
    alter: Alter
    reason: str
    sends: bool = False


ATTACKS: list[Attack] = []


def attack(reason: str, *, sends: bool = False) -> Callable[[Alter], Alter]:
    """Enters a function into the table under its own name."""

    def enter(alter: Alter) -> Alter:
        ATTACKS.append(Attack(alter.__name__, alter, reason, sends))
        return alter

    return enter


def both_sides(
    detail: str, *, sends: bool = False, **details: str
) -> Callable[[Callable[[Stage, Plan, str], Execution]], None]:
    """Enters a function once for each side; `detail` is what is wrong with the mandate."""

    def enter(alter: Callable[[Stage, Plan, str], Execution]) -> None:
        for side in SIDES:
            reason = details.get(side, f"{side}_mandate_invalid:{detail}")
            ATTACKS.append(Attack(f"{alter.__name__}:{side}", for_side(alter, side), reason, sends))

    return enter


def for_side(alter: Callable[[Stage, Plan, str], Execution], side: str) -> Alter:
    return lambda stage, plan: alter(stage, plan, side)


def of(plan: Plan, side: str) -> Side:
    return plan.seller if side == "seller" else plan.buyer


def with_mandate(plan: Plan, side: str, **changes: Any) -> Plan:
    """The plan with other fields in one mandate, still signed by all who must."""
    return replace(plan, **{side: of(plan, side).altered(**changes)})


def with_order(execution: Execution, side: str, **changes: Any) -> Execution:
    """The execution with other parts in one order, signed before."""
    order: Order = getattr(execution, side)
    return replace(execution, **{side: replace(order, **changes)})


def high_s(spelled: bytes) -> bytes:
    """The other spelling of a signature: also valid to a careless verifier."""
    s = ORDER - int.from_bytes(spelled[32:64], "big")
    return spelled[:32] + s.to_bytes(32, "big") + bytes([27 + 28 - spelled[64]])
