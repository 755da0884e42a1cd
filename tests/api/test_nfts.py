"""Items over HTTP: lists and ids from the tables, owners from the chain, pictures made harmless."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from agentrooms.api.home import Home
from agentrooms.api.items import find_item, item_of
from agentrooms.chain.port import ChainUnreachable
from agentrooms.domain.assets import Item
from agentrooms.projections.platform_model import nft_id
from tests.api.chains import demo_home, evm_home, use
from tests.api.nodes import Node
from tests.api.system import asking
from tests.domain.samples import wallet
from tests.evm.market import Market

NOBODY = "0x" + "11" * 20
SCRIPTED = "<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


@pytest.fixture(scope="module")
def demo(postgres_dsn: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    path: Path = tmp_path_factory.mktemp("demo")
    with demo_home(postgres_dsn, redis_url, path) as home:
        yield home


@pytest.fixture(scope="module")
def on_evm(
    postgres_dsn: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Home, Market]]:
    path: Path = tmp_path_factory.mktemp("evm")
    with evm_home(postgres_dsn, redis_url, path) as found:
        yield found


def get(home: Home, path: str, **headers: str) -> httpx.Response:
    async def script(http: httpx.AsyncClient) -> httpx.Response:
        return await http.get(path, headers=headers)

    return asking(home, script)


def post(home: Home, path: str, body: Any) -> httpx.Response:
    async def script(http: httpx.AsyncClient) -> httpx.Response:
        return await http.post(path, json=body)

    return asking(home, script)


def pages(home: Home, path: str) -> Iterator[dict[str, Any]]:
    cursor = ""
    while cursor is not None:
        page = get(home, f"{path}{cursor and '&cursor='}{cursor}").json()
        yield page
        cursor = page["nextCursor"]


def test_pages_by_cursor_and_by_offset_hold_every_item_once(demo: Home) -> None:
    whole = get(demo, "/nfts?limit=100").json()
    assert whole["total"] == len(whole["nfts"]) > 5
    assert whole["nextCursor"] is None
    by_cursor = [nft for page in pages(demo, "/nfts?limit=3") for nft in page["nfts"]]
    assert by_cursor == whole["nfts"]
    assert get(demo, "/nfts?limit=3&offset=4").json()["nfts"] == whole["nfts"][4:7]
    owner = whole["nfts"][0]["owner"]
    own = get(demo, f"/nfts?owner={owner}&limit=100").json()
    assert own["nfts"] == [nft for nft in whole["nfts"] if nft["owner"] == owner]
    assert own["total"] == len(own["nfts"])
    assert get(demo, f"/nfts?collection={demo.site.collection}&limit=1").json()["total"] == whole["total"]
    assert get(demo, "/nfts?collection=CryptoPunks&limit=1").json()["total"] == whole["total"]
    assert get(demo, f"/nfts?collection={NOBODY}").json() == {"nfts": [], "total": 0, "nextCursor": None}


def test_one_item_by_its_id_and_by_its_number(demo: Home) -> None:
    nft = get(demo, "/nfts?limit=1").json()["nfts"][0]
    assert nft["id"] == nft_id(nft["collection"], nft["tokenId"])
    assert nft["imageUrl"] == f"/nfts/{nft['id']}/image"
    found = get(demo, f"/nfts/{nft['id']}")
    assert found.json()["nft"]["owner"] == nft["owner"]
    assert found.json()["nft"]["metadata"]["traits"]
    assert get(demo, f"/nfts/{nft['collection']}:{nft['tokenId']}").json() == found.json()
    again = get(demo, f"/nfts/{nft['id']}", **{"If-None-Match": found.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    other = get(demo, f"/nfts/{nft['id']}", **{"If-None-Match": 'W/"other"'})
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nfts/nft_unknown", 404),
        (f"/nfts/{NOBODY}:7", 404),
        (f"/nfts/{NOBODY}:07", 422),
        (f"/nfts/{NOBODY}:{1 << 256}", 422),
        (f"/nfts/{NOBODY}:-1", 422),
        ("/nfts/0x12:7", 422),
        ("/nfts/a%20b", 422),
        ("/nfts/nft_unknown/image", 404),
        ("/nfts?limit=0", 422),
        ("/nfts?limit=101", 422),
        ("/nfts?offset=-1", 422),
        ("/nfts?cursor=%00", 422),
        ("/nfts?owner=0x12", 422),
    ],
)
def test_what_is_none_is_said_so(demo: Home, path: str, status: int) -> None:
    answer = get(demo, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["message"]


def test_the_chain_says_who_owns_an_item(on_evm: tuple[Home, Market]) -> None:
    home, market = on_evm
    deal = market.deal()
    token, collection = deal.terms.item.token_id, market.chain.site.collection
    asked = {"nftId": f"{collection}:{token}", "walletAddress": wallet(deal.seller)}
    answer = post(home, "/nfts/verify-ownership", asked).json()
    assert answer["owns"] is True
    assert answer["nft"]["name"] == f"Punk #{token}"
    assert answer["nft"]["metadata"]["traits"] == deal.terms.item.traits
    assert post(home, "/nfts/verify-ownership", asked | {"walletAddress": NOBODY}).json()["owns"] is False
    assert market.settle(deal).succeeded
    assert post(home, "/nfts/verify-ownership", asked).json()["owns"] is False
    assert get(home, f"/nfts/{collection}:{token}").json()["nft"]["owner"] == wallet(deal.buyer)
    none = post(home, "/nfts/verify-ownership", asked | {"nftId": f"{collection}:999999"})
    assert none.json() == {"owns": False, "nft": None}
    assert post(home, "/nfts/verify-ownership", asked | {"nftId": "nft_unknown"}).status_code == 404
    wrong: list[Any] = [{}, [], asked | {"walletAddress": "0x12"}, asked | {"more": 1}, asked | {"nftId": 7}]
    for body in wrong:
        assert post(home, "/nfts/verify-ownership", body).status_code == 422


def test_an_item_is_traded_with_the_traits_that_the_chain_confirms(on_evm: tuple[Home, Market]) -> None:
    home, market = on_evm
    deal = market.deal()
    row = find_item(home, f"{market.chain.site.collection}:{deal.terms.item.token_id}")
    assert item_of(home, row) == Item(row.token_id, f"Punk #{row.token_id}", deal.terms.item.traits)


def test_a_picture_of_our_own_collection_is_shown(on_evm: tuple[Home, Market]) -> None:
    home, market = on_evm
    url = f"/nfts/{market.chain.site.collection}:{market.deal().terms.item.token_id}/image"
    picture = get(home, url)
    assert picture.status_code == 200
    assert picture.headers["content-type"] == "image/svg+xml"
    assert picture.content.startswith(b"<svg")
    assert get(home, url, **{"If-None-Match": picture.headers["etag"]}).status_code == 304


def test_a_picture_with_a_script_in_it_cannot_run_it(on_evm: tuple[Home, Market]) -> None:
    home, _ = on_evm
    holdings = home.holdings
    said = json.dumps({"image": "data:image/svg+xml," + quote(SCRIPTED)})
    try:
        use(home, Node("data:application/json," + quote(said)).holdings())
        picture = get(home, f"/nfts/{NOBODY}:1/image")
        assert picture.text == SCRIPTED
        assert picture.headers["content-security-policy"] == ("default-src 'none'; style-src 'unsafe-inline'; sandbox")
        assert picture.headers["x-content-type-options"] == "nosniff"
        use(home, Node("data:text/html,<script>alert(1)</script>").holdings())
        assert get(home, f"/nfts/{NOBODY}:2/image").status_code == 404
    finally:
        use(home, holdings)


def test_a_chain_that_is_away_is_said_to_be(on_evm: tuple[Home, Market], monkeypatch: pytest.MonkeyPatch) -> None:
    home, market = on_evm

    def away(*_question: object) -> None:
        raise ChainUnreachable("eth_call: no answer")

    monkeypatch.setattr(market.evm.rpc, "call", away)
    answer = post(home, "/nfts/verify-ownership", {"nftId": f"{NOBODY}:1", "walletAddress": NOBODY})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"]
