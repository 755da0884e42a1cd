"""Compares two archives: how they are related, where they part, and what came out otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import zip_longest
from pathlib import Path

import msgspec

from agentrooms.domain.money import format_usdc
from agentrooms.projections import agents as agents_
from agentrooms.projections.agents import AgentRow
from agentrooms.projections.describe import describe, names_of
from agentrooms.projections.schema import USDC_MICROS
from agentrooms.sim.forks import first_difference
from agentrooms.sim.metrics import Figure
from agentrooms.sim.run import Run
from agentrooms.sim.settings import RunSettings


class Relation(StrEnum):
    """How two archives are related, by the heads their manifests name."""

    EQUAL = "equal"
    A_IS_PARENT = "a_is_parent"
    B_IS_PARENT = "b_is_parent"
    SIBLINGS = "siblings"
    SAME_SEED = "same_seed"
    UNRELATED = "unrelated"


class Part(msgspec.Struct, frozen=True):
    """The first event in which two logs differ, in words; None where that log has ended."""

    event: int
    a: str | None
    b: str | None


class Setting(msgspec.Struct, frozen=True):
    """A setting that differs, as JSON values."""

    name: str
    a: msgspec.Raw
    b: msgspec.Raw


class Trade(msgspec.Struct, frozen=True):
    """A completed sale by its parties and item; prices in micro-USDC, None in the run without it."""

    buyer: str
    buyer_name: str
    seller: str
    seller_name: str
    token_id: str
    a_usdc_micros: int | None
    b_usdc_micros: int | None
    difference_usdc_micros: int | None
    a_round: int | None
    b_round: int | None


class Outcome(msgspec.Struct, frozen=True):
    """An agent that fared otherwise, in words; None in the run without it."""

    agent: str
    name: str
    a: str | None
    b: str | None


class Metric(msgspec.Struct, frozen=True):
    """A figure of both runs; None where it is not defined."""

    name: str
    unit: str
    a: int | float | None
    b: int | float | None
    difference: int | float | None


class Row(msgspec.Struct, frozen=True):
    """One line of a comparison, ready to print."""

    topic: str
    what: str
    a: str
    b: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two archives; encodes as JSON as it is."""

    a: str
    b: str
    relation: Relation
    shared_events: int
    a_events: int
    b_events: int
    parting: Part | None
    settings: list[Setting]
    deals_only_a: list[Trade]
    deals_only_b: list[Trade]
    deals_both: list[Trade]
    agents: list[Outcome]
    metrics: list[Metric]

    def rows(self) -> list[Row]:
        """Returns the comparison as lines of four texts; of deals and figures only those that differ."""
        found = [
            Row("log", "relation", self.relation.value, self.relation.value),
            Row("log", "events", str(self.a_events), str(self.b_events)),
            Row("log", "shared events", str(self.shared_events), str(self.shared_events)),
        ]
        if self.parting is not None:
            part = self.parting
            found.append(Row("log", f"event {part.event}", part.a or "(ended)", part.b or "(ended)"))
        found += [Row("setting", s.name, bytes(s.a).decode(), bytes(s.b).decode()) for s in self.settings]
        trades = [*self.deals_only_a, *self.deals_only_b, *(t for t in self.deals_both if t.difference_usdc_micros)]
        found += [
            Row(
                "deal",
                f"{t.buyer_name} buys {t.token_id} from {t.seller_name}",
                _price(t.a_usdc_micros, t.a_round),
                _price(t.b_usdc_micros, t.b_round),
            )
            for t in trades
        ]
        found += [Row("agent", f"{o.name} ({o.agent})", o.a or "not there", o.b or "not there") for o in self.agents]
        found += [Row("figure", m.name, _figure(m.a, m.unit), _figure(m.b, m.unit)) for m in self.metrics if m.a != m.b]
        return found


def compare(a: Path, b: Path) -> Comparison:
    """Returns what differs between two archives. Raises NotAnArchive, and BrokenLog when one does not fold."""
    one, two = Run.open(a), Run.open(b)
    first, second = list(one), list(two)
    difference = first_difference([r.line for r in first], [r.line for r in second])
    shared = len(first) if difference is None else difference.line - 1
    trades = list(_trades(one, two))
    return Comparison(
        a=str(a),
        b=str(b),
        relation=_relation(one, two, equal=difference is None),
        shared_events=shared,
        a_events=len(first),
        b_events=len(second),
        parting=None if difference is None else Part(shared + 1, _event(one, shared), _event(two, shared)),
        settings=_settings(one.manifest.settings, two.manifest.settings),
        deals_only_a=[t for t in trades if t.b_usdc_micros is None],
        deals_only_b=[t for t in trades if t.a_usdc_micros is None],
        deals_both=[t for t in trades if t.difference_usdc_micros is not None],
        agents=_outcomes(one, two),
        metrics=_metrics(one, two),
    )


