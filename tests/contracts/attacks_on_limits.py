"""Deals outside a mandate, and assets that are not as a deal needs them."""

from __future__ import annotations

from agentrooms.domain.eip712 import keccak
from agentrooms.domain.merkle import climb, leaf, proof, root
from agentrooms.domain.secp256k1 import address_of
from tests.contracts.attacking import (
    SIDES,
    ZERO,
    attack,
    both_sides,
    of,
    replace,
    with_mandate,
    with_order,
)
from tests.contracts.deals import BUYER, SELLER, Execution, Plan, text_hash
from tests.contracts.stage import FUNDS, HOUR_MS, PRICE, Stage
from tests.contracts.world import key_of

# --- Outside the mandate -----------------------------------------------------------------------------------


@attack("seller_mandate_invalid:price_below_limit")
def price_below_the_sellers_limit(stage: Stage, plan: Plan) -> Execution:
    return plan.altered(price=plan.seller.mandate.min_price - 1).signed()


@attack("seller_mandate_invalid:price_above_maximum")
def price_above_the_sellers_maximum(stage: Stage, plan: Plan) -> Execution:
    return with_mandate(plan, "seller", max_price=PRICE - 1).signed()


@attack("buyer_mandate_invalid:price_above_limit")
def price_above_the_buyers_limit(stage: Stage, plan: Plan) -> Execution:
    return plan.altered(price=plan.buyer.mandate.max_price + 1).signed()


@attack("buyer_mandate_invalid:price_below_minimum")
def price_below_the_buyers_minimum(stage: Stage, plan: Plan) -> Execution:
    return with_mandate(plan, "buyer", min_price=PRICE + 1).signed()


@both_sides("role")
def wrong_role(stage: Stage, plan: Plan, side: str) -> Execution:
    return with_mandate(plan, side, role=BUYER if side == "seller" else SELLER).signed()


@both_sides("role")
def unknown_role(stage: Stage, plan: Plan, side: str) -> Execution:
    return with_mandate(plan, side, role=2).signed()


@both_sides("", seller="seller_mandate_invalid:item_not_mandated", buyer="buyer_mandate_invalid:item_not_wanted")
def another_item(stage: Stage, plan: Plan, side: str) -> Execution:
    return with_mandate(plan, side, items=leaf(plan.deal.token_id + 1)).signed()


@both_sides("", seller="seller_mandate_invalid:item_not_mandated", buyer="buyer_mandate_invalid:item_not_wanted")
def proof_of_another_item(stage: Stage, plan: Plan, side: str) -> Execution:
    token = plan.deal.token_id
    tokens = [token + 1, token + 2, token + 3]
    changed = with_mandate(plan, side, items=root(tokens))
    return with_order(changed.signed(), side, proof=proof(tokens, token + 1))


@both_sides("", seller="seller_mandate_invalid:item_not_mandated", buyer="buyer_mandate_invalid:item_not_wanted")
def proof_cut_short(stage: Stage, plan: Plan, side: str) -> Execution:
    tokens = [plan.deal.token_id + n for n in range(5)]
    whole = proof(tokens, plan.deal.token_id)
    return with_order(with_mandate(plan, side, items=root(tokens)).signed(), side, proof=whole[:-1])


@both_sides("", seller="seller_mandate_invalid:item_not_mandated", buyer="buyer_mandate_invalid:item_not_wanted")
def inner_node_passed_off_as_an_item(stage: Stage, plan: Plan, side: str) -> Execution:
    """The root of a set that does not hold the item, with a path that ends at the root's own children."""
    others = [plan.deal.token_id + 1, plan.deal.token_id + 2]
    once = climb(keccak(plan.deal.token_id.to_bytes(32, "big")), [leaf(others[0])])
    return with_order(with_mandate(plan, side, items=once).signed(), side, proof=(leaf(others[0]),))


@both_sides("traits_not_held")
def required_trait_not_held(stage: Stage, plan: Plan, side: str) -> Execution:
    return with_mandate(plan, side, traits=((text_hash("Type"), text_hash("Alien")),)).signed()


@both_sides("traits_not_held")
def one_of_two_traits_not_held(stage: Stage, plan: Plan, side: str) -> Execution:
    traits = ((text_hash("Type"), text_hash("Zombie")), (text_hash("Eyes"), text_hash("3D Glasses")))
    return with_mandate(plan, side, traits=traits).signed()


@both_sides("traits_not_held")
def trait_of_an_item_that_does_not_exist(stage: Stage, plan: Plan, side: str) -> Execution:
    nothing = with_mandate(plan, side, traits=((text_hash("Wings"), b"\0" * 32),))
    for one in SIDES:
        nothing = with_mandate(nothing, one, items=root([]))
    return nothing.altered(token_id=1 << 128).signed()


@both_sides("currency")
def wrong_currency(stage: Stage, plan: Plan, side: str) -> Execution:
    return with_mandate(plan, side, currency="0x" + "9" * 40).signed()


@both_sides("collection")
def wrong_collection(stage: Stage, plan: Plan, side: str) -> Execution:
    return with_mandate(plan, side, collection="0x" + "9" * 40).signed()


@both_sides("mandate_expired")
def mandate_expired(stage: Stage, plan: Plan, side: str) -> Execution:
    return with_mandate(plan, side, expiry=stage.world.now_ms).signed()


