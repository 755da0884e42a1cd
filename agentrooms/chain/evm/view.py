"""One chain over JSON-RPC, to look at: all a verifier needs of it, in one call a deal."""

from __future__ import annotations

import msgspec

from agentrooms.chain.evm import calls
from agentrooms.chain.evm.rpc import Rpc, RpcRefused
from agentrooms.chain.port import ChainError, ChainUnreachable
from agentrooms.consensus.judgement import Case, Facts
from agentrooms.domain.site import Site

SEEN_MAX = 10_000  # answers of a chain in virtual time
MS_FROM = 10**11  # a block time above this is in milliseconds: in seconds it would be the year 5138


class Clock(msgspec.Struct, frozen=True):
    """Who moves the chain on: itself, or (a devnet in virtual time) this client alone."""

    virtual: bool = False
    devnet: bool = False


class Block(msgspec.Struct, frozen=True):
    """What we need to know of a block."""

    number: int
    at_ms: int
    ms_per_tick: int  # of the chain's own time
    gas_limit: int
    transactions: tuple[str, ...]


class EvmView:
    """One chain, to look at."""

    def __init__(self, rpc: Rpc, site: Site, clock: Clock = Clock()) -> None:  # noqa: B008 - a constant
        self.rpc = rpc
        self._site = site
        self.clock = clock
        self._now_ms: int | None = None  # of a chain in virtual time
        self._seen: dict[tuple[str, bytes], bytes] = {}  # answers of such a chain, which stands still in between

    @property
    def site(self) -> Site:
        """The chain's id and the addresses on it."""
        return self._site

    def facts(self, case: Case, at_ms: int) -> Facts:
        """Returns what the chain knows of a deal, in one view call. Raises InvalidInput for terms that cannot be asked."""
        self._move(at_ms)
        return calls.facts_answer(case, self._view(calls.facts_data(case)))

    def _view(self, data: bytes, to: str = "") -> bytes:
        key = (to or self._site.escrow, data)
        if key not in self._seen:
            answer = self._ask(*key)
            if not self.clock.virtual:
                return answer
            if len(self._seen) >= SEEN_MAX:
                self._seen.clear()
            self._seen[key] = answer
        return self._seen[key]

    def _ask(self, to: str, data: bytes) -> bytes:
        try:
            answer = self.rpc.call("eth_call", {"to": to, "data": "0x" + data.hex()}, "latest")
        except RpcRefused as error:
            raise ChainError(
                f"the contract {to} does not answer as ours: {error}", hint="is it deployed on this chain?"
            ) from error
        try:
            return bytes.fromhex(str(answer).removeprefix("0x"))
        except ValueError as error:
            raise ChainUnreachable(f"eth_call: the node answers no bytes: {ascii(answer)[:80]}") from error

    def _move(self, at_ms: int) -> None:
        """Moves a chain in virtual time on to a moment; any other has its own time."""
        if not self.clock.virtual:
            return
        if self._now_ms is None:
            self._now_ms = self._block("latest").at_ms
        if at_ms > self._now_ms:
            self.rpc.call("devnet_setTime", at_ms)
            self._moved(at_ms)

    def _moved(self, at_ms: int) -> None:
        self._now_ms = max(at_ms, self._now_ms or 0)
        self._seen.clear()

    def _block(self, which: str | int) -> Block:
        found = self.rpc.call("eth_getBlockByNumber", hex(which) if isinstance(which, int) else which, False)
        return read_block(found, which)


def read_block(found: object, which: str | int) -> Block:
    """Returns a block as the node tells it. Raises ChainUnreachable for what is none: the node may have it later."""
    try:
        block = msgspec.convert(found, dict[str, object])
        stamp = int(str(block["timestamp"]), 16)
        ms_per_tick = 1 if stamp > MS_FROM else 1_000
        return Block(
            number=int(str(block["number"]), 16),
            at_ms=stamp * ms_per_tick,
            ms_per_tick=ms_per_tick,
            gas_limit=int(str(block["gasLimit"]), 16),
            transactions=msgspec.convert(block["transactions"], tuple[str, ...]),
        )
    except (msgspec.ValidationError, KeyError, ValueError) as error:
        raise ChainUnreachable(f"the node has no block {which}: {ascii(found)[:80]}") from error
