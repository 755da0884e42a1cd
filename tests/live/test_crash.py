"""The desk dies after each single thing it does, and is made anew: nothing is lost or done twice."""

from __future__ import annotations

import random
from collections.abc import Callable

import psycopg
import pytest
from psycopg import sql

from agentrooms.domain.assets import Item
from agentrooms.domain.terms import Role
from agentrooms.live import persons, recruiting
from agentrooms.live.commands import (
    Answer,
    CloseRoom,
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
    Speak,
    StopSwarm,
)
from agentrooms.live.inbox import Inbox
from tests.events import oracle
from tests.live.asks import buyer, draft, enlist, person, seller
from tests.live.world import World

Story = Callable[[World], list[Answer]]


def a_room_with_agents(world: World) -> list[Answer]:
    opened = world.ask(OpenRoom(id="r1", name="Main"))
    spawned = world.ask(seller("s1", opened.room))
    return [
        opened,
        spawned,
        world.ask(SeedDemo(id="d1")),
        world.ask(buyer("b1", opened.room, wallet=3)),
        world.ask(PauseAgent(id="p1", agent=spawned.agent)),
        world.ask(PauseAgent(id="p2", agent="agent_x")),
        world.ask(ResumeAgent(id="p3", agent=spawned.agent)),
        world.ask(RemoveAgent(id="x1", agent=spawned.agent)),
        world.ask(CloseRoom(id="c1", room=opened.room)),
    ]


def a_swarm_of_its_own(world: World) -> list[Answer]:
    run = world.ask(RunSwarm(id="w1", buyers=1, sellers=1, seed=7))
    world.pass_ms(4_000)
    answers = [
        run,
        world.ask(PauseSwarm(id="w2", swarm=run.swarm)),
        world.ask(SetSwarmSpeed(id="w3", swarm=run.swarm, speed=10)),
        world.ask(ResumeSwarm(id="w4", swarm=run.swarm)),
        world.ask(StopSwarm(id="w5", swarm=run.swarm)),
    ]
    world.until(lambda: world.room(run.room).status == "inactive")
    return answers


def people_with_wallets(world: World) -> list[Answer]:
    """Also an address whose collection nobody has registered."""
    opened = world.ask(OpenRoom(id="r1", name="Main"))
    funded = world.ask(FundWallet(id="f1", wallet=person("ann")))
    item = Item(funded.token_id, "Hers", {})
    selling = world.ask(draft("d1", opened.room, "ann", Role.SELLER, 9_000, 9_100, item=item))
    buying = world.ask(draft("d2", opened.room, "bob", Role.BUYER, 5, 4))
    return [
        opened,
        funded,
        selling,
        buying,
        world.ask(OpenRoom(id="r2", name="Other", collection="0x" + "Ab" * 20)),
        world.ask(RegisterUser(id="u1", wallet=person("ann"))),
        world.ask(enlist("e1", world.vault, selling.draft, "ann")),
        world.ask(enlist("e2", world.vault, buying.draft, "bob", 50)),
        world.ask(enlist("e3", world.vault, buying.draft, "bob", 60)),
        world.ask(Speak(id="s1", room=opened.room, wallet=person("ann"), text="Who buys?")),
    ]


class Dice:
    """What draws salts and agents' keys, the same way in every world."""

    def __init__(self) -> None:
        self._random = random.Random(7)  # so that two worlds can be compared

    def token_bytes(self, count: int) -> bytes:
        """Draws bytes."""
        return self._random.randbytes(count)

    def token_hex(self, count: int) -> str:
        """Draws bytes, in hex."""
        return self.token_bytes(count).hex()


@pytest.mark.parametrize("story", [a_room_with_agents, a_swarm_of_its_own, people_with_wallets])
def test_a_desk_that_dies_after_any_call_comes_to_the_same_log(
    story: Story, inbox: Inbox, postgres_dsn: str, fresh_schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte by byte: also ids, mandates, order and times; what is drawn for an agent is drawn once."""
    deal_dice(monkeypatch)
    untroubled = World(inbox)
    answers = story(untroubled)
    oracle.check(untroubled.lines())
    assert untroubled.crashes == 0
    for call in range(1, untroubled.calls + 1):
        forget(postgres_dsn, fresh_schema)
        deal_dice(monkeypatch)
        world = World(inbox, crash_at=call)
        assert story(world) == answers, f"call {call}"
        assert world.crashes == 1
        assert world.lines() == untroubled.lines(), f"call {call}"
        assert world.chain.owners == untroubled.chain.owners
        assert world.chain.balances == untroubled.chain.balances
        assert world.vault.export() == untroubled.vault.export()


def deal_dice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has agents' keys and salts drawn from the beginning."""
    dice = Dice()
    for module in (recruiting, persons):
        monkeypatch.setattr(module, "secrets", dice)


def forget(dsn: str, schema: str) -> None:
    """Empties the inbox."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(sql.Identifier(schema, "commands")))
