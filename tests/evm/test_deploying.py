"""Contracts come to be on a chain of others, once, however often it is cut."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentrooms.actors.plans import verifier_plans
from agentrooms.chain.devnet.engine import DEPLOYER_KEY, Genesis
from agentrooms.chain.devnet.node import LiveNode
from agentrooms.chain.devnet.pyevm import PyEvm
from agentrooms.chain.devnet.rpc import Dispatcher
from agentrooms.chain.devnet.transport import InProcess
from agentrooms.chain.evm.chain import ChainMismatch, EvmChain
from agentrooms.chain.evm.deploying import deploy
from agentrooms.chain.evm.rpc import Rpc
from agentrooms.domain import verifier_set
from agentrooms.domain.secp256k1 import address_of
from agentrooms.domain.verifier_set import VerifierSet
from agentrooms.events.vault import MemoryVault
from tests.cli.commands import said

START_MS = 1_767_225_600_000
PLANS = verifier_plans(b"deploying", 1)


def at_once(_s: float) -> None:
    """The node has mined a transaction when it answers: nobody need sleep."""


class Cut(Exception):
    """The program ends here."""


@pytest.fixture(params=[1, 1000])
def rpc(request: pytest.FixtureRequest) -> Iterator[Rpc]:
    """A node that mines as transactions come, in milliseconds or seconds."""
    engine = PyEvm(None, Genesis(ms_per_tick=request.param, start_ms=START_MS))
    clock = iter(range(START_MS + 10_000, START_MS + 10_000_000, 2_000))
    node = LiveNode(engine, lambda: next(clock))
    yield Rpc("http://node/", transport=InProcess(Dispatcher(node)))
    engine.close()


def test_what_is_deployed_passes_the_probe_and_counts_the_set(rpc: Rpc) -> None:
    """By the same account, which also pays for deals here."""
    told: list[str] = []
    addresses = [plan.member.address for plan in PLANS]
    site = deploy(rpc, DEPLOYER_KEY, MemoryVault(), addresses, lambda name, _address: told.append(name), sleep=at_once)
    assert told == ["TestUsdc", "Collection", "Escrow"]
    chain = EvmChain(rpc, site, DEPLOYER_KEY, MemoryVault())
    chain.probe()
    (registered,) = verifier_set.register(VerifierSet(), site.domain, tuple(plan.member for plan in PLANS))
    ours = verifier_set.evolve(VerifierSet(), registered)
    chain.register(ours)
    others = tuple(plan.member for plan in verifier_plans(b"others", 1))
    (theirs,) = verifier_set.register(VerifierSet(), site.domain, others)
    with pytest.raises(ChainMismatch, match="the escrow counts set 1"):
        chain.register(verifier_set.evolve(VerifierSet(), theirs))


def test_cut_after_each_contract_nothing_is_deployed_twice(rpc: Rpc) -> None:
    """The same addresses come out, by three transactions."""
    memory = MemoryVault()
    addresses = [plan.member.address for plan in PLANS]
    lives = 0

    def cut(_name: str, _address: str) -> None:
        nonlocal lives
        lives += 1
        if lives in {1, 3}:
            raise Cut

    for _life in range(2):
        with pytest.raises(Cut):
            deploy(rpc, DEPLOYER_KEY, memory, addresses, cut, sleep=at_once)
    first = deploy(rpc, DEPLOYER_KEY, memory, addresses, cut, sleep=at_once)
    assert deploy(rpc, DEPLOYER_KEY, memory, addresses, cut, sleep=at_once) == first
    assert rpc.number("eth_getTransactionCount", address_of(DEPLOYER_KEY), "latest") == 3


def test_a_key_that_is_none_is_not_repeated() -> None:
    """What it was may be half a key."""
    text = " ".join(said("chain", "deploy", "--url", "http://127.0.0.1:9", "--key", "0xsecret", code=2))
    assert "DEPLOYER_KEY is not a private key" in text
    assert "0xsecret" not in text
