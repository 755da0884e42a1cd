"""`agentrooms deal`: deals of the running system and what proves them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from agentrooms.cli.examples import examples
from agentrooms.cli.live_params import LIST_DEFAULT, DealId, Limit, OfRoom, first, pages
from agentrooms.cli.params import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentrooms.projections.read_rows import ReadAgent, ReadDeal, RoomRow
    from agentrooms.projections.read_views import DealEvidence


def register(app: typer.Typer) -> None:
    """Adds the group to the command line."""
    group = typer.Typer(help="Deals of the running system.", rich_markup_mode="rich")
    group.callback(invoke_without_command=True, epilog=examples("agentrooms deal list"))(_root)
    group.command("list", epilog=examples("agentrooms deal list", "agentrooms deal list --room room_lg4y --json"))(
        list_
    )
    group.command("show", epilog=examples("agentrooms deal show deal_k3vq"))(show)
    app.add_typer(group, name="deal")


def _root(ctx: typer.Context) -> None:
    """Deals: locked, judged by seven verifiers, settled by the escrow."""
    if ctx.invoked_subcommand is None:
        ctx.get_help()


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
    if json:
        emit(msgspec.to_builtins(found))
    elif found:
        print_deals(found)
    else:
        out().print("No deals.")


def print_deals(deals: Sequence[ReadDeal]) -> None:
    """Prints deals as a table."""
    from agentrooms.cli.console import clean, out, usdc
    from agentrooms.cli.facts import table_by_id, wide
    from agentrooms.cli.lines import words

    more = [">Locked in"] if wide() else []
    shown = table_by_id("Deal", "Item", ">Price", ">Over floor", "State", *more, ids=[deal.deal for deal in deals])
    for deal in deals:
        shown.add_row(
            deal.deal,
            clean(f"{deal.item_name} ({deal.grade})" if deal.grade else deal.item_name),
            usdc(deal.price_usdc_micros),
            usdc(deal.price_over_floor_usdc_micros),
            words(deal.fail_reason) if deal.fail_reason is not None else deal.state,
            *[f"round {deal.locked_round}"][: len(more)],
        )
    out().print(shown)


def show(id_: DealId, json: Json = False) -> None:
    """Show a deal: terms, states with their times, price against the floor, votes, transaction."""
    import msgspec

    from agentrooms.cli.asking import asking
    from agentrooms.cli.console import emit
    from agentrooms.projections import queries

    with asking() as system:
        evidence = queries.deal(system.read, system.id_of("deal", id_))
        deal = evidence.deal
        room = queries.room(system.read, deal.room)
        buyer, seller = (queries.agent(system.read, agent) for agent in (deal.buyer, deal.seller))
    if json:
        emit({**msgspec.to_builtins(deal), "votes": msgspec.to_builtins(evidence.votes)})
    else:
        _print(evidence, room, buyer, seller)


def _print(evidence: DealEvidence, room: RoomRow, buyer: ReadAgent, seller: ReadAgent) -> None:
    from agentrooms.cli.console import NONE, clean, out, table, usdc
    from agentrooms.cli.facts import at, print_facts
    from agentrooms.cli.lines import words

    deal = evidence.deal
    out().print(clean(f"{deal.item_name} for {usdc(deal.price_usdc_micros)} USDC  {deal.deal}"), style="bold", markup=False, soft_wrap=True)  # fmt: skip
    why = f": {words(deal.fail_reason or '')} ({words(deal.fail_detail or NONE)})" if deal.fail_reason else ""
    print_facts(
        ("State", f"{deal.state}{why}"),
        ("Room", f"{room.name}, {room.room}"),
        ("Buyer", f"{buyer.avatar} {buyer.name}, {buyer.agent}, wallet {deal.buyer_wallet}"),
        ("Seller", f"{seller.avatar} {seller.name}, {seller.agent}, wallet {deal.seller_wallet}"),
        ("Item", f"#{deal.token_id} {f'({deal.grade}) ' if deal.grade else ''}of {deal.collection}"),
        ("Floor then", _against(deal)),
        ("Top bid then", f"{usdc(deal.top_bid_usdc_micros)} USDC"),
        ("Deal hash", deal.deal_hash),
        ("Certificate", _certificate(deal)),
        ("Transaction", deal.tx_hash or NONE),
        ("Block", f"{deal.block} ({deal.block_hash})" if deal.block is not None else NONE),
        ("Escrow", f"{deal.escrow} on chain {deal.chain_id}, until {at(deal.deadline_ms)}"),
    )
    _print_states(deal, room)
    if evidence.votes:
        votes = table("Verifier", "Vote", "Found against it", ">At block", "Signature")
        for vote in evidence.votes:
            found = words(vote.reasons) or "nothing"
            votes.add_row(vote.verifier, vote.decision, clean(found), str(vote.block), f"{vote.signature[:16]}…")
        out().print(votes)


def _against(deal: ReadDeal) -> str:
    """Returns the floor at the lock, and how the price stands to it."""
    from agentrooms.cli.console import NONE, usdc

    over = deal.price_over_floor_usdc_micros
    if over is None:
        return NONE
    apart = f"{usdc(abs(over))} {'above' if over > 0 else 'below'} it" if over else "the same"
    return f"{usdc(deal.floor_usdc_micros)} USDC; the price is {apart}"


def _certificate(deal: ReadDeal) -> str:
    if deal.decision is None:
        return "none yet" if deal.ended_round is None else "none"
    return f"{deal.decision}: {deal.approvals} for, {deal.rejections} against, of verifier set {deal.set_version}"


def _print_states(deal: ReadDeal, room: RoomRow) -> None:
    """Prints when the deal went from state to state, in room time."""
    from agentrooms.cli.console import out, table
    from agentrooms.cli.facts import at, seconds

    passed = [
        ("locked", deal.locked_round),
        ("verifying", deal.verifying_round),
        ("certified", deal.certified_round),
        ("sent to the escrow", deal.submitted_round),
        (str(deal.state) if deal.ended_round is not None else "ended", deal.ended_round),
    ]
    states = table("State", ">Round", ">After the lock", "Room time")
    for state, round_ in passed:
        if round_ is not None:
            after_ms = (round_ - deal.locked_round) * room.round_ms
            states.add_row(state, str(round_), seconds(after_ms), at(room.started_at_ms + round_ * room.round_ms))
    out().print(states)
