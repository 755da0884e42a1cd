"""kill -9 of each process that settles, at each step of a deal: all pairs, one deal each, on one living system.

The process that comes to the step stops there, the victim is killed, and the first goes on, unless it is the victim
itself. So a pair hits the same place on every machine.
"""

from __future__ import annotations

from typing import NamedTuple

from agentrooms.actors.plans import verifier_address
from agentrooms.actors.remote import CHAIN, LOG
from agentrooms.domain.verifier_set import VERIFIERS

DEVNET, ROOM, SETTLEMENT = "devnet", "room", "settlement"
_VERIFIERS = tuple(verifier_address(f"verifier_{n}") for n in range(1, VERIFIERS + 1))

VICTIMS = (SETTLEMENT, CHAIN, DEVNET, LOG, ROOM, *_VERIFIERS)
"""By address; `room` stands for the room of the deal, `devnet` is no actor."""


class Step(NamedTuple):
    """A place that a deal passes once, in the process of an address."""

    name: str
    address: str
    point: str


STEPS = (
    Step("locked", ROOM, "room.after_append.deal.locked"),
    Step("signed, verifying", ROOM, "room.after_append.deal.verifying"),
    Step("asked", SETTLEMENT, "settlement.asked"),
    *(Step(f"vote of {address.partition(':')[2]} stored", address, "verifier.after_put") for address in _VERIFIERS),
    Step("transaction prepared", SETTLEMENT, "settlement.before_put"),
    Step("transaction stored", SETTLEMENT, "settlement.after_put"),
    Step("verdict heard", ROOM, "room.before_append.escrow.submitted"),
    Step("submitted in the log", SETTLEMENT, "settlement.before_send"),
    Step("under way to the node", CHAIN, "chain.before_submit"),
    Step("mined, not heard of", CHAIN, "chain.after_submit"),
    Step("sent, no receipt seen", SETTLEMENT, "settlement.after_send"),
    Step("confirmed, not in the log", ROOM, "room.before_append.deal.completed"),
    Step("completed", ROOM, "room.after_append.deal.completed"),
)


class Pair(NamedTuple):
    """Who dies when."""

    number: int
    victim: str
    step: Step

    def __str__(self) -> str:
        return f"{self.victim} dies at: {self.step.name}"


PAIRS = len(VICTIMS) * len(STEPS)


def pair(number: int) -> Pair:
    """Returns a pair by number; any PAIRS numbers in a row are all of them, each with another victim than the last."""
    turn, at = divmod(number % PAIRS, len(VICTIMS))
    return Pair(number, VICTIMS[at], STEPS[(turn + at) % len(STEPS)])
