"""A wallet follows what the API asks it to sign and send, with a signer that is not ours, and the chain agrees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account import Account
from eth_utils.address import to_checksum_address

from agentrooms.api.home import Home
from agentrooms.chain.devnet.engine import DEPLOYER_KEY
from agentrooms.chain.evm.abi import call_data
from agentrooms.chain.evm.calls import ESCROW
from agentrooms.chain.evm.outbox import PRICE_MIN_WEI
from agentrooms.chain.port import ChainUnreachable
from agentrooms.domain.mandate import mandate_hash
from agentrooms.domain.secp256k1 import address_of
from tests.api.chains import demo_home, evm_home
from tests.api.system import asking, bearer, sign_in
from tests.domain.samples import USDC, wallet, wallet_key
from tests.evm.market import FUNDS, WEI, Market

NOBODY = "0x" + "11" * 20


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


class Person:
    """Somebody with a key, signed in; sends what it is asked to send as a wallet would."""

    def __init__(self, home: Home, market: Market | None, key: bytes) -> None:
        self.home, self.market, self.key = home, market, key
        token = self._ask(lambda http: sign_in(http, key))["accessToken"]
        self._headers = bearer(token)

    def _ask(self, script: Any) -> Any:
        return asking(self.home, script)

    def get(self, path: str) -> httpx.Response:
        async def script(http: httpx.AsyncClient) -> httpx.Response:
            return await http.get(path, headers=self._headers)

        return self._ask(script)  # type: ignore[no-any-return]

    def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        async def script(http: httpx.AsyncClient) -> httpx.Response:
            return await http.post(path, json=body, headers={**self._headers, **headers})

        return self._ask(script)  # type: ignore[no-any-return]

    def send(self, request: dict[str, Any]) -> None:
        """Signs the request as it is with another implementation, and has it mined."""
        assert self.market is not None
        evm = self.market.evm
        assert request["from"] in {None, address_of(self.key)}
        assert (request["value"], request["type"]) == ("0x0", "0x0")
        assert int(request["gasPrice"], 16) >= PRICE_MIN_WEI
        fields = {
            "to": to_checksum_address(request["to"]),
            "data": request["data"],
            "chainId": int(request["chainId"], 16),
            "gas": int(request["gas"], 16),
            "gasPrice": int(request["gasPrice"], 16),
            "value": 0,
            "nonce": evm.rpc.number("eth_getTransactionCount", address_of(self.key), "latest"),
        }
        signed = Account.sign_transaction(fields, self.key)
        sent = evm.rpc.call("eth_sendRawTransaction", "0x" + bytes(signed.raw_transaction).hex())
        evm.mine()
        assert evm.rpc.call("eth_getTransactionReceipt", sent)["status"] == "0x1"


def rich(market: Market, name: str) -> bytes:
    """The key of a wallet with coin for fees."""
    if market.evm.rpc.number("eth_getBalance", wallet(name), "latest") < WEI // 2:
        market.act(DEPLOYER_KEY, wallet(name), b"", WEI)
    return wallet_key(name)


def test_a_buyer_allows_money_by_transaction_and_by_permit(on_evm: tuple[Home, Market]) -> None:
    home, market = on_evm
    deal = market.deal()
    person = Person(home, market, rich(market, deal.buyer))
    before = person.get("/wallet/approvals").json()
    assert before["money"] == {
        "balance": FUNDS / USDC,
        "balanceMicros": str(FUNDS),
        "allowance": FUNDS / USDC,
        "allowanceMicros": str(FUNDS),
    }
    assert (before["allowance"], before["item"]) == (None, None)
    asked = person.get("/wallet/approvals?amount=12.34").json()["allowance"]
    assert (asked["allowed"], asked["funded"], asked["amountMicros"]) == (True, True, "12340000")
    person.send(asked["transaction"])
    asked = person.get("/wallet/approvals?amount=77.5").json()["allowance"]
    assert (asked["allowed"], asked["funded"]) == (False, True)
    typed = asked["permit"]["typedData"]
    assert typed["message"]["deadline"] == str((1 << 256) - 1)
    signed = Account.sign_typed_data(person.key, full_message=typed)
    body = {"amount": 77.5, "signature": "0x" + bytes(signed.signature).hex()}
    for wrong in (body | {"amount": 77.51}, body | {"signature": "0x" + "00" * 65}):
        refused = person.post("/wallet/permit", wrong)
        assert (refused.status_code, refused.json()["code"]) == (422, "signature_invalid")
        assert "77" not in refused.text
    transaction = person.post("/wallet/permit", body).json()["transaction"]
    assert transaction["from"] is None
    Person(home, market, rich(market, "passer-by")).send(transaction)
    after = person.get("/wallet/approvals?amount=77.5").json()
    assert after["money"]["allowance"] == 77.5
    assert after["allowance"]["allowed"]
    again = person.post("/wallet/permit", body)
    assert again.json()["code"] == "signature_invalid"  # its number is used


def test_a_seller_approves_one_item(on_evm: tuple[Home, Market]) -> None:
    home, market = on_evm
    deal = market.deal()
    person = Person(home, market, rich(market, deal.seller))
    url = f"/wallet/approvals?nftId={market.chain.site.collection}:{deal.terms.item.token_id}"
    item = person.get(url).json()["item"]
    assert (item["owned"], item["approved"]) == (True, True)
    person.send(
        item["transaction"] | {"data": item["transaction"]["data"].replace(market.chain.site.escrow[2:], "0" * 40)}
    )
    item = person.get(url).json()["item"]
    assert (item["owned"], item["approved"]) == (True, False)
    person.send(item["transaction"])
    assert person.get(url).json()["item"]["approved"]
    stranger = Person(home, market, wallet_key("stranger"))
    assert stranger.get(url).json()["item"]["owned"] is False
    assert stranger.get("/wallet/approvals?nftId=nft_unknown").status_code == 404


def test_cancelling_one_mandate_all_of_them_and_the_allowance(on_evm: tuple[Home, Market]) -> None:
    home, market = on_evm
    deal = market.deal()
    person = Person(home, market, rich(market, deal.buyer))
    assert deal.case.buyer is not None
    hashed = mandate_hash(deal.case.buyer.mandate)
    asked = person.get(f"/wallet/cancellation?mandateHash=0x{hashed}").json()
    assert (asked["mandateHash"], asked["fills"], asked["cancelled"], asked["counter"]) == (
        "0x" + hashed,
        0,
        False,
        "0",
    )
    person.send(asked["cancel"])
    asked = person.get(f"/wallet/cancellation?mandateHash={hashed}").json()
    assert asked["cancelled"] is True
    assert market.settle(deal).reason == "buyer_mandate_invalid:cancelled"
    person.send(asked["cancelAll"])
    person.send(asked["revoke"])
    asked = person.get("/wallet/cancellation").json()
    assert int(asked["counter"]) > 0
    assert (asked["mandateHash"], asked["cancel"]) == (None, None)
    assert person.get("/wallet/approvals").json()["money"]["allowanceMicros"] == "0"
    assert (
        market.evm.rpc.call(
            "eth_call",
            {"to": market.chain.site.escrow, "data": "0x" + call_data(ESCROW, "counterOf", wallet(deal.buyer)).hex()},
            "latest",
        )
        == f"0x{int(asked['counter']):064x}"
    )


def test_an_allowance_without_end_is_told_exactly(on_evm: tuple[Home, Market]) -> None:
    home, market = on_evm
    deal = market.deal()
    person = Person(home, market, rich(market, deal.buyer))
    request = person.get("/wallet/approvals?amount=1").json()["allowance"]["transaction"]
    person.send(request | {"data": request["data"][:-64] + "f" * 64})
    money = person.get("/wallet/approvals").json()["money"]
    assert (money["allowance"], money["allowanceMicros"]) == (None, str((1 << 256) - 1))


ODD = [
    "approvals?amount=0",
    "approvals?amount=-1",
    "approvals?amount=1.234",
    "approvals?amount=1e3",
    "approvals?amount=NaN",
    "approvals?amount=100000001",
    "approvals?amount=",
    "approvals?amount=%201",
    "approvals?nftId=a%20b",
    f"approvals?nftId={NOBODY}:{1 << 256}",
    "cancellation?mandateHash=0x12",
    f"cancellation?mandateHash={'zz' * 32}",
    f"cancellation?mandateHash=0X{'ab' * 32}",
    f"cancellation?mandateHash={'ab' * 33}",
]


def test_odd_amounts_ids_and_hashes_are_refused_and_not_repeated(on_evm: tuple[Home, Market]) -> None:
    home, market = on_evm
    person = Person(home, market, wallet_key("odd"))
    for asked in ODD:
        answer = person.get(f"/wallet/{asked}")
        assert answer.status_code == 422, asked
        value = asked.partition("=")[2]
        assert len(value) < 4 or value not in answer.text


def test_nobody_gets_nothing(on_evm: tuple[Home, Market]) -> None:
    home, _ = on_evm

    async def script(http: httpx.AsyncClient) -> list[int]:
        gets = [await http.get(path) for path in ("/wallet/approvals", "/wallet/cancellation")]
        posts = [await http.post("/wallet/permit", json={"amount": 1, "signature": "0x" + "00" * 65})]
        return [answer.status_code for answer in (*gets, *posts, await http.post("/wallet/fund"))]

    assert asking(home, script) == [401] * 4


def chain(home: Home) -> dict[str, Any]:
    async def script(http: httpx.AsyncClient) -> dict[str, Any]:
        answer = await http.get("/chain")
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found

    return asking(home, script)


def test_the_chain_is_described_also_when_it_is_away(
    on_evm: tuple[Home, Market], monkeypatch: pytest.MonkeyPatch
) -> None:
    home, market = on_evm
    found = chain(home)
    assert (found["chainId"], int(found["chainIdHex"], 16)) == (market.chain.site.chain_id,) * 2
    assert (found["escrow"], found["usdc"]) == (market.chain.site.escrow, market.chain.site.currency)
    assert found["answers"]
    assert found["block"] > 0
    assert int(found["gasPrice"], 16) >= PRICE_MIN_WEI

    def away(*_question: object) -> None:
        raise ChainUnreachable("no answer")

    monkeypatch.setattr(market.evm.rpc, "call", away)
    found = chain(home)
    assert (found["answers"], found["block"], found["blockAt"], found["gasPrice"]) == (False, None, None, None)


def test_on_the_ledger_a_wallet_is_funded_once_and_sends_nothing(demo: Home) -> None:
    found = chain(demo)
    assert (found["demo"], found["takesTransactions"], found["rpcUrl"]) == (True, False, None)
    person = Person(demo, None, wallet_key("funded"))
    answer = person.post("/wallet/fund", **{"Idempotency-Key": "fund-1"})
    assert answer.status_code == 201, answer.text
    given = answer.json()
    nft = person.get(f"/nfts/{given['nftId']}")
    own = person.get(f"/nfts?owner={wallet('funded')}").json()["nfts"]
    assert [one["tokenId"] for one in own] == [given["tokenId"]]
    assert nft.status_code == 200
    again = person.post("/wallet/fund", **{"Idempotency-Key": "fund-1"})
    assert (again.status_code, again.json()) == (201, given)
    approvals = person.get(f"/wallet/approvals?amount=5&nftId={given['nftId']}").json()
    assert (approvals["allowance"]["transaction"], approvals["allowance"]["permit"]) == (None, None)
    assert approvals["item"]["transaction"] is None
    cancellation = person.get("/wallet/cancellation").json()
    assert (cancellation["cancelAll"], cancellation["revoke"]) == (None, None)
    refused = person.post("/wallet/permit", {"amount": 1, "signature": "0x" + "00" * 65})
    assert (refused.status_code, refused.json()["code"]) == (409, "refused")
