"""What the escrow is called with, and what it answers: our records as the contract's, and back."""

from __future__ import annotations

from typing import Any

from eth_abi.exceptions import DecodingError, EncodingError

from agentrooms.chain.contracts.artefact import load
from agentrooms.chain.evm.abi import answer, arguments, call_data, event, selector
from agentrooms.chain.port import Execution
from agentrooms.consensus.judgement import Case, Facts
from agentrooms.consensus.votes import attestation_digest
from agentrooms.domain import merkle, secp256k1
from agentrooms.domain.assets import WantKind, token_number
from agentrooms.domain.deal import ChainLog, Decision, Terms, details
from agentrooms.domain.eip712 import ZERO_ADDRESS, keccak
from agentrooms.domain.mandate import (
    BUYER_CODE,
    SELLER_CODE,
    SIGNATURE_BYTES_MAX,
    WANTED_TRAITS_MAX,
    Mandate,
    SignedMandate,
    item_root,
    price_bounds,
    required_traits,
)
from agentrooms.domain.mandate import details as mandate_details
from agentrooms.domain.terms import Role
from agentrooms.errors import InvalidInput

ESCROW = load("Escrow").abi
NO_MANDATE = (0, ZERO_ADDRESS, ZERO_ADDRESS, b"\0" * 32, [], ZERO_ADDRESS, *[0] * 6, *[b"\0" * 32] * 2)


def execute_data(execution: Execution) -> bytes:
    """Returns the calldata that settles a deal. Equal executions give equal bytes."""
    return call_data(ESCROW, "execute", *_arguments(execution))


def execute_arguments(data: bytes) -> tuple[tuple[Any, ...], tuple[bytes, ...]] | None:
    """Returns what `execute` was called with: deal and orders, and apart from them the attestations; None for no call of it."""
    if not data.startswith(selector(ESCROW, "execute")):
        return None
    try:
        deal, seller, buyer, attestations = arguments(ESCROW, "execute", data)
    except DecodingError:
        return None
    return (deal, seller, buyer), tuple(attestations)


def check_data(execution: Execution) -> bytes:
    """Returns the call that asks whether `execute` would pass."""
    return call_data(ESCROW, "check", *_arguments(execution))


def check_answer(data: bytes) -> int:
    """Returns the number of the reason against, 0 for none."""
    return int(answer(ESCROW, "check", data))


def facts_data(case: Case) -> bytes:
    """Returns the one view call that a verifier needs of a deal. Raises InvalidInput for terms no escrow could know."""
    try:
        return _facts_data(case)
    except (EncodingError, ValueError) as error:
        raise InvalidInput(f"deal {case.terms.deal[:80]!a} is none that an escrow could settle: {error}") from error


def _facts_data(case: Case) -> bytes:
    sides: list[Any] = []
    for signed, wallet in ((case.seller, case.terms.seller_wallet), (case.buyer, case.terms.buyer_wallet)):
        known = (wallet, *NO_MANDATE), b""
        sides += known if signed is None else (_mandate(signed.mandate), _bytes(signed.signature))
    return call_data(ESCROW, "facts", _deal(case.terms), *sides, _trait_keys(case.terms))


def facts_answer(case: Case, data: bytes) -> Facts:
    """Returns what the escrow answered about a deal.

    Traits are asked for one by one: of one that is not as the terms say, the hash stands in its place.
    """
    (
        owner,
        approved,
        balance,
        allowance,
        executed_block,
        seller_fills,
        buyer_fills,
        seller_cancelled,
        buyer_cancelled,
        seller_signed,
        buyer_signed,
        paused,
        set_version,
        trait_values,
        block,
        now_ms,
    ) = answer(ESCROW, "facts", data)
    expected = case.terms.item.traits
    held = {
        name: expected[name] if value == keccak(expected[name].encode()) else value.hex()
        for name, value in zip(_trait_names(case.terms), trait_values, strict=True)
    }
    return Facts(
        owner=owner.lower(),
        traits=held,
        approved=approved,
        balance_usdc_micros=balance,
        allowance_usdc_micros=allowance,
        deal_used=executed_block > 0,
        buyer_mandate_spent=_spent(case.buyer, buyer_fills),
        seller_mandate_spent=_spent(case.seller, seller_fills),
        block=block,
        at_ms=now_ms,
        buyer_cancelled=buyer_cancelled,
        seller_cancelled=seller_cancelled,
        buyer_contract_signed=buyer_signed,
        seller_contract_signed=seller_signed,
        paused=paused,
        set_version=set_version,
    )


