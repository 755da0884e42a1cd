"""What command line and API read: typed rows from a read schema.

Each function takes a connection whose `search_path` is the schema (`connect` gives one). Lists are pages of at
most PAGE_MAX rows; `after` is the key of the last row seen, as named in each function.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import LiteralString, TypeVar

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from agentrooms.domain.room import RoomStatus
from agentrooms.errors import AgentroomsError, InvalidInput
from agentrooms.events.postgres import connect
from agentrooms.projections.messages import MessageRow
from agentrooms.projections.read_rows import (
    AGENTS,
    DEALS,
    MESSAGES,
    NFTS,
    ROOMS,
    SWARMS,
    USERS,
    VOTES,
    NftRow,
    ReadAgent,
    ReadDeal,
    ReadTable,
    RoomRow,
    SwarmRow,
    UserRow,
    VoteRow,
)
from agentrooms.projections.read_views import (
    AgentPerformance,
    DealEvidence,
    Lag,
    Performance,
    PricePoint,
    RoomStatistics,
    SwarmAnalytics,
    Turnover,
)
from agentrooms.projections.writing import place

__all__ = [
    "PAGE_MAX",
    "NotFound",
    "agent",
    "agents",
    "agents_gone",
    "connect",
    "count_deals",
    "count_nfts",
    "deal",
    "deals",
    "lag",
    "live_deals",
    "messages",
    "nft",
    "nfts",
    "overall",
    "parties",
    "performance",
    "price_history",
    "recent_floors",
    "room",
    "rooms",
    "statistics",
    "swarm",
    "swarm_analytics",
    "swarm_messages",
    "swarms",
    "turnover",
    "user",
    "user_performance",
    "users",
]

PAGE_MAX = 500
PAGE = 100
FLOORS_SHOWN = 10
_OF_USER: LiteralString = " AND (buyer_user_id = %(user)s OR seller_user_id = %(user)s)"

Connection = psycopg.Connection
Row = TypeVar("Row", bound=msgspec.Struct)


class NotFound(AgentroomsError):
    """There is no such thing in the read model."""

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(f"there is no {kind} {id}", hint="it may not have been projected yet: see `agentrooms status`")


def rooms(
    connection: Connection,
    *,
    collection: str | None = None,
    status: RoomStatus | None = None,
    after: str = "",
    limit: int = PAGE,
) -> list[RoomRow]:
    """Returns rooms by id, after a room's id."""
    filters = {"collection": collection, "status": status}
    return _page(connection, ROOMS, RoomRow, filters, "room > %(after)s ORDER BY room", after, limit)


def room(connection: Connection, id: str) -> RoomRow:
    """Returns one room. Raises NotFound."""
    return _one(connection, ROOMS, RoomRow, id)


def agents(
    connection: Connection,
    *,
    room: str | None = None,
    swarm: str | None = None,
    user: str | None = None,
    present: bool | None = None,
    after: str = "",
    limit: int = PAGE,
) -> list[ReadAgent]:
    """Returns agents by id, after an agent's id; with `present` only those in their room, or only those that left."""
    filters = {"room": room, "swarm": swarm, "user_id": user}
    here = {None: "", True: "left_round IS NULL AND ", False: "left_round IS NOT NULL AND "}[present]
    return _page(connection, AGENTS, ReadAgent, filters, f"{here}agent > %(after)s ORDER BY agent", after, limit)


def agents_gone(connection: Connection, user: str, limit: int = PAGE) -> list[ReadAgent]:
    """Returns a user's agents that have left their rooms, the last to leave first."""
    rest = "left_round IS NOT NULL ORDER BY left_at_ms DESC, agent"
    return _page(connection, AGENTS, ReadAgent, {"user_id": user}, rest, None, limit)


