"""What makes a run: seed, sizes and market parameters. Everything here stands in the manifest."""

from __future__ import annotations

import msgspec

from agentrooms.chain.spec import ChainMode
from agentrooms.domain.money import is_price
from agentrooms.domain.terms import StrategyName, Style
from agentrooms.errors import InvalidInput

PRESETS: dict[str, tuple[int, int]] = {
    "small_test": (2, 3),
    "balanced_market": (5, 5),
    "high_competition": (15, 5),
    "buyers_market": (5, 15),
}
CUSTOM = "custom"
SIDE_MAX = 250  # buyers or sellers of one swarm: a window of sales has about this many distinct items
USDC_PER_ETH_MAX = 100_000
ROUNDS_MAX = 10_000  # that a mandate, a quote or a deal may last
ROUND_MS_MAX = 3_600_000
SETTLING_ROUNDS = 100  # what settling and leaving take at most after the last deadline
INTERVENTIONS_MAX = 1_000
STARTED_AT_MS_MAX = 1 << 52
EVM_STARTED_AT_MS_MIN = 10**12  # in 2001: what is less, clients of an EVM take for seconds
PERMILLE = 1_000


class Intervention(msgspec.Struct, frozen=True, kw_only=True):
    """Something a researcher changes at a round of a fork; None leaves as it is."""

    round: int
    agent: str
    strategy: StrategyName | None = None
    style: Style | None = None
    limit_usdc_micros: int | None = None
    removed: bool = False


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One reproducible run. Times in milliseconds or rounds; `usdc_per_eth` scales the sales data."""

    seed: int
    preset: str
    buyers: int
    sellers: int
    round_ms: int = 1_000
    quote_rounds: int = 60
    mandate_rounds: tuple[int, int] = (180, 300)
    deal_ms: int = 60_000
    usdc_per_eth: int = 1_500
    underfunded_permille: int = 0
    started_at_ms: int = 1_609_459_200_000
    interventions: tuple[Intervention, ...] = ()
    chain: ChainMode = ChainMode.LEDGER


def preset(name: str, seed: int) -> RunSettings:
    """Returns the settings of a preset. Raises InvalidInput for an unknown one."""
    if name not in PRESETS:
        raise InvalidInput(f"{name!r} is not a preset", hint=f"one of {', '.join(PRESETS)}, or --buyers N --sellers M")
    buyers, sellers = PRESETS[name]
    return RunSettings(seed=seed, preset=name, buyers=buyers, sellers=sellers)


def custom(seed: int, buyers: int, sellers: int) -> RunSettings:
    """Returns the settings of a swarm of any size. Raises InvalidInput for a side that is empty or too large."""
    settings = RunSettings(seed=seed, preset=CUSTOM, buyers=buyers, sellers=sellers)
    check(settings)
    return settings


def rounds_max(settings: RunSettings) -> int:
    """Returns a round that no run of these settings goes beyond: mandates end, then deals, then all leave."""
    return settings.mandate_rounds[1] + settings.deal_ms // settings.round_ms + SETTLING_ROUNDS


def check(settings: RunSettings) -> None:
    """Raises InvalidInput for settings that no run has, or that would run for ever."""
    for side, count in (("buyers", settings.buyers), ("sellers", settings.sellers)):
        _within(f"the number of {side}", count, 1, SIDE_MAX)
    _within("round_ms", settings.round_ms, 1, ROUND_MS_MAX)
    _within("quote_rounds", settings.quote_rounds, 1, ROUNDS_MAX)
    least, most = settings.mandate_rounds
    _within("the least of mandate_rounds", least, 1, ROUNDS_MAX)
    _within("the most of mandate_rounds", most, least, ROUNDS_MAX)
    _within("deal_ms", settings.deal_ms, 1, ROUNDS_MAX * settings.round_ms)
    _within("usdc_per_eth", settings.usdc_per_eth, 1, USDC_PER_ETH_MAX)
    _within("underfunded_permille", settings.underfunded_permille, 0, PERMILLE)
    evm = settings.chain is not ChainMode.LEDGER
    _within("started_at_ms", settings.started_at_ms, EVM_STARTED_AT_MS_MIN if evm else 0, STARTED_AT_MS_MAX)
    if settings.chain is ChainMode.ARK:
        raise InvalidInput("a reproducible run has a chain of its own, not ARK", hint="--chain ledger, devnet or anvil")
    _within("the number of interventions", len(settings.interventions), 0, INTERVENTIONS_MAX)
    for intervention in settings.interventions:
        _within("the round of an intervention", intervention.round, 0, rounds_max(settings))
        limit = intervention.limit_usdc_micros
        if limit is not None and not is_price(limit):
            raise InvalidInput(f"a limit is a price in whole ticks, was {limit}")


def _within(what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidInput(f"{what} is {least} to {most} in a run, was {value}")