def executed_block_data(terms: Terms) -> bytes:
    """Returns the call for the block in which a deal was executed."""
    return call_data(ESCROW, "executedBlockOf", deal_key(terms.deal))


def deal_key(deal: str) -> bytes:
    """Returns what the escrow knows a deal by."""
    return keccak(deal.encode())


def executed(log: ChainLog, escrow: str) -> dict[str, Any] | None:
    """Returns the fields of an `Executed` event of the escrow, None for any other log."""
    if log.address != escrow or not log.topics or log.topics[0] != EXECUTED_TOPIC:
        return None
    return event(ESCROW, "Executed", log.topics, log.data)


EXECUTED_TOPIC = "0x" + keccak(b"Executed(bytes32,bytes32,address,address,address,uint256,address,uint256)").hex()


def _arguments(execution: Execution) -> tuple[Any, ...]:
    case = execution.case
    digest = attestation_digest(case.terms)
    given = [vote.attestation for vote in execution.votes if vote.decision is Decision.APPROVE]
    attestations = sorted(given, key=lambda signature: secp256k1.recover(digest, signature) or "")
    orders = [_order(case, role) for role in (Role.SELLER, Role.BUYER)]
    return _deal(case.terms), *orders, [bytes.fromhex(signature) for signature in attestations]


def _deal(terms: Terms) -> tuple[Any, ...]:
    return (
        deal_key(terms.deal),
        bytes.fromhex(terms.seller_mandate),
        bytes.fromhex(terms.buyer_mandate),
        terms.collection,
        token_number(terms.item.token_id),
        terms.currency,
        terms.price_usdc_micros,
        terms.deadline_ms,
        bytes.fromhex(details(terms)),
    )


def _order(case: Case, role: Role) -> tuple[Any, ...]:
    signed, agent = (case.seller, case.terms.seller) if role is Role.SELLER else (case.buyer, case.terms.buyer)
    assert signed is not None, "a deal is executed with both mandates"
    session = next((one.session for one in case.acceptances if one.agent == agent), "")
    proof = _proof(signed.mandate, token_number(case.terms.item.token_id))
    return _mandate(signed.mandate), _bytes(signed.signature), _bytes(session), proof


def _mandate(mandate: Mandate) -> tuple[Any, ...]:
    least, most = price_bounds(mandate)
    return (
        mandate.principal,
        SELLER_CODE if mandate.role is Role.SELLER else BUYER_CODE,
        mandate.session_key,
        mandate.collection,
        item_root(mandate),
        list(required_traits(mandate)),
        mandate.currency,
        least,
        most,
        mandate.not_before_ms,
        mandate.expires_at_ms,
        mandate.fills,
        mandate.counter,
        bytes.fromhex(mandate_details(mandate)),
        bytes.fromhex(mandate.salt),
    )


def _proof(mandate: Mandate, token: int) -> list[bytes]:
    """Returns the Merkle proof that a mandate lists a token; none is needed for one item, or any."""
    wants = mandate.wants
    if wants is None or wants.kind is not WantKind.ITEMS:
        return []
    listed = [token_number(one) for one in wants.token_ids]
    return list(merkle.proof(listed, token)) if token in listed else []


def _trait_keys(terms: Terms) -> list[bytes]:
    return [keccak(name.encode()) for name in _trait_names(terms)]


def _trait_names(terms: Terms) -> list[str]:
    """Returns the traits the escrow is asked about; an item of ours has no more, so others' are not held."""
    return sorted(terms.item.traits)[:WANTED_TRAITS_MAX]


def _spent(signed: SignedMandate | None, fills: int) -> bool:
    return signed is not None and fills >= signed.mandate.fills


def _bytes(text: str) -> bytes:
    """Returns the bytes of a signature in hex, none for what is no hex or too long: the escrow then refuses it."""
    try:
        signature = bytes.fromhex(text)
    except ValueError:
        return b""
    return signature if len(signature) <= SIGNATURE_BYTES_MAX else b""
