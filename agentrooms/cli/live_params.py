"""Values of the commands that talk to the running system, and how its lists are paged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from agentrooms.cli.params import Misuse, whole

if TYPE_CHECKING:
    from agentrooms.domain.assets import Wants

LIST_DEFAULT, LIST_MAX = 50, 1_000_000
T = TypeVar("T")


def amount(value: str | int) -> int:
    """Reads an amount of USDC, such as 48 or 48.50, as micro-USDC."""
    from agentrooms.domain.money import is_price, parse_usdc
    from agentrooms.errors import InvalidInput

    if isinstance(value, int):
        return value
    try:
        micros = parse_usdc(value)
    except InvalidInput as error:
        raise Misuse(str(error), error.hint) from error
    if not is_price(micros):
        raise Misuse(f"{value!r} is not a price", "a price is above zero, such as 48 or 48.50")
    return micros


def wants(value: str | Wants) -> Wants:
    """Reads what a buyer wants: any, token ids with commas between, or traits such as grade=zombie."""
    from agentrooms.domain.assets import WantKind, Wants

    if isinstance(value, Wants):
        return value
    parts = [part.strip() for part in value.split(",")]
    if value.strip() == "any":
        return Wants()
    if not all(parts):
        raise Misuse(f"{value!r} is not what a buyer can want", "write any, or 1234,5678, or grade=zombie")
    if all("=" not in part for part in parts):
        return Wants(WantKind.ITEMS, token_ids=tuple(parts))
    pairs = [part.partition("=") for part in parts]
    traits = {name.strip(): wanted.strip() for name, _is, wanted in pairs}
    if (
        not all(is_ for _name, is_, _wanted in pairs)
        or "" in traits
        or "" in traits.values()
        or len(traits) < len(parts)
    ):
        raise Misuse(f"{value!r} is not what a buyer can want", "write traits as grade=zombie,hat=red")
    return Wants(WantKind.TRAITS, traits=traits)


def round_length(value: str | int) -> int:
    """Reads how long a live room's rounds are, in milliseconds."""
    from agentrooms.live.commands import ROUND_MS_MIN
    from agentrooms.sim.settings import ROUND_MS_MAX

    return whole(ROUND_MS_MIN, ROUND_MS_MAX)(value)


def rounds(value: str | int) -> int:
    """Reads how many rounds a mandate lasts."""
    from agentrooms.sim.settings import ROUNDS_MAX

    return whole(1, ROUNDS_MAX)(value)


def demo_number(value: str | int) -> int:
    """Reads the number of a demo wallet."""
    from agentrooms.live.wallets import DEMO_WALLETS

    return whole(1, DEMO_WALLETS)(value)


RoomId = Annotated[str, typer.Argument(metavar="ROOM", help="The room's id, or the beginning of it.")]
AgentId = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's id, or the beginning of it.")]
SwarmId = Annotated[str, typer.Argument(metavar="SWARM", help="The swarm's id, or the beginning of it.")]
DealId = Annotated[str, typer.Argument(metavar="DEAL", help="The deal's id, or the beginning of it.")]
OfRoom = Annotated[str | None, typer.Option("--room", metavar="ROOM", help="Those of one room only.")]
Limit = Annotated[
    int, typer.Option("--limit", metavar="N", help="How many at most.", parser=whole(1, LIST_MAX), show_default=True)
]


def pages(fetch: Callable[[T | None], list[T]]) -> Iterator[T]:
    """Yields the rows of one page after the other; `fetch` is given the last row seen."""
    last: T | None = None
    while page := fetch(last):
        yield from page
        last = page[-1]


def first(rows: Iterator[T], limit: int) -> list[T]:
    """Returns the first rows, and says so when there are more."""
    from agentrooms.cli.console import talk

    found = list(islice(rows, limit))
    if next(rows, None) is not None:
        talk(f"Only the first {limit}; --limit shows more.")
    return found
