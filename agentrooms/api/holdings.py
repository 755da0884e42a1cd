"""The chain of a running system, asked about people: one client a process."""

from __future__ import annotations

from agentrooms.chain.holdings import Holdings, LedgerHoldings
from agentrooms.chain.spec import ARK_REQUESTS_PER_MINUTE, ChainMode
from agentrooms.domain.site import Site
from agentrooms.events.postgres_vault import PostgresVault
from agentrooms.live.access import LOG, Running


def open_holdings(running: Running, site: Site, mode: ChainMode) -> Holdings:
    """Returns the holdings on a running system's chain; close them at the end."""
    if mode is ChainMode.LEDGER:
        from agentrooms.actors.remote import MEMORY  # noqa: PLC0415 - it brings Ray along

        memory = PostgresVault(running.dsn, LOG, table=MEMORY)
        return LedgerHoldings(memory, memory.close)
    from agentrooms.chain.evm.holdings import EvmHoldings, open_rpc  # noqa: PLC0415 - half a second, and a ledger has none

    limit = ARK_REQUESTS_PER_MINUTE if mode is ChainMode.ARK else None
    return EvmHoldings(open_rpc(running.chain_url, limit), site)
