"""Decides what a command comes to, given the log and what the desk watches. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from agentrooms.domain import posting
from agentrooms.domain import swarm as swarms
from agentrooms.domain.collection import Collection
from agentrooms.domain.event import Event
from agentrooms.domain.ids import derive_id, draw
from agentrooms.domain.market import SETTLEMENT_MS
from agentrooms.domain.room import PersonSpoke, Room, RoomOpened
from agentrooms.domain.site import Site
from agentrooms.domain.user import user_id
from agentrooms.errors import Rejection
from agentrooms.events.keyring import Keyring
from agentrooms.events.record import decode_line
from agentrooms.events.store import EventStore, QueryItem
from agentrooms.events.vault import MemoryVault, Vault
from agentrooms.live import commands
from agentrooms.live.commands import (
    AgentCommand,
    Answer,
    Command,
    DraftAgent,
    EnlistAgent,
    OpenRoom,
    PauseSwarm,
    PersonCommand,
    ResumeSwarm,
    RunSwarm,
    SetSwarmSpeed,
    SpawnAgent,
    Speak,
    StopSwarm,
    SwarmCommand,
)
from agentrooms.live.deeds import Deed, Fact
from agentrooms.live.drafts import Draft
from agentrooms.live.overseer import Overseer
from agentrooms.live.persons import Persons
from agentrooms.live.recruiting import Recruiting
from agentrooms.live.tradable import Tradable
from agentrooms.live.wallets import made_id, operator, room_key, subkey
from agentrooms.live.watching import Joining, Order, Verb, WatchedRoom, is_alive, own_room
from agentrooms.sim import sales, settings
from agentrooms.sim.settings import RunSettings
from agentrooms.sim.swarm import COLLECTION_NAME, Recruit, Recruiter

ROOMS_MAX = 100  # open at once
SWARMS_MAX = 100  # alive at once
ROUNDS_DEFAULT = 600  # of a mandate
MOCK = (SpawnAgent, RunSwarm, commands.SeedDemo, commands.FundWallet)  # what needs money from nowhere
TRADING_SHARE = 3  # with short rounds: so many times the time that settling takes


@dataclass(frozen=True, slots=True)
class Moment:
    """When a command is decided, and with what hash its deed is kept."""

    now_ms: int
    command_sha256: str


class Deciding:
    """Turns commands into deeds. Raises Rejection or InvalidInput for what cannot be; neither holds a limit."""

    def __init__(
        self,
        store: EventStore,
        vault: Vault,
        secret: bytes,
        site: Site,
        overseer: Overseer,
        *,
        mock_wallets: bool = True,
    ) -> None:
        """Without `mock_wallets`, on a public chain, nobody can be given money or items."""
        self._store = store
        self._secret = secret
        self._site = site
        self._mock_wallets = mock_wallets
        self._overseer = overseer
        self._tradable = Tradable(store, site)
        self._recruiting = Recruiting(store, secret, site)
        self._persons = Persons(store, vault, secret, site, self._recruiting)

    def decide(self, command: Command, moment: Moment) -> Deed:
        """Returns what the command comes to now."""
        if isinstance(command, MOCK) and not self._mock_wallets:
            raise Rejection(
                f"nobody can be given money or items on chain {self._site.chain_id}, so mock wallets have none",
                hint="on a public chain people's own wallets trade; CHAIN_MODE=devnet is for demos",
            )
        match command:
            case OpenRoom():
                return self._open(command, moment)
            case commands.CloseRoom():
                self._room(command.room)
                order = Order(command.room, "close", command.id)
                return self._deed(moment, Answer(room=command.room), order=order)
            case SpawnAgent():
                return self._spawn(command, moment)
            case commands.RegisterUser() | commands.FundWallet() | DraftAgent() | EnlistAgent() | Speak():
                return self._person(command, moment)
            case commands.PauseAgent() | commands.ResumeAgent() | commands.RemoveAgent():
                return self._order_agent(command, moment)
            case RunSwarm():
                return self._run(command, moment)
            case PauseSwarm() | ResumeSwarm() | SetSwarmSpeed() | StopSwarm():
                return self._steer(command, moment)
            case commands.SeedDemo():
                events = self._recruiting.demo_events()
                known = self._tradable.demo_events() if events else []
                return self._deed(moment, Answer(), events=[*known, *events])

    def _deed(
        self,
        moment: Moment,
        answer: Answer,
        *,
        events: Sequence[Event] = (),
        order: Order | None = None,
        stops: str = "",
    ) -> Deed:
        facts = tuple(Fact.of(event) for event in events)
        return Deed(
            command_sha256=moment.command_sha256,
            at_ms=moment.now_ms,
            answer=answer,
            facts=facts,
            order=order,
            stops=stops,
        )

    # --- Rooms -------------------------------------------------------------------------------------------

    def _open(self, command: OpenRoom, moment: Moment) -> Deed:
        self._require_place()
        room = made_id(self._secret, "room", command.id)
        events, known = self._tradable.find(command)
        opened = _opened(room, command.name, known, command.round_ms, command.quote_rounds, moment.now_ms)
        posting.open_room(Room(), opened, known)
        return msgspec.structs.replace(self._deed(moment, Answer(room=room), events=events), opens=opened)

    def _require_place(self) -> None:
        if sum(not room.closed for room in self._overseer.rooms.values()) >= ROOMS_MAX:
            raise Rejection(f"{ROOMS_MAX} rooms are open", hint="close one first")

    def _room(self, room: str) -> WatchedRoom:
        """Returns an open room. Raises Rejection."""
        found = self._overseer.rooms.get(room)
        if found is None:
            raise Rejection(f"there is no open room {room!a}", hint="`agentrooms room list` shows those there are")
        if found.closed:
            raise Rejection(f"room {room} is closed", hint="open another room")
        return found

    # --- Agents ------------------------------------------------------------------------------------------

    def _spawn(self, command: SpawnAgent, moment: Moment) -> Deed:
        room = self._room(command.room)
        round_ = self._overseer.round_now(room)
        lasts = _lasting(command.expiry_rounds, room.opened.round_ms)
        command = msgspec.structs.replace(command, expiry_rounds=lasts)
        recruit = self._recruiting.single(command, room, round_, moment.now_ms)
        agent = recruit.spawned
        order = Order(command.room, "spawn", command.id, agent.agent, agent)
        token = agent.item.token_id if agent.item is not None else ""
        events = recruit.provided() if command.wallet is None else []
        deed = self._deed(
            moment, Answer(room=command.room, agent=agent.agent, token_id=token), events=events, order=order
        )
        return self._with_secrets(deed, command.room, [recruit])

    def _order_agent(self, command: AgentCommand, moment: Moment) -> Deed:
        spawned = self._store.read((QueryItem(tags=(f"agent:{command.agent}",), types=("agent.spawned",)),), limit=1)
        if not spawned:
            raise Rejection(
                f"there is no agent {command.agent!a}", hint="`agentrooms agent list` shows those there are"
            )
        room = decode_line(spawned[0].event.data).chain
        self._room(room)
        order = Order(room, _verb(command), command.id, command.agent)
        return self._deed(moment, Answer(room=room, agent=command.agent), order=order)

    # --- People with wallets of their own ----------------------------------------------------------------

    def _person(self, command: PersonCommand, moment: Moment) -> Deed:
        who = user_id(command.wallet)
        match command:
            case commands.RegisterUser():
                return self._deed(moment, Answer(user=who), events=self._persons.register(command.wallet))
            case commands.FundWallet():
                events, token = self._persons.fund(command.wallet)
                known = self._tradable.demo_events()
                return self._deed(moment, Answer(user=who, token_id=token), events=[*known, *events])
            case DraftAgent():
                return self._draft(command, moment)
            case EnlistAgent():
                return self._enlist(command, moment)
            case Speak():
                self._room(command.room)
                spoke = PersonSpoke(0, command.text, who, command.wallet)
                order = Order(command.room, "speak", command.id, spoke=spoke)
                return self._deed(moment, Answer(room=command.room, user=who), order=order)

    def _draft(self, command: DraftAgent, moment: Moment) -> Deed:
        room = self._room(command.room)
        lasts = _lasting(command.expiry_rounds, room.opened.round_ms)
        command = msgspec.structs.replace(command, expiry_rounds=lasts)
        draft = self._persons.draft(command, room, self._overseer.round_now(room), moment.now_ms)
        answer = _answer_of(draft, Answer(draft=draft.id))
        return msgspec.structs.replace(self._deed(moment, answer), draft=draft)

    def _enlist(self, command: EnlistAgent, moment: Moment) -> Deed:
        enlisted = self._persons.enlist(command, moment.now_ms)
        draft = enlisted.draft
        self._room(draft.room)
        agent = draft.spawned.agent
        order = Order(draft.room, "spawn", command.id, agent, draft.spawned)
        deed = self._deed(moment, _answer_of(draft, Answer()), events=enlisted.events, order=order)
        return msgspec.structs.replace(deed, mandates=(enlisted.signed,), keys=draft.keys)

    # --- Swarms ------------------------------------------------------------------------------------------

    def _run(self, command: RunSwarm, moment: Moment) -> Deed:
        if sum(is_alive(swarm) for swarm in self._overseer.swarms.values()) >= SWARMS_MAX:
            raise Rejection(f"{SWARMS_MAX} swarms are running", hint="stop one first")
        swarm = made_id(self._secret, "swarm", command.id)
        room, opens, first = self._place(command, swarm, moment)
        if room.opened.collection != self._site.collection:
            raise Rejection(f"room {room.opened.room} trades {room.opened.collection}, swarms trade {COLLECTION_NAME}")
        run = self._settings(command, room, first, moment)
        recruits = self._recruiter(run, swarm).recruits()
        owner = command.owner or operator(self._secret)
        started = swarms.SwarmStarted(swarm, room.opened.room, owner, run.preset, run.buyers, run.sellers)
        events: list[Event] = [*self._tradable.demo_events()]
        for recruit in sorted(recruits, key=lambda r: r.spawned.agent):
            events += recruit.provided()
        events += swarms.start(swarms.Swarm(), started)
        events += swarms.set_speed(swarms.fold([started]), command.speed)
        answer = Answer(room=room.opened.room, swarm=swarm, agents=len(recruits))
        joining = tuple(Joining(first + recruit.join_round, recruit.spawned) for recruit in recruits)
        deed = self._with_secrets(self._deed(moment, answer, events=events), room.opened.room, recruits)
        return msgspec.structs.replace(deed, opens=opens, joining=joining)

    def _with_secrets(self, deed: Deed, room: str, recruits: Sequence[Recruit]) -> Deed:
        """Adds the agents' mandates, and their keys sealed for the room they trade in."""
        keyring = Keyring(MemoryVault(), room_key(self._secret, room))
        mandates = tuple(recruit.mandate for recruit in recruits)
        keys = dict(keyring.seal(recruit.spawned.agent, recruit.keys) for recruit in recruits)
        return msgspec.structs.replace(deed, mandates=mandates, keys=keys)

    def _place(self, command: RunSwarm, swarm: str, moment: Moment) -> tuple[WatchedRoom, RoomOpened | None, int]:
        """Returns the swarm's room, what opens it when it is its own, and the round from which its agents join."""
        if command.room is not None:
            room = self._room(command.room)
            return room, None, self._overseer.round_now(room)
        self._require_place()
        name = f"{COLLECTION_NAME}: {command.preset or f'{command.buyers} buyers, {command.sellers} sellers'}"
        defaults = OpenRoom(id=command.id, name=name)
        opened = _opened(
            own_room(swarm), name, self._tradable.demo, defaults.round_ms, defaults.quote_rounds, moment.now_ms
        )
        return WatchedRoom(opened, (0, moment.now_ms)), opened, 0

    def _settings(self, command: RunSwarm, room: WatchedRoom, first: int, moment: Moment) -> RunSettings:
        """Returns the swarm's settings with time as it is in the room, or on the chain where the room is behind it."""
        seed = command.seed
        if seed is None:
            seed = draw(subkey(self._secret, "seed"), command.id) & commands.SEED_MAX
        if command.preset is not None:
            run = settings.preset(command.preset, seed)
        else:
            assert command.buyers is not None
            assert command.sellers is not None
            run = settings.custom(seed, command.buyers, command.sellers)
        opened = room.opened
        run = msgspec.structs.replace(
            run, round_ms=opened.round_ms, started_at_ms=room.at_ms(first) + room.behind_ms(first, moment.now_ms)
        )
        run = msgspec.structs.replace(run, quote_rounds=opened.quote_rounds)
        settings.check(msgspec.structs.replace(run, deal_ms=run.round_ms))  # how long deals take is the room's affair
        return run

    def _recruiter(self, run: RunSettings, swarm: str) -> Recruiter:
        """Returns who draws the agents: as in a run of this seed, but by draws that only this installation knows."""
        key = subkey(self._secret, "swarm", str(run.seed))
        window = self._recruiting.unminted(sales.window(key, run.usdc_per_eth), run.sellers)
        return Recruiter(run, self._site, key, swarm, swarm, window, roster=derive_id("run", run.seed))

    def _steer(self, command: SwarmCommand, moment: Moment) -> Deed:
        found = self._overseer.swarms.get(command.swarm)
        if found is None:
            raise Rejection(
                f"swarm {command.swarm!a} is not running", hint="`agentrooms swarm list` shows those that are"
            )
        state = found.state
        answer = Answer(room=state.room, swarm=state.id, agents=len(found.agents))
        match command:
            case PauseSwarm():
                return self._deed(moment, answer, events=swarms.pause(state))
            case ResumeSwarm():
                return self._deed(moment, answer, events=swarms.resume(state))
            case SetSwarmSpeed():
                return self._deed(moment, answer, events=swarms.set_speed(state, command.speed))
            case StopSwarm():
                return self._deed(moment, answer, stops=state.id)


