"""What a wallet signs for trading besides its mandates: legacy transactions (EIP-155) and USDC permits (EIP-2612)."""

from __future__ import annotations

from agentrooms.chain.contracts.artefact import load
from agentrooms.chain.evm.abi import call_data
from agentrooms.chain.port import RawTransaction
from agentrooms.domain import eip712, secp256k1
from agentrooms.domain.assets import token_number
from agentrooms.domain.eip712 import EscrowDomain, keccak
from agentrooms.domain.site import Site

APPROVE_GAS = 100_000
PERMIT_NAME, PERMIT_VERSION = "Test USD Coin", "1"
NEVER = eip712.WORD_MAX  # a deadline in whatever unit the chain counts time
_PERMIT = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
_COLLECTION, _USDC = load("Collection").abi, load("TestUsdc").abi


def sign_transaction(
    key: bytes,
    chain_id: int,
    *,
    nonce: int,
    to: str | None,
    data: bytes,
    gas: int,
    gas_price_wei: int,
    value_wei: int = 0,
) -> RawTransaction:
    """Returns a signed legacy transaction; `to` None deploys. Deterministic (RFC 6979)."""
    from eth_account import Account  # noqa: PLC0415 - half a second, and who only looks at the chain signs nothing
    from eth_utils.address import to_checksum_address  # noqa: PLC0415 - comes with it

    fields: dict[str, object] = {
        "nonce": nonce,
        "gasPrice": gas_price_wei,
        "gas": gas,
        "value": value_wei,
        "data": data,
        "chainId": chain_id,
    }
    if to is not None:
        fields["to"] = to_checksum_address(to)
    signed = Account.sign_transaction(fields, key)
    raw = bytes(signed.raw_transaction)
    return RawTransaction(hash_of(raw), raw)


def hash_of(raw: bytes) -> str:
    """Returns the hash of a raw transaction."""
    return "0x" + keccak(raw).hex()


def approval(key: bytes, site: Site, token_id: str, *, nonce: int, gas_price_wei: int) -> RawTransaction:
    """Returns the seller's transaction that lets the escrow move one item."""
    data = call_data(_COLLECTION, "approve", site.escrow, token_number(token_id))
    return sign_transaction(
        key, site.chain_id, nonce=nonce, to=site.collection, data=data, gas=APPROVE_GAS, gas_price_wei=gas_price_wei
    )


def permit(key: bytes, site: Site, amount_usdc_micros: int, *, nonce: int = 0) -> str:
    """Returns the buyer's signature (hex) that lets the escrow take up to an amount; anybody may bring it to the chain."""
    owner = secp256k1.address_of(key)
    hashed = eip712.struct_hash(
        _PERMIT,
        eip712.address(owner),
        eip712.address(site.escrow),
        eip712.uint(amount_usdc_micros),
        eip712.uint(nonce),
        eip712.uint(NEVER),
    )
    usdc = EscrowDomain(site.chain_id, site.currency)
    return secp256k1.sign(key, eip712.digest(usdc, hashed, name=PERMIT_NAME, version=PERMIT_VERSION))


def permit_data(owner: str, site: Site, amount_usdc_micros: int, signature: str) -> bytes:
    """Returns the call that brings a permit to the chain."""
    raw = bytes.fromhex(signature)
    return call_data(_USDC, "permit", owner, site.escrow, amount_usdc_micros, NEVER, raw[64], raw[:32], raw[32:64])


def contract_address(deployer: str, nonce: int) -> str:
    """Returns the address of the contract that an account deploys with a nonce below 128 (RLP of both, hashed)."""
    assert 0 <= nonce < 128
    encoded = b"\xd6\x94" + bytes.fromhex(deployer[2:]) + (bytes([nonce]) if nonce else b"\x80")
    return "0x" + keccak(encoded)[-eip712.ADDRESS_BYTES :].hex()
