"""A deal's evidence on screen: what was agreed, who signed what, whether it holds, how it ended. Long hex is shortened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from agentrooms.cli.console import NONE, clean, out, table, usdc
from agentrooms.cli.facts import at, print_facts, seconds, wide
from agentrooms.domain.money import format_usdc
from agentrooms.sim.evidence.records import Mark

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentrooms.sim.evidence.records import CastVote, Checked, EmittedLog, Evidence, Party, Settled

SHORT, SHORT_NARROW = (8, 4), (6, 4)  # hex digits shown of a long one, at its beginning and end
SHORT_FROM = 20  # longer hex is shortened
STYLES = {Mark.OK: "green", Mark.BAD: "bold red", Mark.UNCHECKED: "dim"}
MARKS = {Mark.OK: "ok", Mark.BAD: "BAD", Mark.UNCHECKED: "?"}
WEI = 10**9  # of a gwei


def print_evidence(evidence: Evidence) -> None:
    """Prints all of it, section by section; what does not hold comes last, in words."""
    _print_steps(evidence)
    _print_parties(evidence)
    _print_limits(evidence)
    _print_certificate(evidence)
    _print_transactions(evidence)
    if evidence.settled is not None:
        _print_settled(evidence.settled)
    print_verdict(evidence)


def print_verdict(evidence: Evidence) -> None:
    """Prints what does not hold and what could not be checked."""
    screen = out()
    for what in evidence.missing():
        screen.print(f"not checked: {clean(what)}", soft_wrap=True, markup=False, style="dim")
    wrong = evidence.wrong()
    for what in wrong:
        screen.print(Text(f"BAD: {clean(what)}", style="bold red"), soft_wrap=True)
    if not wrong:
        screen.print(Text("Every signature and hash that could be checked holds.", style="bold green"))


def short(text: str) -> str:
    """Returns long hex with its middle left out."""
    head = text.removeprefix("0x")
    if len(head) <= SHORT_FROM:
        return text
    begin, end = SHORT if wide() else SHORT_NARROW
    return f"{'0x' if text.startswith('0x') else ''}{head[:begin]}…{head[-end:]}"


def mark(check: Checked) -> Text:
    """Returns a check's outcome as one word."""
    return Text(MARKS[check.mark], style=STYLES[check.mark])


def terms_facts(evidence: Evidence) -> list[tuple[str, str]]:
    """Returns what was agreed on and how it ended, as names and values."""
    terms, failure = evidence.terms, evidence.failure
    ended = f": {failure.meaning}" if failure is not None else ""
    by_role = {party.role: party for party in evidence.parties}
    fault = [by.role for by in by_role.values() if failure is not None and by.agent in failure.at_fault]
    return [
        ("State", f"{evidence.state}{ended}"),
        ("At fault", " and ".join(fault)),
        *((party.role.capitalize(), _who(party)) for party in evidence.parties),
        ("Item", f"{terms.item.name}, #{terms.item.token_id} of {terms.collection}{_traits(terms.item.traits)}"),
        ("Price", f"{format_usdc(terms.price_usdc_micros)} USDC of {terms.currency}"),
        ("Deal hash", evidence.deal_hash),
        ("Details hash", evidence.details_hash),
        ("Escrow", f"{terms.escrow} on chain {terms.chain_id}, until {at(terms.deadline_ms)}"),
        ("Transaction", evidence.tx_hash or NONE),
        ("Block", f"{evidence.block} ({short(evidence.settled.block_hash)})" if evidence.settled is not None else NONE),
    ]


def _who(party: Party) -> str:
    name = f"{party.avatar} {party.name}, " if party.name else ""
    return f"{name}{party.agent}, wallet {party.wallet}"


def _traits(traits: dict[str, str]) -> str:
    return f" ({', '.join(f'{name}: {value}' for name, value in sorted(traits.items()))})" if traits else ""


def _print_steps(evidence: Evidence) -> None:
    """Prints when the deal went from state to state, in room time."""
    first = evidence.steps[0]
    shown = table("State", ">Round", ">After the lock", "Room time")
    for step in evidence.steps:
        shown.add_row(step.state, str(step.round), seconds(step.at_ms - first.at_ms), at(step.at_ms))
    out().print(shown)


def _print_parties(evidence: Evidence) -> None:
    """Prints both mandates and both agents' words."""
    shown = table("Mandate", "Hash", "Signed", "Within", "Session key", "Session", "Identity")
    for party in evidence.parties:
        word = party.word
        shown.add_row(
            party.role,
            short(party.mandate_hash),
            mark(party.signed),
            mark(party.within),
            short(word.session_key) if word is not None else NONE,
            mark(word.session_checked) if word is not None else NONE,
            mark(word.identity_checked) if word is not None else NONE,
        )
    out().print(shown)


