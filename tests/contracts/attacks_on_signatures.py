"""Replays, alterations after signing, attestations, and spellings of signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agentrooms.domain.eip712 import EscrowDomain, keccak
from agentrooms.domain.merkle import root
from tests.contracts.attacking import (
    ATTACKS,
    SIDES,
    ZERO,
    Alter,
    Attack,
    attack,
    both_sides,
    for_side,
    high_s,
    of,
    replace,
    with_mandate,
    with_order,
)
from tests.contracts.deals import Execution, Plan, attested, signature, text_hash
from tests.contracts.stage import FUNDS, NEXT_VERIFIER_KEYS, PRICE, VERIFIER_KEYS, Stage
from tests.contracts.world import key_of

# --- Replays -----------------------------------------------------------------------------------------------


@attack("deal_already_used", sends=True)
def replay_of_a_deal(stage: Stage, plan: Plan) -> Execution:
    execution = plan.signed()
    assert stage.execute(execution).succeeded
    return execution


@attack("seller_mandate_spent", sends=True)
def mandates_used_again_for_a_fresh_deal(stage: Stage, plan: Plan) -> Execution:
    assert stage.execute(plan.signed()).succeeded
    return plan.altered(deal_id=keccak(b"fresh" + plan.deal.deal_id)).signed()


@attack("buyer_mandate_spent", sends=True)
def buyers_mandate_used_again_with_another_seller(stage: Stage, plan: Plan) -> Execution:
    plan = with_mandate(plan, "buyer", items=root([]))
    assert stage.execute(plan.signed()).succeeded
    other = stage.plan(buyer_wallet=plan.buyer.wallet)
    return replace(other, buyer=plan.buyer).signed()


@attack("seller_mandate_invalid:signature")
def everything_signed_for_another_chain(stage: Stage, plan: Plan) -> Execution:
    return replace(plan, domain=EscrowDomain(plan.domain.chain_id + 1, plan.domain.address)).signed()


@attack("seller_mandate_invalid:signature")
def everything_signed_for_another_escrow(stage: Stage, plan: Plan) -> Execution:
    return replace(plan, domain=EscrowDomain(plan.domain.chain_id, stage.usdc.address)).signed()


@both_sides("signature")
def mandate_signed_for_another_chain(stage: Stage, plan: Plan, side: str) -> Execution:
    domain = EscrowDomain(plan.domain.chain_id + 1, plan.domain.address)
    foreign = signature(of(plan, side).wallet, domain, of(plan, side).mandate.hash())
    return with_order(plan.signed(), side, signature=foreign)


@both_sides("agent_signature")
def deal_signed_for_another_chain(stage: Stage, plan: Plan, side: str) -> Execution:
    execution, domain = plan.signed(), EscrowDomain(plan.domain.chain_id + 1, plan.domain.address)
    return with_order(execution, side, agent_signature=signature(of(plan, side).agent, domain, execution.deal.hash()))


@attack("attestation_not_by_verifier")
def attestations_for_another_chain(stage: Stage, plan: Plan) -> Execution:
    execution, domain = plan.signed(), EscrowDomain(plan.domain.chain_id + 1, plan.domain.address)
    return replace(execution, attestations=attested(domain, execution.deal, plan.attesters, plan.set_version))


# --- Altered after signing ---------------------------------------------------------------------------------

_DEAL_FIELDS: dict[str, tuple[Any, str]] = {
    "deal_id": (b"\7" * 32, "seller_mandate_invalid:agent_signature"),
    "seller_mandate": (b"\7" * 32, "seller_mandate_invalid:other"),
    "buyer_mandate": (b"\7" * 32, "buyer_mandate_invalid:other"),
    "collection": ("0x" + "7" * 40, "seller_mandate_invalid:agent_signature"),
    "token_id": (7 << 200, "seller_mandate_invalid:agent_signature"),
    "currency": ("0x" + "7" * 40, "seller_mandate_invalid:agent_signature"),
    "price": (PRICE + 1, "seller_mandate_invalid:agent_signature"),
    "deadline": (1 << 255, "seller_mandate_invalid:agent_signature"),
    "details": (b"\7" * 32, "seller_mandate_invalid:agent_signature"),
}
_MANDATE_FIELDS: dict[str, Any] = {
    "principal": "0x" + "7" * 40,
    "role": 2,
    "agent": "0x" + "7" * 40,
    "collection": "0x" + "7" * 40,
    "items": b"\0" * 32,
    "traits": ((text_hash("Type"), text_hash("Zombie")),),
    "currency": "0x" + "7" * 40,
    "min_price": 1,
    "max_price": 1 << 255,
    "not_before": 0,
    "expiry": 1 << 255,
    "fills": 2,
    "counter": 1,
    "details": b"\7" * 32,
    "salt": b"\7" * 32,
}


def _altered_deal(field: str, value: Any) -> Alter:
    def alter(stage: Stage, plan: Plan) -> Execution:
        execution = plan.signed()
        return replace(execution, deal=replace(execution.deal, **{field: value}))

    return alter


def _altered_mandate(side: str, field: str, value: Any, *, forged: bool) -> Alter:
    """`forged`: agents and verifiers sign the altered mandate's hash, as a server that turned bad could make them."""

    def alter(stage: Stage, plan: Plan) -> Execution:
        execution, changed = plan.signed(), with_mandate(plan, side, **{field: value})
        if not forged:
            return with_order(execution, side, mandate=of(changed, side).mandate)
        return with_order(changed.signed(), side, signature=getattr(execution, side).signature)

    return alter


