"""Sign-in over HTTP with real keys, on a real system: what works, and each way in which it must not."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account import Account
from eth_account.messages import encode_defunct

from agentrooms.api.auth.signing_in import UNDEPLOYED
from agentrooms.api.home import Home
from agentrooms.api.limits import SIGN_INS_PER_MINUTE
from agentrooms.domain.secp256k1 import address_of
from agentrooms.domain.user import user_id
from tests.api.system import ORIGIN, asking, bearer, running_home, sign_in

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
GRANTED = {"accessToken", "expiresAt", "refreshToken"}


@pytest.fixture(scope="module")
def home(postgres_dsn: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A running system's home; each test signs in with keys of its own."""
    path: Path = tmp_path_factory.mktemp("data")
    with running_home(postgres_dsn, redis_url, path, requests_per_minute=100_000) as home:
        yield home


def key() -> bytes:
    return b"\1" + secrets.token_bytes(31)


class Signer:
    """A wallet with a challenge of its own."""

    def __init__(self, key: bytes, challenge: dict[str, str]) -> None:
        self.account = Account.from_key(key)
        self.challenge = challenge

    def body(self, **changes: str) -> dict[str, str]:
        """What /auth/verify is sent."""
        signed = self.account.sign_message(encode_defunct(text=self.challenge["message"])).signature
        return {
            "walletAddress": self.account.address,
            "signature": "0x" + bytes(signed).hex(),
            "nonce": self.challenge["nonce"],
        } | changes


async def challenged(http: httpx.AsyncClient) -> Signer:
    secret = key()
    answer = await http.post("/auth/challenge", json={"walletAddress": address_of(secret)})
    assert answer.status_code == 200
    return Signer(secret, answer.json())


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


def cookie_of(answer: httpx.Response) -> Any:
    return SimpleCookie(answer.headers["set-cookie"])["refreshToken"]


def test_a_wallet_signs_in_and_is_the_same_user_ever_after(home: Home) -> None:
    secret = key()
    wallet = Account.from_key(secret).address

    async def script(http: httpx.AsyncClient) -> None:
        first, again = await sign_in(http, secret), await sign_in(http, secret)
        assert set(first) == GRANTED | {"user"}
        assert first["user"] == again["user"]
        assert first["user"] == {
            "id": user_id(wallet.lower()),
            "walletAddress": wallet,
            "createdAt": first["user"]["createdAt"],
        }
        me = await http.get("/auth/me", headers=bearer(first["accessToken"]))
        assert me.json() == {"user": first["user"]}

    asking(home, script)


def test_what_verify_answers_is_kept_nowhere_and_its_cookie_is_for_us_alone(home: Home) -> None:
    async def script(http: httpx.AsyncClient) -> None:
        signer = await challenged(http)
        answer = await http.post("/auth/verify", json=signer.body())
        cookie = cookie_of(answer)
        assert cookie.value == answer.json()["refreshToken"]
        assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "strict", "/auth")
        assert 6 * 86_400 < int(cookie["max-age"]) <= 7 * 86_400
        assert not cookie["secure"]
        assert answer.headers["cache-control"] == "no-store"

    asking(home, script)


def test_the_text_names_our_domain_whatever_host_is_asked(home: Home) -> None:
    async def script(http: httpx.AsyncClient) -> None:
        headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Origin": "https://evil.example"}
        answer = await http.post("/auth/challenge", json={"walletAddress": address_of(key())}, headers=headers)
        lines = answer.json()["message"].splitlines()
        assert lines[0] == f"{ORIGIN.split('//')[1]} wants you to sign in with your Ethereum account:"
        assert f"URI: {ORIGIN}" in lines
        assert f"Chain ID: {home.site.chain_id}" in lines
        assert "evil" not in answer.text

    asking(home, script)


def _high_s(signature: str) -> str:
    raw = bytes.fromhex(signature[2:])
    s = ORDER - int.from_bytes(raw[32:64], "big")
    return "0x" + (raw[:32] + s.to_bytes(32, "big") + bytes([55 - raw[64]])).hex()


def _of_another_text(_signature: str) -> str:
    return "0x" + bytes(Account.from_key(key()).sign_message(encode_defunct(text="other")).signature).hex()


