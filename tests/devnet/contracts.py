"""Small contracts written by hand, and what deploys and sends: enough to see an EVM work."""

from __future__ import annotations

from eth_account import Account

from agentrooms.chain.devnet.engine import (
    DEPLOYER_KEY,
    GAS_PRICE_MIN_WEI,
    Block,
    Engine,
    Receipt,
)

STEP_MS = 1000

# No data: returns the stored word. One word: stores it and logs it, with the caller as data. Else: reverts with 42.
KEEPER = bytes.fromhex(
    "368015601657602014602357"  # by the size of the data
    "602a60005260206000fd"  # revert(42)
    "5b5060005460005260206000f3"  # return(stored)
    "5b600035806000553360005260206000a100"  # stored = word; log
)
# Returns block.timestamp, block.number, chain id, block.coinbase, the hash of the block before.
CLOCK = bytes.fromhex("42600052436020524660405241606052600143034060805260a06000f3")
SPINNER = bytes.fromhex("5b600056")  # runs until its gas is gone
INVALID = bytes.fromhex("fe")


def forwarder(target: str) -> bytes:
    """A contract that passes its word on with all gas but a 64th, and reverts when that fails."""
    return bytes.fromhex("6000356000526000600060206000600073" + target[2:] + "5af115602c57005b60006000fd")


def init_code(runtime: bytes) -> bytes:
    """What deploys this code."""
    return bytes.fromhex(f"61{len(runtime):04x}80600a3d393df3") + runtime


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def signed(
    engine: Engine,
    to: str | None,
    data: bytes = b"",
    *,
    key: bytes = DEPLOYER_KEY,
    nonce: int | None = None,
    **fields: int,
) -> bytes:
    """Returns a raw transaction; what is not given is such that it is valid now."""
    transaction: dict[str, object] = {
        "nonce": engine.nonce(Account.from_key(key).address.lower()) if nonce is None else nonce,
        "gasPrice": fields.pop("gas_price", GAS_PRICE_MIN_WEI),
        "gas": fields.pop("gas", 1_000_000),
        "value": fields.pop("value", 0),
        "data": data,
        "chainId": fields.pop("chain_id", engine.genesis.chain_id),
    }
    assert not fields, fields
    if to is not None:
        transaction["to"] = bytes.fromhex(to[2:])
    return bytes(Account.sign_transaction(transaction, key).raw_transaction)


def mine(engine: Engine) -> Block:
    return engine.mine(engine.head().timestamp_ms + STEP_MS)


def done(engine: Engine, raw: bytes) -> Receipt:
    """Sends a transaction, mines it and returns its receipt."""
    transaction_hash = engine.submit(raw)
    mine(engine)
    receipt = engine.receipt(transaction_hash)
    assert receipt is not None
    return receipt


def deployed(engine: Engine, runtime: bytes) -> str:
    """Deploys a contract and returns its address."""
    receipt = done(engine, signed(engine, None, init_code(runtime)))
    assert receipt.succeeded
    assert receipt.contract_address is not None
    return receipt.contract_address
