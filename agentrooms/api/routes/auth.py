"""Sign-in with a wallet: challenge, verify, refresh, logout, me.

The refresh token goes out in the body, for programs, and in a cookie that no script can read, for pages. A request that
relies on the cookie must come from a page of ours, so that no other page can use it (CSRF).
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Cookie, Depends, Request, Response

from agentrooms.api.asking import command_id
from agentrooms.api.auth.principal import NOBODY_TOO, Bearer, SignedIn, authenticate
from agentrooms.api.auth.signing_in import SignedIn as Tokens
from agentrooms.api.home import Home, HomeDep
from agentrooms.api.limits import MINUTE_S, SIGN_INS_PER_MINUTE, client_of
from agentrooms.api.models.auth import (
    AccessBody,
    ChallengeAsked,
    ChallengeBody,
    MeBody,
    RefreshAsked,
    SignedOutBody,
    UserBody,
    VerifiedBody,
    VerifyAsked,
    user_body,
)
from agentrooms.api.models.base import iso, problems
from agentrooms.api.problems import Problem
from agentrooms.api.strict import StrictRoute
from agentrooms.live.commands import RegisterUser
from agentrooms.projections import queries

COOKIE, COOKIE_PATH = "refreshToken", "/auth"

router = APIRouter(prefix="/auth", tags=["auth"], route_class=StrictRoute)


def _uncached(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"


def _cookie_of_ours(
    request: Request, home: HomeDep, refresh_token: Annotated[str | None, Cookie(alias=COOKIE)] = None
) -> str | None:
    """Returns the cookie's refresh token, None when there is none or another page sends it along."""
    return refresh_token if request.headers.get("origin") in home.origins else None


CookieToken = Annotated[str | None, Depends(_cookie_of_ours)]


@router.post(
    "/challenge",
    operation_id="challenge",
    summary="Ask for a text that a wallet signs to sign in",
    dependencies=[Depends(_uncached)],
)
def challenge(request: Request, home: HomeDep, body: ChallengeAsked) -> ChallengeBody:
    """The text holds once and for five minutes."""
    _limit(request, home, "challenge", body.wallet_address)
    made = home.sign_in.challenge(body.wallet_address)
    return ChallengeBody(message=made.message, nonce=made.nonce, expires_at=iso(made.expires_at_ms))


@router.post(
    "/verify",
    operation_id="verify",
    summary="Sign in with the signed text",
    dependencies=[Depends(_uncached)],
    responses=problems(401),
)
def verify(request: Request, response: Response, home: HomeDep, body: VerifyAsked) -> VerifiedBody:
    """A wallet's first sign-in makes it a user."""
    _limit(request, home, "verify", body.wallet_address)
    home.reads.run(lambda connection: _registered_at_ms(connection, ""))  # else a nonce would be used up in vain
    home.sign_in.prove(body.wallet_address, body.nonce, body.signature)
    user = _registered(home, body.wallet_address)
    tokens = home.sign_in.start(body.wallet_address)
    _set_cookie(response, home, tokens)
    return VerifiedBody(**_access(tokens).model_dump(by_alias=False), user=user)


@router.post(
    "/refresh",
    operation_id="refresh",
    summary="Exchange a refresh token for new tokens",
    dependencies=[Depends(_uncached)],
    responses=problems(401),
)
def refresh(
    response: Response,
    home: HomeDep,
    cookie: CookieToken,
    body: RefreshAsked | None = None,
) -> AccessBody:
    """A refresh token is used once; using one again ends its session, except within seconds after an answer was lost."""
    token = (body.refresh_token if body is not None else None) or cookie
    if token is None:
        raise _nothing_given()
    tokens = home.sign_in.refresh(token)
    _set_cookie(response, home, tokens)
    return _access(tokens)


@router.post(
    "/logout",
    operation_id="logout",
    summary="End the session",
    dependencies=[Depends(_uncached)],
    responses=problems(401),
    openapi_extra=NOBODY_TOO,
)
def logout(
    response: Response,
    home: HomeDep,
    cookie: CookieToken,
    bearer: Bearer,
    body: RefreshAsked | None = None,
) -> SignedOutBody:
    """All its tokens hold no more, those for access too."""
    token = (body.refresh_token if body is not None else None) or cookie
    if token is None and bearer is None:
        raise _nothing_given()
    home.sign_in.end(refresh_token=token, session=_session_of(home, bearer, alone=token is None))
    response.delete_cookie(COOKIE, path=COOKIE_PATH, secure=_is_secure(home), httponly=True, samesite="strict")
    return SignedOutBody(message="signed out")


@router.get("/me", operation_id="me", summary="Who is signed in")
def me(home: HomeDep, principal: SignedIn) -> MeBody:
    """The user of the access token."""
    return MeBody(user=_registered(home, principal.wallet))


def _session_of(home: Home, bearer: Bearer, *, alone: bool) -> str | None:
    """Returns the session of an access token. Raises Problem 401 for one that does not hold and came `alone`."""
    if bearer is None:
        return None
    try:
        return authenticate(home, bearer.credentials).session
    except Problem:
        if alone:
            raise
        return None


def _registered(home: Home, wallet: str) -> UserBody:
    """Returns a wallet's user, making it one if it is none yet."""
    known = user_body(wallet, 0).id
    created_at_ms = home.reads.run(lambda connection: _registered_at_ms(connection, known))
    if created_at_ms is None:
        home.asking.ask(RegisterUser(id=command_id(known, None), wallet=wallet))
        created_at_ms = home.reads.run(lambda connection: queries.user(connection, known).registered_at_ms)
        assert created_at_ms is not None, "the tables hold what was answered"
    return user_body(wallet, created_at_ms)


def _registered_at_ms(connection: queries.Connection, user: str) -> int | None:
    try:
        return queries.user(connection, user).registered_at_ms
    except queries.NotFound:
        return None


def _limit(request: Request, home: Home, what: str, wallet: str) -> None:
    """Counts an attempt of this address for a wallet: nobody can use up those of a wallet's owner."""
    client = home.limits.hidden(f"{client_of(request.scope, home.settings.trusted_proxies)} {wallet}")
    home.limits.require(f"{what}:{client}", SIGN_INS_PER_MINUTE, MINUTE_S, "attempts to sign in")


def _access(tokens: Tokens) -> AccessBody:
    return AccessBody(
        access_token=tokens.access_token, expires_at=iso(tokens.claims.exp * 1_000), refresh_token=tokens.granted.token
    )


def _set_cookie(response: Response, home: Home, tokens: Tokens) -> None:
    response.set_cookie(
        COOKIE,
        tokens.granted.token,
        max_age=tokens.granted.session.expires_at_ms // 1_000 - tokens.claims.iat,
        path=COOKIE_PATH,
        secure=_is_secure(home),
        httponly=True,
        samesite="strict",
    )


def _is_secure(home: Home) -> bool:
    return home.public_url.startswith("https://") or home.settings.environment == "production"


def _nothing_given() -> Problem:
    return Problem(
        401,
        "no refresh token came along",
        hint="send refreshToken in the body, or the cookie from a page of PUBLIC_URL or ALLOWED_ORIGINS",
    )
