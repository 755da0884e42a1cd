"""The Chain port over JSON-RPC: ARK's Mainsail, the devnet, anvil. `EvmView` looks, `EvmChain` also settles."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec

from agentrooms.chain.contracts.artefact import load
from agentrooms.chain.contracts.reasons import REASONS
from agentrooms.chain.evm import calls
from agentrooms.chain.evm.abi import answer, call_data, selector
from agentrooms.chain.evm.courier import Courier, NotFunded
from agentrooms.chain.evm.outbox import Attempt, Outbox
from agentrooms.chain.evm.receipts import RawReceipt, read_receipt
from agentrooms.chain.evm.rpc import Rpc
from agentrooms.chain.evm.view import Block, Clock, EvmView, read_block
from agentrooms.chain.evm.wallet import hash_of
from agentrooms.chain.port import ChainError, ChainUnreachable, Execution, RawTransaction, Sent, Standing
from agentrooms.domain.deal import Receipt, Terms
from agentrooms.domain.site import Site
from agentrooms.domain.verifier_set import VerifierSet
from agentrooms.events.vault import Vault

EXECUTE_GAS = 1_000_000  # limit; 312,000 with wallets of keys, the rest is for those that are contracts
TX_GAS_MAX = 2_000_000  # of one transaction on the strictest of ARK's networks; a node cannot be asked
KEPT_MAX = 10_000  # deals whose last look at the chain is remembered
EXECUTE, CHECK = selector(calls.ESCROW, "execute"), selector(calls.ESCROW, "check")

T = TypeVar("T")


class ChainMismatch(ChainError):
    """The node is not the chain that was configured."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How a chain is waited for. ARK's by default: blocks of eight seconds, each final, and few requests a minute.

    A head is believed for `head_s`, an answer that a deal is not executed for `unused_s`.
    """

    confirmations: int = 3
    block_ms: int = 8_000
    poll_ms: int = 4_000
    head_s: float = 3.0
    unused_s: float = 30.0
    inclusion_s: float = 30.0
    resends_max: int = 5
    confirmed_s: float = 120.0


LOCAL = Pace(confirmations=1, block_ms=100, poll_ms=100, head_s=0.0, unused_s=0.0)


class _Included(msgspec.Struct, frozen=True):
    """A transaction that is in a block, which may not be final yet."""

    attempt: Attempt
    receipt: RawReceipt


class EvmChain(EvmView):
    """One chain, to settle on. `memory` outlives the process and keeps nonces and transactions."""

    def __init__(
        self,
        rpc: Rpc,
        site: Site,
        relayer: bytes,
        memory: Vault,
        *,
        pace: Pace = LOCAL,
        clock: Clock = Clock(),  # noqa: B008 - a constant
        execute_gas: int = EXECUTE_GAS,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(rpc, site, clock)
        self._outbox = Outbox(rpc, site.chain_id, relayer, memory)
        self._pace = pace
        self._execute_gas = execute_gas
        self._now_s: Callable[[], float] = (lambda: 0.0) if clock.virtual else now_s  # there, nothing gets lost
        self._courier = Courier(
            rpc, self._outbox, self._now_s, inclusion_s=pace.inclusion_s, resends_max=pace.resends_max
        )
        self._head: tuple[float, Block] | None = None
        self._final: Block | None = None
        self._mined_at: tuple[int, int] | None = None
        self._included: dict[str, _Included] = {}
        self._unused: dict[str, tuple[float, Standing]] = {}

    def probe(self) -> None:
        """Raises ChainMismatch unless node, escrow, time and limits are as configured, NotFunded for an empty account."""
        found = self.rpc.number("eth_chainId")
        if found != self.site.chain_id:
            raise ChainMismatch(f"the node is chain {found}, configured is {self.site.chain_id}", hint="see CHAIN_ID")
        code = str(self.rpc.call("eth_getCode", self.site.escrow, "latest"))[2:]
        if not code.startswith(load("Escrow").runtime):  # what follows are its immutables
            raise ChainMismatch(
                f"at {self.site.escrow} is not our escrow ({len(code) // 2} bytes of code)", hint="see ESCROW_ADDRESS"
            )
        block = self._block("latest")
        ms_per_tick = int(answer(calls.ESCROW, "msPerTick", self._view(call_data(calls.ESCROW, "msPerTick"))))
        if ms_per_tick != block.ms_per_tick:
            raise ChainMismatch(
                f"the escrow reckons {ms_per_tick} ms a tick, the chain {block.ms_per_tick}", hint="deploy it anew"
            )
        gas_max = min(block.gas_limit, TX_GAS_MAX)
        if self._execute_gas > gas_max:
            raise ChainMismatch(
                f"a deal may take {self._execute_gas} gas, a transaction on this chain at most {gas_max}",
                hint="configure a lower limit; 400000 is enough for wallets of keys",
            )
        cost_wei, has_wei = self._execute_gas * self._outbox.price_wei(), self._outbox.balance_wei()
        if has_wei < cost_wei:
            raise NotFunded(
                f"{self._outbox.address} has {has_wei} wei, one deal may cost {cost_wei}",
                hint="send funds to this address: it pays the fees",
            )

    def register(self, verifiers: VerifierSet) -> None:
        """Raises ChainMismatch unless the escrow counts attestations of this very set: only its owner can change that."""
        ours = (verifiers.version, sorted(member.address for member in verifiers.verifiers))
        addresses = answer(calls.ESCROW, "verifiers", self._view(call_data(calls.ESCROW, "verifiers")))
        version = int(answer(calls.ESCROW, "setVersion", self._view(call_data(calls.ESCROW, "setVersion"))))
        if ours != (version, sorted(address.lower() for address in addresses)):
            raise ChainMismatch(
                f"the escrow counts set {version} of {', '.join(addresses)}, this installation has set {ours[0]} of "
                f"{', '.join(ours[1])}",
                hint="let the escrow's owner rotate to these addresses, or deploy with `agentrooms chain deploy`",
            )

    # --- Transactions -----------------------------------------------------------------------------------------

    def prepare(self, execution: Execution) -> RawTransaction:
        """Returns the deal's transaction, made once."""
        name = _name(execution.terms)
        known = self._outbox.latest(name)
        if known is None:
            known = self._outbox.make(name, self.site.escrow, calls.execute_data(execution), self._execute_gas)
        return known.transaction

    def reprice(self, tx_hash: str) -> RawTransaction:
        """Returns a transaction that takes a stuck one's place."""
        return self._outbox.succeed(self._outbox.by_hash(tx_hash)).transaction

    def send(self, raw: bytes, at_ms: int) -> None:
        """Sends a transaction of this account; a chain in virtual time mines it then.

        Raises ChainUnreachable where the node does not take it for now, NotFunded when the account cannot pay.
        """
        self._move(at_ms)
        self._mine(self._courier.send(self._outbox.by_hash(hash_of(raw))))

    def mine(self) -> int:
        """Lets a chain in virtual time mine what was sent; any other mines by itself. Returns how many were mined."""
        if not self.clock.virtual:
            return 0
        block = read_block(self.rpc.call("devnet_mine"), "mined")
        self._moved(block.at_ms)
        return len(block.transactions)

    def _mine(self, waiting: int) -> None:
        """Mines until all that wait are mined; no empty blocks, whose number would depend on how often we ask."""
        while waiting > 0 and (mined := self.mine()):
            waiting -= mined

    def sent(self, tx_hash: str) -> Sent:
        """Returns how far a transaction, or another of the same deal's, is; one that waits long is sent again."""
        attempt = self._outbox.by_hash(tx_hash)
        included = self._include(attempt.name)
        if included is not None:
            return self._confirmed(included)
        head, mined = (None, None) if self._pace.confirmations == 1 else self._mined()
        stuck = self._courier.look_after(attempt, head, mined) and self._outbox.may_succeed(attempt)
        return Sent(wanted=self._pace.confirmations, stuck=stuck, again_ms=self._pace.poll_ms)

    def _include(self, name: str) -> _Included | None:
        """Returns the transaction of a name that is in a block. Asks for receipts of those only whose nonce is used."""
        if name in self._included:
            return self._included[name]
        mined = None if self._pace.confirmations == 1 else self._mined()[1]
        for attempt in reversed(self._outbox.attempts(name)):
            receipt = self._raw_receipt(attempt.tx_hash) if mined is None or attempt.nonce < mined else None
            if receipt is not None:
                self._included[name] = included = _Included(attempt, receipt)
                return included
        return None

    def _mined(self) -> tuple[int, int]:
        """Returns the last block's number and how many transactions of the account are mined; asks once a block."""
        head = self._head_block().number
        if self._mined_at is None or self._mined_at[0] != head:
            self._mined_at = (head, self._outbox.mined())
        return self._mined_at

    def _confirmed(self, included: _Included) -> Sent:
        attempt, receipt, wanted = included.attempt, included.receipt, self._pace.confirmations
        confirmations = 1 if wanted == 1 else self._head_block().number - receipt.number + 1
        if confirmations < wanted:
            if self._courier.waited_s(attempt) > self._pace.confirmed_s:
                del self._included[attempt.name]  # perhaps it is no longer there: it is looked for anew
            missing_ms = (wanted - max(confirmations, 0) - 1) * self._pace.block_ms
            return Sent(confirmations=confirmations, wanted=wanted, again_ms=missing_ms + self._pace.poll_ms)
        again = receipt if wanted == 1 else self._raw_receipt(attempt.tx_hash)  # it must still be where it was
        del self._included[attempt.name]
        if again is None or again.block_hash != receipt.block_hash:
            return Sent(wanted=wanted, again_ms=self._pace.poll_ms)
        reason = "" if again.succeeded else self._outbox.refusal(attempt, partial(self._refusal, attempt))
        self._courier.done(attempt)
        return Sent(confirmations=confirmations, wanted=wanted, receipt=self._receipt(again, reason))

    def _refusal(self, attempt: Attempt) -> str:
        """Returns why the escrow refuses a deal now: a receipt does not say why it did then."""
        code = calls.check_answer(self._view(CHECK + attempt.data[len(EXECUTE) :]))
        return REASONS.get(code, "reverted")

    def _raw_receipt(self, tx_hash: str) -> RawReceipt | None:
        return read_receipt(self.rpc.call("eth_getTransactionReceipt", tx_hash), tx_hash)

    def _receipt(self, raw: RawReceipt, reason: str) -> Receipt:
        final = self._final
        known = final is not None and final.number == raw.number
        return raw.receipt(final.at_ms if final is not None and known else self._block(raw.number).at_ms, reason)

    # --- Deals ------------------------------------------------------------------------------------------------

    def standing(self, terms: Terms, at_ms: int) -> Standing:
        """Returns what the final chain says of a deal, whoever executed it.

        The block is read before the deal: a deal that is unused after it was so at the block's time.
        """
        asked_s, unused = self._unused.get(terms.deal, (0.0, None))
        if unused is not None and self._now_s() - asked_s < self._pace.unused_s:
            return unused
        final = self._final_block(terms, at_ms)
        executed = self._executed(terms)
        if executed > final.number:
            return Standing(min(final.at_ms, terms.deadline_ms))  # executed, but not finally yet
        if executed > 0:
            return Standing(final.at_ms, self._execution(terms, executed))
        standing = Standing(final.at_ms)
        if self._pace.unused_s > 0:
            _keep(self._unused, terms.deal, (self._now_s(), standing))
        return standing

    def _executed(self, terms: Terms) -> int:
        """Returns the block in which a deal was executed, 0 for none."""
        included = self._included.get(_name(terms))
        if included is not None and included.receipt.succeeded:
            return included.receipt.number
        return int(answer(calls.ESCROW, "executedBlockOf", self._view(calls.executed_block_data(terms))))

    def _final_block(self, terms: Terms, at_ms: int) -> Block:
        self._move(at_ms)
        head = self._head_block()
        late = at_ms if self.clock.virtual else time.time_ns() // 1_000_000
        if self.clock.devnet and head.at_ms <= terms.deadline_ms < late:
            self.rpc.call("devnet_mine")  # an idle devnet makes no blocks, and so no final time, by itself
            head = self._block("latest")
            self._moved(head.at_ms)
        number = max(0, head.number - self._pace.confirmations + 1)
        if self._final is None or self._final.number != number:
            self._final = head if number == head.number else self._block(number)
        return self._final

    def _head_block(self) -> Block:
        """Returns the last block, or the one that was the last a moment ago."""
        now_s = self._now_s()
        if self._head is None or now_s - self._head[0] >= self._pace.head_s:
            self._head = (now_s, self._block("latest"))
        return self._head[1]

    def _execution(self, terms: Terms, number: int) -> Receipt:
        """Finds the transaction that executed a deal in a block: without logs to query, by its receipts."""
        key, block = calls.deal_key(terms.deal), self._block(number)
        for tx_hash in block.transactions:
            raw = self._raw_receipt(tx_hash)
            if raw is None:
                continue
            receipt = raw.receipt(block.at_ms, "")
            events = (calls.executed(log, self.site.escrow) for log in receipt.logs)
            if any(event is not None and event["dealId"] == key for event in events):
                return receipt
        raise ChainUnreachable(f"deal {terms.deal} was executed in block {number}, but no transaction there says so")


def _name(terms: Terms) -> str:
    return f"execute/{terms.deal}"


def _keep(kept: dict[str, T], key: str, value: T) -> None:
    kept.pop(key, None)
    while len(kept) >= KEPT_MAX:
        del kept[next(iter(kept))]
    kept[key] = value
