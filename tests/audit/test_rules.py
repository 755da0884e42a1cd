"""Rules one by one, where a whole attack would be a detour; and what the auditor itself must survive."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from nacl.signing import SigningKey

from agentrooms.domain.assets import Item, WantKind, Wants
from agentrooms.domain.deal import DealFailed, FailReason
from agentrooms.domain.folding import Draft
from agentrooms.domain.mandate import Mandate
from agentrooms.domain.room import QuoteExpired, Room
from agentrooms.domain.terms import Role
from agentrooms.events import catalogue
from agentrooms.projections import floor_path
from agentrooms.projections.floor_path import FloorRow
from agentrooms.projections.quotes import QuoteState
from agentrooms.sim import archive, forks
from agentrooms.sim.audit import audit
from agentrooms.sim.audit.acts import Acts
from agentrooms.sim.audit.limits import outside, wanted
from agentrooms.sim.settings import preset
from tests.audit import archives
from tests.audit.archives import Fields, failing, rewrite
from tests.audit.attacks import Attack, acts, after, change_votes, comment, deal_lines, of_type, wrongs_of

PUNK = Item("7", "Punk #7", {"grade": "common", "hat": "none"})
USDC = 1_000_000


@pytest.fixture
def attack(faulty: Path, tmp_path: Path) -> Attack:
    return Attack(archives.copy(faulty, tmp_path / "attack"))


# --- A mandate, read by the auditor -----------------------------------------------------------------------


def mandate(role: Role, **changes: Any) -> Mandate:
    selling = role is Role.SELLER
    whole = Mandate(
        role=role,
        principal="0x" + "0" * 40,
        collection="0x" + "1" * 40,
        currency="0x" + "2" * 40,
        item=PUNK if selling else None,
        wants=None if selling else Wants(),
        reservation_usdc_micros=50 * USDC,
        start_usdc_micros=(70 if selling else 30) * USDC,
        maximum_usdc_micros=90 * USDC if selling else None,
        expires_at_ms=1_000,
        session_key="0x" + "3" * 40,
        identity="0" * 64,
        salt="0" * 64,
    )
    return msgspec.structs.replace(whole, **changes)


@pytest.mark.parametrize(
    ("role", "price", "at_ms", "why"),
    [
        (Role.BUYER, 50 * USDC, 999, ""),
        (Role.BUYER, 50 * USDC + 10_000, 999, "above the limit"),
        (Role.BUYER, 0, 999, "whole ticks"),
        (Role.BUYER, -10_000, 999, "whole ticks"),
        (Role.BUYER, 9_999, 999, "whole ticks"),
        (Role.BUYER, None, 999, "whole ticks"),
        (Role.BUYER, 50 * USDC, 1_000, "expired"),
        (Role.SELLER, 50 * USDC, 0, ""),
        (Role.SELLER, 90 * USDC, 0, ""),
        (Role.SELLER, 50 * USDC - 10_000, 0, "below the limit"),
        (Role.SELLER, 90 * USDC + 10_000, 0, "above the maximum"),
    ],
)
def test_prices_and_times_of_a_mandate(role: Role, price: int | None, at_ms: int, why: str) -> None:
    found = outside(mandate(role), PUNK, price, at_ms)
    assert (found == "") is (why == "")
    assert why in found


def test_items_of_a_mandate() -> None:
    other = Item("8", "Punk #8", {"grade": "rare"})
    assert "not the one" in outside(mandate(Role.SELLER), other, 60 * USDC, 0)
    assert "not the one" in outside(mandate(Role.SELLER), None, 60 * USDC, 0)
    assert outside(mandate(Role.BUYER), None, 10 * USDC, 0) == ""
    listed = Wants(WantKind.ITEMS, ("7",))
    assert "not wanted" in outside(mandate(Role.BUYER, wants=listed), other, 10 * USDC, 0)
    assert wanted(listed, PUNK)
    assert wanted(Wants(WantKind.TRAITS, traits={"grade": "common"}), PUNK)
    assert not wanted(Wants(WantKind.TRAITS, traits={"grade": "common"}), other)
    assert not wanted(Wants(WantKind.TRAITS, traits={"hat": "none"}), other)


# --- Rules of the log -------------------------------------------------------------------------------------


def other_seller(lines: list[Fields], than: str) -> Fields:
    sellers = (n["data"] for n in of_type(lines, "agent.spawned") if n["data"]["role"] == "seller")
    found: Fields = next(data for data in sellers if data["agent"] != than)
    return found


def sells_anothers(lines: list[Fields]) -> None:
    ask = next(n for n in acts(lines, "offer", "counter") if n["data"]["token_id"] is not None)
    ask["data"]["token_id"] = other_seller(lines, ask["data"]["agent"])["item"]["token_id"]


def withdraws_nothing(lines: list[Fields]) -> None:
    act = acts(lines, "offer")[-1]
    none = dict.fromkeys(("price_usdc_micros", "refers_to", "to", "token_id"))
    act["data"].update(none, act="withdraw", quote="quote_none_1")


def speaks_after_closing(lines: list[Fields]) -> None:
    closed = of_type(lines, "room.closed")[0]
    agent = of_type(lines, "agent.spawned")[0]["data"]["agent"]
    lines.insert(after(lines, closed), comment(closed, agent, closed["data"]["round"]))


def sells_a_buyers_wants(lines: list[Fields]) -> None:
    of_type(lines, "agent.spawned")[0]["data"].update(item=None, wants=None)


def sells_an_item_twice(lines: list[Fields]) -> None:
    spawned = [n for n in of_type(lines, "agent.spawned") if n["data"]["role"] == "seller"]
    spawned[1]["data"]["item"] = spawned[0]["data"]["item"]


def speaks_after_its_deal(lines: list[Fields]) -> None:
    done = deal_lines(lines)[-1]
    buyer = deal_lines(lines)[0]["data"]["terms"]["buyer"]
    lines.insert(after(lines, done), comment(done, buyer, done["data"]["round"]))


def speaks_while_locked(lines: list[Fields]) -> None:
    lock, verifying = deal_lines(lines)[:2]
    buyer = lock["data"]["terms"]["buyer"]
    lines.insert(after(lines, verifying), comment(verifying, buyer, verifying["data"]["round"]))


def changes_while_locked(lines: list[Fields]) -> None:
    lock, verifying = deal_lines(lines)[:2]
    paused = {"agent": lock["data"]["terms"]["buyer"], "round": verifying["data"]["round"]}
    lines.insert(after(lines, verifying), {**verifying, "type": "agent.paused", "data": paused})


def wants_something_else(lines: list[Fields]) -> None:
    terms = deal_lines(lines)[0]["data"]["terms"]
    buyer = next(n["data"] for n in of_type(lines, "agent.spawned") if n["data"]["agent"] == terms["buyer"])
    buyer["wants"] = {"kind": "items", "token_ids": ["none"], "traits": {}}


RULES: dict[str, tuple[archives.Mutate, str, str]] = {
    "selling another's item": (sells_anothers, "acts", "it sells"),
    "withdrawing nothing": (withdraws_nothing, "acts", "what stands is"),
    "speaking after closing": (speaks_after_closing, "acts", "is in a closed room"),
    "a role without its item": (sells_a_buyers_wants, "acts", "do not fit"),
    "an item sold by two": (sells_an_item_twice, "acts", "is for sale by agent"),
    "speaking after a deal": (speaks_after_its_deal, "acts", "has completed its deal"),
    "speaking while locked": (speaks_while_locked, "acts", "is locked in deal"),
    "pausing while locked": (changes_while_locked, "acts", "is changed though it is locked"),
    "buying what is not wanted": (wants_something_else, "acts", "is not about what agent"),
    "six verifiers": (
        lambda lines: of_type(lines, "verifiers.registered")[0]["data"]["verifiers"].pop(),
        "certificates",
        "7 distinct members, was 6",
    ),
    "an approval with reasons": (
        change_votes(lambda votes: votes[0]["annex"].update(reasons=["bad"])),
        "certificates",
        "it says approve with reasons ['bad']",
    ),
    "expiry before the deadline": (
        lambda lines: of_type(lines, "deal.failed")[0]["data"].update(reason="expired"),
        "locks",
        "before its deadline",
    ),
    "a stranger blamed": (
        lambda lines: of_type(lines, "deal.failed")[0]["data"].update(at_fault=["agent_ghost"]),
        "locks",
        "is no party",
    ),
}


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_that_is_broken_is_named(name: str, attack: Attack) -> None:
    mutate, rule, why = RULES[name]
    rewrite(attack.folder, mutate)
    assert not audit(attack.folder).passed
    assert any(why in wrong for wrong in wrongs_of(attack, rule)), failing(audit(attack.folder))


def test_answering_ones_own_side(attack: Attack) -> None:
    def answer(lines: list[Fields]) -> None:
        """Lets a counter answer the standing quote of somebody on its own side."""
        roles = {n["data"]["agent"]: n["data"]["role"] for n in of_type(lines, "agent.spawned")}
        spoken = [n for n in lines if n["type"] != "acts.explained"]
        for first, second in pairwise(spoken):
            if any(n["data"].get("act") not in {"offer", "counter"} for n in (first, second)):
                continue
            agents = first["data"]["agent"], second["data"]["agent"]
            if agents[0] != agents[1] and roles[agents[0]] == roles[agents[1]]:
                second["data"].update(act="counter", refers_to=first["data"]["quote"], to=agents[0])
                return
        raise AssertionError("no two of one side quote in a row")

    rewrite(attack.folder, answer)
    assert any("of its own side" in wrong for wrong in wrongs_of(attack, "acts"))


# --- Settlement -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reverting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose deals are too short: verifiers approve them, and the escrow refuses all transactions."""
    settings = msgspec.structs.replace(preset("small_test", 7), deal_ms=2_000)
    return archives.make(tmp_path_factory.mktemp("reverting") / "run", settings)