def _print_limits(evidence: Evidence) -> None:
    """Prints what the mandates say, where that was asked for."""
    for party in evidence.parties:
        mandate = party.mandate
        if mandate is None:
            continue
        most = mandate.maximum_usdc_micros
        out().print(Text(f"Mandate of the {party.role} (secret)", style="bold"))
        print_facts(
            ("Limit", f"{usdc(mandate.reservation_usdc_micros)} USDC"),
            ("Start", f"{usdc(mandate.start_usdc_micros)} USDC"),
            ("Maximum", f"{usdc(most)} USDC" if most is not None else ""),
            ("Valid", f"{at(mandate.not_before_ms) if mandate.not_before_ms else 'at once'} to {at(mandate.expires_at_ms)}"),
            ("Session key", mandate.session_key),
            ("Identity", mandate.identity),
        )  # fmt: skip


def _print_certificate(evidence: Evidence) -> None:
    tally = evidence.certificate
    if tally is not None:
        text = Text(f"Certificate: {tally.decision}, {tally.approvals} for, {tally.rejections} against; ")
        text.append(f"{tally.agreeing} of {tally.verifiers} count, {tally.needed} are needed: ")
        out().print(text.append_text(mark(tally.checked)))
    _print_votes(evidence)
    _print_members(evidence)
    for one in evidence.accusations:
        text = Text(f"{clean(one.verifier)} is faulty: {clean(one.meaning)} ({len(one.votes)} signed), proof ")
        out().print(text.append_text(mark(one.proven)))


def _print_votes(evidence: Evidence) -> None:
    if not evidence.votes:
        return
    columns: dict[str, Callable[[CastVote], Text | str]] = {
        "Verifier": lambda vote: clean(vote.verifier),
        "Vote": lambda vote: vote.decision,
        "Statement": lambda vote: mark(vote.statement),
        "Annex": lambda vote: mark(vote.annex),
        "Attested": lambda vote: mark(vote.attested) if vote.attestation else NONE,
        ">At block": lambda vote: str(vote.block),
        "Seen at": lambda vote: at(vote.at_ms) if wide() else at(vote.at_ms).partition(" ")[2],
    }
    if wide():
        columns["Signature"] = lambda vote: short(vote.signature)
    shown = table(*columns)
    for vote in evidence.votes:
        shown.add_row(*(cell(vote) for cell in columns.values()))
    out().print(shown)
    found: dict[str, list[str]] = {}
    for vote in evidence.votes:
        if vote.meaning:
            found.setdefault(vote.meaning, []).append(vote.verifier)
    for meaning, names in found.items():
        out().print(f"Found by {clean(', '.join(names))}: {clean(meaning)}.", markup=False, soft_wrap=True)


def _print_members(evidence: Evidence) -> None:
    if not evidence.members:
        return
    shown = table(f"Verifier set {evidence.terms.set_version}", "Signs with", "Attests as", "Keys bound")
    for member in evidence.members:
        shown.add_row(
            clean(member.verifier),
            short(member.public_key),
            member.address if wide() else short(member.address),
            mark(member.bound),
        )
    out().print(shown)


def _print_transactions(evidence: Evidence) -> None:
    if not evidence.transactions:
        return
    more = wide()
    shown = table("Transaction", ">Round", ">Nonce", ">Gas price", ">Gas limit", "Signed by", *(["To"] if more else []), "Holds")  # fmt: skip
    for one in evidence.transactions:
        shown.add_row(
            short(one.tx_hash),
            str(one.round),
            _number(one.nonce),
            f"{one.gas_price_wei / WEI:,g} gwei" if one.gas_price_wei is not None else NONE,
            _number(one.gas),
            short(one.signer) if one.signer is not None else NONE,
            *([short(one.to) if one.to is not None else NONE] if more else []),
            mark(one.checked),
        )
    out().print(shown)


def _number(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def _print_settled(settled: Settled) -> None:
    text = Text(f"Executed in block {settled.block} at {at(settled.at_ms)}, receipt ")
    out().print(text.append_text(mark(settled.checked)))
    if settled.logs:
        shown = table("Log", "Of contract", "Proves", "Says")
        for log in settled.logs:
            shown.add_row(clean(log.name), short(log.address), log.meaning or NONE, clean(_said(log)))
        out().print(shown)


def _said(log: EmittedLog) -> str:
    return ", ".join(f"{name} {short(value)}" for name, value in log.fields.items())
