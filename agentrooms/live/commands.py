"""What people may ask of the running system, and what it answers. JSON in the inbox, checked where it enters.

A command's `id` is made by who sends it: with it the command has one effect, however often it is sent.
"""

from __future__ import annotations

import re
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from agentrooms.domain.agent import AVATAR_CHARACTERS_MAX
from agentrooms.domain.agent import NAME_CHARACTERS_MAX as AGENT_NAME_CHARACTERS_MAX
from agentrooms.domain.assets import Item, Wants
from agentrooms.domain.canonical import normalise
from agentrooms.domain.collection import NAME_CHARACTERS_MAX as COLLECTION_NAME_CHARACTERS_MAX
from agentrooms.domain.eip712 import ZERO_ADDRESS
from agentrooms.domain.mandate import SIGNATURE_BYTES_MAX
from agentrooms.domain.money import PRICE_MAX_USDC_MICROS
from agentrooms.domain.posting import TEXT_CHARACTERS_MAX
from agentrooms.domain.secp256k1 import SIGNATURE_BYTES
from agentrooms.domain.swarm import SPEEDS
from agentrooms.domain.terms import Role, StrategyName, Style
from agentrooms.errors import InvalidInput
from agentrooms.sim.settings import ROUND_MS_MAX, ROUNDS_MAX, SIDE_MAX

BODY_BYTES_MAX = 16_384
ID_CHARACTERS_MAX = 100
NAME_CHARACTERS_MAX = 100  # a room's; the PRD's VARCHAR(100)
ROUND_MS_MIN = 50  # faster than that a round's append is all a room does
SEED_MAX = (1 << 53) - 1  # the largest integer that every JSON reader keeps
BUDGET_MAX_USDC_MICROS = 10 * PRICE_MAX_USDC_MICROS  # that a wallet declares; a larger allowance is said as this
ITEM_TRAITS_MAX = 100  # of an item that its owner describes
ITEM_TEXT_CHARACTERS_MAX = 200  # its name, a trait's name or value

_SIGNATURE_CHARACTERS_MAX = len("0x") + 2 * SIGNATURE_BYTES_MAX
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_ID = re.compile(rf"[A-Za-z0-9._:-]{{1,{ID_CHARACTERS_MAX}}}")
_OWN_IDS = frozenset({"desk", "genesis", "open", "round", "swarm"})  # what the system's own ids begin with

Named = Annotated[str, Meta(max_length=ID_CHARACTERS_MAX, pattern=r"^[ -~]+$")]  # an id or name there is: plain ASCII
Price = Annotated[int, Meta(ge=1, le=PRICE_MAX_USDC_MICROS)]
Amount = Annotated[int, Meta(ge=0, le=BUDGET_MAX_USDC_MICROS)]
Side = Annotated[int, Meta(ge=1, le=SIDE_MAX)]
Expiry = Annotated[int, Meta(ge=0, le=ROUNDS_MAX)]
AgentName = Annotated[str, Meta(min_length=1, max_length=AGENT_NAME_CHARACTERS_MAX)]
Avatar = Annotated[str, Meta(min_length=1, max_length=AVATAR_CHARACTERS_MAX)]
Address = Annotated[str, Meta(max_length=42, pattern=r"^0x[0-9a-fA-F]{40}$")]  # read in lower case


class _Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="command"):
    """Base of all commands."""

    id: str


class OpenRoom(_Command, frozen=True, kw_only=True, tag="room.open"):
    """Open a room. `collection` is an ERC-721 contract's address, or the demo's name; None is the demo's.

    A collection nobody has registered yet is registered with it, as `collection_name` (None: its short address).
    """

    name: Annotated[str, Meta(min_length=1, max_length=NAME_CHARACTERS_MAX)]
    collection: Named | None = None
    collection_name: Annotated[str, Meta(min_length=1, max_length=COLLECTION_NAME_CHARACTERS_MAX)] | None = None
    round_ms: Annotated[int, Meta(ge=ROUND_MS_MIN, le=ROUND_MS_MAX)] = 1_000
    quote_rounds: Annotated[int, Meta(ge=1, le=ROUNDS_MAX)] = 60


