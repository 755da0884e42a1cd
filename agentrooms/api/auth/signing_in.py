"""Signing in with a wallet: a text to sign, a signature to check, a session with its tokens.

A signature is that of the wallet's key (65 bytes, low s) or, for a contract wallet, what its `isValidSignature` takes
(ERC-1271). A wallet that is not deployed yet (ERC-6492) is told so.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Callable

import msgspec

from agentrooms.accounts.challenges import CHALLENGE_MS, Challenge, Challenges, ChallengesFull
from agentrooms.accounts.schema import DAY_MS, now_ms
from agentrooms.accounts.sessions import Granted, Session, SessionEnded, Sessions
from agentrooms.api.auth.siwe import SignInText, domain_of, signed_digest
from agentrooms.api.auth.tokens import Claims, Tokens, signing_keys
from agentrooms.api.problems import Problem
from agentrooms.domain.secp256k1 import SIGNATURE_BYTES, recover
from agentrooms.events.postgres import Connections
from agentrooms.services.settings import Settings

SIGNATURE_BYTES_MAX = 4_096  # a contract wallet's may be many in one
UNDEPLOYED = bytes.fromhex("6492" * 16)  # what an ERC-6492 signature ends with
_HEX = re.compile(r"(?:0x)?((?:[0-9a-fA-F]{2})+)")

IsValidSignature = Callable[[str, bytes, bytes], bool]
"""Asks the contract at an address whether it takes a signature over a 32-byte hash; False where there is none."""


class SignedIn(msgspec.Struct, frozen=True):
    """A session with the tokens to use now. Never logged."""

    granted: Granted
    access_token: str
    claims: Claims


class SignIn:
    """Sign-in of one API. Methods raise Problem, and StoreError when Postgres cannot be reached."""

    def __init__(
        self,
        accounts: Connections,
        settings: Settings,
        secret: bytes,
        origin: str,
        chain_id: int,
        is_valid_signature: IsValidSignature,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        """`secret`: the installation's. `origin`: where people reach us. Raises SettingsInvalid for a weak JWT_SECRET."""
        self._challenges = Challenges(accounts, clock_ms)
        self._sessions = Sessions(accounts, settings.refresh_token_days * DAY_MS, clock_ms)
        self._tokens = Tokens(signing_keys(settings, secret), origin, settings.access_token_minutes, clock_ms)
        self._origin = origin
        self._chain_id = chain_id
        self._is_valid_signature = is_valid_signature
        self._clock_ms = clock_ms

    def challenge(self, wallet: str) -> Challenge:
        """Returns a text for a wallet (lower case) to sign."""
        now, nonce = self._clock_ms(), uuid.uuid4().hex
        text = SignInText(self._origin, wallet, self._chain_id, nonce, now, now + CHALLENGE_MS)
        challenge = Challenge(nonce, wallet, text.domain, self._chain_id, str(text), text.expires_at_ms)
        try:
            self._challenges.open(challenge)
        except ChallengesFull as error:
            raise Problem(503, str(error), hint=error.hint) from error
        return challenge

    def prove(self, wallet: str, nonce: str, signature: str) -> None:
        """Returns when a wallet has signed the text of a nonce. Each call uses the nonce up, whatever comes of it."""
        found = self._challenges.use(nonce, wallet, domain_of(self._origin), self._chain_id)
        raw = _signature(signature)
        if found is None:
            raise _not_signed("this nonce is not open: used, over, or of another wallet")
        if raw.endswith(UNDEPLOYED):
            raise _not_signed(
                "the signature is of a wallet that is not deployed (ERC-6492), which this chain cannot check",
                hint="deploy the wallet first, then sign in",
            )
        digest = signed_digest(found.message)
        if recover(digest, _spelled(raw)) != wallet and not self._is_valid_signature(wallet, digest, raw):
            raise _not_signed("the signature is not this wallet's over this text")

    def start(self, wallet: str) -> SignedIn:
        """Opens a session of a wallet that has proved itself."""
        return self._with_access(self._sessions.start(wallet))

    def sessions_of(self, user: str) -> list[Session]:
        """Returns a user's open sessions. Raises StoreError."""
        return self._sessions.of(user)

    def refresh(self, refresh_token: str) -> SignedIn:
        """Uses a refresh token."""
        try:
            return self._with_access(self._sessions.refresh(refresh_token))
        except SessionEnded as error:
            raise Problem(401, str(error), code="token_invalid", hint=error.hint) from error

    def read(self, access_token: str) -> Claims:
        """Returns what an access token says, when it and its session hold."""
        claims = self._tokens.read(access_token)
        if not self._sessions.is_open(claims.sid):
            raise Problem(401, "this session has ended", code="token_expired", hint="sign in again")
        return claims

    def end(self, *, refresh_token: str | None = None, session: str | None = None) -> None:
        """Ends the sessions that are given. One that has ended, and a text that is no token, are fine."""
        if refresh_token is not None:
            with contextlib.suppress(SessionEnded):
                self._sessions.end_by(refresh_token)
        if session is not None:
            self._sessions.end(session)

    def _with_access(self, granted: Granted) -> SignedIn:
        return SignedIn(granted, *self._tokens.issue(granted.session))


def _signature(text: str) -> bytes:
    found = _HEX.fullmatch(text)
    if found is None or len(found[1]) > 2 * SIGNATURE_BYTES_MAX:
        raise _not_signed("a signature is 0x and an even number of hex digits")
    return bytes.fromhex(found[1])


def _spelled(raw: bytes) -> str:
    """Returns a key's signature as `recover` reads it: some wallets end it with 0 or 1 for 27 or 28."""
    if len(raw) == SIGNATURE_BYTES and raw[-1] in {0, 1}:
        raw = raw[:-1] + bytes([raw[-1] + 27])
    return raw.hex()


def _not_signed(detail: str, *, hint: str = "") -> Problem:
    return Problem(
        401, detail, code="signature_invalid", hint=hint or "ask for a new challenge and sign its message as it is"
    )
