"""Attackers who make all hashes and signatures true again: the rules find what could not have happened."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nacl.signing import SigningKey

from agentrooms.actors.plans import verifier_keys
from agentrooms.consensus.votes import attestation_digest, signed_vote, statement_of
from agentrooms.domain import secp256k1
from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import Decision, Terms, deal_id
from agentrooms.domain.ids import seed_bytes
from agentrooms.domain.mandate import Mandate, mandate_hash
from agentrooms.sim import archive, forks
from agentrooms.sim.audit import Check, audit
from tests.audit import archives
from tests.audit.archives import Fields, failing, rewrite
from tests.audit.attacks import (
    DUMMY_HASH,
    Attack,
    acts,
    after,
    change_votes,
    comment,
    deal_lines,
    of_type,
    rehash_terms,
    speech,
    wrongs_of,
)


@pytest.fixture
def attack(faulty: Path, tmp_path: Path) -> Attack:
    return Attack(archives.copy(faulty, tmp_path / "attack"))


@pytest.fixture
def on_fork(forked: Path, tmp_path: Path) -> Attack:
    return Attack(archives.copy(forked, tmp_path / "attack"))


def test_rewriting_changes_nothing_when_nothing_is_changed(attack: Attack) -> None:
    before = (attack.folder / archive.EVENTS).read_bytes(), (attack.folder / archive.MANIFEST).read_bytes()
    rewrite(attack.folder, lambda _lines: None)
    assert ((attack.folder / archive.EVENTS).read_bytes(), (attack.folder / archive.MANIFEST).read_bytes()) == before


# --- Hashes and the manifest ------------------------------------------------------------------------------


def shout(lines: list[Fields]) -> None:
    """Changes words only: no rule is broken by them."""
    acts(lines)[3]["data"]["text"] = "I never said that."


def test_new_hashes_without_a_new_manifest_are_found(attack: Attack) -> None:
    rewrite(attack.folder, shout, update_manifest=False)
    report = audit(attack.folder)
    assert set(failing(report)) == {"chains", "heads"}
    assert "last line" in report.check("chains").detail


def test_a_manifest_changed_and_not_signed_is_found(attack: Attack) -> None:
    path = attack.folder / archive.MANIFEST
    manifest = json.loads(path.read_bytes())
    manifest["python"] = "2.7"
    path.write_bytes(json.dumps(manifest, indent=2, sort_keys=True).encode() + b"\n")
    assert "signature" in audit(attack.folder).check("heads").detail


def test_a_manifest_signed_with_a_key_of_ones_own_is_found(attack: Attack) -> None:
    rewrite(attack.folder, shout, key=SigningKey(b"k" * 32))
    report = audit(attack.folder)
    assert set(failing(report)) == {"heads"}
    assert "this run's key" in report.check("heads").detail


def test_words_changed_with_everything_made_true_again_need_the_head_or_a_re_execution(attack: Attack) -> None:
    head = archive.read_manifest(attack.folder).head
    lines = archives.lines_of(attack.folder)
    rewrite(attack.folder, shout)
    changed = 1 + next(n for n, line in enumerate(archives.lines_of(attack.folder)) if line != lines[n])
    report = audit(attack.folder)
    assert report.passed
    assert "--expect-head" in report.unchecked[0]
    report = audit(attack.folder, expect_head=head, re_execute=True)
    assert set(failing(report)) == {"expect_head", "re_execution"}
    check = report.check("re_execution")
    assert check.place.startswith(f"events.ndjson line {changed} ")
    assert "data.text is 'I never said that.', recomputed" in check.detail


# --- Deals ------------------------------------------------------------------------------------------------


def test_a_deals_price_changed_everywhere_in_the_log(attack: Attack) -> None:
    def cheaper(lines: list[Fields]) -> None:
        lock = deal_lines(lines)[0]
        terms = lock["data"]["terms"]
        old = terms["price_usdc_micros"]
        for line in acts(lines):
            data = line["data"]
            if terms["quote"] in {data["quote"], data["refers_to"]} and data["price_usdc_micros"] == old:
                data["price_usdc_micros"] -= 10_000
        terms["price_usdc_micros"] -= 10_000
        rehash_terms(lock)

    found = attack.run(cheaper)
    assert "signature is not over" in found["certificates"]
    assert "its terms are not those of the log" in found["settlement"]


def test_a_locks_price_that_is_not_the_quotes(attack: Attack) -> None:
    def dearer(lines: list[Fields]) -> None:
        lock = of_type(lines, "deal.locked")[0]
        lock["data"]["terms"]["price_usdc_micros"] += 10_000
        rehash_terms(lock)

    assert "micro-USDC, quote" in attack.run(dearer)["locks"]


def test_a_deal_hash_that_is_not_of_the_terms(attack: Attack) -> None:
    def other(lines: list[Fields]) -> None:
        of_type(lines, "deal.locked")[0]["data"]["deal_hash"] = DUMMY_HASH

    assert "the deal's hash is" in attack.run(other)["locks"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("buyer_wallet", "0x" + "1" * 40),
        ("seller_mandate", DUMMY_HASH),
        ("deadline_ms", 1_700_000_000_000),
        ("collection", "0x" + "2" * 40),
    ],
)
def test_terms_that_are_not_the_agents(field: str, value: object, attack: Attack) -> None:
    def other(lines: list[Fields]) -> None:
        lock = of_type(lines, "deal.locked")[0]
        lock["data"]["terms"][field] = value
        rehash_terms(lock)

    attack.run(other)
    assert any(f"is {value}, not " in wrong for wrong in wrongs_of(attack, "locks"))


def test_a_lock_that_stands_twice(attack: Attack) -> None:
    def double(lines: list[Fields]) -> None:
        lock = of_type(lines, "deal.locked")[0]
        lines.insert(after(lines, lock), copy.deepcopy(lock))

    found = attack.run(double)["locks"]
    assert "no accept stands right before" in found
    assert "more)" in found


def test_an_item_sold_twice_at_a_time(attack: Attack) -> None:
    """A second buyer's accept and lock of the same item, complete with its own quote, while the first is live."""

    def oversell(lines: list[Fields]) -> None:
        lock = of_type(lines, "deal.locked")[0]
        at = after(lines, lock)
        accept = copy.deepcopy(lines[at - 2])
        second = copy.deepcopy(lock)
        terms = second["data"]["terms"]
        others = [n["data"] for n in of_type(lines, "agent.spawned") if n["data"]["role"] == "buyer"]
        other = next(data for data in others if data["agent"] != terms["buyer"])
        accept["data"]["agent"] = other["agent"]
        terms.update(buyer=other["agent"], buyer_wallet=other["owner"], buyer_mandate=other["mandate_hash"])
        terms["deal"] = deal_id(terms["room"], terms["buyer"], terms["seller"], second["data"]["round"])
        rehash_terms(second)
        lines[at:at] = [accept, second]

    attack.run(oversell)
    wrongs = " ".join(wrongs_of(attack, "locks"))
    assert re.search(r"item \d+ is locked by deal \w+ already", wrongs)
    assert re.search(r"agent \w+ is locked by deal \w+ already", wrongs)


