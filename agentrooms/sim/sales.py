"""Real CryptoPunks sales (CC0, see data/SOURCE.md) as the source of items and of what they are worth."""

from __future__ import annotations

import csv
import hashlib
import re
from functools import lru_cache
from importlib.resources import files
from statistics import median_low

import msgspec

from agentrooms.domain.ids import draw, draw_below
from agentrooms.domain.money import to_tick

DATA_FILE = "cryptopunks_sales_2021q1.csv"
SHIPPED_SHA256 = "02548833612f0678890a309be373bd28ea4172b50d60f0d7d7028de95fa8083f"
WINDOW_SALES = 300  # consecutive sales: a few days, so that prices are of one market
COMMON, RARE = "common", "rare"
RARE_PART = (5, 2)  # an item that sold above 5/2 of the window's median is rare, the others are comparable
ETH_MICROS = 1_000_000

_ETH = re.compile(r"([0-9]+)(?:\.([0-9]+))?")


class Sale(msgspec.Struct, frozen=True):
    """One sale: token id and price in micro-ETH."""

    token_id: str
    price_eth_micros: int


class Window(msgspec.Struct, frozen=True):
    """The sales one run draws from, by grade, and its items in the run's own order. Prices in micro-USDC."""

    common: tuple[int, ...]
    rare: tuple[int, ...]
    items: tuple[tuple[str, str, int], ...]

    @property
    def highest(self) -> int:
        """The highest price of the window."""
        return max((*self.common, *self.rare))


def data_bytes() -> bytes:
    """Returns the shipped file as it is."""
    return files("agentrooms.sim").joinpath("data", DATA_FILE).read_bytes()


def data_hash() -> str:
    """Returns the shipped file's SHA-256, for manifests."""
    return hashlib.sha256(data_bytes()).hexdigest()


@lru_cache(maxsize=1)
def load_sales() -> tuple[Sale, ...]:
    """Returns all sales in order of time; sales for nothing are gifts and left out."""
    rows = csv.DictReader(data_bytes().decode().splitlines())
    sales = (Sale(row["punk_id"], _eth_micros(row["price_eth"])) for row in rows)
    return tuple(sale for sale in sales if sale.price_eth_micros > 0)


def window(run_key: bytes, usdc_per_eth: int) -> Window:
    """Returns the run's window: consecutive sales at a place drawn from the seed, each token's last sale."""
    return _window(run_key, usdc_per_eth, draw_below(run_key, len(load_sales()) - WINDOW_SALES, "window"))


def window_of(token_id: str, run_key: bytes, usdc_per_eth: int) -> Window | None:
    """Returns a window around a token's last sale, None for a token that was not sold."""
    places = [place for place, sale in enumerate(load_sales()) if sale.token_id == token_id]
    if not places:
        return None
    first = min(max(0, places[-1] - WINDOW_SALES // 2), len(load_sales()) - WINDOW_SALES)
    return _window(run_key, usdc_per_eth, first)


def _window(run_key: bytes, usdc_per_eth: int, first: int) -> Window:
    prices = {
        s.token_id: to_tick(s.price_eth_micros * usdc_per_eth) for s in load_sales()[first : first + WINDOW_SALES]
    }
    middle = median_low(prices.values())
    over, under = RARE_PART
    grades = {token: RARE if price * under > middle * over else COMMON for token, price in prices.items()}
    order = sorted(prices, key=lambda token: draw(run_key, "item", token))
    return Window(
        common=tuple(sorted(price for token, price in prices.items() if grades[token] == COMMON)),
        rare=tuple(sorted(price for token, price in prices.items() if grades[token] == RARE)) or (middle,),
        items=tuple((token, grades[token], prices[token]) for token in order),
    )


def _eth_micros(text: str) -> int:
    match = _ETH.fullmatch(text)
    assert match is not None, f"{text!r} in {DATA_FILE} is not a price"
    return int(match[1]) * ETH_MICROS + int((match[2] or "").ljust(6, "0")[:6] or "0")
