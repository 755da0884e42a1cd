"""Commands are checked where they enter: what is wrong is said, without a value of it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.domain.assets import Item, Wants
from agentrooms.domain.money import PRICE_MAX_USDC_MICROS
from agentrooms.domain.terms import Role
from agentrooms.errors import InvalidInput
from agentrooms.live import commands
from agentrooms.live.commands import (
    BODY_BYTES_MAX,
    Answer,
    Command,
    EnlistAgent,
    FundWallet,
    OpenRoom,
    PauseAgent,
    RegisterUser,
    RunSwarm,
    SeedDemo,
    SetSwarmSpeed,
    Speak,
)
from tests.live.asks import buyer, draft, person, seller

GOOD: list[Command] = [
    OpenRoom(id="a.B_9:-", name="Main"),
    PauseAgent(id="p", agent="agent_x"),
    RunSwarm(id="w", preset="small_test"),
    RunSwarm(id="w", buyers=1, sellers=250, seed=0, speed=0),
    SeedDemo(id="d"),
    seller("s", "room_x"),
    buyer("b", "room_x", wallet=1, name="Zoë"),
    OpenRoom(id="o", name="Main", collection="0x" + "ab" * 20, collection_name="Cats"),
    RunSwarm(id="w", preset="small_test", owner=person("ann")),
    RegisterUser(id="u", wallet=person("ann")),
    FundWallet(id="f", wallet=person("ann")),
    draft("d", "room_x", "ann", Role.SELLER, 40, 60, item=Item("7", "Cat", {"colour": "red"}), counter=2**200),
    draft("d", "room_x", "ann", Role.BUYER, 60, 40, wants=Wants(), name="Zoë"),
    EnlistAgent(id="e", draft="draft_x", wallet=person("ann"), signature="ab" * 64 + "1b", budget_usdc_micros=1),
    Speak(id="s", room="room_x", wallet=person("ann"), text="Hello!"),
]


@pytest.mark.parametrize("command", GOOD)
def test_a_command_is_read_as_it_was_written(command: Command) -> None:
    assert commands.decode(commands.encode(command)) == command


ITEM = Item("7", "Cat", {})
WRONG: list[Command] = [
    *(OpenRoom(id=id_, name="Main") for id_ in ("", "a b", "é", "x" * 101, "desk:w", "round:r:1", "open:r", "a\n")),
    *(OpenRoom(id="r", name=name) for name in ("", "\u200b", "x" * 101)),
    *(OpenRoom(id="r", name="Main", round_ms=ms) for ms in (0, 49, 3_600_001, 10**30)),
    *(PauseAgent(id="p", agent=agent) for agent in ("", "\u0000", "é", "x" * 101)),
    *(SetSwarmSpeed(id="v", swarm="swarm_x", speed=speed) for speed in (-1, 2, 10**20)),
    RunSwarm(id="w"),
    RunSwarm(id="w", buyers=1),
    RunSwarm(id="w", preset="small_test", buyers=1, sellers=1),
    RunSwarm(id="w", buyers=0, sellers=1),
    RunSwarm(id="w", buyers=251, sellers=1),
    RunSwarm(id="w", preset="small_test", seed=-1),
    seller("s", "room_x", limit=0),
    seller("s", "room_x", start=PRICE_MAX_USDC_MICROS),
    seller("s", "room_x", expiry_rounds=10**9),
    seller("s", "room_x", avatar="x" * 11),
    seller("s", "room_x", name="\u202e"),
    buyer("b", "room_x", item="1"),
    buyer("b", "room_x", maximum_usdc_micros=10_000),
    *(RegisterUser(id="u", wallet=wallet) for wallet in ("", "0xab", "ab" * 20, "0x" + "ag" * 20, "0x" + "00" * 20)),
    RunSwarm(id="w", preset="small_test", owner="ann"),
    OpenRoom(id="o", name="Main", collection="0x" + "ab" * 20, collection_name="x" * 51),
    OpenRoom(id="o", name="Main", collection="0x" + "ab" * 20, collection_name="\u200b"),
    draft("d", "room_x", "ann", Role.SELLER, 40, 60),
    draft("d", "room_x", "ann", Role.SELLER, 40, 60, item=ITEM, wants=Wants()),
    draft("d", "room_x", "ann", Role.BUYER, 60, 40, item=ITEM),
    draft("d", "room_x", "ann", Role.SELLER, 40, 60, item=ITEM, counter=-1),
    draft("d", "room_x", "ann", Role.SELLER, 40, 60, item=Item("7", "\u200b", {})),
    draft("d", "room_x", "ann", Role.SELLER, 40, 60, item=Item("7", "Cat", {str(n): "x" for n in range(101)})),
    draft("d", "room_x", "ann", Role.SELLER, 40, 60, item=Item("7", "Cat", {"colour": "x" * 201})),
    *(
        EnlistAgent(id="e", draft="draft_x", wallet=person("ann"), signature=signature)
        for signature in ("", "0x", "abc", "xy", "ab" * 1_100)
    ),
    EnlistAgent(id="e", draft="draft_x", wallet=person("ann"), signature="ab", budget_usdc_micros=-1),
    *(Speak(id="s", room="room_x", wallet=person("ann"), text=text) for text in ("", "\u202e ", "x" * 281)),
]


@pytest.mark.parametrize("command", WRONG, ids=repr)
def test_a_wrong_command_is_not_sent(command: Command) -> None:
    with pytest.raises(InvalidInput):
        commands.encode(command)


@pytest.mark.parametrize(
    "value", ["NaN", "1e400", "8765432.1", '"8765432"', "87654321234567890123", "true", "-8765432"]
)
def test_a_number_that_is_none_is_refused_without_a_word_of_it(value: str) -> None:
    body = commands.encode(seller("s", "room_x")).replace(b"40000000", value.encode())
    with pytest.raises(InvalidInput) as refused:
        commands.decode(body)
    assert "8765432" not in f"{refused.value}{refused.value.hint}"


@given(st.binary(max_size=200) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(msgspec.json.encode))
def test_no_bytes_are_more_than_invalid(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        commands.decode(body)


@given(st.sampled_from(GOOD), st.data())
def test_a_command_with_another_field_or_value_is_read_or_refused(command: Command, data: st.DataObject) -> None:
    fields = msgspec.json.decode(commands.encode(command), type=dict[str, object])
    name = data.draw(st.sampled_from(sorted(fields)) | st.text(max_size=5))
    fields[name] = data.draw(st.none() | st.integers() | st.text() | st.booleans() | st.lists(st.integers()))
    try:
        read = commands.decode(msgspec.json.encode(fields))
    except InvalidInput:
        return
    assert commands.decode(commands.encode(read)) == read


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0x" + "AB" * 64 + "1B", "ab" * 64 + "1b"),
        ("ab" * 64 + "00", "ab" * 64 + "1b"),
        ("0x" + "ab" * 64 + "01", "ab" * 64 + "1c"),
        ("ab" * 65 + "00", "ab" * 65 + "00"),
    ],
)
def test_signatures_and_addresses_have_one_spelling(written: str, read: str) -> None:
    """However a wallet's program writes them."""
    wallet = "0x" + "aB" * 20
    body = commands.encode(EnlistAgent(id="e", draft="draft_x", wallet=wallet, signature=written))
    found = commands.decode(body)
    assert found == EnlistAgent(id="e", draft="draft_x", wallet=wallet.lower(), signature=read)
    room = commands.decode(commands.encode(OpenRoom(id="o", name="Main", collection=wallet)))
    assert room == OpenRoom(id="o", name="Main", collection=wallet.lower())


def test_deep_and_long_bodies_are_refused() -> None:
    for body in (b"[" * BODY_BYTES_MAX, b" " * (BODY_BYTES_MAX + 1)):
        with pytest.raises(InvalidInput):
            commands.decode(body)


def test_an_answer_of_a_later_version_is_read() -> None:
    assert commands.decode_answer(b'{"room":"room_x","more":1}') == Answer(room="room_x")
    assert commands.decode_answer(commands.encode_answer(Answer(why="no"))) == Answer(why="no")
