"""No strategy can depend on another agent's limit, because nothing it is given could hold one."""

from __future__ import annotations

import inspect
import typing
from enum import Enum

from hypothesis import given

import agentrooms.domain.strategies as package
from agentrooms.domain.mandate import Mandate, SignedMandate
from agentrooms.domain.market import Situation
from agentrooms.domain.strategies import STRATEGIES
from agentrooms.domain.terms import StrategyName
from tests.strategies.rooms import Moment, moments

PLAIN = (int, str, bytes, type(None), Enum, type)


def classes_in(annotation: object) -> list[type]:
    """All classes an annotation names, also within containers and unions."""
    inner = [cls for argument in typing.get_args(annotation) for cls in classes_in(argument)]
    origin = typing.get_origin(annotation) or annotation
    return [*inner, origin] if isinstance(origin, type) else inner


def fields_to(target: type, root: type) -> set[str]:
    """Every `Class.field`, in all that is reachable from `root`, whose type names `target`."""
    seen, found, waiting = {root}, set(), [root]
    while waiting:
        cls = waiting.pop()
        for name, annotation in typing.get_type_hints(cls).items():
            assert annotation is not typing.Any, f"{cls.__name__}.{name} could hold anything"
            assert annotation is not object, f"{cls.__name__}.{name} could hold anything"
            for reached in classes_in(annotation):
                if reached is target:
                    found.add(f"{cls.__name__}.{name}")
                if reached not in seen and reached.__module__.startswith("agentrooms."):
                    seen.add(reached)
                    waiting.append(reached)
    return found


def test_a_situation_names_one_mandate_its_own() -> None:
    assert fields_to(Mandate, Situation) == {"Situation.mandate"}
    assert fields_to(SignedMandate, Situation) == set()


def mandates_in(thing: object, seen: set[int]) -> list[Mandate]:
    """Every mandate in the object graph."""
    if id(thing) in seen or isinstance(thing, PLAIN):
        return []
    seen.add(id(thing))
    if isinstance(thing, dict):
        parts = [*thing.keys(), *thing.values()]
    elif isinstance(thing, list | tuple | set | frozenset):
        parts = list(thing)
    else:
        parts = [getattr(thing, name) for name in typing.get_type_hints(type(thing))]
    return [*([thing] if isinstance(thing, Mandate) else []), *(m for part in parts for m in mandates_in(part, seen))]


@given(moments())
def test_a_situation_holds_one_mandate_its_own(moment: Moment) -> None:
    assert mandates_in(moment.situation(), set()) == [moment.mandate]


def test_strategies_keep_nothing_between_decisions() -> None:
    for strategy in STRATEGIES.values():
        assert vars(strategy) == {}


def test_every_strategy_stands_under_its_name_and_in_a_short_file() -> None:
    assert set(STRATEGIES) == set(StrategyName)
    for name, strategy in STRATEGIES.items():
        assert strategy.name is name
        assert type(strategy).__module__ == f"{package.__name__}.{name.value}"
        assert len(inspect.getsource(inspect.getmodule(type(strategy)) or package).splitlines()) < 100
