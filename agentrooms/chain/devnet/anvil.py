"""The second engine: anvil, an EVM of other makers, as a process of ours on loopback behind the same port.

Its own state file is cut short when it is killed while writing, so we keep its dumps: written beside, synced and
renamed, after each block, with the one before it kept. The pool is ours, so both engines refuse the same.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec

from agentrooms.chain.devnet.anvil_process import AnvilProcess, RpcFailed
from agentrooms.chain.devnet.engine import (
    COINBASE,
    Block,
    Call,
    EngineError,
    EngineUnusable,
    Genesis,
    LogEntry,
    Receipt,
    Reverted,
    Transaction,
)
from agentrooms.chain.devnet.pool import Pool
from agentrooms.chain.devnet.transactions import decode


class Dump(msgspec.Struct, frozen=True):
    """A chain as anvil dumps it, with what tells that the file is whole and of which chain."""

    genesis: Genesis
    sha256: str
    state: str


class Anvil:
    """A chain whose dumps lie at `path` and `path` + ".old", or that ends with this object without a path.

    Raises:
        EngineUnusable: there is no anvil, it does not start, or the dumps are damaged or of another chain.
    """

    def __init__(self, path: Path | None = None, genesis: Genesis | None = None, *, binary: Path | None = None) -> None:
        self._genesis = genesis or Genesis()
        self._path = path
        self._pool = Pool()
        state = None if path is None else _read(path, self._genesis)
        self._anvil = AnvilProcess(self._genesis, binary)
        try:
            if state is not None:
                self._rpc("anvil_loadState", state)
            self._rpc("anvil_setCoinbase", COINBASE)
            self._head = self._block("latest")
        except BaseException:
            self._anvil.close()
            raise

    @property
    def genesis(self) -> Genesis:
        return self._genesis

    @property
    def path(self) -> Path | None:
        return self._path

    @property
    def pid(self) -> int:
        """The number of anvil's process."""
        return self._anvil.pid

    def head(self) -> Block:
        return self._head

    def block(self, number: int) -> Block | None:
        return self._block(hex(number)) if 0 <= number <= self._head.number else None

    def block_by_hash(self, block_hash: str) -> Block | None:
        found = self._rpc("eth_getBlockByHash", block_hash, False)
        return None if found is None else self._read_block(found)

    def balance(self, address: str) -> int:
        return int(self._rpc("eth_getBalance", address, "latest"), 16)

    def nonce(self, address: str) -> int:
        return int(self._rpc("eth_getTransactionCount", address, "latest"), 16)

    def code(self, address: str) -> bytes:
        return _bytes(self._rpc("eth_getCode", address, "latest"))

    def storage(self, address: str, slot: int) -> bytes:
        return _bytes(self._rpc("eth_getStorageAt", address, hex(slot), "latest")).rjust(32, b"\0")

    def call(self, call: Call, at_ms: int | None = None) -> bytes:
        return _bytes(self._tried("eth_call", call, at_ms))

    def estimate(self, call: Call, at_ms: int | None = None) -> int:
        return int(self._tried("eth_estimateGas", call, at_ms), 16)

    def submit(self, raw: bytes) -> str:
        transaction = decode(raw, self._genesis.chain_id)
        sender = transaction.sender
        self._pool.add(transaction, nonce=self.nonce(sender), balance_wei=self.balance(sender))
        return transaction.hash

    def pooled(self) -> tuple[str, ...]:
        return self._pool.hashes()

    def mine(self, timestamp_ms: int) -> Block:
        tick = self._genesis.ms_per_tick
        if timestamp_ms // tick <= self._head.timestamp_ms // tick:
            raise EngineError(
                f"a block at {timestamp_ms} ms is not later than the last one, at {self._head.timestamp_ms} ms",
                hint=f"the chain counts ticks of {tick} ms",
            )
        taken = self._pool.next_block()
        for transaction in taken:
            self._rpc("eth_sendRawTransaction", "0x" + transaction.raw.hex())
        self._rpc("anvil_setNextBlockBaseFeePerGas", "0x0")  # it would rise after a full block
        self._rpc("evm_mine", {"timestamp": timestamp_ms // tick})
        block = self._block("latest")
        if block.transactions != tuple(transaction.hash for transaction in taken):
            raise EngineError(f"anvil mined {block.transactions} instead of {[one.hash for one in taken]}")
        for transaction in taken:
            self._pool.remove(transaction)
        self._head = block
        if self._path is not None:
            self._save(self._path, keep_old=True)
        return block

    def transaction(self, transaction_hash: str) -> Transaction | None:
        raw = self._rpc("eth_getRawTransactionByHash", transaction_hash)
        return None if raw is None else decode(_bytes(raw), self._genesis.chain_id)

    def receipt(self, transaction_hash: str) -> Receipt | None:
        found = self._rpc("eth_getTransactionReceipt", transaction_hash)
        return None if found is None else _receipt(found)

    def copy(self, path: Path) -> None:
        self._save(path, keep_old=False)

    def close(self) -> None:
        self._anvil.close()

    def _save(self, path: Path, *, keep_old: bool) -> None:
        try:
            _write(path, self._genesis, self._rpc("anvil_dumpState"), keep_old=keep_old)
        except OSError as error:
            raise EngineError(f"the chain cannot be written to {path}: {error}", hint="is the disk full?") from error

    def _rpc(self, method: str, *params: object) -> Any:  # noqa: ANN401 -- each method has its own shape
        try:
            return self._anvil.rpc(method, *params)
        except RpcFailed as error:
            raise EngineError(f"anvil refuses {method}: {error}") from error

    def _tried(self, method: str, call: Call, at_ms: int | None) -> str:
        message = {
            "from": call.sender,
            "data": "0x" + call.data.hex(),
            "value": hex(call.value_wei),
            "gas": hex(call.gas),
            "gasPrice": hex(call.gas_price_wei),
            **({} if call.to is None else {"to": call.to}),
        }
        time = (at_ms or self._head.timestamp_ms) // self._genesis.ms_per_tick
        try:
            return str(self._anvil.rpc(method, message, "latest", {}, {"time": hex(time)}))
        except RpcFailed as error:
            if error.data is None:
                raise Reverted(why=f"execution failed: {error}") from error
            raise Reverted(_bytes(error.data)) from error

    def _block(self, tag: str) -> Block:
        return self._read_block(self._rpc("eth_getBlockByNumber", tag, False))

    def _read_block(self, found: dict[str, Any]) -> Block:
        return Block(
            number=int(found["number"], 16),
            hash=found["hash"],
            parent_hash=found["parentHash"],
            timestamp_ms=int(found["timestamp"], 16) * self._genesis.ms_per_tick,
            gas_used=int(found["gasUsed"], 16),
            gas_limit=int(found["gasLimit"], 16),
            miner=found["miner"],
            state_root=found["stateRoot"],
            transactions_root=found["transactionsRoot"],
            receipts_root=found["receiptsRoot"],
            logs_bloom=found["logsBloom"],
            transactions=tuple(found["transactions"]),
        )


def _receipt(found: dict[str, Any]) -> Receipt:
    return Receipt(
        transaction_hash=found["transactionHash"],
        transaction_index=int(found["transactionIndex"], 16),
        block_hash=found["blockHash"],
        block_number=int(found["blockNumber"], 16),
        sender=found["from"],
        to=found["to"],
        gas_used=int(found["gasUsed"], 16),
        cumulative_gas_used=int(found["cumulativeGasUsed"], 16),
        effective_gas_price_wei=int(found["effectiveGasPrice"], 16),
        contract_address=found["contractAddress"],
        logs=tuple(LogEntry(log["address"], tuple(log["topics"]), log["data"]) for log in found["logs"]),
        logs_bloom=found["logsBloom"],
        succeeded=found["status"] == "0x1",
    )


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _old(path: Path) -> Path:
    return path.with_name(path.name + ".old")


def _write(path: Path, genesis: Genesis, state: str, *, keep_old: bool) -> None:
    """Puts a dump in place, whole; the one before it is kept if so wished."""
    dump = Dump(genesis, hashlib.sha256(state.encode()).hexdigest(), state)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    with draft.open("wb") as file:
        file.write(msgspec.msgpack.encode(dump))
        file.flush()
        os.fsync(file.fileno())
    if keep_old and path.exists():
        path.replace(_old(path))  # killed here, the next start takes the old one
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path, genesis: Genesis) -> str | None:
    """Returns the newest whole dump, None when there never was one."""
    damaged = []
    for file in (path, _old(path)):
        if not file.exists():
            continue
        try:
            dump = msgspec.msgpack.decode(file.read_bytes(), type=Dump)
        except msgspec.DecodeError:
            damaged.append(file)
            continue
        if hashlib.sha256(dump.state.encode()).hexdigest() != dump.sha256:
            damaged.append(file)
            continue
        if dump.genesis != genesis:
            raise EngineUnusable(f"{file} holds another chain: {dump.genesis}", hint="use its settings or another file")
        return dump.state
    if damaged:
        raise EngineUnusable(f"no whole dump is left: {damaged}", hint="remove them to begin a new chain")
    return None
