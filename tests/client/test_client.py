"""Both clients against a running API."""

from __future__ import annotations

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
from eth_account import Account

from agentrooms.api.home import Home
from agentrooms.client import ApiProblem, ApiUnreachable, AsyncClient, Client, Trader, sign_typed
from agentrooms.client.calls.auth import refresh
from agentrooms.errors import InvalidInput
from agentrooms.live.commands import OpenRoom


def new_key() -> str:
    return secrets.token_hex(32)


@pytest.fixture(scope="module")
def room(home: Home) -> str:
    return home.asking.ask(OpenRoom(id="client", name="The client's", collection=None)).room


def test_a_wallet_signs_in_acts_and_signs_out(url: str, room: str) -> None:
    key = new_key()
    with Client(url) as client:
        user = client.sign_in(key).user

        assert user.wallet_address == Account.from_key(key).address
        assert client.me().user == user
        assert client.send_message(room, "Good evening.").user_id == user.id
        client.sign_out()
        with pytest.raises(ApiProblem) as caught:
            client.me()

    assert (caught.value.status, caught.value.code) == (401, "not_signed_in")


def test_an_agent_is_drafted_signed_spawned_steered_and_removed(url: str, room: str) -> None:
    key = new_key()
    with Client(url) as client:
        client.sign_in(key)
        client.fund_wallet()
        trader = Trader(
            room_id=room,
            role="buyer",
            communication_style="casual",
            strategy="patient",
            starting_price="40.25",
            max_price="52.50",
            name="Ada",
        )
        draft = client.draft_mandate(trader)
        agent = client.spawn_agent(trader, draft.mandate_id, sign_typed(key, draft.typed_data)).agent

        assert (agent.name, agent.role, agent.room_id) == ("Ada", "buyer", room)
        assert agent.mandate is not None
        assert agent.mandate.max_price_micros == "52500000"
        assert client.steer_agent(agent.id, "pause").agent.status == "paused"
        assert [one.id for one in client.list_my_agents().agents] == [agent.id]
        assert client.remove_agent(agent.id).message == "Agent removed from room"


def test_a_refusal_says_what_is_wrong_and_what_to_do(url: str) -> None:
    with Client(url) as client, pytest.raises(ApiProblem) as caught:
        client.get_room("room_none")

    problem = caught.value
    assert (problem.status, problem.code) == (404, "not_found")
    assert "room_none" in str(problem)
    assert problem.request_id


def test_an_access_token_that_is_refused_is_renewed_by_one_of_many_threads(url: str) -> None:
    with Client(url) as client:
        client.sign_in(new_key())
        client.session.access = "eyJhbGciOiJIUzI1NiJ9.e30.forged"
        before = client.session.refresh

        with ThreadPoolExecutor(4) as pool:
            users = {found.user.id for found in pool.map(lambda _n: client.me(), range(8))}

        assert len(users) == 1
        assert client.session.refresh != before


def test_a_session_that_has_ended_is_begun_again_with_the_key(url: str) -> None:
    with Client(url) as client:
        client.sign_in(new_key())
        user = client.me().user
        stolen = client.session.refresh
        client.ask(refresh(stolen))
        client.session.refresh, client.session.expires_at_s = "none-of-yours", 0.0

        assert client.me().user == user


def test_without_the_key_the_end_of_a_session_is_a_problem(url: str) -> None:
    with Client(url) as client:
        client.sign_in(new_key())
        client.session._key = None
        client.session.refresh, client.session.expires_at_s = "none-of-yours", 0.0

        with pytest.raises(ApiProblem) as caught:
            client.me()

    assert caught.value.status == 401


def test_the_client_that_is_awaited_does_the_same(url: str, room: str) -> None:
    async def script() -> None:
        async with AsyncClient(url) as client:
            user = (await client.sign_in(new_key())).user
            client.session.access = "eyJhbGciOiJIUzI1NiJ9.e30.forged"
            found = await asyncio.gather(*(client.me() for _n in range(5)))
            assert {one.user.id for one in found} == {user.id}
            assert (await client.get_room(room)).room.name == "The client's"
            with pytest.raises(ApiProblem):
                await client.get_agent("agent_none")
            await client.sign_out()

    asyncio.run(script())


def test_nobody_at_the_address_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agentrooms.client.exchange.PAUSE_S", 0.0)
    with Client("http://127.0.0.1:1") as client, pytest.raises(ApiUnreachable, match="does not answer"):
        client.get_health()


@pytest.mark.parametrize("key", ["", "0x12", b"\x01" * 31, "g" * 64])
def test_what_is_no_key_is_said_without_it(url: str, key: str | bytes) -> None:
    with Client(url) as client, pytest.raises(InvalidInput) as caught:
        client.sign_in(key)

    assert str(caught.value) == "a private key is 32 bytes, or 64 hex digits"
