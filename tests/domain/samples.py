"""Plain values for tests: items, mandates, agents, verifiers, a deal's terms. All keys derive from one seed."""

from __future__ import annotations

from typing import Any

import msgspec

from agentrooms.actors.plans import verifier_keys
from agentrooms.chain.ledger import LEDGER, LedgerChain
from agentrooms.consensus.judgement import Case
from agentrooms.consensus.votes import cast
from agentrooms.domain.acceptance import AgentKeys, accept
from agentrooms.domain.agent import AgentSpawned
from agentrooms.domain.assets import Item, Wants
from agentrooms.domain.collection import Collection
from agentrooms.domain.deal import Acceptance, Terms, Vote, deal_id
from agentrooms.domain.ids import seed_bytes
from agentrooms.domain.keys import derive_key
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted
from agentrooms.domain.mandate import Mandate, SignedMandate, mandate_hash, sign_mandate
from agentrooms.domain.room import RoomOpened
from agentrooms.domain.secp256k1 import address_of, derive_secret
from agentrooms.domain.terms import Role, StrategyName, Style
from agentrooms.domain.verifier_set import VERIFIERS, VerifierSet

KEY = seed_bytes("tests")
COLLECTION = "0x" + "c" * 40
ROOM = "room_1"
START_MS = 1_000_000
ROUND_MS = 1_000
EXPIRES_MS = START_MS + 1_000 * ROUND_MS
USDC = 1_000_000


def wallet_key(name: str) -> bytes:
    """The key of a named wallet."""
    return derive_secret(KEY, "wallet", name)


def agent_keys(name: str) -> AgentKeys:
    """The keys of the agent of a named wallet."""
    return AgentKeys(derive_secret(KEY, "session", name), bytes(derive_key(KEY, "identity", name)))


def wallet(name: str) -> str:
    """The address of a named wallet."""
    return address_of(wallet_key(name))


def item(number: int, grade: str = "common") -> Item:
    """One item of the collection."""
    return Item(str(number), f"Punk #{number}", {"grade": grade})


ITEM = item(1)


REGISTERED = Collection(COLLECTION, "Samples", "grade", "common", active=True)


def opened(room: str = ROOM, collection: str = COLLECTION) -> RoomOpened:
    """The opening of a room."""
    return RoomOpened(
        base_grade="common",
        collection=collection,
        comparable_by="grade",
        name="Floor",
        quote_rounds=20,
        room=room,
        round_ms=ROUND_MS,
        started_at_ms=START_MS,
    )


def signed(mandate: Mandate, name: str) -> SignedMandate:
    """The mandate with the named wallet's signature."""
    return sign_mandate(mandate, LEDGER.domain, wallet_key(name))


def buyer_mandate(name: str = "buyer", **changes: Any) -> SignedMandate:
    """A buyer's signed mandate: anything, at most 100 USDC."""
    mandate = Mandate(
        role=Role.BUYER,
        principal=wallet(name),
        collection=COLLECTION,
        currency=LEDGER.currency,
        wants=Wants(),
        reservation_usdc_micros=100 * USDC,
        start_usdc_micros=50 * USDC,
        expires_at_ms=EXPIRES_MS,
        session_key=agent_keys(name).session_address,
        identity=agent_keys(name).identity_key,
        salt="a" * 64,
    )
    return signed(msgspec.structs.replace(mandate, **changes), name)


def seller_mandate(name: str = "seller", **changes: Any) -> SignedMandate:
    """A seller's signed mandate: item 1, from 60 to 200 USDC."""
    mandate = Mandate(
        role=Role.SELLER,
        principal=wallet(name),
        collection=COLLECTION,
        currency=LEDGER.currency,
        item=ITEM,
        reservation_usdc_micros=60 * USDC,
        start_usdc_micros=120 * USDC,
        maximum_usdc_micros=200 * USDC,
        expires_at_ms=EXPIRES_MS,
        session_key=agent_keys(name).session_address,
        identity=agent_keys(name).identity_key,
        salt="b" * 64,
    )
    return signed(msgspec.structs.replace(mandate, **changes), name)


