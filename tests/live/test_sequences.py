"""Any commands in any order, with a desk that dies now and then, against a model of what people may expect."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrooms.domain.agent import AgentSpawned
from agentrooms.domain.room import PersonSpoke, RoomClosed, RoomOpened, RoomStatus
from agentrooms.domain.swarm import SwarmStarted
from agentrooms.domain.terms import AgentStatus, Role
from agentrooms.domain.user import user_id
from agentrooms.live.commands import (
    Answer,
    CloseRoom,
    Command,
    DraftAgent,
    EnlistAgent,
    FundWallet,
    OpenRoom,
    PauseAgent,
    PauseSwarm,
    RegisterUser,
    RemoveAgent,
    ResumeAgent,
    ResumeSwarm,
    RunSwarm,
    SeedDemo,
    SetSwarmSpeed,
    SpawnAgent,
    Speak,
    StopSwarm,
)
from agentrooms.live.inbox import Inbox, migrate_inbox
from tests.events import oracle
from tests.live.asks import buyer, draft, enlist, person, seller
from tests.live.test_crash import forget
from tests.live.world import World

SWARMS = ("run", "hush", "go", "speed", "stop", "seed")
PEOPLE = ("register", "fund", "draft", "draft", "enlist", "enlist", "say")
VERBS = ("open", "close", "sell", "buy", "pause", "resume", "remove", *SWARMS, *PEOPLE)
LIFE = ("wait", "die", "restart")
OPS = st.lists(st.tuples(st.sampled_from(VERBS + LIFE), st.integers(0, 5)), min_size=4, max_size=14)
FOR_EVER = 10_000  # rounds


@dataclass
class Model:
    """People's agents never trade here (their limits are far apart), so they are as they were told to be."""

    rooms: dict[str, bool] = field(default_factory=dict)
    agents: dict[str, tuple[str, str]] = field(default_factory=dict)
    swarms: dict[str, str] = field(default_factory=dict)
    drafts: dict[str, tuple[str, str]] = field(default_factory=dict)
    funded: set[str] = field(default_factory=set)
    said: int = 0
    done: list[Command] = field(default_factory=list)

    def pick(self, names: dict[str, object], n: int) -> str:
        return list(names)[n % len(names)] if names else "none_x"


def command_of(world: World, model: Model, verb: str, n: int, id_: str) -> Command:
    room, agent = model.pick({**model.rooms}, n), model.pick({**model.agents}, n)
    swarm = model.pick({**model.swarms}, n)
    commands: dict[str, Command] = {
        "open": OpenRoom(id=id_, name=f"Room {n}"),
        "close": CloseRoom(id=id_, room=room),
        "sell": seller(id_, room, 9_000_000, 9_100_000, expiry_rounds=FOR_EVER),
        "buy": buyer(id_, room, 5, 4, expiry_rounds=FOR_EVER),
        "pause": PauseAgent(id=id_, agent=agent),
        "resume": ResumeAgent(id=id_, agent=agent),
        "remove": RemoveAgent(id=id_, agent=agent),
        "run": RunSwarm(id=id_, room=room if n % 2 and model.rooms else None, buyers=1, sellers=1, seed=n),
        "hush": PauseSwarm(id=id_, swarm=swarm),
        "go": ResumeSwarm(id=id_, swarm=swarm),
        "speed": SetSwarmSpeed(id=id_, swarm=swarm, speed=(1, 10, 0)[n % 3]),
        "stop": StopSwarm(id=id_, swarm=swarm),
        "seed": SeedDemo(id=id_),
        "register": RegisterUser(id=id_, wallet=person(f"p{n}")),
        "fund": FundWallet(id=id_, wallet=person(f"p{n}")),
        "draft": draft(id_, room, f"p{n}", Role.BUYER, 5, 4, expiry_rounds=FOR_EVER),
        "say": Speak(id=id_, room=room, wallet=person(f"p{n}"), text="Hello!"),
    }
    if verb == "enlist":
        made = model.pick({**model.drafts}, n)
        if made not in model.drafts:
            return EnlistAgent(id=id_, draft=made, wallet=person("p0"), signature="ab")
        return enlist(id_, world.vault, made, model.drafts[made][1], n)
    return commands[verb]


