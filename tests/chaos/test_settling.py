"""A living system on a devnet: whoever dies at whatever step of a deal, and whoever executes it, chain and log agree."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from agentrooms.actors.remote import CHAIN
from agentrooms.chain.contracts.artefact import load
from agentrooms.chain.evm.abi import call_data
from agentrooms.chain.evm.devnet import LIVE_CHAIN_ID, site_of
from agentrooms.chain.evm.receipts import RawReceipt, read_receipt
from agentrooms.chaos.ground import ground
from agentrooms.chaos.matrix import PAIRS, SETTLEMENT, STEPS, VICTIMS, pair
from agentrooms.chaos.processes import is_up
from agentrooms.chaos.settling import SettlingSystem, settling_system
from agentrooms.domain.deal import DealCompleted, DealLocked, EscrowSubmitted, Terms
from agentrooms.events.postgres_vault import PostgresVault
from agentrooms.live.access import LOG
from agentrooms.live.recruiting import BUDGET_USDC_MICROS
from agentrooms.live.wallets import mock_wallet
from tests.chaos.strangers import FEE_WEI, Account, calldata
from tests.measuring import children_unmeasured

SLICE = (26, 111, 160)  # the devnet, the log writer and the room, each at another step
SITE = site_of(LIVE_CHAIN_ID)
USDC = load("TestUsdc").abi


def test_the_pairs_are_all_victims_at_all_steps_and_the_slice_is_of_several() -> None:
    """Each pair once, whatever number they begin with."""
    pairs = {(one.victim, one.step) for one in map(pair, range(1_000, 1_000 + PAIRS))}
    assert pairs == {(victim, step) for victim in VICTIMS for step in STEPS}
    assert len({pair(number).victim for number in SLICE}) == len({pair(number).step for number in SLICE}) == len(SLICE)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SettlingSystem]:
    """One for all tests of the module, on services of its own; its many processes are not measured."""
    folder = tmp_path_factory.mktemp("settling")
    with children_unmeasured(), ground(folder) as services, settling_system(services, folder) as made:
        yield made


@pytest.fixture(scope="module")
def stranger(system: SettlingSystem) -> Account:
    """Somebody with money for fees. It came from the deployer, so the chain's client must count its nonces anew."""
    account = Account(system.rpc, LIVE_CHAIN_ID)
    account.fund()
    system.kill(system.pid_of("", CHAIN))
    system.await_("the chain's client answers", lambda: is_up(system.scope, CHAIN))
    return account


class Held:
    """A deal that is approved and logged, and whose transaction settlement is just about to send."""

    def __init__(self, system: SettlingSystem) -> None:
        self.system = system
        self.room = system.next_room()
        self.pid = system.stop_at(self.room, SETTLEMENT, "settlement.before_send")
        system.send_buyer(self.room)
        system.await_("it is about to be sent", lambda: system.is_stopped(self.pid))

    @property
    def terms(self) -> Terms:
        """The deal's."""
        return next(e.event.terms for e in self.system.events(self.room) if isinstance(e.event, DealLocked))

    @property
    def submitted(self) -> str:
        """The hash of its own transaction."""
        return next(e.event.tx_hash for e in self.system.events(self.room) if isinstance(e.event, EscrowSubmitted))

    def receipt(self) -> RawReceipt | None:
        """The receipt of that, None while it is not mined."""
        return read_receipt(self.system.rpc.call("eth_getTransactionReceipt", self.submitted), self.submitted)

    def execute_by(self, stranger: Account) -> str:
        """Sends the same calldata from another account."""
        with closing(PostgresVault(self.system.dsn, LOG)) as vault:
            return stranger.send(SITE.escrow, calldata(vault.get(self.submitted), LIVE_CHAIN_ID))

    def completed_by(self) -> str:
        """Waits for the end; returns the hash of the transaction that completed the deal."""
        self.system.await_("the deal has ended", lambda: self.system.end_of(self.room) is not None)
        assert self.system.check(self.room) == []
        end = self.system.end_of(self.room)
        assert isinstance(end, DealCompleted)
        return end.receipt.tx_hash


@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize("number", SLICE)
def test_whoever_dies_the_deal_is_executed_once_and_chain_and_log_agree(system: SettlingSystem, number: int) -> None:
    """All pairs: `agentrooms chaos --mode settlement`."""
    struck = system.strike(pair(number))
    assert (struck.hit, struck.end, struck.wrong) == (True, DealCompleted.__name__, ())


@pytest.mark.xdist_group("ray")
def test_a_strangers_execution_completes_a_deal_whose_settlement_died(
    system: SettlingSystem, stranger: Account
) -> None:
    """Its own transaction was never sent by then."""
    held = Held(system)
    done = held.execute_by(stranger)
    system.kill(held.pid)
    assert held.completed_by() == done != held.submitted


@pytest.mark.xdist_group("ray")
def test_a_revert_leaves_the_lock_until_a_stranger_executes(system: SettlingSystem, stranger: Account) -> None:
    """The buyer has moved the money away, and pays in again."""
    held = Held(system)
    buyer = mock_wallet(system.secret, held.terms.buyer)
    stranger.send(buyer.address, b"", FEE_WEI // 10)
    away = call_data(USDC, "transfer", stranger.address, BUDGET_USDC_MICROS)
    Account(system.rpc, LIVE_CHAIN_ID, buyer.key).send(SITE.currency, away)
    system.go_on(held.pid)
    system.await_("its own transaction is mined", lambda: held.receipt() is not None)
    receipt = held.receipt()
    assert receipt is not None
    assert not receipt.succeeded
    assert system.end_of(held.room) is None
    stranger.send(SITE.currency, call_data(USDC, "transfer", buyer.address, BUDGET_USDC_MICROS))
    done = held.execute_by(stranger)
    assert held.completed_by() == done != held.submitted


@pytest.mark.xdist_group("ray")
def test_in_the_end_nothing_is_left_and_every_archive_verifies(system: SettlingSystem) -> None:
    """After all that the tests before have done."""
    assert system.finish() == []
