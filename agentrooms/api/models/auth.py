"""Sign-in as it goes in and out."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from agentrooms.accounts.sessions import TOKEN_LETTERS
from agentrooms.api.auth.signing_in import SIGNATURE_BYTES_MAX
from agentrooms.api.auth.siwe import checksum_address
from agentrooms.api.models.base import Asked, Time, Wire, iso
from agentrooms.domain.user import user_id

WALLET = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"  # in examples
NONCE = "1ec0f1f4c6b94f38a9a7a0b0b6a2a3d5"
SIGNATURE = "0x" + "5a" * 64 + "1b"
REFRESH_TOKEN = "q83vEjRWeJq83vEjRWeJqs0SNFZ4mrzd7wEjRWeJq83vEjRWeJq83vEjRWeJq83v"
ACCESS_TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyX3gifQ.c2lnbmF0dXJl"
MESSAGE = f"agentrooms.example wants you to sign in with your Ethereum account:\n{WALLET}\n\n…"
NONCE_LETTERS_MAX = 100


def _wallet(text: str) -> str:
    lower = text.lower()
    if text not in {lower, checksum_address(lower), "0x" + text[2:].upper()}:
        raise ValueError("an address in mixed case must be spelled as EIP-55 says; this one has a wrong letter")
    return lower


WalletAddress = Annotated[
    str,
    Field(
        pattern=r"^0x[0-9a-fA-F]{40}$",
        description="Address of a wallet: in lower case, or as EIP-55 spells it",
        examples=[WALLET],
    ),
    AfterValidator(_wallet),
]
"""An address that is given: lower case in the program."""

RefreshToken = Annotated[
    str, Field(min_length=1, max_length=2 * TOKEN_LETTERS, description="Used once", examples=[REFRESH_TOKEN])
]


class ChallengeAsked(Asked):
    """Whose wallet signs in."""

    wallet_address: WalletAddress


class ChallengeBody(Wire):
    """What the wallet signs, as it is (personal_sign), within five minutes; each text for one attempt."""

    message: str = Field(description="The text to sign (EIP-4361)", examples=[MESSAGE])
    nonce: str = Field(description="Its name, for /auth/verify", examples=[NONCE])
    expires_at: Time


class VerifyAsked(Asked):
    """The signed challenge."""

    wallet_address: WalletAddress
    signature: str = Field(
        pattern=r"^(0x)?[0-9a-fA-F]+$",
        max_length=2 * SIGNATURE_BYTES_MAX + 2,
        description="The wallet's signature of the message in hex, or what a contract wallet takes for one (ERC-1271)",
        examples=[SIGNATURE],
    )
    nonce: str = Field(min_length=1, max_length=NONCE_LETTERS_MAX, pattern=r"^[0-9A-Za-z-]+$", examples=[NONCE])


class UserBody(Wire):
    """A user: one wallet that has signed in."""

    id: str = Field(examples=["user_ay4tm7xyljtd2"])
    wallet_address: str = Field(description="As EIP-55 spells it", examples=[WALLET])
    created_at: Time


class AccessBody(Wire):
    """The tokens to use from now on."""

    access_token: str = Field(description="For the header Authorization: Bearer", examples=[ACCESS_TOKEN])
    expires_at: Time
    refresh_token: str = Field(
        description="For POST /auth/refresh, once; also in the cookie refreshToken", examples=[REFRESH_TOKEN]
    )


class VerifiedBody(AccessBody):
    """The tokens, and who it is."""

    user: UserBody


class RefreshAsked(Asked):
    """A refresh token; left out, it is the cookie's."""

    refresh_token: RefreshToken | None = None


class MeBody(Wire):
    """Who is signed in."""

    user: UserBody


class SignedOutBody(Wire):
    """It is done."""

    message: str = Field(examples=["signed out"])


def user_body(wallet: str, created_at_ms: int) -> UserBody:
    """Returns a user as it goes out."""
    return UserBody(id=user_id(wallet), wallet_address=checksum_address(wallet), created_at=iso(created_at_ms))
