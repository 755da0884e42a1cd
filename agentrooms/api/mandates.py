"""Mandates of people: what is drafted, what the wallet has yet to allow, and whose limits anybody may see."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from agentrooms.api.auth.principal import Principal
from agentrooms.api.home import Home
from agentrooms.api.items import find_item, item_of
from agentrooms.api.models.agents import Approvals, DraftAsked, MandateBody, SpawnAsked, mandate_body
from agentrooms.api.models.base import money
from agentrooms.api.problems import Problem
from agentrooms.chain.holdings import Holdings
from agentrooms.domain.agent import AgentReconfigured, AgentSpawned
from agentrooms.domain.assets import Item
from agentrooms.domain.canonical import normalise
from agentrooms.domain.mandate import Mandate
from agentrooms.domain.terms import Role
from agentrooms.events.record import decode_line
from agentrooms.events.store import with_any
from agentrooms.events.vault import NotInVault, get_mandate
from agentrooms.live.commands import BUDGET_MAX_USDC_MICROS
from agentrooms.live.drafts import Draft, UnknownDraft, load_draft
from agentrooms.projections import queries
from agentrooms.projections.platform_model import nft_id
from agentrooms.projections.read_rows import RoomRow
from agentrooms.sim.settings import ROUNDS_MAX

EXPIRES_S_DEFAULT = 1_800  # time to sign the draft, to trade and to settle; agents give way over all of it


def room_of(home: Home, id: str) -> RoomRow:
    """Returns a room. Raises Problem 404."""
    return home.reads.run(lambda read: queries.room(read, id))


def item_for(home: Home, asked: DraftAsked, room: RoomRow, wallet: str) -> Item | None:
    """Returns what a seller sells, None for a buyer. Raises Problem 403 when the chain says that it is another's."""
    if asked.nft_id is None:
        return None
    row = find_item(home, asked.nft_id)
    if row.collection != room.collection:
        raise Problem(422, "the item is of another collection than the room", hint="choose a room of its collection")
    require_owner(home.holdings, row.collection, row.token_id, wallet)
    return item_of(home, row)


def require_owner(holdings: Holdings, collection: str, token_id: str, wallet: str) -> None:
    """Raises Problem 403 when the chain says that an item is another's, or nobody's."""
    if holdings.owner_of(collection, token_id) != wallet:
        raise Problem(
            403, "the wallet does not own the item", code="not_owner", hint="sellers own what they sell, on the chain"
        )


