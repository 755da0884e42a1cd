"""Nonces: whatever dies at whatever point, none is skipped, none is used for two, and each name has one transaction."""

from __future__ import annotations

from collections import Counter
from itertools import chain, count, pairwise

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrooms.chain.devnet.engine import CHAIN_ID, RELAYER_KEY, Genesis
from agentrooms.chain.devnet.node import CommandNode
from agentrooms.chain.devnet.pyevm import PyEvm
from agentrooms.chain.devnet.transactions import decode
from agentrooms.chain.evm.courier import Courier, NotFunded
from agentrooms.chain.evm.outbox import (
    ATTEMPTS_MAX,
    GWEI,
    PRICE_MAX_WEI,
    PRICE_MIN_WEI,
    Attempt,
    Outbox,
)
from agentrooms.chain.evm.rpc import Rpc
from agentrooms.chain.port import ChainError, ChainUnreachable
from agentrooms.domain.secp256k1 import address_of
from agentrooms.events.vault import MemoryVault, Vault
from tests.domain.samples import wallet
from tests.evm.market import in_process
from tests.evm.nodes import Killed, Mortal

TO, GAS = wallet("somebody"), 30_000
INCLUSION_S, RESENDS_MAX = 30.0, 5


class Node:
    """One chain in this process with our account, and a clock."""

    def __init__(self, funded: tuple[str, ...] = (address_of(RELAYER_KEY),)) -> None:
        self.engine = PyEvm(None, Genesis(funded=funded))
        self.rpc = in_process(CommandNode(self.engine))
        self.memory = MemoryVault()
        self.now_s = 1_000.0

    def outbox(self, memory: Vault | None = None) -> Outbox:
        return Outbox(self.rpc, CHAIN_ID, RELAYER_KEY, memory if memory is not None else self.memory)

    def courier(self, outbox: Outbox) -> Courier:
        return Courier(self.rpc, outbox, lambda: self.now_s, inclusion_s=INCLUSION_S, resends_max=RESENDS_MAX)

    def mine(self) -> None:
        self.rpc.call("devnet_mine")

    @property
    def nonce(self) -> int:
        return self.engine.nonce(address_of(RELAYER_KEY))

    def is_mined(self, attempt: Attempt) -> bool:
        return self.engine.receipt(attempt.tx_hash) is not None


def made(outbox: Outbox, name: str) -> Attempt:
    return outbox.make(name, TO, name.encode(), GAS)


def test_a_name_has_one_transaction_for_ever() -> None:
    node = Node()
    outbox = node.outbox()
    first, second = made(outbox, "a"), made(outbox, "b")
    assert (first.nonce, second.nonce) == (0, 1)
    assert made(outbox, "a") == first == outbox.make("a", TO, b"other", GAS) == made(node.outbox(), "a")
    assert outbox.by_hash(first.tx_hash) == node.outbox().by_hash(first.tx_hash) == first
    read = decode(first.raw, CHAIN_ID)
    assert (read.sender, read.nonce, read.data, read.gas_price_wei) == (outbox.address, 0, b"a", PRICE_MIN_WEI)
    with pytest.raises(ChainError):
        outbox.by_hash("0x" + "0" * 64)


def work(outbox: Outbox, names: list[str]) -> None:
    """Makes the names' transactions, a successor of the second one, and then others without end."""
    for name in chain(names, map("more_{}".format, count())):
        one = made(outbox, name)
        if name == names[1]:
            outbox.succeed(one)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_around_any_write_no_nonce_is_skipped_or_used_twice(after: bool) -> None:
    """Lives follow each other: each dies at its n-th write; the last one does all that is left."""
    names = [f"deal_{number}" for number in range(4)]
    for writes in range(1, 6):
        node = Node()
        for _life in range(3):
            outbox = node.outbox(Mortal(node.memory, writes, after=after))
            with pytest.raises(Killed):
                work(outbox, names)
        outbox = node.outbox()
        last = [made(outbox, name) for name in names]
        everything = [one for name in names for one in outbox.attempts(name)]
        taken = Counter((one.nonce, one.name) for one in everything)
        assert len({nonce for nonce, _ in taken}) == len(taken) == len(names)
        assert len({one.tx_hash for one in everything}) == len(everything)
        courier, more = node.courier(outbox), [made(outbox, f"more_{number}") for number in range(20)]
        for one in [*more, *last]:
            courier.send(one)
        for _ in range(3):
            node.mine()
        nonces = sorted({one.nonce for one in [*more, *last]})
        assert nonces == list(range(node.nonce))
        assert all(map(node.is_mined, [*more, *last]))


