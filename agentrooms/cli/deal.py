"""`agentrooms deal`: deals of the running system, or of an archive, and what proves them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.groups import add_group
from agentrooms.cli.live_params import LIST_DEFAULT, DealId, Limit, OfRoom, first, pages
from agentrooms.cli.params import Json, run_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentrooms.projections.deals import DealRow
    from agentrooms.projections.read_rows import ReadDeal
    from agentrooms.sim.evidence import Evidence

DONE = 100  # percent


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    group = add_group(app, "deal", "Deals of the running system, or of an archive.", "agentrooms deal list")
    group.command("list", epilog=examples("agentrooms deal list", "agentrooms deal list --room room_lg4y --json"))(
        list_
    )
    group.command(
        "show",
        epilog=examples(
            "agentrooms deal show deal_k3vq",
            "agentrooms deal show deal_k3vq --archive runs/a",
            "agentrooms deal show deal_k3vq --archive runs/a --secrets --json",
        ),
    )(show)


def list_(room: OfRoom = None, limit: Limit = LIST_DEFAULT, json: Json = False) -> None:
    """List deals, the newest first, with their prices against the floor of their time."""
    import msgspec

    from agentrooms.cli.asking import asking
    from agentrooms.cli.console import emit, out
    from agentrooms.projections import queries

    with asking() as system:
        name = system.id_of("room", room) if room is not None else None
        found = first(
            pages(lambda last: queries.deals(system.read, room=name, after=last.locked_event if last else None)), limit
        )
        told = _told(system.running.redis_url, found)
    if json:
        emit([{**msgspec.to_builtins(deal), **_progress(deal, told)} for deal in found])
    elif found:
        print_deals(found, told)
    else:
        out().print("No deals.")


def print_deals(deals: Sequence[ReadDeal], told: Mapping[str, int] | None = None) -> None:
    """Prints deals as a table; `told` is how far live ones are by what settlement last said, in percent."""
    from agentrooms.cli.console import clean, out, usdc
    from agentrooms.cli.facts import table_by_id, wide

    more = [">Locked in"] if wide() else []
    shown = table_by_id("Deal", "Item", ">Price", ">Over floor", "State", *more, ids=[deal.deal for deal in deals])
    for deal in deals:
        shown.add_row(
            deal.deal,
            clean(f"{deal.item_name} ({deal.grade})" if deal.grade else deal.item_name),
            usdc(deal.price_usdc_micros),
            usdc(deal.price_over_floor_usdc_micros),
            _state(deal, told or {}),
            *[f"round {deal.locked_round}"][: len(more)],
        )
    out().print(shown)


def _told(redis_url: str, deals: Sequence[ReadDeal]) -> dict[str, int]:
    """Returns what settlement last told of the live ones among deals; nothing while Redis is away."""
    from contextlib import closing, suppress

    import redis

    from agentrooms.projections.redis_stats import progress_of
    from agentrooms.services.redis import client

    told: dict[str, int] = {}
    with suppress(redis.RedisError), closing(client(redis_url)) as connection:
        for room in sorted({deal.room for deal in deals if deal.ended_round is None}):
            told |= progress_of(connection, room)
    return told


def _progress(deal: ReadDeal, told: Mapping[str, int]) -> dict[str, Any]:
    """Returns how far a deal is: stage and percent."""
    from agentrooms.domain.progress import further, of_state

    known = of_state(deal.state, decided=deal.decision is not None, sent=deal.tx_hash is not None)
    stage, percent = further(known, told.get(deal.deal))
    return {"stage": stage, "percent": percent}


def _state(deal: ReadDeal, told: Mapping[str, int]) -> str:
    from agentrooms.cli.lines import words

    if deal.ended_round is not None:
        return words(deal.fail_reason) if deal.fail_reason is not None else deal.state
    found = _progress(deal, told)
    return f"{found['stage']} {found['percent']} %"


def show(
    id_: DealId,
    archive: Annotated[
        Path | None,
        typer.Option("--archive", metavar="DIR", help="Of this archive, not of the running system.", parser=run_folder),
    ] = None,
    secrets: Annotated[
        bool, typer.Option("--secrets", help="Both mandates with their limits, where the vault has them. Secret.")
    ] = False,
    json: Json = False,
) -> None:
    """Show a deal and all that proves it: terms, words, votes, certificate, transactions, receipt, each checked.

    Exit code 1 when a signature or hash does not hold.
    """
    from agentrooms.cli.console import emit

    evidence, row, progress, again = _archived(archive, id_, secrets) if archive is not None else _running(id_, secrets)
    if json:
        emit(_document(evidence, row, progress, again))
    else:
        _print(evidence, row, progress, again)
    if evidence.wrong():
        raise typer.Exit(1)


Found = tuple["Evidence", "DealRow | None", dict[str, Any], tuple[str, ...]]
"""Evidence, the deal's row, its progress, and the commands that check it again."""


