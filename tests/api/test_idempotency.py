"""One key, one request, one effect, over HTTP on a real system; nobody has another's answers."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar
from unittest.mock import patch

import httpx
import pytest
from fastapi import APIRouter, Body, Request, Response
from fastapi.responses import StreamingResponse
from fastapi.routing import APIRoute

from agentrooms.api.app import Application
from agentrooms.api.asking import command_id
from agentrooms.api.auth.principal import SignedIn
from agentrooms.api.home import Home, HomeDep
from agentrooms.api.idempotency import HEADER, REPLAYED, once
from agentrooms.api.problems import Problem
from agentrooms.api.strict import StrictRequest
from agentrooms.live.commands import OpenRoom
from tests.api.system import ORIGIN, bearer, running_home, sign_in

T = TypeVar("T")
Script = Callable[[httpx.AsyncClient, dict[str, str]], Coroutine[Any, Any, T]]


class KeyedRoute(APIRoute):
    """A strict route whose requests are done once a key."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def keyed(request: Request) -> Response:
            return await once(StrictRequest(request.scope, request.receive), handle)

        return keyed


class Door:
    """Endpoints that count how often they were done, and one that waits to be let on."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.entered, self.open = threading.Event(), threading.Event()
        self.router = APIRouter(route_class=KeyedRoute)
        self.router.add_api_route("/made", self.made, methods=["POST", "PUT"], status_code=201)
        self.router.add_api_route("/refused", self.refused, methods=["POST"])
        self.router.add_api_route("/trouble", self.trouble, methods=["POST"])
        self.router.add_api_route("/fault", self.fault, methods=["POST"])
        self.router.add_api_route("/streamed", self.streamed, methods=["POST"])
        self.router.add_api_route("/slow", self.slow, methods=["POST"])
        self.router.add_api_route("/open-room", self.open_room, methods=["POST"])
        self.router.add_api_route("/made", self.read, methods=["GET"])

    def made(self, principal: SignedIn, response: Response, what: Annotated[str, Body(embed=True)]) -> dict[str, Any]:
        self.done.append(what)
        response.headers["ETag"] = '"1"'
        response.headers["Set-Cookie"] = "a=b"
        return {"what": what, "user": principal.user, "number": len(self.done)}

    def refused(self, principal: SignedIn) -> None:
        self.done.append("refused")
        raise Problem(409, f"the room says no, {len(self.done)}")

    def trouble(self, principal: SignedIn) -> None:
        self.done.append("trouble")
        raise Problem(503, "away")

    def fault(self, principal: SignedIn) -> None:
        self.done.append("fault")
        raise RuntimeError

    def streamed(self, principal: SignedIn) -> Response:
        self.done.append("streamed")
        return StreamingResponse(iter([b"a", b"b"]))

    def slow(self, principal: SignedIn) -> str:
        self.done.append("slow")
        self.entered.set()
        assert self.open.wait(60)
        return "done"

    def open_room(self, principal: SignedIn, home: HomeDep, request: Request) -> str:
        id_ = command_id(principal.user, request.headers.get(HEADER))
        return home.asking.ask(OpenRoom(id=id_, name="Once")).room

    def read(self) -> int:
        self.done.append("read")
        return len(self.done)


@pytest.fixture(scope="module")
def home(postgres_dsn: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A running system's home."""
    path: Path = tmp_path_factory.mktemp("data")
    with running_home(postgres_dsn, redis_url, path, requests_per_minute=100_000) as home:
        yield home


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def ask(home: Home, door: Door) -> Callable[[Script[Any]], Any]:
    """Runs a script with a client and the headers of a user of its own, with a key."""

    def run(script: Script[Any]) -> Any:
        async def whole() -> Any:
            app = Application(home)
            app.rest.include_router(door.router)
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
                return await script(http, await keyed(http))

        return asyncio.run(whole())

    return run


async def keyed(http: httpx.AsyncClient) -> dict[str, str]:
    signed_in = await sign_in(http, b"\1" + secrets.token_bytes(31))
    return {**bearer(signed_in["accessToken"]), HEADER: "key-1"}


def kept(answer: httpx.Response) -> tuple[int, str, str | None, bytes]:
    return answer.status_code, answer.headers["content-type"], answer.headers.get("etag"), answer.content


