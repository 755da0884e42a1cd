"""A settlement that lies to the room: around the real one, with whatever votes and evidence can be made up."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from agentrooms.actors.messages import Message, Verdict
from agentrooms.actors.plans import verifier_keys
from agentrooms.actors.runtime import Send
from agentrooms.actors.settlement import SettlementActor
from agentrooms.consensus.votes import cast
from agentrooms.domain.deal import Decision, Misbehaviour, Vote
from tests.byzantine.world import FIRST, World
from tests.domain.samples import KEY, NAMES, SET, START_MS

Forge = Callable[[World, Verdict], Iterable[Verdict]]
STRANGER = bytes(32)


class Forger:
    """Passes everything on, but for what the real settlement says of the votes."""

    def __init__(self, world: World, forge: Forge) -> None:
        self._real = SettlementActor(FIRST, "watcher", world.chain, world.vault, SET)
        self._world = world
        self._forge = forge

    def receive(self, message: Message) -> list[Send]:
        """Answers as the real one would, and lies about votes."""
        sends = []
        for send in self._real.receive(message):
            verdict = send.message
            told = self._forge(self._world, verdict) if isinstance(verdict, Verdict) else [verdict]
            sends += [send._replace(message=one) for one in told]
        return sends


def with_forger(world: World, forge: Forge) -> World:
    """Puts the liar in the place of settlement."""
    world.runtime.place(FIRST, lambda: Forger(world, forge))
    return world


def _flipped(vote: Vote) -> Vote:
    other = Decision.REJECT if vote.decision is Decision.APPROVE else Decision.APPROVE
    return replace(vote, decision=other)


def _by_strangers(world: World, verdict: Verdict) -> Verdict:
    votes = (cast(verifier_keys(STRANGER, name), name, world.terms, (), block=0, at_ms=START_MS) for name in NAMES)
    return replace(verdict, votes=tuple(votes))


def _copied(_world: World, verdict: Verdict) -> Verdict:
    four = verdict.votes[:4]
    return replace(verdict, votes=(*four, *four, *(replace(four[0], verifier=name) for name in NAMES[4:])))


def _of_another_deal(world: World, verdict: Verdict) -> Verdict:
    votes = (cast(verifier_keys(KEY, name), name, world.other, (), block=0, at_ms=START_MS) for name in NAMES)
    return replace(verdict, votes=tuple(votes))


VOTES: dict[str, Callable[[World, Verdict], Verdict]] = {
    "by strangers": _by_strangers,
    "copied under other names": _copied,
    "of another deal": _of_another_deal,
    "turned round": lambda _world, verdict: replace(verdict, votes=tuple(map(_flipped, verdict.votes))),
    "too few": lambda _world, verdict: replace(verdict, votes=verdict.votes[:4]),
    "none": lambda _world, verdict: replace(verdict, votes=()),
}
"""What a settlement might tell instead of the votes it has."""


def accusations(world: World, verdict: Verdict) -> tuple[Misbehaviour, ...]:
    """Made-up evidence against honest verifiers, and real votes under a wrong heading."""
    one, other = verdict.votes[:2]
    elsewhere = cast(verifier_keys(KEY, NAMES[0]), NAMES[0], world.other, ("self_trade",), block=0, at_ms=START_MS)
    claims: list[tuple[str, str, tuple[Vote, ...]]] = [
        ("equivocation", one.verifier, (one, _flipped(one))),
        ("equivocation", one.verifier, (one, elsewhere)),
        ("equivocation", one.verifier, (one, one)),
        ("equivocation", one.verifier, (one, other)),
        ("equivocation", one.verifier, (one,)),
        ("attestation_invalid", one.verifier, (replace(one, attestation=other.attestation),)),
        ("attestation_invalid", one.verifier, (one,)),
        ("reasons_malformed", one.verifier, (replace(one, annex=replace(one.annex, reasons=("\ud800",))),)),
        ("silent", one.verifier, ()),
    ]
    return tuple(Misbehaviour(kind=kind, verifier=name, votes=votes) for kind, name, votes in claims)
