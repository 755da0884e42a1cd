"""Runs a swarm where it is wanted: in this process or on Ray, its log in memory or in Postgres. Same bytes everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from agentrooms.actors.messages import Committed
from agentrooms.chain.spec import run_spec
from agentrooms.sim.chain_file import chain_file, forget_chain
from agentrooms.sim.engine import Engine
from agentrooms.sim.settings import RunSettings

if TYPE_CHECKING:
    from agentrooms.sim.ray_run import RayRun

Progress = Callable[[Committed], None]


@contextmanager
def finished(
    settings: RunSettings,
    *,
    on_ray: bool = False,
    dsn: str | None = None,
    agents_per_actor: int | None = None,
    progress: Progress | None = None,
    resumed: Callable[[int], None] = lambda _events: None,
) -> Iterator[Engine | RayRun]:
    """Gives the finished run; its log can be read inside the block. With `dsn` the log is in Postgres.

    `resumed` is told how many events a run had when it was cut, if it was. Ray must have been started.
    """
    schema = ""
    if dsn is not None:
        from agentrooms.sim.run_log import prepare  # noqa: PLC0415 - runs in memory need no driver

        schema, events = prepare(dsn, settings)
        if events:
            resumed(events)
        else:
            forget_chain(schema)
    if on_ray:
        with _on_ray(settings, dsn, schema, agents_per_actor) as run:
            run.run(progress)
            yield run
        return
    with _in_process(settings, dsn, schema) as engine:
        engine.run(progress)
        yield engine


@contextmanager
def _in_process(settings: RunSettings, dsn: str | None, schema: str) -> Iterator[Engine]:
    if dsn is None:
        yield Engine(settings)
        return
    from agentrooms.events.log_writer import LogWriter  # noqa: PLC0415 - the same
    from agentrooms.events.postgres_vault import PostgresVault  # noqa: PLC0415 - the same

    with (
        closing(LogWriter(dsn, schema)) as writer,
        closing(PostgresVault(dsn, schema)) as vault,
        closing(PostgresVault(dsn, schema, table="memory")) as memory,
    ):
        spec = run_spec(settings.chain, settings.started_at_ms, chain_file(schema))
        yield Engine(settings, store=writer, vault=vault, memory=memory, chain=spec.open_provided(memory))
    forget_chain(schema)


@contextmanager
def _on_ray(settings: RunSettings, dsn: str | None, schema: str, agents_per_actor: int | None) -> Iterator[RayRun]:
    from agentrooms.actors.service_cells import LogSpec  # noqa: PLC0415 - Ray takes half a second to import
    from agentrooms.services.ray import admit  # noqa: PLC0415 - the same
    from agentrooms.sim.ray_run import ACTOR_BYTES, RayRun  # noqa: PLC0415 - the same

    run = RayRun(settings, LogSpec(dsn, schema), scope=schema, agents_per_actor=agents_per_actor)
    admit(run.processes, ACTOR_BYTES)
    try:
        yield run
    finally:
        run.close()
