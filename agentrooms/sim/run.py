"""`agentrooms.Run`: an archive as a researcher reads it: events, states, tables, figures.

run = Run.open("runs/a")
run.at(100).floor                       # the room after the first 100 events
run.deals().select("price_usdc_micros")  # a polars frame
run.fold(lambda count, recorded: count + 1, 0)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, reduce
from pathlib import Path
from typing import TypeVar

import msgspec
import polars as pl

from agentrooms.domain.room import Room
from agentrooms.errors import InvalidInput
from agentrooms.events.record import PLATFORM, Recorded
from agentrooms.events.vault import MemoryVault, get_mandate
from agentrooms.projections import deals, floor_path, mandates
from agentrooms.projections.plot import Picture, price_path
from agentrooms.projections.schema import ColumnType, Table
from agentrooms.projections.tables import TABLES
from agentrooms.projections.walk import Rooms
from agentrooms.sim import archive
from agentrooms.sim.archive import Manifest, NotAnArchive
from agentrooms.sim.metrics import Figure, measure

CHECKPOINT_EVENTS = 500  # a state is kept after so many events, so that stepping folds few

State = TypeVar("State")

_DTYPES: dict[ColumnType, type[pl.DataType]] = {
    ColumnType.INTEGER: pl.Int64,
    ColumnType.TEXT: pl.String,
    ColumnType.BOOLEAN: pl.Boolean,
}


class Run:
    """One archive, read only. Open it with `Run.open`; what is decoded or folded is kept."""

    def __init__(self, path: Path, manifest: Manifest, vault: MemoryVault | None) -> None:
        self.path = path
        self.manifest = manifest
        self.vault = vault
        self._checkpoints: list[dict[str, Room]] = [{}]
        self._measured: dict[str, dict[str, Figure]] = {}

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Opens an archive's folder. Raises NotAnArchive; events are read when first asked for."""
        folder = Path(path)
        if not folder.is_dir():
            raise NotAnArchive(f"{folder} is not a folder", hint="make an archive with `agentrooms swarm run`")
        return cls(folder, archive.read_manifest(folder), archive.read_vault(folder))

    def __repr__(self) -> str:
        settings = self.manifest.settings
        return f"Run({str(self.path)!r}, {settings.preset}, seed {settings.seed}, {len(self)} events)"

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Recorded]:
        return iter(self._events)

    def events(self) -> list[Recorded]:
        """Returns the decoded log, in its order; the list is the caller's own. Raises NotAnArchive."""
        return list(self._events)

    @cached_property
    def _events(self) -> list[Recorded]:
        return archive.read_events(self.path)

    @cached_property
    def rooms(self) -> tuple[str, ...]:
        """The ids of the run's rooms, in the order in which they opened."""
        return tuple(dict.fromkeys(r.chain for r in self._events if r.chain != PLATFORM))

    def at(self, number: int, *, room: str | None = None) -> Room:
        """Returns the room as it was after the first `number` events of the log, 0 to `len(run)`.

        `room` is needed only when the run has several. Raises InvalidInput for a number or room that
        is not there, BrokenLog when the log does not fold.
        """
        if number not in range(len(self) + 1):
            raise InvalidInput(f"this run has events 1 to {len(self)}, was {number!r}", hint="0 is before the first")
        number = int(number)  # 3.0 is 3
        index = number // CHECKPOINT_EVENTS
        while len(self._checkpoints) <= index:
            kept = len(self._checkpoints) * CHECKPOINT_EVENTS
            self._checkpoints.append(self._folded(self._checkpoints[-1], kept - CHECKPOINT_EVENTS, kept))
        states = self._folded(self._checkpoints[index], index * CHECKPOINT_EVENTS, number)
        return states.get(self._room(room), Room())

    def _folded(self, states: dict[str, Room], start: int, stop: int) -> dict[str, Room]:
        rooms = Rooms(states)
        for number, recorded in enumerate(self._events[start:stop], start=start + 1):
            rooms.apply(number, recorded)
        return rooms.freeze()

    def _room(self, room: str | None) -> str:
        if room is not None and room not in self.rooms:
            raise InvalidInput(f"this run has no room {room!r}", hint=f"one of {', '.join(self.rooms)}")
        if room is None and len(self.rooms) > 1:
            raise InvalidInput(f"this run has {len(self.rooms)} rooms", hint=f"room= one of {', '.join(self.rooms)}")
        return room or next(iter(self.rooms), "")

    @cached_property
    def _mandate_of(self) -> mandates.Lookup | None:
        vault = self.vault
        return None if vault is None else lambda key: get_mandate(vault, key).mandate

    def fold(self, fn: Callable[[State, Recorded], State], initial: State) -> State:
        """Returns `fn(...fn(fn(initial, first event), second event)..., last event)`."""
        return reduce(fn, self._events, initial)

    def tables(self) -> tuple[Table, ...]:
        """Returns the tables this run has; `mandates` only when its vault is there."""
        return TABLES if self._mandate_of is None else (*TABLES, mandates.table(self._mandate_of))

    def rows(self, name: str) -> Sequence[msgspec.Struct]:
        """Returns a table's rows by the table's name. Raises InvalidInput for one this run does not have."""
        return self.table(name).rows(self._events)

    def table(self, name: str) -> Table:
        """Returns a table by its name. Raises InvalidInput for one this run does not have."""
        tables = {table.name: table for table in self.tables()}
        if name == "mandates" and self.vault is None:
            raise InvalidInput(f"{self.path} is sealed: it has no vault, so no mandates")
        if name not in tables:
            raise InvalidInput(f"{name!r} is not a table", hint=f"one of {', '.join(tables)}")
        return tables[name]

    def frame(self, name: str) -> pl.DataFrame:
        """Returns a table by its name as a frame, with the columns and types docs/data.md declares."""
        return frame(self.table(name), self.rows(name))

    def messages(self) -> pl.DataFrame:
        """Returns everything said."""
        return self.frame("messages")

    def quotes(self) -> pl.DataFrame:
        """Returns every ask and bid with its life cycle."""
        return self.frame("quotes")

    def deals(self) -> pl.DataFrame:
        """Returns every deal."""
        return self.frame("deals")

    def agents(self) -> pl.DataFrame:
        """Returns every agent."""
        return self.frame("agents")

    def floor_path(self) -> pl.DataFrame:
        """Returns floor and top bid after each event that moved one of them."""
        return self.frame("floor_path")

    def reasons(self) -> pl.DataFrame:
        """Returns why each act was decided; private to the agents' owners."""
        return self.frame("reasons")

    def mandates(self) -> pl.DataFrame:
        """Returns the agents' true limits. Raises InvalidInput for a sealed archive, NotInVault for a damaged one."""
        return self.frame("mandates")

    def figures(self, *, room: str | None = None) -> dict[str, Figure]:
        """Returns the figures of docs/metrics.md by name, each with its unit, or why it is not defined."""
        return dict(self._figures(self._room(room)))

    def metrics(self, *, room: str | None = None) -> dict[str, int | float | None]:
        """Returns the figures' plain values by name; None where one is not defined (`figures` says why)."""
        return {name: figure.value for name, figure in self._figures(self._room(room)).items()}

    def plot(self, *, room: str | None = None) -> Picture:
        """Returns floor, top bid and the base grade's deals over the rounds, as SVG text a notebook shows."""
        name = self._room(room)
        path = [row for row in floor_path.rows(self._events) if row.room == name]
        return price_path(path, [row for row in deals.rows(self._events) if row.room == name])

    def _figures(self, room: str) -> dict[str, Figure]:
        if room not in self._measured:
            self._measured[room] = measure(self._events, self._mandate_of, room)
        return self._measured[room]


def frame(table: Table, rows: Sequence[msgspec.Struct]) -> pl.DataFrame:
    """Returns rows as a frame: integers as Int64 (money too, never a float), texts as String, flags as Boolean."""
    schema = {column.name: _DTYPES[column.type] for column in table.columns}
    plain: list[dict[str, object]] = msgspec.to_builtins(rows)
    return pl.DataFrame({name: [row[name] for row in plain] for name in schema}, schema=schema)
