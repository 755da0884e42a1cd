"""The living system of one data folder: its services, its processes on Ray, and how all of it starts and ends.

Everything is rebuilt from Postgres. So a start after a crash is the same start as after a clean end, and the
end has nothing to save: it only leaves no process of its own behind.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import msgspec
import psycopg

from agentrooms.accounts.schema import migrate_accounts
from agentrooms.chain.spec import ChainSpec
from agentrooms.domain.keys import derive_key
from agentrooms.errors import AgentroomsError
from agentrooms.events.postgres import migrate_log
from agentrooms.jobs.schema import migrate_jobs
from agentrooms.live.access import LOG, READ, RUNNING, Running
from agentrooms.live.chain import chain_of
from agentrooms.live.inbox import migrate_inbox
from agentrooms.live.wallets import subkey
from agentrooms.services.folder import DataFolder
from agentrooms.services.postgres import Database, Postgres, connect_or_start
from agentrooms.services.redis import Cache, Redis
from agentrooms.services.redis import connect_or_start as connect_or_start_redis
from agentrooms.services.settings import Settings

if TYPE_CHECKING:
    from agentrooms.actors.plans import RemoteVerifierPlan
    from agentrooms.jobs.service import JobsPlan

SERVICE_ACTORS = 14  # log, chain, settlement, seven verifiers, desk, projector, jobs, one room
PACKED_AGENTS = 100  # agents of a room that a live system reckons with when it packs them by number
T = TypeVar("T")


class DatabaseTaken(AgentroomsError):
    """A database belongs to another installation."""


Say = Callable[[str, float], None]
"""Told each step of the start as it is done, with the seconds it took."""


@contextmanager
def started(settings: Settings, command: str, say: Say) -> Iterator[Running]:
    """Gives a running system; all of it that was started here ends with the block, in whatever way.

    Raises FolderOwned when another process runs one in the data folder, or what a part raises that does not start.
    """
    with ExitStack() as ends:
        folder = ends.enter_context(DataFolder(settings.agentrooms_data).own(command))
        running = folder.path / RUNNING
        running.unlink(missing_ok=True)
        ends.callback(running.unlink, missing_ok=True)
        found = _start(settings, folder, ends, say)
        running.touch(mode=0o600)  # it may hold the database's password
        running.write_bytes(msgspec.json.encode(found))
        yield found


def _start(settings: Settings, folder: DataFolder, ends: ExitStack, say: Say) -> Running:
    """Starts services side by side, Ray in this thread: it sets handlers of signals."""
    database_url = settings.database_url.get_secret_value() if settings.database_url else None
    redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
    if redis_url is None:
        ends.callback(_stop, Redis(folder.redis))
    if database_url is None:
        ends.callback(_stop, Postgres(folder.postgres))
    with ThreadPoolExecutor(2) as pool:  # its end waits until nothing is being started any more
        database: Future[Database] = pool.submit(_timed, say, "postgres", lambda: _database(database_url, folder))
        cache: Future[Cache] = pool.submit(
            _timed, say, "redis", lambda: connect_or_start_redis(redis_url, folder.redis)
        )
        chain = _timed(say, "chain", lambda: ends.enter_context(chain_of(settings, folder)))
        cluster = _timed(say, "ray", lambda: _ray(settings, ends))
        dsn, cache_url = database.result().dsn, cache.result().url
    _timed(say, "actors", lambda: _actors(settings, folder, dsn, cache_url, chain, ends))
    return Running(os.getpid(), dsn, cache_url, cluster, str(folder.path), chain.url)


def _timed(say: Say, what: str, work: Callable[[], T]) -> T:
    begun = time.monotonic()
    done = work()
    say(what, time.monotonic() - begun)
    return done


def _database(url: str | None, folder: DataFolder) -> Database:
    database = connect_or_start(url, folder.postgres)
    migrate_log(database.dsn, LOG)
    migrate_inbox(database.dsn)
    migrate_accounts(database.dsn)
    migrate_jobs(database.dsn)
    claim(database.dsn, installation_id(folder.secret()))
    return database


def claim(dsn: str, installation: str) -> None:
    """Makes a database this installation's. Raises DatabaseTaken when it is another's."""
    with psycopg.connect(dsn) as connection:
        connection.execute("INSERT INTO live.installation (id) VALUES (%s) ON CONFLICT DO NOTHING", [installation])
        found = connection.execute("SELECT id FROM live.installation").fetchone()
    if found != (installation,):
        raise DatabaseTaken(
            "the database holds the system of another installation, with another secret",
            hint="set DATABASE_URL to a database of this one's own, or AGENTROOMS_DATA to the folder it belongs to",
        )


def installation_id(secret: bytes) -> str:
    """Returns what an installation is called where its secret must not be."""
    return subkey(secret, "installation").hex()


def scope_of(secret: bytes) -> str:
    """Returns the scope of an installation's actors: two may share a Ray cluster."""
    return f"live-{installation_id(secret)[:12]}"


