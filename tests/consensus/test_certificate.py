"""A certificate is five of seven over one statement, nothing less and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.signing import SigningKey

from agentrooms.actors.plans import verifier_keys
from agentrooms.consensus.certificate import check_certificate
from agentrooms.consensus.judgement import REASONS
from agentrooms.consensus.votes import DOMAIN, cast, is_valid, statement_of
from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import ANNEX_REASONS_MAX, Annex, Decision, Terms, Vote
from agentrooms.domain.keys import sign
from agentrooms.domain.verifier_set import QUORUM, VERIFIERS, VerifierSet
from tests.domain import samples
from tests.domain.samples import NAMES, SET, TERMS, vote

replace = msgspec.structs.replace


@given(st.lists(st.sampled_from(["approve", "reject", "missing"]), min_size=7, max_size=7))
def test_five_of_seven_decide_and_a_missing_vote_counts_as_no(answers: list[str]) -> None:
    """Whoever answers what, a decision stands exactly with its quorum of the whole set."""
    given_ = zip(NAMES, answers, strict=True)
    votes = [vote(n, TERMS, () if a == "approve" else ("self_trade",)) for n, a in given_ if a != "missing"]
    for decision in Decision:
        proved = check_certificate(votes, decision, TERMS, SET) is None
        assert proved == (answers.count(str(decision)) >= QUORUM)


def changed(**changes: Any) -> Callable[[Vote], Vote]:
    return lambda v: replace(v, **changes)


def annexed(**changes: Any) -> Callable[[Vote], Vote]:
    return lambda v: replace(v, annex=replace(v.annex, **changes))


HARMS: dict[str, Callable[[Vote], Vote]] = {
    "signature": lambda v: replace(v, signature=v.signature[:-2] + ("00" if v.signature[-2:] != "00" else "01")),
    "no signature": changed(signature=""),
    "decision": changed(decision=Decision.REJECT),
    "signature of another": changed(signature=vote(NAMES[6]).signature),
    "stranger": changed(verifier="verifier_8"),
    "name of another": changed(verifier=NAMES[6]),
    "annex time": annexed(at_ms=1),
    "annex block": annexed(block=99),
    "annex reasons": annexed(reasons=("balance_too_low",)),
    "annex signature": annexed(signature="00" * 64),
    "annex of another": lambda v: replace(v, annex=vote(NAMES[6]).annex),
    "no attestation": changed(attestation=""),
    "attestation of another": changed(attestation=vote(NAMES[6]).attestation),
    "attestation in upper case": lambda v: replace(v, attestation=v.attestation.upper()),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_tampered_vote_spoils_the_certificate(harm: str) -> None:
    """Even when five good ones remain: a certificate with a forged vote was not made by honest hands."""
    votes = list(samples.votes(6))
    votes[0] = HARMS[harm](votes[0])
    assert not is_valid(votes[0], TERMS, SET)
    votes.sort(key=lambda v: v.verifier)
    assert check_certificate(votes, Decision.APPROVE, TERMS, SET) is not None
    assert check_certificate(samples.votes(6), Decision.APPROVE, TERMS, SET) is None


@given(st.integers(0, len(NAMES) - 1), st.integers(0, 127), st.integers(1, 15))
def test_no_changed_digit_of_a_signature_passes(who: int, digit: int, step: int) -> None:
    """Whichever of the 128 hex digits it is."""
    good = vote(NAMES[who])
    other = f"{(int(good.signature[digit], 16) + step) % 16:x}"
    bad = good.signature[:digit] + other + good.signature[digit + 1 :]
    assert is_valid(good, TERMS, SET)
    assert not is_valid(replace(good, signature=bad), TERMS, SET)
    annex = good.annex.signature[:digit] + f"{(int(good.annex.signature[digit], 16) + step) % 16:x}"
    harmed = replace(good.annex, signature=annex + good.annex.signature[digit + 1 :])
    assert not is_valid(replace(good, annex=harmed), TERMS, SET)
    attested = good.attestation[:digit] + f"{(int(good.attestation[digit], 16) + step) % 16:x}"
    assert not is_valid(replace(good, attestation=attested + good.attestation[digit + 1 :]), TERMS, SET)


@pytest.mark.parametrize(
    "changes",
    [
        {"chain_id": 1},
        {"escrow": "0x" + "1" * 40},
        {"set_version": 2},
        {"deal": "deal_other"},
        {"price_usdc_micros": 81_000_000},
        {"deadline_ms": 1},
        {"item": samples.item(2)},
        {"buyer_wallet": "0x" + "1" * 40},
        {"seller_mandate": "0" * 64},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_votes_count_for_the_terms_they_were_cast_on_only(changes: dict[str, Any]) -> None:
    """The statement binds chain, escrow, set version, deal and all its terms."""
    other = replace(TERMS, **changes)
    assert check_certificate(samples.votes(7), Decision.APPROVE, other, SET) is not None
    assert check_certificate(samples.votes(7, terms=TERMS), Decision.APPROVE, TERMS, SET) is None


@pytest.mark.parametrize(
    ("terms", "verifiers"),
    [
        (TERMS, VerifierSet(2, SET.chain_id, SET.escrow, SET.verifiers)),
        (TERMS, VerifierSet(1, 1, SET.escrow, SET.verifiers)),
        (TERMS, VerifierSet(1, SET.chain_id, "0x1", SET.verifiers)),
        (TERMS, VerifierSet()),
    ],
    ids=["version", "chain", "escrow", "none"],
)
def test_votes_count_against_their_own_set_only(terms: Terms, verifiers: VerifierSet) -> None:
    """The same members under another version, chain or escrow are another set."""
    assert check_certificate(samples.votes(7), Decision.APPROVE, terms, verifiers) is not None


@given(st.permutations(range(VERIFIERS)))
def test_only_sorted_votes_are_a_certificate(order: list[int]) -> None:
    """So that one decision by the same verifiers has one encoding."""
    votes = samples.votes(7)
    shuffled = [votes[i] for i in order]
    proved = check_certificate(shuffled, Decision.APPROVE, TERMS, SET) is None
    assert proved == (order == sorted(order))


@pytest.mark.parametrize("copies", [2, 3, 7])
def test_one_verifier_counts_once(copies: int) -> None:
    """Four verifiers and copies of one are four."""
    four = samples.votes(4)
    padded = sorted([*four, *[four[0]] * (copies - 1)], key=lambda v: v.verifier)
    assert check_certificate(padded, Decision.APPROVE, TERMS, SET) == "a verifier is counted twice"
    respelled = [*four, replace(four[0], verifier="verifier_5")]
    assert check_certificate(respelled, Decision.APPROVE, TERMS, SET) is not None


def test_nothing_proves_nothing() -> None:
    """An empty certificate, for either decision."""
    assert [check_certificate((), d, TERMS, SET) for d in Decision] == [
        "0 of 5 votes say approve",
        "0 of 5 votes say reject",
    ]


def test_equal_decisions_sign_the_same_statement_whatever_each_saw() -> None:
    """What a verifier saw is beside the statement, so five who looked at different blocks agree."""
    key = verifier_keys(samples.KEY, NAMES[0])
    votes = [cast(key, NAMES[0], TERMS, (), block=b, at_ms=b) for b in (1, 2)]
    assert votes[0].signature == votes[1].signature
    assert votes[0].annex != votes[1].annex
    many = cast(key, NAMES[0], TERMS, tuple(sorted(REASONS)), block=1, at_ms=1)
    assert (len(many.annex.reasons), many.decision, is_valid(many, TERMS, SET)) == (
        ANNEX_REASONS_MAX,
        Decision.REJECT,
        True,
    )


@pytest.mark.parametrize(
    ("decision", "reasons"),
    [
        (Decision.APPROVE, ("balance_too_low",)),
        (Decision.REJECT, ()),
        (Decision.REJECT, ("e\u0301",)),
        (Decision.REJECT, ("no such reason",)),
        (Decision.REJECT, ("balance_too_low", "balance_too_low")),
        (Decision.REJECT, ("self_trade", "balance_too_low")),
        (Decision.REJECT, tuple(sorted(REASONS))[: ANNEX_REASONS_MAX + 1]),
        (Decision.REJECT, ("x" * 10_000,)),
    ],
    ids=["for an approval", "none", "not NFC", "unknown", "twice", "unsorted", "too many", "endless"],
)
def test_a_hostile_members_reasons_make_its_vote_invalid_and_nothing_else(
    decision: Decision, reasons: tuple[str, ...]
) -> None:
    """However well signed; it is silence, and no exception."""
    keys, statement = verifier_keys(samples.KEY, NAMES[0]), statement_of(TERMS, decision)
    key, attestation = SigningKey(keys.statement), vote(NAMES[0]).attestation if decision is Decision.APPROVE else ""
    seen = [f"{DOMAIN}/annex", NAMES[0], msgspec.to_builtins(statement), attestation, list(reasons), 3, 5]
    line = json.dumps(seen, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    annex = Annex(5, 3, reasons, sign(key, line.encode()))
    signed = Vote(annex, attestation, decision, sign(key, canonical(statement)), NAMES[0])
    assert not is_valid(signed, TERMS, SET)


def test_reasons_that_are_well_formed_do_count() -> None:
    """Else the test above would prove nothing."""
    assert is_valid(vote(NAMES[0], TERMS, ("balance_too_low", "self_trade")), TERMS, SET)