def test_a_budget_that_the_locks_exceed(attack: Attack) -> None:
    def poorer(lines: list[Fields]) -> None:
        wallet = deal_lines(lines)[0]["data"]["terms"]["buyer_wallet"]
        for line in of_type(lines, "wallet.budgeted"):
            if line["data"]["wallet"] == wallet:
                line["data"]["budget_usdc_micros"] = 10_000

    assert "may lock 10000 more" in attack.run(poorer)["locks"]


def test_a_deal_that_never_ends(attack: Attack) -> None:
    def endless(lines: list[Fields]) -> None:
        lines.remove(deal_lines(lines)[-1])

    found = attack.run(endless)
    assert "never ends" in found["locks"]
    assert "locked in deal" in found["acts"]
    assert "deals are claimed" in found["commands"]


@pytest.mark.parametrize("type_", ["deal.verifying", "deal.certified", "escrow.submitted"])
def test_a_deal_that_skips_a_step(type_: str, attack: Attack) -> None:
    def skip(lines: list[Fields]) -> None:
        lines.remove(next(n for n in deal_lines(lines) if n["type"] == type_))

    assert "is at" in attack.run(skip)["locks"]


def test_something_about_a_deal_after_its_end(attack: Attack) -> None:
    def late(lines: list[Fields]) -> None:
        story = deal_lines(lines)
        verifying = next(n for n in story if n["type"] == "deal.verifying")
        end = story[-1]
        lines.insert(
            after(lines, end),
            {
                **verifying,
                "cmd": end["cmd"],
                "at_ms": end["at_ms"],
                "data": {**verifying["data"], "round": end["data"]["round"]},
            },
        )

    assert "ended at line" in attack.run(late)["locks"]


