"""The network of the tests behaves as a network does, and the same each time."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from agentrooms.chain.devnet.engine import (
    DEPLOYER_KEY,
    GAS_PRICE_MIN_WEI,
    START_MS,
    TX_GAS_MAX,
    Engine,
    Genesis,
)
from agentrooms.chain.devnet.mainsail import CHAIN_ID, Mainsail, Rules, VirtualClock
from agentrooms.chain.devnet.pyevm import PyEvm
from agentrooms.chain.devnet.transport import InProcess
from agentrooms.domain.secp256k1 import address_of
from tests.devnet.contracts import signed

NOBODY, BLOCK_MS = "0x" + "11" * 20, 8000


class Network:
    """A network, its clock, and a client of it that nobody counts."""

    def __init__(self, seed: bytes = b"", engine: Engine | None = None, **rules: Any) -> None:
        self.engine = engine or PyEvm(None, Genesis(chain_id=CHAIN_ID))
        self.clock = VirtualClock(START_MS)
        self.mainsail = Mainsail(self.engine, self.clock, seed=seed, rules=Rules(**{"requests_max": 10**9, **rules}))
        self.http = httpx.Client(transport=InProcess(self.mainsail), base_url="http://mainsail")

    def ask(self, method: str, *params: object) -> Any:
        answer = self.http.post("/", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).json()
        return answer.get("result", answer.get("error", {}).get("message"))

    def send(self, nonce: int = 0, percent: int = 100, gas: int = 21_000) -> str:
        price = GAS_PRICE_MIN_WEI * percent // 100
        raw = signed(self.engine, NOBODY, nonce=nonce, gas=gas, gas_price=price)
        return str(self.ask("eth_sendRawTransaction", "0x" + raw.hex()))

    def mined_in(self, transaction_hash: str, within_ms: int = 60_000) -> int | None:
        """Returns after how many milliseconds the transaction has a receipt."""
        begin = self.clock()
        while self.clock() - begin < within_ms:
            if self.ask("eth_getTransactionReceipt", transaction_hash) is not None:
                return self.clock() - begin
            self.clock.advance(500)
        return None


def test_blocks_come_every_eight_seconds_whether_or_not_they_hold_anything() -> None:
    network = Network()
    network.clock.advance(BLOCK_MS - 1)
    assert network.ask("eth_blockNumber") == "0x0"
    network.clock.advance(1 + 4 * BLOCK_MS)
    assert network.ask("eth_blockNumber") == "0x5"
    assert network.ask("eth_getBlockByNumber", "0x5", False)["timestamp"] == hex(START_MS + 5 * BLOCK_MS)
    assert int(network.ask("eth_chainId"), 16) == 11812
    assert network.ask("devnet_mine") == "the method 'devnet_mine' does not exist"


def test_a_transaction_waits_eight_to_twenty_four_seconds() -> None:
    network, waits = Network(b"waits"), []
    for nonce in range(12):
        network.clock.advance(700)
        waits.append(network.mined_in(network.send(nonce)))
    assert all(wait is not None and 8000 <= wait <= 24_000 for wait in waits), waits
    assert len({wait // BLOCK_MS for wait in waits if wait}) == 2


def test_the_same_seed_gives_the_same_chain() -> None:
    def head(seed: bytes) -> str:
        network = Network(seed, lost_percent=30)
        for nonce in range(8):
            network.send(nonce)
        network.clock.advance(40_000)
        return str(network.ask("eth_getBlockByNumber", "latest", False)["hash"])

    assert head(b"a") == head(b"a")
    assert len({head(bytes([seed])) for seed in range(4)}) > 1


def test_a_lost_transaction_is_accepted_and_never_mined_and_takes_those_after_it_along() -> None:
    network = Network(lost_percent=100)
    first, second = network.send(0), network.send(1)
    assert network.mined_in(first) is None
    assert network.mined_in(second) is None
    assert network.send(1).startswith("nonce 1 leaves a gap; the next one is 0")
    assert network.send(0) == first  # the network knows nothing of it any more
    assert network.ask("eth_getTransactionCount", address_of(DEPLOYER_KEY), "latest") == "0x0"


def test_a_lost_transaction_may_come_through_when_sent_again() -> None:
    network = Network(b"again", lost_percent=50)
    for _ in range(20):
        if network.mined_in(network.send(0), 30_000) is not None:
            break
    assert network.ask("eth_getTransactionCount", address_of(DEPLOYER_KEY), "latest") == "0x1"


def test_a_replacement_pays_a_tenth_more_and_the_replaced_one_is_never_mined() -> None:
    network = Network()
    old = network.send(0)
    assert "is already in the pool" in network.send(0)
    assert "does not replace" in network.send(0, percent=109)
    new = network.send(0, percent=110)
    assert network.mined_in(new) is not None
    assert network.ask("eth_getTransactionReceipt", old) is None
    assert "nonce 0 is used" in network.send(0, percent=200)


def test_transactions_that_fill_blocks_wait_for_the_next() -> None:
    network = Network(blocks_waited=(2, 2))
    hashes = [network.send(nonce, gas=TX_GAS_MAX) for nonce in range(5)]
    network.clock.advance(4 * BLOCK_MS)
    found = [network.ask("eth_getTransactionReceipt", one)["blockNumber"] for one in hashes]
    assert found == ["0x2", "0x2", "0x3", "0x3", "0x4"]


def test_a_sender_s_pool_is_bounded() -> None:
    network = Network(sender_max=3)
    answers = [network.send(nonce) for nonce in range(4)]
    assert [answer.startswith("0x") and len(answer) == 66 for answer in answers] == [True, True, True, False]


@pytest.mark.parametrize("who", ["a", "b"])
def test_a_hundred_requests_a_minute_and_client(who: str) -> None:
    engine, clock = PyEvm(None, Genesis(chain_id=CHAIN_ID)), VirtualClock(START_MS)
    mainsail = Mainsail(engine, clock)
    http = {name: httpx.Client(transport=InProcess(mainsail, name), base_url="http://mainsail") for name in "ab"}
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    assert {http[who].post("/", json=body).status_code for _ in range(100)} == {200}
    clock.advance(59_000)
    refused = http[who].post("/", json=body)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert http["b" if who == "a" else "a"].post("/", json=body).status_code == 200
    clock.advance(1000)
    assert http[who].post("/", json=body).status_code == 200
