"""One real deal before seven verifiers, some of them faulty: what each said, what counted, and how it ended.

Agents of a small run negotiate until two of them agree; from then on it is watched who says what to settlement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from agentrooms.actors.messages import AskVote, Message, VoteCast
from agentrooms.actors.plans import Parts, VerifierPlan, verifier_address
from agentrooms.actors.runtime import Actor, Send
from agentrooms.chaos.faults import Fault, FaultyPlan
from agentrooms.consensus.certificate import check_certificate
from agentrooms.consensus.evidence import is_proof
from agentrooms.consensus.protocol import ASK_TIMEOUT_MS, ASKS_MAX, Tally, receive
from agentrooms.consensus.votes import attestation_digest, fault_of, is_authentic, statement_of
from agentrooms.domain import secp256k1
from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import (
    Deal,
    DealCertified,
    DealFailed,
    Decision,
    Misbehaviour,
    VerifierAccused,
    Vote,
)
from agentrooms.domain.event import Event
from agentrooms.domain.ids import draw
from agentrooms.domain.keys import verify
from agentrooms.domain.room import Room
from agentrooms.events.record import decode_line
from agentrooms.events.vault import MemoryVault
from agentrooms.language import ScriptedNarrator
from agentrooms.sim.engine import Engine
from agentrooms.sim.genesis import Genesis
from agentrooms.sim.settings import PERMILLE, preset

PRESET = "small_test"


class Said(msgspec.Struct, frozen=True):
    """A vote as it came to settlement. `attested` is None for a rejection, `why` says why a vote does not count."""

    by: str
    after_ms: int
    vote: Vote
    signed: bool
    attested: bool | None
    counted: bool
    why: str


class Hearing(msgspec.Struct, frozen=True):
    """How a deal went. `executed` tells whether the chain moved item and money; `detail` why it did not."""

    room: Room
    deal: Deal
    faults: dict[str, Fault]
    verifiers: tuple[str, ...]
    said: tuple[Said, ...]
    certificate: DealCertified | None
    proved: bool
    accused: tuple[Misbehaviour, ...]
    found: tuple[Misbehaviour, ...]
    executed: bool
    detail: str


def draw_faults(seed: int, number: int, kinds: tuple[Fault, ...] = ()) -> dict[str, Fault]:
    """Returns who is faulty and how: drawn from the seed; of `kinds` in turn when some are named."""
    genesis = Genesis(preset(PRESET, seed))
    names = sorted((plan.name for plan in genesis.verifier_plans), key=lambda name: draw(genesis.run_key, "liar", name))
    mixed = sorted(Fault, key=lambda fault: draw(genesis.run_key, "fault", fault))
    chosen = kinds or tuple(mixed)
    return {name: chosen[n % len(chosen)] for n, name in enumerate(names[:number])}


def hear(seed: int, faults: Mapping[str, Fault], *, underfunded: bool = False) -> Hearing:
    """Plays one deal to its end; with `underfunded` its buyer cannot pay."""
    settings = preset(PRESET, seed)
    if underfunded:
        settings = msgspec.structs.replace(settings, underfunded_permille=PERMILLE)
    memory = MemoryVault()
    engine = Engine(settings, memory=memory)
    parts = Parts(engine.store, engine.vault, memory, engine.chain, ScriptedNarrator())
    record = _Record(engine)
    for plan in engine.genesis.verifier_plans:
        engine.runtime.place(verifier_address(plan.name), partial(_make, plan, faults.get(plan.name), parts, record))
    while not engine.room.deals or next(iter(engine.room.deals.values())).live:
        assert engine.runtime.step(), "a run ends when its room has closed, and no deal outlives that"
    return record.hearing(next(iter(engine.room.deals.values())), dict(faults))


def _make(plan: VerifierPlan, fault: Fault | None, parts: Parts, record: _Record) -> Actor:
    address = verifier_address(plan.name)
    actor = plan.make(address, parts) if fault is None else FaultyPlan(fault, plan).make(address, parts)
    return _Witness(plan.name, actor, record.note)


class _Witness:
    """Notes what a verifier sends."""

    def __init__(self, name: str, actor: Actor, note: Callable[[str, AskVote, list[Send]], None]) -> None:
        self._name = name
        self._actor = actor
        self._note = note

    def receive(self, message: Message) -> list[Send]:
        """Passes a question on."""
        assert isinstance(message, AskVote)
        sends = self._actor.receive(message)
        self._note(self._name, message, sends)
        return sends


class _Record:
    """All that was sent about the run's first deal."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._asked_ms: int | None = None
        self._sent: list[tuple[int, str, Vote]] = []

    def note(self, name: str, asked: AskVote, sends: list[Send]) -> None:
        """Keeps votes with the time at which they arrive."""
        if asked.terms.deal != next(iter(self._engine.room.deals)):
            return
        now_ms = self._engine.runtime.now_ms
        self._asked_ms = now_ms if self._asked_ms is None else self._asked_ms
        votes = ((send.delay_ms, send.message.vote) for send in sends if isinstance(send.message, VoteCast))
        self._sent += [(now_ms + delay_ms - self._asked_ms, name, vote) for delay_ms, vote in votes]

    def hearing(self, deal: Deal, faults: dict[str, Fault]) -> Hearing:
        """Returns what was seen, with the reason why each vote counted or not."""
        engine, terms = self._engine, deal.terms
        verifiers = engine.genesis.verifiers
        tally, said = Tally(terms, verifiers), []
        for after_ms, name, vote in sorted(self._sent, key=lambda sent: sent[0]):
            over = not tally.silent or after_ms >= ASKS_MAX * ASK_TIMEOUT_MS
            after = tally if over else receive(tally, vote)
            counted = vote in after.votes.values() and vote not in tally.votes.values()
            why = "" if counted else _why_not(name, vote, tally, over=over)
            said.append(_said(name, after_ms, vote, tally, counted=counted, why=why))
            tally = after
        events = [event for event in self._events() if getattr(event, "deal", None) == terms.deal]
        certificate = next((event for event in events if isinstance(event, DealCertified)), None)
        accused = tuple(event.evidence for event in events if isinstance(event, VerifierAccused))
        assert all(is_proof(evidence, terms, verifiers) for evidence in accused)
        return Hearing(
            room=engine.room,
            deal=deal,
            faults=faults,
            verifiers=tuple(verifier.id for verifier in verifiers.verifiers),
            said=tuple(said),
            certificate=certificate,
            proved=certificate is not None
            and check_certificate(certificate.votes, certificate.decision, terms, verifiers) is None,
            accused=accused,
            found=tally.evidence,
            executed=engine.chain.standing(terms, 0).executed is not None,
            detail=next((event.detail for event in events if isinstance(event, DealFailed)), ""),
        )

    def _events(self) -> list[Event]:
        return [decode_line(found.event.data).event for found in self._engine.store.read()]