def rounds_for(expires_in_seconds: int | None, room: RoomRow) -> int:
    """Returns for how many rounds of a room a mandate lasts: half an hour by default, or as long as one may there.

    Raises Problem 422.
    """
    if expires_in_seconds is None:
        return min(ROUNDS_MAX, EXPIRES_S_DEFAULT * 1_000 // room.round_ms)
    rounds = -(-expires_in_seconds * 1_000 // room.round_ms)
    if rounds > ROUNDS_MAX:
        most_s = ROUNDS_MAX * room.round_ms // 1_000
        raise Problem(422, f"expiresInSeconds is at most {most_s} in this room", hint="spawn again when it has ended")
    return rounds


def draft_of(home: Home, id: str, wallet: str) -> Draft:
    """Returns a wallet's own draft. Raises Problem 404, also for another's."""
    try:
        draft = load_draft(home.vault, id)
    except UnknownDraft:
        draft = None
    if draft is None or draft.mandate.principal != wallet:
        raise Problem(404, "there is no such mandate to sign", hint="POST /agents/mandate makes one")
    return draft


def require_as_drafted(asked: SpawnAsked, draft: Draft) -> None:
    """Raises Problem 422 that names what of a request is not as it was drafted; no value is in it."""
    mandate, spawned = draft.mandate, draft.spawned
    same = {
        "roomId": asked.room_id == draft.room,
        "role": asked.role is mandate.role,
        "nftId": asked.nft_id is None or asked.nft_id in _names_of(mandate),
        "name": asked.name is None or normalise(asked.name) == spawned.name,
        "avatar": asked.avatar is None or normalise(asked.avatar) == spawned.avatar,
        "communicationStyle": asked.communication_style is spawned.style,
        "strategy": asked.strategy is spawned.strategy,
        "wants": asked.wants is None or asked.wants.wants == mandate.wants,
        "startingPrice": asked.starting_price == mandate.start_usdc_micros,
        "minPrice" if asked.role is Role.SELLER else "maxPrice": asked.limit_usdc_micros
        == mandate.reservation_usdc_micros,
    }
    if asked.maximum_usdc_micros is not None:
        same["maxPrice"] = asked.maximum_usdc_micros == mandate.maximum_usdc_micros
    other = [name for name, is_same in same.items() if not is_same]
    if other:
        raise Problem(
            422,
            f"not as in the mandate: {', '.join(other)}",
            hint="send what POST /agents/mandate was sent, or draft anew",
        )


def _names_of(mandate: Mandate) -> set[str]:
    if mandate.item is None:
        return set()
    collection, token = mandate.collection, mandate.item.token_id
    return {nft_id(collection, token), f"{collection}:{token}"}


def approvals_of(holdings: Holdings, mandate: Mandate) -> Approvals:
    """Returns what a mandate's wallet has yet to allow before it can trade."""
    held = holdings.money(mandate.principal)
    item = mandate.item
    allowed = min(held.allowance_usdc_micros, BUDGET_MAX_USDC_MICROS)
    return Approvals.model_validate(
        {
            **money("balance", min(held.balance_usdc_micros, BUDGET_MAX_USDC_MICROS)),
            **money("allowance", allowed),
            "allowance_missing": item is None and held.allowance_usdc_micros < mandate.reservation_usdc_micros,
            "item_approval_missing": item is not None
            and not holdings.is_approved(mandate.collection, item.token_id, mandate.principal),
        }
    )


def require_ready(holdings: Holdings, mandate: Mandate) -> int:
    """Returns how much a mandate's wallet lets the escrow take, once it can trade at all. Raises Problem.

    403 when a seller does not own its item any more; 409 when the escrow may not move it, or may take less than a
    buyer may pay. No value is in it.
    """
    if mandate.item is not None:
        require_owner(holdings, mandate.collection, mandate.item.token_id, mandate.principal)
    found = approvals_of(holdings, mandate)
    hint = "GET /wallet/approvals gives the transactions to send first"
    if found.allowance_missing:
        raise Problem(409, "the wallet lets the escrow take less than the limit", code="allowance_missing", hint=hint)
    if found.item_approval_missing:
        raise Problem(409, "the wallet has not let the escrow move the item", code="approval_missing", hint=hint)
    return int(found.allowance_micros)


def mandate_for(home: Home, agent: str, owner: str, principal: Principal | None) -> MandateBody | None:
    """Returns an agent's limits when its owner (a user id) is asking, None for anybody else."""
    if principal is None or principal.user != owner:
        return None
    found = own_mandates(home, [agent]).get(agent)
    return None if found is None else mandate_body(*found)


def own_mandates(home: Home, agents: Sequence[str]) -> dict[str, tuple[str, Mandate]]:
    """Returns hash and limits of agents' mandates by agent, for who has made sure that their owner is asking."""
    hashes: dict[str, str] = {}
    for query in with_any((f"agent:{agent}" for agent in agents), ("agent.spawned", "agent.reconfigured")):
        for one in home.store.read(query):
            event = decode_line(one.event.data).event
            assert isinstance(event, AgentSpawned | AgentReconfigured)
            hashes[event.agent] = event.mandate_hash  # the last one holds
    found: dict[str, tuple[str, Mandate]] = {}
    for agent, mandate_hash in hashes.items():
        with contextlib.suppress(NotInVault):
            found[agent] = mandate_hash, get_mandate(home.vault, mandate_hash).mandate
    return found
