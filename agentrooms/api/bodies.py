"""Reading the bodies of requests within bounds."""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.requests import ClientDisconnect

from agentrooms.api.problems import Problem


async def read_body(request: Request, *, bytes_max: int, timeout_s: float) -> bytes:
    """Returns the body of a request. Raises Problem for one that is too long, too slow or cut."""
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > bytes_max:
                    raise Problem(413, f"a body has at most {bytes_max} bytes")
    except TimeoutError as error:
        raise Problem(408, f"the body was not there within {timeout_s:g} s") from error
    except ClientDisconnect as error:
        raise Problem(400, "the body was cut") from error
    return bytes(body)
