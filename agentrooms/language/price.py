"""How a price is spoken: exact integer arithmetic, no locale, no floats."""

from __future__ import annotations

_MICROS_PER_USDC = 1_000_000
_MICROS_PER_CENT = 10_000


def price_text(micros: int, *, short: bool = False) -> str:
    """Return `micros` (millionths of a USDC, not negative) as in `9,450.00 USDC`.

    `short` drops the cents of whole amounts: `9,450 USDC`. An amount finer than a cent keeps
    its six decimals, so that no words ever round a price.
    """
    whole, rest = divmod(micros, _MICROS_PER_USDC)
    if short and not rest:
        return f"{whole:,} USDC"
    cents, finer = divmod(rest, _MICROS_PER_CENT)
    return f"{whole:,}.{rest:06d} USDC" if finer else f"{whole:,}.{cents:02d} USDC"
