"""A deal's evidence: all of it holds for what really happened, and whatever is touched is named."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
import pytest

from agentrooms.chain.spec import ChainMode
from agentrooms.consensus.evidence import EQUIVOCATION
from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import (
    DealCertified,
    DealCompleted,
    DealEvent,
    DealFailed,
    DealLocked,
    DealVerifying,
    Decision,
    EscrowSubmitted,
    FailReason,
    Misbehaviour,
    VerifierAccused,
)
from agentrooms.domain.mandate import SignedMandate
from agentrooms.domain.verifier_set import VerifierSetRegistered
from agentrooms.errors import InvalidInput
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.record import Recorded, decode_line
from agentrooms.events.store import Condition, QueryItem, StoredEvent
from agentrooms.events.tags import accused_tag, tags_of
from agentrooms.events.vault import MemoryVault, Vault
from agentrooms.sim.evidence import Evidence, Mark, NoSuchDeal, deals_named, events_of, gather
from tests.domain.runs import RUNS, engine, settings
from tests.domain.samples import vote

replace = msgspec.structs.replace
DEVNET = replace(settings("small_test", 7), chain=ChainMode.DEVNET)
MOCK = {"devnet": (DEVNET, 0), **RUNS}
SEALED = "its mandate is a secret, and the vault is not at hand"


@lru_cache(maxsize=8)
def run(name: str) -> tuple[MemoryEventStore, tuple[Recorded, ...], Vault]:
    """The log of a finished run, decoded too, and its vault."""
    made = engine(MOCK[name][0], silent=MOCK[name][1])
    made.run()
    store = MemoryEventStore()
    store.append([found.event for found in made.store.read()], Condition((), 0))
    return store, tuple(decode_line(found.event.data) for found in store.read()), made.vault


def locked(name: str) -> list[str]:
    """The ids of all deals of a run."""
    return [r.event.terms.deal for r in run(name)[1] if isinstance(r.event, DealLocked)]


def evidence(name: str = "devnet", **options: Any) -> Evidence:
    """The evidence of a run's first deal."""
    _store, events, vault = run(name)
    return gather(events, locked(name)[0], vault, **options)


@pytest.mark.parametrize("name", ["devnet", "small", "underfunded", "hasty"])
def test_everything_holds_for_what_really_happened(name: str) -> None:
    store, events, vault = run(name)
    assert locked(name)
    for deal in locked(name):
        found = gather(events, deal, vault)
        assert (found.wrong(), found.missing()) == ((), ())
        assert gather(events_of(store, deal), deal, vault) == found
        last = next(r.event for r in reversed(events) if isinstance(r.event, DealEvent) and _deal_of(r) == deal)
        assert found.state == ("completed" if isinstance(last, DealCompleted) else "failed")
        assert [step.state for step in found.steps][-1] == found.state
        assert (found.failure is None) is (found.settled is not None)
        assert found.failure is None or "_" not in found.failure.meaning
        assert all(one.meaning for one in found.votes if one.decision is Decision.REJECT)


def _deal_of(recorded: Recorded) -> str:
    event = recorded.event
    return event.terms.deal if isinstance(event, DealLocked) else str(getattr(event, "deal", ""))


def test_a_deal_on_an_evm_shows_signer_fees_and_what_the_logs_prove() -> None:
    found = evidence()
    (sent,) = found.transactions
    assert (sent.tx_hash, sent.to, sent.nonce, sent.gas) == (found.tx_hash, found.terms.escrow, 0, 1_000_000)
    assert sent.signer is not None
    assert sent.signer not in {found.terms.buyer_wallet, found.terms.seller_wallet}
    assert found.settled is not None
    proofs = {log.meaning: log for log in found.settled.logs if log.meaning}
    assert proofs.keys() == {"payment", "delivery", "execution"}
    assert proofs["payment"].fields["amount"] == str(found.price_usdc_micros)
    assert proofs["execution"].fields["dealHash"] == "0x" + found.deal_hash
    assert {vote.attested.mark for vote in found.votes} == {Mark.OK}
    assert found.certificate is not None
    assert (found.certificate.agreeing, found.certificate.needed, found.certificate.verifiers) == (7, 5, 7)


# --- Tampering --------------------------------------------------------------------------------------------


def flipped(hexes: str) -> str:
    """Hex with its last digit changed."""
    return hexes[:-1] + ("0" if hexes[-1] != "0" else "1")


def vote_of(event: DealCertified, change: Callable[[Any], Any]) -> DealCertified:
    """A certificate with its second vote changed."""
    return replace(event, votes=(event.votes[0], change(event.votes[1]), *event.votes[2:]))


def word_of(event: DealVerifying, field: str) -> DealVerifying:
    """Both words, with one signature of the buyer's changed."""
    buyer, seller = event.acceptances
    return replace(event, acceptances=(replace(buyer, **{field: flipped(getattr(buyer, field)[:-2] + "1c")}), seller))


