"""Names, traits and pictures of items, from where their contracts say (`tokenURI`): fetched here, bounded, kept an hour.

Whoever mints an item says where that is. So addresses are fetched as strangers' are, texts are cleaned, and a picture
is what its bytes are. What could not be had is remembered for a minute.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
import redis

from agentrooms.api.pictures import media_type
from agentrooms.api.problems import Problem
from agentrooms.api.shelf import Shelf
from agentrooms.chain.holdings import Holdings
from agentrooms.domain.canonical import normalise
from agentrooms.services.outbound import Outbound, OutboundFailed, OutboundRefused

METADATA_BYTES_MAX = 262_144
IMAGE_BYTES_MAX = 5_242_880
RECORD_KEPT_MAX = 16_384  # bytes that go into Redis, where limits are counted; larger ones stay in this process
SHELF_BYTES_MAX = 67_108_864  # of those, together
BRACKETS_MAX = 5_000  # of metadata, so its depth is bounded too
TRAITS_MAX = 100
NAME_CHARACTERS_MAX, TRAIT_CHARACTERS_MAX, DESCRIPTION_CHARACTERS_MAX = 200, 200, 2_000
METADATA_S, IMAGE_S = 5.0, 10.0  # for a whole fetch
KEPT_S, MISSING_S = 3_600, 60
FETCHES_MAX = 8  # at once in a process, so that slow origins leave threads for others
FETCH_WAIT_S = 2.0
REDIS_RETRY_S = 5.0  # how long it is left alone after it did not answer

_DATA = re.compile(r"data:([^,;]{0,100})((?:;[^,;]{0,100}){0,5}),", re.IGNORECASE)
_IPFS = re.compile(r"ipfs://(?:ipfs/)?([A-Za-z0-9]{10,100}(?:/[!-~]{0,500})?)")


class Metadata(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is said of an item; `note` says why there is nothing."""

    name: str = ""
    description: str = ""
    traits: dict[str, str] = {}
    image: str = ""
    note: str = ""


class Image(msgspec.Struct, frozen=True):
    """A picture; without a body, `note` says why."""

    media_type: str = ""
    body: bytes = b""
    note: str = ""


Kept = TypeVar("Kept", Metadata, Image)


class Unusable(Exception):
    """What is there is no metadata, or no picture; says why."""


class ItemReader:
    """Reads what items look like. Threads share it; Redis may be away."""

    def __init__(
        self, holdings: Holdings, outbound: Outbound, cache: redis.Redis | None, *, ipfs_gateway: str = ""
    ) -> None:
        """`ipfs_gateway` is the address that paths of IPFS are appended to; without one they are not fetched."""
        self._holdings = holdings
        self._outbound = outbound
        self._cache = Cache(cache)
        self._ipfs_gateway = ipfs_gateway
        self._fetches = threading.BoundedSemaphore(FETCHES_MAX)

    def known(self, items: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Metadata]:
        """Returns the metadata at hand of some items (collection and token id), without asking anybody else."""
        keys = {key_of(*item): item for item in items}
        found = self._cache.get_all(list(keys), Metadata)
        return {keys[key]: metadata for key, metadata in found.items()}

    def metadata(self, collection: str, token_id: str) -> Metadata:
        """Returns what is said of an item. Raises ChainUnreachable, and Problem when too much is being fetched."""
        key = key_of(collection, token_id)
        found = self._cache.get_all([key], Metadata)
        if key in found:
            return found[key]
        uri = self._holdings.token_uri(collection, token_id)
        try:
            if not uri:
                raise Unusable("its contract does not say where its metadata are")
            metadata = parse(self._read(uri, METADATA_BYTES_MAX, METADATA_S))
        except Unusable as error:
            metadata = Metadata(note=str(error))
        self._cache.put(key, metadata, MISSING_S if metadata.note else KEPT_S)
        return metadata

    def image(self, collection: str, token_id: str) -> Image:
        """Returns an item's picture. Raises as `metadata` does."""
        key = f"{key_of(collection, token_id)}:image"
        found = self._cache.get_all([key], Image)
        if key in found:
            return found[key]
        image = self._image(self.metadata(collection, token_id))
        self._cache.put(key, image, MISSING_S if image.note else KEPT_S)
        return image

    def _image(self, metadata: Metadata) -> Image:
        try:
            if not metadata.image:
                raise Unusable(metadata.note or "its metadata name no picture")
            body = self._read(metadata.image, IMAGE_BYTES_MAX, IMAGE_S)
        except Unusable as error:
            return Image(note=str(error))
        kind = media_type(body)
        if kind is None:
            return Image(note="its picture is none that is shown here (PNG, JPEG, GIF, WebP, AVIF, SVG)")
        return Image(kind, body)

    def _read(self, uri: str, bytes_max: int, timeout_s: float) -> bytes:
        """Returns what is at an address of any kind. Raises Unusable."""
        if uri[:5].lower() == "data:":
            return data_of(uri, bytes_max)
        if uri[:7].lower() == "ipfs://":
            uri = self._through_gateway(uri)
        if not self._fetches.acquire(timeout=FETCH_WAIT_S):
            raise Problem(503, f"{FETCHES_MAX} addresses are being fetched", hint="try again in a moment")
        try:
            fetched = self._outbound.get(uri, bytes_max=bytes_max, timeout_s=timeout_s)
        except (OutboundRefused, OutboundFailed) as error:
            raise Unusable(str(error)) from error
        finally:
            self._fetches.release()
        if fetched.status != 200:
            raise Unusable(f"its address answers with status {fetched.status}")
        return fetched.body

    def _through_gateway(self, uri: str) -> str:
        path = _IPFS.fullmatch(uri)
        if not self._ipfs_gateway:
            raise Unusable("it is on IPFS, and no gateway is set up here")
        if path is None or ".." in path[1]:
            raise Unusable("its address is none of IPFS")
        return f"{self._ipfs_gateway.rstrip('/')}/{path[1]}"


