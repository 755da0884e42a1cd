"""The logical actors of one process: made when they are first spoken to, thrown away when they fail."""

from __future__ import annotations

import secrets
from collections import OrderedDict

from agentrooms.actors.messages import Message
from agentrooms.actors.plans import Parts, Plan
from agentrooms.actors.ray_runtime import Reply
from agentrooms.actors.runtime import Actor

SENDERS_MAX = 1_000  # loops whose last answer is kept


class Lives:
    """Actors of one plan by address. Each life has a name of its own, so that a loop sees when one has ended."""

    def __init__(self, plan: Plan, parts: Parts) -> None:
        self._plan = plan
        self._parts = parts
        self._process = secrets.token_hex(8)
        self._made = 0
        self._actors: dict[str, tuple[str, Actor]] = {}
        self._answered: OrderedDict[tuple[str, str], tuple[int, Reply]] = OrderedDict()

    @property
    def addresses(self) -> list[str]:
        """Who lives here."""
        return sorted(self._actors)

    def make(self, address: str) -> None:
        """Makes an actor before it is first spoken to."""
        self._actor(address)

    def deliver(self, sender: str, number: int, address: str, message: Message) -> Reply:
        """Lets an actor handle a message, once for each number of a sender. One that fails reads the log in its next life."""
        last = self._answered.get((sender, address))
        if last is not None and last[0] == number:
            return last[1]
        life, actor = self._actor(address)
        try:
            reply = Reply(life, actor.receive(message))
        except BaseException:  # also Ray's cancelling: whatever cut a message short left the actor half changed
            del self._actors[address]
            raise
        self._answered[sender, address] = (number, reply)
        self._answered.move_to_end((sender, address))
        while len(self._answered) > SENDERS_MAX:
            self._answered.popitem(last=False)
        return reply

    def _actor(self, address: str) -> tuple[str, Actor]:
        if address not in self._actors:
            self._made += 1
            self._actors[address] = (f"{self._process}/{self._made}", self._plan.make(address, self._parts))
        return self._actors[address]