def parties(connection: Connection, deals: Iterable[ReadDeal]) -> dict[str, ReadAgent]:
    """Returns the agents of deals, by id."""
    ids = sorted({agent for deal in deals for agent in (deal.buyer, deal.seller)})
    if not ids:
        return {}
    query = sql.SQL("SELECT {} FROM agents WHERE agent = ANY(%(ids)s)").format(_columns(ReadAgent.__struct_fields__))
    return {row.agent: row for row in _rows(connection, ReadAgent, query, {"ids": ids})}


def agent(connection: Connection, id: str) -> ReadAgent:
    """Returns one agent. Raises NotFound."""
    return _one(connection, AGENTS, ReadAgent, id)


def swarms(
    connection: Connection, *, room: str | None = None, user: str | None = None, after: str = "", limit: int = PAGE
) -> list[SwarmRow]:
    """Returns swarms by id, after a swarm's id."""
    filters = {"room": room, "user_id": user}
    return _page(connection, SWARMS, SwarmRow, filters, "swarm > %(after)s ORDER BY swarm", after, limit)


def swarm(connection: Connection, id: str) -> SwarmRow:
    """Returns one swarm. Raises NotFound."""
    return _one(connection, SWARMS, SwarmRow, id)


def users(connection: Connection, *, after: str = "", limit: int = PAGE) -> list[UserRow]:
    """Returns users by id, after a user's id."""
    return _page(connection, USERS, UserRow, {}, "user_id > %(after)s ORDER BY user_id", after, limit)


def user(connection: Connection, id: str) -> UserRow:
    """Returns one user. Raises NotFound."""
    return _one(connection, USERS, UserRow, id)


def nfts(
    connection: Connection,
    *,
    collection: str | None = None,
    owner: str | None = None,
    after: str = "",
    offset: int = 0,
    limit: int = PAGE,
) -> list[NftRow]:
    """Returns items by id, after an item's id; `offset` leaves out as many more."""
    filters = {"collection": collection, "owner": owner}
    rest = "nft_id > %(after)s ORDER BY nft_id OFFSET %(offset)s"
    return _page(connection, NFTS, NftRow, filters, rest, after, limit, offset=offset)


def nft(connection: Connection, id: str) -> NftRow:
    """Returns one item. Raises NotFound."""
    return _one(connection, NFTS, NftRow, id)


def count_nfts(connection: Connection, collection: str | None = None, owner: str | None = None) -> int:
    """Returns how many items there are, of a collection and an owner or of any."""
    query = """SELECT count(*) FROM nfts WHERE (%(collection)s::text IS NULL OR collection = %(collection)s)
        AND (%(owner)s::text IS NULL OR owner = %(owner)s)"""
    found = connection.execute(query, {"collection": collection, "owner": owner}).fetchone()
    assert found is not None
    return int(found[0])


def deals(
    connection: Connection,
    *,
    room: str | None = None,
    status: str | None = None,
    user: str | None = None,
    swarm: str | None = None,
    after: int | None = None,
    offset: int = 0,
    limit: int = PAGE,
) -> list[ReadDeal]:
    """Returns deals, the newest lock first, after the `locked_event` of one. `status` is a word of the PRD's.

    Those of a user or a swarm have it on either side. `offset` leaves out as many more.
    """
    filters = {"room": room, "status": status}
    rest = "(%(after)s::bigint IS NULL OR locked_event < %(after)s)"
    if user is not None:
        rest += _OF_USER
    if swarm is not None:
        rest += " AND (buyer_swarm = %(swarm)s OR seller_swarm = %(swarm)s)"
    rest += " ORDER BY locked_event DESC OFFSET %(offset)s"
    return _page(connection, DEALS, ReadDeal, filters, rest, after, limit, user=user, swarm=swarm, offset=offset)


def count_deals(connection: Connection, user: str, status: str | None = None) -> int:
    """Returns how many deals a user has, of a status of the PRD's or of any."""
    query = "SELECT count(*) FROM deals WHERE (%(status)s::text IS NULL OR status = %(status)s)"
    found = connection.execute(query + _OF_USER, {"user": user, "status": status}).fetchone()
    assert found is not None
    return int(found[0])


