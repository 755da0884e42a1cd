"""A small market by hand, for examples in the documentation: ten lines of chat, two sales, six agents.

Nothing here runs a strategy, so the pages made from it change only when a table does.
"""

from __future__ import annotations

from agentrooms.domain.agent import AgentLeft, AgentSpawned
from agentrooms.domain.assets import Item, WantKind, Wants
from agentrooms.domain.deal import (
    Acceptance,
    Annex,
    DealCertified,
    DealCompleted,
    DealLocked,
    DealVerifying,
    Decision,
    EscrowSubmitted,
    Receipt,
    Terms,
    Vote,
    deal_hash,
)
from agentrooms.domain.event import Event
from agentrooms.domain.mandate import Mandate, mandate_hash
from agentrooms.domain.money import USDC_MICROS
from agentrooms.domain.room import ActPosted, ActsExplained, CloseReason, QuoteExpired, RoomClosed, RoomOpened
from agentrooms.domain.terms import ActKind, LeaveReason, Mood, Role, StrategyName, Style
from agentrooms.events.record import GENESIS, Recorded, decode_line, encode_line, line_hash
from agentrooms.events.tags import tags_of
from agentrooms.projections.mandates import Lookup

ROOM = "room_example"
STARTED_AT_MS = 1_609_459_200_000
ROUND_MS = 1_000
COLLECTION = "0x" + "c" * 40
CURRENCY = "0x" + "d" * 40
ANY = Wants()
COMMON = Wants(WantKind.TRAITS, traits={"grade": "common"})
LISTED = Wants(WantKind.ITEMS, ("7",))
ITEMS = {
    "1": Item("1", "Example #1", {"grade": "common"}),
    "2": Item("2", "Example #2", {"grade": "common"}),
    "7": Item("7", "Example #7", {"grade": "rare"}),
}
AGENTS: dict[str, tuple[int, Wants | Item]] = {
    "ada": (100, ANY),
    "bo": (90, COMMON),
    "cy": (80, LISTED),
    "dee": (60, ITEMS["1"]),
    "eve": (70, ITEMS["2"]),
    "fay": (75, ITEMS["7"]),
}
"""Name, limit in USDC, and what the agent wants or sells."""


def example_log() -> tuple[list[Recorded], Lookup]:
    """Returns the example's log and its mandates by hash."""
    held = {f"agent_{name}": _mandate(name) for name in AGENTS}
    found: list[Recorded] = []
    for seq, event in enumerate(_events(held), start=1):
        at_ms = STARTED_AT_MS + getattr(event, "round", 0) * ROUND_MS
        tags = tags_of(event, ROOM, None)
        prev = line_hash(found[-1].line) if found else GENESIS
        line = encode_line(event, chain=ROOM, seq=seq, at_ms=at_ms, cmd="example", tags=tags, prev=prev)
        found.append(decode_line(line))
    by_hash = {mandate_hash(mandate): mandate for mandate in held.values()}
    return found, by_hash.__getitem__


def _events(held: dict[str, Mandate]) -> list[Event]:
    opened = RoomOpened(
        base_grade="common",
        collection=COLLECTION,
        comparable_by="grade",
        name="Example floor",
        quote_rounds=10,
        room=ROOM,
        round_ms=ROUND_MS,
        started_at_ms=STARTED_AT_MS,
    )
    first = _terms(held, "ada", "dee", 85, "quote_dee_2", 5)
    second = _terms(held, "bo", "eve", 76, "quote_eve_6", 7)
    return [
        opened,
        *(_spawned(name, held[f"agent_{name}"]) for name in AGENTS),
        _said("dee", 2, ActKind.OFFER, 85, "Example #1 for 85.00, friends."),
        _said("ada", 2, ActKind.OFFER, 65, "I'd take any of them for 65.00."),
        ActsExplained(
            {
                "agent_ada": {"price": 65 * USDC_MICROS, "rule": "opening"},
                "agent_dee": {"price": 85 * USDC_MICROS, "rule": "opening"},
            },
            2,
        ),
        _said("eve", 3, ActKind.OFFER, 80, "Mine is yours for 80.00."),
        _said("cy", 3, ActKind.OFFER, 50, "50.00 for Example #7, nothing else.", token_id="7"),
        _said("bo", 4, ActKind.COUNTER, 70, "80.00 is steep, Eve. 70.00?", answers="quote_eve_3", token_id="2"),
        _said("ada", 5, ActKind.ACCEPT, 85, "Dee, 85.00 it is.", answers="quote_dee_2", token_id="1"),
        DealLocked(deal_hash(first), 5, first),
        _said("eve", 6, ActKind.COUNTER, 76, "For you, Bo: 76.00.", answers="quote_bo_4"),
        _verifying(first, 6),
        _said("bo", 7, ActKind.ACCEPT, 76, "Deal at 76.00.", answers="quote_eve_6", token_id="2"),
        DealLocked(deal_hash(second), 7, second),
        _said("fay", 7, ActKind.OFFER, 95, "Example #7 is rare: 95.00."),
        *_settled(first, 8),
        _verifying(second, 8),
        *_settled(second, 10),
        QuoteExpired("agent_cy", "quote_cy_3", 13),
        _said("cy", 14, ActKind.LEAVE, None, "Too dear for me. Bye."),
        AgentLeft("agent_cy", LeaveReason.GAVE_UP, 14),
        AgentLeft("agent_fay", LeaveReason.TIMEOUT, 15),
        RoomClosed(CloseReason.ALL_AGENTS_LEFT, 15),
    ]


