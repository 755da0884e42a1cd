"""The catalogue and the bytes: every type round-trips, keeps its bytes for ever, and what is unknown is named."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.domain.event import Event
from agentrooms.domain.user import UserRegistered, WalletBudgeted
from agentrooms.errors import InvalidInput
from agentrooms.events import catalogue
from agentrooms.events.catalogue import BY_TYPE, CATALOGUE, EventType, UnknownEvent, decode
from agentrooms.events.record import GENESIS, BrokenLine, Recorded, decode_line, encode_line, line_hash
from tests.domain import runs
from tests.events import examples

GOLDEN = Path(__file__).with_name("golden_lines.ndjson")
PLACE: dict[str, Any] = {"chain": "room_1", "seq": 3, "at_ms": 5, "cmd": "c", "tags": ("a", "b"), "prev": GENESIS}


def subclasses(type_: type[Event]) -> set[type[Event]]:
    return {t for s in type_.__subclasses__() for t in {s, *subclasses(s)}}


def line_of(entry: EventType) -> bytes:
    """One example a type; its texts hold the name of the field they stand in."""
    return encode_line(examples.fixed(entry.type), **PLACE)


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.name)
@given(data=st.data())
def test_every_event_type_round_trips(entry: EventType, data: st.DataObject) -> None:
    """The event, and everything beside it, comes back from its line, and the line is canonical JSON."""
    event = data.draw(examples.events(entry))
    line = encode_line(event, **PLACE)
    read = decode_line(line)
    assert read == Recorded(PLACE["chain"], 3, 5, "c", entry.name, ("a", "b"), event, GENESIS, line)
    assert read.hash == hashlib.sha256(line).hexdigest()
    plain = json.loads(line)
    assert json.dumps(plain, sort_keys=True, ensure_ascii=False, separators=(",", ":")) == json.dumps(
        plain, ensure_ascii=False, separators=(",", ":")
    )
    assert b"\n" not in line


def test_the_stored_bytes_of_every_type_never_change() -> None:
    """Golden lines. A difference breaks every log of the past: give the type a new version and an upcast.

    For a new type, add its line: `line_of` of its entry.
    """
    written = GOLDEN.read_bytes().splitlines()
    assert [line_of(entry) for entry in CATALOGUE] == written


def test_the_golden_lines_still_read() -> None:
    """Stored bytes of every type and version decode to their event."""
    events = [decode_line(line).event for line in GOLDEN.read_bytes().splitlines()]
    assert events == [examples.fixed(entry.type) for entry in CATALOGUE]


def test_every_event_has_one_name_and_every_name_one_event() -> None:
    """Names and types are unique, sorted, and no event type is missing."""
    names = [entry.name for entry in CATALOGUE]
    assert names == sorted(set(names))
    assert {entry.type for entry in CATALOGUE} == {
        t for t in subclasses(Event) if t.__module__.startswith("agentrooms.domain.")
    }


def test_no_event_can_hold_a_float() -> None:
    """The generator knows every allowed type and refuses floats, so building all of them is the proof."""
    for entry in CATALOGUE:
        examples.events(entry)
    with pytest.raises(TypeError):
        examples.values(float)
    with pytest.raises(TypeError):
        examples.values(dict[str, float | None])


def test_input_fields_are_fields_of_derived_events() -> None:
    """Whatever a re-execution feeds into a derived event exists there."""
    for entry in CATALOGUE:
        assert set(entry.input_fields) <= set(entry.type.__struct_fields__)
        assert not entry.input_fields or entry.origin is catalogue.Origin.DERIVED


@pytest.mark.parametrize(("name", "version"), [("user.unheard_of", 1), ("user.registered", 2), ("user.registered", 0)])
def test_an_unknown_type_or_version_is_named_with_a_hint(name: str, version: int) -> None:
    """The message says what was met, the hint what to read it with."""
    with pytest.raises(UnknownEvent, match=f"'{name}' version {version}") as caught:
        decode(name, version, b"{}")
    assert "version of agentrooms" in caught.value.hint


def test_missing_fields_are_named() -> None:
    """Bytes of a known type without its fields are not guessed at."""
    with pytest.raises(UnknownEvent, match="wallet"):
        decode("user.registered", 1, b'{"user":"u"}')


def test_an_old_version_is_lifted_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 1 had `micros`, version 2 `budget`, version 3 has `budget_usdc_micros`; stored bytes stay as they were."""
    entry = EventType("wallet.budgeted", 3, WalletBudgeted, catalogue.Origin.INPUT)
    monkeypatch.setitem(catalogue.BY_NAME, entry.name, entry)
    monkeypatch.setitem(catalogue.BY_TYPE, entry.type, entry)
    lifts: dict[tuple[str, int], catalogue.Upcast] = {
        (entry.name, 1): lambda old: {"wallet": old["wallet"], "budget": old["micros"]},
        (entry.name, 2): lambda old: {"wallet": old["wallet"], "budget_usdc_micros": old["budget"]},
    }
    monkeypatch.setattr(catalogue, "UPCASTS", lifts)
    old = [b'{"micros":7,"wallet":"w"}', b'{"budget":7,"wallet":"w"}', b'{"budget_usdc_micros":7,"wallet":"w"}']
    assert [decode(entry.name, n, data) for n, data in enumerate(old, 1)] == [WalletBudgeted("w", 7)] * 3
    line = encode_line(WalletBudgeted("w", 7), **PLACE)
    assert msgspec.json.decode(line)["v"] == 3
    stored = line.replace(b'"budget_usdc_micros":7', b'"micros":7').replace(b'"v":3', b'"v":1')
    lifted = decode_line(stored)
    assert (lifted.event, lifted.line, lifted.hash) == (WalletBudgeted("w", 7), stored, line_hash(stored))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_that_is_not_in_normal_form_is_not_stored(text: str) -> None:
    """Two texts that look alike must not have two hashes."""
    event = UserRegistered(text, "w")
    try:
        encode_line(event, **PLACE)
    except InvalidInput:
        assert not unicodedata.is_normalized("NFC", text)
    else:
        assert unicodedata.is_normalized("NFC", text)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b"null",
        line_of(CATALOGUE[0])[:-1],
        line_of(CATALOGUE[0])[:-1] + b',"extra":1}',
        line_of(CATALOGUE[0]).replace(b'"seq":3', b'"seq":"3"'),
        line_of(CATALOGUE[0]).replace(b'"seq":3', b'"seq":3.5'),
    ],
)
def test_bytes_that_are_no_line_are_called_that(line: bytes) -> None:
    """Cut, extended, of other types: never half a line."""
    with pytest.raises(BrokenLine):
        decode_line(line)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_decoder(data: bytes) -> None:
    """Anything is a line or one of two errors."""
    with pytest.raises((BrokenLine, UnknownEvent)):
        decode_line(data)


