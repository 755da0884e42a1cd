"""Access tokens: JSON web tokens signed with HS256 and nothing else, for minutes, each of one session.

The secret is JWT_SECRET, else one that follows from the installation's own. To change it, put the old one into
JWT_SECRET_PREVIOUS until the last token signed with it is over.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable

import jwt
import msgspec
from pydantic import SecretStr

from agentrooms.accounts.schema import now_ms
from agentrooms.accounts.sessions import Session
from agentrooms.api.auth.siwe import checksum_address
from agentrooms.api.problems import Problem
from agentrooms.live.wallets import subkey
from agentrooms.services.settings import Settings, SettingsInvalid

ALGORITHM = "HS256"
AUDIENCE = "agentrooms"
SECRET_BYTES_MIN = 32
SAMPLE_SECRET = "your-super-secret-jwt-key-change-in-production"  # known from the product's papers
SKEW_S = 5  # how far the clocks of two API processes may be apart
TOKEN_LETTERS_MAX = 2_048
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class Claims(msgspec.Struct, frozen=True):
    """What a token says. `sid` is its session; `walletAddress` as EIP-55 spells it; times in s."""

    sub: str
    walletAddress: str  # noqa: N815 - the PRD's name of the claim
    sid: str
    jti: str
    iat: int
    exp: int
    iss: str
    aud: str


class Tokens:
    """Makes and reads access tokens. `issuer` is the origin of this API."""

    def __init__(
        self,
        keys: tuple[bytes, ...],
        issuer: str,
        minutes: int,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        """`keys`: the secret that signs, then those that are still good for reading."""
        self._keys = {_name(key): key for key in reversed(keys)}
        self._signing = keys[0]
        self._issuer = issuer
        self._lifetime_s = minutes * 60
        self._clock_ms = clock_ms

    def issue(self, session: Session) -> tuple[str, Claims]:
        """Returns a token of a session, which ends no later than it does, and what it says."""
        now_s = self._clock_ms() // 1_000
        claims = Claims(
            sub=session.user,
            walletAddress=checksum_address(session.wallet),
            sid=session.id,
            jti=secrets.token_hex(16),
            iat=now_s,
            exp=min(now_s + self._lifetime_s, session.expires_at_ms // 1_000),
            iss=self._issuer,
            aud=AUDIENCE,
        )
        headers = {"kid": _name(self._signing)}
        return jwt.encode(msgspec.to_builtins(claims), self._signing, ALGORITHM, headers=headers), claims

    def read(self, token: str) -> Claims:
        """Returns what a token says. Raises Problem: `token_expired`, or `token_invalid` for any that is not ours."""
        if len(token) > TOKEN_LETTERS_MAX or _TOKEN.fullmatch(token) is None:
            raise _invalid()
        try:
            key = self._keys[jwt.get_unverified_header(token)["kid"]]
            said = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=self._issuer,
                options={"verify_exp": False, "verify_iat": False},  # below, by the clock of this object
            )
            claims = msgspec.convert(said, Claims)
        except (jwt.InvalidTokenError, msgspec.ValidationError, KeyError, TypeError, RecursionError) as error:
            raise _invalid() from error
        now_s = self._clock_ms() // 1_000
        if claims.exp <= now_s:
            raise Problem(401, "the access token has expired", code="token_expired", hint="POST /auth/refresh")
        if claims.iat > now_s + SKEW_S:
            raise _invalid()
        return claims


def signing_keys(settings: Settings, installation_secret: bytes) -> tuple[bytes, ...]:
    """Returns the secrets of tokens, the signing one first. Raises SettingsInvalid for one that could be guessed."""
    given = [("JWT_SECRET", settings.jwt_secret), ("JWT_SECRET_PREVIOUS", settings.jwt_secret_previous)]
    keys = [_checked(name, secret, settings.environment) for name, secret in given if secret is not None]
    if settings.jwt_secret is None:
        keys.insert(0, subkey(installation_secret, "jwt", "1") + subkey(installation_secret, "jwt", "2"))
    return tuple(keys)


def _checked(name: str, secret: SecretStr, environment: str) -> bytes:
    text = secret.get_secret_value()
    how = "make one with: python -c 'import secrets; print(secrets.token_hex(32))'"
    if text == SAMPLE_SECRET and environment != "development":
        raise SettingsInvalid(f"{name} is a sample that everybody knows", hint=how)
    if len(text.encode()) < SECRET_BYTES_MIN:
        raise SettingsInvalid(f"{name} has {len(text.encode())} bytes, needs {SECRET_BYTES_MIN} or more", hint=how)
    return text.encode()


def _name(key: bytes) -> str:
    """Returns the name by which a token says its key."""
    return hashlib.sha256(b"agentrooms-jwt-kid\x1f" + key).hexdigest()[:16]


def _invalid() -> Problem:
    return Problem(401, "the access token is not one of this API's", code="token_invalid", hint="sign in again")
