"""Evidence: a verifier is accused by its own authentic words alone, and anybody can check the accusation."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.actors.plans import verifier_keys
from agentrooms.consensus.evidence import EQUIVOCATION, accuse, is_proof
from agentrooms.consensus.judgement import REASONS
from agentrooms.consensus.votes import is_authentic, is_valid, signed_vote, statement_of
from agentrooms.domain.deal import ANNEX_REASONS_MAX, Decision, Misbehaviour, Vote
from tests.domain import samples
from tests.domain.samples import MEMBERS, NAMES, SET, TERMS, vote

replace = msgspec.structs.replace
OTHER = samples.terms_of(price=61_000_000)
ATTESTATIONS = [vote(NAMES[0]).attestation, vote(NAMES[1]).attestation, vote(NAMES[0], OTHER).attestation, "", "zz"]
GOOD_REASONS = st.lists(st.sampled_from(sorted(REASONS)), max_size=3, unique=True).map(lambda r: tuple(sorted(r)))
REASON_LISTS = st.one_of(
    GOOD_REASONS,
    st.lists(st.sampled_from([*sorted(REASONS)[:3], "no such reason"]), max_size=ANNEX_REASONS_MAX + 2).map(tuple),
)


@st.composite
def said(draw: st.DrawFn, name: str = NAMES[0]) -> Vote:
    """Anything a verifier may sign about the sample terms, sensible or not."""
    decision = draw(st.sampled_from(Decision))
    keys, statement = verifier_keys(samples.KEY, name), statement_of(TERMS, decision)
    return signed_vote(keys, name, statement, draw(st.sampled_from(ATTESTATIONS)), draw(REASON_LISTS), 3, 5)


@st.composite
def forged(draw: st.DrawFn) -> Vote:
    """A vote that its verifier did not sign as it stands."""
    made = draw(said())
    return draw(
        st.sampled_from(
            [
                replace(made, verifier=NAMES[1]),
                replace(made, verifier="verifier_8"),
                replace(made, signature=vote(NAMES[1]).signature),
                replace(made, annex=replace(made.annex, block=made.annex.block + 1)),
                replace(made, attestation=made.attestation + "00"),
                signed_vote(
                    verifier_keys(samples.KEY, NAMES[0]), NAMES[0], statement_of(OTHER, made.decision), "", (), 3, 5
                ),
            ]
        )
    )


VOTES = st.one_of(
    said(), said(NAMES[1]), forged(), st.just(vote(NAMES[0])), st.just(vote(NAMES[0], TERMS, ("self_trade",)))
)


@given(VOTES, st.none() | st.just(vote(NAMES[0])) | st.just(vote(NAMES[0], TERMS, ("self_trade",))))
def test_an_accusation_is_a_proof_and_holds_the_accuseds_own_words(arrived: Vote, known: Vote | None) -> None:
    """Whatever arrives: nobody is accused by a vote it did not sign, nor for one that counts and contradicts none."""
    if known is not None and known.verifier != arrived.verifier:
        known = None
    found = accuse(arrived, known, TERMS, SET)
    contradicts = known is not None and known.decision is not arrived.decision
    faulty = is_authentic(arrived, TERMS, SET) and (not is_valid(arrived, TERMS, SET) or contradicts)
    assert (found is not None) == faulty
    if found is not None:
        assert found.verifier == arrived.verifier
        assert all(is_authentic(one, TERMS, SET) and one.verifier == found.verifier for one in found.votes)
        assert is_proof(found, TERMS, SET)
        assert not is_proof(found, OTHER, SET)


KINDS = st.sampled_from(
    [
        EQUIVOCATION,
        "reasons_malformed",
        "reasons_contradict_decision",
        "attestation_of_rejected",
        "attestation_invalid",
        "",
    ]
)


@given(KINDS, st.sampled_from(NAMES[:2]), st.lists(VOTES, max_size=3).map(tuple))
def test_a_proof_is_what_would_have_been_accused_and_nothing_else(
    kind: str, verifier: str, votes: tuple[Vote, ...]
) -> None:
    """Made-up evidence of any kind proves only what its votes do."""
    evidence = Misbehaviour(kind=kind, verifier=verifier, votes=votes)
    alone = [accuse(one, None, TERMS, SET) for one in votes]
    both = len(votes) == 2 and all(is_valid(one, TERMS, SET) for one in votes)
    expected = (len(votes) == 1 and alone[0] == evidence) or (
        both
        and kind == EQUIVOCATION
        and {one.verifier for one in votes} == {verifier}
        and votes[0].decision is not votes[1].decision
    )
    assert is_proof(evidence, TERMS, SET) == expected


def test_equivocation_is_proved_in_either_order() -> None:
    """Which of the two came first does not matter; the same vote twice is none."""
    yes, no = vote(NAMES[0]), vote(NAMES[0], TERMS, ("self_trade",))
    for first, second in ((yes, no), (no, yes)):
        found = accuse(second, first, TERMS, SET)
        assert found == Misbehaviour(kind=EQUIVOCATION, verifier=NAMES[0], votes=(first, second))
        assert is_proof(found, TERMS, SET)
        assert accuse(first, first, TERMS, SET) is None
    assert not is_proof(Misbehaviour(kind=EQUIVOCATION, verifier=NAMES[0], votes=(yes, yes)), TERMS, SET)
    several = vote(NAMES[0], TERMS, ("balance_too_low",))
    assert accuse(several, no, TERMS, SET) is None  # two rejections for other reasons are one decision


def test_each_fault_has_its_name() -> None:
    """What an honest verifier never signs."""
    keys = verifier_keys(samples.KEY, NAMES[0])
    approve, reject = (statement_of(TERMS, decision) for decision in (Decision.APPROVE, Decision.REJECT))
    good = vote(NAMES[0]).attestation
    faults = {
        "reasons_malformed": (reject, "", ("self_trade", "balance_too_low")),
        "reasons_contradict_decision": (reject, "", ()),
        "attestation_of_rejected": (reject, good, ("self_trade",)),
        "attestation_invalid": (approve, vote(NAMES[1]).attestation, ()),
    }
    for kind, (statement, attestation, reasons) in faults.items():
        faulty = signed_vote(keys, NAMES[0], statement, attestation, reasons, 3, 5)
        found = accuse(faulty, None, TERMS, SET)
        assert found == Misbehaviour(kind=kind, verifier=NAMES[0], votes=(faulty,))
        assert not is_proof(replace(found, verifier=NAMES[1]), TERMS, SET)
    assert MEMBERS[0].id == NAMES[0]
