"""The Ray actors that host logical actors. A cell is a process; whom it hosts is in its plan.

Each is detached and named, so whoever needs it finds it; Ray makes a dead one anew, and it reads in the log
what it was. Calls to one cell are worked off one after the other.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import Any

import ray

from agentrooms.actors.messages import Message
from agentrooms.actors.plans import Plan
from agentrooms.actors.ray_runtime import Reply
from agentrooms.actors.remote import NAMESPACE, Venues, connect_parts, this_process
from agentrooms.actors.runtime import Actor

SENDERS_MAX = 1_000  # loops whose last answer a cell keeps
SHARE = 0.001  # of the resource `head`, and of a CPU: actors wait more than they work


class Cell:
    """Hosts the logical actors of one plan, each made when it is first spoken to."""

    def __init__(self, scope: str, plan: Plan, venues: Venues) -> None:
        self._plan = plan
        self._parts = connect_parts(scope, venues)
        self._life = secrets.token_hex(8)
        self._actors: dict[str, tuple[str, Actor]] = {}
        self._answered: OrderedDict[tuple[str, str], tuple[int, Reply]] = OrderedDict()
        self._made = 0

    def deliver(self, sender: str, number: int, address: str, message: Message) -> Reply:
        """Lets an actor handle a message. One that fails is thrown away: its next life reads the log."""
        last = self._answered.get((sender, address))
        if last is not None and last[0] == number:
            return last[1]
        life, actor = self._actor(address)
        try:
            reply = Reply(life, actor.receive(message))
        except BaseException:
            del self._actors[address]
            raise
        self._answered[sender, address] = (number, reply)
        while len(self._answered) > SENDERS_MAX:
            self._answered.popitem(last=False)
        return reply

    def health(self) -> dict[str, Any]:
        """Returns this process's id and whom it hosts."""
        return {**this_process(), "hosts": sorted(self._actors)}

    def _actor(self, address: str) -> tuple[str, Actor]:
        if address not in self._actors:
            self._made += 1
            self._actors[address] = (f"{self._life}/{self._made}", self._plan.make(address, self._parts))
        return self._actors[address]


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
