"""One client's queue: in order, bounded, and of statistics only the newest."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.api.sockets import outbox
from agentrooms.api.sockets.outbox import LAGGED, Close, Message, Outbox

MAX = 6
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("offer"), st.integers(0, 4)),
        st.tuples(st.just("newest"), st.sampled_from("ab")),
        st.tuples(st.just("take"), st.just(0)),
        st.tuples(st.just("close"), st.just(0)),
    ),
    max_size=30,
)


def _message(number: int) -> Message:
    return Message("m", str(number))


@given(STEPS)
def test_it_is_a_bounded_queue_with_newest_values(steps: list[tuple[str, int | str]]) -> None:
    async def play() -> None:
        box, count = Outbox(MAX), 0
        waiting: list[int] = []
        newest: dict[str, int] = {}
        closing: Close | None = None
        for step, value in steps:
            if step == "offer":
                assert isinstance(value, int)
                new = list(range(count, count + value))
                count += value
                box.offer([_message(n) for n in new])
                if closing is None and len(waiting) + len(new) > MAX:
                    closing, waiting, newest = Close.LAGGED, [], {}
                elif closing is None:
                    waiting += new
            elif step == "newest":
                box.offer_newest(value, _message(count))
                if closing is None:
                    newest[str(value)] = count
                count += 1
            elif step == "close":
                box.close(Close.RESTART, "restart")
                closing = closing or Close.RESTART
            elif waiting or newest or closing:
                assert [int(m.text) for m in await box.take()] == [*waiting, *newest.values()]
                waiting, newest = [], {}
            assert box.closing is closing
        if box.closing is Close.LAGGED:
            assert box.reason == LAGGED

    asyncio.run(play())


def test_who_waits_is_woken() -> None:
    async def play() -> list[str]:
        box = Outbox()
        taking = asyncio.create_task(box.take())
        await asyncio.sleep(0)
        box.offer([_message(1)])
        box.offer([_message(2)])
        got = [m.text for m in await taking]
        closing = asyncio.create_task(box.take())
        await asyncio.sleep(0)
        box.close(Close.RESTART, "restart")
        return [*got, *(m.text for m in await closing)]

    assert asyncio.run(play()) == ["1", "2"]


def test_its_characters_are_bounded_but_one_long_message_goes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "WAITING_CHARACTERS_MAX", 5)

    async def play() -> list[Close | None]:
        box = Outbox()
        box.offer([Message("m", "1234567")])
        seen = [box.closing]
        await box.take()
        box.offer([Message("m", "123")])
        box.offer([Message("m", "45")])
        seen.append(box.closing)
        box.offer([Message("m", "6")])
        assert await box.take() == []
        return [*seen, box.closing]

    assert asyncio.run(play()) == [None, None, Close.LAGGED]


def test_room_is_waited_for_until_what_waits_is_taken_or_never_will_be() -> None:
    async def play() -> list[bool]:
        box = Outbox()
        await box.room()
        seen = []
        for end in (box.take, None):
            box.offer([_message(1)])
            waiting = [asyncio.create_task(box.room()) for _ in range(2)]
            await asyncio.sleep(0)
            seen.append(any(one.done() for one in waiting))
            if end is not None:
                await end()
            else:
                box.close(Close.RESTART, "restart")
            await asyncio.gather(*waiting)
        await box.room()
        return seen

    assert asyncio.run(play()) == [False, False]


def test_a_message_is_one_packet_of_socket_io() -> None:
    message = Message("agent_message", '{"price":48.25}')
    assert json.loads(message.packet[1:]) == ["agent_message", {"price": 48.25}]
    assert message.packet is message.packet
