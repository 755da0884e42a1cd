"""Valid deals for measuring settlement: one buyer with money enough, a seller and an item a deal."""

from __future__ import annotations

from dataclasses import dataclass

from agentrooms.actors.plans import VerifierPlan, verifier_plans
from agentrooms.chain.ledger import Provided
from agentrooms.chain.signing import approve_item, permit_usdc
from agentrooms.consensus.judgement import Case
from agentrooms.domain import verifier_set
from agentrooms.domain.acceptance import AgentKeys, accept
from agentrooms.domain.assets import Item, Wants
from agentrooms.domain.deal import Terms
from agentrooms.domain.ids import seed_bytes
from agentrooms.domain.keys import derive_key
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted
from agentrooms.domain.mandate import Mandate, SignedMandate, mandate_hash, sign_mandate
from agentrooms.domain.money import USDC_MICROS
from agentrooms.domain.secp256k1 import address_of, derive_secret
from agentrooms.domain.site import Site
from agentrooms.domain.terms import Role
from agentrooms.domain.verifier_set import VerifierSet

KEY = seed_bytes("bench")
PRICE_USDC_MICROS = 100 * USDC_MICROS
NEVER_MS = 1 << 52
TRAITS = {"grade": "common"}
ROOM = "room_bench"


@dataclass(frozen=True, slots=True)
class Supply:
    """A verifier set, what the chain must be given, and the deals."""

    plans: tuple[VerifierPlan, ...]
    verifiers: VerifierSet
    provided: Provided
    cases: tuple[Case, ...]


def supply(site: Site, count: int, *, lanes: int = 1) -> Supply:
    """Returns `count` deals that are all valid at once on a fresh chain, dealt out to so many rooms."""
    plans = verifier_plans(KEY, 1)
    (registered,) = verifier_set.register(VerifierSet(), site.domain, tuple(plan.member for plan in plans))
    verifiers = verifier_set.evolve(VerifierSet(), registered)
    budget = count * PRICE_USDC_MICROS
    buyer = _wallet("buyer")
    funds = (LedgerFunded(budget, budget, address_of(buyer), permit_usdc(buyer, site, budget)),)
    mints = tuple(_mint(site, number) for number in range(count))
    cases = tuple(_case(site, number, number % lanes) for number in range(count))
    return Supply(plans, verifiers, Provided("bench", funds, mints, verifiers), cases)


def _mint(site: Site, number: int) -> LedgerMinted:
    wallet = _wallet(f"seller/{number}")
    token = str(number + 1)
    return LedgerMinted(True, site.collection, address_of(wallet), token, TRAITS, approve_item(wallet, site, token))


def _case(site: Site, number: int, lane: int) -> Case:
    buyer, seller = (_mandate(site, role, number) for role in (Role.BUYER, Role.SELLER))
    item = seller.mandate.item
    assert item is not None
    terms = Terms(
        buyer=f"agent_b{number}",
        buyer_mandate=mandate_hash(buyer.mandate),
        buyer_wallet=buyer.mandate.principal,
        chain_id=site.chain_id,
        collection=site.collection,
        currency=site.currency,
        deadline_ms=NEVER_MS,
        deal=f"deal_bench{number}",
        escrow=site.escrow,
        item=item,
        price_usdc_micros=PRICE_USDC_MICROS,
        quote="quote_bench",
        room=f"{ROOM}{lane}",
        seller=f"agent_s{number}",
        seller_mandate=mandate_hash(seller.mandate),
        seller_wallet=seller.mandate.principal,
        set_version=1,
    )
    words = (accept(terms.buyer, terms, _keys(f"b{number}")), accept(terms.seller, terms, _keys(f"s{number}")))
    return Case(terms=terms, buyer=buyer, seller=seller, acceptances=words)


def _mandate(site: Site, role: Role, number: int) -> SignedMandate:
    selling = role is Role.SELLER
    wallet = _wallet(f"seller/{number}" if selling else "buyer")
    keys = _keys(f"{'s' if selling else 'b'}{number}")
    mandate = Mandate(
        role=role,
        principal=address_of(wallet),
        collection=site.collection,
        currency=site.currency,
        item=Item(str(number + 1), f"Punk #{number + 1}", TRAITS) if selling else None,
        wants=None if selling else Wants(),
        reservation_usdc_micros=PRICE_USDC_MICROS,
        start_usdc_micros=PRICE_USDC_MICROS,
        maximum_usdc_micros=PRICE_USDC_MICROS if selling else None,
        expires_at_ms=NEVER_MS,
        session_key=keys.session_address,
        identity=keys.identity_key,
        salt=f"{number:064x}",
    )
    return sign_mandate(mandate, site.domain, wallet)


def _wallet(name: str) -> bytes:
    return derive_secret(KEY, "wallet", name)


def _keys(name: str) -> AgentKeys:
    return AgentKeys(derive_secret(KEY, "session", name), bytes(derive_key(KEY, "identity", name)))