for _field, (_value, _reason) in _DEAL_FIELDS.items():
    ATTACKS.append(Attack(f"deal_altered:{_field}", _altered_deal(_field, _value), _reason))
for _side in SIDES:
    for _field, _value in _MANDATE_FIELDS.items():
        for _forged, _detail in ((False, "other"), (True, "signature")):
            ATTACKS.append(
                Attack(
                    f"mandate_{'forged' if _forged else 'altered'}:{_side}:{_field}",
                    _altered_mandate(_side, _field, _value, forged=_forged),
                    f"{_side}_mandate_invalid:{_detail}",
                )
            )


@both_sides("other")
def deal_paired_with_another_mandate_of_the_same_party(stage: Stage, plan: Plan, side: str) -> Execution:
    other = with_mandate(plan, side, salt=keccak(b"another"), min_price=0, max_price=FUNDS)
    return replace(plan.signed(), **{side: getattr(other.signed(), side)})


@both_sides("agent_signature")
def agents_signature_over_another_deal(stage: Stage, plan: Plan, side: str) -> Execution:
    another = plan.altered(details=b"\3" * 32).signed()
    return with_order(plan.signed(), side, agent_signature=getattr(another, side).agent_signature)


@both_sides("agent_signature")
def principal_signs_in_place_of_its_agent(stage: Stage, plan: Plan, side: str) -> Execution:
    return replace(plan, **{side: replace(of(plan, side), agent=of(plan, side).wallet)}).signed()


@both_sides("signature")
def agent_signs_in_place_of_its_principal(stage: Stage, plan: Plan, side: str) -> Execution:
    return replace(plan, **{side: replace(of(plan, side), wallet=of(plan, side).agent)}).signed()


# --- Attestations ------------------------------------------------------------------------------------------


@attack("attestations_too_few")
def no_attestations(stage: Stage, plan: Plan) -> Execution:
    return replace(plan, attesters=()).signed()


@attack("attestations_too_few")
def four_of_seven(stage: Stage, plan: Plan) -> Execution:
    return replace(plan, attesters=VERIFIER_KEYS[3:]).signed()


@attack("attestations_not_ascending")
def one_verifier_twice(stage: Stage, plan: Plan) -> Execution:
    execution = plan.signed()
    return replace(execution, attestations=(*execution.attestations[:4], execution.attestations[3]))


@attack("attestations_not_ascending")
def one_verifier_five_times(stage: Stage, plan: Plan) -> Execution:
    execution = plan.signed()
    return replace(execution, attestations=execution.attestations[:1] * 5)


@attack("attestations_not_ascending")
def unsorted_verifiers(stage: Stage, plan: Plan) -> Execution:
    execution = plan.signed()
    return replace(execution, attestations=execution.attestations[::-1])


