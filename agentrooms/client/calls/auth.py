"""Who is signed in."""

from __future__ import annotations

from agentrooms.api.models.auth import AccessBody, ChallengeBody, MeBody, SignedOutBody, VerifiedBody
from agentrooms.client.call import Call, get, write


def challenge(wallet: str) -> Call[ChallengeBody]:
    """Asks for a text that a wallet signs to sign in; `sign_in` does all of it."""
    return write("POST", "/auth/challenge", ChallengeBody, anonymous=True, harmless=True, wallet_address=wallet)


def verify(wallet: str, nonce: str, signature: str) -> Call[VerifiedBody]:
    """Sends the signed text; the tokens are in the answer and not yet the client's."""
    return write(
        "POST", "/auth/verify", VerifiedBody, anonymous=True, wallet_address=wallet, nonce=nonce, signature=signature
    )


def refresh(refresh_token: str) -> Call[AccessBody]:
    """Exchanges a refresh token for new tokens; a client does it by itself in time.

    The API has the same answer for the same token for some seconds, should the first one be lost.
    """
    return write("POST", "/auth/refresh", AccessBody, anonymous=True, harmless=True, refresh_token=refresh_token)


def logout(refresh_token: str) -> Call[SignedOutBody]:
    """Ends a session; `sign_out` ends the client's own."""
    return write("POST", "/auth/logout", SignedOutBody, anonymous=True, refresh_token=refresh_token)


def me() -> Call[MeBody]:
    """Asks who is signed in."""
    return get("/auth/me", MeBody)
