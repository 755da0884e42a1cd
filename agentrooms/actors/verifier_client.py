"""The stand-in of a verifier that somebody runs elsewhere: asked by message here, over HTTP there.

No answer, or a broken one, is silence: the tally asks again, and a vote counts only by its own signatures.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from pathlib import Path

import httpx
import msgspec
from nacl.signing import SigningKey

from agentrooms.actors.messages import AskVote, Message, VoteCast
from agentrooms.actors.runtime import Send
from agentrooms.actors.verifier_wire import (
    ANSWER_BYTES_MAX,
    NONCE_BYTES,
    REQUEST_BYTES_MAX,
    RUN_CONSENSUS,
    Consensus,
    RunConsensus,
    authorization,
)
from agentrooms.domain.verifier_set import VERIFIERS, Verifier, is_bound
from agentrooms.errors import AgentroomsError, InvalidInput

ANSWER_S = 1.5  # for a whole answer; settlement asks again after 1.666 s
KEEPALIVE_S = 20.0  # less than the service keeps an idle connection

log = logging.getLogger(__name__)


class RemoteMember(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member of the set that runs elsewhere: what `agentrooms verifier identity` printed there, and where to ask it."""

    url: str
    member: Verifier


class NoAnswer(AgentroomsError):
    """A remote verifier gave no usable answer in time."""


class RemoteVerifier:
    """A remote verifier's stand-in. One call at a time, as any actor."""

    def __init__(self, member: Verifier, url: str, caller: bytes) -> None:
        """`caller` is the 32-byte key that requests are signed with. Raises InvalidInput for a bad URL."""
        self._member = member
        self._url = check_url(url).rstrip("/") + RUN_CONSENSUS
        self._key = SigningKey(caller)
        # The mandates go to this one address: no proxies of the environment, no redirects, no names of a .netrc.
        self._client = httpx.AsyncClient(
            timeout=ANSWER_S, trust_env=False, limits=httpx.Limits(max_connections=1, keepalive_expiry=KEEPALIVE_S)
        )
        self._runner = asyncio.Runner()  # a loop can be held to a time in all; blocking calls only to one a read

    def receive(self, message: Message) -> list[Send]:
        """Passes a question on, and the vote back."""
        assert isinstance(message, AskVote)
        try:
            answer = self._ask(message)
        except (NoAnswer, httpx.HTTPError, TimeoutError) as error:
            log.warning("%s at %s is silent: %s", self._member.id, self._url, str(error) or type(error).__name__)
            return []
        return [Send(message.reply_to, VoteCast(answer.vote))]

    def close(self) -> None:
        """Ends the connection."""
        self._runner.run(self._client.aclose())
        self._runner.close()

    def _ask(self, asked: AskVote) -> Consensus:
        body = msgspec.json.encode(RunConsensus(deal_id=asked.terms.deal, case=asked.case))
        if len(body) > REQUEST_BYTES_MAX:
            raise NoAnswer(f"the case has {len(body)} bytes, {REQUEST_BYTES_MAX} are the most it takes")
        try:
            answer = msgspec.json.decode(self._runner.run(self._post(body)), type=Consensus)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise NoAnswer("its answer is not what a verifier says") from error
        if answer.vote.verifier != self._member.id:
            raise NoAnswer("its answer is another verifier's vote")
        return answer

    async def _post(self, body: bytes) -> bytes:
        """Returns the answer's bytes. Raises NoAnswer, httpx.HTTPError or TimeoutError."""
        at_ms, nonce = time.time_ns() // 1_000_000, secrets.token_bytes(NONCE_BYTES)
        signed = authorization(self._key, self._member.public_key, RUN_CONSENSUS, body, at_ms=at_ms, nonce=nonce)
        headers = {"authorization": signed, "content-type": "application/json", "accept-encoding": "identity"}
        answer = bytearray()
        async with (
            asyncio.timeout(ANSWER_S),
            self._client.stream("POST", self._url, content=body, headers=headers) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise NoAnswer(f"it answered HTTP {response.status_code}")
            async for chunk in response.aiter_raw():
                answer += chunk
                if len(answer) > ANSWER_BYTES_MAX:
                    raise NoAnswer(f"its answer has more than {ANSWER_BYTES_MAX} bytes")
        return bytes(answer)


def load_remotes(path: Path) -> tuple[RemoteMember, ...]:
    """Returns the remote members that a file lists, as JSON: `[{"url": …, "member": {…}}, …]`.

    Raises InvalidInput, which says what is wrong with it.
    """
    hint = "a list of {url, member}; `agentrooms verifier identity` prints a member"
    try:
        remotes = msgspec.json.decode(path.read_bytes(), type=tuple[RemoteMember, ...])
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", hint=hint) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"{path} lists no verifiers: {error}", hint=hint) from error
    names = [remote.member.id for remote in remotes]
    if len(set(names)) != len(names) or len(names) > VERIFIERS:
        raise InvalidInput(f"{path} lists {len(names)} verifiers; a set has {VERIFIERS}, each once", hint=hint)
    for remote in remotes:
        check_url(remote.url)
        if not is_bound(remote.member):
            raise InvalidInput(f"{path}: the two keys of {remote.member.id} have not signed for each other", hint=hint)
    return remotes


def check_url(url: str) -> str:
    """Returns the URL of a service. Raises InvalidInput for one that cannot be asked, or that holds a password."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InvalidInput(f"not a URL: {error}", hint="such as https://verifier.example:8750") from error
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.userinfo or parsed.query or parsed.fragment:
        raise InvalidInput(
            f"not the URL of a verifier: {parsed.scheme}://{parsed.host}",
            hint="http or https, a host and a port, no password: requests are signed",
        )
    return url