def _stop(server: Postgres | Redis) -> None:
    """Stops a server of our own, also when its start was cut or has failed halfway."""
    with suppress(AgentroomsError):
        server.stop()


def _ray(settings: Settings, ends: ExitStack) -> str:
    from agentrooms.services.ray import start_ray  # noqa: PLC0415 - half a second, while the others start

    cluster = start_ray(settings.ray_address, settings.agentrooms_cpus)
    ends.callback(cluster.stop)
    return cluster.address


def remotes(settings: Settings, secret: bytes) -> tuple[RemoteVerifierPlan, ...]:
    """Returns the verifiers that others run. Raises InvalidInput for a list that cannot be used."""
    from agentrooms.actors.plans import RemoteVerifierPlan  # noqa: PLC0415 - see _ray
    from agentrooms.actors.verifier_client import load_remotes  # noqa: PLC0415 - see _ray
    from agentrooms.actors.verifier_wire import caller_key  # noqa: PLC0415 - see _ray

    if settings.verifiers_remote is None:
        return ()
    caller = bytes(caller_key(secret))
    return tuple(RemoteVerifierPlan(one.member, one.url, caller) for one in load_remotes(settings.verifiers_remote))


def jobs_plan(settings: Settings, folder: DataFolder, dsn: str) -> JobsPlan:
    """Returns what the jobs of the system need. Raises InvalidInput for settings of e-mail that cannot be used."""
    from agentrooms.jobs.service import JobsPlan, mailer_of  # noqa: PLC0415 - see _ray

    plan = JobsPlan(
        dsn=dsn,
        log=LOG,
        read=READ,
        data=str(folder.path),
        archive_key=bytes(derive_key(folder.secret(), "installation", "archives")),
        smtp_url=settings.smtp_url.get_secret_value() if settings.smtp_url else None,
        mail_from=settings.mail_from,
        outbound_private=settings.outbound_private,
    )
    mailer_of(plan)
    return plan


def _actors(
    settings: Settings, folder: DataFolder, dsn: str, redis_url: str, chain: ChainSpec, ends: ExitStack
) -> None:
    """Makes the actors that are not there yet; what they do they find in the log."""
    from agentrooms.actors.cells import create  # noqa: PLC0415 - see _ray
    from agentrooms.actors.remote import end  # noqa: PLC0415 - see _ray
    from agentrooms.actors.service_cells import LogSpec, create_services  # noqa: PLC0415 - see _ray
    from agentrooms.live.cells import DESK, DeskCell, LivePlan  # noqa: PLC0415 - see _ray
    from agentrooms.services.ray import admit  # noqa: PLC0415 - see _ray
    from agentrooms.sim.ray_run import ACTOR_BYTES, hosts_for  # noqa: PLC0415 - see _ray

    scope = scope_of(folder.secret())
    end(scope)  # left by a start that was killed, perhaps with other settings, on a cluster that went on
    admit(SERVICE_ACTORS, ACTOR_BYTES)
    ends.callback(end, scope)
    spec = LogSpec(dsn, LOG, redis_url)
    create_services(scope, spec, chain)
    per_actor = None if settings.agents_per_actor == "auto" else int(settings.agents_per_actor)
    hosts = hosts_for(PACKED_AGENTS, per_actor)
    jobs = jobs_plan(settings, folder, dsn)
    plan = LivePlan(scope, spec, chain, folder.secret(), hosts, remotes(settings, folder.secret()), jobs)
    create(DeskCell, scope, DESK, plan, head=True)