# --- Certificates and settlement --------------------------------------------------------------------------


VOTES: dict[str, tuple[Callable[[list[Fields]], object], str]] = {
    "signature of another": (lambda votes: votes[2].update(signature=votes[1]["signature"]), "signature is not over"),
    "one counted twice": (lambda votes: votes.__setitem__(2, copy.deepcopy(votes[1])), "counted twice"),
    "one renamed": (lambda votes: votes[6].update(verifier="verifier_8"), "not in the registered set"),
    "four left": (lambda votes: votes.__delitem__(slice(4, None)), "4 votes say approve, 5 are needed"),
    "one turned": (lambda votes: votes[0].update(decision="reject"), "signature is not over"),
    "annex changed": (lambda votes: votes[0]["annex"].update(block=99), "annex is not as it was signed"),
}


@pytest.mark.parametrize("name", sorted(VOTES))
def test_votes_that_prove_nothing(name: str, attack: Attack) -> None:
    change, why = VOTES[name]
    found = attack.run(change_votes(change))
    assert why in found["certificates"]
    assert "deal.certified" in found["certificates"]
    assert "votes are not those" in found["settlement"] or "saw block 99" in found["settlement"]


def signed_again(vote: Fields, seed: int, terms: Terms) -> None:
    """Makes a vote's signatures true of what it says: the attacker has the seed, so the verifiers' keys."""
    keys, annex = verifier_keys(seed_bytes(seed), vote["verifier"]), vote["annex"]
    approving = vote["decision"] == "approve"
    attestation = secp256k1.sign(keys.attestation, attestation_digest(terms)) if approving else ""
    statement, reasons = statement_of(terms, Decision(vote["decision"])), tuple(annex["reasons"])
    made = signed_vote(
        keys, vote["verifier"], statement, attestation, reasons, block=annex["block"], at_ms=annex["at_ms"]
    )
    vote.update(msgspec.to_builtins(made))


def looks(seed: int, change: Callable[[Fields, Fields], object]) -> archives.Mutate:
    """Changes what the verifiers of the first certificate say they saw, under their own signatures."""

    def mutate(lines: list[Fields]) -> None:
        certified = of_type(lines, "deal.certified")[0]
        locked = next(
            n for n in of_type(lines, "deal.locked") if n["data"]["terms"]["deal"] == certified["data"]["deal"]
        )
        terms = msgspec.convert(locked["data"]["terms"], Terms)
        for vote in certified["data"]["votes"]:
            change(vote, certified)
            signed_again(vote, seed, terms)

    return mutate


def test_votes_signed_again_are_as_good_as_before(attack: Attack) -> None:
    """Else the tests below would show nothing."""
    rewrite(attack.folder, looks(archive.read_manifest(attack.folder).settings.seed, lambda _vote, _line: None))
    assert failing(audit(attack.folder)) == {}


LOOKS: dict[str, tuple[str, str, Callable[[Fields, Fields], object]]] = {
    "block to come": (
        "settlement",
        "saw block 1, the ledger had made 0 by then",
        lambda vote, _line: vote["annex"].update(block=1),
    ),
    "block below zero": (
        "settlement",
        "saw block -1, the ledger",
        lambda vote, _line: vote["annex"].update(block=-1),
    ),
    "time to come": (
        "certificates",
        "ms, the certificate is of",
        lambda vote, line: vote["annex"].update(at_ms=line["at_ms"] + 1),
    ),
    "a reason that is no word": (
        "certificates",
        "a reason is no word of verifiers: 'because'",
        lambda vote, _line: (vote.update(decision="reject"), vote["annex"].update(reasons=["because"])),
    ),
    "a reason twice": (
        "certificates",
        "its reasons are not sorted, repeated",
        lambda vote, _line: (vote.update(decision="reject"), vote["annex"].update(reasons=["self_trade"] * 2)),
    ),
}


@pytest.mark.parametrize("name", LOOKS)
def test_what_a_verifier_cannot_have_seen_or_said(name: str, attack: Attack) -> None:
    rule, why, change = LOOKS[name]
    found = attack.run(looks(archive.read_manifest(attack.folder).settings.seed, change))
    assert why in found[rule]


def test_a_look_at_the_round_of_the_certificate_itself_is_well(attack: Attack) -> None:
    def now(vote: Fields, line: Fields) -> None:
        vote["annex"]["at_ms"] = line["at_ms"]

    rewrite(attack.folder, looks(archive.read_manifest(attack.folder).settings.seed, now))
    assert "certificates" not in failing(audit(attack.folder))


