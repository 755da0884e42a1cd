"""Hash chains: each line holds the hash of the line before it in its chain. Names the first broken place."""

from __future__ import annotations

from agentrooms.events.journal import Head
from agentrooms.events.record import Recorded
from agentrooms.sim.archive import SignedManifest
from agentrooms.sim.audit.report import Check, Findings
from agentrooms.sim.audit.source import Log
from agentrooms.sim.live_archive import Redaction, RoomManifest

Link = Recorded | Redaction
Entry = tuple[int, Link]
_START = Head()


def check_chains(log: Log, manifest: SignedManifest | None) -> Check:
    """Checks the links of all chains, and their ends against the manifest."""
    found = Findings("chains", log.place)
    links = log.links()
    found.count = len(links)
    starts: dict[str, Head] = {}
    if isinstance(manifest, RoomManifest):
        starts[manifest.room] = Head(manifest.first - 1, manifest.prev)
        _check_elsewhere(found, log)
    chains: dict[str, list[Entry]] = {}
    for entry in links:
        chains.setdefault(entry[1].chain, []).append(entry)
    for chain, entries in chains.items():
        broken = _first_break(chain, entries, log, starts.get(chain, _START))
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
    last = {link.chain: link for _number, link in log.links()}
    return {chain: Head(recorded.seq, recorded.hash) for chain, recorded in last.items()}


def _first_break(chain: str, entries: list[Entry], log: Log, start: Head) -> tuple[int, str] | None:
    """Returns the first line that does not follow the one before it in its chain, and what that means."""
    seq, prev, before = start.seq, start.hash, 0
    for number, r in entries:
        if r.seq != seq + 1:
            return number, _wrong_seq(chain, entries, number, r, seq + 1, before, log)
        if isinstance(r, Recorded) and r.prev != prev:  # a redacted line shows its own hash only
            return number, _wrong_link(chain, r, before, start)
        seq, prev, before = r.seq, r.hash, number
    return None


def _check_elsewhere(found: Findings, log: Log) -> None:
    """Checks lines of other rooms as far as can be: their chains have gaps here."""
    before: dict[str, Recorded] = {}
    for number, r in log.elsewhere:
        found.count += 1
        last = before.get(r.chain)
        if last is not None and r.seq <= last.seq:
            found.wrong(number, f"chain {r.chain} has seq {r.seq} after {last.seq}: lines were swapped or repeated")
        elif last is not None and r.seq == last.seq + 1 and r.prev != last.hash:
            found.wrong(number, f"the line before it in chain {r.chain} was changed, or this line's link to it was")
        before[r.chain] = r


def _wrong_link(chain: str, r: Recorded, before: int, start: Head) -> str:
    if not before and start.seq:
        said = _short(start.hash)
        return f"it links to {_short(r.prev)}, the manifest says that the line before it has hash {said}"
    if not before:
        return f"the first line of chain {chain} links to {_short(r.prev)}, not to zeros: this line was changed"
    return f"line {before} was changed, or this line's link to it was (it holds {_short(r.prev)})"


def _wrong_seq(chain: str, entries: list[Entry], number: int, r: Link, due: int, before: int, log: Log) -> str:
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
