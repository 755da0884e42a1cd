"""What people ask of rooms and agents comes to pass, once, or is refused in words."""

from __future__ import annotations

import msgspec
import pytest

from agentrooms.actors.messages import Message, Pace
from agentrooms.actors.plans import verifier_plans
from agentrooms.chain.ledger import LEDGER
from agentrooms.domain.agent import AgentPaused, AgentSpawned
from agentrooms.domain.assets import WantKind, Wants
from agentrooms.domain.collection import CollectionRegistered
from agentrooms.domain.deal import DealCompleted
from agentrooms.domain.ledger import LedgerMinted
from agentrooms.domain.money import USDC_MICROS
from agentrooms.domain.room import RoomStatus
from agentrooms.domain.terms import AgentStatus, LeaveReason
from agentrooms.domain.verifier_set import VerifierSetRegistered
from agentrooms.errors import InvalidInput
from agentrooms.events.vault import get_mandate
from agentrooms.live import deciding, overseer
from agentrooms.live.commands import (
    Answer,
    CloseRoom,
    Command,
    OpenRoom,
    PauseAgent,
    RemoveAgent,
    ResumeAgent,
    SeedDemo,
)
from agentrooms.live.inbox import Inbox
from agentrooms.live.wallets import DEMO_WALLETS, demo_wallet
from agentrooms.sim.sales import load_sales
from tests.events import oracle
from tests.live.asks import buyer, seller
from tests.live.world import SECRET, World


def opened(world: World, id_: str = "r1") -> str:
    return world.ask(OpenRoom(id=id_, name=f"Room {id_}")).room


# --- Rooms and agents -----------------------------------------------------------------------------------


def test_a_buyer_and_a_seller_meet_in_a_room_and_trade(world: World) -> None:
    """From the first command to the completed deal, on the chain too."""
    room = opened(world)
    selling = world.ask(seller("s1", room, name=" Ada\u202e ", avatar="🦊"))
    buying = world.ask(buyer("b1", room))
    world.until(lambda: world.count(DealCompleted, room) > 0)
    world.until(lambda: not any(agent.present for agent in world.room(room).agents.values()))
    agents = world.room(room).agents
    assert (agents[selling.agent].name, agents[selling.agent].left_reason) == ("Ada", LeaveReason.SOLD_NFT)
    assert agents[buying.agent].left_reason is LeaveReason.BOUGHT_NFT
    assert world.chain.owners == {(LEDGER.collection, selling.token_id): agents[buying.agent].owner}
    assert world.ask(CloseRoom(id="c1", room=room)) == Answer(room=room)
    assert world.room(room).status is RoomStatus.INACTIVE
    oracle.check(world.lines())


def test_rooms_are_told_apart_and_share_their_collection(world: World) -> None:
    rooms = [opened(world, f"r{n}") for n in range(3)]
    assert len(set(rooms)) == 3
    assert world.count(CollectionRegistered) == 1
    assert [world.room(room).name for room in rooms] == ["Room r0", "Room r1", "Room r2"]


def test_an_agent_is_paused_resumed_and_removed(world: World) -> None:
    room = opened(world)
    agent = world.ask(seller("s1", room)).agent
    assert world.ask(PauseAgent(id="p1", agent=agent)) == Answer(room=room, agent=agent)
    assert world.room(room).agents[agent].status is AgentStatus.PAUSED
    world.ask(ResumeAgent(id="p2", agent=agent))
    assert world.room(room).agents[agent].may_act
    world.ask(RemoveAgent(id="x1", agent=agent))
    assert world.room(room).agents[agent].left_reason is LeaveReason.USER_REMOVED
    again = world.ask(PauseAgent(id="p3", agent=agent))
    assert "is done" in again.why


