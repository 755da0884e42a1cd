"""Deploys our contracts on a chain from an account of the deployer's own; cut anywhere, it goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from agentrooms.chain.contracts.artefact import load
from agentrooms.chain.evm.abi import constructor_data
from agentrooms.chain.evm.outbox import Attempt, Outbox
from agentrooms.chain.evm.receipts import read_receipt
from agentrooms.chain.evm.rpc import Rpc
from agentrooms.chain.evm.view import read_block
from agentrooms.chain.port import ChainError
from agentrooms.domain.site import Site
from agentrooms.events.vault import Vault

GAS = {"TestUsdc": 1_000_000, "Collection": 2_800_000, "Escrow": 3_800_000}
COLLECTION_NAME, COLLECTION_SYMBOL = "Agentrooms Test Items", "ITEM"
WAIT_S = 120.0  # for each contract to be in a block
POLL_S = 2.0

Say = Callable[[str, str], None]
"""Told each contract's name and address as it is there."""


def deploy(
    rpc: Rpc,
    key: bytes,
    memory: Vault,
    verifiers: Sequence[str],
    say: Say,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Site:
    """Returns the chain with a test USDC, a test collection and an escrow for these seven verifiers' addresses.

    `memory` keeps transactions, so the same call after a crash deploys nothing twice. Raises ChainError.
    """
    chain_id = rpc.number("eth_chainId")
    outbox = Outbox(rpc, chain_id, key, memory)
    ms_per_tick = read_block(rpc.call("eth_getBlockByNumber", "latest", False), "latest").ms_per_tick
    arguments = {
        "TestUsdc": b"",
        "Collection": constructor_data(load("Collection").abi, COLLECTION_NAME, COLLECTION_SYMBOL),
        "Escrow": constructor_data(load("Escrow").abi, ms_per_tick, sorted(verifiers)),
    }
    found: dict[str, str] = {}
    for name, given in arguments.items():
        made = outbox.make(f"deploy/{name}", None, bytes.fromhex(load(name).initcode) + given, GAS[name])
        found[name] = _deployed(rpc, made, sleep)
        say(name, found[name])
    return Site(chain_id, found["Escrow"], found["TestUsdc"], found["Collection"])


def _deployed(rpc: Rpc, made: Attempt, sleep: Callable[[float], None]) -> str:
    """Returns the address of a contract once it is there."""
    waited = 0.0
    while True:
        raw = rpc.call("eth_getTransactionReceipt", made.tx_hash)
        if raw is not None:
            receipt = read_receipt(raw, made.tx_hash)
            if receipt is None or not receipt.succeeded or not raw.get("contractAddress"):
                raise ChainError(
                    f"{made.name}: transaction {made.tx_hash} failed", hint="is the gas limit too low here?"
                )
            return str(raw["contractAddress"]).lower()
        if waited >= WAIT_S:
            raise ChainError(
                f"{made.name}: transaction {made.tx_hash} is in no block after {WAIT_S:.0f} s", hint="run it again"
            )
        if waited == 0:
            rpc.call("eth_sendRawTransaction", "0x" + made.raw.hex())
        sleep(POLL_S)
        waited += POLL_S
