"""The chain of a running system, as an API process opens it beside the process that writes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from agentrooms.actors.remote import MEMORY
from agentrooms.api.holdings import open_holdings
from agentrooms.chain.evm.devnet import site_of
from agentrooms.chain.ledger import LEDGER, LedgerChain
from agentrooms.chain.port import ChainUnreachable
from agentrooms.chain.spec import ChainMode
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted
from agentrooms.events.postgres import migrate_log
from agentrooms.events.postgres_vault import PostgresVault
from agentrooms.live.access import LOG, Running
from tests.domain.samples import USDC, wallet
from tests.evm.market import market

ADA = wallet("ada")


def test_the_ledger_is_followed_as_another_process_writes_it(postgres_dsn: str, fresh_schema: str) -> None:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(fresh_schema)))
        dsn = make_conninfo(postgres_dsn, dbname=fresh_schema)
        try:
            migrate_log(dsn, LOG)
            running = Running(0, dsn, "", "", "")
            with (
                closing(open_holdings(running, LEDGER, ChainMode.LEDGER)) as asked,
                closing(PostgresVault(dsn, LOG, table=MEMORY)) as memory,
            ):
                ledger = LedgerChain(memory)
                assert asked.owner_of(LEDGER.collection, "7") is None
                ledger.mint(LedgerMinted(True, LEDGER.collection, ADA, "7", {"Hat": "Beanie"}))
                assert asked.owner_of(LEDGER.collection, "7") == ADA
                assert asked.is_approved(LEDGER.collection, "7", ADA)
                assert asked.held_traits(LEDGER.collection, "7", {"Hat": "Beanie", "Eyes": "3D"}) == {"Hat": "Beanie"}
                ledger.fund(LedgerFunded(2 * USDC, 3 * USDC, ADA))
                assert asked.money(ADA).balance_usdc_micros == 3 * USDC
                assert asked.money(ADA).allowance_usdc_micros == 2 * USDC
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(fresh_schema)))


def test_a_devnet_is_asked_through_its_address_and_gone_it_is_unreachable(tmp_path: Path) -> None:
    with market("server", tmp_path) as devnet:
        running = Running(0, "", "", "", "", devnet.evm.rpc.url)
        asked = open_holdings(running, site_of(), ChainMode.DEVNET)
        assert asked.is_erc721(site_of().collection)
        assert asked.head().block > 0
    with pytest.raises(ChainUnreachable), closing(asked):
        asked.head()