@pytest.mark.parametrize("reports", [True, False])
def test_a_mandate_ends_as_many_rounds_after_now_as_was_asked(world: World, reports: bool) -> None:
    """Also in a room that has been quiet for long: its rounds without events are reported, or counted by the clock."""
    world.reports = reports
    room = opened(world)
    world.pass_ms(500_000)
    agent = world.ask(seller("s1", room, expiry_rounds=100)).agent
    joined = world.room(room).agents[agent].joined_round
    assert 500 <= joined <= 502
    world.until(lambda: not world.room(room).agents[agent].present)
    left = world.room(room).agents[agent]
    assert left.left_reason in {LeaveReason.TIMEOUT, LeaveReason.GAVE_UP}
    assert left.left_round is not None
    assert joined + 60 <= left.left_round <= joined + 101


def test_a_mandate_lasts_long_enough_to_trade(world: World) -> None:
    """Whoever sends it: one that ends before a deal can settle is refused, one that names no end has a good one."""
    room = world.ask(OpenRoom(id="quick", name="Quick", round_ms=50)).room
    refused = world.ask(seller("s1", room, expiry_rounds=600))
    assert (refused.why, refused.hint) == (
        "600 rounds of 50 ms end before a deal can settle",
        "give it --for-rounds 601 or more",
    )
    assert world.ask(seller("s2", room, expiry_rounds=601)).agent
    id_ = world.ask(seller("s3", room)).agent
    agent = world.room(room).agents[id_]
    mandate = get_mandate(world.vault, agent.mandate_hash).mandate
    lasts = (mandate.expires_at_ms - world.room(room).started_at_ms) // 50 - agent.joined_round
    assert 1_800 <= lasts <= 1_803


def test_a_seller_sells_the_item_it_names_with_the_traits_of_the_data(world: World) -> None:
    room, token = opened(world), load_sales()[1_234].token_id
    answer = world.ask(seller("s1", room, item=token))
    assert answer.token_id == token
    minted = [event for event in world.events() if isinstance(event, LedgerMinted)]
    assert [(mint.token_id, mint.traits) for mint in minted] == [(token, world.room(room).items[token].traits)]
    again = world.ask(seller("s2", room, item=token))
    assert "is minted already" in again.why
    assert "is not in the sales data" in world.ask(seller("s3", room, item="punk")).why


# --- The demo -------------------------------------------------------------------------------------------


def test_the_demo_has_wallets_with_money_and_an_item_each_once(world: World) -> None:
    for id_ in ("d1", "d2"):
        assert world.ask(SeedDemo(id=id_)) == Answer()
    assert world.count(LedgerMinted) == DEMO_WALLETS
    owners = {demo_wallet(SECRET, number).address for number in range(1, DEMO_WALLETS + 1)}
    assert set(world.chain.owners.values()) == set(world.chain.balances) == owners


def test_demo_wallets_trade(world: World) -> None:
    room = opened(world)
    assert "is empty" in world.ask(buyer("b0", room, wallet=1)).why
    world.ask(SeedDemo(id="d1"))
    selling = world.ask(seller("s1", room, wallet=2))
    world.ask(buyer("b1", room, wallet=1))
    world.until(lambda: world.count(DealCompleted, room) > 0)
    assert world.chain.owners[LEDGER.collection, selling.token_id] == demo_wallet(SECRET, 1).address
    assert "does not hold an item" in world.ask(seller("s2", room, wallet=2)).why
    assert "does not hold item '1'" in world.ask(seller("s3", room, wallet=3, item="1")).why
    assert "demo wallets are 1 to" in world.ask(buyer("b2", room, wallet=999)).why


# --- Refusals -------------------------------------------------------------------------------------------


def test_what_cannot_be_is_refused_in_words(world: World) -> None:
    room = opened(world)
    closed = opened(world, "r2")
    world.ask(CloseRoom(id="c2", room=closed))
    whys: dict[str, Command] = {
        "there is no open room 'room_x'": CloseRoom(id="1", room="room_x"),
        f"there is no open room '{closed}'": seller("2", closed),
        "there is no agent 'agent_x'": RemoveAgent(id="3", agent="agent_x"),
        "'0xdead' is not an active collection": OpenRoom(id="4", name="No", collection="0xdead"),
    }
    assert {world.ask(command).why for command in whys.values()} == set(whys)
    assert world.room(room).agents == {}


