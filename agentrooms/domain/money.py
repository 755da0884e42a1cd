"""Money is whole micro-USDC; prices are whole ticks of 0.01 USDC. No float ever holds money."""

from __future__ import annotations

import re

from agentrooms.errors import InvalidInput

USDC_MICROS = 1_000_000
TICK_USDC_MICROS = 10_000
PRICE_MAX_USDC_MICROS = 100_000_000 * USDC_MICROS  # ten digits, two of them decimals, as the PRD's DECIMAL(10,2)

_DECIMAL = re.compile(r"(?P<whole>[0-9]{1,12})(?:\.(?P<cents>[0-9]{1,2}))?")


def parse_usdc(text: str) -> int:
    """Returns micro-USDC for a plain decimal such as "48" or "48.50". Raises InvalidInput for all else."""
    match = _DECIMAL.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(
            f"{text!r} is not an amount of USDC", hint="write it as 48 or 48.50, without exponent or sign"
        )
    micros = int(match["whole"]) * USDC_MICROS + int((match["cents"] or "0").ljust(2, "0")) * TICK_USDC_MICROS
    if micros > PRICE_MAX_USDC_MICROS:
        raise InvalidInput(f"{text} USDC is above the largest price", hint="at most 100000000 USDC")
    return micros


def format_usdc(micros: int) -> str:
    """Returns an amount as "9,450.00"; fractions of a cent are shown with all six digits."""
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    whole, rest = divmod(micros, USDC_MICROS)
    cents, dust = divmod(rest, TICK_USDC_MICROS)
    return f"{sign}{whole:,}.{cents:02d}" if not dust else f"{sign}{whole:,}.{rest:06d}"


def to_tick(micros: int) -> int:
    """Returns the nearest lower whole tick."""
    return micros - micros % TICK_USDC_MICROS


def is_price(micros: int) -> bool:
    """Tells whether an amount can be a price: positive, whole ticks, not above the largest."""
    return 0 < micros <= PRICE_MAX_USDC_MICROS and micros % TICK_USDC_MICROS == 0
