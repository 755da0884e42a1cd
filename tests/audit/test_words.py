"""Whoever signed a deal, and whoever is accused: what an attacker cannot write into a log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agentrooms.actors.plans import verifier_keys
from agentrooms.consensus.votes import cast, signed_vote, statement_of
from agentrooms.domain.acceptance import AgentKeys, accept
from agentrooms.domain.deal import Decision, Terms, Vote
from agentrooms.domain.ids import seed_bytes
from agentrooms.domain.keys import derive_key
from agentrooms.domain.secp256k1 import derive_secret
from agentrooms.sim import archive
from agentrooms.sim.audit import audit
from tests.audit import archives
from tests.audit.archives import Fields, failing, rewrite
from tests.audit.attacks import Attack, after, deal_lines, of_type


@pytest.fixture
def attack(faulty: Path, tmp_path: Path) -> Attack:
    return Attack(archives.copy(faulty, tmp_path / "attack"))


def words(lines: list[Fields]) -> list[Fields]:
    """The words for the first deal that completed."""
    said: list[Fields] = next(n for n in deal_lines(lines) if n["type"] == "deal.verifying")["data"]["acceptances"]
    return said


def terms_of(lines: list[Fields]) -> Terms:
    return msgspec.convert(deal_lines(lines)[0]["data"]["terms"], Terms)


def swaps_sessions(lines: list[Fields]) -> None:
    buyer, seller = words(lines)
    buyer["session"], seller["session"] = seller["session"], buyer["session"]


def swaps_identities(lines: list[Fields]) -> None:
    buyer, seller = words(lines)
    buyer["identity"], seller["identity"] = seller["identity"], buyer["identity"]


def signs_itself(lines: list[Fields]) -> None:
    """Good signatures over these very terms, by keys that no mandate names."""
    keys = AgentKeys(derive_secret(b"x", "session", "x"), bytes(derive_key(b"x", "identity", "x")))
    terms = terms_of(lines)
    words(lines)[0].update(msgspec.to_builtins(accept(terms.buyer, terms, keys)))


def signs_nothing(lines: list[Fields]) -> None:
    words(lines)[1]["session"] = "00" * 65


def takes_a_word_of_another_deal(lines: list[Fields]) -> None:
    mine = words(lines)
    others = [n["data"]["acceptances"] for n in of_type(lines, "deal.verifying")]
    other = next(said for said in others if said is not mine)
    mine[0].update(session=other[0]["session"], identity=other[0]["identity"])


ATTACKS: dict[str, tuple[Callable[[list[Fields]], object], str]] = {
    "sessions swapped": (swaps_sessions, "it is not signed with both keys"),
    "identities swapped": (swaps_identities, "it is not signed with both keys"),
    "keys of one's own": (signs_itself, "it is not signed with both keys"),
    "no signature": (signs_nothing, "its session key's is no signature"),
    "a word for another deal": (takes_a_word_of_another_deal, "it is not signed with both keys"),
    "one word only": (lambda lines: words(lines).pop(), "is signed by"),
    "no word": (lambda lines: words(lines).clear(), "is signed by []"),
    "the seller first": (lambda lines: words(lines).reverse(), "is signed by"),
    "one word twice": (lambda lines: words(lines).__setitem__(1, words(lines)[0]), "is signed by"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_deal_without_both_agents_words_is_found(name: str, attack: Attack) -> None:
    change, why = ATTACKS[name]

    def mutate(lines: list[Fields]) -> None:
        change(lines)

    found = attack.run(mutate)
    assert why in found["words"]
    assert "deal.verifying" in found["words"]


def test_a_word_for_a_deal_that_was_never_locked(attack: Attack) -> None:
    def unlock(lines: list[Fields]) -> None:
        lines.remove(deal_lines(lines)[0])

    assert "was never locked" in attack.run(unlock)["words"]


def test_a_word_that_is_none_is_well_where_verifiers_rejected_the_deal_for_it(attack: Attack) -> None:
    """The log tells the truth then: a host gave a word that does not count, and the verifiers saw it."""

    def rejected(lines: list[Fields]) -> None:
        failed = of_type(lines, "deal.failed")[0]
        story = deal_lines(lines, "deal.failed")
        terms = msgspec.convert(story[0]["data"]["terms"], Terms)
        verifying = next(n for n in story if n["type"] == "deal.verifying")
        verifying["data"]["acceptances"][0]["identity"] = ""
        failed["data"]["detail"] = "balance_too_low,buyer_acceptance_invalid"
        seed = archive.read_manifest(attack.folder).settings.seed
        reasons = ("balance_too_low", "buyer_acceptance_invalid")
        for vote in next(n for n in story if n["type"] == "deal.certified")["data"]["votes"]:
            keys, annex = verifier_keys(seed_bytes(seed), vote["verifier"]), vote["annex"]
            cast_ = cast(keys, vote["verifier"], terms, reasons, block=annex["block"], at_ms=annex["at_ms"])
            vote.update(msgspec.to_builtins(cast_))

    rewrite(attack.folder, rejected)
    assert failing(audit(attack.folder)) == {}


# --- Accusations ------------------------------------------------------------------------------------------

Accuse = Callable[[Terms, Any], Fields]


def accusing(attack: Attack, accuse: Accuse) -> archives.Mutate:
    """Writes an accusation beside the first certificate; `accuse` is told the terms and any verifier's keys."""
    seed = archive.read_manifest(attack.folder).settings.seed

    def mutate(lines: list[Fields]) -> None:
        verifying = next(n for n in deal_lines(lines) if n["type"] == "deal.verifying")
        certified = next(n for n in deal_lines(lines) if n["type"] == "deal.certified")
        evidence = accuse(terms_of(lines), lambda name: verifier_keys(seed_bytes(seed), name))
        data = {"deal": verifying["data"]["deal"], "evidence": evidence, "round": certified["data"]["round"]}
        accused = {**certified, "type": "verifier.accused", "data": data}
        lines.insert(after(lines, certified) - 1, accused)

    return mutate


