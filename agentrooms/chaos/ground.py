"""What a campaign stands on: one Postgres, one Redis and one Ray cluster of two nodes, all its own; a database a seed."""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import psycopg
import ray
from psycopg import sql
from psycopg.conninfo import make_conninfo
from ray._private import auto_init_hook

from agentrooms.services.postgres import Postgres
from agentrooms.services.ray import AUTH_VARIABLES, ENVIRONMENT, HEAD, HEAD_UNITS, NAMESPACE, OBJECT_STORE_BYTES
from agentrooms.services.redis import Redis

NODE_CPUS = 2
HEALTH: dict[str, int] = {  # a killed node refuses to talk at once; one that is only slow has time
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 20_000,
    "health_check_failure_threshold": 3,
}


class Ground:
    """The services. `nodes` is Ray's own cluster in which nodes can be killed."""

    def __init__(self, postgres: Postgres, redis: Redis, nodes: Any, second: Any) -> None:  # noqa: ANN401 - Ray's types
        self.postgres = postgres
        self.redis = redis
        self.dsn = postgres.dsn
        self.redis_url = redis.url
        self._nodes = nodes
        self._second = second
        self._node_wanted = threading.Event()

    @contextmanager
    def database(self) -> Iterator[str]:
        """Gives the connection string of a database that ends with the block."""
        name = f"chaos_{secrets.token_hex(6)}"
        self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield make_conninfo(self.dsn, dbname=name)
        finally:
            self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def kill_node(self) -> bool:
        """Kills the node without services, with all processes on it; returns whether there was one."""
        node, self._second = self._second, None
        if node is not None:
            self._nodes.remove_node(node, allow_graceful=False)
        return node is not None

    def want_node(self) -> None:
        """Asks for a second node again."""
        self._node_wanted.set()

    def tend(self) -> None:
        """Starts the node that is asked for: here, in the main thread, since Linux ends it with the thread that did."""
        if self._node_wanted.is_set():
            self._node_wanted.clear()
            if self._second is None:
                self._second = _add_node(self._nodes, wait=False)

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """Starts the services with their data in the folder; all of them end with the block. For the main thread.

    Within it standard output goes nowhere: Ray writes there whom it has seen die.
    """
    with ExitStack() as ends:
        nowhere = ends.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        ends.enter_context(redirect_stdout(nowhere))
        postgres, redis = Postgres(folder / "postgres"), Redis(folder / "redis")
        ends.callback(postgres.stop)
        postgres.start()
        ends.callback(redis.stop)
        redis.start()
        nodes = ends.enter_context(_cluster())
        yield Ground(postgres, redis, nodes, _add_node(nodes, wait=True))


@contextmanager
def _cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - it imports much that nothing else needs

    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if not any(name in os.environ for name in AUTH_VARIABLES):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # without one Ray writes one to the home folder
    logging.getLogger("ray").setLevel(logging.ERROR)
    auto_init_hook.enable_auto_connect = False  # a thread that outlives the cluster must not join somebody else's
    head = {
        "num_cpus": NODE_CPUS,
        "resources": {HEAD: HEAD_UNITS},
        "include_dashboard": False,
        "object_store_memory": OBJECT_STORE_BYTES,
        "_system_config": HEALTH,
    }
    nodes = Cluster(initialize_head=True, head_node_args=head)
    try:
        ray.init(nodes.address, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()  # type: ignore[no-untyped-call]


def _add_node(nodes: Any, *, wait: bool) -> Any:  # noqa: ANN401 - Ray's types
    return nodes.add_node(
        wait=wait, num_cpus=NODE_CPUS, include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES
    )