def _relation(a: Run, b: Run, *, equal: bool) -> Relation:
    one, two = a.manifest, b.manifest
    if equal:
        return Relation.EQUAL
    if two.parent is not None and two.parent.head == one.head:
        return Relation.A_IS_PARENT
    if one.parent is not None and one.parent.head == two.head:
        return Relation.B_IS_PARENT
    if one.parent is not None and two.parent is not None and one.parent.head == two.parent.head:
        return Relation.SIBLINGS
    return Relation.SAME_SEED if one.settings.seed == two.settings.seed else Relation.UNRELATED


def _event(run: Run, index: int) -> str | None:
    events = list(run)
    return describe(events[index], names_of(events)) if index < len(events) else None


def _settings(a: RunSettings, b: RunSettings) -> list[Setting]:
    return [
        Setting(name, _encoded(getattr(a, name)), _encoded(getattr(b, name)))
        for name in RunSettings.__struct_fields__
        if getattr(a, name) != getattr(b, name)
    ]


def _encoded(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _trades(a: Run, b: Run) -> Iterator[Trade]:
    """Yields the completed sales of either run, those of the first in its order, then those the second adds."""
    one, two, names = _sales(a), _sales(b), names_of(a) | names_of(b)
    for key in dict.fromkeys((*one, *two)):
        (price_a, round_a), (price_b, round_b) = one.get(key, (None, None)), two.get(key, (None, None))
        apart = None if price_a is None or price_b is None else price_b - price_a
        buyer, seller, token_id = key
        yield Trade(
            buyer=buyer,
            buyer_name=names[buyer],
            seller=seller,
            seller_name=names[seller],
            token_id=token_id,
            a_usdc_micros=price_a,
            b_usdc_micros=price_b,
            difference_usdc_micros=apart,
            a_round=round_a,
            b_round=round_b,
        )


def _sales(run: Run) -> dict[tuple[str, str, str], tuple[int, int]]:
    frame = run.deals().filter(state="completed")
    rows = frame.select("buyer", "seller", "token_id", "price_usdc_micros", "locked_round").rows()
    return {(buyer, seller, token): (price, round_) for buyer, seller, token, price, round_ in rows}


def _outcomes(a: Run, b: Run) -> list[Outcome]:
    one, two = ({row.agent: row for row in agents_.rows(run)} for run in (a, b))
    names = names_of(a) | names_of(b)
    found = [
        Outcome(agent, names[agent], _outcome(one.get(agent), names), _outcome(two.get(agent), names))
        for agent in dict.fromkeys((*one, *two))
    ]
    return [outcome for outcome in found if outcome.a != outcome.b]


def _outcome(row: AgentRow | None, names: Mapping[str, str]) -> str | None:
    """Returns how an agent fared; rounds are left out, since a later round alone is no other outcome."""
    if row is None:
        return None
    if row.deal_price_usdc_micros is not None:
        verb = "buys from" if row.role == "buyer" else "sells to"
        other = names.get(row.counterpart or "", row.counterpart)
        return f"{verb} {other} at {format_usdc(row.deal_price_usdc_micros)} USDC"
    return f"leaves ({row.left_reason})" if row.left_reason is not None else str(row.status)


def _metrics(a: Run, b: Run) -> list[Metric]:
    """Returns the figures side by side, room by room in the order in which rooms opened."""
    found = []
    several = max(len(a.rooms), len(b.rooms)) > 1
    for number, (room_a, room_b) in enumerate(zip_longest(a.rooms, b.rooms), start=1):
        one: Mapping[str, Figure] = a.figures(room=room_a) if room_a is not None else {}
        two: Mapping[str, Figure] = b.figures(room=room_b) if room_b is not None else {}
        for name in dict.fromkeys((*one, *two)):
            left, right = one.get(name, Figure(None)), two.get(name, Figure(None))
            apart = None if left.value is None or right.value is None else right.value - left.value
            title = f"room {number}: {name}" if several else name
            found.append(Metric(title, left.unit or right.unit, left.value, right.value, apart))
    return found


def _price(price: int | None, round_: int | None) -> str:
    return "none" if price is None else f"{format_usdc(price)} USDC in round {round_}"


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return "not defined"
    if unit == USDC_MICROS:
        return f"{format_usdc(int(value))} USDC"
    return f"{value} {unit}" if isinstance(value, int) else f"{value:.2f} {unit}"
