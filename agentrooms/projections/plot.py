"""A run's price path as an SVG picture: floor, top bid and deals over the rounds. No plotting library needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from agentrooms.domain.money import USDC_MICROS
from agentrooms.projections.deals import DealRow
from agentrooms.projections.floor_path import FloorRow

WIDTH, HEIGHT = 760, 340
LEFT, RIGHT, TOP, BOTTOM = 78, 20, 44, 46
GRIDLINES = 5
FLOOR_COLOUR, BID_COLOUR, DEAL_COLOUR = "#b3452c", "#2c6fb3", "#222222"

Scale = Callable[[int], str]


class Picture(str):
    """SVG text that a notebook shows as a picture."""

    __slots__ = ()

    def _repr_svg_(self) -> str:
        return str(self)


def price_path(path: Sequence[FloorRow], deals: Iterable[DealRow]) -> Picture:
    """Returns a picture of floor and top bid as steps and of the base grade's deals as dots.

    Prices in USDC from top to bottom, rounds from left to right. A line has a gap while no quote
    stands; a dot is hollow when its deal did not complete.
    """
    grade = path[0].grade if path else ""
    dots = [deal for deal in deals if deal.grade == grade]
    prices = [p for row in path for p in (row.floor_usdc_micros, row.top_bid_usdc_micros) if p is not None]
    prices += [deal.price_usdc_micros for deal in dots]
    if not prices:
        return Picture(_framed(['<text x="50%" y="50%" text-anchor="middle">No quote was made.</text>']))
    last = max([row.round for row in path] + [deal.ended_round or deal.locked_round for deal in dots] + [1])
    low, high, step = _bounds(min(prices), max(prices))
    x = _scale(0, last, LEFT, WIDTH - RIGHT)
    y = _scale(low, high, HEIGHT - BOTTOM, TOP)
    parts = [*_grid(x, y, last, range(low, high + 1, step))]
    parts += _steps([(row.round, row.floor_usdc_micros) for row in path], x, y, last, FLOOR_COLOUR)
    parts += _steps([(row.round, row.top_bid_usdc_micros) for row in path], x, y, last, BID_COLOUR)
    parts += [_dot(deal, x, y) for deal in dots]
    return Picture(_framed([*parts, *_legend()]))


def _bounds(low: int, high: int) -> tuple[int, int, int]:
    """Returns round bounds around the prices and the distance of the grid lines, in micro-USDC."""
    rough = max((high - low) // GRIDLINES, USDC_MICROS // 100)
    magnitude = 10 ** (len(str(rough)) - 1)
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough)
    return low // step * step, -(-(high + 1) // step) * step, step


def _scale(low: int, high: int, first: int, last: int) -> Scale:
    """Returns how a number becomes a place in the picture, to a tenth of a pixel and without floats."""

    def place(value: int) -> str:
        tenths = first * 10 + (value - low) * (last - first) * 10 // (high - low)
        return f"{tenths // 10}.{tenths % 10}"

    return place


def _grid(x: Scale, y: Scale, last: int, prices: Iterable[int]) -> Iterable[str]:
    for price in prices:
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(price)}" y2="{y(price)}"/>'
        whole, rest = divmod(price, USDC_MICROS)
        label = f"{whole:,}" + (f".{rest // (USDC_MICROS // 100):02d}" if rest else "")
        yield f'<text x="{LEFT - 8}" y="{y(price)}" dy="4" text-anchor="end">{label}</text>'
    every = max(1, last // 10 // 10 * 10 or last // 10)
    for round_ in range(0, last + 1, every):
        yield f'<text x="{x(round_)}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{round_}</text>'
    middle = (LEFT + WIDTH - RIGHT) // 2
    yield f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">round</text>'


def _steps(points: Sequence[tuple[int, int | None]], x: Scale, y: Scale, last: int, colour: str) -> list[str]:
    """Returns lines that hold each price until the next; they break where there is none."""
    commands, drawing = [], False
    for (round_, price), (until, _next) in zip(points, [*points[1:], (last, None)], strict=True):
        if price is not None:
            commands.append(f"{'V' if drawing else f'M{x(round_)} '}{y(price)}H{x(until)}")
        drawing = price is not None
    return [f'<path d="{"".join(commands)}" stroke="{colour}"/>'] if commands else []


def _dot(deal: DealRow, x: Scale, y: Scale) -> str:
    fill = DEAL_COLOUR if deal.state == "completed" else "white"
    place = f'cx="{x(deal.locked_round)}" cy="{y(deal.price_usdc_micros)}"'
    return f'<circle {place} r="4.5" fill="{fill}" stroke="{DEAL_COLOUR}"><title>{deal.deal}</title></circle>'


def _legend() -> list[str]:
    return [
        f'<text x="{LEFT}" y="24" fill="{FLOOR_COLOUR}">floor</text>',
        f'<text x="{LEFT + 52}" y="24" fill="{BID_COLOUR}">top bid</text>',
        f'<circle cx="{LEFT + 124}" cy="20" r="4.5" fill="{DEAL_COLOUR}"/>',
        f'<text x="{LEFT + 134}" y="24">deal</text>',
        f'<text x="{WIDTH - RIGHT}" y="24" text-anchor="end">prices in USDC</text>',
    ]


def _framed(parts: Iterable[str]) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
            "<style>text{font:12px sans-serif}path{fill:none;stroke-width:1.8}.grid{stroke:#ddd}</style>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
            *parts,
            "</svg>",
        ]
    )