def test_a_reverted_transaction_is_executed_again_too(reverting: Path) -> None:
    assert failing(audit(reverting, re_execute=True)) == {}
    failed = [r.event for r in archive.read_events(reverting) if isinstance(r.event, DealFailed)]
    assert {(event.reason, event.detail) for event in failed} == {(FailReason.EXPIRED, "deadline_passed")}


def test_another_reason_for_a_revert_is_found(reverting: Path, tmp_path: Path) -> None:
    folder = archives.copy(reverting, tmp_path / "reverted")

    def lie(lines: list[Fields]) -> None:
        of_type(lines, "deal.failed")[-1]["data"]["detail"] = "item_not_approved"

    rewrite(folder, lie)
    assert "the ledger says deadline_passed" in failing(audit(folder))["settlement"]


def test_a_set_of_another_chain_is_found(attack: Attack) -> None:
    def elsewhere(lines: list[Fields]) -> None:
        of_type(lines, "verifiers.registered")[0]["data"]["chain_id"] = 1

    rewrite(attack.folder, elsewhere)
    found = failing(audit(attack.folder))
    assert "not those registered" in found["certificates"]
    assert "its signature is not by" in found["mandates"]


def test_a_vault_with_a_key_twice_is_found(attack: Attack) -> None:
    path = attack.folder / archive.VAULT
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], *lines]))
    assert "stands there twice" in audit(attack.folder).check("mandates").detail