def chain_breaks(lines: tuple[bytes, ...]) -> dict[str, list[int]]:
    """Where a log's chains do not link or count, by chain: computed from the stored JSON alone."""
    last: dict[str, tuple[int, str]] = {}
    breaks: dict[str, list[int]] = {}
    for line in lines:
        raw = json.loads(line)
        seq, head = last.get(raw["chain"], (0, GENESIS))
        if (raw["seq"], raw["prev"]) != (seq + 1, head):
            breaks.setdefault(raw["chain"], []).append(raw["seq"])
        last[raw["chain"]] = (raw["seq"], hashlib.sha256(line).hexdigest())
    return breaks


@pytest.mark.parametrize("name", runs.RUNS)
def test_the_chains_of_real_runs_link(name: str) -> None:
    """Each line holds the hash of the one before it in its chain, and numbers are dense."""
    assert chain_breaks(runs.lines(*runs.RUNS[name])) == {}


@given(st.data())
def test_a_changed_lost_swapped_or_repeated_line_shows_at_its_place(data: st.DataObject) -> None:
    """Whatever is done to one line but the last, its successor does not fit."""
    lines = [line for line in runs.lines(*runs.RUNS["small"]) if b'"chain":"platform"' not in line]
    place = data.draw(st.integers(1, len(lines) - 2))
    harm = data.draw(st.sampled_from(["change", "lose", "swap", "repeat"]))
    if harm == "change":
        lines[place] = lines[place].replace(b'"at_ms":1', b'"at_ms":2')
    elif harm == "lose":
        del lines[place]
    elif harm == "swap":
        lines[place], lines[place + 1] = lines[place + 1], lines[place]
    else:
        lines.insert(place, lines[place])
    (places,) = chain_breaks(tuple(lines)).values()
    assert place < places[0] <= place + 2


def test_decoding_by_type_and_by_name_agree() -> None:
    """The two tables are one catalogue."""
    assert {e.name: e for e in BY_TYPE.values()} == catalogue.BY_NAME
