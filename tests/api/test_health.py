"""Whether a process is alive can be asked while it can do nothing else."""

from __future__ import annotations

import asyncio

import anyio.to_thread
import httpx

from agentrooms import __version__
from agentrooms.api.app import rest_app


def test_a_process_whose_threads_all_wait_is_alive() -> None:
    async def script() -> httpx.Response:
        threads = anyio.to_thread.current_default_thread_limiter()
        for n in range(int(threads.total_tokens)):
            threads.acquire_on_behalf_of_nowait(n)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(rest_app(None)), base_url="http://api.test") as http:
            async with asyncio.timeout(10):
                return await http.get("/healthz")

    assert asyncio.run(script()).json() == {"status": "ok", "version": __version__}
