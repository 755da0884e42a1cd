"""A running system for one API, without Ray: real desk, rooms, log, projector, Postgres and Redis, in one process.

The desk and its rooms are those of tests/live/world.py, in virtual time, stepped by a thread while it is needed.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import httpx
import msgspec
import psycopg
from eth_account import Account
from eth_account.messages import encode_defunct
from psycopg import sql
from psycopg.conninfo import make_conninfo

from agentrooms.api.app import Application
from agentrooms.api.home import Home
from agentrooms.api.metadata import ItemReader
from agentrooms.chain.holdings import LedgerHoldings
from agentrooms.chain.ledger import LEDGER
from agentrooms.chain.spec import ChainMode
from agentrooms.events.log_writer import LogWriter
from agentrooms.events.postgres import migrate_log
from agentrooms.events.postgres_vault import PostgresVault
from agentrooms.live.access import LOG, READ, Running
from agentrooms.live.chain import CHOSEN, Chosen
from agentrooms.live.inbox import Inbox, migrate_inbox
from agentrooms.projections.projector import Projector
from agentrooms.services.folder import DataFolder
from agentrooms.services.settings import Settings
from tests.live.world import World

ORIGIN = "http://api.test"
IDLE_S = 0.02  # how long the desk waits for a command before it steps again
T = TypeVar("T")


class Steps:
    """Steps the world and the projector until closed; what goes wrong there is raised at the end."""

    def __init__(self, world: World, projector: Projector) -> None:
        self._world, self._projector = world, projector
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._world.step()
                while self._projector.step():
                    pass
                self._world.inbox.await_new(IDLE_S)
        except BaseException as error:  # noqa: BLE001 - raised where the test ends
            self._error = error


@contextmanager
def running_home(postgres_dsn: str, redis_url: str, path: Path, **settings: Any) -> Iterator[Home]:
    """Gives the home of an API over a system of its own; `settings` by their names."""
    with ExitStack() as ends:
        dsn = ends.enter_context(_database(postgres_dsn))
        folder = ends.enter_context(DataFolder(path).own("test"))
        (folder.path / CHOSEN).write_bytes(msgspec.json.encode(Chosen(ChainMode.LEDGER, LEDGER)))
        migrate_log(dsn, LOG)
        migrate_inbox(dsn)
        store = ends.enter_context(closing(LogWriter(dsn, LOG)))
        vault = ends.enter_context(closing(PostgresVault(dsn, LOG)))
        inbox = ends.enter_context(closing(Inbox(dsn)))
        projector = ends.enter_context(closing(Projector(store, dsn, READ)))
        world = World(inbox, store=store, vault=vault)
        ends.enter_context(closing(Steps(world, projector)))
        running = Running(0, dsn, redis_url, "", str(folder.path))
        home = ends.enter_context(Home(Settings(**settings), running, ORIGIN))
        home.holdings = LedgerHoldings(world.memory)
        home.items = ItemReader(home.holdings, home.outbound, home.redis)
        yield home


@contextmanager
def _database(server: str) -> Iterator[str]:
    """Gives a database of its own: the schemas of a system have fixed names."""
    name = sql.Identifier(f"test_{secrets.token_hex(6)}")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            yield make_conninfo(server, dbname=name._obj[0])
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


_APPLICATIONS: WeakKeyDictionary[Home, Application] = WeakKeyDictionary()


def application(home: Home) -> Application:
    """The application of a home; to make one takes as long as many requests."""
    found = _APPLICATIONS.get(home)
    if found is None:
        found = _APPLICATIONS[home] = Application(home)
    return found


def asking(home: Home, script: Callable[[httpx.AsyncClient], Coroutine[Any, Any, T]]) -> T:
    """Runs a script against the home's application."""

    async def run() -> T:
        transport = httpx.ASGITransport(application(home))
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
            return await script(http)

    return asyncio.run(run())


async def sign_in(http: httpx.AsyncClient, key: bytes) -> dict[str, Any]:
    """Signs in as PRD 10.1 says; returns what verify answers."""
    account = Account.from_key(key)
    challenge = (await http.post("/auth/challenge", json={"walletAddress": account.address})).json()
    signature = "0x" + bytes(account.sign_message(encode_defunct(text=challenge["message"])).signature).hex()
    answer = await http.post(
        "/auth/verify",
        json={"walletAddress": account.address, "signature": signature, "nonce": challenge["nonce"]},
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def bearer(access_token: str) -> dict[str, str]:
    """The header of a signed-in request."""
    return {"Authorization": f"Bearer {access_token}"}