CHANGES: dict[str, Callable[[str], str]] = {
    "another text": _of_another_text,
    "high s": _high_s,
    "cut": lambda one: one[:-2],
    "longer": lambda one: one + "00",
    "another v": lambda one: one[:-2] + "1d",
    "zero": lambda one: "0x" + "00" * (len(one) // 2 - 1),
    "not deployed": lambda one: one + UNDEPLOYED.hex(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_signature_that_is_not_the_wallets_is_refused_and_uses_the_nonce_up(home: Home, change: str) -> None:
    async def script(http: httpx.AsyncClient) -> None:
        signer = await challenged(http)
        good = signer.body()
        bad = await http.post("/auth/verify", json={**good, "signature": CHANGES[change](good["signature"])})
        assert code(bad) == (401, "signature_invalid")
        assert ("ERC-6492" in bad.text) == (change == "not deployed")
        assert "set-cookie" not in bad.headers
        assert code(await http.post("/auth/verify", json=good)) == (401, "signature_invalid")

    asking(home, script)


def test_a_nonce_is_good_once_and_for_its_wallet(home: Home) -> None:
    async def script(http: httpx.AsyncClient) -> None:
        mine, other = await challenged(http), await challenged(http)
        swapped = other.body(nonce=mine.challenge["nonce"])
        assert code(await http.post("/auth/verify", json=swapped)) == (401, "signature_invalid")
        assert code(await http.post("/auth/verify", json=mine.body())) == (401, "signature_invalid")
        body = other.body()
        answers = await asyncio.gather(*[http.post("/auth/verify", json=body) for _ in range(5)])
        assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401, 401]

    asking(home, script)


def test_wallets_that_end_a_signature_with_0_or_1_and_hex_without_0x_are_fine(home: Home) -> None:
    async def script(http: httpx.AsyncClient) -> None:
        signer = await challenged(http)
        raw = bytearray.fromhex(signer.body()["signature"][2:])
        raw[64] -= 27
        assert (await http.post("/auth/verify", json=signer.body(signature=raw.hex().upper()))).status_code == 200

    asking(home, script)


@pytest.mark.parametrize(
    "wallet",
    ["", "0x", "0x" + "g" * 40, "0x" + "1" * 39, "0x" + "1" * 41, " 0x" + "1" * 40, "0x" + "1" * 39 + "\n", 7, None, [],
     "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", "0X" + "1" * 40, "0x" + "١" * 40],
)  # fmt: skip
def test_what_is_no_address_is_told_so(home: Home, wallet: object) -> None:
    async def script(http: httpx.AsyncClient) -> None:
        assert code(await http.post("/auth/challenge", json={"walletAddress": wallet})) == (422, "invalid")

    asking(home, script)


def test_a_refresh_token_is_exchanged_and_a_copy_of_it_ends_the_session(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentrooms.accounts.sessions.GRACE_MS", -1)

    async def script(http: httpx.AsyncClient) -> None:
        first = await sign_in(http, key())
        http.cookies.clear()
        answer = await http.post("/auth/refresh", json={"refreshToken": first["refreshToken"]})
        second = answer.json()
        assert set(second) == GRANTED
        assert cookie_of(answer).value == second["refreshToken"] != first["refreshToken"]
        assert (await http.get("/auth/me", headers=bearer(second["accessToken"]))).status_code == 200
        http.cookies.clear()
        for copy in (first["refreshToken"], second["refreshToken"]):
            assert code(await http.post("/auth/refresh", json={"refreshToken": copy})) == (401, "token_invalid")
        for access in (first["accessToken"], second["accessToken"]):
            assert code(await http.get("/auth/me", headers=bearer(access))) == (401, "token_expired")

    asking(home, script)


@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
@pytest.mark.parametrize("origin", [None, "https://evil.example", "null", ORIGIN + ".evil.example"])
def test_the_cookie_counts_only_on_pages_of_ours(home: Home, path: str, origin: str | None) -> None:
    """A page elsewhere that makes a browser send it along gets nothing, and ends nothing."""

    async def script(http: httpx.AsyncClient) -> None:
        granted = await sign_in(http, key())
        assert http.cookies["refreshToken"] == granted["refreshToken"]
        headers = {} if origin is None else {"Origin": origin}
        assert code(await http.post(path, headers=headers)) == (401, "not_signed_in")
        assert (await http.get("/auth/me", headers=bearer(granted["accessToken"]))).status_code == 200
        assert (await http.post(path, headers={"Origin": ORIGIN})).status_code == 200

    asking(home, script)


@pytest.mark.parametrize("way", ["cookie", "body", "bearer"])
def test_after_a_logout_no_token_of_the_session_holds(home: Home, way: str) -> None:
    """Nor those for access; another session of the same user goes on."""

    async def script(http: httpx.AsyncClient) -> None:
        secret = key()
        elsewhere, granted = await sign_in(http, secret), await sign_in(http, secret)
        if way != "cookie":
            http.cookies.clear()
        answer = await http.post(
            "/auth/logout",
            headers=bearer(granted["accessToken"]) if way == "bearer" else {"Origin": ORIGIN},
            json={"refreshToken": granted["refreshToken"]} if way == "body" else None,
        )
        assert answer.status_code == 200
        assert cookie_of(answer)["max-age"] == "0"
        assert code(await http.get("/auth/me", headers=bearer(granted["accessToken"]))) == (401, "token_expired")
        body = {"refreshToken": granted["refreshToken"]}
        assert code(await http.post("/auth/refresh", json=body)) == (401, "token_invalid")
        assert (await http.get("/auth/me", headers=bearer(elsewhere["accessToken"]))).status_code == 200

    asking(home, script)


def test_a_logout_ends_the_session_of_each_token_that_comes_along(home: Home) -> None:
    """A refresh token that is none, or another session's, spares no access token."""

    async def script(http: httpx.AsyncClient) -> None:
        secret = key()
        one, other, third = [await sign_in(http, secret) for _ in range(3)]
        http.cookies.clear()
        for granted, refresh in ((one, "A" * 64), (other, third["refreshToken"])):
            headers = bearer(granted["accessToken"])
            answer = await http.post("/auth/logout", headers=headers, json={"refreshToken": refresh})
            assert answer.status_code == 200
            assert code(await http.get("/auth/me", headers=headers)) == (401, "token_expired")
        assert code(await http.get("/auth/me", headers=bearer(third["accessToken"]))) == (401, "token_expired")
        body = {"refreshToken": third["refreshToken"]}
        assert (await http.post("/auth/logout", headers=bearer("a.b.c"), json=body)).status_code == 200

    asking(home, script)


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer ", "Bearer x", "Basic eDp5", "bearer a.b.c", "Bearer é"])
def test_nobody_and_bad_tokens_are_not_let_in(home: Home, given: str) -> None:
    async def script(http: httpx.AsyncClient) -> None:
        answer = await http.get("/auth/me", headers=[(b"authorization", given.encode())] if given else [])
        assert answer.status_code == 401
        assert answer.json()["code"] in {"not_signed_in", "token_invalid"}
        assert answer.headers["www-authenticate"].startswith("Bearer")

    asking(home, script)


def test_attempts_for_a_wallet_are_bounded_but_others_cannot_use_them_up(home: Home) -> None:
    wallet = {"walletAddress": address_of(key())}

    async def script(http: httpx.AsyncClient) -> list[int]:
        return [(await http.post("/auth/challenge", json=wallet)).status_code for _ in range(SIGN_INS_PER_MINUTE + 1)]

    assert asking(home, script) == [200] * SIGN_INS_PER_MINUTE + [429]
    other = {"walletAddress": address_of(key())}
    assert asking(home, lambda http: http.post("/auth/challenge", json=other)).status_code == 200


def test_no_log_line_holds_a_token_a_signature_or_an_address(home: Home, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever level is logged, of sign-ins that succeed and that fail."""
    caplog.set_level(logging.DEBUG)

    async def script(http: httpx.AsyncClient) -> list[str]:
        signer = await challenged(http)
        body = signer.body()
        granted = (await http.post("/auth/verify", json=body)).json()
        await http.post("/auth/verify", json=body)
        fresh = (await http.post("/auth/refresh", json={"refreshToken": granted["refreshToken"]})).json()
        await http.get("/auth/me", headers=bearer(fresh["accessToken"]))
        await http.get("/auth/me", headers=bearer(fresh["accessToken"] + "x"))
        tokens = [one[name] for one in (granted, fresh) for name in ("accessToken", "refreshToken")]
        return [*tokens, body["signature"][2:], body["nonce"], "127.0.0.1"]

    secrets_shown = asking(home, script)
    assert len(caplog.records) > 0
    logged = "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert [one for one in secrets_shown if one in logged] == []
