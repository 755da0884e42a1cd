"""Every adapter of the store against the port's contract, and all of them against a plain list."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from agentrooms.events.store import Condition, Conflict, EventStore, Query, QueryItem, StoredEvent, StoreError
from tests.events import conformance
from tests.events.stores import ADAPTERS

HALF = settings(max_examples=settings().max_examples // 2)  # what waits for a server is slow

pytestmark = pytest.mark.usefixtures("stores")


@pytest.fixture(params=ADAPTERS)
def store(request: pytest.FixtureRequest) -> EventStore:
    return ADAPTERS[request.param]()


@pytest.mark.parametrize("rule", conformance.SUITE, ids=lambda rule: rule.__name__)
def test_store(rule: Callable[[EventStore], None], store: EventStore) -> None:
    """One sentence of the contract, over one adapter."""
    rule(store)


def test_the_suite_leaves_out_no_rule() -> None:
    """Every public function of the module that takes a store alone is in the list."""
    rules = {
        name
        for name, value in vars(conformance).items()
        if callable(value) and getattr(value, "__module__", "") == conformance.__name__ and name[0] != "_"
    }
    assert rules - {"event", "fill", "found"} == {r.__name__ for r in conformance.SUITE}


TAGS = st.lists(st.sampled_from("pqr"), max_size=3, unique=True).map(tuple)
TYPES = st.lists(st.sampled_from("ab"), max_size=2, unique=True).map(tuple)
QUERIES = st.lists(st.builds(QueryItem, TAGS, TYPES), max_size=3).map(tuple)
EVENTS = st.builds(StoredEvent, st.sampled_from("ab"), st.binary(max_size=3), TAGS)


def matches(event: StoredEvent, query: Query) -> bool:
    """The port's sentence about queries, word by word."""
    if query == ():
        return True
    return any(
        all(tag in event.tags for tag in item.tags) and (item.types == () or event.type in item.types) for item in query
    )


class StoresAgree(RuleBasedStateMachine):
    """All adapters do what a list does. Positions may have gaps, so they are compared by rank."""

    def __init__(self) -> None:
        super().__init__()
        self.model: list[StoredEvent] = []

    @initialize()
    def create(self) -> None:
        self.stores = {name: make() for name, make in ADAPTERS.items()}

    def position(self, store: EventStore, rank: int) -> int:
        """A store's position of the event of this rank, counted from 1."""
        return store.read()[rank - 1].position if rank else 0

    @rule(events=st.lists(EVENTS, max_size=3), query=QUERIES, back=st.integers(0, 4))
    def append(self, events: list[StoredEvent], query: Query, back: int) -> None:
        after = max(0, len(self.model) - back)
        conflict = any(matches(event, query) for event in self.model[after:])
        for name, store in self.stores.items():
            condition = Condition(query, self.position(store, after))
            if not events:
                with pytest.raises(StoreError):
                    store.append(events, condition)
                continue
            outcome = store.append(events, condition)
            if conflict:
                assert outcome == Conflict(condition.query, condition.after), name
            else:
                assert outcome == store.head(), name
        if events and not conflict:
            self.model += events

    @rule(query=QUERIES, back=st.integers(0, 6), limit=st.none() | st.integers(1, 4))
    def read(self, query: Query, back: int, limit: int | None) -> None:
        after = max(0, len(self.model) - back)
        expected = [event for event in self.model[after:] if matches(event, query)][:limit]
        for name, store in self.stores.items():
            read = store.read(query, after=self.position(store, after), limit=limit)
            assert [p.event for p in read] == expected, name

    @rule(query=QUERIES)
    def read_all(self, query: Query) -> None:
        for name, store in self.stores.items():
            whole = store.read()
            assert [p.event for p in whole] == self.model, name
            assert store.head() == (whole[-1].position if whole else 0), name


TestStoresAgree = StoresAgree.TestCase
TestStoresAgree.settings = HALF
