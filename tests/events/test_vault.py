"""The vault keeps bytes by key, for ever, and gives a mandate only under its own hash."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.domain.canonical import canonical
from agentrooms.domain.mandate import mandate_hash
from agentrooms.events.vault import MemoryVault, NotInVault, get_mandate, put_mandate
from tests.domain.samples import BUYER, SELLER


def test_a_secret_is_kept_once_and_never_changes() -> None:
    """The same again is fine, other bytes are refused and change nothing."""
    vault = MemoryVault()
    vault.put("k", b"1")
    vault.put("k", b"1")
    with pytest.raises(NotInVault):
        vault.put("k", b"2")
    assert vault.get("k") == b"1"
    with pytest.raises(NotInVault) as caught:
        vault.get("other")
    assert caught.value.hint != ""


def test_a_mandate_comes_back_under_its_hash() -> None:
    """Two mandates, two keys."""
    vault = MemoryVault()
    keys = [put_mandate(vault, signed) for signed in (BUYER, SELLER)]
    assert keys == [mandate_hash(BUYER.mandate), mandate_hash(SELLER.mandate)]
    assert [get_mandate(vault, key) for key in keys] == [BUYER, SELLER]


@pytest.mark.parametrize("secret", [b"", b"{}", b"\xff", canonical(SELLER)])
def test_bytes_that_are_not_the_mandate_of_the_hash_are_not_given(secret: bytes) -> None:
    """Neither rubbish nor another mandate passes for it."""
    vault = MemoryVault()
    key = mandate_hash(BUYER.mandate)
    vault.put(key, secret)
    with pytest.raises(NotInVault):
        get_mandate(vault, key)


@given(st.dictionaries(st.text(st.characters(codec="ascii")), st.binary(), max_size=5))
def test_an_export_reads_back_and_does_not_depend_on_order(secrets: dict[str, bytes]) -> None:
    """Equal vaults have equal exports."""
    vault, other = MemoryVault(), MemoryVault()
    for key, secret in secrets.items():
        vault.put(key, secret)
    for key, secret in reversed(secrets.items()):
        other.put(key, secret)
    assert vault.export() == other.export() == MemoryVault.load(vault.export()).export()
    again = MemoryVault.load(vault.export())
    assert {key: again.get(key) for key in secrets} == secrets


@pytest.mark.parametrize("data", [b"x", b"{}", b'{"key":"k"}', b'{"key":"k","secret":"?"}', b'{"key":1,"secret":""}'])
def test_bytes_that_are_no_export_are_refused(data: bytes) -> None:
    """By one error, whatever is wrong."""
    with pytest.raises(NotInVault):
        MemoryVault.load(data)
