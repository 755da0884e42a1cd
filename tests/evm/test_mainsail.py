"""Settlement on a network like ARK's, within its limit of requests: slow blocks, lost and replaced transactions."""

from __future__ import annotations

from itertools import pairwise

import pytest

from agentrooms.chain.devnet.engine import RELAYER_KEY
from agentrooms.domain.deal import FailReason
from agentrooms.domain.secp256k1 import address_of
from tests.domain.samples import wallet
from tests.evm.network import OWN, SHARED, Network

VIEWS = 7  # of a deal: one of each verifier


def assert_settled(network: Network) -> None:
    """Each deal is executed once and finally: item and money have moved."""
    evm = network.market.evm
    for name, deal in network.deals.items():
        receipt = network.desk.outcomes[name].receipt
        assert receipt is not None
        assert receipt.succeeded
        assert network.engine.head().number - receipt.block + 1 >= 3
        assert evm.owner(deal.terms.item.token_id) == wallet(deal.buyer)
        assert evm.balance_usdc_micros(wallet(deal.seller)) == deal.terms.price_usdc_micros


@pytest.mark.parametrize("clients", [OWN, SHARED])
def test_one_deal(clients: str) -> None:
    """One view a verifier; settlement needs few requests, and none is turned away."""
    network = Network(clients)
    before = sum(network.requests.values())
    network.run()
    assert_settled(network)
    asked = sum(network.requests.values()) - before
    assert network.refused == 0
    assert asked <= 30
    if clients == OWN:
        assert [count for name, count in network.requests.items() if name != "settlement"] == [1] * VIEWS
    assert network.elapsed_s <= 30 + 3 * 8


@pytest.mark.parametrize(("clients", "every_ms"), [(OWN, 12_000), (SHARED, 30_000)])
def test_a_busy_room_stays_within_the_limit(clients: str, every_ms: int) -> None:
    network = Network(clients, deals=8)
    network.run(every_ms)
    assert_settled(network)
    assert network.refused == 0
    assert sum(network.requests.values()) <= 8 * 30
    assert network.elapsed_s <= 8 * every_ms / 1_000 + 60


@pytest.mark.parametrize("seed", [b"a", b"b", b"c"])
def test_lost_transactions_come_through_in_the_end(seed: bytes) -> None:
    """Two of five that the network accepts are never mined: they are sent again, repriced, and each deal is done once."""
    network = Network(seed=seed, deals=4, lost_percent=40)
    network.run(5_000)
    assert_settled(network)
    assert network.refused == 0
    mined = network.engine.nonce(address_of(RELAYER_KEY))
    assert mined == len(network.deals)  # no nonce was wasted


def test_a_slow_network_gets_dearer_transactions_that_replace_the_old() -> None:
    """Nothing is mined for a minute: the same nonce is sent at a higher price, and one of all is mined."""
    network = Network(blocks_waited=(8, 9))
    network.run()
    assert_settled(network)
    (hashes,) = network.desk.hashes.values()
    assert len(set(hashes)) > 1
    (outcome,) = network.desk.outcomes.values()
    assert outcome.receipt is not None
    attempts = [network.chain._outbox.by_hash(one) for one in hashes]
    assert len({one.nonce for one in attempts}) == 1
    prices = [one.price_wei for one in attempts]
    assert all(later * 10 >= earlier * 11 for earlier, later in pairwise(prices))


def test_a_network_that_mines_nothing_ends_the_deal_by_its_deadline_alone() -> None:
    network = Network(deal_ms=200_000, lost_percent=100)
    network.run()
    (outcome,) = network.desk.outcomes.values()
    assert (outcome.receipt, outcome.reason) == (None, FailReason.EXPIRED)
    assert network.refused == 0