class CloseRoom(_Command, frozen=True, kw_only=True, tag="room.close"):
    """Close a room as soon as no deal is live in it."""

    room: Named


class _AgentCommand(_Command, frozen=True, kw_only=True):
    """What every agent is given. Money in micro-USDC.

    The mandate ends after `expiry_rounds`; 0 leaves it to the desk: as long as makes sense in the room. A seller's
    `maximum` is by default twice its start, a buyer's `wants` any item.
    """

    room: Named
    role: Role
    strategy: StrategyName
    style: Style
    limit_usdc_micros: Price
    start_usdc_micros: Price
    maximum_usdc_micros: Price | None = None
    wants: Wants | None = None
    name: AgentName | None = None
    avatar: Avatar | None = None
    expiry_rounds: Expiry = 0


class SpawnAgent(_AgentCommand, frozen=True, kw_only=True, tag="agent.spawn"):
    """Let an agent trade from a mock wallet: the demo wallet of the number `wallet`, None a new one.

    A seller's `item` is a token id; None draws one from the sales data.
    """

    item: Named | None = None
    wallet: Annotated[int, Meta(ge=1, le=1_000)] | None = None


class RegisterUser(_Command, frozen=True, kw_only=True, tag="user.register"):
    """Make a wallet that has signed in a user; one that is stays it."""

    wallet: Address


class FundWallet(_Command, frozen=True, kw_only=True, tag="wallet.fund"):
    """Give a person's wallet the demo's money, one item and native coin for fees, once. Not on public chains.

    The wallet allows the escrow to take neither: it does that itself. On the ledger, where a person can send no
    transactions, it comes with both allowed.
    """

    wallet: Address


class DraftAgent(_AgentCommand, frozen=True, kw_only=True, tag="agent.draft"):
    """Prepare an agent of a person's own wallet: its keys, and the mandate for the wallet to sign.

    A seller's `item` is the wallet's. `counter` is the wallet's own in the escrow.
    """

    wallet: Address
    item: Item | None = None
    counter: Annotated[int, Meta(ge=0)] = 0


class EnlistAgent(_Command, frozen=True, kw_only=True, tag="agent.enlist"):
    """Let a drafted agent trade under the mandate that its wallet has signed (hex).

    `budget_usdc_micros` is what a buyer's wallet lets the escrow take, in all its deals together.
    """

    draft: Named
    wallet: Address
    signature: Annotated[str, Meta(max_length=_SIGNATURE_CHARACTERS_MAX, pattern=r"^(0x)?([0-9a-fA-F]{2})+$")]
    budget_usdc_micros: Amount = 0


class Speak(_Command, frozen=True, kw_only=True, tag="room.speak"):
    """Say something in a room, as the user of a wallet. Agents do not listen."""

    room: Named
    wallet: Address
    text: Annotated[str, Meta(min_length=1, max_length=TEXT_CHARACTERS_MAX)]


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
    """Start a swarm by preset, or by numbers of buyers and sellers. Without a room it has its own, until it is empty.

    `owner` is the wallet whose swarm it is, None the operator's.
    """

    room: Named | None = None
    preset: Named | None = None
    buyers: Side | None = None
    sellers: Side | None = None
    seed: Annotated[int, Meta(ge=0, le=SEED_MAX)] | None = None
    speed: int = 1
    owner: Address | None = None


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
PersonCommand = RegisterUser | FundWallet | DraftAgent | EnlistAgent | Speak
"""What people ask for their own wallets; who signed in as the wallet is for the asker to know."""

