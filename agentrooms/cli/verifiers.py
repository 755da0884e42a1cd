"""`agentrooms verifiers`: shows how seven verifiers decide a deal, and what some faulty ones can and cannot do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.groups import add_group
from agentrooms.cli.params import Json, Misuse, Seed, fresh_seed, meant, whole
from agentrooms.domain.verifier_set import QUORUM, VERIFIERS

if TYPE_CHECKING:
    from rich.text import Text

    from agentrooms.chaos.hearing import Hearing, Said

BORNE = VERIFIERS - QUORUM  # so many may be faulty
REASONS_SHOWN = 2  # of one vote; what is hostile may have very many
REASON_CHARACTERS = 40


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    group = add_group(app, "verifiers", "Seven verifiers, five of whom decide.", "agentrooms verifiers demo --faulty 2")
    group.command(
        "demo",
        epilog=examples(
            "agentrooms verifiers demo --faulty 2 --seed 7",
            "agentrooms verifiers demo --faulty 3 --kind silent",
            "agentrooms verifiers demo --faulty 5 --colluding",
            "agentrooms verifiers demo --faulty 2 --kind two_faced --kind bad_attestation --json",
        ),
    )(demo)


def demo(
    faulty: Annotated[
        int,
        typer.Option(
            "--faulty",
            metavar="N",
            help="How many of the seven misbehave.",
            parser=whole(0, VERIFIERS, "write --faulty 2"),
        ),
    ] = BORNE,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            "--kind", metavar="KIND", help="What is wrong with them, in turn; drawn from the seed when left out."
        ),
    ] = None,
    colluding: Annotated[
        bool, typer.Option("--colluding", help="The faulty ones approve a deal whose buyer cannot pay.")
    ] = False,
    seed: Seed = None,
    json: Json = False,
) -> None:
    """Take one real deal through seven verifiers, some of them faulty, and show it vote by vote.

    Five of the seven decide, so two may do what they like. With three there may be no decision; enough of them that
    collude can even make a false one, which is shown as it is.

    Kinds: silent, slow, crashing, forgetful, equivocating, two_faced, always_yes, always_no, bad_signature,
    bad_attestation, wrong_set, wrong_chain, replaying, duplicating, malformed.
    """
    from agentrooms.chaos.faults import Fault
    from agentrooms.chaos.hearing import draw_faults, hear
    from agentrooms.cli.console import emit

    for name in kind or ():
        if name not in list(Fault):
            raise Misuse(f"--kind: {name!r} is not a kind of fault", meant(name, [*Fault]))
    if colluding and kind:
        raise Misuse("--colluding says what is wrong with them", "leave out --kind or --colluding")
    kinds = (Fault.ALWAYS_YES,) if colluding else tuple(Fault(name) for name in kind or ())
    number = seed if seed is not None else fresh_seed()
    hearing = hear(number, draw_faults(number, faulty, kinds), underfunded=colluding)
    if json:
        emit(_document(hearing, number, colluding=colluding))
    else:
        _print(hearing, number)


def _document(hearing: Hearing, seed: int, *, colluding: bool) -> dict[str, Any]:
    import msgspec

    from agentrooms.cli.report import deal_document

    certificate = hearing.certificate
    return {
        "seed": seed,
        "colluding": colluding,
        "deal": {**deal_document(hearing.room, hearing.deal), "detail": hearing.detail},
        "verifiers": [{"verifier": name, "fault": hearing.faults.get(name)} for name in hearing.verifiers],
        "votes": [
            {
                "by": said.by,
                "after_ms": said.after_ms,
                "signed": said.signed,
                "attested": said.attested,
                "counted": said.counted,
                "why": said.why,
                "vote": _printable(said),
            }
            for said in hearing.said
        ],
        "tally": {**_tally(hearing), "quorum": QUORUM, "of": VERIFIERS},
        "certificate": msgspec.to_builtins(certificate) if certificate is not None else None,
        "certificate_proved": hearing.proved,
        "evidence": msgspec.to_builtins(hearing.found),
        "accused_in_log": sorted({evidence.verifier for evidence in hearing.accused}),
        "executed": hearing.executed,
    }


def _printable(said: Said) -> dict[str, Any]:
    """Returns a vote, which may hold what no document can, such as half a character."""
    vote, annex = said.vote, said.vote.annex
    return {
        "verifier": vote.verifier,
        "decision": vote.decision,
        "reasons": [_readable(reason) for reason in annex.reasons],
        "block": str(annex.block),
        "at_ms": annex.at_ms,
        "signature": vote.signature,
        "attestation": vote.attestation,
    }


def _readable(reason: str) -> str:
    """Returns a reason as people read it; hostile ones are cut, and only ASCII."""
    text = ascii(reason[: REASON_CHARACTERS + 1])[1:-1]
    return text if len(text) <= REASON_CHARACTERS else f"{text[:REASON_CHARACTERS]}…"


def _tally(hearing: Hearing) -> dict[str, int]:
    counted = [said.vote.decision.value for said in hearing.said if said.counted]
    approvals, rejections = counted.count("approve"), counted.count("reject")
    return {"approve": approvals, "reject": rejections, "missing": VERIFIERS - approvals - rejections}


def _print(hearing: Hearing, seed: int) -> None:
    from agentrooms.cli.console import clean, count, out, usdc
    from agentrooms.cli.facts import print_facts
    from agentrooms.cli.lines import item_name, words

    terms, room = hearing.deal.terms, hearing.room
    buyer, seller = room.agents[terms.buyer], room.agents[terms.seller]
    item = item_name(terms.item, room.comparable_by)
    out().print(clean(f"{item} for {usdc(terms.price_usdc_micros)} USDC, {count(len(hearing.faults), 'faulty verifier')}, seed {seed}"), style="bold", markup=False, soft_wrap=True)  # fmt: skip
    print_facts(
        ("Deal", f"{terms.deal}, locked in round {hearing.deal.locked_round}"),
        ("Buyer", f"{buyer.avatar} {buyer.name}"),
        ("Seller", f"{seller.avatar} {seller.name}"),
        ("Deal hash", hearing.deal.deal_hash),
    )
    _print_faults(hearing)
    _print_votes(hearing)
    tally = _tally(hearing)
    print_facts(
        ("Tally", f"{tally['approve']} approve, {tally['reject']} reject, {tally['missing']} without a vote that counts; {QUORUM} of {VERIFIERS} decide"),
        ("Certificate", _certificate(hearing)),
        ("Evidence", "; ".join(f"{e.verifier}: {words(e.kind)}" for e in hearing.found) or "none"),
        ("Accused", _accused(hearing)),
        ("End", _end(hearing)),
    )  # fmt: skip
    out().print(_moral(hearing), markup=False)


def _print_faults(hearing: Hearing) -> None:
    from agentrooms.chaos.faults import ABOUT
    from agentrooms.cli.console import out, table

    if not hearing.faults:
        return
    shown = table("Faulty", "Kind", "What it does")
    for name in hearing.verifiers:
        if name in hearing.faults:
            shown.add_row(name, hearing.faults[name], ABOUT[hearing.faults[name]])
    out().print(shown)


def _print_votes(hearing: Hearing) -> None:
    """Prints all votes as they came; where there is room, with the time of each and the kind of its sender."""
    from agentrooms.cli.console import NONE, clean, out, table
    from agentrooms.cli.facts import seconds, wide

    more = [">After", "Kind"] if wide() else []
    shown = table(*more[:1], "From", *more[1:], "Vote", "Against the deal", "Signed", "Attests", "Counts")

    def add(name: str, after: str, *cells: str | Text) -> None:
        kind = hearing.faults.get(name, "honest")
        times = [after, kind] if more else []
        shown.add_row(*times[:1], name, *times[1:], *cells, style="yellow" if name in hearing.faults else "")

    for said, times in _alike(hearing.said, timed=bool(more)):
        attests = NONE if said.attested is None else _mark(said.attested)
        vote = f"{said.vote.decision} ×{times}" if times > 1 else str(said.vote.decision)
        signed, counts = _mark(said.signed), _mark(said.counted, said.why)
        add(said.by, seconds(said.after_ms), vote, clean(_against(said)), signed, attests, counts)
    for name in hearing.verifiers:
        if name not in {said.by for said in hearing.said}:
            add(name, NONE, NONE, NONE, NONE, NONE, "no answer")
    out().print(shown)


def _against(said: Said) -> str:
    """Returns what a vote has against the deal, the first few reasons of it."""
    from agentrooms.cli.console import NONE
    from agentrooms.cli.lines import words

    reasons = said.vote.annex.reasons
    more = [f"{len(reasons) - REASONS_SHOWN} more"] if len(reasons) > REASONS_SHOWN else []
    return ", ".join([*(words(_readable(reason)) for reason in reasons[:REASONS_SHOWN]), *more]) or NONE


def _alike(said: tuple[Said, ...], *, timed: bool) -> list[tuple[Said, int]]:
    """Returns the first of votes that one verifier sent and that do not count for the same reason, and how many."""
    groups: dict[tuple[Any, ...], list[Said]] = {}
    for one in said:
        key = one.by, one.after_ms if timed else 0, one.vote.decision, one.signed, one.attested, one.counted, one.why
        groups.setdefault(key, []).append(one)
    return [(group[0], len(group)) for group in groups.values()]


def _mark(good: bool, why: str = "") -> Text:
    from rich.text import Text

    return Text("yes", style="green") if good else Text(f"no: {why}" if why else "no", style="red")


def _certificate(hearing: Hearing) -> str:
    certificate = hearing.certificate
    if certificate is None:
        return f"none: nothing has {QUORUM} votes"
    agreeing = [vote.verifier for vote in certificate.votes if vote.decision is certificate.decision]
    honest = sum(name not in hearing.faults for name in agreeing)
    checked = "checks out" if hearing.proved else "DOES NOT CHECK OUT"
    return (
        f"{certificate.decision} by {len(agreeing)}, {honest} of them honest; set {certificate.set_version}; {checked}"
    )


def _accused(hearing: Hearing) -> str:
    """Returns who stands accused in the log, and whether anybody is who should not."""
    names = sorted({evidence.verifier for evidence in hearing.accused})
    if not names:
        return "nobody in the log" if hearing.found else ""
    framed = [name for name in names if name not in hearing.faults]
    return f"{', '.join(names)}, in the log and with proof; {', '.join(framed) or 'nobody honest'}"


def _end(hearing: Hearing) -> str:
    from agentrooms.cli.lines import words

    deal = hearing.deal
    moved = "item and payment have changed hands" if hearing.executed else "nothing moved"
    why = f": {words(deal.fail_reason or '')} ({words(hearing.detail)})" if deal.fail_reason else ""
    return f"{deal.state}{why} in round {deal.ended_round}; {moved}"


def _moral(hearing: Hearing) -> str:
    """Returns in a sentence or two what this shows, and what it does not."""
    from agentrooms.domain.deal import Decision

    certificate, number = hearing.certificate, len(hearing.faults)
    agreeing = {v.verifier for v in certificate.votes if v.decision is certificate.decision} if certificate else set()
    honest = len(agreeing - set(hearing.faults))
    if certificate is None:
        return (
            f"Without {QUORUM} votes for the same there is no decision: nothing moves, and the deal ends once the chain "
            f"is past its deadline. {number} faulty verifiers can stop deals"
            f"{'; by themselves they cannot make one' if number < QUORUM else ', and make false ones'}."
        )
    if honest == 0 and certificate.decision is Decision.APPROVE:
        return (
            f"This is the break: {QUORUM} that collude certify what no honest verifier would. The escrow looked at "
            f"money, item and mandates itself and {'executed' if hearing.executed else 'refused'}; beyond what it sees, nothing guards against five."
        )
    if honest < QUORUM - BORNE:
        return (
            f"Beyond what is promised: only {honest} honest verifiers stand behind this certificate. With "
            f"{number} faulty ones two certificates for one deal are possible."
        )
    if number > BORNE:
        return (
            f"It went well, by luck: with more than {BORNE} faulty verifiers neither a decision nor a true one is sure."
        )
    return (
        f"Up to {BORNE} of {VERIFIERS} may do what they like: {QUORUM} honest ones are enough, and at least "
        f"{QUORUM - BORNE} honest ones stand behind every certificate."
    )
