"""The services a command needs for a while: those of the settings, else of our own in the data folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Services:
    """What has been started: Postgres (None without), and how many agents an actor of a swarm may host (None: auto)."""

    dsn: str | None
    agents_per_actor: int | None


@contextmanager
def run_services(*, ray: bool, postgres: bool) -> Iterator[Services]:
    """Starts what is asked for and ends what it started. A running system's Postgres is used, its data left alone."""
    if not ray and not postgres:
        yield Services(None, None)
        return
    from agentrooms.cli.console import talk
    from agentrooms.live.access import database
    from agentrooms.services.settings import load_settings

    settings = load_settings()
    with ExitStack() as ends:
        dsn = None
        if postgres:
            dsn, whose = ends.enter_context(database(settings))
            talk(f"Postgres: {whose}.")
        if ray:
            from agentrooms.services.ray import start_ray

            cluster = start_ray(settings.ray_address, settings.agentrooms_cpus)
            ends.callback(cluster.stop)
            talk(f"Ray: {'started for this run' if cluster.own else cluster.address}.")
        every = settings.agents_per_actor
        yield Services(dsn, None if every == "auto" else int(every))
