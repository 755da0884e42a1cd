"""Swarms in living rooms: run, pause, resume, speed, stop; and what a restart finds."""

from __future__ import annotations

import msgspec
import pytest

from agentrooms.actors.messages import Message, Pace, Scheduled
from agentrooms.chain.ledger import LEDGER
from agentrooms.domain import swarm as swarms
from agentrooms.domain.agent import AgentPaused, AgentResumed, AgentSpawned
from agentrooms.domain.deal import DealCompleted
from agentrooms.domain.event import Event
from agentrooms.domain.room import ActPosted, RoomOpened, RoomStatus
from agentrooms.domain.swarm import Swarm, SwarmCompleted, SwarmEvent, SwarmPaused, SwarmSpeedSet, SwarmStatus
from agentrooms.domain.terms import AgentStatus, LeaveReason
from agentrooms.events.vault import get_mandate
from agentrooms.live.commands import (
    Answer,
    CloseRoom,
    OpenRoom,
    PauseAgent,
    PauseSwarm,
    RemoveAgent,
    ResumeAgent,
    ResumeSwarm,
    RunSwarm,
    SetSwarmSpeed,
    StopSwarm,
)
from agentrooms.live.wallets import made_id, operator
from agentrooms.live.watching import REFUSALS_MAX, own_room
from agentrooms.sim.swarm import JOIN_ROUNDS
from tests.events import oracle
from tests.live.asks import seller
from tests.live.world import SECRET, STEP_MS, World

FEW = {"buyers": 2, "sellers": 2}


def state(world: World, swarm: str) -> Swarm:
    return swarms.fold(e for e in world.events() if isinstance(e, SwarmEvent) and e.swarm == swarm)


def ended(world: World, swarm: str) -> bool:
    return state(world, swarm).status is SwarmStatus.COMPLETED


def run(world: World, id_: str = "w1", **more: object) -> Answer:
    answer = world.ask(RunSwarm(id=id_, **{"seed": 7, **FEW, **more}))  # type: ignore[arg-type]
    assert answer.swarm, answer
    return answer


def joined(world: World, answer: Answer) -> bool:
    return sum(a.swarm == answer.swarm for a in world.room(answer.room).agents.values()) == answer.agents


