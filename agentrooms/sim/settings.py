"""What makes a run: seed, sizes and market parameters. Everything here stands in the manifest."""

from __future__ import annotations

import msgspec

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


def preset(name: str, seed: int) -> RunSettings:
    """Returns the settings of a preset. Raises InvalidInput for an unknown one."""
    if name not in PRESETS:
        raise InvalidInput(f"{name!r} is not a preset", hint=f"one of {', '.join(PRESETS)}, or --buyers N --sellers M")
    buyers, sellers = PRESETS[name]
    return RunSettings(seed=seed, preset=name, buyers=buyers, sellers=sellers)


def custom(seed: int, buyers: int, sellers: int) -> RunSettings:
    """Returns the settings of a swarm of any size. Raises InvalidInput for a side that is empty or too large."""
    for side, count in (("buyers", buyers), ("sellers", sellers)):
        if not 1 <= count <= SIDE_MAX:
            raise InvalidInput(
                f"a swarm has 1 to {SIDE_MAX} {side}, was {count}", hint=f"choose --{side} in that range"
            )
    return RunSettings(seed=seed, preset=CUSTOM, buyers=buyers, sellers=sellers)
