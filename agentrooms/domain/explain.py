"""What the words of verifiers, the escrow and deals' ends mean: one sentence a person understands for each.

The words themselves are stored and compared; these sentences are for reading and may be put better any time.
"""

from __future__ import annotations

from agentrooms.domain.deal import FailReason
from agentrooms.domain.terms import Role

EXPIRED_UNUSED = "deadline_passed_unused"

_ABOUT_THE_DEAL = {
    "allowance_too_low": "the buyer's wallet lets the escrow take less than the price",
    "attestation_not_by_verifier": "an attestation is by nobody of the escrow's verifier set",
    "attestations_not_ascending": "the attestations are not in order, or one is there twice",
    "attestations_too_few": "fewer than five verifiers of the escrow's set have attested it",
    "balance_too_low": "the buyer's wallet no longer holds the price",
    "certificate_invalid": "the verifiers' votes are no certificate",
    "collection_is_currency": "the item's collection is the currency itself",
    "deadline_passed": "its deadline has passed",
    "deal_already_used": "a deal of this id was executed before",
    "item_not_approved": "the seller's wallet has not let the escrow move the item",
    "item_not_delivered": "the item did not arrive in the buyer's wallet",
    "item_traits_differ": "the item's traits on chain are not those agreed on",
    "other_chain": "it is for another chain or another escrow",
    "other_set_version": "the escrow counts another version of the verifier set",
    "paused": "the escrow is paused",
    "payment_failed": "the currency refused the payment",
    "payment_not_exact": "what was paid was not exactly the price",
    "reverted": "the escrow refused the transaction and would now accept it",
    "self_trade": "buyer and seller are the same wallet",
    "seller_does_not_own_item": "the seller's wallet no longer owns the item",
}
_ABOUT_A_SIDE = {
    "{side}_acceptance_invalid": "the {side}'s agent has not signed these terms with both of its keys",
    "{side}_mandate_spent": "the {side}'s mandate has already settled a deal",
}
_ABOUT_A_MANDATE = {
    "agent_signature": "the {side}'s agent has not signed the deal with the key that its mandate names",
    "cancelled": "the {side} has cancelled the mandate",
    "collection": "the {side}'s mandate is for another collection",
    "counter": "the {side} has cancelled all mandates of this counter at once",
    "currency": "the {side}'s mandate is for another currency",
    "item_not_mandated": "the {side}'s mandate is for another item",
    "item_not_wanted": "the {side}'s mandate does not ask for this item",
    "mandate_expired": "the {side}'s mandate has expired",
    "mandate_not_started": "the {side}'s mandate has not begun yet",
    "missing": "the {side}'s mandate could not be found",
    "other": "the {side}'s mandate is not the one that the deal names",
    "price_above_limit": "the price is above the {side}'s limit",
    "price_above_maximum": "the price is above the {side}'s maximum",
    "price_below_limit": "the price is below the {side}'s limit",
    "price_below_minimum": "the price is below the least that the {side}'s mandate lets pass",
    "price_not_a_tick": "the price is not a whole number of ticks, as the {side}'s mandate asks",
    "role": "the {side}'s mandate is for the other side of a deal",
    "signature": "the {side}'s mandate is not signed by the {side}'s wallet",
    "traits_not_held": "the item lacks a trait that the {side}'s mandate asks for",
}
_ENDS = {
    FailReason.EXPIRED: "nobody executed it before its deadline",
    FailReason.REJECTED: "the verifiers rejected it",
    EXPIRED_UNUSED: "its deadline passed and it had not been executed",
}
_FAULTS = {
    "attestation_invalid": "it approved with an attestation that the escrow would not count",
    "attestation_of_rejected": "it attested a deal that it rejected",
    "equivocation": "it signed both an approval and a rejection of one deal",
    "reasons_contradict_decision": "it approved with reasons against, or rejected without any",
    "reasons_malformed": "it gave reasons that no verifier knows, or in no order",
}

SENTENCES: dict[str, str] = {
    **_ABOUT_THE_DEAL,
    **{
        name.format(side=side): sentence.format(side=side)
        for side in Role
        for name, sentence in (
            *_ABOUT_A_SIDE.items(),
            *((f"{{side}}_mandate_invalid:{detail}", sentence) for detail, sentence in _ABOUT_A_MANDATE.items()),
        )
    },
    **{str(end): sentence for end, sentence in _ENDS.items()},
    **_FAULTS,
}
"""Every word there is, and its sentence: without a capital and without a full stop."""


def explain(words: str) -> str:
    """Returns what words with commas between them mean; one that is not known is spelled out as it is."""
    return "; ".join(SENTENCES.get(word, word.replace("_", " ")) for word in words.split(",") if word)


def why_failed(reason: str, detail: str) -> str:
    """Returns why a deal failed, from its end's reason and detail."""
    if not detail or detail == EXPIRED_UNUSED:
        return explain(reason)
    refused = "the escrow refused it, " if reason == FailReason.EXPIRED else ""
    return f"{explain(reason)}: {refused}{explain(detail)}"