@both_sides("mandate_not_started")
def mandate_not_started(stage: Stage, plan: Plan, side: str) -> Execution:
    return with_mandate(plan, side, not_before=stage.world.now_ms + HOUR_MS).signed()


@attack("deadline_passed")
def deal_expired(stage: Stage, plan: Plan) -> Execution:
    return plan.altered(deadline=stage.world.now_ms - 1).signed()


@both_sides("", seller="seller_mandate_spent", buyer="buyer_mandate_spent")
def mandate_without_fills(stage: Stage, plan: Plan, side: str) -> Execution:
    return with_mandate(plan, side, fills=0).signed()


@both_sides("cancelled", sends=True)
def mandate_cancelled(stage: Stage, plan: Plan, side: str) -> Execution:
    wallet, mandate = of(plan, side).wallet, of(plan, side).mandate
    stage.world.transact(wallet, stage.escrow, "cancel", mandate.hash())
    return plan.signed()


@both_sides("counter", sends=True)
def all_mandates_cancelled(stage: Stage, plan: Plan, side: str) -> Execution:
    stage.world.transact(of(plan, side).wallet, stage.escrow, "cancelAll")
    return plan.signed()


@both_sides("counter", sends=True)
def mandate_signed_for_a_counter_to_come(stage: Stage, plan: Plan, side: str) -> Execution:
    stage.world.transact(of(plan, side).wallet, stage.escrow, "cancelAll")
    return with_mandate(plan, side, counter=1).signed()


@attack("self_trade")
def self_trade(stage: Stage, plan: Plan) -> Execution:
    return replace(
        plan, buyer=replace(plan.buyer.altered(principal=plan.seller.mandate.principal), wallet=plan.seller.wallet)
    ).signed()


@attack("collection_is_currency")
def collection_is_the_currency(stage: Stage, plan: Plan) -> Execution:
    for side in SIDES:
        plan = with_mandate(plan, side, currency=plan.deal.collection)
    return plan.altered(currency=plan.deal.collection).signed()


# --- The state of the assets -------------------------------------------------------------------------------


@attack("seller_does_not_own_item", sends=True)
def item_already_moved(stage: Stage, plan: Plan) -> Execution:
    seller = plan.seller.mandate.principal
    thief = address_of(key_of("receiver"))
    stage.world.transact(plan.seller.wallet, stage.collection, "transferFrom", seller, thief, plan.deal.token_id)
    return plan.signed()


@attack("seller_does_not_own_item", sends=True)
def two_deals_for_one_item(stage: Stage, plan: Plan) -> Execution:
    """Verifiers that attest both deals still cannot sell the item twice."""
    rival = stage.plan()
    twin = with_mandate(with_mandate(plan, "seller", salt=b"\5" * 32), "buyer", salt=b"\5" * 32)
    twin = replace(twin, buyer=replace(rival.buyer, mandate=replace(rival.buyer.mandate, items=root([]))))
    second = twin.altered(deal_id=keccak(b"twin" + plan.deal.deal_id)).signed()
    assert stage.tried(second) is None
    assert stage.execute(plan.signed()).succeeded
    return second


@attack("seller_does_not_own_item")
def item_that_was_never_minted(stage: Stage, plan: Plan) -> Execution:
    for side in SIDES:
        plan = with_mandate(plan, side, items=root([]))
    return plan.altered(token_id=1 << 128).signed()


@attack("item_not_approved", sends=True)
def approval_withdrawn(stage: Stage, plan: Plan) -> Execution:
    stage.world.transact(plan.seller.wallet, stage.collection, "approve", ZERO, plan.deal.token_id)
    return plan.signed()


@attack("balance_too_low", sends=True)
def buyer_spent_the_money(stage: Stage, plan: Plan) -> Execution:
    stage.world.transact(plan.buyer.wallet, stage.usdc, "transfer", address_of(key_of("shop")), FUNDS - PRICE + 1)
    return plan.signed()


@attack("allowance_too_low", sends=True)
def allowance_lowered(stage: Stage, plan: Plan) -> Execution:
    stage.world.transact(plan.buyer.wallet, stage.usdc, "approve", stage.escrow.address, PRICE - 1)
    return plan.signed()


@attack("balance_too_low")
def currency_without_code(stage: Stage, plan: Plan) -> Execution:
    """Its calls succeed and answer nothing; even for a price of nothing that is no payment."""
    nobody = address_of(key_of("no contract"))
    for side in SIDES:
        plan = with_mandate(plan, side, currency=nobody, min_price=0)
    return plan.altered(currency=nobody, price=0).signed()


@attack("seller_does_not_own_item")
def collection_without_code(stage: Stage, plan: Plan) -> Execution:
    nobody = address_of(key_of("no contract"))
    for side in SIDES:
        plan = with_mandate(plan, side, collection=nobody)
    return plan.altered(collection=nobody).signed()


@attack("seller_does_not_own_item")
def escrow_as_the_collection(stage: Stage, plan: Plan) -> Execution:
    for side in SIDES:
        plan = with_mandate(plan, side, collection=stage.escrow.address)
    return plan.altered(collection=stage.escrow.address).signed()


@attack("balance_too_low")
def escrow_as_the_currency(stage: Stage, plan: Plan) -> Execution:
    for side in SIDES:
        plan = with_mandate(plan, side, currency=stage.escrow.address, min_price=0)
    return plan.altered(currency=stage.escrow.address, price=0).signed()