@attack("attestation_not_by_verifier")
def an_outsider_among_the_verifiers(stage: Stage, plan: Plan) -> Execution:
    return replace(plan, attesters=(*VERIFIER_KEYS[:4], key_of("outsider"))).signed()


@attack("attestation_not_by_verifier")
def an_outsider_beside_enough_verifiers(stage: Stage, plan: Plan) -> Execution:
    return replace(plan, attesters=(*VERIFIER_KEYS[:6], key_of("outsider"))).signed()


@attack("attestation_not_by_verifier")
def attestations_of_an_earlier_set_version(stage: Stage, plan: Plan) -> Execution:
    return replace(plan, set_version=0).signed()


@attack("attestation_not_by_verifier")
def attestations_of_a_later_set_version(stage: Stage, plan: Plan) -> Execution:
    return replace(plan, set_version=2).signed()


@attack("attestation_not_by_verifier")
def attestations_of_another_deal(stage: Stage, plan: Plan) -> Execution:
    another = plan.altered(details=b"\3" * 32).signed()
    return replace(plan.signed(), attestations=another.attestations)


@attack("attestation_not_by_verifier")
def verifiers_that_are_not_yet_in_the_set(stage: Stage, plan: Plan) -> Execution:
    return replace(plan, attesters=NEXT_VERIFIER_KEYS).signed()


# --- Spellings of signatures -------------------------------------------------------------------------------


@both_sides("signature")
def principals_signature_with_high_s(stage: Stage, plan: Plan, side: str) -> Execution:
    execution = plan.signed()
    return with_order(execution, side, signature=high_s(getattr(execution, side).signature))


@both_sides("agent_signature")
def agents_signature_with_high_s(stage: Stage, plan: Plan, side: str) -> Execution:
    execution = plan.signed()
    return with_order(execution, side, agent_signature=high_s(getattr(execution, side).agent_signature))


@attack("attestation_not_by_verifier")
def attestation_with_high_s(stage: Stage, plan: Plan) -> Execution:
    first, *rest = plan.signed().attestations
    return replace(plan.signed(), attestations=(high_s(first), *rest))


@both_sides("signature")
def zero_signature_of_the_zero_principal(stage: Stage, plan: Plan, side: str) -> Execution:
    """A failed recovery gives the zero address, which must be nobody's."""
    return with_order(with_mandate(plan, side, principal=ZERO).signed(), side, signature=b"\0" * 64 + b"\x1b")


@both_sides("agent_signature")
def zero_signature_of_the_zero_agent(stage: Stage, plan: Plan, side: str) -> Execution:
    return with_order(with_mandate(plan, side, agent=ZERO).signed(), side, agent_signature=b"\0" * 64 + b"\x1b")


@attack("attestation_not_by_verifier")
def zero_attestations(stage: Stage, plan: Plan) -> Execution:
    return replace(plan.signed(), attestations=(b"\0" * 64 + b"\x1b",) * 5)


def _respelled(alter: Callable[[bytes], bytes]) -> Callable[[Stage, Plan, str], Execution]:
    def altered(stage: Stage, plan: Plan, side: str) -> Execution:
        execution = plan.signed()
        return with_order(execution, side, signature=alter(getattr(execution, side).signature))

    return altered


_SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda spelled: spelled[:0],
    "cut_to_64_bytes": lambda spelled: spelled[:64],
    "compact_as_in_eip_2098": lambda spelled: (
        spelled[:32] + bytes([spelled[32] | (spelled[64] - 27) << 7]) + spelled[33:64]
    ),
    "of_66_bytes": lambda spelled: spelled + b"\0",
    "with_v_below_27": lambda spelled: spelled[:64] + bytes([spelled[64] - 27]),
    "with_the_other_v": lambda spelled: spelled[:64] + bytes([27 + 28 - spelled[64]]),
    "with_v_of_a_chain": lambda spelled: spelled[:64] + bytes([spelled[64] + 8]),
}
for _name, _spelling in _SPELLINGS.items():
    ATTACKS.extend(
        Attack(
            f"principals_signature_{_name}:{_side}",
            for_side(_respelled(_spelling), _side),
            f"{_side}_mandate_invalid:signature",
        )
        for _side in SIDES
    )
