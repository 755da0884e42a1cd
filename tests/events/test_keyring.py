"""Agents' keys at rest: opened by their room alone, and useless in any other hands."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.domain.acceptance import AgentKeys
from agentrooms.events.keyring import Keyring
from agentrooms.events.vault import MemoryVault
from tests.domain.samples import TERMS, acceptances, agent_keys

ROOM, OTHER = b"r" * 16, b"o" * 16
KEYS = st.builds(AgentKeys, st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))


def sealed(agent: str, keys: AgentKeys, room: bytes = ROOM) -> MemoryVault:
    vault = MemoryVault()
    vault.put(*Keyring(vault, room).seal(agent, keys))
    return vault


def test_a_room_signs_with_its_agents_keys() -> None:
    """The word is the one that the keys themselves give, in this life and in the next."""
    vault = sealed(TERMS.buyer, agent_keys("buyer"))
    ring = Keyring(vault, ROOM)
    words = [
        ring.sign(TERMS.buyer, TERMS),
        ring.sign(TERMS.buyer, TERMS),
        Keyring(vault, ROOM).sign(TERMS.buyer, TERMS),
    ]
    assert words == [acceptances()[0]] * 3


def test_another_room_cannot_open_them() -> None:
    """Nor can a room speak for an agent whose keys it has not."""
    vault = sealed(TERMS.buyer, agent_keys("buyer"))
    assert Keyring(vault, OTHER).sign(TERMS.buyer, TERMS) is None
    assert Keyring(vault, ROOM).sign(TERMS.seller, TERMS) is None


@given(KEYS, st.text(st.characters(codec="ascii"), max_size=9))
def test_sealing_twice_gives_the_same_bytes_which_hold_no_key(keys: AgentKeys, agent: str) -> None:
    """So a vault, which keeps what it has, takes them again; and the bytes tell nothing."""
    ring = Keyring(MemoryVault(), ROOM)
    name, raw = ring.seal(agent, keys)
    assert ring.seal(agent, keys) == (name, raw)
    assert keys.session not in raw
    assert keys.identity not in raw
    assert Keyring(MemoryVault(), OTHER).seal(agent, keys)[1] != raw


@given(KEYS, st.integers(0), st.integers(1, 255))
def test_a_changed_byte_is_noticed(keys: AgentKeys, at: int, change: int) -> None:
    """What was tampered with signs nothing, and raises nothing."""
    name, raw = Keyring(MemoryVault(), ROOM).seal(TERMS.buyer, keys)
    harmed = bytearray(raw)
    harmed[at % len(raw)] ^= change
    for bad in (bytes(harmed), raw[: at % len(raw)], b"", msgspec.msgpack.encode(keys)):
        vault = MemoryVault()
        vault.put(name, bad)
        assert Keyring(vault, ROOM).sign(TERMS.buyer, TERMS) is None


def test_one_agents_keys_under_anothers_name_are_its_own_still() -> None:
    """Entries that are swapped give another's signature, which no mandate of the agent names."""
    name, _raw = Keyring(MemoryVault(), ROOM).seal(TERMS.buyer, agent_keys("buyer"))
    _name, raw = Keyring(MemoryVault(), ROOM).seal(TERMS.seller, agent_keys("seller"))
    vault = MemoryVault()
    vault.put(name, raw)
    word = Keyring(vault, ROOM).sign(TERMS.buyer, TERMS)
    assert word is not None
    assert word.session != acceptances()[0].session