@pytest.mark.parametrize("signature", ["no hex", "", "00" * 65])
def test_a_mandate_with_a_signature_that_is_none_is_found(signature: str, attack: Attack) -> None:
    def spoil(key: str, secret: Any) -> tuple[str, Any]:
        if "mandate" in secret:
            secret["signature"] = signature
        return key, secret

    attack.change_vault(spoil)
    assert "its signature is not by" in audit(attack.folder).check("mandates").detail


def test_a_mandate_signed_in_capital_letters_is_found(attack: Attack) -> None:
    """No signature has two spellings, or logs that mean the same would have two hashes."""

    def shout(key: str, secret: Any) -> tuple[str, Any]:
        if "mandate" in secret:
            secret["signature"] = secret["signature"].upper()
        return key, secret

    attack.change_vault(shout)
    assert "its signature is not by" in audit(attack.folder).check("mandates").detail


# --- Versions, re-execution, and the auditor's own faults -------------------------------------------------


def test_lines_of_an_older_version_of_an_event_stay_canonical(faulty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later program lifts what it reads; the stored bytes are what is audited."""
    newer = msgspec.structs.replace(catalogue.BY_NAME["quote.expired"], version=2)
    monkeypatch.setitem(catalogue.BY_NAME, "quote.expired", newer)
    monkeypatch.setitem(cast("dict[object, object]", catalogue.BY_TYPE), QuoteExpired, newer)
    monkeypatch.setattr(catalogue, "UPCASTS", {("quote.expired", 1): lambda fields: fields})
    assert failing(audit(faulty)) == {}


def test_a_run_that_goes_on_or_ends_early_is_shown(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = archives.lines_of(small)
    monkeypatch.setattr(forks, "reexecute", lambda *_: lines[:-1])
    check = audit(small, re_execute=True).check("re_execution")
    assert (check.place.split(" (")[0], check.detail) == (
        f"events.ndjson line {len(lines)}",
        "the log goes on here, the run has ended",
    )
    monkeypatch.setattr(forks, "reexecute", lambda *_: [*lines, b"{}"])
    assert audit(small, re_execute=True).check("re_execution").detail == "the log ends here, the run goes on"


def test_a_run_of_other_settings_is_stopped(small: Path, tmp_path: Path) -> None:
    folder = archives.copy(small, tmp_path / "settings")
    manifest = archive.read_manifest(folder)
    settings = msgspec.structs.replace(manifest.settings, buyers=250, sellers=250)
    path = folder / archive.MANIFEST
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, settings=settings)))
    assert "goes on beyond" in audit(folder, re_execute=True).check("re_execution").detail


def test_another_version_is_said_beside_a_difference(small: Path, tmp_path: Path) -> None:
    folder = archives.copy(small, tmp_path / "version")
    manifest = msgspec.structs.replace(archive.read_manifest(folder), version="0.0.1")
    (folder / archive.MANIFEST).write_bytes(msgspec.json.encode(manifest))

    def shout(lines: list[Fields]) -> None:
        acts(lines)[0]["data"]["text"] = "Hello."

    rewrite(folder, shout)
    assert "made by agentrooms 0.0.1" in audit(folder, re_execute=True).check("re_execution").detail


def test_a_fold_that_depends_on_where_it_is_cut_is_found(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def freeze(draft: Draft) -> Room:
        room = real(draft)
        room.items.pop(next(iter(room.items), ""), None)
        return room

    real = Draft.freeze
    monkeypatch.setattr(Draft, "freeze", freeze)
    assert "differs in items" in audit(small).check("fold").detail


BROKEN_TABLES: dict[str, tuple[str, Callable[[list[Any]], list[Any]], str]] = {
    "a deal lost": ("deals", lambda rows: rows[1:], "rows, the room"),
    "a deal's price": (
        "deals",
        lambda rows: [msgspec.structs.replace(row, price_usdc_micros=1) for row in rows],
        "in the table",
    ),
    "a deal still open": (
        "deals",
        lambda rows: [msgspec.structs.replace(row, ended_round=None) for row in rows],
        "in the table",
    ),
    "an ended quote": (
        "quotes",
        lambda rows: [msgspec.structs.replace(row, state=QuoteState.STANDING) for row in rows],
        "rows, the room",
    ),
    "no quote stands": (
        "quotes",
        lambda rows: [msgspec.structs.replace(row, state=QuoteState.EXPIRED) for row in rows],
        "rows, the room",
    ),
    "a quote's grade": (
        "quotes",
        lambda rows: [msgspec.structs.replace(row, grade="odd") for row in rows],
        "in the table",
    ),
    "agents in another order": ("agents", lambda rows: rows[::-1], "another order"),
    "an agent's messages": (
        "agents",
        lambda rows: [msgspec.structs.replace(row, messages=row.messages + 1) for row in rows],
        "in the table",
    ),
    "the last move of the floor": ("floor_path", lambda rows: rows[:-1], "last is"),
}


@pytest.mark.parametrize("name", BROKEN_TABLES)
def test_a_table_that_does_not_agree_with_the_room_is_found(
    name: str, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, change, why = BROKEN_TABLES[name]
    module = importlib.import_module(f"agentrooms.projections.{table}")
    real = module.rows
    monkeypatch.setattr(module, "rows", lambda events: change(real(events)))
    report = audit(small)
    assert set(failing(report)) == {"tables"}
    assert why in report.check("tables").detail
    assert report.check("tables").detail.startswith(f"{table} of room")


def test_a_path_that_is_rewritten_later_is_found(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fold in two parts would show other rows than one at once."""

    def rows(events: list[Any]) -> list[FloorRow]:
        made = real(events)
        return [msgspec.structs.replace(made[0], at_ms=len(events)), *made[1:]]

    real = floor_path.rows
    monkeypatch.setattr(floor_path, "rows", rows)
    assert "floor_path is another up to event" in audit(small).check("tables").detail


def test_a_rule_that_stumbles_fails_and_the_others_go_on(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(rule: Acts, line: object) -> None:
        raise LookupError("oh")

    monkeypatch.setattr(Acts, "_posted", stumble)
    report = audit(small)
    assert set(failing(report)) == {"acts"}
    assert report.check("acts").detail == "LookupError: oh"
    assert "act.posted" in report.check("acts").place


def test_checks_that_stumble_fail(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_arguments: object) -> None:
        raise LookupError("oh")

    monkeypatch.setattr("agentrooms.sim.audit.check_fold", stumble)
    report = audit(small)
    assert report.check("fold").detail == "not run: LookupError: oh"
    with pytest.raises(KeyError):
        report.check("nothing")


def test_signing_a_fork_with_no_interventions_is_found(forked: Path, tmp_path: Path) -> None:
    folder = archives.copy(forked, tmp_path / "fork")
    manifest = archive.read_manifest(folder)
    settings = msgspec.structs.replace(manifest.settings, interventions=())
    (folder / archive.MANIFEST).write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, settings=settings)))
    archives.resign(folder, key=SigningKey(b"f" * 32))
    assert "a fork changes something" in audit(folder).check("fork").detail