def spawned(agent: str, mandate: SignedMandate, round_: int = 1) -> AgentSpawned:
    """The spawn of an agent under a mandate."""
    limits = mandate.mandate
    return AgentSpawned(
        agent=agent,
        avatar="🦊",
        item=limits.item,
        mandate_hash=mandate_hash(limits),
        name=agent,
        owner=limits.principal,
        role=limits.role,
        round=round_,
        strategy=StrategyName.PATIENT,
        style=Style.FORMAL,
        swarm=None,
        wants=limits.wants,
    )


BUYER, SELLER = buyer_mandate(), seller_mandate()


def terms_of(
    buyer: SignedMandate = BUYER,
    seller: SignedMandate = SELLER,
    *,
    price: int = 80 * USDC,
    room: str = ROOM,
    agents: tuple[str, str] = ("agent_b", "agent_s"),
    round_: int = 5,
    **changes: Any,
) -> Terms:
    """The terms of a deal between two mandates, within both unless the price says otherwise."""
    assert seller.mandate.item is not None
    terms = Terms(
        buyer=agents[0],
        buyer_mandate=mandate_hash(buyer.mandate),
        buyer_wallet=buyer.mandate.principal,
        chain_id=LEDGER.chain_id,
        collection=seller.mandate.collection,
        currency=seller.mandate.currency,
        deadline_ms=START_MS + 100 * ROUND_MS,
        deal=deal_id(room, *agents, round_),
        escrow=LEDGER.escrow,
        item=seller.mandate.item,
        price_usdc_micros=price,
        quote="quote_s_4",
        room=room,
        seller=agents[1],
        seller_mandate=mandate_hash(seller.mandate),
        seller_wallet=seller.mandate.principal,
        set_version=1,
    )
    return msgspec.structs.replace(terms, **changes)


TERMS = terms_of()
NAMES = tuple(f"verifier_{n}" for n in range(1, VERIFIERS + 1))


def acceptances(terms: Terms = TERMS, buyer: str = "buyer", seller: str = "seller") -> tuple[Acceptance, Acceptance]:
    """Both agents' words for a deal; the names are those of their principals' wallets."""
    return accept(terms.buyer, terms, agent_keys(buyer)), accept(terms.seller, terms, agent_keys(seller))


def case_of(terms: Terms = TERMS, buyer: SignedMandate | None = BUYER, seller: SignedMandate | None = SELLER) -> Case:
    """All that is judged of a deal between the sample wallets."""
    return Case(terms=terms, buyer=buyer, seller=seller, acceptances=acceptances(terms))


MEMBERS = tuple(verifier_keys(KEY, name).member(name) for name in NAMES)
SET = VerifierSet(1, LEDGER.chain_id, LEDGER.escrow, MEMBERS)


def vote(name: str, terms: Terms = TERMS, reasons: tuple[str, ...] = ()) -> Vote:
    """A verifier's vote: an approval without reasons."""
    return cast(verifier_keys(KEY, name), name, terms, reasons, block=3, at_ms=START_MS)


def votes(approvals: int, rejections: int = 0, terms: Terms = TERMS) -> tuple[Vote, ...]:
    """Votes sorted by verifier: first the approvals, then the rejections."""
    approving = [vote(name, terms) for name in NAMES[:approvals]]
    rejecting = [vote(name, terms, ("balance_too_low",)) for name in NAMES[approvals : approvals + rejections]]
    return (*approving, *rejecting)


def furnish(chain: LedgerChain) -> LedgerChain:
    """Gives a ledger what the sample deal needs to settle."""
    chain.fund(LedgerFunded(1_000 * USDC, 1_000 * USDC, wallet("buyer")))
    chain.mint(
        LedgerMinted(
            approved=True, collection=COLLECTION, owner=wallet("seller"), token_id=ITEM.token_id, traits=ITEM.traits
        )
    )
    chain.register(SET)
    return chain


def ledger() -> LedgerChain:
    """A ledger on which the sample deal can settle."""
    return furnish(LedgerChain())
