"""Metadata and pictures of items come from strangers: bounded, cleaned, kept for an hour, and never believed in their type."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
from collections.abc import Iterator
from urllib.parse import quote

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.api.metadata import (
    BRACKETS_MAX,
    IMAGE_BYTES_MAX,
    KEPT_S,
    METADATA_BYTES_MAX,
    MISSING_S,
    RECORD_KEPT_MAX,
    TRAITS_MAX,
    ItemReader,
    Unusable,
    data_of,
    key_of,
    parse,
)
from agentrooms.api.pictures import media_type
from agentrooms.services.outbound import Outbound
from agentrooms.services.redis import client
from tests.api.nodes import Files, Node, files

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'></svg>"
COLLECTION = "0x" + "ab" * 20


@pytest.fixture
def served() -> Iterator[Files]:
    with files() as found:
        yield found


@pytest.fixture
def cache(redis_url: str) -> Iterator[redis.Redis]:
    with client(redis_url) as found:
        yield found


def reader(node: Node, cache: redis.Redis | None = None, *, private: bool = True, gateway: str = "") -> ItemReader:
    return ItemReader(node.holdings(), Outbound(private=private), cache, ipfs_gateway=gateway)


def token() -> str:
    """A token id of the test's own."""
    return str(secrets.randbelow(1 << 200))


def as_data(said: object) -> str:
    return "data:application/json," + quote(json.dumps(said))


def test_metadata_and_picture_are_fetched_once_an_hour(served: Files, cache: redis.Redis) -> None:
    served.at["/1.json"] = 200, "text/html", json.dumps({"name": "Ape", "image": f"{served.url}/1.png"}).encode()
    served.at["/1.png"] = 200, "text/html", PNG
    node, item = Node(f"{served.url}/1.json"), token()
    for _ in range(3):
        assert reader(node, cache).metadata(COLLECTION, item).name == "Ape"
        image = reader(node, cache).image(COLLECTION, item)
        assert (image.media_type, image.body) == ("image/png", PNG)
    assert (node.asked, served.asked) == (1, ["/1.json", "/1.png"])
    for key in (key_of(COLLECTION, item), f"{key_of(COLLECTION, item)}:image"):
        assert MISSING_S < cache.ttl(key) <= KEPT_S
    assert reader(node, cache).known([(COLLECTION, item), (COLLECTION, token())])[COLLECTION, item].name == "Ape"


def test_what_is_not_there_is_asked_for_again_after_a_minute(served: Files, cache: redis.Redis) -> None:
    node, item = Node(f"{served.url}/none.json"), token()
    for _ in range(3):
        assert "status 404" in reader(node, cache).metadata(COLLECTION, item).note
        assert "status 404" in reader(node, cache).image(COLLECTION, item).note
    assert served.asked == ["/none.json"]
    assert 0 < cache.ttl(key_of(COLLECTION, item)) <= MISSING_S


def test_without_redis_and_with_rubbish_in_it_all_is_fetched(served: Files, cache: redis.Redis) -> None:
    node, item = Node(as_data({"name": "Ape"})), token()
    away = client("redis://127.0.0.1:1")
    assert reader(node).metadata(COLLECTION, item).name == "Ape"
    assert reader(node, away).metadata(COLLECTION, item).name == "Ape"
    cache.set(key_of(COLLECTION, item), "[[[")
    assert reader(node, cache).metadata(COLLECTION, item).name == "Ape"
    assert node.asked == 3


def test_a_large_picture_stays_in_the_process_and_out_of_redis(served: Files, cache: redis.Redis) -> None:
    large = PNG + b"\0" * RECORD_KEPT_MAX
    served.at["/large.png"] = 200, "image/png", large
    served.at["/larger.png"] = 200, "image/png", PNG + b"\0" * IMAGE_BYTES_MAX
    item = token()
    reading = reader(Node(as_data({"image": f"{served.url}/large.png"})), cache)
    for _ in range(3):
        assert reading.image(COLLECTION, item).body == large
    assert served.asked == ["/large.png"]
    assert cache.get(f"{key_of(COLLECTION, item)}:image") is None
    too_large = reader(Node(as_data({"image": f"{served.url}/larger.png"}))).image(COLLECTION, token())
    assert "more than" in too_large.note


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("", "does not say"),
        ("http://127.0.0.1/metadata", "not an address of the public internet"),
        ("http://[::ffff:169.254.169.254]/latest", "not an address of the public internet"),
        ("http://2130706433/", "neither a host's name nor an IP address"),
        ("file:///etc/passwd", "not http"),
        ("ar://abc", "not http"),
        ("ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi/1", "no gateway"),
        ("data:application/json;base64,%%%", "not base64"),
        ("data:" + "a" * 500, "no proper head"),
        ("data:application/json,[1]", "not a JSON object"),
        ("data:application/json,{", "not a JSON object"),
        ("data:application/json,%FF%FE", "not a JSON object"),
        ("data:application/json," + "[" * (BRACKETS_MAX + 1), "too deep"),
        ("data:application/json," + '{"a":' * 4_000, "not a JSON object"),
    ],
)
def test_what_cannot_be_had_says_why(uri: str, why: str) -> None:
    found = reader(Node(uri), private=False).metadata(COLLECTION, token())
    assert why in found.note
    assert found.name == ""