def live_deals(connection: Connection, user: str) -> list[ReadDeal]:
    """Returns a user's deals that have not ended, as they were locked: agents are bound by one deal each."""
    query = sql.SQL("SELECT {} FROM deals WHERE ended_round IS NULL {} ORDER BY locked_event").format(
        _columns(ReadDeal.__struct_fields__), sql.SQL(_OF_USER)
    )
    return _rows(connection, ReadDeal, query, {"user": user})


def turnover(connection: Connection, user: str) -> Turnover:
    """Returns what a user's completed deals came to; all zero without one."""
    query = """
        SELECT count(*) FILTER (WHERE buyer_user_id = %(user)s) AS bought,
            count(*) FILTER (WHERE seller_user_id = %(user)s) AS sold,
            coalesce(sum(price_usdc_micros) FILTER (WHERE buyer_user_id = %(user)s), 0)::bigint AS paid_usdc_micros,
            coalesce(sum(price_usdc_micros) FILTER (WHERE seller_user_id = %(user)s), 0)::bigint AS got_usdc_micros
        FROM deals WHERE state = 'completed'"""
    return _rows(connection, Turnover, query + _OF_USER, {"user": user})[0]


def deal(connection: Connection, id: str) -> DealEvidence:
    """Returns one deal with the votes of its certificate. Raises NotFound."""
    votes = _page(connection, VOTES, VoteRow, {"deal": id}, "verifier > %(after)s ORDER BY verifier", "", PAGE)
    return DealEvidence(_one(connection, DEALS, ReadDeal, id), tuple(votes))


def messages(connection: Connection, room: str, *, after_seq: int = 0, limit: int = PAGE) -> list[MessageRow]:
    """Returns what was said in a room after an event's `seq`."""
    return _page(connection, MESSAGES, MessageRow, {"room": room}, "seq > %(after)s ORDER BY seq", after_seq, limit)


def swarm_messages(connection: Connection, swarm: str, *, after: int = 0, limit: int = PAGE) -> list[MessageRow]:
    """Returns what a swarm's agents said, after an event's place in the log."""
    query = sql.SQL(
        "SELECT {} FROM messages AS m JOIN agents AS a USING (agent) WHERE a.swarm = %(swarm)s"
        " AND m.event > %(after)s ORDER BY m.event LIMIT %(limit)s"
    ).format(sql.SQL(", ").join(sql.Identifier("m", name) for name in MessageRow.__struct_fields__))
    return _rows(connection, MessageRow, query, {"swarm": swarm, "after": after, "limit": _limit(limit)})


def price_history(connection: Connection, room: str, *, after_seq: int = 0, limit: int = PAGE) -> list[PricePoint]:
    """Returns how floor and top bid moved and at what prices deals were locked, after an event's `seq`."""
    query = """
        SELECT seq, round, at_ms, floor_usdc_micros, top_bid_usdc_micros, NULL AS deal, NULL::bigint AS price_usdc_micros
        FROM floor_path WHERE room = %(room)s AND seq > %(after)s
        UNION ALL
        SELECT locked_seq, locked_round, locked_at_ms, floor_usdc_micros, top_bid_usdc_micros, deal, price_usdc_micros
        FROM deals WHERE room = %(room)s AND locked_seq > %(after)s
        ORDER BY seq, deal NULLS LAST LIMIT %(limit)s"""
    return _rows(connection, PricePoint, query, {"room": room, "after": after_seq, "limit": _limit(limit)})


def recent_floors(connection: Connection, room: str, count: int = FLOORS_SHOWN) -> list[int]:
    """Returns a room's last floor prices, the oldest first."""
    query = """SELECT floor_usdc_micros FROM floor_path
        WHERE room = %s AND floor_usdc_micros IS NOT NULL ORDER BY seq DESC LIMIT %s"""
    return [floor for (floor,) in connection.execute(query, [room, _limit(count)])][::-1]


def statistics(connection: Connection, room: str) -> RoomStatistics:
    """Returns one room's figures. Raises NotFound."""
    return _of_view(connection, RoomStatistics, "room_statistics", "room", room)


