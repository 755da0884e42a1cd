"""A chain with funded wallets on which tests deploy and use contracts, on any engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from eth_account import Account

from agentrooms.chain.contracts.artefact import Artefact, load
from agentrooms.chain.devnet.engine import (
    CHAIN_ID,
    DEPLOYER_KEY,
    GAS_PRICE_MIN_WEI,
    RELAYER_KEY,
    TX_GAS_MAX,
    Call,
    Engine,
    Genesis,
    Receipt,
    Reverted,
)
from agentrooms.chain.evm import abi
from agentrooms.domain.secp256k1 import address_of, derive_secret

HOSTILE = Path(__file__).parent / "hostile"
WALLETS = 400
SEED = b"contracts"


def key_of(name: str) -> bytes:
    return derive_secret(SEED, "test", name)


FUNDED = (
    address_of(DEPLOYER_KEY),
    address_of(RELAYER_KEY),
    *(address_of(key_of(f"wallet{n}")) for n in range(WALLETS)),
)


def genesis(ms_per_tick: int = 1) -> Genesis:
    return Genesis(chain_id=CHAIN_ID, ms_per_tick=ms_per_tick, funded=FUNDED)


class Contract(msgspec.Struct, frozen=True):
    """One deployed contract."""

    address: str
    artefact: Artefact


class Wallets:
    """Hands out keys of funded wallets, each once."""

    def __init__(self) -> None:
        self._next = 0

    def take(self) -> bytes:
        self._next += 1
        assert self._next <= WALLETS, "the genesis funds too few wallets"
        return key_of(f"wallet{self._next - 1}")


class World:
    """One engine with the means to send, call and deploy. `send` queues; `mine` makes the block."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.wallets = Wallets()
        self._nonces: dict[str, int] = {}

    @property
    def now_ms(self) -> int:
        return self.engine.head().timestamp_ms

    def send(self, key: bytes, to: str | None, data: bytes, gas: int = TX_GAS_MAX) -> str:
        sender = address_of(key)
        nonce = self._nonces.get(sender, self.engine.nonce(sender))
        signed = Account.sign_transaction(
            {
                "nonce": nonce,
                "gasPrice": GAS_PRICE_MIN_WEI,
                "gas": gas,
                "to": b"" if to is None else bytes.fromhex(to[2:]),
                "value": 0,
                "data": data,
                "chainId": self.engine.genesis.chain_id,
            },
            key,
        )
        self._nonces[sender] = nonce + 1
        return self.engine.submit(bytes(signed.raw_transaction))

    def mine(self, at_ms: int | None = None) -> None:
        """Mines what was sent, one second later or at the given time."""
        self.engine.mine(self.now_ms + 1000 if at_ms is None else at_ms)
        self._nonces.clear()

    def receipt(self, transaction_hash: str) -> Receipt:
        receipt = self.engine.receipt(transaction_hash)
        assert receipt is not None, "not mined"
        return receipt

    def transact(self, key: bytes, contract: Contract, name: str, *args: Any, gas: int = TX_GAS_MAX) -> Receipt:
        """Sends one call in a block of its own."""
        sent = self.queue(key, contract, name, *args, gas=gas)
        self.mine()
        return self.receipt(sent)

    def queue(self, key: bytes, contract: Contract, name: str, *args: Any, gas: int = TX_GAS_MAX) -> str:
        """Sends one call into the next block, which has room for a few."""
        return self.send(key, contract.address, abi.call_data(contract.artefact.abi, name, *args), gas)

    def read(self, contract: Contract, name: str, *args: Any) -> Any:
        data = abi.call_data(contract.artefact.abi, name, *args)
        return abi.answer(
            contract.artefact.abi, name, self.engine.call(Call(to=contract.address, data=data)), len(args)
        )

    def tries(self, contract: Contract, name: str, *args: Any, sender: str | None = None) -> bytes | None:
        """Returns the data with which a call would revert, None when it would not."""
        data = abi.call_data(contract.artefact.abi, name, *args)
        try:
            self.engine.call(Call(to=contract.address, data=data, sender=sender or FUNDED[1]))
        except Reverted as reverted:
            return reverted.data
        return None

    def deploy(self, artefact: Artefact, *args: Any, key: bytes = DEPLOYER_KEY) -> Contract:
        data = bytes.fromhex(artefact.initcode) + abi.constructor_data(artefact.abi, *args)
        sent = self.send(key, None, data)
        self.mine()
        receipt = self.receipt(sent)
        assert receipt.succeeded, f"{artefact.name} cannot be deployed"
        assert receipt.contract_address is not None
        return Contract(receipt.contract_address, artefact)

    def deploy_named(self, name: str, *args: Any) -> Contract:
        return self.deploy(load(name), *args)