def test_a_picture_inside_points_nowhere_private_either() -> None:
    found = reader(Node(as_data({"image": "http://169.254.169.254/latest"})), private=False).image(COLLECTION, token())
    assert "not an address of the public internet" in found.note


def test_ipfs_goes_through_a_gateway_where_one_is_set(served: Files) -> None:
    served.at["/ipfs/QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG/1"] = 200, "", b'{"name": "Far"}'
    gateway = f"{served.url}/ipfs/"
    for uri in ("ipfs://QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG/1",) * 2:
        assert reader(Node(uri), gateway=gateway).metadata(COLLECTION, token()).name == "Far"
    for uri in ("ipfs://../../etc", "ipfs://QmYwAPJzv5CZsnA625s3Xf/../../secret", "ipfs://a b"):
        assert "none of IPFS" in reader(Node(uri), gateway=gateway).metadata(COLLECTION, token()).note


def test_texts_are_cleaned_and_cut() -> None:
    said = {
        "name": "A\u202epe\x00 " + "x" * 1_000,
        "description": ["no text"],
        "attributes": [
            {"trait_type": "Hat", "value": " Beanie\n"},
            {"trait_type": "Level", "value": 7},
            {"trait_type": "Rare", "value": True},
            {"trait_type": "", "value": "x"},
            {"value": "no name"},
            "no trait",
            {"trait_type": "Nested", "value": {"a": 1}},
            *({"trait_type": f"t{n}", "value": "v"} for n in range(TRAITS_MAX)),
        ],
        "image": "  https://images.example/1.png ",
    }
    found = parse(json.dumps(said).encode())
    assert found.name.startswith("Ape x")
    assert len(found.name) == 200
    assert found.description == ""
    assert dict(list(found.traits.items())[:3]) == {"Hat": "Beanie", "Level": "7", "Rare": "yes"}
    assert len(found.traits) == TRAITS_MAX
    assert found.image == "https://images.example/1.png"
    assert parse(b'{"traits": {"Hat": "Beanie"}, "image_url": "x"}').traits == {"Hat": "Beanie"}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a...", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"\0\0\0\x20ftypavif", "image/avif"),
        (SVG, "image/svg+xml"),
        (b"\xef\xbb\xbf <?xml version='1.0'?>\n<!-- a -->\n<!DOCTYPE svg>\n" + SVG, "image/svg+xml"),
        (b"<html><svg></svg></html>", None),
        (b"<script>alert(1)</script>" + SVG, None),
        (b"\0\0\0\x20ftypmp42", None),
        (b"%PDF-1.7", None),
        (b"", None),
    ],
)
def test_a_picture_is_what_its_bytes_are(body: bytes, kind: str | None) -> None:
    assert media_type(body) == kind


@given(st.binary(max_size=300), st.booleans())
def test_data_uris_hold_what_was_put_into_them(body: bytes, in_base64: bool) -> None:
    written = ";base64," + base64.b64encode(body).decode() if in_base64 else "," + quote(body)
    assert data_of(f"data:image/png{written}", 300) == body


@given(st.text(max_size=200))
def test_no_text_after_data_does_any_harm(text: str) -> None:
    with contextlib.suppress(Unusable):
        assert len(data_of(f"data:{text}", METADATA_BYTES_MAX)) <= METADATA_BYTES_MAX


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda some: st.lists(some) | st.dictionaries(st.text(), some),
    )
)
def test_any_json_is_metadata_or_is_none(said: object) -> None:
    try:
        found = parse(json.dumps({"attributes": said, "name": said, "image": said}).encode())
    except Unusable:
        return
    assert len(found.name) <= 200
    assert all(isinstance(value, str) for value in found.traits.values())
