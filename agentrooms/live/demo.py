"""The demo of `up`: a room of its own for one swarm after the other, remembered in the data folder."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from agentrooms.errors import AgentroomsError
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.store import QueryItem
from agentrooms.events.tags import chain_tag
from agentrooms.live.access import LOG
from agentrooms.live.commands import Answer, RunSwarm, SetSwarmSpeed
from agentrooms.live.inbox import Inbox

KEPT = "demo.json"
ARRIVING_SPEED = 10  # until somebody speaks there is little to see
WAIT_S = 0.5  # between two looks whether to go on waiting


class DemoFailed(AgentroomsError):
    """The demo's swarm was refused."""


class DemoRoom(msgspec.Struct, frozen=True):
    """The room that is shown; `resumed` when it was there before this start."""

    room: str
    swarm: str
    preset: str
    seed: int
    resumed: bool


class _Kept(msgspec.Struct, frozen=True):
    number: int
    command: RunSwarm


class Demo:
    """Opens demo rooms through the inbox, as anybody might."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self.store = PostgresLog(dsn, LOG)
        self._inbox = Inbox(dsn)
        self._kept = folder / KEPT

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inbox.close()
        self.store.close()

    def open(self, preset: str, seed: int, goes: Callable[[], bool]) -> DemoRoom | None:
        """Returns the demo room that is open, else a new one, in which agents arrive quickly.

        None when `goes` says that nobody waits any more.
        """
        kept = self._read()
        if kept is not None:
            answer = self._ask(kept.command, goes)
            if answer is None:
                return None
            if answer.room and not self._is_closed(answer.room):
                command = kept.command
                return DemoRoom(answer.room, answer.swarm, command.preset or "", command.seed or 0, resumed=True)
        number = kept.number + 1 if kept is not None else 1
        command = RunSwarm(id=f"demo-{number}", preset=preset, seed=seed, speed=ARRIVING_SPEED)
        self._write(_Kept(number, command))
        answer = self._ask(command, goes)
        if answer is None:
            return None
        if answer.why:
            raise DemoFailed(f"the demo's swarm was refused: {answer.why}", hint=answer.hint)
        return DemoRoom(answer.room, answer.swarm, preset, seed, resumed=False)

    def set_speed(self, room: DemoRoom, speed: int) -> None:
        """Has the room's rounds run at another pace from soon on."""
        self._inbox.send(SetSwarmSpeed(id=f"demo-{secrets.token_hex(8)}", swarm=room.swarm, speed=speed))

    def _ask(self, command: RunSwarm, goes: Callable[[], bool]) -> Answer | None:
        """Returns what became of the command; sent before, it has the answer of then."""
        self._inbox.send(command)
        while goes():
            sent = self._inbox.wait(command.id, WAIT_S)
            if sent.answer is not None:
                return sent.answer
        return None

    def _is_closed(self, room: str) -> bool:
        return bool(self.store.read((QueryItem(tags=(chain_tag(room),), types=("room.closed",)),), limit=1))

    def _read(self) -> _Kept | None:
        try:
            return msgspec.json.decode(self._kept.read_bytes(), type=_Kept)
        except (FileNotFoundError, msgspec.DecodeError):
            return None

    def _write(self, kept: _Kept) -> None:
        draft = self._kept.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(kept))
        draft.replace(self._kept)
