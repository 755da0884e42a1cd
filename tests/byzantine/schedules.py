"""Draws what happens to a deal before seven verifiers."""

from __future__ import annotations

from hypothesis import strategies as st

from agentrooms.chaos.faults import Fault
from agentrooms.consensus.protocol import ASK_TIMEOUT_MS, ASKS_MAX
from tests.byzantine.invariants import FAULTY_MAX
from tests.byzantine.scenes import INVALID, VALID, Scene
from tests.byzantine.world import FIRST, ROOM_AT, Schedule
from tests.domain.samples import NAMES

PROMPT_MS = ASK_TIMEOUT_MS - 100  # an answer that comes while it is waited for
LATE_MS = (ASKS_MAX - 1) * ASK_TIMEOUT_MS  # one that comes in a later ask, and still in time
DEATH_STEPS = 90  # a deal takes about so many messages until it has a certificate

SCENES: st.SearchStrategy[Scene] = st.sampled_from([VALID] * len(INVALID) + list(INVALID))
FAULTY = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(Fault), max_size=FAULTY_MAX)
SOME = st.frozensets(st.sampled_from(NAMES))
DRAINED = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 2), max_size=len(NAMES))
DEATHS = st.lists(st.tuples(st.integers(0, DEATH_STEPS), st.sampled_from([FIRST, ROOM_AT])), max_size=3)


@st.composite
def schedules(draw: st.DrawFn, faulty: st.SearchStrategy[dict[str, Fault]] = FAULTY) -> Schedule:
    """Anything that may happen, at most two verifiers being faulty.

    Honest ones answer within the asks, or late and then at their first ask: more the protocol does not promise.
    """
    deaths = draw(DEATHS)
    unreachable = draw(st.dictionaries(st.sampled_from(NAMES), st.integers(1, ASKS_MAX - 1), max_size=len(NAMES)))
    second_ms = draw(st.none() | st.integers(0, ASKS_MAX * ASK_TIMEOUT_MS))
    delays = {}
    for name in NAMES:
        late = not deaths and name not in unreachable
        most = LATE_MS if late else PROMPT_MS
        delays[name] = tuple(draw(st.lists(st.integers(0, most), min_size=1, max_size=ASKS_MAX)))
    return Schedule(
        scene=draw(SCENES),
        faults=draw(faulty),
        delays_ms=delays,
        unreachable=unreachable,
        drained=draw(st.just({}) | DRAINED),
        second_ms=second_ms,
        rogue=draw(st.just(frozenset()) | SOME),
        deaths=tuple(deaths),
    )
