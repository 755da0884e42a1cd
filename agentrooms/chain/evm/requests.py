"""What a person's wallet is asked to send or sign: plain requests, from what that person chose and nothing else.

Transactions are legacy ones (EIP-155), which every chain of ours takes. Nonces are the wallet's own business.
"""

from __future__ import annotations

from typing import Any

import msgspec

from agentrooms.chain.contracts.artefact import load
from agentrooms.chain.evm.abi import call_data
from agentrooms.chain.evm.wallet import APPROVE_GAS, NEVER
from agentrooms.chain.holdings import PermitToken
from agentrooms.domain import eip712, secp256k1
from agentrooms.domain.assets import token_number
from agentrooms.domain.secp256k1 import SIGNATURE_BYTES
from agentrooms.domain.site import Site

PERMIT_GAS = 150_000
CANCEL_GAS = 100_000
PERMIT = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
OLD_V = 27  # some wallets end a signature with 0 or 1, where the chain has 27 or 28
_USDC, _NFT, _ESCROW = load("TestUsdc").abi, load("Collection").abi, load("Escrow").abi


class TransactionRequest(msgspec.Struct, frozen=True):
    """A transaction for a wallet to sign and send; `data` in hex with 0x. It sends no native coin."""

    to: str
    data: str
    chain_id: int
    gas: int
    gas_price_wei: int


class Requests:
    """Makes requests for one chain at one gas price."""

    def __init__(self, site: Site, gas_price_wei: int) -> None:
        self._site = site
        self._gas_price_wei = gas_price_wei

    def allow(self, amount_usdc_micros: int) -> TransactionRequest:
        """Lets the escrow take up to an amount of the wallet's USDC in all; 0 takes it back."""
        return self._request(
            self._site.currency, call_data(_USDC, "approve", self._site.escrow, amount_usdc_micros), APPROVE_GAS
        )

    def approve_item(self, collection: str, token_id: str) -> TransactionRequest:
        """Lets the escrow move one item. Raises InvalidInput for what is no token id."""
        data = call_data(_NFT, "approve", self._site.escrow, token_number(token_id))
        return self._request(collection, data, APPROVE_GAS)

    def permit(self, wallet: str, amount_usdc_micros: int, signature: bytes) -> TransactionRequest:
        """Brings a wallet's permit to the chain; anybody may send it."""
        v, r, s = signature[64], signature[:32], signature[32:64]
        data = call_data(_USDC, "permit", wallet, self._site.escrow, amount_usdc_micros, NEVER, v, r, s)
        return self._request(self._site.currency, data, PERMIT_GAS)

    def cancel(self, mandate_hash: str) -> TransactionRequest:
        """Makes one mandate of the sender worthless. Raises InvalidInput for what is no hash (hex without 0x)."""
        return self._request(self._site.escrow, call_data(_ESCROW, "cancel", eip712.word(mandate_hash)), CANCEL_GAS)

    def cancel_all(self) -> TransactionRequest:
        """Makes all mandates of the sender so far worthless."""
        return self._request(self._site.escrow, call_data(_ESCROW, "cancelAll"), CANCEL_GAS)

    def _request(self, to: str, data: bytes, gas: int) -> TransactionRequest:
        return TransactionRequest(to, "0x" + data.hex(), self._site.chain_id, gas, self._gas_price_wei)


class Permit(msgspec.Struct, frozen=True):
    """A wallet's word that the escrow may take up to an amount; it has no deadline, and its number is used once."""

    token: PermitToken
    owner: str
    spender: str
    amount_usdc_micros: int
    nonce: int

    def typed_data(self) -> dict[str, Any]:
        """Returns what `eth_signTypedData_v4` has the wallet show and sign."""
        contract = self.token.contract
        return {
            "types": {"EIP712Domain": eip712.members(eip712.DOMAIN_TYPE), "Permit": eip712.members(PERMIT)},
            "primaryType": "Permit",
            "domain": {
                "name": self.token.name,
                "version": self.token.version,
                "chainId": contract.chain_id,
                "verifyingContract": contract.address,
            },
            "message": {
                "owner": self.owner,
                "spender": self.spender,
                "value": str(self.amount_usdc_micros),
                "nonce": str(self.nonce),
                "deadline": str(NEVER),
            },
        }

    def digest(self) -> bytes:
        """Returns what is signed."""
        hashed = eip712.struct_hash(
            PERMIT,
            eip712.address(self.owner),
            eip712.address(self.spender),
            eip712.uint(self.amount_usdc_micros),
            eip712.uint(self.nonce),
            eip712.uint(NEVER),
        )
        return eip712.digest(self.token.contract, hashed, name=self.token.name, version=self.token.version)

    def checked(self, signature: bytes) -> bytes | None:
        """Returns a signature as the chain takes it, None when it is not this permit's by its owner's key."""
        if len(signature) != SIGNATURE_BYTES:
            return None
        v = signature[-1]
        spelled = signature[:-1] + bytes([v + OLD_V if v < 2 else v])
        return spelled if secp256k1.recover(self.digest(), spelled.hex()) == self.owner else None
