"""The engine from PyPI: py-evm's Shanghai rules and state trie, with blocks, pool and file of our own.

py-evm is archived: nothing but this module and the store knows it.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator
from pathlib import Path

from eth._utils.address import generate_contract_address
from eth.abc import ComputationAPI, ReceiptAPI
from eth.constants import BLANK_ROOT_HASH, CREATE_CONTRACT_ADDRESS, ZERO_HASH32
from eth.db.trie import make_trie_root_and_nodes
from eth.exceptions import Revert
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.shanghai import ShanghaiVM
from eth.vm.forks.shanghai.blocks import ShanghaiBlockHeader
from eth.vm.forks.shanghai.state import ShanghaiState
from eth.vm.forks.shanghai.transactions import ShanghaiTransactionBuilder
from eth.vm.message import Message
from eth_typing import Address, BlockNumber, Hash32

from agentrooms.chain.devnet.engine import (
    BLOCK_GAS_LIMIT,
    COINBASE,
    FUNDS_WEI,
    Block,
    Call,
    EngineError,
    Genesis,
    LogEntry,
    Receipt,
    Reverted,
    Transaction,
)
from agentrooms.chain.devnet.pool import Pool
from agentrooms.chain.devnet.store import Store
from agentrooms.chain.devnet.transactions import decode, intrinsic_gas

HASHES_SEEN = 256  # blocks whose hash a contract can ask for
ESTIMATE_SLACK = 64  # an estimate is at most this much gas more than is needed


class PyEvm:
    """A chain in a file, or in memory without a path.

    Raises:
        EngineUnusable: the file cannot be used, or is of another chain.
    """

    def __init__(self, path: Path | None = None, genesis: Genesis | None = None) -> None:
        self._genesis = genesis or Genesis()
        self._store = Store(path, self._genesis)
        self._pool = Pool()
        last = self._store.last()
        if last is None:
            last = self._begin()
        self._head = last
        self._view = self._state(self._context(last.number, last.timestamp_ms), last.state_root)

    @property
    def genesis(self) -> Genesis:
        return self._genesis

    @property
    def path(self) -> Path | None:
        return self._store.path

    def head(self) -> Block:
        return self._head

    def block(self, number: int) -> Block | None:
        return self._store.block(number) if 0 <= number <= self._head.number else None

    def block_by_hash(self, block_hash: str) -> Block | None:
        return self._store.block_by_hash(block_hash)

    def balance(self, address: str) -> int:
        return int(self._view.get_balance(_address(address)))

    def nonce(self, address: str) -> int:
        return int(self._view.get_nonce(_address(address)))

    def code(self, address: str) -> bytes:
        return bytes(self._view.get_code(_address(address)))

    def storage(self, address: str, slot: int) -> bytes:
        return int(self._view.get_storage(_address(address), slot)).to_bytes(32, "big")

    def call(self, call: Call, at_ms: int | None = None) -> bytes:
        computation = self._run(call, call.gas, at_ms)
        if computation.is_error:
            raise _reverted(computation)
        return bytes(computation.output)

    def estimate(self, call: Call, at_ms: int | None = None) -> int:
        """Tries what a run with all gas has used; only contracts that hold gas back need a search."""
        first = self._run(call, call.gas, at_ms)
        if first.is_error:
            raise _reverted(first)
        low = call.gas - int(first.get_gas_remaining())
        if not self._run(call, low, at_ms).is_error:
            return low
        high = call.gas
        while high - low > ESTIMATE_SLACK:
            middle = (low + high) // 2
            if self._run(call, middle, at_ms).is_error:
                low = middle
            else:
                high = middle
        return high

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
        context = self._context(self._head.number + 1, timestamp_ms)
        state = self._state(context, self._head.state_root)
        block, entries = _applied(state, self._pool.next_block(), self._head, timestamp_ms // tick * tick)
        self._store.add(block, entries)
        for transaction, _ in entries:
            self._pool.remove(transaction)
        self._head = block
        self._view = self._state(context, block.state_root)
        return block

    def transaction(self, transaction_hash: str) -> Transaction | None:
        return self._store.transaction(transaction_hash)

    def receipt(self, transaction_hash: str) -> Receipt | None:
        return self._store.receipt(transaction_hash)

    def copy(self, path: Path) -> None:
        self._store.copy(path)

    def close(self) -> None:
        self._store.close()

    def _begin(self) -> Block:
        """Stores the first block, whose state gives the funded accounts their funds."""
        state = self._state(self._context(0, self._genesis.start_ms), "0x" + BLANK_ROOT_HASH.hex())
        for address in self._genesis.funded:
            state.set_balance(_address(address), FUNDS_WEI)
        block, _ = _applied(
            state, [], None, self._genesis.start_ms // self._genesis.ms_per_tick * self._genesis.ms_per_tick
        )
        self._store.add(block, [])
        return block

    def _context(self, number: int, timestamp_ms: int) -> ExecutionContext:
        return ExecutionContext(
            coinbase=_address(COINBASE),
            timestamp=timestamp_ms // self._genesis.ms_per_tick,
            block_number=BlockNumber(number),
            difficulty=0,
            mix_hash=ZERO_HASH32,
            gas_limit=BLOCK_GAS_LIMIT,
            prev_hashes=self._hashes_before(number),
            chain_id=self._genesis.chain_id,
            base_fee_per_gas=0,
        )

    def _hashes_before(self, number: int) -> Iterator[Hash32]:
        """Yields the hashes of earlier blocks, the last one first; read only when a contract asks."""
        for earlier in range(number - 1, max(number - 1 - HASHES_SEEN, -1), -1):
            block = self._store.block(earlier)
            assert block is not None, earlier
            yield _hash(block.hash)

    def _state(self, context: ExecutionContext, root: str) -> ShanghaiState:
        return ShanghaiState(self._store.state, context, _hash(root))

    def _run(self, call: Call, gas: int, at_ms: int | None) -> ComputationAPI:
        """Runs a message at the head and takes back what it did."""
        state = self._view
        state.execution_context = self._context(self._head.number, at_ms or self._head.timestamp_ms)
        rest = gas - intrinsic_gas(call.data, deploys=call.to is None)
        if rest < 0:
            raise Reverted(why=f"gas {gas} does not pay for the message itself")
        sender = _address(call.sender)
        if state.get_balance(sender) < call.value_wei:
            raise Reverted(why=f"{call.sender} has less than {call.value_wei} wei")
        state.lock_changes()  # forgets which addresses were warm
        snapshot = state.snapshot()
        try:
            return _computed(state, call, rest)
        finally:
            state.revert(snapshot)


def _computed(state: ShanghaiState, call: Call, gas: int) -> ComputationAPI:
    sender = _address(call.sender)
    context = state.get_transaction_context_class()(gas_price=call.gas_price_wei, origin=sender)
    if call.to is None:
        created = generate_contract_address(sender, state.get_nonce(sender))
        state.increment_nonce(sender)
        message = Message(gas, CREATE_CONTRACT_ADDRESS, sender, call.value_wei, b"", call.data, create_address=created)
    else:
        to = _address(call.to)
        message = Message(gas, to, sender, call.value_wei, call.data, state.get_code(to))
    for warm in (sender, message.storage_address, state.coinbase):
        state.mark_address_warm(warm)
    run = state.computation_class.apply_create_message if call.to is None else state.computation_class.apply_message
    return run(state, message, context)


def _reverted(computation: ComputationAPI) -> Reverted:
    if isinstance(computation.error, Revert):
        return Reverted(bytes(computation.output))
    return Reverted(why=f"execution failed: {type(computation.error).__name__}")


def _applied(
    state: ShanghaiState, transactions: list[Transaction], parent: Block | None, timestamp_ms: int
) -> tuple[Block, list[tuple[Transaction, Receipt]]]:
    """Applies transactions to a state and returns the block they make, with their receipts."""
    signed = [ShanghaiTransactionBuilder.decode(transaction.raw) for transaction in transactions]
    computations, receipts, gas_used = [], [], 0
    for transaction in signed:
        state.lock_changes()
        computation = state.apply_transaction(transaction)
        gas_used += int(ShanghaiVM.finalize_gas_used(transaction, computation))
        status = b"" if computation.is_error else b"\1"
        computations.append(computation)
        receipts.append(transaction.make_receipt(status, gas_used, computation.get_log_entries()))
    state.persist()
    header = ShanghaiBlockHeader(
        difficulty=0,
        block_number=state.block_number,
        gas_limit=BLOCK_GAS_LIMIT,
        timestamp=state.timestamp,
        coinbase=state.coinbase,
        parent_hash=ZERO_HASH32 if parent is None else _hash(parent.hash),
        state_root=state.state_root,
        transaction_root=make_trie_root_and_nodes(signed)[0],
        receipt_root=make_trie_root_and_nodes(receipts)[0],
        bloom=functools.reduce(operator.or_, (receipt.bloom for receipt in receipts), 0),
        gas_used=gas_used,
    )
    block = _block(header, timestamp_ms, transactions)
    return block, list(zip(transactions, _receipts(block, transactions, computations, receipts), strict=True))


def _block(header: ShanghaiBlockHeader, timestamp_ms: int, transactions: list[Transaction]) -> Block:
    return Block(
        number=header.block_number,
        hash=_hex(header.hash),
        parent_hash=_hex(header.parent_hash),
        timestamp_ms=timestamp_ms,
        gas_used=header.gas_used,
        gas_limit=header.gas_limit,
        miner=_hex(header.coinbase),
        state_root=_hex(header.state_root),
        transactions_root=_hex(header.transaction_root),
        receipts_root=_hex(header.receipt_root),
        logs_bloom=_bloom(header.bloom),
        transactions=tuple(transaction.hash for transaction in transactions),
    )


def _receipts(
    block: Block, transactions: list[Transaction], computations: list[ComputationAPI], receipts: list[ReceiptAPI]
) -> Iterator[Receipt]:
    before = 0
    for index, (transaction, computation, receipt) in enumerate(zip(transactions, computations, receipts, strict=True)):
        created = computation.msg.storage_address if transaction.to is None else None
        yield Receipt(
            transaction_hash=transaction.hash,
            transaction_index=index,
            block_hash=block.hash,
            block_number=block.number,
            sender=transaction.sender,
            to=transaction.to,
            gas_used=receipt.gas_used - before,
            cumulative_gas_used=receipt.gas_used,
            effective_gas_price_wei=transaction.gas_price_wei,
            contract_address=None if created is None else _hex(created),
            logs=tuple(
                LogEntry(_hex(log.address), tuple(f"0x{topic:064x}" for topic in log.topics), _hex(log.data))
                for log in receipt.logs
            ),
            logs_bloom=_bloom(receipt.bloom),
            succeeded=not computation.is_error,
        )
        before = receipt.gas_used


def _address(text: str) -> Address:
    return Address(bytes.fromhex(text[2:]))


def _hash(text: str) -> Hash32:
    return Hash32(bytes.fromhex(text[2:]))


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _bloom(bits: int) -> str:
    return f"0x{bits:0512x}"
