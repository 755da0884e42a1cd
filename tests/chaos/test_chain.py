"""The ledger's memory fails in the middle of a write, as a database does when it goes away: it may have kept it or not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from agentrooms.chain.ledger import LedgerChain
from agentrooms.domain.ledger import LedgerFunded
from agentrooms.events.store import StoreError
from agentrooms.events.vault import MemoryVault
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import custom
from tests.chain.test_ledger import GOOD, holdings
from tests.domain.samples import START_MS, case_of, ledger


class Failing(MemoryVault):
    """Says that it failed, `kept` or not."""

    fails, kept = False, False

    def put(self, key: str, secret: bytes) -> None:
        """Keeps a secret, and perhaps says otherwise."""
        if not self.fails or self.kept:
            super().put(key, secret)
        if self.fails:
            raise StoreError("the connection was lost, perhaps after it had done its work")


@pytest.mark.parametrize("kept", [True, False])
def test_a_transaction_in_doubt_is_mined_once(kept: bool) -> None:
    """Whatever is asked next sees what the memory has; sent again, it is mined when it was not."""
    memory = Failing.load(ledger()._memory.export())
    assert isinstance(memory, Failing)
    chain = LedgerChain(memory)
    raw = chain.prepare(GOOD).raw
    memory.fails, memory.kept = True, kept
    with pytest.raises(StoreError):
        chain.send(raw, START_MS)
    memory.fails = False
    assert chain.facts(case_of(), START_MS).deal_used == kept
    chain.fund(LedgerFunded(allowance_usdc_micros=5, balance_usdc_micros=5, wallet="0x" + "9" * 40))
    chain.send(raw, START_MS)
    chain.send(raw, START_MS)
    assert chain.facts(case_of(), START_MS).deal_used
    assert holdings(LedgerChain(memory)) == holdings(chain)


def test_a_ledger_made_anew_has_the_receipts_of_the_one_before() -> None:
    """Deals one after the other: each is judged at its time and not at that of a later one."""
    memory = MemoryVault()
    chain = LedgerChain(memory)
    engine = Engine(replace(custom(206, 3, 3), deal_ms=20_000), memory=memory, chain=chain)
    engine.run()
    hashes = [event.tx_hash for event in engine.room.deals.values() if event.tx_hash is not None]
    again = LedgerChain(memory)
    assert len(hashes) > 1
    assert [again.sent(tx) for tx in hashes] == [chain.sent(tx) for tx in hashes]
    assert holdings(again) == holdings(chain)