class Cache:
    """Records in Redis for a while, large ones in this process. A Redis that is away is as good as empty."""

    def __init__(self, client: redis.Redis | None) -> None:
        self._client = client
        self._large = Shelf(SHELF_BYTES_MAX)
        self._away_until_s = 0.0

    def get_all(self, keys: list[str], kind: type[Kept]) -> dict[str, Kept]:
        """Returns those records that are there."""
        large = {key: self._large.get(key) for key in keys}
        texts: dict[str, str | bytes | None] = {
            **large,
            **self._in_redis([key for key, text in large.items() if text is None]),
        }
        found: dict[str, Kept] = {}
        for key, text in texts.items():
            if text is not None:
                with contextlib.suppress(msgspec.DecodeError, RecursionError):  # somebody else's
                    found[key] = msgspec.json.decode(text, type=kind)
        return found

    def _in_redis(self, keys: list[str]) -> dict[str, str | bytes | None]:
        if self._client is None or not keys or time.monotonic() < self._away_until_s:
            return {}
        try:
            texts = self._client.mget(keys)
        except (redis.RedisError, UnicodeDecodeError):
            self._away_until_s = time.monotonic() + REDIS_RETRY_S
            return {}
        assert isinstance(texts, list)
        return dict(zip(keys, texts, strict=True))

    def put(self, key: str, record: Metadata | Image, seconds: int) -> None:
        """Keeps a record for a while."""
        text = msgspec.json.encode(record)
        if len(text) > RECORD_KEPT_MAX:
            self._large.put(key, text, seconds)
            return
        if self._client is None or time.monotonic() < self._away_until_s:
            return
        try:
            self._client.set(key, text, ex=seconds)
        except redis.RedisError:
            self._away_until_s = time.monotonic() + REDIS_RETRY_S


def key_of(collection: str, token_id: str) -> str:
    """Returns the key of an item's metadata in Redis."""
    return f"nft:{collection}:{token_id}"


def data_of(uri: str, bytes_max: int) -> bytes:
    """Returns what a data: URI holds. Raises Unusable."""
    head = _DATA.match(uri)
    if head is None:
        raise Unusable("its data: address has no proper head")
    written = uri[head.end() :]
    if len(written) > 3 * bytes_max:  # all of it in %-escapes
        raise Unusable(f"it holds more than {bytes_max} bytes")
    body = unquote_to_bytes(written)
    if head[2].lower().endswith(";base64"):
        try:
            body = base64.b64decode(body + b"=" * (-len(body) % 4), validate=True)
        except binascii.Error as error:
            raise Unusable("its data: address is not base64") from error
    if len(body) > bytes_max:
        raise Unusable(f"it holds more than {bytes_max} bytes")
    return body


def parse(body: bytes) -> Metadata:
    """Returns the metadata in a JSON text, its own texts cleaned and cut. Raises Unusable."""
    if body.count(b"[") + body.count(b"{") > BRACKETS_MAX:
        raise Unusable("its metadata are too deep or too many")
    try:
        said = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable("its metadata are not a JSON object") from error
    image = next((said[key] for key in ("image", "image_url") if isinstance(said.get(key), str)), "")
    return Metadata(
        name=clean(said.get("name"), NAME_CHARACTERS_MAX),
        description=clean(said.get("description"), DESCRIPTION_CHARACTERS_MAX),
        traits=_traits(said.get("attributes", said.get("traits"))),
        image=image.strip(),
    )


def _traits(said: object) -> dict[str, str]:
    """Returns traits, listed or by name; those without a name or value are left out."""
    pairs: list[tuple[object, object]] = []
    if isinstance(said, Mapping):
        pairs = list(said.items())
    elif isinstance(said, list):
        pairs = [(one.get("trait_type"), one.get("value")) for one in said if isinstance(one, Mapping)]
    traits: dict[str, str] = {}
    for name, value in pairs:
        shown, worth = clean(name, TRAIT_CHARACTERS_MAX), clean(value, TRAIT_CHARACTERS_MAX)
        if shown and worth and len(traits) < TRAITS_MAX:
            traits[shown] = worth
    return traits


def clean(said: object, characters_max: int) -> str:
    """Returns a text or number as it may be shown, "" for anything else."""
    if isinstance(said, bool):
        said = "yes" if said else "no"
    if isinstance(said, int | float):
        said = str(said)
    return normalise(said[: 2 * characters_max])[:characters_max].strip() if isinstance(said, str) else ""