def pass_rounds(world: World, rounds: int) -> None:
    for _step in range(rounds * 1_000 // STEP_MS):
        world.step()


def spoken(world: World, room: str) -> list[Event]:
    return [event for event in world.events(room) if isinstance(event, ActPosted)]


# --- Running --------------------------------------------------------------------------------------------


def test_a_swarm_trades_in_a_room_of_its_own_which_closes_when_all_have_left(world: World) -> None:
    answer = run(world, preset="small_test", buyers=None, sellers=None)
    assert answer.agents == 5
    world.until(lambda: ended(world, answer.swarm))
    deals = world.count(DealCompleted, answer.room)
    assert deals > 0
    assert state(world, answer.swarm) == Swarm(
        answer.swarm, answer.room, operator(SECRET), SwarmStatus.COMPLETED, 1, deals
    )
    world.until(lambda: world.room(answer.room).status is RoomStatus.INACTIVE)
    oracle.check(world.lines())
    world.step()
    assert world.desk._overseer.rooms == {}
    assert world.desk._overseer.swarms == {}
    assert world.desk._overseer._told_ms == {}


def test_a_swarm_in_a_room_leaves_it_open_to_others(world: World) -> None:
    """Its deals are counted, those of others are not; a room of its own stays open while others are in it."""
    room = world.ask(OpenRoom(id="r1", name="Main")).room
    first, second = run(world, "w1", room=room), run(world, "w2", room=room)
    world.until(lambda: ended(world, first.swarm) and ended(world, second.swarm))
    deals = [state(world, one.swarm).deals_completed for one in (first, second)]
    assert max(deals) <= world.count(DealCompleted, room) <= sum(deals)
    assert world.room(room).status is RoomStatus.ACTIVE
    own = run(world, "w3")
    guest = world.ask(seller("s1", own.room, 9_000_000, 9_500_000)).agent
    world.until(lambda: ended(world, own.swarm))
    pass_rounds(world, 3)
    assert world.room(own.room).status is RoomStatus.ACTIVE
    world.ask(RemoveAgent(id="x1", agent=guest))
    world.until(lambda: world.room(own.room).status is RoomStatus.INACTIVE)
    oracle.check(world.lines())


def test_a_seed_draws_the_same_agents_on_other_items_and_wallets(world: World) -> None:
    """And those whom only this installation can draw: no limit follows from the seed alone."""
    first, second = run(world, "w1"), run(world, "w2")
    world.until(lambda: joined(world, first) and joined(world, second))
    kinds: list[list[object]] = []
    secrets: list[set[str]] = []
    for answer in (first, second):
        agents = sorted(world.room(answer.room).agents.values(), key=lambda a: (a.joined_round, a.role, a.strategy))
        mandates = [get_mandate(world.vault, agent.mandate_hash).mandate for agent in agents]
        kinds.append([(a.joined_round, a.role, a.strategy, a.style) for a in agents])
        kinds[-1] += [m.reservation_usdc_micros for m in mandates]
        secrets.append({*(a.id for a in agents), *(a.owner for a in agents), *(m.salt for m in mandates)})
        secrets[-1] |= {a.item.token_id for a in agents if a.item is not None}
    assert kinds[0] == kinds[1]
    assert secrets[0] & secrets[1] == set()
    oracle.check(world.lines())


def test_a_swarm_without_a_seed_has_one_of_its_own(world: World) -> None:
    answers = [run(world, id_, seed=None) for id_ in ("w1", "w2")]
    world.until(lambda: all(joined(world, answer) for answer in answers))
    prices = [
        sorted(get_mandate(world.vault, a.mandate_hash).mandate.start_usdc_micros for a in room.agents.values())
        for room in (world.room(answer.room) for answer in answers)
    ]
    assert prices[0] != prices[1]


def test_swarms_trade_the_demos_collection_only(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    room = world.ask(OpenRoom(id="r1", name="Main")).room
    with monkeypatch.context() as patch:
        elsewhere = msgspec.structs.replace(LEDGER, collection="0x" + "0" * 40)
        patch.setattr(world.desk._deciding, "_site", elsewhere)
        assert "swarms trade CryptoPunks" in world.ask(RunSwarm(id="w1", room=room, buyers=2, sellers=2)).why


# --- Pausing --------------------------------------------------------------------------------------------


def test_a_paused_swarm_is_silent_until_it_is_resumed(world: World) -> None:
    """All its agents, also those that would join meanwhile; no other agent of the room."""
    answer = run(world)
    pass_rounds(world, 3)
    world.ask(PauseSwarm(id="p1", swarm=answer.swarm))
    pass_rounds(world, 4)
    said = spoken(world, answer.room)
    pass_rounds(world, 2 * JOIN_ROUNDS)
    assert spoken(world, answer.room) == said
    assert {a.status for a in world.room(answer.room).agents.values() if a.present} == {AgentStatus.PAUSED}
    assert world.ask(PauseSwarm(id="p2", swarm=answer.swarm)).swarm == answer.swarm
    world.ask(ResumeSwarm(id="p3", swarm=answer.swarm))
    world.until(lambda: joined(world, answer))
    world.until(lambda: len(spoken(world, answer.room)) > len(said))
    assert world.count(SwarmPaused) == 1
    world.until(lambda: ended(world, answer.swarm))
    oracle.check(world.lines())


def test_who_was_paused_alone_stays_so_when_the_swarm_resumes(world: World) -> None:
    """And who is resumed alone speaks in a paused swarm; also after a restart of the desk."""
    answer = run(world)
    world.until(lambda: joined(world, answer))
    first, second = [a.id for a in world.room(answer.room).agents.values() if a.present and a.deal is None][:2]
    world.ask(PauseAgent(id="p1", agent=first))
    world.ask(PauseSwarm(id="p2", swarm=answer.swarm))
    world.until(lambda: world.room(answer.room).agents[second].status is AgentStatus.PAUSED)
    world.ask(ResumeAgent(id="p3", agent=second))
    world.restart()
    pass_rounds(world, 12)
    assert world.room(answer.room).agents[first].status is AgentStatus.PAUSED
    assert world.room(answer.room).agents[second].status is not AgentStatus.PAUSED
    world.ask(ResumeSwarm(id="p4", swarm=answer.swarm))
    world.restart()
    pass_rounds(world, 12)
    assert world.room(answer.room).agents[first].status is AgentStatus.PAUSED


def test_a_swarm_is_paused_as_often_as_it_is_asked(world: World) -> None:
    answer = run(world)
    world.until(lambda: joined(world, answer))
    for turn in range(2):
        world.ask(PauseSwarm(id=f"p{turn}", swarm=answer.swarm))
        pass_rounds(world, 2)
        world.ask(ResumeSwarm(id=f"q{turn}", swarm=answer.swarm))
        pass_rounds(world, 2)
    paused, resumed = world.count(AgentPaused, answer.room), world.count(AgentResumed, answer.room)
    assert (paused, resumed) == (2 * answer.agents, 2 * answer.agents)


# --- Speed ----------------------------------------------------------------------------------------------


def test_the_rooms_loop_is_told_the_speed_until_it_is_another(world: World) -> None:
    room = world.ask(OpenRoom(id="r1", name="Main")).room
    answer = run(world, room=room, speed=10)
    world.step()
    world.ask(SetSwarmSpeed(id="v1", swarm=answer.swarm, speed=0))
    pass_rounds(world, 10)
    told = [speed for _room, speed in world.paces]
    assert told[:3] == [1, 10, 0]
    assert told.count(0) >= 2  # again: the room's loop may have been made anew
    world.ask(StopSwarm(id="x1", swarm=answer.swarm))
    pass_rounds(world, 1)
    assert [speed for _room, speed in world.paces][-1] == 1
    assert world.count(SwarmSpeedSet) == 2


# --- Stopping and restarting ----------------------------------------------------------------------------


@pytest.mark.parametrize("rounds", [0, 5, 40])
def test_a_stopped_swarm_leaves_and_its_room_closes(world: World, rounds: int) -> None:
    """Before any has joined, while they do, and while deals are live; a restart forgets nothing."""
    answer = run(world, seed=3, buyers=3, sellers=3)
    pass_rounds(world, rounds)
    world.send(StopSwarm(id="x1", swarm=answer.swarm))
    world.step()
    world.restart()
    world.until(lambda: ended(world, answer.swarm))
    world.step()
    deals = world.count(DealCompleted, answer.room)
    assert world.inbox.get("x1").answer == Answer(
        room=answer.room, swarm=answer.swarm, agents=answer.agents, deals_completed=deals
    )
    world.until(lambda: world.room(answer.room).status is RoomStatus.INACTIVE)
    assert {a.left_reason for a in world.room(answer.room).agents.values()} <= {
        LeaveReason.USER_REMOVED,
        LeaveReason.BOUGHT_NFT,
        LeaveReason.SOLD_NFT,
    }
    assert "is not running" in world.ask(PauseSwarm(id="p1", swarm=answer.swarm)).why
    oracle.check(world.lines())


def test_a_paused_swarm_can_be_stopped(world: World) -> None:
    answer = run(world)
    pass_rounds(world, 5)
    world.ask(PauseSwarm(id="p1", swarm=answer.swarm))
    world.ask(StopSwarm(id="x1", swarm=answer.swarm))
    assert ended(world, answer.swarm)


def test_a_swarm_whose_room_is_closed_has_ended(world: World) -> None:
    """Also for those that had not joined yet, and when the desk was away."""
    answer = run(world)
    pass_rounds(world, 3)
    world.send(CloseRoom(id="c1", room=answer.room))
    world.step()
    while world.room(answer.room).status is RoomStatus.ACTIVE:
        world.pass_ms(STEP_MS)
    world.restart()
    world.step()
    world.step()
    assert ended(world, answer.swarm)
    assert len(world.room(answer.room).agents) < answer.agents


def test_an_agent_whom_the_room_does_not_take_is_given_up(world: World) -> None:
    """The swarm goes on without it."""
    room = own_room(made_id(SECRET, "swarm", "w1"))
    refused: list[str] = []

    def refuse(message: Message) -> bool:
        if not isinstance(message, Scheduled) or message.command.id not in (refused or [message.command.id]):
            return False
        refused.append(message.command.id)
        world.desk.outcome(room, message.command.id, "the room is full")
        return True

    world.lost = refuse
    answer = run(world)
    world.until(lambda: ended(world, answer.swarm))
    assert (answer.room, len(refused)) == (room, REFUSALS_MAX)
    assert world.count(AgentSpawned, answer.room) == answer.agents - 1


def test_a_desk_made_anew_goes_on_with_rooms_and_swarms(world: World) -> None:
    """At every eighth step, through the whole life of a swarm, with a fourth of all messages lost."""
    count = 0

    def lost(message: Message) -> bool:
        nonlocal count
        count += 1
        return count % 4 == 0 and not isinstance(message, Pace)

    world.lost = lost
    answer = run(world)
    steps = 0
    while not ended(world, answer.swarm):
        steps += 1
        world.step()
        if steps % 8 == 0:
            world.restart()
    assert world.count(RoomOpened, answer.room) == 1
    assert world.count(AgentSpawned, answer.room) == answer.agents
    assert world.count(SwarmCompleted) == 1
    oracle.check(world.lines())
