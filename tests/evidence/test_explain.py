"""Every word of verifiers, escrow and ends has a sentence."""

from __future__ import annotations

import pytest

from agentrooms.actors import settlement
from agentrooms.actors.plans import verifier_keys
from agentrooms.chain.contracts import reasons as escrow
from agentrooms.consensus import judgement
from agentrooms.consensus.evidence import EQUIVOCATION
from agentrooms.consensus.votes import fault_of, signed_vote, statement_of
from agentrooms.domain.deal import DealFailed, Decision, FailReason
from agentrooms.domain.explain import EXPIRED_UNUSED, SENTENCES, explain, why_failed
from tests.domain.runs import RUNS, recorded
from tests.domain.samples import KEY, NAMES, SET, TERMS, vote

OF_THE_LEDGER = {"other_chain", "certificate_invalid"}
REVERTED = "reverted"  # what a chain says when nobody knows any more


def faults() -> set[str]:
    """All that a verifier alone can be found to have done, by votes that show it."""
    good, keys = vote(NAMES[0]).attestation, verifier_keys(KEY, NAMES[0])
    cases = (
        (Decision.APPROVE, "", ()),
        (Decision.APPROVE, good, ("self_trade",)),
        (Decision.REJECT, good, ("self_trade",)),
        (Decision.REJECT, "", ("no word",)),
    )
    return {
        fault_of(signed_vote(keys, NAMES[0], statement_of(TERMS, decision), attestation, reasons, 1, 1), TERMS, SET)
        for decision, attestation, reasons in cases
    }


def test_no_word_lacks_a_sentence() -> None:
    ends = {*map(str, FailReason), settlement.EXPIRED, REVERTED, *OF_THE_LEDGER}
    known = judgement.REASONS | set(escrow.REASONS.values()) | ends | faults() | {EQUIVOCATION}
    assert len(faults()) == 4
    assert known <= SENTENCES.keys()
    assert {word.replace("seller", "buyer") for word in known} == {
        word.replace("seller", "buyer") for word in SENTENCES
    }
    assert EXPIRED_UNUSED == settlement.EXPIRED


def test_sentences_are_for_people() -> None:
    assert len(set(SENTENCES.values())) == len(SENTENCES)
    for word, sentence in SENTENCES.items():
        assert "_" not in sentence, word
        assert "{" not in sentence, word
        assert sentence[0].islower(), word
        assert not sentence.endswith("."), word
    assert SENTENCES["balance_too_low"] == "the buyer's wallet no longer holds the price"
    assert SENTENCES["seller_mandate_invalid:cancelled"] == "the seller has cancelled the mandate"


@pytest.mark.parametrize("name", ["underfunded", "no_quorum"])
def test_ends_of_real_runs_are_told_in_words(name: str) -> None:
    ends = [r.event for r in recorded(*RUNS[name]) if isinstance(r.event, DealFailed)]
    assert ends
    for end in ends:
        assert set(end.detail.split(",")) <= SENTENCES.keys() | {""}
        assert SENTENCES[end.reason] in why_failed(end.reason, end.detail) or end.detail


def test_how_a_deal_failed_is_said() -> None:
    assert why_failed("rejected", "balance_too_low,self_trade") == (
        "the verifiers rejected it: the buyer's wallet no longer holds the price; buyer and seller are the same wallet"
    )
    assert why_failed("expired", "deadline_passed_unused") == "nobody executed it before its deadline"
    assert why_failed("expired", "paused") == (
        "nobody executed it before its deadline: the escrow refused it, the escrow is paused"
    )
    assert why_failed("rejected", "") == "the verifiers rejected it"
    assert explain("something_new") == "something new"