def test_a_memory_that_failed_is_asked_again_in_the_same_life() -> None:
    """A write that raised may have been done or not; the next call finds out."""
    for after in (False, True):
        node = Node()
        outbox = node.outbox(Mortal(node.memory, 2, after=after))
        made(outbox, "a")
        with pytest.raises(Killed):
            made(outbox, "b")
        again, third = made(outbox, "b"), made(outbox, "c")
        assert (again.nonce, third.nonce, len(outbox.attempts("b"))) == (1, 2, 1)


def test_two_lives_at_once_share_no_nonce() -> None:
    """A former life that is slow to end finds its nonces taken, and takes others."""
    node = Node()
    old, new = node.outbox(), node.outbox()
    nonces = [made(outbox, f"{n}").nonce for n in range(4) for outbox in (old, new)]
    assert nonces == [0, 0, 1, 1, 2, 2, 3, 3]
    assert made(old, "x").nonce != made(new, "y").nonce


@settings(max_examples=15)
@given(st.permutations(range(5)))
def test_sent_in_any_order_all_are_mined(order: list[int]) -> None:
    """One that is sent before its predecessors waits for them, and follows by itself."""
    node = Node()
    outbox = node.outbox()
    courier, attempts = node.courier(outbox), [made(outbox, str(number)) for number in range(5)]
    taken = [courier.send(attempts[number]) for number in order]
    assert sum(taken) == 5
    assert taken[-1] >= 1
    node.mine()
    assert all(map(node.is_mined, attempts))
    assert sum(courier.send(one) for one in attempts) == 0


def test_a_nonce_that_nobody_uses_is_filled_and_its_owner_gets_another() -> None:
    """The transaction after it is mined; the late one succeeds to a new nonce."""
    node = Node()
    outbox = node.outbox()
    late, next_ = made(outbox, "late"), made(outbox, "next")
    courier = node.courier(outbox)
    assert courier.send(next_) == 0
    node.now_s += INCLUSION_S - 1
    assert not courier.look_after(next_)
    node.mine()
    assert node.nonce == 0
    node.now_s += 1
    assert not courier.look_after(next_)  # it is not stuck itself
    node.mine()
    assert node.is_mined(next_)
    filler = outbox.latest("fill/0")
    assert filler is not None
    assert node.is_mined(filler)
    read = decode(filler.raw, CHAIN_ID)
    assert (read.to, read.value_wei, read.data, read.nonce) == (outbox.address, 0, b"", late.nonce)
    assert courier.send(late) == 0
    node.now_s += INCLUSION_S
    assert courier.look_after(late)
    again = outbox.succeed(late)
    assert (again.nonce, again.data, again.to) == (2, late.data, late.to)
    courier.send(again)
    node.mine()
    assert node.is_mined(again)
    assert not node.is_mined(late)


def test_a_nonce_whose_owner_still_cares_is_not_filled() -> None:
    node = Node()
    outbox = node.outbox()
    slow, next_ = made(outbox, "slow"), made(outbox, "next")
    courier = node.courier(outbox)
    courier.send(slow)
    courier.send(next_)
    for _ in range(20):
        node.now_s += INCLUSION_S / 4
        courier.look_after(slow)
        assert not courier.look_after(next_)  # what is before it is at fault
    assert outbox.latest("fill/0") is None


def test_a_filler_that_is_lost_is_made_again_dearer() -> None:
    node = Node()
    outbox = node.outbox()
    made(outbox, "never")
    next_ = made(outbox, "next")
    courier = node.courier(outbox)
    courier.send(next_)
    for _ in range(3):
        node.now_s += INCLUSION_S
        courier.look_after(next_)
    fillers = outbox.attempts("fill/0")
    assert [one.price_wei for one in fillers] == sorted({one.price_wei for one in fillers})
    assert len(fillers) == 3
    assert all(b.price_wei * 10 >= a.price_wei * 11 for a, b in pairwise(fillers))


