"""What belongs to no room, as rows: users, items, swarms."""

from __future__ import annotations

from functools import lru_cache

from msgspec.structs import replace

from agentrooms.domain import swarm as swarms
from agentrooms.domain.ids import derive_id
from agentrooms.domain.ledger import LedgerMinted
from agentrooms.domain.swarm import (
    SwarmCompleted,
    SwarmEvent,
    SwarmPaused,
    SwarmResumed,
    SwarmSpeedSet,
    SwarmStarted,
    SwarmStatus,
)
from agentrooms.domain.user import UserRegistered, WalletBudgeted, user_id
from agentrooms.events.record import Recorded
from agentrooms.projections.changes import Changes
from agentrooms.projections.read_rows import NFTS, SWARMS, USERS, NftRow, SwarmRow, UserRow

IDS_KEPT = 10_000  # an id takes long to make, and a row that changes asks for it again


@lru_cache(maxsize=IDS_KEPT)
def user_of(wallet: str) -> str:
    """Returns the one id of a wallet's user."""
    return user_id(wallet)


@lru_cache(maxsize=IDS_KEPT)
def nft_id(collection: str, token_id: str) -> str:
    """Returns the one id of an item."""
    return derive_id("nft", collection, token_id)


class PlatformModel:
    """Folds the roomless events. It keeps only the swarms that have not ended."""

    def __init__(self, live: list[SwarmRow]) -> None:
        self._swarms = {row.swarm: row for row in live}

    def apply(self, recorded: Recorded, changes: Changes) -> None:
        """Takes one event into account. Raises LookupError for a swarm that is not there."""
        event = recorded.event
        match event:
            case UserRegistered():
                row = UserRow(event.user, event.wallet, registered_at_ms=recorded.at_ms)
                changes.merge(USERS, event.user, row)
            case WalletBudgeted():
                user = user_of(event.wallet)
                changes.merge(USERS, user, UserRow(user, event.wallet, event.budget_usdc_micros))
            case LedgerMinted():
                item = nft_id(event.collection, event.token_id)
                row_ = NftRow(
                    *(item, event.collection, event.token_id, None, event.traits),
                    owner=event.owner,
                    minted_at_ms=recorded.at_ms,
                )
                changes.merge(NFTS, item, row_)
            case SwarmStarted() | SwarmPaused() | SwarmResumed() | SwarmSpeedSet() | SwarmCompleted():
                self._swarm(recorded.at_ms, event, changes)

    def _swarm(self, at_ms: int, event: SwarmEvent, changes: Changes) -> None:
        if isinstance(event, SwarmStarted):
            state = swarms.evolve(swarms.Swarm(), event)
            row = SwarmRow(
                swarm=event.swarm,
                room=event.room,
                owner=event.owner,
                user_id=user_of(event.owner),
                preset=event.preset,
                buyers=event.buyers,
                sellers=event.sellers,
                status=state.status,
                speed=state.speed,
                started_at_ms=at_ms,
                updated_at_ms=at_ms,
            )
        else:
            before = self._swarms[event.swarm]
            state = swarms.evolve(
                swarms.Swarm(before.swarm, before.room, before.owner, before.status, before.speed), event
            )
            row = replace(before, status=state.status, speed=state.speed, updated_at_ms=at_ms)
        changes.put(SWARMS, row.swarm, row)
        if row.status is SwarmStatus.COMPLETED:
            del self._swarms[row.swarm]
        else:
            self._swarms[row.swarm] = row
