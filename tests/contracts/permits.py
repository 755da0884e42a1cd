"""Permits (EIP-2612) to the escrow, signed as a wallet signs them, by an implementation that is not ours."""

from __future__ import annotations

from typing import Any

from eth_account.messages import encode_typed_data

from agentrooms.domain.eip712 import keccak
from agentrooms.domain.secp256k1 import address_of, sign
from tests.contracts.attacking import high_s
from tests.contracts.stage import Stage

FOREVER = (1 << 256) - 1


def digest_of_permit(stage: Stage, holder: str, amount: int, nonce: int, deadline: int, chain_id: int | None) -> bytes:
    """Returns what a wallet signs, by an implementation that is not ours."""
    kinds = [("owner", "address"), ("spender", "address"), ("value", "uint256"), ("nonce", "uint256")]
    message = encode_typed_data(
        domain_data={
            "name": "Test USD Coin",
            "version": "1",
            "chainId": stage.domain.chain_id if chain_id is None else chain_id,
            "verifyingContract": stage.usdc.address,
        },
        message_types={"Permit": [{"name": name, "type": kind} for name, kind in [*kinds, ("deadline", "uint256")]]},
        message_data={
            "owner": holder,
            "spender": stage.escrow.address,
            "value": amount,
            "nonce": nonce,
            "deadline": deadline,
        },
    )
    return keccak(b"\x19" + message.version + message.header + message.body)


def permit(
    stage: Stage, wallet: bytes, *, amount: int = 7, nonce: int = 0, deadline: int = FOREVER, **how: Any
) -> tuple[Any, ...]:
    """Returns the arguments of a permit to the escrow."""
    holder = how.get("holder", address_of(wallet))
    signed = digest_of_permit(stage, holder, amount, nonce, deadline, how.get("chain_id"))
    spelled = bytes.fromhex(sign(wallet, signed))
    spelled = high_s(spelled) if how.get("high") else spelled
    spelled = b"\0" * 64 + b"\x1b" if how.get("zero") else spelled
    return holder, stage.escrow.address, amount, deadline, spelled[64], spelled[:32], spelled[32:64]
