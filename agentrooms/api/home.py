"""All that one API process holds: connections to the running system, and nothing that it could not open again."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Protocol, TypeVar

import redis
from fastapi import Depends, Request

from agentrooms.accounts.contacts import Contacts
from agentrooms.accounts.idempotency import Idempotency
from agentrooms.accounts.notifications import Notifications
from agentrooms.accounts.schema import migrate_accounts, open_accounts
from agentrooms.api.asking import Answers, Asking
from agentrooms.api.auth.signing_in import SignIn
from agentrooms.api.holdings import open_holdings
from agentrooms.api.limits import Limits
from agentrooms.api.metadata import ItemReader
from agentrooms.api.reading import Reads
from agentrooms.events.postgres import Connections
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.postgres_vault import PostgresVault
from agentrooms.jobs.analytics import History
from agentrooms.jobs.queue import JobQueue
from agentrooms.jobs.schema import SCHEMA as JOBS
from agentrooms.jobs.schema import migrate_jobs
from agentrooms.live.access import LOG, READ, Running
from agentrooms.live.chain import chosen
from agentrooms.live.inbox import Inbox
from agentrooms.services.folder import DataFolder
from agentrooms.services.outbound import Outbound
from agentrooms.services.redis import client
from agentrooms.services.settings import Settings

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


PATIENCE_S = 5.0  # for a connection, or a database that is away: a request holds a thread meanwhile


class Closing(Protocol):
    """What is closed at the end."""

    def close(self) -> None:
        """Gives back what it holds."""


Part = TypeVar("Part", bound=Closing)


class Home:
    """What requests work with. Opened once a process; close it at the end."""

    def __init__(self, settings: Settings, running: Running, public_url: str) -> None:
        """`public_url` is the origin under which people reach this API."""
        self._ends = ExitStack()
        self.settings = settings
        self.running = running
        self.public_url = public_url
        self.folder = DataFolder(running.folder)
        self.secret = self.folder.secret()
        known = chosen(self.folder)
        assert known is not None, "a running system has chosen its chain"
        self.site, self.chain_mode = known.site, known.mode
        migrate_accounts(running.dsn)
        migrate_jobs(running.dsn)
        self.inbox = self._closed(Inbox(running.dsn, patience_s=PATIENCE_S))
        self.store = self._closed(PostgresLog(running.dsn, LOG, PATIENCE_S))
        self.vault = self._closed(PostgresVault(running.dsn, LOG, patience_s=PATIENCE_S))
        self.reads = self._closed(Reads(running.dsn, READ))
        self.asking = Asking(self.inbox, self._closed(Answers(running.dsn)), self.store, self.reads)
        self.redis: redis.Redis = client(running.redis_url)
        self._ends.callback(self.redis.close)
        self.holdings = self._closed(open_holdings(running, self.site, self.chain_mode))
        self.outbound = Outbound(private=settings.outbound_private)
        self.accounts = accounts = self._closed(open_accounts(running.dsn, patience_s=PATIENCE_S))
        self.sign_in = SignIn(
            accounts, settings, self.secret, public_url, self.site.chain_id, self.holdings.contract_signed
        )
        self.limits = Limits(self.redis, self.secret)
        self.idempotency = Idempotency(accounts, self.secret)
        self.contacts, self.notifications = Contacts(accounts), Notifications(accounts)
        self.jobs = self._closed(JobQueue(running.dsn, patience_s=PATIENCE_S))
        self.history = History(self._closed(Connections(running.dsn, JOBS, PATIENCE_S)))
        gateway = settings.ipfs_gateway
        self.items = ItemReader(
            self.holdings, self.outbound, self.redis, ipfs_gateway=f"{gateway}/ipfs" if gateway else ""
        )

    def _closed(self, part: Part) -> Part:
        self._ends.callback(part.close)
        return part

    @property
    def origins(self) -> frozenset[str]:
        """The origins of pages that may use the API."""
        more = self.settings.allowed_origins
        return frozenset({self.public_url, *(more.split(",") if more else ())})

    @property
    def admins(self) -> frozenset[str]:
        """The wallets that may open and close rooms."""
        wallets = self.settings.admin_wallets
        return frozenset(wallets.lower().split(",")) if wallets else frozenset()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.close()


def home_of(request: Request) -> Home:
    """Returns the home of the application that a request is for."""
    home: Home = request.app.state.home
    return home


HomeDep = Annotated[Home, Depends(home_of)]
