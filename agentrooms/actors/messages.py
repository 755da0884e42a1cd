"""What actors say to each other. Plain data: the same bytes in one process and between many."""

from __future__ import annotations

import msgspec

from agentrooms.consensus.judgement import Case
from agentrooms.domain.act import Act
from agentrooms.domain.agent import AgentSpawned
from agentrooms.domain.deal import Acceptance, FailReason, Misbehaviour, Receipt, Terms, Vote
from agentrooms.domain.event import Event
from agentrooms.domain.progress import Stage
from agentrooms.domain.room import PersonSpoke
from agentrooms.domain.terms import LeaveReason, StrategyName, Style


class Message(msgspec.Struct, frozen=True, tag=True):
    """Base of all messages."""


class Tick(Message, frozen=True):
    """To a room: run this round."""

    round: int


class Spawn(Message, frozen=True):
    """To a room: let an agent join. Its mandate is in the vault; the room sets the round."""

    agent: AgentSpawned
    id: str = ""


class Pause(Message, frozen=True):
    """To a room: silence an agent."""

    agent: str
    id: str = ""


class Resume(Message, frozen=True):
    """To a room: let an agent speak again."""

    agent: str
    id: str = ""


class Remove(Message, frozen=True):
    """To a room: take an agent out."""

    agent: str
    reason: LeaveReason = LeaveReason.USER_REMOVED
    id: str = ""


class Reconfigure(Message, frozen=True):
    """To a room: change how an agent trades; None leaves as it is. A new mandate is in the vault."""

    agent: str
    strategy: StrategyName | None = None
    style: Style | None = None
    mandate_hash: str | None = None
    id: str = ""


class Close(Message, frozen=True):
    """To a room: close as soon as no deal is live."""

    id: str = ""


class Speak(Message, frozen=True):
    """To a room: a person says something; the room sets the round."""

    spoke: PersonSpoke
    id: str = ""


class Scheduled(Message, frozen=True):
    """To a room: take a command not before this round; those of one round in their `order`, then as they came."""

    round: int
    command: Spawn | Pause | Resume | Remove | Reconfigure | Close | Speak
    order: int = 0


Command = Spawn | Pause | Resume | Remove | Reconfigure | Close | Speak
"""What people want of a room. A command with an `id` has one effect, however often it is sent."""


class Decide(Message, frozen=True):
    """To an agent host: what was appended after `seq` in the room's chain; its agents' acts are wanted."""

    round: int
    seq: int
    news: tuple[Event, ...]


class Accepted(msgspec.Struct, frozen=True):
    """One agent's word for a deal that waits for it."""

    deal: str
    acceptance: Acceptance


class Acts(Message, frozen=True):
    """To a room: all acts of one host's agents in a round, and their words for deals; who is not named is silent."""

    round: int
    host: str
    acts: tuple[Act, ...]
    accepted: tuple[Accepted, ...] = ()


class VerifyDeal(Message, frozen=True):
    """To settlement: have the deal that both agents signed verified and, when approved, its transaction prepared."""

    terms: Terms
    acceptances: tuple[Acceptance, ...]
    at_ms: int


class Verdict(Message, frozen=True):
    """To a room: the votes on a deal; with an approval, the hash of the stored transaction. And who was found faulty."""

    deal: str
    votes: tuple[Vote, ...]
    tx_hash: str | None
    evidence: tuple[Misbehaviour, ...] = ()


class Resubmitted(Message, frozen=True):
    """To a room: the deal's transaction is stuck; another with the same nonce is stored and waits to be logged."""

    deal: str
    tx_hash: str


class Execute(Message, frozen=True):
    """To settlement: send the stored transaction, whose hash is in the log by now."""

    terms: Terms
    tx_hash: str
    at_ms: int


class CheckExpiry(Message, frozen=True):
    """To settlement: has anybody executed the deal, or does the final chain say that nobody can any more?"""

    terms: Terms
    at_ms: int
    tx_hash: str | None = None


class Outcome(Message, frozen=True):
    """To a room: how a deal ended on chain: `receipt` of its execution, or the reason it cannot be; neither: not yet."""

    deal: str
    receipt: Receipt | None
    reason: FailReason | None
    detail: str


class AskAgain(Message, frozen=True):
    """To a room: settlement was made anew and knows of no job; those without an answer are wanted once more."""


class Begin(Message, frozen=True):
    """To settlement: all of a room's jobs without an answer, in their order; jobs before this are among them."""

    room: str
    jobs: tuple[VerifyDeal | Execute | CheckExpiry, ...]


class AskVote(Message, frozen=True):
    """To a verifier: decide this deal. The whole case is in it, so that seven need not fetch what one has."""

    case: Case
    at_ms: int
    reply_to: str

    @property
    def terms(self) -> Terms:
        """The terms of the deal."""
        return self.case.terms


class VoteCast(Message, frozen=True):
    """To settlement: a verifier's decision."""

    vote: Vote


class Progressed(Message, frozen=True):
    """To whoever watches a room: how far a deal's settlement is. Not in the log; what counts is."""

    deal: str
    stage: Stage
    percent: int


class VoteTimeout(Message, frozen=True):
    """To settlement, from itself: the time for an answer is over."""

    deal: str
    ask: int


class Committed(Message, frozen=True):
    """To whoever watches a room: these events were appended, at this room time."""

    room: str
    at_ms: int
    round: int
    events: tuple[Event, ...]


class Refused(Message, frozen=True):
    """To whoever watches a room: a command was refused; nothing changed. `why` holds no value of any mandate.

    `id` is the command's own, `agent` the one it is about, each "" when there is none.
    """

    room: str
    command: str
    why: str
    id: str = ""
    agent: str = ""


class Done(Message, frozen=True):
    """To whoever watches a room: the command of this id was taken, now or before; it is so."""

    room: str
    id: str


class Pace(Message, frozen=True):
    """To a room's loop, not to the room: run rounds at so many times room time, 0 for as fast as they go."""

    speed: int
