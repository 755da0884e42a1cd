"""People who trade over the API: they sign in, draft and sign mandates with a signer that is not ours, and watch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
from eth_account import Account

from agentrooms.api.home import Home
from agentrooms.domain.user import user_id
from tests.api.system import ORIGIN, application, asking, bearer, sign_in
from tests.domain.samples import wallet, wallet_key

PATIENCE_S = 120.0
LOOK_S = 0.02


class Person:
    """Somebody with a wallet; signed in unless told otherwise."""

    def __init__(self, home: Home, name: str, *, signed_in: bool = True) -> None:
        self.home, self.key, self.wallet = home, wallet_key(name), wallet(name)
        self.user = user_id(self.wallet)
        self.headers = {}
        if signed_in:
            self.headers = bearer(asking(home, lambda http: sign_in(http, self.key))["accessToken"])

    def ask(self, method: str, path: str, json: Any = None, **headers: str) -> httpx.Response:
        async def script() -> httpx.Response:
            transport = httpx.ASGITransport(application(self.home))
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
                return await http.request(method, path, json=json, headers={**self.headers, **headers})

        return asyncio.run(script())

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self.ask("GET", path, **headers)

    def made(self, path: str, json: Any) -> dict[str, Any]:
        """What POST answers; it is 201."""
        return _body(self.ask("POST", path, json), 201)

    def read(self, path: str) -> dict[str, Any]:
        """What GET answers; it is 200."""
        return _body(self.get(path), 200)

    def until(self, path: str, is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """What GET answers as soon as something of it is so."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_so(found := self.read(path)):
            assert time.monotonic() < deadline_s, found
            time.sleep(LOOK_S)  # the system trades in a thread beside
        return found

    def sign(self, typed_data: dict[str, Any]) -> str:
        """The wallet's signature, as eth_signTypedData_v4 gives it."""
        return "0x" + bytes(Account.sign_typed_data(self.key, full_message=typed_data).signature).hex()

    def spawn(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Drafts, signs and spawns an agent."""
        draft = self.made("/agents/mandate", asked)
        signed = {"mandateId": draft["mandateId"], "signature": self.sign(draft["typedData"])}
        agent: dict[str, Any] = self.made("/agents/spawn", {**asked, **signed})["agent"]
        return agent


def buyer(room: str, **more: Any) -> dict[str, Any]:
    """A buyer as PRD 8.3 asks for it."""
    return _trader(room, role="buyer", name="Ada", avatar="🦊", maxPrice=90.17, startingPrice=58.03, **more)


def seller(room: str, nft: str, **more: Any) -> dict[str, Any]:
    """A seller as PRD 8.3 asks for it."""
    asked = {"minPrice": "30.19", "startingPrice": 57.07, **more}
    return _trader(room, role="seller", nftId=nft, name="Bob", avatar="🐸", **asked)


def _trader(room: str, **more: Any) -> dict[str, Any]:
    return {"roomId": room, "communicationStyle": "casual", "strategy": "aggressive", **more}


def _body(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json()
    return found
