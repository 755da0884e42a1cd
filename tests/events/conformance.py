"""What every adapter of the `EventStore` port must do. `test_conformance.py` runs it over all of them.

Each function takes a fresh, empty store.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agentrooms.events.store import (
    EVERYTHING,
    Condition,
    Conflict,
    EventStore,
    Positioned,
    Query,
    QueryItem,
    StoredEvent,
    StoreError,
)

ALWAYS = Condition((QueryItem(tags=("nothing has this tag",)),), 0)


def event(name: str, *tags: str, data: bytes = b"{}") -> StoredEvent:
    return StoredEvent(name, data, tags)


def fill(store: EventStore) -> list[StoredEvent]:
    """Appends five events with various types and tags."""
    events = [
        event("a", "x", data=b"1"),
        event("b", "x", "y", data=b"2"),
        event("a", "y", "z", data=b"3"),
        event("c", data=b"4"),
        event("b", "z", "x", "y", data=b"5"),
    ]
    for one in events:
        assert not isinstance(store.append([one], ALWAYS), Conflict)
    return events


def found(store: EventStore, query: Query, *, after: int = 0, limit: int | None = None) -> bytes:
    return b"".join(p.event.data for p in store.read(query, after=after, limit=limit))


def an_empty_log_has_no_head(store: EventStore) -> None:
    """Nothing is there and nothing is read."""
    assert (store.head(), store.read(), store.read(after=0, limit=1)) == (0, [], [])


def what_is_appended_is_read_as_it_was(store: EventStore) -> None:
    """Type, bytes, tags and their order, each with a position of its own that grows."""
    events = fill(store)
    read = store.read()
    assert [p.event for p in read] == events
    positions = [p.position for p in read]
    assert positions == sorted(set(positions))
    assert (positions[0] > 0, positions[-1]) == (True, store.head())


def bytes_are_never_looked_into(store: EventStore) -> None:
    """Any bytes come back: zeros, no UTF-8, a megabyte, none."""
    datas = [b"\0\xff", b"", b"x" * 1_000_000, "é".encode("latin-1")]
    store.append([event("a", "t", data=data) for data in datas], ALWAYS)
    assert [p.event.data for p in store.read()] == datas


def an_append_returns_the_position_of_its_last_event(store: EventStore) -> None:
    """So that its writer knows where it stands without reading."""
    first = store.append([event("a"), event("b")], ALWAYS)
    assert first == store.head() == store.read()[-1].position
    second = store.append([event("c")], ALWAYS)
    assert isinstance(first, int)
    assert isinstance(second, int)
    assert second > first


def reading_goes_on_after_a_position(store: EventStore) -> None:
    """From each position on, exactly the later ones."""
    fill(store)
    read = store.read()
    for index, positioned in enumerate(read):
        assert store.read(after=positioned.position) == read[index + 1 :]
    assert store.read(after=store.head()) == []


def reading_stops_at_the_limit(store: EventStore) -> None:
    """The first ones that match, with and without a query."""
    fill(store)
    assert [found(store, EVERYTHING, limit=n) for n in range(1, 7)] == [
        b"1",
        b"12",
        b"123",
        b"1234",
        b"12345",
        b"12345",
    ]
    query = (QueryItem(tags=("x",)),)
    assert [found(store, query, limit=n) for n in range(1, 5)] == [b"1", b"12", b"125", b"125"]
    assert found(store, query, after=store.read()[0].position, limit=1) == b"2"


def a_query_item_asks_for_all_its_tags(store: EventStore) -> None:
    """Tags narrow."""
    fill(store)
    asked = {("x",): b"125", ("y",): b"235", ("x", "y"): b"25", ("x", "y", "z"): b"5", ("x", "w"): b"", (): b"12345"}
    assert {tags: found(store, (QueryItem(tags=tags),)) for tags in asked} == asked


def a_query_item_asks_for_any_of_its_types(store: EventStore) -> None:
    """Types widen, within the tags."""
    fill(store)
    asked = {("a",): b"13", ("a", "c"): b"134", ("d",): b"", (): b"12345"}
    assert {types: found(store, (QueryItem(types=types),)) for types in asked} == asked
    assert found(store, (QueryItem(("y",), ("a", "c")),)) == b"3"
    assert found(store, (QueryItem(("x", "y"), ("b",)),)) == b"25"


def a_query_is_any_of_its_items(store: EventStore) -> None:
    """Items widen; an event that two of them match is read once, in its place."""
    fill(store)
    assert found(store, (QueryItem(tags=("z",)), QueryItem(types=("c",)))) == b"345"
    assert found(store, (QueryItem(tags=("y",)), QueryItem(tags=("x",)))) == b"1235"
    assert found(store, EVERYTHING) == b"12345"


def a_tag_is_matched_whole_and_exactly(store: EventStore) -> None:
    """No prefixes, no cases, no separators inside."""
    store.append([event("a", "room:1"), event("a", "room:10"), event("a", "ROOM:1"), event("a", "room:1,x")], ALWAYS)
    assert len(store.read((QueryItem(tags=("room:1",)),))) == 1


def a_tag_may_be_any_text(store: EventStore) -> None:
    """Whatever a store makes of quotes, commas, braces and blanks within, the tag comes back and is found."""
    tags = ('"', "\\", "a,b", '","', "{}", "NULL", " x ", "ÿ😀", "'; --", "%s %b", "line\nbreak")
    store.append([event("a", *tags), *(event("b", tag) for tag in tags)], ALWAYS)
    assert store.read()[0].event.tags == tags
    assert [len(store.read((QueryItem(tags=(tag,)),))) for tag in tags] == [2] * len(tags)
    assert isinstance(store.append([event("c")], Condition((QueryItem(tags=tags),), 0)), Conflict)


def many_events_may_be_one_append(store: EventStore) -> None:
    """They stand in their order, one after the other."""
    events = [event("a", f"n:{n}", data=b"%d" % n) for n in range(1_000)]
    assert store.append(events, ALWAYS) == store.head()
    assert [p.event for p in store.read()] == events


def nothing_matching_after_the_position_lets_an_append_through(store: EventStore) -> None:
    """What was there before, and what does not match, is no conflict."""
    fill(store)
    head = store.head()
    assert not isinstance(store.append([event("a", "x")], Condition((QueryItem(tags=("x",)),), head)), Conflict)
    assert not isinstance(store.append([event("a", "q")], Condition((QueryItem(tags=("y",)),), head)), Conflict)
    assert not isinstance(store.append([event("a")], Condition((QueryItem(("x",), ("c",)),), 0)), Conflict)


def a_conflict_is_a_value_and_nothing_is_appended(store: EventStore) -> None:
    """All events or none, however many there were."""
    fill(store)
    before = store.read()
    condition = Condition((QueryItem(tags=("nothing",)), QueryItem(tags=("z",), types=("b",))), 0)
    assert store.append([event("n", "1"), event("n", "2")], condition) == Conflict(condition.query, condition.after)
    assert (store.read(), store.head()) == (before, before[-1].position)


def reading_a_conflicts_query_shows_what_stood_against(store: EventStore) -> None:
    """The reload is in the value: the same query, after the same position."""
    fill(store)
    first = store.read()[0].position
    conflict = store.append([event("n")], Condition((QueryItem(tags=("x",)),), first))
    assert isinstance(conflict, Conflict)
    assert found(store, conflict.query, after=conflict.after) == b"25"
    again = Condition(conflict.query, store.read(conflict.query, after=conflict.after)[-1].position)
    assert not isinstance(store.append([event("n")], again), Conflict)


def an_empty_query_in_a_condition_means_anything_new(store: EventStore) -> None:
    """As in reading: the empty query matches every event."""
    fill(store)
    assert store.append([event("n")], Condition(EVERYTHING, store.head() - 1)) == Conflict(EVERYTHING, store.head() - 1)
    assert not isinstance(store.append([event("n")], Condition(EVERYTHING, store.head())), Conflict)


def an_item_without_tags_and_types_matches_everything(store: EventStore) -> None:
    """It narrows nothing."""
    fill(store)
    assert found(store, (QueryItem(),)) == b"12345"
    assert isinstance(store.append([event("n")], Condition((QueryItem(),), store.head() - 1)), Conflict)


def an_append_does_not_conflict_with_itself(store: EventStore) -> None:
    """The condition is about what was there before."""
    query = (QueryItem(tags=("x",)),)
    assert not isinstance(store.append([event("a", "x"), event("b", "x")], Condition(query, 0)), Conflict)
    assert isinstance(store.append([event("a", "x")], Condition(query, 0)), Conflict)


def an_empty_append_is_refused(store: EventStore) -> None:
    """It would have no position."""
    with pytest.raises(StoreError):
        store.append([], ALWAYS)
    assert store.head() == 0


def a_position_beyond_the_head_is_refused(store: EventStore) -> None:
    """Such a condition would be blind to what comes next."""
    fill(store)
    with pytest.raises(StoreError):
        store.append([event("n")], Condition(EVERYTHING, store.head() + 1))
    assert len(store.read()) == 5


def what_was_read_does_not_change_later(store: EventStore) -> None:
    """Reading gives values, not windows."""
    fill(store)
    read = store.read()
    copy: list[Positioned] = list(read)
    read.clear()
    store.append([event("n")], ALWAYS)
    assert store.read()[:5] == copy


SUITE: tuple[Callable[[EventStore], None], ...] = (
    an_empty_log_has_no_head,
    what_is_appended_is_read_as_it_was,
    bytes_are_never_looked_into,
    an_append_returns_the_position_of_its_last_event,
    reading_goes_on_after_a_position,
    reading_stops_at_the_limit,
    a_query_item_asks_for_all_its_tags,
    a_query_item_asks_for_any_of_its_types,
    a_query_is_any_of_its_items,
    a_tag_is_matched_whole_and_exactly,
    a_tag_may_be_any_text,
    many_events_may_be_one_append,
    nothing_matching_after_the_position_lets_an_append_through,
    a_conflict_is_a_value_and_nothing_is_appended,
    reading_a_conflicts_query_shows_what_stood_against,
    an_empty_query_in_a_condition_means_anything_new,
    an_item_without_tags_and_types_matches_everything,
    an_append_does_not_conflict_with_itself,
    an_empty_append_is_refused,
    a_position_beyond_the_head_is_refused,
    what_was_read_does_not_change_later,
)