def annexed(**changes: Any) -> Callable[[DealCertified], DealCertified]:
    """A certificate with its second vote's annex changed."""
    return lambda event: vote_of(event, lambda vote: replace(vote, annex=replace(vote.annex, **changes)))


def unbound(event: VerifierSetRegistered) -> VerifierSetRegistered:
    """A set of which one verifier has another's proof."""
    first, second, *others = event.verifiers
    return replace(event, verifiers=(replace(first, address_proof=second.address_proof), second, *others))


def receipt_of(**changes: Any) -> Callable[[DealCompleted], DealCompleted]:
    """An end with another receipt."""
    return lambda event: replace(event, receipt=replace(event.receipt, **changes))


TAMPERED: dict[str, tuple[type, Callable[[Any], Any], set[str]]] = {
    "price": (
        DealLocked,
        lambda e: replace(e, terms=replace(e.terms, price_usdc_micros=e.terms.price_usdc_micros + 10_000)),
        {"the deal's hash", "the buyer's session signature", "the certificate", "the receipt"},
    ),
    "deal hash": (DealLocked, lambda e: replace(e, deal_hash=flipped(e.deal_hash)), {"the deal's hash"}),
    "session": (DealVerifying, lambda e: word_of(e, "session"), {"the buyer's session signature"}),
    "identity": (DealVerifying, lambda e: word_of(e, "identity"), {"the buyer's identity signature"}),
    "statement": (
        DealCertified,
        lambda e: vote_of(e, lambda v: replace(v, signature=flipped(v.signature))),
        {"the vote of verifier_2", "the certificate"},
    ),
    "decision": (
        DealCertified,
        lambda e: vote_of(e, lambda v: replace(v, decision=Decision.REJECT)),
        {"the vote of verifier_2", "what verifier_2 saw", "the attestation of verifier_2", "the certificate"},
    ),
    "seen block": (DealCertified, annexed(block=999), {"what verifier_2 saw", "the certificate"}),
    "seen time": (DealCertified, annexed(at_ms=999), {"what verifier_2 saw", "the certificate"}),
    "attestation": (
        DealCertified,
        lambda e: vote_of(e, lambda v: replace(v, attestation=e.votes[0].attestation)),
        {"what verifier_2 saw", "the attestation of verifier_2", "the certificate"},
    ),
    "no hex": (
        DealCertified,
        lambda e: vote_of(e, lambda v: replace(v, attestation="zz")),
        {"what verifier_2 saw", "the attestation of verifier_2", "the certificate"},
    ),
    "stranger": (
        DealCertified,
        lambda e: vote_of(e, lambda v: replace(v, verifier="verifier_9")),
        {"the vote of verifier_9", "what verifier_9 saw", "the attestation of verifier_9", "the certificate"},
    ),
    "set version": (DealCertified, lambda e: replace(e, set_version=2), {"the certificate"}),
    "key proof": (VerifierSetRegistered, unbound, {"the keys of verifier_1"}),
    "no logs": (DealCompleted, receipt_of(logs=()), {"the receipt"}),
    "failed receipt": (DealCompleted, receipt_of(succeeded=False), {"the receipt"}),
    "paid twice": (
        DealCompleted,
        lambda e: receipt_of(logs=(*e.receipt.logs, e.receipt.logs[1]))(e),
        {"the receipt"},
    ),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_whatever_is_changed_in_the_log_is_named(name: str) -> None:
    kind, change, due = TAMPERED[name]
    _store, events, vault = run("devnet")
    changed = [replace(r, event=change(r.event)) if isinstance(r.event, kind) else r for r in events]
    found = {wrong.partition(":")[0] for wrong in gather(changed, locked("devnet")[0], vault).wrong()}
    others = {one for one in found if one.startswith("transaction ")}  # its calldata is then another, too
    assert due <= found
    if name != "price":
        assert found - others == due


@pytest.mark.parametrize("name", ["devnet", "small"])
def test_whatever_is_changed_in_the_vault_is_named(name: str) -> None:
    _store, events, vault = run(name)
    terms, sent = evidence(name).terms, evidence(name).tx_hash
    assert sent is not None
    buyer = msgspec.json.decode(vault.get(terms.buyer_mandate), type=SignedMandate)
    forged = canonical(replace(buyer, signature=flipped(buyer.signature[:-2] + "1c")))
    raw = bytearray(vault.get(sent))
    raw[-200] ^= 1
    for key, entry, due in (
        (terms.buyer_mandate, forged, "the buyer's mandate"),
        (terms.buyer_mandate, vault.get(terms.seller_mandate), "the buyer's mandate"),
        (terms.buyer_mandate, b"no mandate", "the buyer's mandate"),
        (sent, bytes(raw), f"transaction {sent}"),
        (sent, b"", f"transaction {sent}"),
    ):
        entries = {known: vault.get(known) for known in (terms.buyer_mandate, terms.seller_mandate, sent)}
        changed = MemoryVault()
        changed.put_many(entries | {key: entry})
        assert due in {wrong.partition(":")[0] for wrong in gather(events, terms.deal, changed).wrong()}


# --- What is not at hand ------------------------------------------------------------------------------------


def test_without_a_vault_what_cannot_be_checked_is_listed_and_the_rest_holds() -> None:
    _store, events, vault = run("devnet")
    found = gather(events, locked("devnet")[0], None, secrets=True)
    assert found.wrong() == ()
    assert any(SEALED in line for line in found.missing())
    assert {party.signed.mark for party in found.parties} == {Mark.UNCHECKED}
    assert {party.mandate for party in found.parties} == {None}
    assert found.certificate == evidence().certificate
    assert found.settled == evidence().settled
    unregistered = [r for r in events if not isinstance(r.event, VerifierSetRegistered)]
    without = gather(unregistered, locked("devnet")[0], vault)
    assert without.certificate is not None
    assert without.certificate.checked.mark is Mark.UNCHECKED
    assert without.wrong() == ()


def test_limits_are_told_only_to_who_asks_for_secrets() -> None:
    open_, closed = evidence(secrets=True), evidence()
    for party in open_.parties:
        assert party.mandate is not None
        for secret in (party.mandate.salt, str(party.mandate.reservation_usdc_micros)):
            assert secret in msgspec.json.encode(open_).decode()
            assert secret not in msgspec.json.encode(closed).decode()


def test_a_log_without_the_deal_says_so() -> None:
    _store, events, vault = run("devnet")
    with pytest.raises(NoSuchDeal):
        gather([r for r in events if not isinstance(r.event, DealLocked)], locked("devnet")[0], vault)
    with pytest.raises(NoSuchDeal):
        gather(events, "deal_x", vault)


def test_a_deal_is_named_by_how_its_id_begins() -> None:
    events, ids = run("balanced")[1], locked("balanced")
    assert deals_named(events, ids[0]) == ids[0]
    assert deals_named(events, ids[0].removeprefix("deal_")[:8]) == ids[0]
    with pytest.raises(NoSuchDeal, match="no deal begins with 'nothing'"):
        deals_named(events, "nothing")
    with pytest.raises(InvalidInput, match="several deals begin with 'deal_'"):
        deals_named(events, "deal_")


# --- Accusations and failures -------------------------------------------------------------------------------


def test_an_accusation_is_told_in_words_and_checked_again() -> None:
    _store, events, vault = run("devnet")
    deal = locked("devnet")[0]
    at = next(number for number, r in enumerate(events) if isinstance(r.event, DealCertified))
    votes = events[at].event.votes  # type: ignore[attr-defined]
    false = VerifierAccused(deal, Misbehaviour(kind=EQUIVOCATION, verifier="verifier_1", votes=votes[:1] * 2), 9)
    told = gather([*events[:at], replace(events[at], event=false), *events[at:]], deal, vault)
    (accusation,) = told.accusations
    assert accusation.meaning == "it signed both an approval and a rejection of one deal"
    assert told.wrong() == ("the accusation of verifier_1: the votes do not prove it",)
    assert told.steps == evidence().steps


def test_a_rejection_says_why_and_whose_doing_it_was() -> None:
    found = evidence("underfunded")
    assert found.failure is not None
    assert found.failure.reason == FailReason.REJECTED
    assert found.failure.meaning.startswith("the verifiers rejected it: the buyer's wallet ")
    assert found.failure.at_fault == (found.buyer,)
    assert {vote.attestation for vote in found.votes} == {""}
    end = next(r.event for r in run("underfunded")[1] if isinstance(r.event, DealFailed))
    assert found.failure.detail == end.detail


def test_all_transactions_of_a_deal_are_told() -> None:
    _store, events, vault = run("devnet")
    deal = locked("devnet")[0]
    at = next(number for number, r in enumerate(events) if isinstance(r.event, EscrowSubmitted))
    other = EscrowSubmitted(deal, 99, "0x" + "a" * 64)
    told = gather([*events[: at + 1], replace(events[at], event=other), *events[at + 1 :]], deal, vault)
    assert [one.tx_hash for one in told.transactions] == [evidence().tx_hash, other.tx_hash]
    assert told.transactions[1].checked.mark is Mark.UNCHECKED
    assert told.tx_hash == evidence().tx_hash  # the one that executed it


def test_all_accusations_of_a_verifier_are_found_by_their_tag() -> None:
    terms, votes = evidence().terms, (vote("verifier_1"), vote("verifier_1", reasons=("self_trade",)))
    accused = VerifierAccused(terms.deal, Misbehaviour(kind=EQUIVOCATION, verifier="verifier_1", votes=votes), 9)
    tags = tags_of(accused, evidence().room, terms)
    assert tags == tuple(sorted(tags))
    store = MemoryEventStore()
    store.append([StoredEvent("verifier.accused", b"{}", tags)], Condition((), 0))
    assert len(store.read((QueryItem(tags=(accused_tag("verifier_1"),)),))) == 1
    assert store.read((QueryItem(tags=(accused_tag("verifier_2"),)),)) == []