def _said(name: str, after_ms: int, vote: Vote, tally: Tally, *, counted: bool, why: str) -> Said:
    approving = vote.decision is Decision.APPROVE
    attested = _is_attested(vote, tally) if approving or vote.attestation else None
    return Said(name, after_ms, vote, _is_signed(vote, tally), attested, counted, why)


def _why_not(name: str, vote: Vote, tally: Tally, *, over: bool) -> str:
    """Returns why a vote does not count, in the order in which the collector looks."""
    if vote.verifier != name and not _is_signed(vote, tally):
        return "in another's name"
    if not _is_signed(vote, tally):
        return "not signed for this deal"
    if not is_authentic(vote, tally.terms, tally.verifiers):
        return "annex not as signed, or too long"
    fault = fault_of(vote, tally.terms, tally.verifiers)
    if fault:
        return fault.replace("_", " ")
    known = tally.votes.get(vote.verifier)
    if known is not None:
        return "counted already" if known.decision is vote.decision else "contradicts its first vote"
    return "too late" if over else ""


def _is_signed(vote: Vote, tally: Tally) -> bool:
    key = tally.verifiers.key_of(vote.verifier)
    statement = canonical(statement_of(tally.terms, vote.decision))
    return key is not None and verify(key, statement, vote.signature)


def _is_attested(vote: Vote, tally: Tally) -> bool:
    member = tally.verifiers.member(vote.verifier)
    signer = secp256k1.recover(attestation_digest(tally.terms), vote.attestation)
    return member is not None and signer == member.address
