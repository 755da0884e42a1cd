"""Somebody else executes a deal, or nobody does: how it ends in the log is what the chain says, and no clock of ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from agentrooms.chain.contracts.artefact import load
from agentrooms.chain.devnet.engine import CHAIN_ID, DEPLOYER_KEY, Genesis
from agentrooms.chain.devnet.node import CommandNode
from agentrooms.chain.devnet.pyevm import PyEvm
from agentrooms.chain.devnet.rpc import Dispatcher
from agentrooms.chain.devnet.transport import InProcess
from agentrooms.chain.evm.abi import call_data
from agentrooms.chain.evm.devnet import DevnetChain
from agentrooms.chain.evm.rpc import Rpc
from agentrooms.chain.port import Sent, Standing
from agentrooms.chain.spec import ChainMode
from agentrooms.domain.deal import DealCompleted, DealFailed, EscrowSubmitted, FailReason, Terms
from agentrooms.domain.secp256k1 import derive_secret
from agentrooms.events.record import decode_line
from agentrooms.events.vault import MemoryVault
from agentrooms.sim import archive
from agentrooms.sim.audit import audit
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import custom
from tests.chaos.strangers import Account, calldata

SETTINGS = msgspec.structs.replace(
    custom(2, 1, 1), chain=ChainMode.DEVNET, mandate_rounds=(60, 100), deal_ms=20_000
)  # one deal
USDC = load("TestUsdc").abi
ELSEWHERE = "0x" + "e" * 40


class Meddled(DevnetChain):
    """A devnet in virtual time on which others act: when settlement sends, and when the deadline is just not over."""

    def __init__(self) -> None:
        node = CommandNode(PyEvm(None, Genesis(start_ms=SETTINGS.started_at_ms)))
        rpc = Rpc("http://devnet/", transport=InProcess(Dispatcher(node, node)))
        super().__init__(rpc, MemoryVault(), virtual=True)
        self.withheld = False  # what settlement sends
        self.on_send: Callable[[], None] = lambda: None
        self.on_late: Callable[[], object] = lambda: None
        self.stuck: Callable[[], bool] = lambda: False  # asked while nothing is mined
        self.raw = b""

    def send(self, raw: bytes, at_ms: int) -> None:
        """Sends it, after the others have acted, unless it is withheld."""
        self._move(at_ms)
        if not self.raw:
            self.raw = raw
            self.on_send()
        if not self.withheld:
            super().send(raw, at_ms)

    def sent(self, tx_hash: str) -> Sent:
        """Says, when it is so, that the transaction is stuck."""
        sent = super().sent(tx_hash)
        stuck = sent.receipt is None and self.stuck()
        return msgspec.structs.replace(sent, stuck=stuck)

    def standing(self, terms: Terms, at_ms: int) -> Standing:
        """Lets the others act a last time before the chain's time is past the deadline."""
        if at_ms > terms.deadline_ms:
            acted, self.on_late = self.on_late, lambda: None
            acted()
        return super().standing(terms, at_ms)

    def account(self, key: bytes | None = None) -> Account:
        """An account with money for fees."""
        account = Account(self.rpc, CHAIN_ID, *([key] if key is not None else []), virtual=True)
        account.fund()
        self._moved(0)
        return account


