"""No token passes but one that this API has made, for itself, and that is not over."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from agentrooms.accounts.sessions import Session
from agentrooms.api.auth import tokens as module
from agentrooms.api.auth.tokens import SAMPLE_SECRET, SKEW_S, Tokens, signing_keys
from agentrooms.api.problems import Problem
from agentrooms.domain.user import user_id
from agentrooms.services.settings import Settings, SettingsInvalid
from tests.accounts.clock import START_MS, Clock, wallet

KEY, OLD_KEY = bytes(range(32)), bytes(range(1, 33))
ORIGIN = "https://agentrooms.example"
SESSION = Session("5e" * 16, user_id(wallet(1)), wallet(1), START_MS, START_MS + 10**9)
MINUTES = 30


def made(clock: Clock | None = None, *keys: bytes, origin: str = ORIGIN) -> Tokens:
    return Tokens(keys or (KEY,), origin, MINUTES, clock or Clock())


def refused(token: str, tokens: Tokens | None = None) -> str:
    """The code with which a token is refused."""
    with pytest.raises(Problem) as raised:
        (tokens or made()).read(token)
    assert raised.value.status == 401
    return raised.value.code


def forged(claims: dict[str, Any], key: Any = KEY, algorithm: str = "HS256", **headers: str) -> str:
    return jwt.encode(claims, key, algorithm, headers={"kid": kid(KEY), **headers})


def kid(key: bytes) -> str:
    return str(jwt.get_unverified_header(made(None, key).issue(SESSION)[0])["kid"])


CLAIMS: dict[str, Any] = jwt.decode(made().issue(SESSION)[0], options={"verify_signature": False})


def test_a_token_says_whose_it_is_and_until_when() -> None:
    token, claims = made().issue(SESSION)
    assert made().read(token) == claims
    expected = {
        "sub": SESSION.user,
        "walletAddress": wallet(1),
        "sid": SESSION.id,
        "jti": CLAIMS["jti"],
        "iat": START_MS // 1_000,
        "exp": START_MS // 1_000 + MINUTES * 60,
        "iss": ORIGIN,
        "aud": "agentrooms",
    }
    assert expected == CLAIMS
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "JWT", "kid": kid(KEY)}


def test_no_two_tokens_have_one_id() -> None:
    assert len({made().issue(SESSION)[1].jti for _ in range(50)}) == 50


def test_a_token_is_over_after_its_minutes_and_with_its_session() -> None:
    clock = Clock()
    tokens = made(clock)
    token, _ = tokens.issue(SESSION)
    short = Session(SESSION.id, SESSION.user, SESSION.wallet, START_MS, START_MS + 5_000)
    ends_sooner, _ = tokens.issue(short)
    clock.pass_ms(4_999)
    tokens.read(ends_sooner)
    clock.pass_ms(1)
    assert refused(ends_sooner, tokens) == "token_expired"
    clock.pass_ms(MINUTES * 60_000 - 5_001)
    tokens.read(token)
    clock.pass_ms(1)
    assert refused(token, tokens) == "token_expired"


def test_a_token_of_the_future_is_refused_but_clocks_may_differ_a_little() -> None:
    ahead = Clock()
    ahead.pass_ms(SKEW_S * 1_000)
    made().read(made(ahead).issue(SESSION)[0])
    ahead.pass_ms(1_000)
    assert refused(made(ahead).issue(SESSION)[0]) == "token_invalid"


@given(place=st.integers(0, 2), bit=st.integers(0, 10_000))
def test_no_changed_token_passes(place: int, bit: int) -> None:
    """Whatever single bit of header, claims or signature changes."""
    parts = made().issue(SESSION)[0].split(".")
    raw = bytearray(base64.urlsafe_b64decode(parts[place] + "=="))
    raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    parts[place] = letters(bytes(raw))
    assert refused(".".join(parts)) == "token_invalid"


@given(key=st.binary(min_size=32, max_size=64).filter(lambda key: key != KEY))
def test_no_token_of_another_key_passes(key: bytes) -> None:
    """Under our key's name, its own, or none."""
    assert refused(forged(CLAIMS, key)) == "token_invalid"
    assert refused(forged(CLAIMS, key, kid=kid(key))) == "token_invalid"
    assert refused(jwt.encode(CLAIMS, key)) == "token_invalid"


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_no_other_algorithm_passes_even_with_our_key(algorithm: str) -> None:
    key = hashlib.sha512(b"long enough for both").digest()
    assert refused(jwt.encode(CLAIMS, key, algorithm, headers={"kid": kid(key)}), made(None, key)) == "token_invalid"