def swarm_analytics(connection: Connection, id: str) -> SwarmAnalytics:
    """Returns one swarm's figures. Raises NotFound."""
    return _of_view(connection, SwarmAnalytics, "swarm_analytics", "swarm", id)


def performance(connection: Connection, agent: str) -> AgentPerformance:
    """Returns how well one agent did. Raises NotFound."""
    return _of_view(connection, AgentPerformance, "agent_performance", "agent", agent)


def overall(connection: Connection) -> Performance:
    """Returns the figures over all agents."""
    return _performance(connection, None)


def user_performance(connection: Connection, user: str) -> Performance:
    """Returns the figures over one user's agents; all zero for a user without."""
    return _performance(connection, user)


def lag(connection: Connection, head: int) -> Lag:
    """Returns how far the tables are, beside the head of the log."""
    at = place(connection)
    return Lag(at.position, head, at.epoch, at.failed_position, at.failure)


def _performance(connection: Connection, user: str | None) -> Performance:
    query = """
        SELECT count(*) AS agents, count(*) FILTER (WHERE a.left_round IS NULL) AS active_agents,
            coalesce(sum(a.messages), 0)::bigint AS messages,
            count(*) FILTER (WHERE p.deals_completed > 0) AS agents_with_deal,
            trunc(avg(p.avg_negotiation_ms))::bigint AS avg_negotiation_ms,
            max(p.best_deal_permille) AS best_deal_permille,
            coalesce(sum(p.savings_usdc_micros), 0)::bigint AS savings_usdc_micros,
            coalesce(sum(p.earnings_usdc_micros), 0)::bigint AS earnings_usdc_micros
        FROM agents AS a JOIN agent_performance AS p USING (agent)
        WHERE %(user)s::text IS NULL OR a.user_id = %(user)s"""
    return _rows(connection, Performance, query, {"user": user})[0]


def _one(connection: Connection, table: ReadTable, row: type[Row], id: str) -> Row:
    (key,) = table.key
    found = _page(connection, table, row, {key: id}, "true", None, 1)
    if not found:
        raise NotFound(table.name.removesuffix("s"), id)
    return found[0]


def _of_view(connection: Connection, row: type[Row], view: str, key: str, id: str) -> Row:
    query = sql.SQL("SELECT * FROM {} WHERE {} = %(id)s").format(sql.Identifier(view), sql.Identifier(key))
    found = _rows(connection, row, query, {"id": id})
    if not found:
        raise NotFound(key, id)
    return found[0]


def _page(
    connection: Connection,
    table: ReadTable,
    row: type[Row],
    filters: dict[str, str | None],
    rest: str,
    after: str | int | None,
    limit: int,
    **more: str | int | None,
) -> list[Row]:
    """Returns a table's rows that have the values of the filters that are given; `more` are the values of `rest`."""
    given = {name: value for name, value in filters.items() if value is not None}
    wheres = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in given]
    query = sql.SQL("SELECT {} FROM {} WHERE {} LIMIT %(limit)s").format(
        _columns(row.__struct_fields__),
        sql.Identifier(table.name),
        sql.SQL(" AND ").join([*wheres, sql.SQL(rest)]),
    )
    return _rows(connection, row, query, {**more, **given, "after": after, "limit": _limit(limit)})


def _rows(
    connection: Connection,
    row: type[Row],
    query: str | sql.Composed,
    values: Mapping[str, str | int | list[str] | None],
) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        try:
            cursor.execute(query, values)
        except psycopg.errors.UndefinedTable:  # the tables were swapped while the statement looked for them
            cursor.execute(query, values)
        return msgspec.convert(cursor.fetchall(), list[row])  # type: ignore[valid-type]


def _columns(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _limit(limit: int) -> int:
    if not 1 <= limit <= PAGE_MAX:
        raise InvalidInput(f"a page has 1 to {PAGE_MAX} rows, was {limit}")
    return limit