def evidence_of(kind: str, verifier: str, *votes: Vote) -> Fields:
    return {"kind": kind, "verifier": verifier, "votes": msgspec.to_builtins(votes)}


def voted(terms: Terms, keys: Any, reasons: tuple[str, ...] = (), name: str = "verifier_2") -> Vote:
    return cast(keys(name), name, terms, reasons, block=0, at_ms=1)


def equivocates(terms: Terms, keys: Any) -> Fields:
    return evidence_of("equivocation", "verifier_2", voted(terms, keys), voted(terms, keys, ("self_trade",)))


def attests_wrongly(terms: Terms, keys: Any) -> Fields:
    approve = statement_of(terms, Decision.APPROVE)
    vote = signed_vote(keys("verifier_2"), "verifier_2", approve, "", (), 0, 1)
    return evidence_of("attestation_invalid", "verifier_2", vote)


@pytest.mark.parametrize("accuse", [equivocates, attests_wrongly])
def test_an_accusation_with_a_proof_is_well(accuse: Accuse, attack: Attack) -> None:
    """Else the tests below would show nothing."""
    before = audit(attack.folder).check("words").count
    rewrite(attack.folder, accusing(attack, accuse))
    report = audit(attack.folder)
    assert failing(report) == {}
    assert report.check("words").count == before + 1


SLANDERS: dict[str, Accuse] = {
    "one vote": lambda terms, keys: evidence_of("equivocation", "verifier_2", voted(terms, keys)),
    "no vote": lambda _terms, _keys: evidence_of("equivocation", "verifier_2"),
    "one vote twice": lambda terms, keys: evidence_of("equivocation", "verifier_2", *[voted(terms, keys)] * 2),
    "votes of two": lambda terms, keys: evidence_of(
        "equivocation", "verifier_2", voted(terms, keys), voted(terms, keys, ("self_trade",), "verifier_3")
    ),
    "another's name": lambda terms, keys: {**equivocates(terms, keys), "verifier": "verifier_3"},
    "another kind": lambda terms, keys: {**equivocates(terms, keys), "kind": "reasons_malformed"},
    "another deal": lambda terms, keys: equivocates(msgspec.structs.replace(terms, quote="quote_other"), keys),
    "a good vote": lambda terms, keys: evidence_of("attestation_invalid", "verifier_2", voted(terms, keys)),
    "keys of others": lambda terms, _keys: equivocates(terms, lambda name: verifier_keys(b"others", name)),
}


@pytest.mark.parametrize("name", SLANDERS)
def test_an_accusation_without_a_proof_is_found(name: str, attack: Attack) -> None:
    """Nobody can be made faulty by whoever writes the log, but by its own signatures."""
    found = attack.run(accusing(attack, SLANDERS[name]))
    assert "its votes do not prove it" in found["words"]
    assert "verifier.accused" in found["words"]