def _lasting(rounds: int, round_ms: int) -> int:
    """Returns for how many rounds a mandate is given. Raises Rejection for one that leaves no time to trade.

    Agents stop trading SETTLEMENT_MS before their mandate ends.
    """
    least = SETTLEMENT_MS // round_ms + 1
    if not rounds:
        return max(ROUNDS_DEFAULT, TRADING_SHARE * least)
    if rounds < least:
        raise Rejection(
            f"{rounds} rounds of {round_ms} ms end before a deal can settle",
            hint=f"give it --for-rounds {least} or more",
        )
    return rounds


def _answer_of(draft: Draft, answer: Answer) -> Answer:
    """Returns the answer with what there is to say of a draft: nothing of its mandate."""
    agent = draft.spawned
    token = agent.item.token_id if agent.item is not None else ""
    return msgspec.structs.replace(
        answer, room=draft.room, agent=agent.agent, token_id=token, user=user_id(agent.owner)
    )


def _verb(command: AgentCommand) -> Verb:
    match command:
        case commands.PauseAgent():
            return "pause"
        case commands.ResumeAgent():
            return "resume"
        case commands.RemoveAgent():
            return "remove"


def _opened(room: str, name: str, known: Collection, round_ms: int, quote_rounds: int, now_ms: int) -> RoomOpened:
    return RoomOpened(
        base_grade=known.base_grade,
        collection=known.address,
        comparable_by=known.comparable_by,
        name=name,
        quote_rounds=quote_rounds,
        room=room,
        round_ms=round_ms,
        started_at_ms=now_ms,
    )
