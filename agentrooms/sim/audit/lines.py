"""Is every line canonical: sorted keys, no floats, normal form C, exactly the fields of its type?"""

from __future__ import annotations

import unicodedata

import msgspec

from agentrooms.domain.deal import DealLocked, Terms
from agentrooms.errors import InvalidInput
from agentrooms.events.catalogue import BY_NAME
from agentrooms.events.record import Recorded, encode_line
from agentrooms.events.tags import tags_of
from agentrooms.sim.audit.report import Check, Findings
from agentrooms.sim.audit.source import UNREADABLE, Log, command_of, fields_of
from agentrooms.sim.live_archive import ELSEWHERE_TYPES

_ENCODER = msgspec.json.Encoder(order="sorted")


class _Float(ValueError):
    """A number that is no integer."""


def _no_float(text: str) -> float:
    raise _Float(text)


_STRICT = msgspec.json.Decoder(float_hook=_no_float)


def check_lines(log: Log, *, partial: bool = False) -> Check:
    """Checks each line on its own; in a `partial` log, deals may have been locked before its first line."""
    found = Findings("lines", log.place)
    found.count = len(log.lines)
    for number, why in log.broken.items():
        found.wrong(number, f"the line cannot be read: {why}")
    if not log.lines:
        found.wrong(0, "the log is empty")
    if not log.ends_whole:
        found.wrong(len(log.lines), "the file ends within this line: it was cut")
    deals: dict[str, Terms] = {}
    for number, recorded in log.elsewhere:
        if recorded.type not in ELSEWHERE_TYPES:
            found.wrong(number, f"{recorded.type} of room {recorded.chain} is no lock: it does not belong here")
    for number, recorded in log.decoded():
        if _written_again(recorded) != recorded.line:
            _explain(found, number, recorded.line)
        elif partial and getattr(recorded.event, "deal", None) not in {None, *deals}:
            continue
        elif wrong := _wrong_tags(recorded, deals):
            found.wrong(number, wrong)
    return found.check("every line is canonical JSON with exactly the fields of its type")


def _written_again(r: Recorded) -> bytes:
    try:
        return encode_line(r.event, chain=r.chain, seq=r.seq, at_ms=r.at_ms, cmd=r.cmd, tags=r.tags, prev=r.prev)
    except (InvalidInput, *UNREADABLE):
        return b""


def _explain(found: Findings, number: int, line: bytes) -> None:
    """Says why a line is not what the program would write; an older version of an event may well be right."""
    try:
        value = _STRICT.decode(line)
    except UNREADABLE as error:
        found.wrong(number, f"not canonical: {'a float' if isinstance(error, _Float) else error}")
        return
    if _ENCODER.encode(value) != line:
        found.wrong(number, "not canonical: keys unsorted or doubled, blanks, or text escaped without need")
    elif not unicodedata.is_normalized("NFC", line.decode()):
        found.wrong(number, "not canonical: a text is not in Unicode normal form C")
    else:
        version, type_ = fields_of(line).get("v"), fields_of(line).get("type")
        if version == BY_NAME[str(type_)].version:
            found.wrong(number, f"the line has fields that {type_} version {version} does not have, or lacks some")


def _wrong_tags(recorded: Recorded, deals: dict[str, Terms]) -> str:
    """Returns what is wrong with the tags: they are those of what the event is about, sorted."""
    event = recorded.event
    if isinstance(event, DealLocked):
        deals[event.terms.deal] = event.terms
    command = command_of(recorded)
    due = tags_of(event, recorded.chain, deals.get(getattr(event, "deal", "")), command)
    if recorded.tags == due:
        return ""
    return f"the tags are {', '.join(recorded.tags) or 'none'}; the event is about {', '.join(due)}"
