"""A Mainsail network for tests: the devnet's strict surface, and the ways of a network that is not ours.

Blocks come every eight seconds whether or not they hold anything; a transaction waits 8 to 24 seconds, may be lost
after it was accepted, and may be replaced; whoever asks too often is turned away. All of it follows from the clock
it is given and a seed, so nothing has to sleep.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec

from agentrooms.chain.devnet.engine import BLOCK_GAS_LIMIT, Engine, Transaction
from agentrooms.chain.devnet.pool import SENDER_MAX, Pool
from agentrooms.chain.devnet.rpc import JSON_TYPE, Answer, Dispatcher
from agentrooms.chain.devnet.transactions import decode
from agentrooms.domain.eip712 import keccak

CHAIN_ID = 11_812  # of Mainsail's test network
CLIENTS_MAX = 10_000  # whose requests are counted; the one seen first is forgotten first


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How the network treats its clients."""

    block_ms: int = 8000
    blocks_waited: tuple[int, int] = (2, 3)  # the n-th next block takes a transaction: after 8 to 24 s
    lost_percent: int = 0  # transactions that are accepted and never mined
    requests_max: int = 100  # a client
    window_ms: int = 60_000
    sender_max: int = SENDER_MAX


class VirtualClock:
    """A time that moves when told to. Milliseconds."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def __call__(self) -> int:
        return self._now_ms

    def advance(self, by_ms: int) -> None:
        assert by_ms >= 0, by_ms
        self._now_ms += by_ms


class Mainsail:
    """The network over an engine of its own; `seed` draws each transaction's fate."""

    def __init__(
        self, engine: Engine, clock_ms: Callable[[], int], *, seed: bytes = b"", rules: Rules | None = None
    ) -> None:
        self.rules = rules or Rules()
        self.node = MainsailNode(engine, clock_ms, seed, self.rules)
        self._clock_ms = clock_ms
        self._rpc = Dispatcher(self.node)
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[int, int]] = {}  # client: its window's begin in ms, requests in it

    def post(self, body: bytes, client: str = "") -> Answer:
        """Answers a request, or turns it away with status 429."""
        with self._lock:
            rest_ms = self._refused_for_ms(client)
        if rest_ms:
            headers = (JSON_TYPE, ("retry-after", str(-(-rest_ms // 1000))))
            return Answer(429, b'{"statusCode":429,"error":"Too Many Requests","message":"Too Many Requests"}', headers)
        return self._rpc.post(body, client)

    def _refused_for_ms(self, client: str) -> int:
        """Counts a request and returns how long the client must wait, 0 when it need not."""
        now = self._clock_ms()
        begin, count = self._windows.get(client, (now, 0))
        if now - begin >= self.rules.window_ms:
            begin, count = now, 0
        if count >= self.rules.requests_max:
            return begin + self.rules.window_ms - now
        if client not in self._windows and len(self._windows) >= CLIENTS_MAX:
            del self._windows[next(iter(self._windows))]
        self._windows[client] = (begin, count + 1)
        return 0


class MainsailNode:
    """Mines the blocks that are due whenever it is asked; a pool of its own holds what is not yet due."""

    def __init__(self, engine: Engine, clock_ms: Callable[[], int], seed: bytes, rules: Rules) -> None:
        self.engine = engine
        self._clock_ms = clock_ms
        self._seed = seed
        self._rules = rules
        self._pool = Pool(sender_max=rules.sender_max)
        self._fates: dict[str, _Fate] = {}
        self._accepted = 0

    def now_ms(self) -> int:
        now = self._clock_ms()
        while self.engine.head().timestamp_ms + self._rules.block_ms <= now:
            self._mine(self.engine.head().timestamp_ms + self._rules.block_ms)
        return now

    def send(self, raw: bytes) -> str:
        transaction = decode(raw, self.engine.genesis.chain_id)
        sender = transaction.sender
        nonce, balance_wei = self.engine.nonce(sender), self.engine.balance(sender)
        replaced = self._pool.add(transaction, nonce=nonce, balance_wei=balance_wei)
        if replaced is not None:
            del self._fates[replaced.hash]
        self._fates[transaction.hash] = self._draw(transaction)
        return transaction.hash

    def _draw(self, transaction: Transaction) -> _Fate:
        """Draws anew each time, so that what was lost once may come through when it is sent again."""
        self._accepted += 1
        drawn = keccak(self._seed + transaction.raw + self._accepted.to_bytes(8, "big"))
        low, high = self._rules.blocks_waited
        waited = low + int.from_bytes(drawn[:8], "big") % (high - low + 1)
        lost = int.from_bytes(drawn[8:16], "big") % 100 < self._rules.lost_percent
        return _Fate(self.engine.head().number + waited, lost)

    def _mine(self, timestamp_ms: int) -> None:
        """Mines one block of what is due, in the order of arrival and without gaps in a sender's nonces."""
        number = self.engine.head().number + 1
        gas, waiting = 0, set[str]()
        for transaction in self._pool.all():
            fate = self._fates.get(transaction.hash)
            if fate is None or transaction.sender in waiting:  # lost with one before it, or after one that waits
                continue
            if fate.block > number or gas + transaction.gas > BLOCK_GAS_LIMIT:
                waiting.add(transaction.sender)
            elif fate.lost:
                for lost in self._pool.drop(transaction):
                    del self._fates[lost.hash]
            else:
                gas += transaction.gas
                self._pool.remove(transaction)
                del self._fates[transaction.hash]
                self.engine.submit(transaction.raw)
        self.engine.mine(timestamp_ms)


class _Fate(msgspec.Struct, frozen=True):
    block: int  # the first that may take it
    lost: bool