def expect(model: Model, command: Command, answer: Answer) -> None:
    """Compares an answer with what people may expect, and notes what it changes."""
    match command:
        case OpenRoom():
            assert answer == Answer(room=answer.room)
            model.rooms[answer.room] = True
        case CloseRoom():
            assert bool(answer.why) == (not model.rooms.get(command.room, False))
            if not answer.why:
                model.rooms[command.room] = False
                gone = {agent: (room, "gone") for agent, (room, _s) in model.agents.items() if room == command.room}
                model.agents.update(gone)
        case PauseAgent() | ResumeAgent() | RemoveAgent():
            room, state = model.agents.get(command.agent, ("", "gone"))
            can = state != "gone" or (isinstance(command, RemoveAgent) and model.rooms.get(room, False))
            assert bool(answer.why) != can, answer
            word = {PauseAgent: "paused", ResumeAgent: "here", RemoveAgent: "gone"}[type(command)]
            if not can or state in {word, "gone"}:
                return  # it has had no effect yet: sent once more, it might have one
            model.agents[command.agent] = (room, word)
        case RunSwarm():
            assert bool(answer.why) == (command.room is not None and not model.rooms[command.room])
            if not answer.why:
                model.swarms[answer.swarm] = answer.room
        case SeedDemo():
            assert answer == Answer()
        case PauseSwarm() | ResumeSwarm() | SetSwarmSpeed() | StopSwarm():
            assert not answer.why or "is not running" in answer.why
            assert command.swarm in model.swarms or answer.why
        case RegisterUser():
            assert answer == Answer(user=user_id(command.wallet))
        case FundWallet():
            assert bool(answer.why) == (command.wallet in model.funded)
            model.funded.add(command.wallet)
        case DraftAgent():
            assert bool(answer.why) == (not model.rooms.get(command.room, False))
            if not answer.why:
                who = next(f"p{n}" for n in range(6) if person(f"p{n}") == command.wallet)
                model.drafts[answer.draft] = (command.room, who)
        case EnlistAgent():
            room, _who = model.drafts.get(command.draft, ("", ""))
            assert bool(answer.why) == (not model.rooms.get(room, False))
            if not answer.why:
                model.agents.setdefault(answer.agent, (room, "here"))
        case Speak() | SpawnAgent():
            assert bool(answer.why) == (not model.rooms.get(command.room, False))
            if isinstance(command, Speak):
                model.said += not answer.why
                return
            if not answer.why:
                model.agents[answer.agent] = (command.room, "here")
    if not answer.why:
        model.done.append(command)


def check(world: World, model: Model) -> None:
    oracle.check(world.lines())
    world.chain.assert_conserved()
    chains = [*model.rooms, *(room for room in model.swarms.values() if room not in model.rooms)]
    assert [world.count(RoomOpened, chain) for chain in chains] == [1] * len(chains)
    assert all(world.count(RoomClosed, chain) <= 1 for chain in chains)
    assert world.count(SwarmStarted) == len(model.swarms)
    assert sum(world.count(PersonSpoke, room) for room in model.rooms) == model.said
    for room, is_open in model.rooms.items():
        assert (world.room(room).status is RoomStatus.ACTIVE) == is_open
    for agent, (room, state) in model.agents.items():
        found = world.room(room).agents[agent]
        assert (found.present, found.status is AgentStatus.PAUSED) == (state != "gone", state == "paused")
        assert sum(isinstance(e, AgentSpawned) and e.agent == agent for e in world.events(room)) == 1


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(ops=OPS)
def test_any_commands_in_any_order_come_to_what_people_may_expect(
    ops: list[tuple[str, int]], postgres_dsn: str, fresh_schema: str
) -> None:
    """And all that was done, sent once more after the inbox has forgotten it, changes nothing."""
    migrate_inbox(postgres_dsn, fresh_schema)
    inbox = Inbox(postgres_dsn, fresh_schema)
    try:
        forget(postgres_dsn, fresh_schema)
        world, model = World(inbox), Model()
        for number, (verb, n) in enumerate(ops):
            if verb == "wait":
                world.pass_ms(1_000 * n)
            elif verb == "die":
                world.crash_at = world.calls + 1 + n
            elif verb == "restart":
                world.restart()
            else:
                command = command_of(world, model, verb, n, f"c{number}")
                expect(model, command, world.ask(command))
        world.crash_at = None
        check(world, model)
        before = [inbox.get(command.id).answer for command in model.done]
        forget(postgres_dsn, fresh_schema)
        world.restart()
        lines = len(world.lines())
        for command in model.done:
            inbox.send(command)
        world.desk.step()
        assert len(world.lines()) <= lines + len(model.swarms)  # a swarm may just have ended
        answers = [world.ask(command) for command in model.done]
        assert answers == before
        check(world, model)
    finally:
        inbox.close()
