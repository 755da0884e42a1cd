"""What people may ask of the running system, and what it answers. JSON in the inbox, checked where it enters.

A command's `id` is made by who sends it: with it the command has one effect, however often it is sent.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from agentrooms.domain.agent import AVATAR_CHARACTERS_MAX
from agentrooms.domain.agent import NAME_CHARACTERS_MAX as AGENT_NAME_CHARACTERS_MAX
from agentrooms.domain.assets import Wants
from agentrooms.domain.canonical import normalise
from agentrooms.domain.money import PRICE_MAX_USDC_MICROS
from agentrooms.domain.swarm import SPEEDS
from agentrooms.domain.terms import Role, StrategyName, Style
from agentrooms.errors import InvalidInput
from agentrooms.sim.settings import ROUND_MS_MAX, ROUNDS_MAX, SIDE_MAX

BODY_BYTES_MAX = 16_384
ID_CHARACTERS_MAX = 100
NAME_CHARACTERS_MAX = 100  # a room's; the PRD's VARCHAR(100)
ROUND_MS_MIN = 50  # faster than that a round's append is all a room does
SEED_MAX = (1 << 53) - 1  # the largest integer that every JSON reader keeps

_ID = re.compile(rf"[A-Za-z0-9._:-]{{1,{ID_CHARACTERS_MAX}}}")
_OWN_IDS = frozenset({"desk", "genesis", "open", "round", "swarm"})  # what the system's own ids begin with

Named = Annotated[str, Meta(max_length=ID_CHARACTERS_MAX, pattern=r"^[ -~]+$")]  # an id or name there is: plain ASCII
Price = Annotated[int, Meta(ge=1, le=PRICE_MAX_USDC_MICROS)]
Side = Annotated[int, Meta(ge=1, le=SIDE_MAX)]


class _Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="command"):
    """Base of all commands."""

    id: str


class OpenRoom(_Command, frozen=True, kw_only=True, tag="room.open"):
    """Open a room. `collection` is a registered collection's address, or the demo's name; None is the demo's."""

    name: Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
    collection: Named | None = None
    round_ms: Annotated[int, Meta(ge=ROUND_MS_MIN, le=ROUND_MS_MAX)] = 1_000
    quote_rounds: Annotated[int, Meta(ge=1, le=ROUNDS_MAX)] = 60


class CloseRoom(_Command, frozen=True, kw_only=True, tag="room.close"):
    """Close a room as soon as no deal is live in it."""

    room: Named


class SpawnAgent(_Command, frozen=True, kw_only=True, tag="agent.spawn"):
    """Let an agent trade from a mock wallet. Money in micro-USDC.

    The mandate ends after `expiry_rounds`; 0 leaves it to the desk: as long as makes sense in the room.

    A seller's `item` is a token id; None draws one from the sales data. Its `maximum` is by default twice its
    start. A buyer's `wants` are by default any item. `wallet` is the number of a demo wallet, None a new wallet.
    """

    room: Named
    role: Role
    strategy: StrategyName
    style: Style
    limit_usdc_micros: Price
    start_usdc_micros: Price
    maximum_usdc_micros: Price | None = None
    item: Named | None = None
    wants: Wants | None = None
    wallet: Annotated[int, Meta(ge=1, le=1_000)] | None = None
    name: Annotated[str, Meta(min_length=1, max_length=AGENT_NAME_CHARACTERS_MAX)] | None = None
    avatar: Annotated[str, Meta(min_length=1, max_length=AVATAR_CHARACTERS_MAX)] | None = None
    expiry_rounds: Annotated[int, Meta(ge=0, le=ROUNDS_MAX)] = 0


class PauseAgent(_Command, frozen=True, kw_only=True, tag="agent.pause"):
    """Silence an agent."""

    agent: Named


class ResumeAgent(_Command, frozen=True, kw_only=True, tag="agent.resume"):
    """Let an agent speak again."""

    agent: Named


class RemoveAgent(_Command, frozen=True, kw_only=True, tag="agent.remove"):
    """Take an agent out of its room."""

    agent: Named


class RunSwarm(_Command, frozen=True, kw_only=True, tag="swarm.run"):
    """Start a swarm by preset, or by numbers of buyers and sellers. Without a room it has its own, until it is empty."""

    room: Named | None = None
    preset: Named | None = None
    buyers: Side | None = None
    sellers: Side | None = None
    seed: Annotated[int, Meta(ge=0, le=SEED_MAX)] | None = None
    speed: int = 1


class PauseSwarm(_Command, frozen=True, kw_only=True, tag="swarm.pause"):
    """Silence all agents of a swarm."""

    swarm: Named


