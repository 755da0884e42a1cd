"""A real room actor on a real store; the test plays its hosts, its settlement and the people."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from agentrooms.actors.hosting import Hosting
from agentrooms.actors.messages import Accepted, Acts, Committed, Decide, Message, Refused, Spawn, Tick
from agentrooms.actors.room import RoomActor, RoomConfig
from agentrooms.actors.runtime import Send
from agentrooms.chain.ledger import LEDGER
from agentrooms.domain.acceptance import AgentKeys
from agentrooms.domain.act import Act, Reason
from agentrooms.domain.deal import Acceptance, Terms
from agentrooms.domain.event import Event
from agentrooms.domain.posting import Venue, quote_id
from agentrooms.domain.terms import ActKind
from agentrooms.domain.user import WalletBudgeted
from agentrooms.events.journal import Entry, Journal
from agentrooms.events.keyring import Keyring
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.store import EventStore
from agentrooms.events.vault import MemoryVault, put_mandate
from agentrooms.language import ScriptedNarrator
from tests.domain import samples
from tests.domain.samples import KEY, SET, USDC

BUYERS = {f"agent_b{n}": samples.buyer_mandate(f"b{n}") for n in range(3)}
SELLERS = {f"agent_s{n}": samples.seller_mandate(f"s{n}", item=samples.item(n)) for n in (1, 2)}
MANDATES = {**BUYERS, **SELLERS}
HOST_A, HOST_B = (f"host:{samples.ROOM}:{n}" for n in (0, 1))
Kind = TypeVar("Kind", bound=Message)


def keys_of(agent: str) -> AgentKeys:
    """The keys of an agent, which are named after its wallet."""
    return samples.agent_keys(agent.removeprefix("agent_"))


def words_for(terms: Terms) -> tuple[Acceptance, Acceptance]:
    """What both agents of a deal say to it."""
    return samples.acceptances(terms, terms.buyer.removeprefix("agent_"), terms.seller.removeprefix("agent_"))


class Stage:
    """One room with three buyers and two sellers, who have joined in round 1."""

    def __init__(
        self, store: EventStore | None = None, room: str = samples.ROOM, budget: int = 100, *, patient: bool = True
    ) -> None:
        self.store = store if store is not None else MemoryEventStore()
        self.vault = MemoryVault()
        if self.store.head() == 0:
            budgets = [WalletBudgeted(m.mandate.principal, budget * USDC) for m in BUYERS.values()]
            Journal(self.store).append([Entry(b) for b in budgets], at_ms=0, cmd="budgets")
        Journal(self.store, room).append([Entry(samples.opened(room))], at_ms=0, cmd=f"open:{room}")
        self.memory = MemoryVault()
        for agent, mandate in MANDATES.items():
            put_mandate(self.vault, mandate)
            self.memory.put(*Keyring(self.memory, KEY).seal(agent, keys_of(agent)))
        self.config = RoomConfig(
            room=room,
            hosting=Hosting(room, 2),
            settlement="settlement",
            watcher="watcher",
            venue=Venue(LEDGER, 1, 50_000),
            run_key=KEY,
            patient=patient,
        )
        self.actor = self.make()
        self.sends: list[Send] = []  # all there were
        self.round = 0
        for agent, mandate in MANDATES.items():
            self.tell(Spawn(msgspec.structs.replace(samples.spawned(agent, mandate), swarm="swarm_1")))
        self.play()

    def make(self) -> RoomActor:
        """The room actor, built from the log."""
        return RoomActor(self.config, self.store, self.vault, ScriptedNarrator(), SET)

    def tell(self, message: Message) -> list[Send]:
        """Delivers one message."""
        sends = self.actor.receive(message)
        self.sends += sends
        return sends

    def play(self, *acts: Act, late: tuple[Act, ...] = (), words: tuple[Accepted, ...] = ()) -> list[Send]:
        """Runs one round with these acts and words for deals of the first host and `late` acts of the last."""
        self.round += 1
        sends = self.tell(Tick(self.round))
        hosts = [s.to for s in sends if isinstance(s.message, Decide)]
        for host in hosts:
            assert events(sends) == []
            said = (*(acts if host == hosts[0] else ()), *(late if host == hosts[-1] else ()))
            sends = self.tell(Acts(self.round, host, said, words if host == hosts[0] else ()))
        return sends


def sent(sends: list[Send], kind: type[Kind]) -> list[Kind]:
    """The messages of one kind."""
    return [s.message for s in sends if isinstance(s.message, kind)]


def events(sends: list[Send]) -> list[Event]:
    """The events of the round just committed."""
    return [event for committed in sent(sends, Committed) for event in committed.events]


def refusals(sends: list[Send]) -> list[tuple[str, str]]:
    """The refused commands."""
    return [(refused.command, refused.why) for refused in sent(sends, Refused)]


def offer(agent: str, price: int) -> Act:
    """An offer at a price in USDC."""
    item = MANDATES[agent].mandate.item
    token = item.token_id if item is not None else None
    return Act(agent=agent, kind=ActKind.OFFER, reason=Reason("test"), price_usdc_micros=price * USDC, token_id=token)


def accept(agent: str, other: str, round_: int, price: int) -> Act:
    """An accept of the quote that `other` made in a round; one of the two sells the item."""
    item = MANDATES[agent].mandate.item or MANDATES[other].mandate.item
    return Act(
        agent=agent,
        kind=ActKind.ACCEPT,
        reason=Reason("test"),
        price_usdc_micros=price * USDC,
        refers_to=quote_id(other, round_),
        to=other,
        token_id=item.token_id if item is not None else None,
    )
