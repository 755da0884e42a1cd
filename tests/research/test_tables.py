"""The tables against rooms replayed event by event."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from agentrooms import Run
from agentrooms.domain.agent import AgentLeft, AgentPaused, AgentReconfigured, AgentSpawned
from agentrooms.domain.deal import DealLocked
from agentrooms.domain.event import Event
from agentrooms.domain.folding import fold
from agentrooms.domain.room import ActPosted, Room
from agentrooms.domain.terms import ActKind, Role, StrategyName, Style
from agentrooms.events.record import PLATFORM
from agentrooms.projections import floor_path, quotes
from agentrooms.projections.example import example_log
from agentrooms.projections.quotes import QuoteState
from agentrooms.sim.forks import fork

ENDINGS = {"quote.expired": "expired", "agent.left": "left", "agent.reconfigured": "changed"}


def states(run: Run) -> list[Room]:
    """Return the room before the first event and after each."""
    found = [Room()]
    for recorded in run:
        found.append(fold(found[-1], [recorded.event]) if recorded.chain != PLATFORM else found[-1])
    return found


def ending(event: Event, type_: str, quote: str) -> str:
    """Return why a quote that this event took off the book ended."""
    if isinstance(event, ActPosted):
        return "withdrawn" if event.act is ActKind.WITHDRAW else "replaced"
    if isinstance(event, DealLocked):
        return "accepted" if event.terms.quote == quote else "bound"
    return ENDINGS[type_]


def test_quotes_stand_from_their_making_to_their_end(run: Run) -> None:
    """The books of all moments, taken apart, give the same lives."""
    rooms, events = states(run), run.events()
    lives: dict[str, list[object]] = {}
    for number, recorded in enumerate(events, start=1):
        before, after = rooms[number - 1].quotes, rooms[number].quotes
        for quote in after.keys() - before.keys():
            lives[quote] = [number, None, "standing"]
        for quote in before.keys() - after.keys():
            lives[quote][1:] = [number, ending(recorded.event, recorded.type, quote)]
    table = run.quotes().select("quote", "submitted_event", "ended_event", "state")
    assert {quote: list(rest) for quote, *rest in table.iter_rows()} == lives


def test_quotes_say_who_accepted_them(run: Run) -> None:
    taken = run.quotes().filter(state="accepted").select("quote", "deal", "accepted_by", "agent", "price_usdc_micros")
    deals = run.deals()
    expected = [
        (
            r["quote"],
            r["deal"],
            *((r["buyer"], r["seller"]) if r["aggressor"] == "buyer" else (r["seller"], r["buyer"])),
        )
        for r in deals.iter_rows(named=True)
    ]
    assert sorted(row[:4] for row in taken.iter_rows()) == sorted(expected)
    assert sorted(taken["price_usdc_micros"]) == sorted(deals["price_usdc_micros"])


def test_quotes_improve_their_side_when_no_standing_price_is_as_good(run: Run) -> None:
    """Judged against all quotes of the side and grade, not against a kept leader."""
    rooms = states(run)
    for row in quotes.rows(run):
        sign = 1 if row.side is Role.SELLER else -1
        standing = [
            sign * q.price_usdc_micros
            for q in rooms[row.submitted_event - 1].quotes.values()
            if q.side is row.side and q.grade == row.grade
        ]
        assert row.improved == all(sign * row.price_usdc_micros < price for price in standing), row.quote


def test_quotes_cross_when_their_agent_might_have_traded_instead(run: Run) -> None:
    for row in quotes.rows(run):
        room = run.at(row.submitted_event - 1)
        me = room.agents[row.agent]
        reached = False
        for other in room.quotes.values():
            if other.side is row.side:
                continue
            bid, ask = (row, other) if row.side is Role.BUYER else (other, row)
            seller = room.agents[ask.agent]
            assert seller.item is not None
            wants = (me if row.side is Role.BUYER else room.agents[other.agent]).wants
            assert wants is not None
            fits = wants.covers(seller.item) and bid.token_id in {None, seller.item.token_id}
            rest = room.rests.get((bid.agent, ask.agent), -1) > row.submitted_round
            reached |= fits and not rest and bid.price_usdc_micros >= ask.price_usdc_micros
        assert row.aggressor == reached, row.quote


def test_the_floor_path_is_the_floor_at_every_event(run: Run) -> None:
    """Carried on between its rows, it is right at each event, and no row repeats the one before."""
    path = {row.event: (row.floor_usdc_micros, row.top_bid_usdc_micros) for row in floor_path.rows(run)}
    current: tuple[int | None, int | None] = (None, None)
    for number, room in enumerate(states(run)):
        assert path.get(number) != current
        current = path.get(number, current)
        assert current == (room.floor, room.top_bid)


def test_deals_end_as_the_room_says(run: Run) -> None:
    last = run.at(len(run))
    deals = {row["deal"]: row for row in run.deals().iter_rows(named=True)}
    assert list(deals) == list(last.deals)
    for name, deal in last.deals.items():
        row, before = deals[name], run.at(deals[name]["locked_event"] - 1)
        assert (row["state"], row["tx_hash"]) == (deal.state, deal.tx_hash)
        assert (row["locked_round"], row["certified_round"], row["ended_round"]) == (
            deal.locked_round,
            deal.certified_round,
            deal.ended_round,
        )
        assert row["price_usdc_micros"] == before.quotes[row["quote"]].price_usdc_micros
        asks = [q.price_usdc_micros for q in before.quotes.values() if (q.side, q.grade) == (Role.SELLER, row["grade"])]
        assert row["floor_usdc_micros"] == min(asks, default=None)
        assert (row["fail_reason"] is None) == (row["state"] != "failed")


def test_failed_deals_say_why_and_whose_fault(archives: list[Path]) -> None:
    """Where all wallets are empty, buyers are at fault and nothing was gained."""
    run = Run.open(archives[3])
    deals = run.deals()
    assert set(deals["state"]) == {"failed"}
    assert set(deals["at_fault"]) == {"buyer"}
    assert (deals["rejections"] >= 5).all()
    assert deals["rounds_to_end"].to_list() == (deals["ended_round"] - deals["locked_round"]).to_list()
    assert run.agents()["failed_deals"].sum() == 2 * deals.height
    figures = run.figures()
    assert (figures["failed_deals"].value, figures["surplus_usdc_micros"].value) == (deals.height, 0)
    assert figures["rounds_to_lock"].why_null == "no deal completed"


def test_a_new_limit_is_a_new_mandate(archives: list[Path], tmp_path: Path) -> None:
    """The older row ends where the newer begins."""
    run = Run.open(archives[1])
    first = run.mandates().filter(role="buyer").row(0, named=True)
    limit = 2 * first["limit_usdc_micros"]
    usdc = f"{limit // 1_000_000}.{limit % 1_000_000 // 10_000:02d}"
    fork(run.path, tmp_path / "fork", at=first["from_event"], changes=[f"agent.{first['agent']}.limit={usdc}"])
    forked = Run.open(tmp_path / "fork")
    older, newer = forked.mandates().filter(agent=first["agent"]).rows(named=True)
    assert (older["limit_usdc_micros"], newer["limit_usdc_micros"]) == (first["limit_usdc_micros"], limit)
    assert (older["until_round"], newer["until_round"]) == (newer["from_round"], None)
    assert older["price_usdc_micros"] is None
    efficiency = forked.metrics()["allocative_efficiency_percent"]
    assert efficiency is not None
    assert 0 <= efficiency <= 100


def test_agents_are_those_of_the_last_room(run: Run) -> None:
    last, table, said = run.at(len(run)), run.agents(), run.messages()
    assert set(table["agent"]) == set(last.agents)
    for row in table.iter_rows(named=True):
        agent, own = last.agents[row["agent"]], said.filter(agent=row["agent"])
        assert (row["status"], row["left_round"]) == (agent.status, agent.left_round)
        assert row["messages"] == own.height
        prices = own.filter(own["act"].is_in(["offer", "counter"]))["price_usdc_micros"].to_list()
        assert (row["quotes"], row["accepts"]) == (len(prices), own.filter(act="accept").height)
        assert [row["first_price_usdc_micros"], row["last_price_usdc_micros"]] == (
            [prices[0], prices[-1]] if prices else [None, None]
        )


def test_messages_and_reasons_belong_together(run: Run) -> None:
    """Each act has one reason, in its round."""
    acts = run.messages().select("agent", "round").rows()
    reasons = run.reasons().select("agent", "round").rows()
    assert sorted(acts) == sorted(reasons)


def test_mandates_bound_the_prices_of_deals(run: Run) -> None:
    surplus = run.mandates()["surplus_usdc_micros"].drop_nulls()
    assert len(surplus) == 2 * run.deals().filter(state="completed").height
    assert (surplus >= 0).all()


def test_pauses_and_new_mandates_end_quotes() -> None:
    """A new strategy alone does not."""
    log, _mandates = example_log()
    made = log[:8]  # Dee asks 85 last
    dee = next(r.event for r in made if isinstance(r.event, AgentSpawned) and r.event.agent == "agent_dee")

    def state_after(event: Event, type_: str) -> QuoteState:
        last = made[-1]
        tail = replace(last, seq=last.seq + 1, type=type_, event=event)
        return quotes.rows([*made, tail])[0].state

    def changed(mandate_hash: str) -> Event:
        return AgentReconfigured(
            agent="agent_dee", mandate_hash=mandate_hash, round=3, strategy=StrategyName.SNIPER, style=Style.FORMAL
        )

    assert state_after(AgentPaused("agent_dee", 3), "agent.paused") is QuoteState.PAUSED
    assert state_after(changed("another"), "agent.reconfigured") is QuoteState.CHANGED
    assert state_after(changed(dee.mandate_hash), "agent.reconfigured") is QuoteState.STANDING
    left = next(r.event for r in log if isinstance(r.event, AgentLeft))
    assert state_after(left, "agent.left") is QuoteState.STANDING  # another agent went
