"""Homes of an API whose chain is the demo's ledger with its items, or a real EVM with a deal on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentrooms.api.home import Home
from agentrooms.api.metadata import ItemReader
from agentrooms.chain.holdings import Holdings, LedgerHoldings
from agentrooms.chain.ledger import LedgerChain, Provided
from agentrooms.chain.spec import ChainMode
from agentrooms.domain.ledger import LedgerMinted
from agentrooms.events.vault import MemoryVault
from agentrooms.live.commands import SeedDemo
from agentrooms.projections import queries
from tests.api.system import running_home
from tests.evm.market import Market, market
from tests.evm.test_holdings import holdings_of


@contextmanager
def demo_home(postgres_dsn: str, redis_url: str, path: Path) -> Iterator[Home]:
    """A home over the demo: the log knows its items, and so does the ledger."""
    with running_home(postgres_dsn, redis_url, path, requests_per_minute=100_000) as home:
        home.asking.ask(SeedDemo(id="seed"))
        rows = home.reads.run(lambda connection: queries.nfts(connection, limit=queries.PAGE_MAX))
        memory = MemoryVault()
        LedgerChain(memory).provide(
            Provided(
                "demo",
                mints=tuple(
                    LedgerMinted(True, row.collection, row.owner or "", row.token_id, row.traits or {}) for row in rows
                ),
            )
        )
        use(home, LedgerHoldings(memory))
        yield home


@contextmanager
def evm_home(postgres_dsn: str, redis_url: str, path: Path) -> Iterator[tuple[Home, Market]]:
    """A home whose chain is an EVM in this process; the log knows none of its items."""
    path.mkdir(exist_ok=True)
    with (
        market("pyevm", path) as evm,
        running_home(postgres_dsn, redis_url, path / "data", requests_per_minute=100_000) as home,
    ):
        home.site, home.chain_mode = evm.chain.site, ChainMode.DEVNET
        use(home, holdings_of(evm))
        yield home, evm


def use(home: Home, holdings: Holdings) -> None:
    """Lets a home ask another chain."""
    home.holdings = holdings
    home.items = ItemReader(holdings, home.outbound, home.redis)
