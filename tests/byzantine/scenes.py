"""Deals to judge: one that may be executed, and one for each thing that may be wrong with a deal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from agentrooms.chain.ledger import LedgerChain, Provided
from agentrooms.domain.acceptance import accept
from agentrooms.domain.deal import Acceptance, Terms
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted
from agentrooms.domain.mandate import SignedMandate
from tests.domain import samples
from tests.domain.samples import BUYER, ITEM, ROUND_MS, SELLER, SET, START_MS, USDC, agent_keys, wallet

LOCKED_ROUND = 1
DEADLINE_ROUNDS = 30
PRICE = 80 * USDC


@dataclass(frozen=True)
class Scene:
    """A locked deal, what the chain holds of it, and what honest verifiers say against it ("" for nothing)."""

    against: str = ""
    buyer: SignedMandate = BUYER
    seller: SignedMandate = SELLER
    price_usdc_micros: int = PRICE
    balance_usdc_micros: int = 100 * USDC
    allowance_usdc_micros: int = 100 * USDC
    owner: str = wallet("seller")
    approved: bool = True
    grade: str = "common"
    buyer_signs_as: str = "buyer"
    in_vault: bool = True

    def terms(self, price_usdc_micros: int = 0) -> Terms:
        """The deal's terms; or those of another deal of the same id, for another price."""
        return samples.terms_of(
            self.buyer,
            self.seller,
            price=price_usdc_micros or self.price_usdc_micros,
            round_=LOCKED_ROUND,
            deadline_ms=START_MS + DEADLINE_ROUNDS * ROUND_MS,
            item=ITEM,
        )

    def words(self, terms: Terms) -> tuple[Acceptance, Acceptance]:
        """Both agents' words: hostile agents sign what their mandates forbid."""
        buyer = accept(terms.buyer, terms, agent_keys(self.buyer_signs_as))
        return buyer, accept(terms.seller, terms, agent_keys("seller"))

    def ledger(self) -> LedgerChain:
        """The chain as it stands when the deal is made."""
        chain = LedgerChain()
        fund = LedgerFunded(self.allowance_usdc_micros, self.balance_usdc_micros, wallet("buyer"))
        mint = LedgerMinted(
            approved=self.approved,
            collection=samples.COLLECTION,
            owner=self.owner,
            token_id=ITEM.token_id,
            traits={"grade": self.grade},
        )
        chain.provide(Provided("genesis", (fund,), (mint,), SET))
        return chain


VALID = Scene()
UNDERFUNDED = replace(VALID, balance_usdc_micros=79 * USDC, against="balance_too_low")
_CHANGES: dict[str, Callable[[Scene], Scene]] = {
    "allowance_too_low": lambda scene: replace(scene, allowance_usdc_micros=0),
    "seller_does_not_own_item": lambda scene: replace(scene, owner=wallet("elsewhere")),
    "item_not_approved": lambda scene: replace(scene, approved=False),
    "item_traits_differ": lambda scene: replace(scene, grade="rare"),
    "buyer_mandate_invalid:price_above_limit": lambda scene: replace(
        scene, price_usdc_micros=101 * USDC, balance_usdc_micros=200 * USDC, allowance_usdc_micros=200 * USDC
    ),
    "seller_mandate_invalid:price_below_limit": lambda scene: replace(scene, price_usdc_micros=59 * USDC),
    "seller_mandate_invalid:item_not_mandated": lambda scene: replace(
        scene, seller=samples.seller_mandate(item=samples.item(2))
    ),
    "buyer_mandate_invalid:mandate_expired": lambda scene: replace(
        scene, buyer=samples.buyer_mandate(expires_at_ms=START_MS + ROUND_MS)
    ),
    "buyer_mandate_invalid:signature": lambda scene: replace(
        scene, buyer=SignedMandate(BUYER.mandate, SELLER.signature)
    ),
    "buyer_mandate_invalid:missing": lambda scene: replace(scene, in_vault=False),
    "buyer_acceptance_invalid": lambda scene: replace(scene, buyer_signs_as="elsewhere"),
}
INVALID = (UNDERFUNDED, *(replace(change(VALID), against=against) for against, change in _CHANGES.items()))