class ResumeSwarm(_Command, frozen=True, kw_only=True, tag="swarm.resume"):
    """Let a swarm's agents speak again."""

    swarm: Named


class SetSwarmSpeed(_Command, frozen=True, kw_only=True, tag="swarm.speed"):
    """Run the rounds of a swarm's room at another pace: 1 or 10 times room time, 0 as fast as they go."""

    swarm: Named
    speed: int


class StopSwarm(_Command, frozen=True, kw_only=True, tag="swarm.stop"):
    """Take all agents of a swarm out, those with a live deal when it has ended."""

    swarm: Named


class SeedDemo(_Command, frozen=True, kw_only=True, tag="demo.seed"):
    """Have the demo's collection and its wallets with items and money; what is there stays."""


AgentCommand = PauseAgent | ResumeAgent | RemoveAgent
SwarmCommand = PauseSwarm | ResumeSwarm | SetSwarmSpeed | StopSwarm
Command = OpenRoom | CloseRoom | SpawnAgent | AgentCommand | RunSwarm | SwarmCommand | SeedDemo


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a command came to: ids of what it made or is about, or `why` it was refused. Holds no limit."""

    room: str = ""
    agent: str = ""
    swarm: str = ""
    token_id: str = ""
    agents: int = 0
    deals_completed: int = 0
    why: str = ""
    hint: str = ""


_COMMAND: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_ANSWER = msgspec.json.Decoder(Answer)
_ENCODER = msgspec.json.Encoder(order="sorted")


def encode(command: Command) -> bytes:
    """Returns the command's bytes, the same for equal commands. Raises InvalidInput as `decode` does."""
    body = _ENCODER.encode(command)
    decode(body)
    return body


def decode(body: bytes) -> Command:
    """Returns the command with its texts normalised. Raises InvalidInput; no value of the command is in the message.

    Only an unknown word, such as a strategy that is none, is repeated.
    """
    if len(body) > BODY_BYTES_MAX:
        raise InvalidInput(f"a command has at most {BODY_BYTES_MAX} bytes, was {len(body)}")
    try:
        command = _COMMAND.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"not a command: {error}", hint="`agentrooms --help` lists commands and options") from error
    _check_id(command.id)
    match command:
        case OpenRoom():
            return msgspec.structs.replace(command, name=_text("a room's name", command.name))
        case SpawnAgent():
            return _spawn(command)
        case RunSwarm():
            _check_size(command)
            _check_speed(command.speed)
        case SetSwarmSpeed():
            _check_speed(command.speed)
    return command


def encode_answer(answer: Answer) -> bytes:
    """Returns the answer's bytes."""
    return _ENCODER.encode(answer)


def decode_answer(data: bytes) -> Answer:
    """Returns an answer from the inbox, also one of a later version that says more."""
    return _ANSWER.decode(data)


def _spawn(command: SpawnAgent) -> SpawnAgent:
    selling = command.role is Role.SELLER
    if selling and command.wants is not None:
        raise InvalidInput("a seller wants nothing", hint="name its item, or none to have one drawn")
    if not selling and (command.item is not None or command.maximum_usdc_micros is not None):
        raise InvalidInput("only a seller has an item and a maximum", hint="say what the buyer wants instead")
    name = None if command.name is None else _text("an agent's name", command.name)
    avatar = None if command.avatar is None else _text("an avatar", command.avatar)
    return msgspec.structs.replace(command, name=name, avatar=avatar)


def _text(what: str, text: str) -> str:
    normal = normalise(text)
    if not normal:
        raise InvalidInput(f"{what} has no visible character", hint="write it with letters")
    return normal


def _check_id(id_: str) -> None:
    if _ID.fullmatch(id_) is None or id_.partition(":")[0] in _OWN_IDS:
        raise InvalidInput(
            f"{id_[:ID_CHARACTERS_MAX]!a} is not the id of a command",
            hint=f"1 to {ID_CHARACTERS_MAX} of A-Z a-z 0-9 . _ : -, not beginning with {', '.join(sorted(_OWN_IDS))}",
        )


def _check_size(command: RunSwarm) -> None:
    by_numbers = command.buyers is not None and command.sellers is not None
    by_half = (command.buyers is None) != (command.sellers is None)
    if by_half or by_numbers == (command.preset is not None):
        raise InvalidInput(
            "a swarm is sized by its preset, or by its buyers and its sellers", hint="give one of the two"
        )


def _check_speed(speed: int) -> None:
    if speed not in SPEEDS:
        raise InvalidInput(f"a speed is one of {', '.join(map(str, SPEEDS))}, was {speed}", hint="0 is the fastest")
