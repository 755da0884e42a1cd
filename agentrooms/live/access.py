"""The way to a data folder's databases: those of the system that runs in it, or our own for as long as they are needed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec
from nacl.signing import SigningKey

from agentrooms.domain.keys import derive_key
from agentrooms.errors import AgentroomsError
from agentrooms.events.postgres import migrate_log
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.postgres_vault import PostgresVault
from agentrooms.live.wallets import room_key
from agentrooms.services.folder import DataFolder
from agentrooms.services.postgres import connect_or_start
from agentrooms.services.settings import Settings, load_settings

LOG, READ = "log", "read"  # schemas of a living system, beside its inbox
RUNNING = "running.json"


class NotRunning(AgentroomsError):
    """No system runs in the data folder."""


class Running(msgspec.Struct, frozen=True):
    """Where the parts of a running system are; written by it once all of them are up."""

    pid: int
    dsn: str
    redis_url: str
    ray_address: str
    path: str
    chain_url: str = ""
    """Of the chain's node; a ledger has none."""

    @property
    def folder(self) -> Path:
        """The data folder."""
        return Path(self.path)


def running(settings: Settings) -> Running:
    """Returns where the system of the settings' data folder is. Raises NotRunning."""
    return running_in(DataFolder(settings.agentrooms_data))


def running_in(folder: DataFolder) -> Running:
    """Returns where the system of a data folder is. Raises NotRunning."""
    owner = folder.owner()
    with contextlib.suppress(OSError, msgspec.DecodeError):
        found = msgspec.json.decode((folder.path / RUNNING).read_bytes(), type=Running)
        if owner is not None and found.pid == owner.pid:
            return found
    state = "is just starting" if owner is not None else "does not run"
    raise NotRunning(
        f"the system of {folder.path} {state}",
        hint="start it with `agentrooms up` in another terminal" if owner is None else "try again in a moment",
    )


@contextlib.contextmanager
def database(settings: Settings) -> Iterator[tuple[str, str]]:
    """Gives a connection string, and in words whose database it is; one started here ends with the block."""
    if settings.database_url is not None:
        yield connect_or_start(settings.database_url.get_secret_value(), settings.agentrooms_data).dsn, "DATABASE_URL"
        return
    try:
        found = running(settings)
    except NotRunning:
        with DataFolder(settings.agentrooms_data).own("agentrooms (a command that needs the database)") as folder:
            own = connect_or_start(None, folder.postgres)
            try:
                yield own.dsn, f"started for this command in {settings.agentrooms_data}"
            finally:
                own.stop()
        return
    yield found.dsn, f"that of the system running in {settings.agentrooms_data}"


@dataclass(frozen=True, slots=True)
class LiveLog:
    """The log of a living system with all that its operator may open."""

    store: PostgresLog
    vault: PostgresVault
    secret: bytes
    whose: str
    """Whose database it is, in words."""

    def signing_key(self) -> SigningKey:
        """Returns the key that this installation signs archives with."""
        return derive_key(self.secret, "installation", "archives")

    def room_key(self, room: str) -> bytes:
        """Returns the key that orders a room's acts and drives its agents' dice."""
        return room_key(self.secret, room)


@contextlib.contextmanager
def live_log() -> Iterator[LiveLog]:
    """Gives the log of the data folder's system, whether it runs or not."""
    settings = load_settings()
    with database(settings) as (dsn, whose):
        migrate_log(dsn, LOG)
        with closing(PostgresLog(dsn, LOG)) as store, closing(PostgresVault(dsn, LOG)) as vault:
            yield LiveLog(store, vault, DataFolder(settings.agentrooms_data).secret(), whose)