def test_votes_of_verifiers_registered_by_the_attacker(attack: Attack) -> None:
    def mine(lines: list[Fields]) -> None:
        members = of_type(lines, "verifiers.registered")[0]["data"]["verifiers"]
        for member in members:
            member.update(msgspec.to_builtins(verifier_keys(b"m" * 16, member["id"]).member(member["id"])))

    assert "signature is not over" in attack.run(mine)["certificates"]


@pytest.mark.parametrize("name", ["public_key", "address", "address_proof", "public_key_proof"])
def test_a_verifier_whose_keys_have_not_signed_for_each_other(name: str, attack: Attack) -> None:
    def other(lines: list[Fields]) -> None:
        members = of_type(lines, "verifiers.registered")[0]["data"]["verifiers"]
        members[0][name] = getattr(verifier_keys(b"m" * 16, members[0]["id"]).member(members[0]["id"]), name)

    attack.run(other)
    assert "the two keys of verifier_1 have not signed for each other" in wrongs_of(attack, "certificates")


def test_a_failure_with_other_reasons_than_the_verifiers(attack: Attack) -> None:
    def lie(lines: list[Fields]) -> None:
        of_type(lines, "deal.failed")[0]["data"]["detail"] = "item_not_approved"

    assert "the verifiers agree on" in attack.run(lie)["certificates"]


@pytest.mark.parametrize("field", ["block", "block_hash", "at_ms"])
def test_a_receipt_the_ledger_does_not_give(field: str, attack: Attack) -> None:
    def other(lines: list[Fields]) -> None:
        receipt = deal_lines(lines)[-1]["data"]["receipt"]
        receipt[field] = DUMMY_HASH if field == "block_hash" else receipt[field] + 1

    found = attack.run(other)
    assert set(found) == {"settlement"}
    assert f"does not come out again: {field} " in found["settlement"]


def test_a_receipt_of_another_transaction(attack: Attack) -> None:
    def other(lines: list[Fields]) -> None:
        deal_lines(lines)[-1]["data"]["receipt"]["tx_hash"] = "0x" + DUMMY_HASH

    assert "submitted was" in attack.run(other)["locks"]


def test_a_buyer_who_has_less_than_it_pays(attack: Attack) -> None:
    def poorer(lines: list[Fields]) -> None:
        wallet = deal_lines(lines)[0]["data"]["terms"]["buyer_wallet"]
        for line in of_type(lines, "ledger.funded"):
            if line["data"]["wallet"] == wallet:
                line["data"]["balance_usdc_micros"] = 1

    found = attack.run(poorer)
    assert set(found) == {"settlement"}
    assert "balance_too_low" in found["settlement"]


def test_an_item_minted_to_somebody_else(attack: Attack) -> None:
    def other(lines: list[Fields]) -> None:
        token = deal_lines(lines)[0]["data"]["terms"]["item"]["token_id"]
        for line in of_type(lines, "ledger.minted"):
            if line["data"]["token_id"] == token:
                line["data"]["owner"] = "0x" + "3" * 40

    assert "seller_does_not_own_item" in attack.run(other)["settlement"]


def test_an_item_minted_with_other_traits(attack: Attack) -> None:
    """The ledger refuses what is not the item that was agreed on."""

    def rarer(lines: list[Fields]) -> None:
        token = deal_lines(lines)[0]["data"]["terms"]["item"]["token_id"]
        for line in of_type(lines, "ledger.minted"):
            if line["data"]["token_id"] == token:
                line["data"]["traits"] = {"grade": "another"}

    assert "item_traits_differ" in attack.run(rarer)["settlement"]


# --- Mandates ---------------------------------------------------------------------------------------------


def test_a_limit_changed_in_the_vault(attack: Attack) -> None:
    def raise_limit(key: str, secret: Any) -> tuple[str, Any]:
        if "mandate" in secret:
            secret["mandate"]["reservation_usdc_micros"] += 10_000
        return key, secret

    attack.change_vault(raise_limit)
    found = failing(audit(attack.folder))
    assert {"mandates", "settlement"} <= set(found)
    assert "its hash is" in found["mandates"]


