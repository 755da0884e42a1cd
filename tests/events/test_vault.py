"""The vault keeps bytes by key, for ever, and gives a mandate only under its own hash."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.domain.canonical import canonical
from agentrooms.domain.mandate import mandate_hash
from agentrooms.events.file_vault import FileVault
from agentrooms.events.postgres_vault import PostgresVault
from agentrooms.events.store import StoreError
from agentrooms.events.vault import MemoryVault, NotInVault, Vault, get_mandate, put_mandate
from tests.domain.samples import BUYER, SELLER
from tests.events.stores import SCHEMAS

pytestmark = pytest.mark.usefixtures("stores")


def in_postgres(table: str = "vault") -> PostgresVault:
    vault = PostgresVault(*SCHEMAS.fresh("vault"), table=table)
    SCHEMAS.keep("vault", vault)
    return vault


VAULTS: dict[str, Callable[[], Vault]] = {
    "memory": MemoryVault,
    "Postgres": in_postgres,
    "Postgres, what services remember": lambda: in_postgres("memory"),
}


@pytest.fixture
def in_file(tmp_path: Path) -> Iterator[FileVault]:
    vault = FileVault(tmp_path / "vault.sqlite")
    yield vault
    vault.close()


@pytest.fixture(params=[*VAULTS, "a file"])
def vault(request: pytest.FixtureRequest, in_file: FileVault) -> Vault:
    return in_file if request.param == "a file" else VAULTS[request.param]()


def test_a_secret_is_kept_once_and_never_changes(vault: Vault) -> None:
    """The same again is fine, other bytes are refused and change nothing."""
    vault.put("k", b"1")
    vault.put("k", b"1")
    with pytest.raises(NotInVault):
        vault.put("k", b"2")
    assert vault.get("k") == b"1"
    with pytest.raises(NotInVault) as caught:
        vault.get("other")
    assert caught.value.hint != ""


def test_a_mandate_comes_back_under_its_hash(vault: Vault) -> None:
    """Two mandates, two keys."""
    keys = [put_mandate(vault, signed) for signed in (BUYER, SELLER)]
    assert keys == [mandate_hash(BUYER.mandate), mandate_hash(SELLER.mandate)]
    assert [get_mandate(vault, key) for key in keys] == [BUYER, SELLER]


@pytest.mark.parametrize("secret", [b"", b"{}", b"\xff", canonical(SELLER)])
def test_bytes_that_are_not_the_mandate_of_the_hash_are_not_given(secret: bytes, vault: Vault) -> None:
    """Neither rubbish nor another mandate passes for it."""
    key = mandate_hash(BUYER.mandate)
    vault.put(key, secret)
    with pytest.raises(NotInVault):
        get_mandate(vault, key)


@given(st.dictionaries(st.text(st.characters(codec="ascii", exclude_characters="\0")), st.binary(), max_size=5))
def test_an_export_reads_back_and_does_not_depend_on_order(secrets: dict[str, bytes]) -> None:
    """Equal vaults have equal exports, wherever they are kept."""
    vault, other, durable = MemoryVault(), MemoryVault(), in_postgres()
    for key, secret in secrets.items():
        vault.put(key, secret)
    for key, secret in reversed(secrets.items()):
        other.put(key, secret)
    durable.put_many(secrets)
    assert vault.export() == other.export() == durable.export() == MemoryVault.load(vault.export()).export()
    again = MemoryVault.load(vault.export())
    assert {key: again.get(key) for key in secrets} == secrets


@pytest.mark.parametrize("data", [b"x", b"{}", b'{"key":"k"}', b'{"key":"k","secret":"?"}', b'{"key":1,"secret":""}'])
def test_bytes_that_are_no_export_are_refused(data: bytes) -> None:
    """By one error, whatever is wrong."""
    with pytest.raises(NotInVault):
        MemoryVault.load(data)


@pytest.mark.parametrize("kind", ["Postgres", "a file"])
def test_many_are_put_together_or_not_at_all(kind: str, in_file: FileVault) -> None:
    """One that differs undoes the others; what is there already is no harm."""
    vault = in_file if kind == "a file" else in_postgres()
    vault.put("b", b"2")
    with pytest.raises(NotInVault, match="other bytes for b"):
        vault.put_many({"a": b"1", "b": b"-", "c": b"3"})
    vault.put_many({"b": b"2", "c": b"3"})
    vault.put_many({})
    assert vault.export() == MemoryVault.load(vault.export()).export()
    assert [line[8:9] for line in vault.export().splitlines()] == [b"b", b"c"]


@pytest.mark.parametrize("key", ["\0", "\ud800"])
def test_a_key_that_postgres_cannot_hold_is_refused(key: str) -> None:
    vault = in_postgres()
    for use in (lambda: vault.put(key, b""), lambda: vault.get(key)):
        with pytest.raises(NotInVault):
            use()


def test_a_file_is_the_same_vault_in_the_next_process(tmp_path: Path) -> None:
    """And in another one that has it open; its exports are those of any vault."""
    path, other = tmp_path / "vault.sqlite", MemoryVault()
    first = FileVault(path)
    for key, secret in (("b", b"\xff\0"), ("a", b""), ("é", b"2")):
        first.put(key, secret)
        other.put(key, secret)
    second = FileVault(path)
    with pytest.raises(NotInVault, match="other bytes for a"):
        second.put_many({"c": b"", "a": b"1"})
    first.close()
    assert second.export() == other.export()
    second.close()
    assert path.stat().st_mode & 0o077 == 0


def test_a_file_that_is_no_vault_is_said_to_be_none(tmp_path: Path, in_file: FileVault) -> None:
    (tmp_path / "text").write_text("no database" * 100)
    for path in (tmp_path / "text", tmp_path / "nowhere" / "vault", tmp_path):
        with pytest.raises(StoreError):
            FileVault(path)
    with pytest.raises(NotInVault):
        in_file.put("\ud800", b"")
