"""The live screen of a room: chat on the left; floor, book, deals and agents on the right.

`render` is a pure function of what it is given and adapts to the width and height it is drawn in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.layout import Layout
from rich.panel import Panel
from rich.segment import Segment
from rich.text import Text

from agentrooms.cli.console import clean, usdc
from agentrooms.cli.lines import ROLE_STYLES, Line, rich_line, words
from agentrooms.cli.roomview import spread
from agentrooms.domain.deal import Deal, DealState
from agentrooms.domain.market import Market
from agentrooms.domain.progress import Stage, further, of_deal
from agentrooms.domain.room import Quote, Room
from agentrooms.domain.terms import AgentStatus, Role

BARS = "▁▂▃▄▅▆▇█"
PRICE_CELLS = 10
HANG = "   "
SIDE_CELLS_MIN, SIDE_CELLS_MAX = 34, 48
STAGES = {
    DealState.LOCKED: ("●○○○", "locked", "yellow"),
    DealState.VERIFYING: ("●●○○", "verifying", "yellow"),
    DealState.EXECUTING: ("●●●○", "executing", "yellow"),
    DealState.COMPLETED: ("●●●●", "completed", "green"),
    DealState.FAILED: ("✘", "failed", "red"),
}
STATUS_WORDS = {
    AgentStatus.SPAWNED: "new",
    AgentStatus.ACTIVE: "looking",
    AgentStatus.NEGOTIATING: "trading",
    AgentStatus.DEAL_LOCKED: "in a deal",
    AgentStatus.COMPLETED: "done",
    AgentStatus.PAUSED: "paused",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a frame shows. `floors` is the floor's path so far, oldest first, in micro-USDC.

    `about` and `keys` are the footer's two ends. `percents` is how far live deals are, where more is known than the
    room tells.
    """

    room: Room
    lines: Sequence[Line]
    floors: Sequence[int]
    about: str
    keys: str
    percents: Mapping[str, int] = field(default_factory=dict)


def render(scene: Scene) -> RenderableType:
    """Returns the frame."""
    return _Frame(scene)


