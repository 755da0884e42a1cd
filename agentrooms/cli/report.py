"""What came out of a run, as one JSON document and as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentrooms.cli.console import NONE, clean, count, out, table, usdc
from agentrooms.cli.lines import item_name, words
from agentrooms.domain.deal import Deal, DealState
from agentrooms.domain.room import Room
from agentrooms.domain.terms import Role

if TYPE_CHECKING:
    from pathlib import Path

    from agentrooms.sim.archive import Manifest


def run_document(manifest: Manifest, room: Room, folder: Path | None) -> dict[str, Any]:
    """Returns a finished run as a document with stable keys."""
    settings = manifest.settings
    left = [a for a in room.agents.values() if not _traded(room, a.id)]
    return {
        "run": manifest.run,
        "preset": settings.preset,
        "seed": settings.seed,
        "buyers": settings.buyers,
        "sellers": settings.sellers,
        "usdc_per_eth": settings.usdc_per_eth,
        "rounds": room.round,
        "events": manifest.events,
        "events_sha256": manifest.events_sha256,
        "head": manifest.head,
        "parent": {"head": manifest.parent.head, "events": manifest.parent.events} if manifest.parent else None,
        "out": str(folder) if folder is not None else None,
        "deals": [deal_document(room, deal) for deal in room.deals.values()],
        "left_without_deal": [
            {"agent": a.id, "name": a.name, "role": a.role, "reason": a.left_reason, "round": a.left_round}
            for a in left
        ],
    }


def deal_document(room: Room, deal: Deal) -> dict[str, Any]:
    """Returns one deal as a document with stable keys."""
    terms = deal.terms
    return {
        "deal": terms.deal,
        "state": deal.state,
        "item": terms.item.name,
        "token_id": terms.item.token_id,
        "grade": terms.item.grade(room.comparable_by),
        "price_usdc_micros": terms.price_usdc_micros,
        "buyer": terms.buyer,
        "buyer_name": room.agents[terms.buyer].name,
        "seller": terms.seller,
        "seller_name": room.agents[terms.seller].name,
        "locked_round": deal.locked_round,
        "ended_round": deal.ended_round,
        "fail_reason": deal.fail_reason,
        "tx_hash": deal.tx_hash,
    }


def print_run(manifest: Manifest, room: Room) -> None:
    """Prints a finished run: its deals, who left without one, and its head."""
    settings, screen = manifest.settings, out()
    size = f"{count(settings.buyers, 'buyer')}, {count(settings.sellers, 'seller')}"
    screen.print(
        f"{settings.preset}, seed {settings.seed}: {size}, {count(room.round, 'round')}, "
        f"{count(manifest.events, 'event')}",
        style="bold",
        soft_wrap=True,
    )
    print_deals(room)
    without = [a for a in room.agents.values() if not _traded(room, a.id)]
    if without:
        left = table("Left without a deal", "Role", "Item", "Why", ">Round")
        for agent in without:
            item = item_name(agent.item, room.comparable_by) if agent.item else NONE
            why = words(agent.left_reason or "still there")
            left.add_row(clean(f"{agent.avatar} {agent.name}"), agent.role, clean(item), why, str(agent.left_round))
        screen.print(left)
    screen.print(f"head {manifest.head}", soft_wrap=True)


def print_deals(room: Room) -> None:
    """Prints a room's deals in lock order."""
    if not room.deals:
        out().print("No deals.")
        return
    deals = table("Item", ">Price (USDC)", "Buyer", "Seller", "State", ">Round")
    for deal in room.deals.values():
        terms = deal.terms
        deals.add_row(
            clean(item_name(terms.item, room.comparable_by)),
            usdc(terms.price_usdc_micros),
            _party(room, terms.buyer),
            _party(room, terms.seller),
            f"{deal.state}: {words(deal.fail_reason)}" if deal.fail_reason else deal.state,
            str(deal.ended_round or deal.locked_round),
        )
    out().print(deals)


def outcome(room: Room) -> str:
    """Returns a room's outcome in half a sentence."""
    done = [deal for deal in room.deals.values() if deal.state is DealState.COMPLETED]
    volume = sum(deal.terms.price_usdc_micros for deal in done)
    without = sum(not agent.present and not _traded(room, agent.id) for agent in room.agents.values())
    some = f"{count(len(done), 'deal')} for {usdc(volume)} USDC" if done else "no deal"
    return f"{some}, {count(without, 'agent') if without else 'nobody'} left without one"


def present(room: Room) -> tuple[int, int]:
    """Returns how many buyers and sellers are in the room."""
    here = [agent.role for agent in room.agents.values() if agent.present]
    return here.count(Role.BUYER), here.count(Role.SELLER)


def _traded(room: Room, agent: str) -> bool:
    name = room.agents[agent].deal
    return name is not None and room.deals[name].state is DealState.COMPLETED


def _party(room: Room, agent: str) -> str:
    party = room.agents[agent]
    return clean(f"{party.avatar} {party.name}")