def test_a_limit_changed_with_its_hash_everywhere(attack: Attack) -> None:
    """Only the principal's signature is left to tell."""
    renamed: dict[str, str] = {}

    def raise_limit(key: str, secret: Any) -> tuple[str, Any]:
        if "mandate" not in secret or secret["mandate"]["role"] == "seller":
            return key, secret
        secret["mandate"]["reservation_usdc_micros"] += 10_000
        renamed[key] = mandate_hash(msgspec.convert(secret["mandate"], Mandate))
        return renamed[key], secret

    attack.change_vault(raise_limit)

    def rename(lines: list[Fields]) -> None:
        for line in of_type(lines, "agent.spawned"):
            line["data"]["mandate_hash"] = renamed.get(line["data"]["mandate_hash"], line["data"]["mandate_hash"])

    assert "its signature is not by" in attack.run(rename)["mandates"]


def test_a_mandate_that_is_filled_or_locked_twice(attack: Attack) -> None:
    """Two deals under one mandate of the buyer's, whether the first has ended or not."""

    def reuse(lines: list[Fields]) -> None:
        first, *others = of_type(lines, "deal.locked")
        for other in others:
            other["data"]["terms"]["buyer_mandate"] = first["data"]["terms"]["buyer_mandate"]
            rehash_terms(other)

    attack.run(reuse)
    wrongs = " ".join(wrongs_of(attack, "locks"))
    assert re.search(r"mandate \w+ is locked by deal \w+ already", wrongs)
    assert re.search(r"mandate \w+ was filled by deal \w+", wrongs)


def test_a_mandate_of_somebody_else(attack: Attack) -> None:
    def borrow(lines: list[Fields]) -> None:
        buyers = [n["data"] for n in of_type(lines, "agent.spawned") if n["data"]["role"] == "buyer"]
        buyers[0]["mandate_hash"] = buyers[1]["mandate_hash"]

    assert "its principal is" in attack.run(borrow)["mandates"]


def test_a_mandate_the_vault_does_not_hold(on_fork: Attack) -> None:
    def unknown(lines: list[Fields]) -> None:
        of_type(lines, "agent.reconfigured")[0]["data"]["mandate_hash"] = DUMMY_HASH

    assert "is not in the vault" in on_fork.run(unknown)["mandates"]


@pytest.mark.parametrize(("price", "why"), [(10_001, "whole ticks"), (10**13, "is above"), (None, "whole ticks")])
def test_a_quote_outside_its_mandate(price: int | None, why: str, attack: Attack) -> None:
    def wild(lines: list[Fields]) -> None:
        acts(lines, "offer", "counter")[4]["data"]["price_usdc_micros"] = price

    assert why in attack.run(wild)["mandates"]


def test_a_mandate_of_two_agents(attack: Attack) -> None:
    def share(lines: list[Fields]) -> None:
        buyers = [n["data"] for n in of_type(lines, "agent.spawned") if n["data"]["role"] == "buyer"]
        for name in ("mandate_hash", "owner", "wants"):
            buyers[1][name] = buyers[0][name]

    attack.run(share)
    assert any(re.fullmatch(r"mandate \w+ is that of agent \w+ already", w) for w in wrongs_of(attack, "mandates"))


def test_an_unused_vault_entry_that_is_not_itself(attack: Attack) -> None:
    path = attack.folder / archive.VAULT
    forged = canonical({"key": "0x" + "0" * 64, "secret": base64.b64encode(b"{}").decode()})
    path.write_bytes(forged + b"\n" + path.read_bytes())
    assert "is not what its key says" in audit(attack.folder).check("mandates").detail


# --- Acts and commands ------------------------------------------------------------------------------------


def insert_comments(lines: list[Fields], times: int) -> None:
    """Lets an agent that stays to the end speak in so many rounds in a row in which others spoke."""
    locked = [n["data"]["terms"] for n in of_type(lines, "deal.locked")]
    busy = {name for terms in locked for name in (terms["buyer"], terms["seller"])}
    agent = [n["data"]["agent"] for n in of_type(lines, "agent.left") if n["data"]["agent"] not in busy][-1]
    spawned = next(n for n in of_type(lines, "agent.spawned") if n["data"]["agent"] == agent)
    for explained in of_type(lines[after(lines, spawned) :], "acts.explained"):
        if not times or agent in explained["data"]["reasons"]:
            continue
        reasons = explained["data"]["reasons"]
        reasons[agent] = next(iter(reasons.values()))
        lines.insert(after(lines, explained) - 1, comment(explained, agent, explained["data"]["round"]))
        times -= 1


