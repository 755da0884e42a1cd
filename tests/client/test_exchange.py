"""What is sent when, in answer to what: without a network."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentrooms.api.models.operations import Alive
from agentrooms.api.models.rooms import Said
from agentrooms.client.call import NULL, Call, at, get, write
from agentrooms.client.calls.auth import challenge, refresh, verify
from agentrooms.client.calls.rooms import send_message
from agentrooms.client.exchange import (
    ATTEMPTS_MAX,
    RETRY_AFTER_MAX_S,
    Pause,
    Renew,
    Reply,
    Send,
    Session,
    Step,
    exchange,
    good_token,
)
from agentrooms.client.problem import AnswerUnreadable, ApiProblem, ApiUnreachable
from agentrooms.errors import InvalidInput

ALIVE = Reply(200, {}, b'{"status":"ok","version":"1"}')
BUSY = Reply(503, {"retry-after": "2"}, b'{"code":"unavailable","message":"away","hint":"wait"}')
LIMITED = Reply(429, {"retry-after": "7"}, b'{"code":"rate_limited","message":"too many"}')
EXPIRED = Reply(401, {}, b'{"code":"token_expired","message":"over"}')
GONE = ApiUnreachable("nobody there")
HEALTH = get("/healthz", Alive)


def run(call: Call[Any], *answers: Reply | ApiUnreachable, session: Session | None = None) -> tuple[Any, list[Step]]:
    """Carries out a call with given answers; returns what it ends with and all steps."""
    steps = exchange(session or Session(), call)
    rest, taken = list(answers), []
    reply: Reply | None = None
    failed: ApiUnreachable | None = None
    try:
        while True:
            step = steps.send(reply) if failed is None else steps.throw(failed)
            taken.append(step)
            reply = failed = None
            if isinstance(step, Send):
                given = rest.pop(0)
                reply, failed = (given, None) if isinstance(given, Reply) else (None, given)
            if isinstance(step, Renew) and session is not None:
                session.access = "fresh"
    except StopIteration as done:
        assert rest == []
        return done.value, taken
    except (ApiProblem, ApiUnreachable, AnswerUnreadable) as error:
        assert rest == []
        return error, taken


def pauses(steps: list[Step]) -> list[float]:
    return [step.seconds for step in steps if isinstance(step, Pause)]


def signed_in() -> Session:
    session = Session()
    session.access, session.refresh, session.expires_at_s = "old", "r", float("inf")
    return session


def test_an_answer_is_read_as_its_model() -> None:
    assert run(HEALTH, ALIVE)[0] == Alive(status="ok", version="1")


def test_what_passes_is_waited_for_as_long_as_the_api_says() -> None:
    answer, steps = run(HEALTH, BUSY, LIMITED, ALIVE)

    assert isinstance(answer, Alive)
    assert pauses(steps) == [2.0, 7.0]


def test_a_wait_that_is_too_long_is_the_callers_to_decide() -> None:
    later = Reply(429, {"retry-after": str(int(RETRY_AFTER_MAX_S) + 1)}, LIMITED.body)

    problem, steps = run(HEALTH, later)

    assert (problem.code, problem.retry_after_s) == ("rate_limited", RETRY_AFTER_MAX_S + 1)
    assert pauses(steps) == []


def test_attempts_are_bounded() -> None:
    problem, _steps = run(HEALTH, *[BUSY] * ATTEMPTS_MAX)
    silence, steps = run(HEALTH, *[GONE] * ATTEMPTS_MAX)

    assert (problem.status, problem.code, problem.hint) == (503, "unavailable", "wait")
    assert silence is GONE
    assert len(pauses(steps)) == ATTEMPTS_MAX - 1


def test_a_write_that_got_no_answer_is_sent_again_with_the_same_key_and_body() -> None:
    call = send_message("room_a", "hello")

    _answer, steps = run(call, GONE, Reply(201, {}, b'{"roomId":"room_a","userId":"u","message":"hello"}'))

    first, second = (step for step in steps if isinstance(step, Send))
    assert first == second
    assert len(first.headers["Idempotency-Key"]) == 32


def test_a_write_that_is_still_being_done_is_asked_for_again() -> None:
    under_way = Reply(409, {"retry-after": "1"}, b'{"code":"in_progress","message":"it is being done"}')
    done = Reply(201, {}, b'{"roomId":"room_a","userId":"u","message":"hello"}')

    answer, steps = run(send_message("room_a", "hello"), GONE, under_way, done)

    assert isinstance(answer, Said)
    assert pauses(steps)[1:] == [1.0]


def test_of_the_calls_without_a_key_those_are_sent_again_that_do_no_harm_twice() -> None:
    repeated = [call.path for call in (challenge("0x"), refresh("r"), verify("0x", "n", "s")) if call.is_repeatable]

    assert repeated == ["/auth/challenge", "/auth/refresh"]


def test_two_writes_have_two_keys() -> None:
    assert send_message("room_a", "hello").key != send_message("room_a", "hello").key


def test_a_sign_in_that_got_no_answer_is_not_sent_again() -> None:
    """It has no key, so nobody knows whether it was done."""
    from agentrooms.client.calls.auth import verify

    assert run(verify("0x", "n", "0x"), GONE)[0] is GONE


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 500, 502])
def test_what_does_not_pass_is_not_asked_again(status: int) -> None:
    problem, _steps = run(HEALTH, Reply(status, {"x-request-id": "abcdefgh"}, b'{"code":"c","message":"m"}'))

    assert (problem.status, problem.code, str(problem), problem.request_id) == (status, "c", "m", "abcdefgh")


def test_an_answer_of_something_in_between_is_a_problem_too() -> None:
    problem, _steps = run(HEALTH, Reply(502, {}, b"<html>Bad gateway</html>"))

    assert (problem.status, problem.code, str(problem)) == (502, "http_502", "<html>Bad gateway</html>")


def test_a_token_that_is_refused_is_renewed_once() -> None:
    session = signed_in()
    answer, steps = run(HEALTH, EXPIRED, ALIVE, session=session)
    again, _steps = run(HEALTH, EXPIRED, EXPIRED, session=signed_in())

    assert isinstance(answer, Alive)
    assert steps[1] == Renew("old")
    assert [step.headers["Authorization"] for step in steps if isinstance(step, Send)] == ["Bearer old", "Bearer fresh"]
    assert again.code == "token_expired"


def test_a_token_is_renewed_before_it_ends() -> None:
    session = signed_in()
    session.expires_at_s = 0.0

    steps = exchange(session, HEALTH)

    assert next(steps) == Renew("old")


def test_nobodys_refusal_renews_nothing() -> None:
    problem, steps = run(HEALTH, EXPIRED)

    assert problem.status == 401
    assert len(steps) == 1


def test_a_feed_gets_another_token_than_one_that_is_refused() -> None:
    session = signed_in()

    assert next(good_token(session, "old")) == Renew("old")
    with pytest.raises(StopIteration, match="old"):
        next(good_token(session, "older"))


def test_an_answer_of_another_version_is_told_by_its_place_and_not_by_its_values() -> None:
    error, _steps = run(HEALTH, Reply(200, {}, b'{"status":"4817.23"}'))

    assert isinstance(error, AnswerUnreadable)
    assert "GET /healthz" in str(error)
    assert "version" in str(error)
    assert "4817" not in str(error)


def test_fields_that_are_none_are_left_out_and_null_is_sent_as_null() -> None:
    call = write("PUT", "/x", Said, first_one=1, second=None, third=NULL)

    assert json.loads(call.body or b"") == {"firstOne": 1, "third": None}


def test_what_is_in_a_path_stays_in_its_part() -> None:
    assert at("rooms", "../admin?x=1#y", "stats") == "/rooms/..%2Fadmin%3Fx%3D1%23y/stats"


@pytest.mark.parametrize("part", ["", ".", ".."])
def test_a_part_that_would_step_aside_is_refused(part: str) -> None:
    """`/me/webhooks/..` would be `/me`, and DELETE of that erases the account."""
    with pytest.raises(InvalidInput, match="names nothing"):
        at("me", "webhooks", part)
