"""Gives an act its mood and words. All it knows of the mandate is how much of its time has passed.

Only the scripted narrator is trusted. Whatever another one says, or fails to say, is held against the
guard, and replaced by a scripted line when it breaks a rule.
"""

from __future__ import annotations

from collections.abc import Container
from functools import cache

from agentrooms.domain.act import Act
from agentrooms.domain.agent import Agent
from agentrooms.domain.ids import picker
from agentrooms.domain.mandate import Mandate
from agentrooms.domain.market import PERMILLE, elapsed_permille
from agentrooms.domain.record import Record
from agentrooms.domain.room import Room
from agentrooms.domain.terms import ActKind, Mood, Role
from agentrooms.language import Counts, Cue, Happening, ScriptedNarrator, Wording, guard, mood_of

NEAR_PERMILLE = 50
THIRD = 3
SCRIPTED, MODEL, FALLBACK = "scripted", "model", "fallback"  # who worded a line; storage format


@cache
def scripted_narrator() -> ScriptedNarrator:
    """Returns the scripted narrator, built once: it has no state."""
    return ScriptedNarrator()


def word(
    narrator: Wording, run_key: bytes, room: Room, act: Act, mandate: Mandate, round_: int, lines: Container[str]
) -> tuple[str, Mood, str]:
    """Returns the line for an act, the mood it is said in, and who worded it."""
    agent, record = room.agents[act.agent], room.records[act.agent]
    gap = _gap_permille(room, act)
    mood = mood_of(
        Counts(
            refusals=record.refusals,
            refusals_in_row=record.refusals_in_row,
            undercuts=record.overtaken,
            concessions_received=record.concessions_received,
            elapsed_permille=elapsed_permille(room, agent, mandate, round_),
            lost_deals=record.lost_deals,
            gap_permille=gap,
            agreed=int(act.kind is ActKind.ACCEPT),
        )
    )
    cue = Cue(
        act=act.kind,
        style=agent.style,
        mood=mood,
        role=agent.role,
        item=_item_name(room, agent, act),
        price_usdc_micros=-1 if act.price_usdc_micros is None else act.price_usdc_micros,
        counterpart=room.agents[act.to].name if act.to is not None else "",
        happening=_happening(room, agent, record, gap),
    )
    line = None if type(narrator) is ScriptedNarrator else _guarded(narrator, cue, run_key, act.agent, round_, lines)
    if line is not None:
        return line, mood, MODEL
    text = scripted_narrator().word(cue, picker(run_key, "words", act.agent, round_), lines)
    return text, mood, SCRIPTED if type(narrator) is ScriptedNarrator else FALLBACK


def _guarded(narrator: Wording, cue: Cue, run_key: bytes, agent: str, round_: int, lines: Container[str]) -> str | None:
    """Returns a narrator's line, or None when it fails or its line breaks a rule."""
    try:
        text = narrator.word(cue, picker(run_key, "words", agent, round_), lines)
        return text if guard(text, cue) is None else None
    except Exception:  # noqa: BLE001 (a narrator may fail in any way, and a room must not fail with it)
        return None


def _gap_permille(room: Room, act: Act) -> int:
    """Returns how far the act's price is from the quote it answers, in permille of its own; -1 unknown."""
    answered = room.quotes.get(act.refers_to or "")
    if answered is None or act.price_usdc_micros is None:
        return -1
    return abs(answered.price_usdc_micros - act.price_usdc_micros) * PERMILLE // act.price_usdc_micros


def _item_name(room: Room, agent: Agent, act: Act) -> str:
    if agent.item is not None:
        return agent.item.name
    return room.items[act.token_id].name if act.token_id in room.items else ""


def _happening(room: Room, agent: Agent, record: Record, gap: int) -> Happening:
    """Returns what has just happened to the agent, the most telling first."""
    quote = room.quotes.get(room.quote_of.get(agent.id, ""))
    if record.led and quote is not None and room.leaders.get((agent.role, quote.grade)) != quote.id:
        return Happening.UNDERCUT if agent.role is Role.SELLER else Happening.OUTBID
    if record.refusals_in_row >= THIRD and record.addressed:
        return Happening.THIRD_REFUSAL
    if record.addressed and record.last_concession_usdc_micros > 0:
        return Happening.CONCEDED
    if 0 <= gap <= NEAR_PERMILLE:
        return Happening.NEAR
    return Happening.NONE
