"""A living system on a devnet in which one deal after the other is made, and someone dies in the midst of each."""

from __future__ import annotations

import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import msgspec
import psutil
import ray

from agentrooms.actors.cells import create
from agentrooms.actors.plans import room_address
from agentrooms.actors.remote import end, find
from agentrooms.actors.service_cells import LogSpec, create_services
from agentrooms.chain.evm.devnet import LIVE_CHAIN_ID, DevnetChain, site_of
from agentrooms.chain.evm.rpc import Rpc
from agentrooms.chain.port import ChainUnreachable
from agentrooms.chain.spec import ChainMode, ChainSpec
from agentrooms.chaos import oracle
from agentrooms.chaos.escrow_oracle import EscrowOracle
from agentrooms.chaos.ground import Ground, ground
from agentrooms.chaos.matrix import DEVNET, ROOM, VICTIMS, Pair, pair
from agentrooms.chaos.processes import arm, is_up, process_of, send_signal
from agentrooms.chaos.seed import Stalled, await_, describe
from agentrooms.domain.deal import DealCompleted, DealFailed
from agentrooms.domain.keys import derive_key
from agentrooms.domain.money import USDC_MICROS
from agentrooms.domain.terms import Role, StrategyName, Style
from agentrooms.events.journal import fence
from agentrooms.events.postgres import migrate_log
from agentrooms.events.postgres_log import PostgresLog
from agentrooms.events.postgres_vault import PostgresVault
from agentrooms.events.record import Recorded
from agentrooms.events.store import QueryItem
from agentrooms.live.access import LOG
from agentrooms.live.cells import DESK, DeskCell, LivePlan
from agentrooms.live.chain import DevnetKeeper
from agentrooms.live.commands import CloseRoom, Command, OpenRoom, SpawnAgent
from agentrooms.live.inbox import Inbox, migrate_inbox
from agentrooms.live.wallets import SECRET_BYTES, made_id, room_key
from agentrooms.services import failpoints

SERVICES = tuple(address for address in VICTIMS if address not in {DEVNET, ROOM})  # actors of all rooms
ROUND_MS = 50  # the quickest that a live room can be
PASSED_ROUNDS = 3
LOOK_S = 1.0  # for a room's answer
MANDATE_ROUNDS = 10_000  # sellers wait for the deal before theirs
ARCHIVES_MAX = 12  # rooms whose archives are verified
SELLER, BUYER = (20, 40), (90, 80)  # limit and start in USDC: the buyer takes the ask


