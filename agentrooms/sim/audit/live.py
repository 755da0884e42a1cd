"""What the audit of a live room's archive leaves open, with how many things it is about."""

from __future__ import annotations

from collections import Counter

from agentrooms.events.record import PLATFORM
from agentrooms.sim.audit.source import Source
from agentrooms.sim.live_archive import RoomManifest

_PRICED = ("offer", "counter", "accept")
_ENDS = ("deal.completed", "deal.failed")


def notes(source: Source, manifest: RoomManifest, *, keyed: bool, re_execute: bool) -> list[str]:
    """Returns what could not be checked, and what would check it."""
    types = Counter(recorded.type for _number, recorded in source.log.events if recorded.chain != PLATFORM)
    found = [*_sealed(source, types), *(_before(manifest, types) if source.partial else _around(source, types))]
    if not keyed:
        found.append(f"whose key {manifest.public_key} is: --key with the installation's public key tells")
    if types["deal.certified"]:
        found.append(f"when verifiers looked at the chain, in {_many(types['deal.certified'], 'certificate')}")
    if manifest.opened and not re_execute:
        found.append("whether these agents decide so from the recorded inputs: --re-execute lets them decide again")
    return found


def _sealed(source: Source, types: Counter[str]) -> list[str]:
    """Returns what only an opened archive lets one check."""
    hidden, found = len(source.log.hidden), list[str]()
    if hidden:
        found.append(f"{_many(hidden, 'redacted line')}: place and hash only; their bodies are the agents' owners'")
    if source.vault is not None:
        return found
    mandates = types["agent.spawned"] + types["agent.reconfigured"]
    priced = sum(getattr(r.event, "act", None) in _PRICED for _number, r in source.log.events)
    return [
        *found,
        f"limits and signatures of {_many(mandates, 'mandate')}: the archive is sealed (it has no vault)",
        f"whether {_many(priced, 'priced act')} and {_many(types['deal.locked'], 'deal')} lie within the mandates",
        f"the content of {_many(types['escrow.submitted'], 'escrow transaction')}",
        "whether these agents decide so: only an opened archive can be executed again",
    ]


def _before(manifest: RoomManifest, types: Counter[str]) -> list[str]:
    """Returns what needs the state before an archive that begins after its room."""
    acts, locks = _many(types["act.posted"], "act"), _many(types["deal.locked"], "lock")
    return [
        f"the room before seq {manifest.first}: {manifest.first - 1:,} of its lines are not here",
        f"{acts}, {locks}, the fold and the tables: they rest on those lines",
    ]


def _around(source: Source, types: Counter[str]) -> list[str]:
    """Returns what lies outside one room: its unfinished deals, other rooms, the chain."""
    live = types["deal.locked"] - sum(types[end] for end in _ENDS)
    found = [f"how {_many(live, 'live deal')} will end"] if live > 0 else []
    if types["deal.locked"]:
        elsewhere = len(source.log.elsewhere)
        found.append(
            f"whether other rooms held more on the same items and wallets than the {_many(elsewhere, 'line')} "
            "of theirs here: their chains have gaps"
        )
    ended = sum(types[end] for end in _ENDS)
    if ended:
        found.append(f"receipts, owners and balances of {_many(ended, 'ended deal')}: the chain itself has them")
    return found


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
