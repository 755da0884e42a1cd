"""Accounts of nobody we know, on a devnet: they send what they like."""

from __future__ import annotations

from agentrooms.chain.devnet.engine import DEPLOYER_KEY
from agentrooms.chain.devnet.transactions import decode
from agentrooms.chain.evm.outbox import PRICE_MIN_WEI
from agentrooms.chain.evm.rpc import Rpc
from agentrooms.chain.evm.wallet import sign_transaction
from agentrooms.domain.secp256k1 import address_of

GAS = 1_000_000
FEE_WEI = 10 * GAS * PRICE_MIN_WEI
STRANGER_KEY = b"\x57" * 32


class Account:
    """One key. `virtual` says that the chain mines when it is told to."""

    def __init__(self, rpc: Rpc, chain_id: int, key: bytes = STRANGER_KEY, *, virtual: bool = False) -> None:
        self.address = address_of(key)
        self._key = key
        self._rpc = rpc
        self._chain_id = chain_id
        self._virtual = virtual

    def fund(self) -> None:
        """Gets money for fees from the deployer, whose key everybody knows."""
        deployer = Account(self._rpc, self._chain_id, DEPLOYER_KEY, virtual=self._virtual)
        assert deployer.send(self.address, b"", FEE_WEI)

    def send(self, to: str, data: bytes, value_wei: int = 0) -> str:
        """Sends a transaction; returns its hash once it has succeeded."""
        nonce = self._rpc.number("eth_getTransactionCount", self.address, "latest")
        sent = sign_transaction(
            self._key,
            self._chain_id,
            nonce=nonce,
            to=to,
            data=data,
            gas=GAS,
            gas_price_wei=PRICE_MIN_WEI,
            value_wei=value_wei,
        )
        self._rpc.call("eth_sendRawTransaction", "0x" + sent.raw.hex())
        if self._virtual:
            self._rpc.call("devnet_mine")
        receipt = self._rpc.call("eth_getTransactionReceipt", sent.tx_hash)
        assert receipt["status"] == "0x1", f"{to} refused it"
        return sent.tx_hash


def calldata(raw: bytes, chain_id: int) -> bytes:
    """What anybody can read in a transaction once it is sent."""
    return decode(raw, chain_id).data
