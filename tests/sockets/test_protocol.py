"""The conversation over /ws, against a real log, Redis and server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from agentrooms.api.models.socket import Joined
from agentrooms.domain.user import user_id
from agentrooms.events.postgres_log import PostgresLog
from tests.sockets.stage import ORIGIN, QUICK, WALLETS, Client, Process, Room, serving, spoken, until

Visit = Callable[..., Client]


def ended(socket: ClientConnection) -> int:
    """The code with which a socket is closed before anything is sent."""
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(20)
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


def test_a_spectator_gets_a_snapshot_then_every_event_once_in_order(visit: Visit, room: Room) -> None:
    client = visit()
    joined = client.join(room)
    assert not joined["recovered"]
    assert joined["seq"] == joined["head"] == room.head == joined["snapshot"]["seq"]
    assert [one["seq"] for one in joined["recent"]] == list(range(1, room.head + 1))
    first = room.head + 1
    for private in (False, True, False):
        room.round(private=private)
    assert client.until(room.head) == list(range(first, room.head + 1))
    assert client.events == room.frames()[first - 1 :]
    assert "private" in {event["type"] for event in client.events}


def test_what_is_joined_fits_its_model(visit: Visit, room: Room) -> None:
    joined = visit().join(room)
    assert json.loads(Joined.model_validate(joined).model_dump_json()) == joined


def test_a_client_resumes_behind_the_last_event_it_has(visit: Visit, room: Room) -> None:
    room.round(5)
    joined = visit().join(room, after=3)
    assert joined["recovered"]
    assert (joined["seq"], joined["head"], joined["snapshot"]) == (3, room.head, None)
    client = visit()
    client.join(room, after=3)
    assert client.until(room.head) == list(range(4, room.head + 1))
    assert client.events == room.frames()[3:]


def test_who_has_all_gets_nothing_and_who_missed_too_much_gets_a_snapshot(visit: Visit, room: Room) -> None:
    assert visit().join(room, after=room.head)["recovered"]
    room.round(320)
    late = visit().join(room, after=room.head - 301)
    assert (late["recovered"], late["snapshot"]["seq"]) == (False, room.head)
    assert len(late["recent"]) == 50
    assert visit().join(room, after=room.head - 300)["recovered"]


def test_a_number_of_the_future_or_of_another_log_is_not_resumed(visit: Visit, room: Room) -> None:
    assert not visit().join(room, after=room.head + 1)["recovered"]
    assert not visit().join(room, after=room.head, logId="another")["recovered"]
    known = visit().join(room)["logId"]
    assert visit().join(room, after=room.head, logId=known)["recovered"]


def test_a_frame_that_redis_lost_is_read_from_the_log(visit: Visit, room: Room) -> None:
    client = visit()
    client.join(room)
    first = room.head + 1
    room.round(2, publish=False)
    room.round(1)
    assert client.until(room.head) == list(range(first, room.head + 1))


def test_statistics_come_with_the_join_and_when_they_change(visit: Visit, room: Room) -> None:
    client = visit()
    client.join(room)
    stats = client.hear("room_stats")
    assert (stats["activeBuyers"], stats["activeSellers"], stats["asOfSeq"]) == (3, 3, room.head)


def test_a_room_is_left(visit: Visit, room: Room, process: Process) -> None:
    client = visit()
    client.join(room)
    client.say(type="leave_room", roomId=room.id)
    assert client.hear("left")["roomId"] == room.id
    room.round()
    client.say(type="ping", id="p")
    assert client.hear("pong")["id"] == "p"
    assert client.events == []
    client.say(type="leave_room", roomId=room.id)
    assert client.hear("error")["code"] == "not_found"


def test_heartbeats_say_where_rooms_are(visit: Visit, room: Room) -> None:
    client = visit()
    client.join(room)
    while client.hear("hb")["head"] != {room.id: room.head}:
        pass


def test_an_unknown_room_is_refused_and_the_conversation_goes_on(visit: Visit, room: Room) -> None:
    client = visit()
    client.say(type="join_room", roomId="room_nowhere")
    error = client.hear("error")
    assert (error["code"], error["roomId"]) == ("not_found", "room_nowhere")
    assert client.join(room)["head"] == room.head


def test_a_user_speaks_and_the_words_price_is_proposed_to_them_alone(
    visit: Visit, room: Room, process: Process
) -> None:
    ann, ben = visit("ann"), visit("ben")
    assert ann.hear("authenticated")["userId"] == user_id(WALLETS["ann"])
    ann.join(room)
    ben.join(room)
    ann.say(type="send_message", roomId=room.id, message="  I'd take 45.50 USDC\u202e ", id="m1")
    assert ann.hear("ack") == {"type": "ack", "id": "m1", "roomId": room.id}
    proposal = ann.hear("proposal")
    assert (proposal["price"], proposal["priceMicros"]) == (45.5, "45500000")
    assert proposal["text"] == "I'd take 45.50 USDC"
    assert proposal["confirm"]["path"] == "/agents/mandate"
    assert proposal["confirm"]["body"] == {"roomId": room.id, "startingPrice": 45.5}
    assert process.said[-1] == (WALLETS["ann"], room.id, "I'd take 45.50 USDC", "m1")
    room.write([spoken(2, "hello")])
    ben.until(room.head)
    assert ben.events[-1]["message"] == "hello"
    assert ben.events[-1]["user"]["wallet"] == WALLETS["ann"]
    assert "proposal" not in {frame["type"] for frame in ben.others}


def test_words_without_a_price_propose_nothing_and_refused_words_are_told(visit: Visit, room: Room) -> None:
    client = visit("ann")
    client.say(type="send_message", roomId=room.id, message="please refuse 45 USDC", id="m2")
    error = client.hear("error")
    assert (error["code"], error["id"], error["roomId"]) == ("refused", "m2", room.id)
    client.say(type="send_message", roomId=room.id, message="hello there")
    client.hear("ack")
    client.say(type="ping")
    client.hear("pong")
    assert "proposal" not in {frame["type"] for frame in client.others}


def test_a_spectator_does_not_speak(visit: Visit, room: Room) -> None:
    client = visit()
    client.say(type="send_message", roomId=room.id, message="hello")
    assert client.hear("error")["code"] == "not_signed_in"


def test_too_many_messages_are_refused(visit: Visit, room: Room) -> None:
    client = visit("ben")
    codes = set()
    for _ in range(12):
        client.say(type="send_message", roomId=room.id, message="hello")
        frame = client.next()
        while frame["type"] not in {"ack", "error"}:
            frame = client.next()
        codes.add(frame.get("code"))
    assert "rate_limited" in codes


@pytest.mark.parametrize(
    "said",
    [
        "",
        "{",
        "[]",
        "3",
        '{"type":"join_room"}',
        '{"type":"dance"}',
        '{"type":"join_room","roomId":"../../etc"}',
        '{"type":"join_room","roomId":"r","after":1.5}',
        '{"type":"join_room","roomId":"r","after":-1}',
        '{"type":"join_room","roomId":"r","after":"1"}',
        '{"type":"send_message","roomId":"r","message":""}',
        '{"type":"ping","ping":1}',
        '{"type":"ping","type":"ping"}',
        "[" * 4000,
        '{"type":"join_room","roomId":4817.23}',
    ],
)
def test_what_is_not_understood_is_told_without_repeating_it(visit: Visit, said: str) -> None:
    client = visit()
    client.socket.send(said)
    error = client.hear("error")
    assert error["code"] in {"invalid", "malformed"}
    assert "4817" not in error["message"]
    client.say(type="ping")
    client.hear("pong")


def test_who_is_never_understood_is_closed(visit: Visit) -> None:
    client = visit()
    for _ in range(10):
        client.socket.send("what?")
    assert client.closed()[0] == 4400


def test_bytes_and_long_frames_are_closed(visit: Visit) -> None:
    client = visit()
    client.socket.send(b"\x00")
    assert client.closed()[0] == 4400
    client = visit()
    client.socket.send(json.dumps({"type": "ping", "id": "x" * 9_000}))
    assert client.closed()[0] == 1009


def test_who_talks_too_much_is_closed(visit: Visit) -> None:
    client = visit()
    for _ in range(600):  # the first frame was one, too
        client.say(type="ping")
    assert client.closed()[0] == 4429


def test_a_bad_token_is_told_and_closed(visit: Visit) -> None:
    client = visit("mallory")
    assert client.hear("error")["code"] == "token_invalid"
    assert client.closed() == (4401, "token_invalid")


def test_a_database_that_is_away_is_not_a_bad_token(visit: Visit) -> None:
    client = visit("away")
    assert client.hear("error")["code"] == "unavailable"


def test_who_says_nothing_in_time_is_closed(process: Process) -> None:
    with connect(f"ws://127.0.0.1:{process.port}/ws") as socket:
        assert ended(socket) == 4408


def test_the_first_message_says_who(process: Process, room: Room) -> None:
    with connect(f"ws://127.0.0.1:{process.port}/ws") as socket:
        socket.send(json.dumps({"type": "join_room", "roomId": room.id}))
        assert json.loads(socket.recv(20))["code"] == "not_signed_in"
        assert ended(socket) == 4401


def test_a_token_that_expires_or_is_revoked_ends_the_session(visit: Visit, process: Process) -> None:
    process.expiring["ann"] = int(time.time()) + 1
    try:
        client = visit("ann")
        client.hear("authenticated")
        assert client.closed() == (4401, "token_expired")
    finally:
        del process.expiring["ann"]
    client = visit("ben")
    client.hear("authenticated")
    process.revoked.add("ben")
    try:
        assert client.closed() == (4401, "token_invalid")
    finally:
        process.revoked.discard("ben")


def test_who_has_logged_out_speaks_no_more(store: PostgresLog, redis_url: str, room: Room) -> None:
    with serving(store, redis_url, replace(QUICK, recheck_s=3_600)) as process, closing(Client(process, "ann")) as ann:
        ann.hear("authenticated")
        process.revoked.add("ann")
        ann.say(type="send_message", roomId=room.id, message="hello")
        assert ann.hear("error")["code"] == "token_invalid"
        assert ann.closed()[0] == 4401
        assert not process.said


def test_a_session_takes_a_new_token_of_the_same_user_only(visit: Visit, process: Process) -> None:
    client = visit("ann")
    client.hear("authenticated")
    client.say(type="auth", token="ann")
    client.hear("authenticated")
    client.say(type="auth", token="ben")
    assert client.hear("error")["code"] == "forbidden"
    client.say(type="spectate")
    assert client.hear("error")["code"] == "forbidden"


def test_pages_of_other_origins_are_closed(visit: Visit, room: Room, process: Process) -> None:
    assert visit(origin=ORIGIN).join(room)["head"] == room.head
    with connect(f"ws://127.0.0.1:{process.port}/ws", origin=Origin("https://evil.example")) as socket:
        assert ended(socket) == 4403


def test_there_is_one_path(process: Process) -> None:
    with pytest.raises(InvalidStatus, match="403"), connect(f"ws://127.0.0.1:{process.port}/elsewhere"):
        pass


def test_the_subprotocol_is_taken_when_it_is_offered(visit: Visit) -> None:
    assert visit(subprotocols=[Subprotocol("agentrooms.v1")]).socket.subprotocol == "agentrooms.v1"
    assert visit().socket.subprotocol is None


def test_presence_is_shown_and_ends_by_itself(visit: Visit, room: Room, process: Process) -> None:
    redis = process._redis
    user = user_id(WALLETS["ann"])

    def sessions() -> list[object]:
        keys = list(redis.scan_iter("ws:session:*"))
        return [key for key in keys if redis.hmget(key, "userId", "roomId") == [user, room.id]]

    client = visit("ann")
    client.join(room)
    until(sessions)
    assert all(0 < int(redis.ttl(key)) <= 60 for key in redis.scan_iter("ws:session:*"))
    client.close()
    until(lambda: not sessions())