def _archived(folder: Path, id_: str, secrets: bool) -> Found:
    """Returns a deal of an archive, its row where the archive tells the room's whole story, and how to check again."""
    from agentrooms.domain.progress import of_state
    from agentrooms.projections.deals import rows
    from agentrooms.projections.walk import BrokenLog
    from agentrooms.sim.evidence import archived, deals_named, gather

    events, vault = archived(folder)
    deal = deals_named(events, id_)
    evidence = gather(events, deal, vault, secrets=secrets)
    try:
        row = next((row for row in rows(events) if row.deal == deal), None)
    except (BrokenLog, AssertionError, LookupError):  # it begins in the middle, or was tampered with
        row = None
    decided, sent = evidence.certificate is not None, bool(evidence.transactions)
    stage, percent = of_state(evidence.state, decided=decided, sent=sent)
    return evidence, row, {"stage": stage, "percent": percent}, (f"agentrooms verify {folder}",)


def _running(id_: str, secrets: bool) -> Found:
    """Returns a deal of the running system."""
    from contextlib import closing

    from agentrooms.cli.asking import asking
    from agentrooms.events.postgres_vault import PostgresVault
    from agentrooms.live.access import LOG
    from agentrooms.projections import queries
    from agentrooms.sim.evidence import events_of, gather

    with asking() as system, closing(PostgresVault(system.running.dsn, LOG)) as vault:
        row = queries.deal(system.read, system.id_of("deal", id_)).deal
        evidence = gather(events_of(system.store, row.deal), row.deal, vault, secrets=secrets)
        progress = _progress(row, _told(system.running.redis_url, [row]))
        node = f" --rpc {system.running.chain_url}" if system.running.chain_url else ""
    folder = f"archives/{evidence.room}"
    return (
        evidence,
        row,
        progress,
        (f"agentrooms export room:{evidence.room} --out {folder}", f"agentrooms verify {folder}{node}"),
    )


def _document(
    evidence: Evidence, row: DealRow | None, progress: dict[str, Any], again: tuple[str, ...]
) -> dict[str, Any]:
    import msgspec

    known = msgspec.to_builtins(row) if row is not None else {}
    return {
        **known,
        **msgspec.to_builtins(evidence),
        **progress,
        "wrong": list(evidence.wrong()),
        "unchecked": list(evidence.missing()),
        "next": list(again),
    }


def _print(evidence: Evidence, row: DealRow | None, progress: dict[str, Any], again: tuple[str, ...]) -> None:
    from agentrooms.cli.console import clean, next_steps, out, usdc
    from agentrooms.cli.evidence import print_evidence, terms_facts
    from agentrooms.cli.facts import print_facts

    item, price = evidence.terms.item.name, usdc(evidence.price_usdc_micros)
    out().print(clean(f"{item} for {price} USDC  {evidence.deal}"), style="bold", markup=False, soft_wrap=True)
    live = f"{progress['percent']} %, {progress['stage']}" if progress["percent"] < DONE else ""
    print_facts(
        ("Room", evidence.room), ("Progress", live), *terms_facts(evidence), *(_market(row) if row is not None else [])
    )
    print_evidence(evidence)
    next_steps(*again)


def _market(row: DealRow) -> list[tuple[str, str]]:
    """Returns how the price stood to floor and top bid at the lock."""
    from agentrooms.cli.console import usdc

    over, top = row.price_over_floor_usdc_micros, row.top_bid_usdc_micros
    apart = f"{usdc(abs(over))} {'above' if over > 0 else 'below'} it" if over else "the same"
    floor = f"{usdc(row.floor_usdc_micros)} USDC; the price is {apart}" if over is not None else ""
    return [("Floor then", floor), ("Top bid then", f"{usdc(top)} USDC" if top is not None else "")]
