"""One room as its rows: a fold of the room's events that notes which rows each of them adds or changes."""

from __future__ import annotations

from collections import Counter

from msgspec.structs import asdict

from agentrooms.domain.agent import Agent, AgentLeft, AgentSpawned
from agentrooms.domain.assets import ANY_GRADE, Item
from agentrooms.domain.deal import (
    DealCertified,
    DealCompleted,
    DealFailed,
    DealLocked,
    DealVerifying,
    EscrowSubmitted,
    Vote,
)
from agentrooms.domain.folding import Draft
from agentrooms.domain.market import Market
from agentrooms.domain.record import Record
from agentrooms.domain.room import ActPosted, CloseReason, Room, RoomClosed, RoomStatus
from agentrooms.domain.terms import ActKind, Role
from agentrooms.events.record import Recorded
from agentrooms.projections.agents import agent_row
from agentrooms.projections.changes import Changes
from agentrooms.projections.deals import DealRow, locked_row, moved_row
from agentrooms.projections.floor_path import floor_row
from agentrooms.projections.messages import message_row
from agentrooms.projections.platform_model import nft_id, user_of
from agentrooms.projections.read_rows import (
    AGENTS,
    DEALS,
    FLOORS,
    MESSAGES,
    NFTS,
    ROOMS,
    VOTES,
    NftRow,
    ReadAgent,
    ReadDeal,
    RoomRow,
    VoteRow,
)
from agentrooms.projections.walk import round_of

Seen = tuple[Agent, Record]
Later = DealVerifying | DealCertified | EscrowSubmitted | DealCompleted | DealFailed