@pytest.mark.parametrize("algorithm", ["none", "None", "RS256", "ES256", "EdDSA", "hs256", "", None, 1])
@pytest.mark.parametrize("signed", [True, False])
def test_no_token_passes_that_says_it_is_signed_otherwise(algorithm: object, signed: bool) -> None:
    """With our own key's signature, or without any. The same with HS256 passes, so nothing else is wrong with it."""
    assert refused(by_hand(algorithm, signed=signed)) == "token_invalid"
    made().read(by_hand("HS256", signed=True))


def by_hand(algorithm: object, *, signed: bool) -> str:
    parts = [{"alg": algorithm, "typ": "JWT", "kid": kid(KEY)}, CLAIMS]
    text = ".".join(letters(json.dumps(part).encode()) for part in parts)
    return f"{text}.{letters(hmac.digest(KEY, text.encode(), 'sha256') if signed else b'')}"


def letters(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("aud", "another"),
        ("aud", ["agentrooms", "another"]),
        ("iss", "https://evil.example"),
        ("exp", "9999999999"),
        ("exp", 9_999_999_999.5),
        ("exp", None),
        ("iat", True),
        ("sub", 1),
        ("sub", None),
        ("sid", ["x"]),
        ("jti", 1),
        ("walletAddress", None),
    ],
)
def test_claims_of_others_or_of_another_shape_do_not_pass(name: str, value: object) -> None:
    """Even well signed."""
    assert refused(forged({**CLAIMS, name: value})) == "token_invalid"


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_no_claim_may_lack(name: str) -> None:
    claims = {key: value for key, value in CLAIMS.items() if key != name}
    assert refused(forged(claims)) == "token_invalid"


@given(text=st.text(max_size=60) | st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}\.[\w-]{0,40}"))
def test_no_text_is_a_token_by_chance(text: str) -> None:
    assert refused(text) == "token_invalid"


@pytest.mark.parametrize(
    "header",
    [
        [],
        {},
        {"kid": []},
        {"kid": {}},
        {"alg": "HS256"},
        {"alg": "HS256", "kid": None},
        "x" * 3_000,
        {"alg": ["HS256"]},
    ],
)
def test_odd_headers_are_refused(header: object) -> None:
    assert refused(f"{letters(json.dumps(header).encode())}.e30.AAAA") == "token_invalid"


def test_a_key_that_was_changed_still_reads_what_it_signed() -> None:
    old = made(None, OLD_KEY).issue(SESSION)[0]
    rotated = made(None, KEY, OLD_KEY)
    assert rotated.read(old).sid == SESSION.id
    new, claims = rotated.issue(SESSION)
    assert made(None, KEY).read(new) == claims
    assert refused(old, made(None, KEY)) == "token_invalid"


def settings(**given: Any) -> Settings:
    return Settings(**given)


def test_without_a_secret_one_follows_from_the_installation() -> None:
    """Another one of each installation; as strong as one that is given must be."""
    keys = {signing_keys(settings(), bytes([number]) * 32) for number in range(3)}
    assert len(keys) == 3
    assert {len(key) for (key,) in keys} == {module.SECRET_BYTES_MIN}


def test_the_secret_before_still_reads() -> None:
    new, old = "n" * 32, "o" * 32
    both = settings(jwt_secret=SecretStr(new), jwt_secret_previous=SecretStr(old))
    assert signing_keys(both, bytes(32)) == (new.encode(), old.encode())
    derived = signing_keys(settings(), bytes(32))
    assert signing_keys(settings(jwt_secret_previous=SecretStr(old)), bytes(32)) == (*derived, old.encode())


@pytest.mark.parametrize("name", ["jwt_secret", "jwt_secret_previous"])
@pytest.mark.parametrize("environment", ["development", "production"])
def test_a_secret_that_could_be_guessed_is_refused_and_not_repeated(name: str, environment: str) -> None:
    with pytest.raises(SettingsInvalid, match=rf"{name.upper()} has 31 bytes") as raised:
        signing_keys(settings(environment=environment, **{name: SecretStr("s" * 31)}), bytes(32))
    assert "sss" not in str(raised.value)
    sample = settings(environment=environment, **{name: SecretStr(SAMPLE_SECRET)})
    if environment == "development":
        assert SAMPLE_SECRET.encode() in signing_keys(sample, bytes(32))
    else:
        with pytest.raises(SettingsInvalid, match="sample"):
            signing_keys(sample, bytes(32))
