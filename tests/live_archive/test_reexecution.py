"""Agents of an opened room decide again: what is recorded comes out, and what could not be so does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agentrooms.actors.settling import VERDICT_ROUNDS
from agentrooms.domain.deal import DealCertified, DealLocked
from agentrooms.events.vault import MemoryVault
from agentrooms.sim import archive, reexecution
from agentrooms.sim.audit import audit
from agentrooms.sim.audit.source import Source
from agentrooms.sim.live_archive import room_key_name
from agentrooms.sim.recording import Due
from agentrooms.sim.reexecution import Found, reexecute
from tests.audit.archives import failing
from tests.live_archive import forging
from tests.live_archive.forging import Fields
from tests.live_archive.system import KEYS, A, B, Model, System


def again(folder: Path, room: str, **changes: Any) -> Found | None:
    """Re-executes an archive, with other entries, vault or key when given."""
    source = Source(folder, lambda *_: None)
    vault = archive.read_vault(folder)
    assert vault is not None
    given = {"entries": source.log.decoded(), "vault": vault, "key": KEYS[room], **changes}
    return reexecute(given["entries"], room, given["vault"], given["key"], lambda _: None)


@pytest.mark.parametrize("room", [A, B])
def test_a_room_worded_by_a_model_comes_out_with_its_words(room: str, worded: System, tmp_path: Path) -> None:
    wordings = {getattr(r.event, "wording", None) for r in worded.lines(room) if r.type == "act.posted"}
    assert wordings >= {"model", "fallback"}
    assert ("scripted" in wordings) is (room == A)  # made anew in between, with another narrator
    assert failing(audit(worded.export(room, tmp_path / room, opened=True), re_execute=True)) == {}


def test_progress_is_told(opened: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    audit(opened, re_execute=True, progress=lambda *step: seen.append(step))
    told = [done for stage, done, _total in seen if stage == "re_execution"]
    assert told == sorted(told)
    assert told[-1] == [total for stage, _done, total in seen if stage == "re_execution"][-1]


def test_what_other_rooms_locked_decides_what_happens_here(opened: Path) -> None:
    """Room B's agents would have bought what room A had locked."""
    source = Source(opened, lambda *_: None)
    found = again(opened, B, entries=source.log.events)
    assert found is not None
    assert found.recomputed is not None
    assert json.loads(found.recomputed)["data"]["act"] == "accept"
    assert again(opened, B) is None


def test_a_lock_that_ended_between_a_rooms_look_and_its_append_is_no_difference(opened: Path) -> None:
    """The log holds the end before the append, and the room that looked before has not seen it."""
    entries = Source(opened, lambda *_: None).log.decoded()
    end = next(n for n, (_number, r) in enumerate(entries) if r.chain == A and r.type == "deal.completed")
    before = next(r for _number, r in reversed(entries[:end]) if r.chain == B)
    first = next(n for n, (_number, r) in enumerate(entries) if r.chain == B and r.cmd == before.cmd)
    moved = [*entries[:first], entries[end], *entries[first:end], *entries[end + 1 :]]
    assert moved != entries
    assert again(opened, B, entries=moved) is None


def test_rooms_of_all_kinds_come_out_again(tmp_path: Path) -> None:
    """Also those whose verifiers were silent for long: their certificates came when the room had been made anew."""
    waits = []
    for seed in range(1, 5):
        system = System(Model() if seed % 2 else None, seed).run()
        for room in (A, B):
            folder = system.export(room, tmp_path / f"{room}-{seed}", opened=True)
            assert failing(audit(folder, re_execute=True)) == {}
            chain = [r.event for r in system.lines(room)]
            locked = {event.terms.deal: event.round for event in chain if isinstance(event, DealLocked)}
            waits += [event.round - locked[event.deal] for event in chain if isinstance(event, DealCertified)]
    assert max(waits) > sum(VERDICT_ROUNDS)  # later than any draw


