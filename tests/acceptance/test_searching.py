"""The search for sentinels finds what is planted, in every spelling and everywhere it looks."""

from __future__ import annotations

import base64
import io
import json
import logging
import pickle
import zipfile
from pathlib import Path

import msgspec
import pytest
import redis
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from tests.acceptance.sentinels import Searcher, folder_pieces, redis_pieces, zip_pieces

MICROS = 4_817_230_000
SEARCHER = Searcher({"limit": MICROS, "other": 2_093_710_000})
WORD = encode(["uint256"], [MICROS])
AMOUNTS = st.integers(min_value=100_000, max_value=1_000_000).map(lambda cents: cents * 10_000)


@pytest.mark.parametrize(
    ("planted", "spelling"),
    [
        (b"max 4817.23 USDC", "decimal"),
        (b'{"maxPrice":4817.23}', "decimal"),
        (b"4,817.23", "decimal"),
        (b"4817,23", "decimal"),
        (b"4_817.23", "decimal"),
        (b'{"maxPriceMicros":"4817230000"}', "micros"),
        (b"limit=4,817,230,000", "micros"),
        (f"0x{MICROS:x}".encode(), "hex"),
        (f"{MICROS:X}".encode(), "hex"),
        (WORD.hex().encode(), "hex"),
        (b"\x00" * 7 + WORD, "bytes"),
        (msgspec.msgpack.encode({"limit": MICROS}), "bytes"),
        (msgspec.msgpack.encode({"limit": 4817.23}), "bytes"),
        (pickle.dumps({"limit": MICROS}), "bytes"),
        (pickle.dumps({"limit": 4817.23}), "bytes"),
    ],
)
def test_an_amount_is_found_however_it_is_written(planted: bytes, spelling: str) -> None:
    found = SEARCHER.search("here", b"before \xff" + planted + b"\x00 after")
    assert spelling in {one.spelling for one in found}
    assert {(one.name, one.place) for one in found} == {("limit", "here")}


@pytest.mark.parametrize("inner", [b"4817.23", b"4817230000", f"{MICROS:x}".encode(), WORD, pickle.dumps(MICROS)])
@pytest.mark.parametrize("before", range(7))
@pytest.mark.parametrize("url_safe", [False, True])
def test_an_amount_is_found_in_base64_at_any_place(inner: bytes, before: int, url_safe: bool) -> None:
    write = base64.urlsafe_b64encode if url_safe else base64.b64encode
    for after in range(3):
        text = write(b"\xfb" * before + inner + b"\xfe" * after)
        assert SEARCHER.names(b'{"blob":"' + text + b'"}') == {"limit"}


@given(AMOUNTS, st.binary(max_size=40), st.binary(max_size=40))
def test_any_amount_is_found_among_any_bytes(micros: int, before: bytes, after: bytes) -> None:
    searcher = Searcher({"it": micros})
    raw = micros.to_bytes(8, "big")
    for planted in (raw, raw.hex().encode(), base64.b64encode(before + raw + after)):
        assert searcher.names(before + planted + after) == {"it"}


@pytest.mark.parametrize(
    "innocent", [b"14817.23", b"4817.234", b"48172300001", b"4817.24", b"4816.23", b"", b"4 817 23", b"0x11f2"]
)
def test_what_is_not_the_amount_is_not_found(innocent: bytes) -> None:
    assert SEARCHER.search("here", innocent) == []


def test_a_leaking_log_line_is_found_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "quiet.log").write_text("nothing here\n")
    handler = logging.FileHandler(tmp_path / "deep" / "api.log")
    line = "refused a bid above %s"
    handler.emit(logging.LogRecord("leaking", logging.ERROR, __file__, 1, line, (4817.23,), None))
    handler.close()
    found = SEARCHER.search_all(folder_pieces(tmp_path))
    assert [(one.place, one.spelling) for one in found] == [(str(Path("deep", "api.log")), "decimal")]


def test_an_amount_across_two_chunks_of_a_file_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.acceptance.sentinels.CHUNK_BYTES", 1_000)
    (tmp_path / "log").write_bytes(b"." * 996 + b"4817230000" + b"." * 2_000)
    assert {one.spelling for one in SEARCHER.search_all(folder_pieces(tmp_path))} == {"micros"}


def test_every_type_of_redis_is_searched(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url, db=1)
    client.flushdb()
    try:
        assert SEARCHER.search_all(redis_pieces(client)) == []
        client.set("a:4817230000", "x")
        client.set("b", json.dumps({"limit": 4817.23}))
        client.hset("c", mapping={"4817.23": "x"})
        client.rpush("d", WORD)
        client.sadd("e", WORD.hex())
        client.zadd("f", {"x": MICROS})
        client.xadd("g", {"x": base64.b64encode(b"?" + WORD)})
        places = {one.place.split("'")[1] for one in SEARCHER.search_all(redis_pieces(client))}
        assert places == {"a:4817230000", "b", "c", "d", "e", "f", "g"}
    finally:
        client.flushdb()
        client.close()


def test_an_archive_is_searched_unpacked() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("events.ndjson", "quiet\n" * 1_000)
        archive.writestr("mandates.json", json.dumps({"reservation": "4817230000"}) * 100)
    data = packed.getvalue()
    assert {one.place for one in SEARCHER.search_all(zip_pieces("export", data))} == {"export/mandates.json"}


def test_a_frame_with_a_limit_is_found() -> None:
    frames = [{"type": "agent_message", "price": 48.25}, {"type": "private", "facts": {"limit_usdc_micros": MICROS}}]
    found = SEARCHER.search_all((f"frame {n}", json.dumps(one).encode()) for n, one in enumerate(frames))
    assert [one.place for one in found] == ["frame 1"]
