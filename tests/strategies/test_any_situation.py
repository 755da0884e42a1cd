"""What holds for every strategy in every situation."""

from __future__ import annotations

import dataclasses

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agentrooms.domain.act import Act
from agentrooms.domain.market import Market, fits
from agentrooms.domain.money import is_price
from agentrooms.domain.posting import check_act
from agentrooms.domain.strategies.moves import LAST_CALL_PERMILLE, RAMP_PERMILLE
from agentrooms.domain.terms import ActKind, Role, StrategyName
from tests.strategies.build import Said, act_of, scene, usdc
from tests.strategies.rooms import Moment, moments

QUOTING = (ActKind.OFFER, ActKind.COUNTER)
GOING_BACK = frozenset({"demand_is_high", "bid_above_maximum"})  # the only rules under which a quote gives less
MIRRORED = (StrategyName.COMPETITIVE, StrategyName.PATIENT, StrategyName.AGGRESSIVE)

# What is filtered out here is silence and acts of other kinds: common, cheap, and not what is asked about.
choosy = settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])


def decided(moment: Moment, *kinds: ActKind) -> Act:
    """The act of the moment; a silent moment, or one that leads to another kind of act, is no example."""
    act = act_of(moment.situation())
    assume(act is not None and (not kinds or act.kind in kinds))
    assert act is not None
    return act


@choosy
@given(moments())
def test_the_room_would_post_the_act(moment: Moment) -> None:
    """The guard checks mandate, ticks, quotes that stand, and who may be spoken to."""
    act = decided(moment)
    record = replace(moment.room.records[act.agent], recent_rounds=())  # the message rate is the trader's
    room = dataclasses.replace(moment.room, records={**moment.room.records, act.agent: record})
    assume(moment.situation().elapsed_permille < 1000)
    check_act(room, act, moment.mandate, moment.round)


@choosy
@given(moments())
def test_prices_are_whole_ticks_within_the_mandate(moment: Moment) -> None:
    act, s = decided(moment), moment.situation()
    if act.price_usdc_micros is not None:
        assert is_price(act.price_usdc_micros)
        assert s.within(act.price_usdc_micros)


@choosy
@given(moments())
def test_the_same_situation_leads_to_the_same_act(moment: Moment) -> None:
    assert act_of(moment.situation()) == act_of(moment.situation())


@choosy
@given(moments(earliest=RAMP_PERMILLE))  # before, a room may have made it say more than strategies say by then
def test_a_quote_gives_at_least_what_the_last_one_gave(moment: Moment) -> None:
    act, s = decided(moment, *QUOTING), moment.situation()
    assume(act.reason.rule not in GOING_BACK)
    last, price = s.record.last_price_usdc_micros, act.price_usdc_micros
    assert price is not None
    assert last is None or s.as_good(last, price)


@choosy
@given(moments())
def test_no_quote_shows_the_limit_before_the_ramp(moment: Moment) -> None:
    act, s = decided(moment, *QUOTING), moment.situation()
    mandate = moment.mandate
    assume(s.elapsed_permille < RAMP_PERMILLE)
    assume(mandate.start_usdc_micros != mandate.reservation_usdc_micros)
    assume(act.reason.rule != "bid_above_maximum")  # a seller's maximum may be its limit; it then says both at once
    assert act.price_usdc_micros != mandate.reservation_usdc_micros


@choosy
@given(moments())
def test_nobody_takes_or_quotes_a_worse_price_than_it_could_have(moment: Moment) -> None:
    """A buyer takes the lowest ask for what it wants and never bids as much; a seller mirrors it."""
    act, s = decided(moment, *QUOTING, ActKind.ACCEPT), moment.situation()
    room, price = moment.room, act.price_usdc_micros
    theirs = [q for q in room.quotes.values() if q.side is not s.me.role and fits(room, s.me, q)]
    assert price is not None
    for quote in theirs:
        if act.kind is ActKind.ACCEPT:
            assert s.as_good(price, quote.price_usdc_micros)
        elif s.within(quote.price_usdc_micros) and quote == s.best:
            assert price != quote.price_usdc_micros
            assert s.as_good(price, quote.price_usdc_micros)


@choosy
@given(moments(earliest=LAST_CALL_PERMILLE))
def test_at_last_call_whatever_the_mandate_allows_is_taken(moment: Moment) -> None:
    s = moment.situation()
    assume(s.best is not None and s.within(s.best.price_usdc_micros))
    act = act_of(s)
    assert act is not None
    assert act.kind is ActKind.ACCEPT


@choosy
@given(moments())
def test_reasons_hold_public_numbers_only(moment: Moment) -> None:
    """Prices that stand or are said now, counts of what was said, and the time. No limit, start or target."""
    act, s = decided(moment), moment.situation()
    public = {q.price_usdc_micros for q in moment.room.quotes.values()} | {act.price_usdc_micros}
    for name, value in act.reason.facts.items():
        match name:
            case "elapsed_permille":
                assert value == s.elapsed_permille
            case "refusals":
                assert value == s.record.refusals
            case _:
                assert name in {"price", "best", "rival"}
                assert value in public


@choosy
@given(moments())
def test_only_new_quotes_are_refused_or_countered(moment: Moment) -> None:
    act, s = decided(moment, ActKind.REJECT, ActKind.COUNTER), moment.situation()
    assert act.refers_to is not None
    assert moment.room.quotes[act.refers_to].round >= s.record.last_round


@given(
    strategy=st.sampled_from(MIRRORED),
    at=st.integers(41, 999),
    lines=st.lists(st.tuples(st.integers(1, 40), st.booleans(), st.integers(60, 240)), max_size=5),
)
def test_buying_mirrors_selling(strategy: StrategyName, at: int, lines: list[tuple[int, bool, int]]) -> None:
    """Prices mirrored at 150 USDC make the other role's act the mirrored one.

    Not for strategies that weigh a spread or a gap by its share of the price: shares have no mirror image.
    """
    buying = [
        Said(round_, f"{'b' if rival else 's'}{n}", ActKind.OFFER, price)
        for n, (round_, rival, price) in enumerate(sorted(lines))
    ]
    selling = [
        dataclasses.replace(line, agent=line.agent.translate({98: "s", 115: "b"}), price=300 - (line.price or 0))
        for line in buying
    ]
    bought = act_of(scene(strategy, Role.BUYER, at, buying))
    sold = act_of(scene(strategy, Role.SELLER, at, selling))
    assert (bought is None) == (sold is None)
    if bought is None or sold is None:
        return
    assert (bought.kind, bought.reason.rule) == (sold.kind, sold.reason.rule)
    if bought.price_usdc_micros is not None:
        assert sold.price_usdc_micros == usdc(300) - bought.price_usdc_micros


@choosy
@given(moments())
def test_the_market_ranks_every_quote_once(moment: Moment) -> None:
    market = Market(moment.room)
    assert sorted(q.id for q in (*market.asks, *market.bids)) == sorted(moment.room.quotes)
    asks = [q.price_usdc_micros for q in market.asks]
    bids = [q.price_usdc_micros for q in market.bids]
    assert asks == sorted(asks)
    assert bids == sorted(bids, reverse=True)
