"""The shelf against a plain model: it never holds too much, and what it gives is what was put last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentrooms.api.shelf import Shelf

BYTES_MAX = 10
HOUR_S = 3_600.0
PUTS = st.lists(st.tuples(st.sampled_from("abcd"), st.binary(max_size=12)), max_size=30)


@given(PUTS)
def test_the_newest_things_stay_that_fit(puts: list[tuple[str, bytes]]) -> None:
    shelf = Shelf(BYTES_MAX)
    model: dict[str, bytes] = {}
    for key, data in puts:
        shelf.put(key, data, HOUR_S)
        if len(data) > BYTES_MAX:
            continue
        model.pop(key, None)
        model[key] = data
        while sum(map(len, model.values())) > BYTES_MAX:
            del model[next(iter(model))]
    assert {key: shelf.get(key) for key in "abcd"} == {key: model.get(key) for key in "abcd"}


def test_what_was_asked_for_lately_stays() -> None:
    shelf = Shelf(BYTES_MAX)
    for key in "ab":
        shelf.put(key, b"12345", HOUR_S)
    assert shelf.get("a") == b"12345"
    shelf.put("c", b"1", HOUR_S)
    assert [shelf.get(key) for key in "abc"] == [b"12345", None, b"1"]


def test_what_is_over_is_gone() -> None:
    shelf = Shelf(BYTES_MAX)
    shelf.put("a", b"1", 0)
    assert shelf.get("a") is None