LIMITS = [
    {"limit": 87, "start": 93},
    {"limit": 87, "start": 20, "wants": Wants(WantKind.ITEMS)},
    {"limit": 87, "start": 20, "wants": Wants(WantKind.ITEMS, ("a\u0000",))},
    {"limit": 87, "start": 20, "wants": Wants(WantKind.TRAITS, traits={"e\u0301": "x"})},
]


@pytest.mark.parametrize("changes", LIMITS)
def test_a_refusal_tells_no_limit(world: World, changes: dict[str, int]) -> None:
    """It says the rule; the room's log says nothing, and the inbox forgets the body."""
    room = opened(world)
    answer = world.ask(buyer("b1", room, **changes))
    assert answer.why
    assert "87" not in answer.why + answer.hint
    assert world.inbox.get("b1").body == b""
    assert world.count(AgentSpawned, room) == 0


def test_a_price_that_is_no_tick_is_refused_without_it(world: World) -> None:
    command = msgspec.structs.replace(buyer("b1", opened(world)), limit_usdc_micros=87 * USDC_MICROS + 1)
    assert world.ask(command).why == "the agent's mandate cannot stand: prices are positive whole ticks"


def test_a_mistake_of_ours_in_one_command_holds_up_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    room = opened(world)
    with monkeypatch.context() as patch:
        patch.setattr(deciding, "made_id", lambda *_: dict[str, str]()["room"])
        assert "the desk failed on this command (KeyError)" in world.ask(OpenRoom(id="r2", name="B")).why
    assert world.ask(seller("s1", room)).agent


# --- What gets lost -------------------------------------------------------------------------------------


def test_an_order_and_its_outcome_may_get_lost(world: World) -> None:
    """Each of them three times: the desk gives its order again until it hears, or reads, that it is done."""
    heard: dict[str, int] = {}

    def lost(message: Message) -> bool:
        if isinstance(message, Pace):
            return True
        heard[repr(message)] = heard.get(repr(message), 0) + 1
        return heard[repr(message)] <= 3

    world.lost = lost
    room = opened(world)
    agent = world.ask(seller("s1", room)).agent
    world.ask(PauseAgent(id="p1", agent=agent))
    answer = world.ask(PauseAgent(id="p2", agent=agent))  # changes nothing: no log tells that it is done
    assert answer == Answer(room=room, agent=agent)
    assert (world.count(AgentSpawned, room), world.count(AgentPaused, room)) == (1, 1)
    assert world.ask(CloseRoom(id="c1", room=room)) == Answer(room=room)


def test_a_room_that_closes_before_it_takes_an_order_refuses_it(world: World) -> None:
    room = opened(world)
    agent = world.ask(seller("s1", room)).agent
    world.send(PauseAgent(id="p1", agent=agent))
    world.lost = lambda message: "Pause" in repr(message)
    world.step()
    assert world.ask(CloseRoom(id="c1", room=room)) == Answer(room=room)
    world.pass_ms(overseer.RESEND_MS)
    world.step()
    assert world.inbox.get("p1").answer == Answer(why=f"room {room} has closed")


def test_a_desk_made_anew_registers_no_verifiers_twice(world: World) -> None:
    before = world.lines()
    world.restart()
    assert world.lines() == before
    world.members = tuple(plan.member for plan in verifier_plans(b"others" * 5, 2))
    world.restart()
    assert world.count(VerifierSetRegistered) == 2
    assert world.chain.verifiers.version == 2


def test_a_secret_that_could_be_guessed_is_refused(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.live.world.SECRET", b"")
    with pytest.raises(InvalidInput, match="32 bytes, was 0"):
        World(inbox)
