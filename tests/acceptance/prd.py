"""The PRD's sections 8 to 10 step by step, as a front end would go through them: real keys, HTTP, a socket."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Self

import httpx
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from eth_utils.address import to_checksum_address

TIMEOUT_S = 60
EXPIRES_S = 240  # agents give way over their whole time, so they agree soon


class Person:
    """Somebody with a wallet, signed in or not."""

    def __init__(self, url: str, key: str) -> None:
        self.account: LocalAccount = Account.from_key(key)
        self.url = url
        self.token = self.refresh_token = ""

    @property
    def wallet(self) -> str:
        """The wallet's address, in lower case."""
        return self.account.address.lower()

    def ask(self, method: str, path: str, status: int = 200, **more: Any) -> Any:
        """Returns the answer to a request, which must have this status."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        got = httpx.request(method, self.url + path, headers=headers, timeout=TIMEOUT_S, **more)
        assert got.status_code == status, f"{method} {path}: {got.status_code} {got.text}"
        return got.json() if got.content and "json" in got.headers["content-type"] else got.text

    def sign_in(self) -> dict[str, Any]:
        """Goes through challenge and verify (PRD 10.1)."""
        challenge = self.ask("POST", "/auth/challenge", json={"walletAddress": self.account.address})
        assert challenge["nonce"] in challenge["message"]
        signature = self.account.sign_message(encode_defunct(text=challenge["message"])).signature.to_0x_hex()
        body = {"walletAddress": self.account.address, "signature": signature, "nonce": challenge["nonce"]}
        got = self.ask("POST", "/auth/verify", json=body)
        self.token, self.refresh_token = got["accessToken"], got["refreshToken"]
        user: dict[str, Any] = got["user"]
        assert user["walletAddress"].lower() == self.wallet
        return user

    def send(self, transaction: dict[str, Any]) -> None:
        """Signs a transaction request and sends it to the chain itself, as a wallet does; waits until it is mined."""
        chain = self.ask("GET", "/chain")
        rpc = _Rpc(chain["rpcUrl"])
        nonce = int(rpc.call("eth_getTransactionCount", self.account.address, "latest"), 16)
        fields = {
            "to": to_checksum_address(transaction["to"]),
            "data": transaction["data"],
            "value": int(str(transaction.get("value", 0)), 0),
            "gas": int(str(transaction["gas"]), 0),
            "gasPrice": int(str(transaction["gasPrice"]), 0),
            "chainId": int(str(transaction["chainId"]), 0),
            "nonce": nonce,
        }
        signed = self.account.sign_transaction(fields)
        tx_hash = rpc.call("eth_sendRawTransaction", signed.raw_transaction.to_0x_hex())
        receipt = until(lambda: rpc.call("eth_getTransactionReceipt", tx_hash))
        assert int(receipt["status"], 16) == 1, receipt

    def approve(self, **query: str) -> None:
        """Sends what the escrow still lacks."""
        asked = self.ask("GET", "/wallet/approvals", params=query)
        if asked["allowance"] is not None and not asked["allowance"]["allowed"]:
            self.send(asked["allowance"]["transaction"])
        if asked["item"] is not None and not asked["item"]["approved"]:
            self.send(asked["item"]["transaction"])

    def spawn(self, **fields: Any) -> dict[str, Any]:
        """Signs the mandate and spawns the agent (PRD 8.3)."""
        draft = self.ask("POST", "/agents/mandate", 201, json={**fields, "expiresInSeconds": EXPIRES_S})
        signed = self.account.sign_typed_data(full_message=draft["typedData"])
        body = {**fields, "mandateId": draft["mandateId"], "signature": signed.signature.to_0x_hex()}
        agent: dict[str, Any] = self.ask("POST", "/agents/spawn", 201, json=body)["agent"]
        assert agent["status"] == "spawned"
        return agent


class _Rpc:
    def __init__(self, url: str) -> None:
        self._url = url

    def call(self, method: str, *params: object) -> Any:
        """Returns what the node answers."""
        got = httpx.post(self._url, json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).json()
        assert "error" not in got, got
        return got["result"]


def until(look: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> Any:
    """Returns what `look` finds, as soon as it finds something."""
    last = time.monotonic() + timeout_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < last
        time.sleep(0.05)


SELLER = {
    "role": "seller",
    "name": "Sellwyn",
    "avatar": "🦊",
    "communicationStyle": "formal",
    "strategy": "competitive",
    "minPrice": 40,
    "startingPrice": "60.50",
}
BUYER = {
    "role": "buyer",
    "name": "Buyolet",
    "avatar": "🐻",
    "communicationStyle": "casual",
    "strategy": "aggressive",
    "maxPrice": 70.25,
    "startingPrice": 45,
}


def trade(buyer: Person, seller: Person, admin: Person, watch: Callable[[str, str], Watching]) -> dict[str, Any]:
    """Goes from sign-in to a completed deal; `watch(room, token)` opens the socket. Returns the deal."""
    for person in (admin, buyer, seller):
        user = person.sign_in()
        assert person.ask("GET", "/auth/me")["user"] == user
    opened = admin.ask("POST", "/rooms", 201, json={"name": "Acceptance"})["room"]
    room = opened["id"]
    assert room in {one["id"] for one in buyer.ask("GET", "/rooms", params={"status": "active"})["rooms"]}
    nft = seller.ask("POST", "/wallet/fund", 201)["nftId"]
    buyer.ask("POST", "/wallet/fund", 201)
    assert seller.ask("POST", "/nfts/verify-ownership", json={"nftId": nft, "walletAddress": seller.wallet})["owns"]
    seller.approve(nftId=nft)
    buyer.approve(amount="100")
    with watch(room, buyer.token) as watching:
        selling = seller.spawn(roomId=room, nftId=nft, **SELLER)
        buying = buyer.spawn(roomId=room, **BUYER)
        frames = watching.until("deal_completed")
    _check_frames(frames, buying["id"], selling["id"])
    deal: dict[str, Any] = buyer.ask("GET", f"/deals/{frames[-1]['dealId']}")["deal"]
    assert deal["status"] == "completed"
    assert deal["txHash"] == frames[-1]["txHash"]
    assert 40 <= deal["finalPrice"] <= 70.25
    assert (deal["buyerAgent"]["id"], deal["sellerAgent"]["id"]) == (buying["id"], selling["id"])
    assert [one["id"] for one in seller.ask("GET", "/deals/my", params={"status": "completed"})["deals"]] == [
        deal["id"]
    ]
    assert buyer.ask("POST", "/nfts/verify-ownership", json={"nftId": nft, "walletAddress": buyer.wallet})["owns"]
    stats = buyer.ask("GET", f"/rooms/{room}/stats")["stats"]
    assert stats["totalDeals"] == 1
    assert buyer.ask("GET", f"/agents/{buying['id']}")["agent"]["deal"]["id"] == deal["id"]
    return deal


def run_swarm(person: Person, room: str) -> None:
    """Starts a swarm, watches it deal, pauses, resumes and stops it, and looks at what it did."""
    asked = {"roomId": room, "preset": "small_test", "seed": 7}  # of which some agree
    swarm = person.ask("POST", "/swarms/spawn", 201, json=asked)["swarm"]
    assert (swarm["totalAgents"], swarm["buyersCount"], swarm["sellersCount"]) == (5, 2, 3)
    path = f"/swarms/{swarm['id']}"
    for action, status in (("pause", "paused"), ("resume", "running")):
        assert person.ask("PATCH", path, json={"action": action})["swarm"]["status"] == status
    person.ask("PATCH", path, json={"action": "speed", "speed": 0})  # its agents give way over minutes of room time
    until(lambda: person.ask("GET", path)["swarm"]["status"] == "completed", 2 * TIMEOUT_S)
    swarm = person.ask("GET", path)["swarm"]
    assert len(swarm["agents"]) == 5
    analytics = person.ask("GET", f"{path}/analytics")["analytics"]
    assert (analytics["joined"], analytics["dealsCompleted"]) == (5, swarm["dealsCompleted"])
    assert 0 < analytics["successRate"] <= 1
    assert min(analytics["volume"], analytics["avgDealTime"]) > 0
    other = person.ask("POST", "/swarms/spawn", 201, json=asked)["swarm"]["id"]
    person.ask("PATCH", f"/swarms/{other}", json={"action": "stop"})


def sign_out(person: Person) -> None:
    """Refreshes once, then logs out; nothing is good for anything afterwards."""
    person.token = person.ask("POST", "/auth/refresh", json={"refreshToken": person.refresh_token})["accessToken"]
    person.ask("GET", "/auth/me")
    person.ask("POST", "/auth/logout", json={"refreshToken": person.refresh_token})
    person.ask("GET", "/auth/me", 401)
    person.ask("POST", "/auth/refresh", 401, json={"refreshToken": person.refresh_token})


def _check_frames(frames: list[dict[str, Any]], buyer: str, seller: str) -> None:
    events = [frame for frame in frames if "seq" in frame and frame["type"] not in {"joined", "room_stats"}]
    first = events[0]["seq"]
    assert [frame["seq"] for frame in events] == list(range(first, first + len(events)))
    types = [frame["type"] for frame in events]
    joined = [frame["agent"]["id"] for frame in events if frame["type"] == "agent_joined"]
    assert sorted(joined) == sorted([buyer, seller])
    for earlier, later in (
        ("agent_message", "deal_locked"),
        ("deal_locked", "deal_status"),
        ("deal_status", "deal_completed"),
    ):
        assert types.index(earlier) < types.index(later)


class Watching(ABC):
    """A socket that collects frames."""

    @abstractmethod
    def until(self, type_: str) -> list[dict[str, Any]]:
        """Returns all frames up to the first of a type."""

    def __enter__(self) -> Self:
        return self

    @abstractmethod
    def __exit__(self, *_error: object) -> None:
        """Closes the socket."""
