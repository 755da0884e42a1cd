"""How a chain moves: by itself with the wall clock, or on command in virtual time.

Nothing runs in the background: a live chain mines the blocks that are due when somebody asks it something.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from agentrooms.chain.devnet.engine import Block, Engine, EngineError

FOLLOWING_BLOCKS = 3  # empty blocks after one with transactions, for those who count confirmations
BLOCK_MS = 1000  # between them


class Node(Protocol):
    """A chain that answers requests."""

    @property
    def engine(self) -> Engine: ...

    def now_ms(self) -> int:
        """Moves the chain on to now and returns the time of a view; called before each answer."""

    def send(self, raw: bytes) -> str:
        """Takes a transaction and returns its hash. Raises TransactionRefused."""


class Controlled(Node, Protocol):
    """A node that can also be told when to mine, and in virtual time what time it is."""

    def set_time(self, now_ms: int) -> None:
        """Sets the time. Raises EngineError if it is earlier than it was, or the time is not ours to set."""

    def mine(self) -> Block:
        """Mines a block of what is in the pool, now."""


class LiveNode:
    """Mines each transaction as it comes, at the wall clock's time; a few empty blocks follow."""

    def __init__(self, engine: Engine, clock_ms: Callable[[], int], *, block_ms: int = BLOCK_MS) -> None:
        self.engine = engine
        self._clock_ms = clock_ms
        self._block_ms = max(block_ms, engine.genesis.ms_per_tick)
        self._to_follow = _to_follow(engine)

    def now_ms(self) -> int:
        now = self._clock_ms()
        head = self.engine.head()
        while self._to_follow and head.timestamp_ms + self._block_ms <= now:
            head = self.engine.mine(head.timestamp_ms + self._block_ms)
            self._to_follow -= 1
        return max(now, head.timestamp_ms)

    def send(self, raw: bytes) -> str:
        transaction_hash = self.engine.submit(raw)
        self.mine()
        return transaction_hash

    def set_time(self, now_ms: int) -> None:
        raise EngineError("the chain follows the wall clock", hint="start the devnet in mode `command` to set its time")

    def mine(self) -> Block:
        block = self.engine.mine(max(self._clock_ms(), _earliest_ms(self.engine)))
        if block.transactions:
            self._to_follow = FOLLOWING_BLOCKS
        return block


class CommandNode:
    """Keeps transactions in the pool until told to mine; its time is what it was told last."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._now_ms = engine.head().timestamp_ms

    def now_ms(self) -> int:
        return self._now_ms

    def send(self, raw: bytes) -> str:
        return self.engine.submit(raw)

    def set_time(self, now_ms: int) -> None:
        if now_ms < self._now_ms:
            raise EngineError(
                f"the time {now_ms} ms is before {self._now_ms} ms, where the chain is", hint="go on only"
            )
        self._now_ms = now_ms

    def mine(self) -> Block:
        block = self.engine.mine(max(self._now_ms, _earliest_ms(self.engine)))
        self._now_ms = max(self._now_ms, block.timestamp_ms)
        return block


def _earliest_ms(engine: Engine) -> int:
    return engine.head().timestamp_ms + engine.genesis.ms_per_tick


def _to_follow(engine: Engine) -> int:
    """Returns how many empty blocks are still owed to the last one with transactions, as after a restart."""
    block: Block | None = engine.head()
    for owed in range(FOLLOWING_BLOCKS, 0, -1):
        if block is None or block.number == 0:
            return 0
        if block.transactions:
            return owed
        block = engine.block(block.number - 1)
    return 0