FIELDS_TOO_MANY = [
    ("reject", {"price_usdc_micros": 10_000}, "reject is no act with price_usdc_micros"),
    ("offer", {"refers_to": "quote_a_1"}, "offer is no act with refers_to"),
    ("leave", {"token_id": "1"}, "leave is no act with token_id"),
    ("accept", {"token_id": "1"}, "the accept names item 1, the quote is for"),
    ("accept", {"token_id": None}, "the accept names item None, the quote is for"),
    ("counter", {"to": None}, "the counter is said to None, quote"),
]


@pytest.mark.parametrize(("kind", "fields", "why"), FIELDS_TOO_MANY, ids=lambda value: str(value)[:30])
def test_an_act_that_says_more_or_less_than_its_kind(kind: str, fields: Fields, why: str, attack: Attack) -> None:
    attack.run(lambda lines: acts(lines, kind)[0]["data"].update(fields))
    assert any(wrong.startswith(why) for wrong in wrongs_of(attack, "acts"))


@pytest.mark.parametrize("far", [False, True])
def test_a_persons_command_with_two_effects(far: bool, attack: Attack) -> None:
    """Its events stand in one append."""

    def tagged(lines: list[Fields]) -> None:
        left = of_type(lines, "agent.left")
        rounds = {n["data"]["round"]: n for n in left}
        assert len(rounds) >= 2
        chosen = [left[0], list(rounds.values())[-1] if far else left[0]]
        for line in chosen:
            line["tags"] = sorted({*line["tags"], "command:remove-7"})

    def retag(lines: list[Fields]) -> None:
        real(lines)
        tagged(lines)

    real = archives.retag
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archives, "retag", retag)
        rewrite(attack.folder, lambda _lines: None)
    found = failing(audit(attack.folder))
    assert ("commands" in found) is far
    assert not far or "command remove-7 had its effect at line" in found["commands"]


def test_eleven_messages_within_a_minute(attack: Attack) -> None:
    found = attack.run(lambda lines: insert_comments(lines, 25))
    assert set(found) == {"acts"}
    assert "11th message within a minute" in found["acts"]


def test_a_remark_more_is_only_a_re_executions_business(attack: Attack) -> None:
    rewrite(attack.folder, lambda lines: insert_comments(lines, 1))
    assert audit(attack.folder).passed


ACTS: dict[str, tuple[archives.Mutate, str]] = {
    "an answer to no quote": (
        lambda lines: acts(lines, "counter")[1]["data"].update(refers_to="quote_none_1"),
        "does not stand",
    ),
    "an accept at another price": (
        lambda lines: acts(lines, "accept")[0]["data"].update(
            price_usdc_micros=acts(lines, "accept")[0]["data"]["price_usdc_micros"] - 10_000
        ),
        "accepted at",
    ),
    "a second act in a round": (
        lambda lines: lines.insert(
            after(lines, acts(lines)[2]),
            comment(acts(lines)[2], acts(lines)[2]["data"]["agent"], acts(lines)[2]["data"]["round"]),
        ),
        "acts twice",
    ),
    "a quote with another's name": (
        lambda lines: acts(lines, "offer")[0]["data"].update(quote="quote_other_1"),
        "makes quote",
    ),
    "a word to nobody": (lambda lines: acts(lines)[1]["data"].update(to="agent_nobody"), "who is not there"),
    "no words": (lambda lines: acts(lines)[1]["data"].update(text=""), "0 characters"),
    "words without an explanation": (
        lambda lines: lines.remove(of_type(lines, "acts.explained")[3]),
        "are not explained",
    ),
    "a quote that ends early": (
        lambda lines: lines.insert(
            after(lines, acts(lines, "offer")[0]),
            {
                **acts(lines, "offer")[0],
                "type": "quote.expired",
                "data": {key: acts(lines, "offer")[0]["data"][key] for key in ("agent", "quote", "round")},
            },
        ),
        "expires in round",
    ),
    "a person with another's name": (
        lambda lines: lines.insert(after(lines, acts(lines)[2]) - 1, speech(acts(lines)[2], user="user_other")),
        "is not the user of wallet",
    ),
    "a person who says too much": (
        lambda lines: lines.insert(after(lines, acts(lines)[2]) - 1, speech(acts(lines)[2], text="x" * 281)),
        "1 to 280 visible characters",
    ),
    "a person who says what cannot be seen": (
        lambda lines: lines.insert(after(lines, acts(lines)[2]) - 1, speech(acts(lines)[2], text="\u202eHm.")),
        "1 to 280 visible characters",
    ),
    "a person in a closed room": (
        lambda lines: lines.insert(
            after(lines, of_type(lines, "room.closed")[0]), speech(of_type(lines, "room.closed")[0])
        ),
        "speaks in a closed room",
    ),
    "leaving twice": (
        lambda lines: lines.insert(
            after(lines, of_type(lines, "agent.left")[0]), copy.deepcopy(of_type(lines, "agent.left")[0])
        ),
        "leaves but is not there",
    ),
    "spawning twice": (
        lambda lines: lines.insert(
            after(lines, of_type(lines, "agent.spawned")[0]), copy.deepcopy(of_type(lines, "agent.spawned")[0])
        ),
        "a second time",
    ),
    "an act before the spawn": (
        lambda lines: acts(lines)[0].update(comment(acts(lines)[0], "agent_ghost", acts(lines)[0]["data"]["round"])),
        "was never spawned",
    ),
    "an act after leaving": (
        lambda lines: lines.insert(
            after(lines, of_type(lines, "agent.left")[0]),
            comment(
                of_type(lines, "agent.left")[0],
                of_type(lines, "agent.left")[0]["data"]["agent"],
                of_type(lines, "agent.left")[0]["data"]["round"],
            ),
        ),
        "though it has left",
    ),
    "somebody is still there": (lambda lines: lines.remove(of_type(lines, "agent.left")[-1]), "agents in it"),
}


