"""Brings an account's transactions to the node: in the order of their nonces, again when they are lost.

Nodes keep no transaction whose predecessor they do not have. One that is sent too early waits here and follows its
predecessor; where that never comes, its nonce is filled. Nothing here outlives the process: whoever waits asks again.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from agentrooms.chain.evm.outbox import AHEAD_MAX, Attempt, Outbox
from agentrooms.chain.evm.rpc import Rpc, RpcRefused
from agentrooms.chain.port import ChainUnreachable
from agentrooms.services import failpoints

_HAS_IT = re.compile(r"\b(already|known)\b", re.IGNORECASE)
_ITS_PLACE = re.compile(r"nonce|underpriced|replace", re.IGNORECASE)


class NotFunded(ChainUnreachable):
    """The account cannot pay for its transactions; once it can, they go on."""


class _Wait(msgspec.Struct):
    """A transaction that is under way. Times in seconds of our clock, `head` is the block it was sent after."""

    nonce: int
    since_s: float
    with_node: bool = False
    resent: int = 0
    head: int = 0


class Courier:
    """One account's way to the node. `inclusion_s` is how long a transaction may take into a block."""

    def __init__(
        self, rpc: Rpc, outbox: Outbox, now_s: Callable[[], float], *, inclusion_s: float, resends_max: int
    ) -> None:
        self._rpc = rpc
        self._outbox = outbox
        self._now_s = now_s
        self._inclusion_s = inclusion_s
        self._resends_max = resends_max
        self._given: int | None = None  # nonces below are mined or with the node, as far as we know
        self._held: dict[int, Attempt] = {}
        self._waits: dict[str, _Wait] = {}  # by hash
        self._asked_s: dict[int, float] = {}  # when somebody last cared for a nonce

    def send(self, attempt: Attempt) -> int:
        """Sends a transaction, and those that waited for it, unless the node has it; returns how many it has now.

        Raises:
            NotFunded: the account cannot pay.
            ChainUnreachable: the node does not take it for another reason; sent again it may.
        """
        return 0 if self._wait(attempt).with_node else self._bring(attempt)

    def look_after(self, attempt: Attempt, head: int | None = None, mined: int | None = None) -> bool:
        """Sends what is not mined again, at waits that double, and clears what is before it.

        Where the last block is known, only one that came since says that a transaction is lost; `mined` is how many
        of the account's were then. Tells whether it has waited too long by its own fault, so that it needs a successor.
        """
        wait = self._wait(attempt)
        waited_s = self._now_s() - wait.since_s
        due_s = self._inclusion_s * 2.0 ** (wait.resent - self._resends_max)
        if wait.resent < self._resends_max and waited_s >= due_s and (head is None or head > wait.head):
            self._bring(attempt)
            wait.resent += 1
            wait.head = head or 0
        if waited_s < self._inclusion_s:
            return False
        mined = self._outbox.mined() if mined is None else mined
        if mined >= attempt.nonce:
            return True
        self._clear(mined, attempt)
        wait.since_s, wait.resent = self._now_s(), 0  # its own time begins when what is before it is mined
        return False

    def waited_s(self, attempt: Attempt) -> float:
        """Returns how long the transaction is under way."""
        return self._now_s() - self._wait(attempt).since_s

    def done(self, attempt: Attempt) -> None:
        """Forgets a transaction that is final, and all before it."""
        self._waits = {key: wait for key, wait in self._waits.items() if wait.nonce > attempt.nonce}
        self._held = {nonce: one for nonce, one in self._held.items() if nonce > attempt.nonce}
        self._asked_s = {nonce: at for nonce, at in self._asked_s.items() if nonce > attempt.nonce}

    def _bring(self, attempt: Attempt) -> int:
        if self._given is None:
            self._given = self._outbox.mined()
        if attempt.nonce > self._given:
            self._held[attempt.nonce] = attempt
            return 0
        taken = self._give(attempt)
        while self._given in self._held:
            taken += self._give(self._held[self._given])
        return taken

    def _give(self, attempt: Attempt) -> int:
        """Gives one to the node; returns 1 when it is in the pool now, 0 when it was held back or is mined."""
        taken = 1
        failpoints.hit("chain.before_submit")
        try:
            self._rpc.call("eth_sendRawTransaction", "0x" + attempt.raw.hex())
            failpoints.hit("chain.after_submit")
        except RpcRefused as refused:
            if _HAS_IT.search(refused.message) is None:
                taken = 0
                if not self._is_explained(attempt, refused):
                    return 0
        self._held.pop(attempt.nonce, None)
        self._given = max(self._given or 0, attempt.nonce + 1)
        self._wait(attempt).with_node = True
        return taken

    def _is_explained(self, attempt: Attempt, refused: RpcRefused) -> bool:
        """Tells whether the nonce is taken, by this transaction or another; one with a gap before it is held.

        What nodes say differs from node to node, so we look at the account itself first.
        """
        mined = self._outbox.mined()
        if mined > attempt.nonce:
            return True
        its_place = _ITS_PLACE.search(refused.message) is not None
        if mined < attempt.nonce and its_place:
            self._given = mined  # what we thought was with the node is lost
            self._held[attempt.nonce] = attempt
            return False
        balance_wei = self._outbox.balance_wei()
        if balance_wei < attempt.cost_wei:
            raise NotFunded(
                f"{self._outbox.address} has {balance_wei} wei, {attempt.name} may cost {attempt.cost_wei}",
                hint="send funds to this address: it pays the fees",
            ) from refused
        if its_place:
            return True
        raise ChainUnreachable(str(refused), hint="it is sent again") from refused

    def _clear(self, first: int, attempt: Attempt) -> None:
        """Fills the nonces from the first that is not mined up to a transaction's, where nobody has cared for long."""
        now_s = self._now_s()
        for nonce in range(first, attempt.nonce):
            if now_s - self._asked_s.get(nonce, 0.0) >= self._inclusion_s:
                self._given = min(nonce, self._given or 0)
                filler = self._outbox.fill(nonce)
                self._wait(filler)
                self._bring(filler)

    def _wait(self, attempt: Attempt) -> _Wait:
        """Returns how a transaction stands, and notes that somebody cares for it."""
        while len(self._waits) >= AHEAD_MAX:
            del self._waits[next(iter(self._waits))]
        while len(self._asked_s) >= AHEAD_MAX:
            del self._asked_s[next(iter(self._asked_s))]
        now_s = self._now_s()
        self._asked_s[attempt.nonce] = now_s
        return self._waits.setdefault(attempt.tx_hash, _Wait(attempt.nonce, now_s))