class Struck(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one pair. `hit` tells whether the deal passed the step; `wrong` is empty if all is well."""

    number: int
    victim: str
    step: str
    hit: bool
    end: str
    seconds: float
    wrong: tuple[str, ...]


class MatrixSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What all pairs came to; `wrong` is what was found in the end, over all rooms."""

    pairs: int
    completed: int
    expired: int
    missed: int
    executed: int  # by the chain
    seconds: float
    longest_s: float
    failed: tuple[Struck, ...]
    wrong: tuple[str, ...]


def run_matrix(numbers: Iterable[int], tell: Callable[[Struck], None]) -> MatrixSummary:
    """Strikes pairs by number on services of its own; tells each outcome. For the main thread."""
    folder = Path(tempfile.mkdtemp(prefix="agentrooms-chaos-"))
    try:
        with ground(folder) as services:
            return strike_pairs(services, folder, [pair(number) for number in numbers], tell)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def strike_pairs(
    services: Ground, folder: Path, pairs: Sequence[Pair], tell: Callable[[Struck], None]
) -> MatrixSummary:
    """Strikes pairs on services that are there."""
    begun = time.monotonic()
    done = []
    with settling_system(services, folder) as system:
        for n, one in enumerate(pairs, 1):
            done.append(system.strike(one, last=n == len(pairs)))
            tell(done[-1])
        wrong = system.finish()
        executed = sum(map(len, system.escrow.executed.values()))
    return MatrixSummary(
        pairs=len(done),
        completed=sum(one.end == DealCompleted.__name__ for one in done),
        expired=sum(one.end == DealFailed.__name__ for one in done),
        missed=sum(not one.hit for one in done),
        executed=executed,
        seconds=time.monotonic() - begun,
        longest_s=max(one.seconds for one in done),
        failed=tuple(one for one in done if one.wrong),
        wrong=tuple(wrong),
    )


@contextmanager
def settling_system(services: Ground, folder: Path) -> Iterator[SettlingSystem]:
    """Gives a living system on a database and a devnet of its own; all of it ends with the block."""
    with ExitStack() as ends:
        dsn = ends.enter_context(services.database())
        migrate_log(dsn, LOG)
        migrate_inbox(dsn)
        spec = ChainSpec(mode=ChainMode.DEVNET, site=site_of(LIVE_CHAIN_ID))
        keeper = DevnetKeeper(folder / "chain", folder / "devnet.log", spec)
        ends.callback(keeper.stop)
        system = SettlingSystem(services, dsn, keeper, msgspec.structs.replace(spec, url=keeper.url))
        ends.callback(system.close)
        system.start()
        yield system


class SettlingSystem:
    """Makes a deal a pair, in a room of its own; the next room is made while the last deal settles."""

    def __init__(self, services: Ground, dsn: str, keeper: DevnetKeeper, chain: ChainSpec) -> None:
        self.scope = f"chaos-{secrets.token_hex(6)}"
        self.keeper = keeper
        self.rpc = Rpc(chain.url)
        self.escrow = EscrowOracle(
            DevnetChain(self.rpc, PostgresVault(dsn, LOG, table="memory"), chain_id=LIVE_CHAIN_ID)
        )
        self._services = services
        self.dsn = dsn
        self.secret = secrets.token_bytes(SECRET_BYTES)
        self._plan = LivePlan(self.scope, LogSpec(dsn, LOG, services.redis_url), chain, self.secret, packed=0)
        self._log = PostgresLog(dsn, LOG)
        self._inbox = Inbox(dsn)
        self._made: list[str] = []  # rooms
        self._rooms: list[str] = []  # those that wait for their buyer

    def start(self) -> None:
        """Starts what the others are started by, and makes the first room."""
        create_services(self.scope, self._plan.spec, self._plan.chain)
        create(DeskCell, self.scope, DESK, self._plan, head=True)
        for address in SERVICES:
            self.await_(f"{address} answers", partial(is_up, self.scope, address))

    def close(self) -> None:
        """Ends all of it."""
        end(self.scope)
        self._log.close()
        self._inbox.close()
        self.rpc.close()

    # --- Deals --------------------------------------------------------------------------------------------------

    def make_room(self) -> None:
        """Opens a room with a seller in it."""
        number = len(self._made) + 1
        room = made_id(self.secret, "room", f"room-{number}")
        self.send(OpenRoom(id=f"room-{number}", name=f"Room {number}", round_ms=ROUND_MS))
        self.send(_agent(f"seller-{number}", room, Role.SELLER, SELLER))
        self._made.append(room)
        self._rooms.append(room)

    def next_room(self) -> str:
        """Returns a room in which a seller waits, once it does."""
        if not self._rooms:
            self.make_room()
        room = self._rooms.pop(0)
        self.await_("a seller is there", lambda: bool(self._read(room, "agent.spawned")))
        return room

    def send_buyer(self, room: str) -> None:
        """Sends the buyer who makes the deal."""
        self.send(_agent(f"buyer-{room}", room, Role.BUYER, BUYER))

    def send(self, command: Command) -> None:
        """Sends a command."""
        self._inbox.send(command)

    def end_of(self, room: str) -> DealCompleted | DealFailed | None:
        """Returns how the room's deal has ended, None while it has not."""
        for event in self._read(room, "deal.completed", "deal.failed"):
            assert isinstance(event.event, DealCompleted | DealFailed)
            return event.event
        return None

    def events(self, room: str) -> list[Recorded]:
        """Returns the events of a room."""
        return self._read(room)

    def await_(self, what: str, holds: Callable[[], bool]) -> None:
        """Waits. Raises Stalled when nothing moves any more."""
        await_(self._services, what, holds, self._log.head)

    def _read(self, chain: str, *types: str) -> list[Recorded]:
        return oracle.recorded(self._log.read(tuple(msgspec.structs.replace(q, types=types) for q in fence(chain))))

    # --- Strikes ------------------------------------------------------------------------------------------------

    def strike(self, one: Pair, *, last: bool = True) -> Struck:
        """Makes a deal, kills the victim at the step, and looks what came of it."""
        begun = time.monotonic()
        hit, wrong = False, []
        room = ""
        try:
            room = self.next_room()
            hit = self._deal(room, one, last=last)
            wrong = self.check(room)
        except Stalled as stalled:
            wrong = [f"{stalled}; {describe(self.scope)}"]
        ended = self.end_of(room) if room else None
        return Struck(
            number=one.number,
            victim=one.victim,
            step=one.step.name,
            hit=hit,
            end=type(ended).__name__ if ended is not None else "",
            seconds=time.monotonic() - begun,
            wrong=tuple(wrong),
        )

    def _deal(self, room: str, one: Pair, *, last: bool) -> bool:
        """Takes the room's deal to its end; returns whether it passed the step."""
        process = self.stop_at(room, one.step.address, one.step.point)
        self.send_buyer(room)
        self.await_(f"it is {one.step.name}", lambda: self.is_stopped(process) or self._is_over(room))
        hit = self.is_stopped(process)
        if hit:
            self.kill(self.pid_of(room, one.victim))
        self.go_on(process)
        if not last:
            self.make_room()
        self.await_("the deal has ended", lambda: self.end_of(room) is not None)
        self.send(CloseRoom(id=f"close-{room}", room=room))
        if hit and one.victim in SERVICES:
            self.await_(f"{one.victim} answers", partial(is_up, self.scope, one.victim))
        return hit

    def _is_over(self, room: str) -> bool:
        """Tells whether a room's deal ended some rounds ago: who wrote that it did comes to what follows a little later."""
        ended = self.end_of(room)
        return ended is not None and self._round(room) > ended.round + PASSED_ROUNDS

    def _round(self, room: str) -> int:
        """Returns the round of a room's actor, -1 while it does not answer: it is stopped, or being made anew."""
        try:
            progress = ray.get(find(self.scope, room_address(room)).progress.remote(), timeout=LOOK_S)
        except (ValueError, ray.exceptions.RayError):
            return -1
        return int(progress["round"])

    def stop_at(self, room: str, address: str, point: str) -> int:
        """Makes the process of an address stop at a point; returns its number."""
        name = f"{self.scope}/{_address(room, address)}"
        self.await_(f"{name} is there", lambda: arm(name, point, 1, failpoints.STOP))
        return self.pid_of(room, address)

    def pid_of(self, room: str, address: str) -> int:
        """Returns the number of a process, once it lives."""
        if address == DEVNET:
            assert self.keeper.pid is not None
            return self.keeper.pid
        found = partial(process_of, self.scope, _address(room, address))
        self.await_(f"{address} lives", lambda: found() is not None)
        process = found()
        assert process is not None
        return process.pid

    def kill(self, pid: int) -> None:
        """Kills a process, stopped or not, and waits until it is gone."""
        send_signal(pid, signal.SIGKILL)
        self.await_(f"process {pid} is gone", lambda: _status(pid) in {None, psutil.STATUS_ZOMBIE})

    def go_on(self, pid: int) -> None:
        """Lets a stopped process go on, if it lives."""
        if self.is_stopped(pid):
            send_signal(pid, signal.SIGCONT)

    @staticmethod
    def is_stopped(pid: int) -> bool:
        """Tells whether a process is stopped."""
        return _status(pid) == psutil.STATUS_STOPPED

    # --- What must hold -----------------------------------------------------------------------------------------

    def check(self, room: str) -> list[str]:
        """Returns what is wrong with a room's deal."""
        wrong: list[str] = []
        self.await_("the devnet answers", lambda: self._checked(room, wrong))
        return wrong

    def _checked(self, room: str, wrong: list[str]) -> bool:
        try:
            wrong[:] = self.escrow.check(self._read(room))
        except ChainUnreachable:
            return False
        return True

    def finish(self) -> list[str]:
        """Waits until all rooms are closed; returns what is wrong over all of them."""
        try:
            for room in self._made:  # most of them once more
                self.send(CloseRoom(id=f"close-{room}", room=room))
            self.await_("every room is closed", self._all_closed)
            self.await_("the tables are up", lambda: oracle.projected(self.dsn) == self._log.head())
        except Stalled as stalled:
            return [f"{stalled}; {describe(self.scope)}"]
        stored = self._log.read()
        events = oracle.recorded(stored)
        rooms = oracle.rooms_of(events)
        sample = rooms[:: max(1, len(rooms) // ARCHIVES_MAX)]
        wrong = oracle.check_log(stored)
        with (
            closing(PostgresVault(self.dsn, LOG)) as vault,
            closing(PostgresVault(self.dsn, LOG, table="memory")) as m,
        ):
            wrong += oracle.check_votes(m, events)
            key = derive_key(self.secret, "installation", "archives")
            wrong += oracle.check_archives(self._log, vault, key, partial(room_key, self.secret), sample)
        return wrong + oracle.check_tables(self.dsn, LOG)

    def _all_closed(self) -> bool:
        closed = {event.chain for event in self._of_types("room.closed")}
        return {event.chain for event in self._of_types("room.opened")} == closed and closed == set(self._made)

    def _of_types(self, type_: str) -> list[Recorded]:
        return oracle.recorded(self._log.read((QueryItem(types=(type_,)),)))


def _agent(id_: str, room: str, role: Role, prices_usdc: tuple[int, int]) -> SpawnAgent:
    limit, start = prices_usdc
    return SpawnAgent(
        id=id_,
        room=room,
        role=role,
        strategy=StrategyName.COMPETITIVE,
        style=Style.CASUAL,
        limit_usdc_micros=limit * USDC_MICROS,
        start_usdc_micros=start * USDC_MICROS,
        expiry_rounds=MANDATE_ROUNDS,
    )


def _address(room: str, address: str) -> str:
    return room_address(room) if address == ROOM else address


def _status(pid: int) -> str | None:
    """Returns what the system says of a process, None when there is none."""
    try:
        return psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return None
