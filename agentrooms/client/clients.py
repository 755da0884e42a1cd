"""The two clients: they carry out, step by step, what an exchange says is to be done."""

from __future__ import annotations

import asyncio
import threading
import time
from types import TracebackType
from typing import Self, TypeVar

import httpx

from agentrooms.api.models.auth import VerifiedBody
from agentrooms.api.models.rooms import EventsPage
from agentrooms.client.asking import AsyncAsking, SyncAsking
from agentrooms.client.call import Call
from agentrooms.client.calls.auth import logout
from agentrooms.client.calls.rooms import list_room_events
from agentrooms.client.exchange import Pause, Renew, Reply, Send, Session, Steps, exchange, good_token, signed_in
from agentrooms.client.feed import RoomFeed, SyncRoomFeed
from agentrooms.client.operations import Operations
from agentrooms.client.problem import ApiUnreachable
from agentrooms.client.signing import key_of

TIMEOUT_S = 60.0  # a command may take half a minute to be answered
Answer = TypeVar("Answer")


class Client(SyncAsking, Operations):
    """The API for programs that wait. Threads may share one. Use it in `with`, or close it.

    Every method raises ApiProblem when the API refuses and ApiUnreachable when none answers.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, transport: httpx.BaseTransport | None = None) -> None:
        """`url` is the API's origin, such as http://127.0.0.1:8000."""
        self.url = url.rstrip("/")
        self.session = Session()
        self._http = httpx.Client(base_url=self.url, timeout=timeout_s, transport=transport)
        self._renewing = threading.Lock()

    def ask(self, call: Call[Answer]) -> Answer:
        """Returns the answer of a call."""
        return self._carry_out(exchange(self.session, call))

    def sign_in(self, key: str | bytes) -> VerifiedBody:
        """Signs in with the private key of a wallet, which never leaves this process."""
        return self._carry_out(signed_in(self.session, key_of(key)))

    def sign_out(self) -> None:
        """Ends the session."""
        self.ask(logout(self.session.refresh))
        self.session.forget()

    def watch(self, room: str, *, after: int | None = None, log_id: str | None = None) -> SyncRoomFeed:
        """Returns a feed of a room's events: from now on, or from behind event `after` on."""
        return SyncRoomFeed(RoomFeed(_Waiting(self), room, after=after, log_id=log_id))

    def token(self, stale: str = "") -> str:
        """Returns an access token that is good for a while, another than one that is refused; "" for nobody's."""
        return self._carry_out(good_token(self.session, stale))

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _carry_out(self, steps: Steps[Answer]) -> Answer:
        reply: Reply | None = None
        failed: ApiUnreachable | None = None
        while True:
            try:
                step = steps.send(reply) if failed is None else steps.throw(failed)
            except StopIteration as done:
                answer: Answer = done.value
                return answer
            reply, failed = None, None
            match step:
                case Send():
                    try:
                        reply = self._send(step)
                    except httpx.TransportError as error:
                        failed = unreachable(self.url, error)
                case Pause():
                    time.sleep(step.seconds)
                case Renew():
                    with self._renewing:
                        if self.session.access == step.stale:
                            self._carry_out(self.session.renewed())

    def _send(self, step: Send) -> Reply:
        found = self._http.request(
            step.method, step.path, params=dict(step.query), headers=dict(step.headers), content=step.body
        )
        return Reply(found.status_code, dict(found.headers), found.content)


class AsyncClient(AsyncAsking, Operations):
    """The API for programs with an event loop; the same methods, to be awaited."""

    def __init__(
        self, url: str, *, timeout_s: float = TIMEOUT_S, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """`url` is the API's origin, such as http://127.0.0.1:8000."""
        self.url = url.rstrip("/")
        self.session = Session()
        self._http = httpx.AsyncClient(base_url=self.url, timeout=timeout_s, transport=transport)
        self._renewing = asyncio.Lock()

    async def ask(self, call: Call[Answer]) -> Answer:
        """Returns the answer of a call."""
        return await self._carry_out(exchange(self.session, call))

    async def sign_in(self, key: str | bytes) -> VerifiedBody:
        """Signs in with the private key of a wallet, which never leaves this process."""
        return await self._carry_out(signed_in(self.session, key_of(key)))

    async def sign_out(self) -> None:
        """Ends the session."""
        await self.ask(logout(self.session.refresh))
        self.session.forget()

    def watch(self, room: str, *, after: int | None = None, log_id: str | None = None) -> RoomFeed:
        """Returns a feed of a room's events: from now on, or from behind event `after` on."""
        return RoomFeed(self, room, after=after, log_id=log_id)

    async def events(self, room: str, after: int, limit: int) -> EventsPage:
        """Returns events of a room behind one, for feeds."""
        return await self.ask(list_room_events(room, after=after, limit=limit))

    async def token(self, stale: str = "") -> str:
        """Returns an access token that is good for a while, another than one that is refused; "" for nobody's."""
        return await self._carry_out(good_token(self.session, stale))

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _carry_out(self, steps: Steps[Answer]) -> Answer:
        reply: Reply | None = None
        failed: ApiUnreachable | None = None
        while True:
            try:
                step = steps.send(reply) if failed is None else steps.throw(failed)
            except StopIteration as done:
                answer: Answer = done.value
                return answer
            reply, failed = None, None
            match step:
                case Send():
                    try:
                        reply = await self._send(step)
                    except httpx.TransportError as error:
                        failed = unreachable(self.url, error)
                case Pause():
                    await asyncio.sleep(step.seconds)
                case Renew():
                    async with self._renewing:
                        if self.session.access == step.stale:
                            await self._carry_out(self.session.renewed())

    async def _send(self, step: Send) -> Reply:
        found = await self._http.request(
            step.method, step.path, params=dict(step.query), headers=dict(step.headers), content=step.body
        )
        return Reply(found.status_code, dict(found.headers), found.content)


def unreachable(url: str, error: Exception) -> ApiUnreachable:
    """Returns what a failed attempt to talk is to who asked."""
    return ApiUnreachable(
        f"{url} does not answer: {type(error).__name__}", hint="is it running, and is the address right?"
    )


class _Waiting:
    """A client that waits, for a feed that awaits: nothing else runs in its loop."""

    def __init__(self, client: Client) -> None:
        self.url = client.url
        self._client = client

    async def token(self, stale: str) -> str:
        return self._client.token(stale)

    async def events(self, room: str, after: int, limit: int) -> EventsPage:
        return self._client.ask(list_room_events(room, after=after, limit=limit))