class RoomModel:
    """Folds one room. `apply` takes its events in order; `write` notes the rows they changed since the last `write`."""

    def __init__(self, chain: str) -> None:
        self.chain = chain
        self.seq = 0
        self.round = 0
        self._at_ms = 0
        self._draft = Draft(Room())
        self._acts: Counter[tuple[str, ActKind]] = Counter()
        self._joined: dict[str, int] = {}
        self._open_agents: dict[str, Seen | None] = {}  # those whose row may still change, as last written
        self._deals: dict[str, DealRow] = {}
        self._open_deals: dict[str, None] = {}  # those changed since the last write
        self._leads: tuple[str | None, ...] = (None, None, None)  # quotes that floor and top bid come from
        self._prices: tuple[int | None, int | None] = (None, None)
        self._present: Counter[Role] = Counter()
        self._messages = 0
        self._completed = 0
        self._failed = 0
        self._volume = 0
        self._last_price: int | None = None
        self._close_reason: CloseReason | None = None

    @property
    def room(self) -> Room:
        """The room as it is now; it changes with the next event."""
        return self._draft.room

    @property
    def closed(self) -> bool:
        """Whether no more events are due."""
        return self.seq > 0 and self.room.status is RoomStatus.INACTIVE

    def present(self, role: Role) -> int:
        """Returns how many agents of a role are in the room."""
        return self._present[role]

    def apply(self, position: int, recorded: Recorded, changes: Changes) -> None:
        """Takes one event into account. Raises BrokenLog, LookupError or AssertionError when it cannot follow."""
        event = recorded.event
        if isinstance(event, DealLocked):
            self._deals[event.terms.deal] = locked_row(self.room, position, recorded, event)
        self._draft.apply(event)
        self.seq, self.round, self._at_ms = recorded.seq, round_of(event), recorded.at_ms
        self._note(position, recorded, changes)
        room = self.room
        leaders = room.leaders
        leads = (
            leaders.get((Role.SELLER, room.base_grade)),
            leaders.get((Role.BUYER, room.base_grade)),
            leaders.get((Role.BUYER, ANY_GRADE)),
        )
        if leads == self._leads:
            return  # a quote's price never changes
        self._leads = leads
        prices = (room.floor, room.top_bid)
        if prices != self._prices:
            self._prices = prices
            changes.append(FLOORS, floor_row(room, position, recorded))

    def write(self, changes: Changes) -> None:
        """Notes the room's row and those of its agents and deals that have changed."""
        room = self.room
        market = Market(room)
        for name, seen in list(self._open_agents.items()):
            agent, record = room.agents[name], room.records[name]
            if seen is not None and seen[0] is agent and seen[1] is record:
                continue
            changes.put(AGENTS, name, self._agent(market, agent, record))
            if agent.present:
                self._open_agents[name] = (agent, record)
            else:
                del self._open_agents[name]
        for deal in self._open_deals:
            changes.put(DEALS, deal, self._deal(room, self._deals[deal]))
        self._open_deals.clear()
        changes.put(ROOMS, self.chain, self._row(room))

    def _note(self, position: int, recorded: Recorded, changes: Changes) -> None:
        event = recorded.event
        match event:
            case ActPosted():
                self._acts[event.agent, event.act] += 1
                self._messages += 1
                changes.append(MESSAGES, message_row(self.room, position, recorded, event))
            case AgentSpawned():
                self._joined[event.agent] = position
                self._open_agents[event.agent] = None
                self._present[event.role] += 1
                if event.item is not None:
                    _own(changes, self.room.collection, event.item, event.owner)
            case AgentLeft():
                self._present[self.room.agents[event.agent].role] -= 1
            case DealLocked():
                self._open_deals[event.terms.deal] = None
            case DealVerifying() | DealCertified() | EscrowSubmitted() | DealCompleted() | DealFailed():
                self._move(event, changes)
            case RoomClosed():
                self._close_reason = event.reason

    def _move(self, event: Later, changes: Changes) -> None:
        """Takes what happens to a deal after its lock into account."""
        deal = self.room.deals[event.deal]
        self._deals[event.deal] = moved_row(self._deals[event.deal], event, deal.state)
        self._open_deals[event.deal] = None
        if isinstance(event, DealCertified):
            for vote in event.votes:
                changes.append(VOTES, _vote(event.deal, vote))
        elif isinstance(event, DealCompleted):
            terms = deal.terms
            self._completed += 1
            self._volume += terms.price_usdc_micros
            self._last_price = terms.price_usdc_micros
            _own(changes, terms.collection, terms.item, terms.buyer_wallet)
        elif isinstance(event, DealFailed):
            self._failed += 1

    def _agent(self, market: Market, agent: Agent, record: Record) -> ReadAgent:
        room = market.room
        row = agent_row(market, self.chain, agent.id, self._joined[agent.id], self._acts)
        deal = room.deals[row.deal] if row.deal is not None else None
        return ReadAgent(
            **asdict(row),
            user_id=user_of(agent.owner),
            avatar=agent.avatar,
            swarm=agent.swarm,
            nft_id=nft_id(room.collection, agent.item.token_id) if agent.item is not None else None,
            joined_at_ms=room.at_ms(agent.joined_round),
            left_at_ms=room.at_ms(agent.left_round) if agent.left_round is not None else None,
            spoke_at_ms=room.at_ms(record.last_round) if record.said else None,
            bound_by=agent.deal if row.deal is None else None,
            negotiation_ms=(deal.locked_round - agent.joined_round) * room.round_ms if deal is not None else None,
        )

    def _deal(self, room: Room, row: DealRow) -> ReadDeal:
        deal = room.deals[row.deal]
        terms = deal.terms
        return ReadDeal(
            **asdict(row),
            collection=terms.collection,
            nft_id=nft_id(terms.collection, terms.item.token_id),
            item_name=terms.item.name,
            buyer_wallet=terms.buyer_wallet,
            seller_wallet=terms.seller_wallet,
            buyer_user_id=user_of(terms.buyer_wallet),
            seller_user_id=user_of(terms.seller_wallet),
            buyer_swarm=room.agents[terms.buyer].swarm,
            seller_swarm=room.agents[terms.seller].swarm,
            chain_id=terms.chain_id,
            escrow=terms.escrow,
            set_version=terms.set_version,
            deal_hash=deal.deal_hash,
            deadline_ms=terms.deadline_ms,
            time_to_deal_ms=row.rounds_to_lock * room.round_ms,
            certified_at_ms=room.at_ms(row.certified_round) if row.certified_round is not None else None,
            ended_at_ms=room.at_ms(row.ended_round) if row.ended_round is not None else None,
            block_hash=deal.receipt.block_hash if deal.receipt is not None else None,
        )

    def _row(self, room: Room) -> RoomRow:
        floor, top_bid = self._prices
        return RoomRow(
            room=self.chain,
            name=room.name,
            collection=room.collection,
            comparable_by=room.comparable_by,
            base_grade=room.base_grade,
            status=room.status,
            close_reason=self._close_reason,
            quote_rounds=room.quote_rounds,
            round_ms=room.round_ms,
            started_at_ms=room.started_at_ms,
            updated_at_ms=self._at_ms,
            round=self.round,
            seq=self.seq,
            floor_usdc_micros=floor,
            top_bid_usdc_micros=top_bid,
            active_buyers=self._present[Role.BUYER],
            active_sellers=self._present[Role.SELLER],
            agents=len(room.agents),
            messages=self._messages,
            deals=len(room.deals),
            deals_completed=self._completed,
            deals_failed=self._failed,
            volume_usdc_micros=self._volume,
            last_price_usdc_micros=self._last_price,
        )


def _own(changes: Changes, collection: str, item: Item, wallet: str) -> None:
    row = NftRow(nft_id(collection, item.token_id), collection, item.token_id, item.name, item.traits, wallet)
    changes.merge(NFTS, row.nft_id, row)


def _vote(deal: str, vote: Vote) -> VoteRow:
    return VoteRow(
        deal=deal,
        verifier=vote.verifier,
        decision=vote.decision,
        signature=vote.signature,
        reasons=" ".join(vote.annex.reasons),
        block=vote.annex.block,
        at_ms=vote.annex.at_ms,
        annex_signature=vote.annex.signature,
    )
