"""The tag index answers as a scan of the whole log would, or says that it cannot know."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agentrooms.events.store import Query, QueryItem, StoredEvent
from agentrooms.events.tag_index import TagIndex
from tests.events.test_conformance import matches

EVENTS_MAX = 8
TAGS = st.lists(st.sampled_from("pqrs"), max_size=3).map(tuple)
QUERIES = st.lists(st.builds(QueryItem, TAGS, st.lists(st.sampled_from("ab"), max_size=2).map(tuple)), max_size=3).map(
    tuple
)
EVENTS = st.builds(StoredEvent, st.sampled_from("ab"), st.just(b""), TAGS)


class IndexAgainstScan(RuleBasedStateMachine):
    """Groups of events are added, as the log writer does."""

    def __init__(self) -> None:
        super().__init__()
        self.index = TagIndex(0, EVENTS_MAX)
        self.log: list[StoredEvent] = []

    @rule(events=st.lists(EVENTS, max_size=6))
    def add(self, events: list[StoredEvent]) -> None:
        for event in events:
            self.index.add(event)
        self.log += events
        self.index.forget_oldest()

    @rule(query=QUERIES, back=st.integers(0, 2 * EVENTS_MAX))
    def ask(self, query: Query, back: int) -> None:
        after = max(0, len(self.log) - back)
        answer = self.index.matches(query, after)
        truth = any(matches(event, query) for event in self.log[after:])
        if after >= self.index.floor or answer is not None:
            assert answer is truth
        else:
            assert not any(matches(event, query) for event in self.log[self.index.floor :])

    @invariant()
    def memory_is_bounded(self) -> None:
        assert self.index.head == len(self.log)
        assert self.index.head - self.index.floor <= EVENTS_MAX
        known = [tag for event in self.log[self.index.floor :] for tag in event.tags]
        assert set(self.index._last) == set(known)


TestIndexAgainstScan = IndexAgainstScan.TestCase


def test_a_new_index_knows_nothing_of_what_was_there_before() -> None:
    """It starts at a head; only what comes after is in it."""
    index = TagIndex(10)
    query = (QueryItem(("x",)),)
    assert (index.matches(query, 9), index.matches(query, 10)) == (None, False)
    index.add(StoredEvent("a", b"", ("x",)))
    assert (index.matches(query, 9), index.matches(query, 10), index.matches(query, 11)) == (True, True, False)
    assert index.matches((QueryItem(("y",)),), 9) is None