@pytest.mark.parametrize("name", sorted(ACTS))
def test_speech_that_could_not_be(name: str, attack: Attack) -> None:
    mutate, why = ACTS[name]
    attack.run(mutate)
    assert any(why in wrong for wrong in wrongs_of(attack, "acts"))


def test_an_agent_that_is_paused_or_locked_is_silent(attack: Attack) -> None:
    def muffle(lines: list[Fields]) -> None:
        act = acts(lines)[2]
        paused = {"agent": act["data"]["agent"], "round": act["data"]["round"]}
        lines.insert(after(lines, act) - 1, {**act, "type": "agent.paused", "data": paused})

    assert "though it is paused" in attack.run(muffle)["acts"]


def test_resuming_without_a_pause(attack: Attack) -> None:
    def wake(lines: list[Fields]) -> None:
        act = acts(lines)[2]
        resumed = {"agent": act["data"]["agent"], "round": act["data"]["round"]}
        lines.insert(after(lines, act) - 1, {**act, "type": "agent.resumed", "data": resumed})

    assert "was not paused" in attack.run(wake)["acts"]


def later(lines: list[Fields]) -> None:
    line = acts(lines)[2]
    line["at_ms"] += 1


def another_round(lines: list[Fields]) -> None:
    acts(lines)[2]["data"]["round"] += 1


def renamed_command(lines: list[Fields]) -> None:
    line = acts(lines)[2]
    line["cmd"] = "just:because"


def again(lines: list[Fields]) -> None:
    line = of_type(lines, "acts.explained")[-1]
    line["cmd"] = of_type(lines, "acts.explained")[0]["cmd"]


def roomless_round(lines: list[Fields]) -> None:
    of_type(lines, "user.registered")[0]["cmd"] = f"round:{of_type(lines, 'room.opened')[0]['chain']}:1"


def more_deals(lines: list[Fields]) -> None:
    of_type(lines, "swarm.completed")[0]["data"]["deals_completed"] += 1


def bigger_swarm(lines: list[Fields]) -> None:
    of_type(lines, "swarm.started")[0]["data"]["buyers"] += 1


def slower_room(lines: list[Fields]) -> None:
    of_type(lines, "room.opened")[0]["data"]["round_ms"] *= 2


def open_end(lines: list[Fields]) -> None:
    lines.remove(of_type(lines, "room.closed")[0])


def early_end(lines: list[Fields]) -> None:
    lines[-1], lines[-2] = lines[-2], lines[-1]


COMMANDS: dict[str, tuple[archives.Mutate, str]] = {
    "time": (later, "the line says"),
    "round": (another_round, "the event says round"),
    "name": (renamed_command, "is not the opening or a round"),
    "twice": (again, "had its effect at line"),
    "roomless": (roomless_round, "belongs to a room"),
    "deals": (more_deals, "deals are claimed"),
    "sizes": (bigger_swarm, "the manifest says"),
    "pace": (slower_room, "the manifest says"),
    "no end": (open_end, "has closed"),
    "early end": (early_end, "before its room"),
}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_commands_that_could_not_be(name: str, attack: Attack) -> None:
    mutate, why = COMMANDS[name]
    attack.run(mutate)
    assert any(why in wrong for wrong in wrongs_of(attack, "commands"))


