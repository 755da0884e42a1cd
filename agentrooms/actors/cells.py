"""The Ray actors that host logical actors. A cell is a process; whom it hosts is in its plan.

Each is detached and named, so whoever needs it finds it; Ray makes a dead one anew, and it reads in the log
what it was. Calls to one cell are worked off one after the other.
"""

from __future__ import annotations

from typing import Any

import ray

from agentrooms.actors.lives import Lives
from agentrooms.actors.messages import Message
from agentrooms.actors.plans import Plan
from agentrooms.actors.ray_runtime import Reply
from agentrooms.actors.remote import NAMESPACE, connect_parts, this_process
from agentrooms.chain.spec import ChainSpec

SHARE = 0.001  # of the resource `head`, and of a CPU: actors wait more than they work


class Cell:
    """Hosts the logical actors of one plan.

    One with little time for its answers is made `at_once`, by its address, with all that it must load; others when
    they are first spoken to.
    """

    def __init__(self, scope: str, plan: Plan, chain: ChainSpec, at_once: str = "") -> None:
        self._lives = Lives(plan, connect_parts(scope, chain))
        if at_once:
            self._lives.make(at_once)

    def deliver(self, sender: str, number: int, address: str, message: Message) -> Reply:
        """Lets an actor handle a message."""
        return self._lives.deliver(sender, number, address, message)

    def health(self) -> dict[str, Any]:
        """Returns this process's id and whom it hosts."""
        return {**this_process(), "hosts": self._lives.addresses}


def create(kind: type, scope: str, address: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - see find
    """Returns the handle of a named, detached actor, made now or before, here or by another process.

    `head=True` binds it to the node that has the services; all others are spread over the nodes with CPUs.
    """
    head = options.pop("head", False)
    return (
        ray.remote(kind)
        .options(
            name=f"{scope}/{address}",
            namespace=NAMESPACE,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=options.pop("max_restarts", -1),
            max_task_retries=0,
            num_cpus=0 if head else SHARE,
            resources={"head": SHARE} if head else None,
            scheduling_strategy="DEFAULT" if head else "SPREAD",
            **options,
        )
        .remote(*arguments)
    )
