"""Hash chains: each line holds the hash of the line before it in its chain. Names the first broken place."""

from __future__ import annotations

from agentrooms.events.journal import Head
from agentrooms.events.record import GENESIS, Recorded
from agentrooms.sim.archive import Manifest
from agentrooms.sim.audit.report import Check, Findings
from agentrooms.sim.audit.source import Log

Entry = tuple[int, Recorded]


def check_chains(log: Log, manifest: Manifest | None) -> Check:
    """Checks the links of all chains, and their ends against the manifest."""
    found = Findings("chains", log.place)
    found.count = len(log.events)
    chains: dict[str, list[Entry]] = {}
    for entry in log.events:
        chains.setdefault(entry[1].chain, []).append(entry)
    for chain, entries in chains.items():
        broken = _first_break(chain, entries, log)
        if broken is not None:
            found.wrong(*broken)
        elif manifest is not None:
            _check_end(found, chain, entries, manifest.heads.get(chain))
    for chain, head in manifest.heads.items() if manifest is not None else ():
        if chain not in chains:
            found.wrong(0, f"the manifest has a chain {chain} of {head.seq} events, the log has none of it")
    return found.check(f"{len(chains)} chains are dense and every line holds the hash of the one before it")


def heads_of(log: Log) -> dict[str, Head]:
    """Returns where the log's chains end."""
    last = {recorded.chain: recorded for _number, recorded in log.events}
    return {chain: Head(recorded.seq, recorded.hash) for chain, recorded in last.items()}


def _first_break(chain: str, entries: list[Entry], log: Log) -> tuple[int, str] | None:
    """Returns the first line that does not follow the one before it in its chain, and what that means."""
    seq, prev, before = 0, GENESIS, 0
    for number, r in entries:
        if r.seq != seq + 1:
            return number, _wrong_seq(chain, entries, number, r, seq + 1, before, log)
        if r.prev != prev:
            return number, _wrong_link(chain, r, before)
        seq, prev, before = r.seq, r.hash, number
    return None


def _wrong_link(chain: str, r: Recorded, before: int) -> str:
    if not before:
        return f"the first line of chain {chain} links to {_short(r.prev)}, not to zeros: this line was changed"
    return f"line {before} was changed, or this line's link to it was (it holds {_short(r.prev)})"


def _wrong_seq(chain: str, entries: list[Entry], number: int, r: Recorded, due: int, before: int, log: Log) -> str:
    places = [n for n, other in entries if other.seq == r.seq and n != number]
    if r.seq < due:
        again = f"it stands at line {places[0]} already" if places else "it is out of order"
        return f"chain {chain} has seq {r.seq} again where {due} is due ({again}): a line was inserted or repeated"
    later = [n for n, other in entries if other.seq == due and n > number]
    if later:
        return f"chain {chain} has seq {r.seq} where {due} is due, which stands at line {later[0]}: lines were swapped"
    missing = f"seq {due} is" if r.seq == due + 1 else f"seq {due} to {r.seq - 1} are"
    unread = [n for n in log.broken if before < n < number]
    if unread:
        return f"chain {chain}: {missing} missing; line {unread[0]}, which cannot be read, stands there"
    return f"chain {chain}: {missing} missing after line {before}: lines were removed, or a line's seq was changed"


def _check_end(found: Findings, chain: str, entries: list[Entry], head: Head | None) -> None:
    number, last = entries[-1]
    if head is None:
        found.wrong(entries[0][0], f"the manifest knows no chain {chain}: its lines were inserted or renamed")
    elif head.seq > last.seq:
        cut = head.seq - last.seq
        found.wrong(
            number, f"chain {chain} ends here at seq {last.seq}, the manifest says {head.seq}: {cut} lines were cut off"
        )
    elif head.seq < last.seq:
        found.wrong(number, f"chain {chain} goes on to seq {last.seq}, the manifest says {head.seq}: lines were added")
    elif head.hash != last.hash:
        found.wrong(
            number, f"this last line of chain {chain} was changed: the manifest has another hash ({_short(head.hash)})"
        )


def _short(hash_: str) -> str:
    return f"{hash_[:12]}…" if len(hash_) > 12 else repr(hash_)
