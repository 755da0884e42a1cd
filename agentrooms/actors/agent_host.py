"""An agent host: decides for the agents placed with it, one call a round for all of them.

Its state is a fold of the room's events; a rebuilt host has read the log again.
"""

from __future__ import annotations

from agentrooms.actors.hosting import Hosting
from agentrooms.actors.messages import Accepted, Acts, Decide, Message
from agentrooms.actors.runtime import Send
from agentrooms.domain import trader
from agentrooms.domain.act import Act
from agentrooms.domain.agent import AgentLeft, AgentReconfigured, AgentSpawned
from agentrooms.domain.deal import Deal, DealState
from agentrooms.domain.event import Event
from agentrooms.domain.folding import fold
from agentrooms.domain.ids import derive_id
from agentrooms.domain.mandate import Mandate, breach
from agentrooms.domain.market import Market
from agentrooms.domain.room import Room
from agentrooms.events.journal import Journal
from agentrooms.events.keyring import Signer
from agentrooms.events.vault import NotInVault, Vault, get_mandate


def dice_key(run_key: bytes, agent: str) -> bytes:
    """Returns the key of one agent's draws; from it neither the seed nor another's draws can be had."""
    return derive_id("dice", run_key.hex(), agent).encode()


class AgentHost:
    """Hosts the agents that `hosting` places at its address; what it has missed it reads in the log."""

    def __init__(
        self, address: str, hosting: Hosting, vault: Vault, run_key: bytes, journal: Journal, signer: Signer
    ) -> None:
        self._address = address
        self._hosting = hosting
        self._vault = vault
        self._run_key = run_key
        self._journal = journal
        self._signer = signer
        self._room = Room()
        self._market = Market(self._room)
        self._seq = 0
        self._mandates: dict[str, Mandate] = {}
        self._dice: dict[str, bytes] = {}
        self._catch_up()

    def receive(self, message: Message) -> list[Send]:
        """Answers `Decide` with the acts of the round; a repeated question gets the same answer."""
        assert isinstance(message, Decide)
        if message.seq > self._seq:
            self._catch_up()
        assert message.seq <= self._seq, "news begin after what the log holds"
        self._learn(message.news[max(0, self._seq - message.seq) :])
        acts = self.decide(message.round)
        return [Send(f"room:{self._hosting.room}", Acts(message.round, self._address, acts, self._words()))]

    def decide(self, round_: int) -> tuple[Act, ...]:
        """Returns the acts of all hosted agents that do not keep silent."""
        acts = (self._act(agent, mandate, round_) for agent, mandate in self._mandates.items())
        return tuple(act for act in acts if act is not None)

    def _words(self) -> tuple[Accepted, ...]:
        """Returns the hosted agents' words for deals that wait for them."""
        locked = [deal for deal in self._room.live_deals() if deal.state is DealState.LOCKED]
        words = (self._word(deal, agent) for deal in locked for agent in (deal.terms.buyer, deal.terms.seller))
        return tuple(word for word in words if word is not None)

    def _word(self, deal: Deal, agent: str) -> Accepted | None:
        """Returns an agent's word for a deal within its mandate; the room that locked it is not simply believed."""
        mandate, terms = self._mandates.get(agent), deal.terms
        if mandate is None or breach(mandate, terms.item, terms.price_usdc_micros, self._room.at_ms(deal.locked_round)):
            return None
        word = self._signer.sign(agent, terms)
        return Accepted(terms.deal, word) if word is not None else None

    def _act(self, agent: str, mandate: Mandate, round_: int) -> Act | None:
        """Returns an agent's act; a broken strategy silences its own agent alone."""
        try:
            return trader.decide(self._market, self._room.agents[agent], mandate, round_, self._dice[agent])
        except (trader.OutsideMandate, AssertionError):
            return None

    def _catch_up(self) -> None:
        self._learn(tuple(r.event for r in self._journal.load() if r.seq > self._seq))

    def _learn(self, news: tuple[Event, ...]) -> None:
        if not news:  # most rounds of a quiet room: what was known stands, and so does the market made of it
            return
        self._room = fold(self._room, news)
        self._market = Market(self._room)
        self._seq += len(news)
        for event in news:
            match event:
                case AgentSpawned() | AgentReconfigured():
                    if self._hosting.host_of(self._room.agents[event.agent]) == self._address:
                        self._take(event.agent, event.mandate_hash)
                case AgentLeft():
                    self._mandates.pop(event.agent, None)

    def _take(self, agent: str, mandate_hash: str) -> None:
        """Takes an agent's mandate from the vault; without it the agent does not act."""
        self._dice[agent] = dice_key(self._run_key, agent)
        try:
            self._mandates[agent] = get_mandate(self._vault, mandate_hash).mandate
        except NotInVault:
            self._mandates.pop(agent, None)