def sparkline(values: Sequence[int], cells: int) -> str:
    """Returns the last values as bars, one a cell; equal values are a low line."""
    shown = list(values)[-cells:] if cells > 0 else []
    if not shown:
        return ""
    low, span = min(shown), max(shown) - min(shown)
    top = len(BARS) - 1
    return "".join(BARS[(value - low) * top // span if span else 0] for value in shown)


class _Frame:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        side = min(SIDE_CELLS_MAX, max(SIDE_CELLS_MIN, options.max_width * 2 // 5))
        room = self._scene.room
        chat = Panel(
            _Tail(self._scene.lines), title=clean(room.name), title_align="left", box=box.ROUNDED, border_style="dim"
        )
        market = Panel(_Side(self._scene), title="market", title_align="left", box=box.ROUNDED, border_style="dim")
        body = Layout()
        body.split_row(Layout(chat), Layout(market, size=side))
        whole = Layout()
        whole.split_column(body, Layout(_footer(self._scene, options.max_width), size=1))
        yield from console.render(whole, options)  # yielded as it is, it would forget the height it was given


class _Tail:
    """The newest lines that fit, wrapped, the newest at the bottom."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or options.max_height
        shown: list[list[Segment]] = []
        for line in reversed(self._lines):
            rows = _hanging(console, options, line)
            free = height - len(shown)
            shown = rows[-free:] + shown  # the oldest line may show its end only
            if len(rows) >= free:
                break
        for row in shown:
            yield from row
            yield Segment.line()


def _hanging(console: Console, options: ConsoleOptions, line: Line) -> list[list[Segment]]:
    """Returns the line's rows; those after the first stand below the name, not below the avatar."""
    narrower = options.update(width=max(1, options.max_width - len(HANG)), height=None)
    first, *others = console.render_lines(rich_line(line), narrower, pad=False)
    return [first, *([Segment(HANG), *row] for row in others)]


class _Side:
    """The market, section by section; each gets what the height allows."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or options.max_height
        sections = _sections(self._scene, width)
        taken = _shares([len(rows) for rows in sections], height)
        for rows, share in zip(sections, taken, strict=True):
            yield from rows[:share]


def _sections(scene: Scene, width: int) -> list[list[Text]]:
    room = scene.room
    market = Market(room)
    deals = sorted(room.deals.values(), key=lambda deal: (not deal.live, -deal.locked_round))
    agents = [agent for agent in room.agents.values() if agent.present]
    buyers = sum(agent.role is Role.BUYER for agent in agents)
    head = [
        _figure("Floor", room.floor, sparkline(scene.floors, width - 22), width),
        _figure("Top bid", room.top_bid, "", width),
        _figure("Spread", spread(room), "", width),
    ]
    people = [
        Text.assemble((_fit(clean(f"{a.avatar} {a.name}"), width - 11), ROLE_STYLES[a.role]), f" {_status(a.status)}")
        for a in agents
    ]
    return [
        head,
        _section("Asks", str(len(market.asks)), [_quote(room, quote, width) for quote in market.asks]),
        _section("Bids", str(len(market.bids)), [_quote(room, quote, width) for quote in market.bids]),
        _section("Deals", str(len(deals)), [_deal(deal, scene.percents, width) for deal in deals]),
        _section("Agents", f"{buyers} buyers, {len(agents) - buyers} sellers", people),
    ]


def _shares(wanted: Sequence[int], height: int) -> list[int]:
    """Returns how many rows each section gets: the first one whole, the others by turns."""
    taken = [min(wanted[0], height), *(0 for _section in wanted[1:])]
    left = height - taken[0]
    while left > 0 and any(have < want for have, want in zip(taken, wanted, strict=True)):
        for index, want in enumerate(wanted):
            if left > 0 and taken[index] < want:
                taken[index] += 1
                left -= 1
    return taken


def _section(title: str, about: str, rows: list[Text]) -> list[Text]:
    return [Text.assemble((title, "bold"), (f"  {about}", "dim")), *rows]


def _figure(label: str, micros: int | None, bars: str, width: int) -> Text:
    text = Text.assemble((f"{label:<9}", "bold"), (f"{usdc(micros):>{PRICE_CELLS}}", "bold yellow"), "  ", bars)
    text.truncate(width)
    return text


def _quote(room: Room, quote: Quote, width: int) -> Text:
    agent = room.agents[quote.agent]
    item = f"#{quote.token_id}" if quote.token_id else ""
    name = _fit(clean(f"{agent.avatar} {agent.name}"), width - PRICE_CELLS - 1 - len(item))
    return Text.assemble(
        (f"{usdc(quote.price_usdc_micros):>{PRICE_CELLS}}", "yellow"),
        " ",
        (name, ROLE_STYLES[agent.role]),
        (item, "dim"),
    )


def _deal(deal: Deal, percents: Mapping[str, int], width: int) -> Text:
    marks, word, style = STAGES[deal.state]
    item, price = f" #{deal.terms.item.token_id} ", usdc(deal.terms.price_usdc_micros)
    left = width - len(item) - len(price)
    if deal.fail_reason is not None:
        word = words(deal.fail_reason)
    elif deal.live:
        stage, percent = further(of_deal(deal), percents.get(deal.terms.deal))
        early = deal.state is DealState.LOCKED and stage is Stage.OWNERSHIP
        long = f"{word if early else stage} {percent}%"
        word = long if len(f"{marks} {long}") <= left else f"{percent}%"
    text = Text.assemble((_fit(f"{marks} {word}", left), style), item, (price, "yellow"))
    text.truncate(width)
    return text


def _status(status: AgentStatus) -> str:
    return f"{STATUS_WORDS.get(status, status):>9}"


def _fit(text: str, cells: int) -> str:
    """Returns the text in exactly so many cells."""
    if cell_len(text) <= cells:
        return set_cell_size(text, max(cells, 0))
    return set_cell_size(text, max(cells - 1, 0)) + "…"


def _footer(scene: Scene, width: int) -> Text:
    keys = f"{scene.keys} "
    text = f"{_fit(f' {scene.about}', max(width - len(keys), 0))}{keys}"
    return Text(text, style="reverse", no_wrap=True, overflow="crop")