def test_the_node_forgets_and_gets_all_again() -> None:
    """A pool that was lost: the later one is held until the earlier one is there again."""
    node = Node()
    outbox = node.outbox()
    courier, attempts = node.courier(outbox), [made(outbox, str(number)) for number in range(3)]
    for one in attempts:
        courier.send(one)
    node.rpc = in_process(CommandNode(node.engine))
    for raw in node.engine._pool.all():
        node.engine._pool.remove(raw)
    node.now_s += INCLUSION_S / 2
    for one in reversed(attempts):
        courier.look_after(one)
    node.mine()
    assert all(map(node.is_mined, attempts))


def test_resends_double_their_waits_and_end() -> None:
    """Five at most before a transaction counts as stuck."""
    node = Node()
    outbox = node.outbox()
    courier, attempt = node.courier(outbox), made(outbox, "a")
    courier.send(attempt)
    sent_s, start_s = [], node.now_s
    call = node.rpc.call

    def counted(method: str, *params: object) -> object:
        if method == "eth_sendRawTransaction":
            sent_s.append(node.now_s - start_s)
        return call(method, *params)

    node.rpc.call = counted  # type: ignore[method-assign]
    stuck = []
    for _ in range(320):
        node.now_s += 0.1
        stuck.append(courier.look_after(attempt))
    assert [round(at, 1) for at in sent_s] == [1.0, 1.9, 3.8, 7.5, 15.0]
    assert stuck.index(True) == 299


def test_a_successor_takes_the_nonce_at_a_tenth_more_at_least() -> None:
    node = Node()
    outbox = node.outbox()
    courier, first = node.courier(outbox), made(outbox, "a")
    courier.send(first)
    second = outbox.succeed(first)
    assert outbox.succeed(first) == second == made(outbox, "a")
    assert (second.nonce, second.data) == (first.nonce, first.data)
    assert second.price_wei * 10 >= first.price_wei * 11
    courier.send(second)
    node.mine()
    assert (node.is_mined(first), node.is_mined(second)) == (False, True)
    assert courier.send(first) == 0


def test_prices_have_a_floor_a_cap_and_an_end() -> None:
    node = Node()
    outbox = node.outbox()
    attempt = made(outbox, "a")
    assert attempt.price_wei == PRICE_MIN_WEI == 5 * GWEI
    while outbox.may_succeed(attempt):
        attempt = outbox.succeed(attempt)
    assert attempt.number + 1 == ATTEMPTS_MAX
    with pytest.raises(ChainError, match="not mined after 20 transactions"):
        outbox.succeed(attempt)


@pytest.mark.parametrize(("asked", "paid"), [(1, PRICE_MIN_WEI), (7 * GWEI, 7 * GWEI), (PRICE_MAX_WEI, PRICE_MAX_WEI)])
def test_what_the_node_asks_is_paid_within_bounds(asked: int, paid: int) -> None:
    assert Outbox(_asking(asked), CHAIN_ID, RELAYER_KEY, MemoryVault()).price_wei() == paid


def test_a_node_that_asks_too_much_is_not_paid() -> None:
    with pytest.raises(ChainError, match="is the most we pay"):
        Outbox(_asking(PRICE_MAX_WEI + 1), CHAIN_ID, RELAYER_KEY, MemoryVault()).price_wei()


def _asking(price_wei: int) -> Rpc:
    answer = httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": hex(price_wei)})
    return Rpc("http://node", transport=httpx.MockTransport(lambda _: answer))


def test_an_account_without_funds_is_told_so_and_goes_on_when_it_has_some() -> None:
    node = Node(funded=(wallet("rich"),))
    outbox = node.outbox()
    courier, attempt = node.courier(outbox), made(outbox, "a")
    with pytest.raises(NotFunded, match=rf"{outbox.address} has 0 wei, a may cost {attempt.cost_wei}") as refused:
        courier.send(attempt)
    assert isinstance(refused.value, ChainUnreachable)  # asked again it may
    assert "funds" in refused.value.hint