def _spawned(name: str, mandate: Mandate) -> AgentSpawned:
    return AgentSpawned(
        agent=f"agent_{name}",
        avatar="🙂",
        item=mandate.item,
        mandate_hash=mandate_hash(mandate),
        name=name.capitalize(),
        owner=mandate.principal,
        role=mandate.role,
        round=1,
        strategy=StrategyName.PATIENT,
        style=Style.CASUAL,
        swarm=None,
        wants=mandate.wants,
    )


def _mandate(name: str) -> Mandate:
    limit, trades = AGENTS[name]
    number = list(AGENTS).index(name) + 1
    item = trades if isinstance(trades, Item) else None
    start = limit + 30 if item is not None else limit - 40
    return Mandate(
        role=Role.SELLER if item is not None else Role.BUYER,
        principal=f"0x{number:040x}",
        collection=COLLECTION,
        currency=CURRENCY,
        item=item,
        wants=trades if isinstance(trades, Wants) else None,
        reservation_usdc_micros=limit * USDC_MICROS,
        start_usdc_micros=start * USDC_MICROS,
        maximum_usdc_micros=2 * limit * USDC_MICROS if item is not None else None,
        expires_at_ms=STARTED_AT_MS + 200 * ROUND_MS,
        session_key=f"0x{number:040x}",
        identity=f"{number:064x}",
        salt=f"{number:064x}",
    )


def _said(
    name: str,
    round_: int,
    act: ActKind,
    price: int | None,
    text: str,
    *,
    answers: str | None = None,
    token_id: str | None = None,
) -> ActPosted:
    trades = AGENTS[name][1]
    priced = act in {ActKind.OFFER, ActKind.COUNTER}
    return ActPosted(
        act=act,
        agent=f"agent_{name}",
        mood=Mood.CALM,
        price_usdc_micros=price * USDC_MICROS if price is not None else None,
        quote=f"quote_{name}_{round_}" if priced else None,
        refers_to=answers,
        round=round_,
        text=text,
        to=f"agent_{answers.split('_')[1]}" if answers is not None else None,
        token_id=trades.token_id if priced and isinstance(trades, Item) else token_id,
        wording="scripted",
    )


def _terms(held: dict[str, Mandate], buyer: str, seller: str, price: int, quote: str, round_: int) -> Terms:
    buys, sells = held[f"agent_{buyer}"], held[f"agent_{seller}"]
    assert sells.item is not None
    return Terms(
        buyer=f"agent_{buyer}",
        buyer_mandate=mandate_hash(buys),
        buyer_wallet=buys.principal,
        chain_id=1,
        collection=COLLECTION,
        currency=CURRENCY,
        deadline_ms=STARTED_AT_MS + (round_ + 60) * ROUND_MS,
        deal=f"deal_{buyer}_{seller}",
        escrow="0x" + "e" * 40,
        item=sells.item,
        price_usdc_micros=price * USDC_MICROS,
        quote=quote,
        room=ROOM,
        seller=f"agent_{seller}",
        seller_mandate=mandate_hash(sells),
        seller_wallet=sells.principal,
        set_version=1,
    )


def _settled(terms: Terms, round_: int) -> list[Event]:
    """Returns what follows a deal's verification; the votes' signatures are made up."""
    tx_hash = "0x" + deal_hash(terms)
    receipt = Receipt(
        round_, "0x" + "b" * 64, STARTED_AT_MS + (round_ + 1) * ROUND_MS, "", succeeded=True, tx_hash=tx_hash
    )
    return [
        DealCertified(deal=terms.deal, decision=Decision.APPROVE, round=round_, set_version=1, votes=_votes(round_)),
        EscrowSubmitted(terms.deal, round_, tx_hash),
        DealCompleted(terms.deal, receipt, round_ + 1),
        AgentLeft(terms.buyer, LeaveReason.BOUGHT_NFT, round_ + 1),
        AgentLeft(terms.seller, LeaveReason.SOLD_NFT, round_ + 1),
    ]


def _votes(round_: int) -> tuple[Vote, ...]:
    annex = Annex(STARTED_AT_MS + round_ * ROUND_MS, round_, (), "00" * 64)
    return tuple(Vote(annex, "00" * 65, Decision.APPROVE, "00" * 64, f"verifier_{n}") for n in range(1, 8))


def _verifying(terms: Terms, round_: int) -> DealVerifying:
    """Returns the question to the verifiers; the agents' signatures are made up."""
    words = tuple(Acceptance(agent, "00" * 64, "00" * 65) for agent in (terms.buyer, terms.seller))
    return DealVerifying(words, terms.deal, round_)
