"""Who is asking: dependencies of endpoints. An access token comes in the Authorization header and nowhere else."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from agentrooms.api import logs
from agentrooms.api.home import Home, HomeDep
from agentrooms.api.problems import Problem

_BEARER = HTTPBearer(
    scheme_name="bearer",
    bearerFormat="JWT",
    description="From POST /auth/verify or /auth/refresh",
    auto_error=False,
)
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
NOBODY_TOO: dict[str, Any] = {"security": [{}]}
"""Says in an operation's description (`openapi_extra`) that a token may come along and need not."""


class Principal(msgspec.Struct, frozen=True):
    """A user who is signed in. `wallet` in lower case."""

    user: str
    wallet: str
    admin: bool
    expires_at_s: int
    session: str


def authenticate(home: Home, access_token: str) -> Principal:
    """Returns whose token it is. Raises Problem (401), StoreError."""
    claims = home.sign_in.read(access_token)
    wallet = claims.walletAddress.lower()
    return Principal(claims.sub, wallet, wallet in home.admins, claims.exp, claims.sid)


def maybe_signed_in(home: HomeDep, bearer: Bearer) -> Principal | None:
    """Returns who is asking, None for a request without a token; one with a bad token is refused."""
    if bearer is None:
        return None
    principal = authenticate(home, bearer.credentials)
    logs.note(user=principal.user)
    return principal


MaybeSignedIn = Annotated[Principal | None, Depends(maybe_signed_in)]


def signed_in(principal: MaybeSignedIn) -> Principal:
    """Returns who is asking. Raises Problem 401 for nobody."""
    if principal is None:
        raise Problem(401, "this needs a signed-in user", hint="send Authorization: Bearer and an access token")
    return principal


SignedIn = Annotated[Principal, Depends(signed_in)]


def admin(principal: SignedIn) -> Principal:
    """Returns the admin who is asking. Raises Problem 403 for anybody else."""
    if not principal.admin:
        raise Problem(403, "this is for the wallets in ADMIN_WALLETS", hint="sign in with one of them")
    return principal


Admin = Annotated[Principal, Depends(admin)]