def test_a_room_made_anew_before_every_round_is_the_same(
    opened: Path, opened_a: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks settlement once more for all that is open, and takes no other answer for it."""
    prepare = reexecution._Rehearsal._prepare

    def anew(rehearsal: reexecution._Rehearsal, due: Due) -> None:
        prepare(rehearsal, due)
        rehearsal._room = rehearsal._build()

    monkeypatch.setattr(reexecution._Rehearsal, "_prepare", anew)
    assert again(opened, B) is None
    assert again(opened_a, A) is None


def test_another_key_gives_another_room(opened: Path) -> None:
    found = again(opened, B, key=KEYS[A])
    assert found is not None
    assert found.recomputed != found.recorded


def test_an_agent_without_its_mandate_does_not_come(opened: Path, system: System) -> None:
    found = again(opened, B, vault=MemoryVault())
    first = next(r for r in system.lines(B) if r.type == "agent.spawned")
    assert found is not None
    assert found.recorded == first.line
    assert found.recomputed is None


def first_of(lines: list[Fields], room: str, **data: Any) -> Fields:
    """The first line of the room whose data has these values."""
    mine = [line for line in lines if line["chain"] == room]
    return next(line for line in mine if data.items() <= line["data"].items())


def test_a_price_that_its_agent_would_not_have_named_is_named(opened: Path, tmp_path: Path) -> None:
    """All other rules hold, all hashes are true again: only the agent itself knows better."""
    folder = forging.copy(opened, tmp_path / "forged")

    def cheaper(lines: list[Fields]) -> None:
        acts = [n for n in lines if n["chain"] == B and n["data"].get("act") in {"offer", "counter"}]
        answered = {n["data"].get("refers_to") for n in lines if n["chain"] == B}
        offer = next(n for n in acts if n["data"]["quote"] not in answered)
        offer["data"]["price_usdc_micros"] += 10_000
        changed.append(offer["seq"])

    changed: list[int] = []
    forging.relink(folder, cheaper)
    report = audit(folder, re_execute=True)
    assert set(failing(report)) == {"re_execution"}
    assert f"({B} seq {changed[0]}, act.posted)" in report.check("re_execution").place
    assert "data.price_usdc_micros is" in report.check("re_execution").detail


def test_a_command_that_nobody_sent_is_fed_and_shows_in_what_follows(opened: Path, tmp_path: Path) -> None:
    folder = forging.copy(opened, tmp_path / "forged")

    def paused_again(lines: list[Fields]) -> None:
        resumed = first_of(lines, B, agent="agent_b1b", round=16)
        assert resumed["type"] == "agent.resumed"
        lines.remove(resumed)

    forging.relink(folder, paused_again)
    assert "is paused" in failing(audit(folder))["acts"]
    found = again(folder, B)
    assert found is not None
    assert found.recorded is not None
    assert json.loads(found.recorded)["data"]["round"] >= 16


def test_agents_do_not_hear_what_people_say(system: System) -> None:
    """Rooms in which nobody speaks have the same acts and deals."""
    silent = System(silent=True).run()
    for room in (A, B):
        said = [r for r in system.lines(room) if r.type == "person.spoke"]
        assert len(said) > 12
        heard, unheard = ([r.event for r in s.lines(room) if r.type != "person.spoke"] for s in (system, silent))
        assert heard == unheard


def test_what_a_person_said_is_fed_and_comes_out_again(opened: Path, tmp_path: Path) -> None:
    """Other words are other inputs: what would show them is the chain of hashes. Too many are refused again."""
    folder = forging.copy(opened, tmp_path / "forged")

    def put_words(lines: list[Fields]) -> None:
        first_of(lines, B, text="Is that all, after 5 rounds?")["data"]["text"] = "That is all."

    forging.relink(folder, put_words)
    assert failing(audit(folder, re_execute=True)) == {}
    shouting = forging.copy(opened, tmp_path / "shouting")

    def shout(lines: list[Fields]) -> None:
        at = next(n for n, line in enumerate(lines) if line["type"] == "person.spoke" and line["data"]["round"] == 40)
        said = [
            {**lines[at], "tags": [t for t in lines[at]["tags"] if not t.startswith("command:")]} for _ in range(11)
        ]
        lines[at:at] = said

    forging.relink(shouting, shout)
    assert "says its 11th message within a minute" in failing(audit(shouting))["acts"]
    assert again(shouting, B) is not None


def test_a_round_left_out_is_named(opened: Path, tmp_path: Path) -> None:
    folder = forging.copy(opened, tmp_path / "forged")

    def silent(lines: list[Fields]) -> None:
        rounds = dict.fromkeys(line["cmd"] for line in lines if line["chain"] == B)
        kinds = {cmd: {line["type"] for line in lines if line["cmd"] == cmd} for cmd in rounds}
        cmd = next(cmd for cmd in rounds if kinds[cmd] == {"act.posted", "acts.explained"})
        lines[:] = [line for line in lines if line["cmd"] != cmd]
        dropped.append(cmd)

    dropped: list[str] = []
    forging.relink(folder, silent)
    found = again(folder, B)
    assert found is not None
    assert found.recomputed is not None
    assert json.loads(found.recomputed)["cmd"] == dropped[0]


def test_no_archive_asks_for_endless_rounds(opened: Path, tmp_path: Path) -> None:
    folder = forging.copy(opened, tmp_path / "forged")

    def later(lines: list[Fields]) -> None:
        mine = [line for line in lines if line["chain"] == B]
        last = [line for line in mine if line["cmd"] == mine[-1]["cmd"]]
        for line in last:
            line["cmd"] = f"round:{B}:{10**15}"

    forging.relink(folder, later)
    found = again(folder, B)
    assert found is not None
    assert found.recorded is not None


def test_the_room_key_is_an_entry_of_the_vault(opened: Path) -> None:
    vault = archive.read_vault(opened)
    assert vault is not None
    assert vault.get(room_key_name(B)) == KEYS[B]