Command = OpenRoom | CloseRoom | SpawnAgent | AgentCommand | PersonCommand | RunSwarm | SwarmCommand | SeedDemo


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a command came to: ids of what it made or is about, or `why` it was refused. Holds no limit."""

    room: str = ""
    agent: str = ""
    swarm: str = ""
    token_id: str = ""
    user: str = ""
    draft: str = ""
    agents: int = 0
    deals_completed: int = 0
    why: str = ""
    hint: str = ""


Spawning = TypeVar("Spawning", SpawnAgent, DraftAgent)

_OLD_V = {"00": "1b", "01": "1c"}
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
            return _open(command)
        case SpawnAgent():
            _check_role(command)
            return _named(command)
        case RunSwarm():
            _check_size(command)
            _check_speed(command.speed)
            owner = command.owner.lower() if command.owner is not None else None
            return msgspec.structs.replace(command, owner=owner)
        case SetSwarmSpeed():
            _check_speed(command.speed)
        case RegisterUser() | FundWallet() | DraftAgent() | EnlistAgent() | Speak():
            return _person(msgspec.structs.replace(command, wallet=command.wallet.lower()))
    return command


def _open(command: OpenRoom) -> OpenRoom:
    collection, called = command.collection, command.collection_name
    if collection is not None and _ADDRESS.fullmatch(collection) is not None:
        collection = collection.lower()
    if called is not None:
        called = _text("a collection's name", called)
    name = _text("a room's name", command.name)
    return msgspec.structs.replace(command, name=name, collection=collection, collection_name=called)


def _person(command: PersonCommand) -> PersonCommand:
    if command.wallet == ZERO_ADDRESS:
        raise InvalidInput("the zero address is nobody's wallet")
    match command:
        case DraftAgent():
            _check_role(command)
            if command.role is Role.SELLER and command.item is None:
                raise InvalidInput("a seller names its item", hint="say which of the wallet's items it sells")
            item = _item(command.item) if command.item is not None else None
            return _named(msgspec.structs.replace(command, item=item))
        case EnlistAgent():
            return msgspec.structs.replace(command, signature=_signature(command.signature))
        case Speak():
            return msgspec.structs.replace(command, text=_text("what is said", command.text))
    return command


def _item(item: Item) -> Item:
    """Returns an item with its texts normalised."""
    if len(item.traits) > ITEM_TRAITS_MAX:
        raise InvalidInput(f"an item has at most {ITEM_TRAITS_MAX} traits, was {len(item.traits)}")
    if any(len(text) > ITEM_TEXT_CHARACTERS_MAX for text in item.texts):
        raise InvalidInput(f"an item's texts have at most {ITEM_TEXT_CHARACTERS_MAX} characters")
    traits = {normalise(name): normalise(value) for name, value in item.traits.items()}
    return Item(item.token_id, _text("an item's name", item.name), traits)


def _signature(text: str) -> str:
    """Returns a signature as it is kept: hex without 0x. A key's ends with 27 or 28, where some wallets say 0 or 1."""
    digits = text.removeprefix("0x").lower()
    if len(digits) == 2 * SIGNATURE_BYTES and digits[-2:] in _OLD_V:
        return digits[:-2] + _OLD_V[digits[-2:]]
    return digits


def encode_answer(answer: Answer) -> bytes:
    """Returns the answer's bytes."""
    return _ENCODER.encode(answer)


def decode_answer(data: bytes) -> Answer:
    """Returns an answer from the inbox, also one of a later version that says more."""
    return _ANSWER.decode(data)


def _check_role(command: SpawnAgent | DraftAgent) -> None:
    selling = command.role is Role.SELLER
    if selling and command.wants is not None:
        raise InvalidInput("a seller wants nothing", hint="name its item, or none to have one drawn")
    if not selling and (command.item is not None or command.maximum_usdc_micros is not None):
        raise InvalidInput("only a seller has an item and a maximum", hint="say what the buyer wants instead")


def _named(command: Spawning) -> Spawning:
    """Returns the command with name and avatar normalised."""
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