class Case:
    """One run with one deal."""

    def __init__(self) -> None:
        self.chain = Meddled()
        self.engine = Engine(SETTINGS, chain=self.chain)

    @property
    def terms(self) -> Terms:
        """The deal's."""
        (deal,) = self.engine.room.deals.values()
        return deal.terms

    def execute(self) -> str:
        """A stranger sends what settlement's transaction has published; returns the hash."""
        tx_hash = self.chain.account().send(self.chain.site.escrow, calldata(self.chain.raw, CHAIN_ID))
        self.chain._moved(0)
        return tx_hash

    def move_money(self) -> None:
        """The buyer moves all money out of the wallet."""
        has = self.chain.balance_usdc_micros(self.terms.buyer_wallet)
        buyer = self.chain.account(derive_secret(self.engine.run_key, "wallet", self.terms.buyer))
        buyer.send(self.chain.site.currency, call_data(USDC, "transfer", ELSEWHERE, has))

    def pay_in(self) -> None:
        """The buyer gets the price of the deal from somewhere."""
        data = call_data(USDC, "mint", self.terms.buyer_wallet, self.terms.price_usdc_micros)
        Account(self.chain.rpc, CHAIN_ID, DEPLOYER_KEY, virtual=True).send(self.chain.site.currency, data)

    def run(self) -> list[object]:
        """Runs to the end; returns what was submitted and how it ended."""
        self.engine.run()
        events = [decode_line(found.event.data).event for found in self.engine.store.read()]
        return [event for event in events if isinstance(event, EscrowSubmitted | DealCompleted | DealFailed)]


def verified(case: Case, folder: Path) -> None:
    """The archive of the run holds all evidence of what happened."""
    archive.write(folder, case.engine)
    assert "; ".join(f"{c.name} at {c.place}: {c.detail}" for c in audit(folder).checks if not c.passed) == ""


def test_a_withheld_transaction_that_a_stranger_sends_completes_the_deal(tmp_path: Path) -> None:
    """From another account, so with another hash; what is swapped is the same, and `verify` accepts it."""
    case = Case()
    done: list[str] = []
    case.chain.withheld = True
    case.chain.on_send = lambda: done.append(case.execute())
    submitted, completed = case.run()
    assert isinstance(submitted, EscrowSubmitted)
    assert isinstance(completed, DealCompleted)
    assert [completed.receipt.tx_hash] == done != [submitted.tx_hash]
    assert case.chain.owner(case.terms.item.token_id) == case.terms.buyer_wallet
    verified(case, tmp_path / "run")


def test_a_deal_that_reverted_is_completed_by_a_stranger_once_the_buyer_has_paid_in_again(tmp_path: Path) -> None:
    """The revert ended nothing: the lock stood."""
    case = Case()
    done: list[str] = []

    def late() -> None:
        case.pay_in()
        done.append(case.execute())

    case.chain.on_send = case.move_money
    case.chain.on_late = late
    submitted, completed = case.run()
    assert isinstance(submitted, EscrowSubmitted)
    assert isinstance(completed, DealCompleted)
    assert [completed.receipt.tx_hash] == done != [submitted.tx_hash]
    assert case.chain.balance_usdc_micros(case.terms.seller_wallet) == case.terms.price_usdc_micros
    verified(case, tmp_path / "run")


def test_a_deal_that_reverted_and_that_nobody_executes_expires_for_the_reason_of_the_revert(tmp_path: Path) -> None:
    """Not for the deadline, which had to pass because of it; and the buyer, who moved the money, is at fault."""
    case = Case()
    case.chain.on_send = case.move_money
    _submitted, failed = case.run()
    assert isinstance(failed, DealFailed)
    assert (failed.reason, failed.detail) == (FailReason.EXPIRED, "balance_too_low")
    assert failed.at_fault == (case.terms.buyer,)
    assert case.engine.room.at_ms(failed.round) > case.terms.deadline_ms
    verified(case, tmp_path / "run")


def test_a_repriced_transaction_is_in_the_log_beside_the_stuck_one(tmp_path: Path) -> None:
    """Of the same nonce, so one of the two is mined; `verify` accepts a deal that was submitted twice."""
    case = Case()
    case.chain.withheld = True

    def looked() -> bool:
        case.chain.withheld = False
        return True

    case.chain.stuck = looked
    first, second, completed = case.run()
    assert isinstance(first, EscrowSubmitted)
    assert isinstance(second, EscrowSubmitted)
    assert isinstance(completed, DealCompleted)
    assert completed.receipt.tx_hash == second.tx_hash != first.tx_hash
    verified(case, tmp_path / "run")