def test_the_same_request_again_has_the_same_answer_and_no_effect(ask: Any, door: Door) -> None:
    """Also refreshed: the key is the user's, not the token's."""

    async def script(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
        first = await http.post("/made", json={"what": "a"}, headers=headers)
        again = await http.post("/made", json={"what": "a"}, headers=headers)
        assert first.status_code == 201
        assert kept(again) == kept(first)
        assert (REPLAYED in first.headers, again.headers[REPLAYED]) == (False, "true")
        assert "set-cookie" not in again.headers
        fresh = (await http.post("/auth/refresh", headers={"Origin": ORIGIN})).json()["accessToken"]
        later = await http.post("/made", json={"what": "a"}, headers={**headers, **bearer(fresh)})
        assert kept(later) == kept(first)

    ask(script)
    assert door.done == ["a"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/made", b'{"what":"b"}'),
        ("POST", "/made", b'{"what": "a"}'),
        ("PUT", "/made", b'{"what":"a"}'),
        ("POST", "/made?x=1", b'{"what":"a"}'),
        ("POST", "/refused", b'{"what":"a"}'),
    ],
)
def test_another_request_under_the_key_is_refused(ask: Any, door: Door, method: str, path: str, body: bytes) -> None:
    async def script(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
        headers["Content-Type"] = "application/json"
        await http.post("/made", content=b'{"what":"a"}', headers=headers)
        answer = await http.request(method, path, content=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")

    ask(script)
    assert door.done == ["a"]


def test_a_refusal_is_an_answer_but_trouble_is_not(ask: Any, door: Door) -> None:
    async def script(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
        first, again = [await http.post("/refused", headers=headers) for _ in range(2)]
        assert first.json()["code"] == "refused"
        assert kept(again) == kept(first)
        for number, (path, status) in enumerate([("/trouble", 503), ("/fault", 500), ("/streamed", 200)]):
            for _ in range(2):
                answer = await http.post(path, headers={**headers, HEADER: f"other-{number}"})
                assert (answer.status_code, REPLAYED in answer.headers) == (status, False)
        for _ in range(2):
            answer = await http.post("/made", json={}, headers={**headers, HEADER: "invalid"})
            assert (answer.status_code, REPLAYED in answer.headers) == (422, False)
        assert (await http.post("/made", json={"what": "a"}, headers={**headers, HEADER: "invalid"})).status_code == 201

    ask(script)
    assert door.done == ["refused", *["trouble"] * 2, *["fault"] * 2, *["streamed"] * 2, "a"]


def test_while_it_is_being_done_the_same_again_is_told_to_wait(ask: Any, door: Door) -> None:
    async def script(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
        doing = asyncio.create_task(http.post("/slow", headers=headers))
        await asyncio.to_thread(door.entered.wait, 60)
        meanwhile = await http.post("/slow", headers=headers)
        door.open.set()
        assert (meanwhile.status_code, meanwhile.json()["code"]) == (409, "in_progress")
        assert int(meanwhile.headers["retry-after"]) >= 1
        first = await doing
        assert kept(await http.post("/slow", headers=headers)) == kept(first)

    ask(script)
    assert door.done == ["slow"]


def test_keys_are_a_users_own_and_without_one_each_request_is_done(ask: Any, door: Door) -> None:
    async def script(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
        other = await keyed(http)
        answers = [await http.post("/made", json={"what": "a"}, headers=one) for one in (headers, other)]
        assert answers[0].json()["user"] != answers[1].json()["user"]
        del headers[HEADER]
        for _ in range(2):
            await http.post("/made", json={"what": "b"}, headers=headers)
        del other["Authorization"]
        assert (await http.post("/made", json={"what": "a"}, headers=other)).status_code == 401
        forged = {**other, **bearer("a.b.c")}
        assert (await http.post("/made", json={"what": "a"}, headers=forged)).status_code == 401

    ask(script)
    assert door.done == ["a", "a", "b", "b"]


def test_reads_have_no_key(ask: Any, door: Door) -> None:
    async def script(http: httpx.AsyncClient, headers: dict[str, str]) -> list[int]:
        return [(await http.get("/made", headers=headers)).json() for _ in range(2)]

    assert ask(script) == [1, 2]


@pytest.mark.parametrize("key", ["", "a b", "k" * 256, "ä"])
def test_a_key_is_visible_ascii_of_bounded_length(ask: Any, door: Door, key: str) -> None:
    async def script(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
        raw = {name.encode(): value.encode() for name, value in {**headers, HEADER: key}.items()}
        answer = await http.post("/made", json={"what": "a"}, headers=raw)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")

    ask(script)
    assert door.done == []


def test_a_crash_after_the_effect_and_before_the_answer_doubles_nothing(ask: Any, home: Home) -> None:
    """The key is given back as if the process had died; the command's id follows from the key all the same."""

    async def script(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
        with patch.object(home.idempotency, "keep", lambda begun, _answer: home.idempotency.let_go(begun)):
            first = await http.post("/open-room", headers=headers)
        again = await http.post("/open-room", headers=headers)
        assert first.status_code == again.status_code == 200
        assert REPLAYED not in again.headers
        assert again.json() == first.json()

    ask(script)
