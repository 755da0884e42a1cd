"""The header Idempotency-Key: the same request again under the same key has the same answer and no second effect.

Keys are a user's own and hold for a day. Only answers that say what became of the request are kept: done, or refused by
a rule. After a crash in between, the request is done again, harmlessly: the ids of its commands follow from the key.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from agentrooms.accounts.idempotency import Begun, Busy, Kept, Mismatch
from agentrooms.api.auth.principal import authenticate
from agentrooms.api.home import home_of
from agentrooms.api.problems import Problem, answer

HEADER, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
WRITES = frozenset({"DELETE", "PATCH", "POST", "PUT"})
AUTH_PREFIX = "/auth/"  # sign-in has rules of its own for what is sent twice, and tokens are kept nowhere
KEPT_HEADERS = ("content-type", "etag", "location")
BEARER = "bearer "
_KEY = re.compile(r"[!-~]{1,255}")

Handler = Callable[[Request], Awaitable[Response]]


async def once(request: Request, handle: Handler) -> Response:
    """Returns what `handle` answers, or what it answered to the same request under the same key."""
    key = request.headers.get(HEADER)
    bearer = request.headers.get("authorization", "")
    if (
        key is None
        or request.method not in WRITES
        or request.url.path.startswith(AUTH_PREFIX)
        or not bearer.lower().startswith(BEARER)  # nobody: the endpoint says what it says to nobody
    ):
        return await handle(request)
    if _KEY.fullmatch(key) is None:
        raise Problem(422, f"{HEADER} is 1 to 255 visible ASCII characters", hint="such as a random UUID")
    home = home_of(request)
    principal = await run_in_threadpool(authenticate, home, bearer[len(BEARER) :].strip())
    asked = f"{request.method} {request.url.path}?{request.url.query}\n".encode() + await request.body()
    found = await run_in_threadpool(home.idempotency.begin, principal.user, key, asked)
    match found:
        case Kept():
            return Response(found.body, found.status, {**found.headers, REPLAYED: "true"})
        case Mismatch():
            raise Problem(
                422, f"another request had this {HEADER}", code="idempotency_mismatch", hint="use a key of its own"
            )
        case Busy():
            raise Problem(
                409,
                f"the request with this {HEADER} is being done",
                code="in_progress",
                hint="send it again in a moment",
                retry_after_s=1,
            )
    return await _done(request, handle, found)


async def _done(request: Request, handle: Handler, begun: Begun) -> Response:
    idempotency = home_of(request).idempotency
    try:
        response = await handle(request)
    except Problem as problem:
        if problem.code != "refused":
            await run_in_threadpool(idempotency.let_go, begun)
            raise
        response = answer(problem)
    except Exception:
        await run_in_threadpool(idempotency.let_go, begun)
        raise
    body = getattr(response, "body", None)
    if isinstance(body, bytes):
        headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        await run_in_threadpool(idempotency.keep, begun, Kept(response.status_code, headers, body))
    else:  # streamed
        await run_in_threadpool(idempotency.let_go, begun)
    return response