def test_an_event_the_rooms_fold_cannot_take(attack: Attack) -> None:
    def ghost(lines: list[Fields]) -> None:
        acts(lines)[0].update(comment(acts(lines)[0], "agent_ghost", acts(lines)[0]["data"]["round"]))

    assert "the room's fold cannot take this event: KeyError" in attack.run(ghost)["fold"]


HOSTILE_SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"buyers": 10**9}, "the number of buyers is 1 to 250 in a run, was 1000000000"),
    ({"sellers": 0}, "the number of sellers"),
    ({"round_ms": 0}, "round_ms"),
    ({"round_ms": -5}, "round_ms"),
    ({"quote_rounds": 10**12}, "quote_rounds"),
    ({"mandate_rounds": [1, 10**12]}, "the most of mandate_rounds"),
    ({"mandate_rounds": [10**12, 10**12]}, "the least of mandate_rounds"),
    ({"mandate_rounds": [300, 180]}, "the most of mandate_rounds"),
    ({"deal_ms": 10**15}, "deal_ms"),
    ({"usdc_per_eth": 10**12}, "usdc_per_eth"),
    ({"usdc_per_eth": 0}, "usdc_per_eth"),
    ({"underfunded_permille": 1001}, "underfunded_permille"),
    ({"started_at_ms": 10**30}, "started_at_ms"),
    ({"interventions": [{"round": 10**12, "agent": "agent_a"}]}, "the round of an intervention"),
    ({"interventions": [{"round": 20_000, "agent": "agent_a"}]}, "the round of an intervention"),
    ({"interventions": [{"round": -1, "agent": "agent_a"}]}, "the round of an intervention"),
    ({"interventions": [{"round": 1, "agent": "a", "limit_usdc_micros": 10**40}]}, "a limit is a price"),
    ({"interventions": [{"round": 1, "agent": "a"}] * 1001}, "the number of interventions"),
]


@pytest.mark.parametrize(("changes", "why"), HOSTILE_SETTINGS, ids=lambda value: str(value)[:40])
def test_settings_that_no_run_has_are_not_run(
    changes: dict[str, Any], why: str, attack: Attack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object) -> None:
        raise AssertionError("the settings were run")

    monkeypatch.setattr(forks, "Engine", refuse)
    path = attack.folder / archive.MANIFEST
    manifest = json.loads(path.read_bytes())
    manifest["settings"].update(changes)
    path.write_bytes(canonical(manifest))
    check: Check = audit(attack.folder, re_execute=True).check("re_execution")
    assert not check.passed
    assert check.detail.startswith(f"not run: {why}")


@pytest.mark.parametrize("long", [9_999, 2_000])
def test_a_run_that_goes_on_without_a_word_is_stopped(long: int, attack: Attack) -> None:
    """Rounds without events count too: a command that is still to come keeps the room open."""
    path = attack.folder / archive.MANIFEST
    manifest = json.loads(path.read_bytes())
    agent = next(r.event.agent for r in archive.read_events(attack.folder) if r.type == "agent.spawned")  # type: ignore[attr-defined]
    waits = [{"round": long, "agent": agent, "removed": True}]
    manifest["settings"].update({"deal_ms": 10_000_000, "interventions": waits})
    path.write_bytes(canonical(manifest))
    check: Check = audit(attack.folder, re_execute=True).check("re_execution")
    assert not check.passed
    assert "goes on beyond round" in check.detail


def test_a_raw_transaction_that_is_another(attack: Attack) -> None:
    """The vault's transaction is replaced by one with another price, under its own true hash."""
    renamed: dict[str, str] = {}

    def cheaper(key: str, secret: Any) -> tuple[str, Any]:
        if "case" not in secret:
            return key, secret
        secret["case"]["terms"]["price_usdc_micros"] -= 10_000
        renamed[key] = "0x" + hashlib.sha256(canonical(secret)).hexdigest()
        return renamed[key], secret

    attack.change_vault(cheaper)

    def rename(lines: list[Fields]) -> None:
        for line in of_type(lines, "escrow.submitted"):
            line["data"]["tx_hash"] = renamed[line["data"]["tx_hash"]]
        for line in of_type(lines, "deal.completed"):
            line["data"]["receipt"]["tx_hash"] = renamed[line["data"]["receipt"]["tx_hash"]]

    found = attack.run(rename)
    assert set(found) == {"settlement"}
    assert "its terms are not those of the log" in found["settlement"]
