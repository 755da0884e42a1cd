"""The collector asks the silent, counts each member once, and keeps proof against liars only."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.actors.plans import verifier_keys
from agentrooms.consensus.certificate import check_certificate
from agentrooms.consensus.evidence import EQUIVOCATION, is_proof
from agentrooms.consensus.protocol import ASK_TIMEOUT_MS, ASKS_MAX, Tally, ask, receive
from agentrooms.consensus.votes import is_valid, signed_vote, statement_of
from agentrooms.domain.deal import Decision, Misbehaviour, Vote
from tests.domain import samples
from tests.domain.samples import NAMES, SET, TERMS, vote

FORGED = msgspec.structs.replace(vote(NAMES[0]), signature="00" * 64)
NONSENSE = [  # signed by a member itself, and yet no vote
    signed_vote(verifier_keys(samples.KEY, NAMES[5]), NAMES[5], statement_of(TERMS, Decision.REJECT), "", (), 3, 5),
    signed_vote(verifier_keys(samples.KEY, NAMES[1]), NAMES[1], statement_of(TERMS, Decision.APPROVE), "", (), 3, 5),
]
STRANGER = msgspec.structs.replace(vote(NAMES[0]), verifier="verifier_8")


def tally_of(*votes: Vote) -> Tally:
    tally = Tally(TERMS, SET)
    for one in votes:
        tally = receive(tally, one)
    return tally


def test_one_ask_and_two_to_the_silent_within_five_seconds() -> None:
    """All seven, then those who have not answered, three times in all; nobody is asked a fourth time."""
    tally, first = ask(Tally(TERMS, SET))
    tally = receive(receive(tally, vote(NAMES[1])), vote(NAMES[4], TERMS, ("self_trade",)))
    tally, second = ask(tally)
    tally = receive(tally, vote(NAMES[0]))
    tally, third = ask(tally)
    tally, fourth = ask(tally)
    silent = [n for n in NAMES if n not in {NAMES[1], NAMES[4]}]
    assert (first, second, third, fourth) == (list(NAMES), silent, silent[1:], [])
    assert ASKS_MAX * ASK_TIMEOUT_MS <= 5_000


VOTES = st.one_of(
    st.tuples(st.sampled_from(NAMES), st.sampled_from([(), ("self_trade",)])).map(lambda p: vote(p[0], TERMS, p[1])),
    st.sampled_from([FORGED, STRANGER, *NONSENSE, vote(NAMES[2], samples.terms_of(price=61_000_000))]),
)


@given(st.lists(VOTES, max_size=20))
def test_whatever_arrives_the_first_valid_vote_of_each_member_counts(arriving: list[Vote]) -> None:
    """Copies, forgeries, strangers and second thoughts change no count; evidence is against real liars only."""
    tally = tally_of(*arriving)
    valid = [v for v in arriving if is_valid(v, TERMS, SET)]
    first = {v.verifier: v for v in reversed(valid)}
    assert tally.votes == first
    said = {name: {v.decision for v in valid if v.verifier == name} for name in first}
    liars = {name for name, decisions in said.items() if len(decisions) > 1}
    assert {e.verifier for e in tally.evidence if e.kind == EQUIVOCATION} == liars
    silly = {v.verifier for v in arriving if v in NONSENSE}
    assert {e.verifier for e in tally.evidence if e.kind != EQUIVOCATION} == silly
    assert all(is_proof(evidence, TERMS, SET) for evidence in tally.evidence)
    assert len({(e.verifier, e.kind) for e in tally.evidence}) == len(tally.evidence)
    assert tally.silent == [name for name in NAMES if name not in first]


@given(st.lists(VOTES, max_size=20))
def test_a_decided_tally_is_a_certificate_and_an_undecided_one_is_none(arriving: list[Vote]) -> None:
    """The collector and the checker of certificates agree, and two decisions never stand at once."""
    tally = tally_of(*arriving)
    proved = [d for d in Decision if check_certificate(tally.certificate(), d, TERMS, SET) is None]
    assert proved == ([tally.decided] if tally.decided is not None else [])


@given(st.permutations(range(7)))
def test_the_order_of_arrival_leaves_no_trace_in_the_certificate(order: list[int]) -> None:
    """The same votes, the same bytes."""
    votes = samples.votes(5, 2)
    assert tally_of(*(votes[i] for i in order)).certificate() == votes


def test_receiving_does_not_change_the_tally_given() -> None:
    """A collector's past is still what it was."""
    before = Tally(TERMS, SET)
    receive(before, vote(NAMES[0]))
    ask(before)
    assert before == Tally(TERMS, SET)


def test_an_equivocator_is_proved_by_its_own_two_signatures() -> None:
    """The first vote counts on; the pair is the proof, kept once."""
    yes, no = vote(NAMES[0]), vote(NAMES[0], TERMS, ("self_trade",))
    tally = tally_of(yes, no, no, yes)
    proof = Misbehaviour(kind=EQUIVOCATION, verifier=NAMES[0], votes=(yes, no))
    assert (tally.evidence, tally.votes) == ((proof,), {NAMES[0]: yes})
