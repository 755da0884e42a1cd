"""People trade from wallets of their own: the system drafts, they sign; it gives no word of their limits."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from coincurve import PrivateKey
from eth_account import Account

from agentrooms.chain.ledger import LEDGER
from agentrooms.domain.agent import AgentSpawned
from agentrooms.domain.assets import Item, WantKind, Wants
from agentrooms.domain.collection import CollectionRegistered
from agentrooms.domain.deal import DealCompleted, DealLocked
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted, WalletFueled
from agentrooms.domain.mandate import mandate_digest, typed_data
from agentrooms.domain.market import SETTLEMENT_MS
from agentrooms.domain.money import USDC_MICROS
from agentrooms.domain.room import PersonSpoke, RoomOpened
from agentrooms.domain.site import Site
from agentrooms.domain.swarm import SwarmStarted
from agentrooms.domain.terms import LeaveReason, Role
from agentrooms.domain.user import UserRegistered, WalletBudgeted, user_id
from agentrooms.errors import Rejection
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.record import decode_line
from agentrooms.events.vault import MemoryVault
from agentrooms.live.commands import (
    Answer,
    CloseRoom,
    Command,
    EnlistAgent,
    FundWallet,
    OpenRoom,
    RegisterUser,
    RunSwarm,
    SeedDemo,
    Speak,
)
from agentrooms.live.drafts import DRAFT_MS, UnknownDraft, load_draft
from agentrooms.live.inbox import Inbox
from agentrooms.live.persons import FUEL_GWEI, Persons
from agentrooms.live.recruiting import BUDGET_USDC_MICROS, Recruiting
from agentrooms.live.wallets import operator
from agentrooms.sim.swarm import COMPARABLE_BY
from tests.events import oracle
from tests.live.asks import buyer, draft, enlist, person, person_key
from tests.live.world import SECRET, World

ANN, BOB = person("ann"), person("bob")
CATS = "0x" + "ca" * 20
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141  # of secp256k1


def opened(world: World, id_: str = "r1", collection: str | None = None, called: str | None = None) -> str:
    return world.ask(OpenRoom(id=id_, name="Main", collection=collection, collection_name=called)).room


def selling(world: World, room: str, id_: str = "d1", **more: object) -> Answer:
    """The draft of a seller of the item that Ann is given."""
    token = world.ask(FundWallet(id="f1", wallet=ANN)).token_id
    return world.ask(draft(id_, room, "ann", Role.SELLER, 40, 60, item=Item(token, "Hers", {}), **more))


def of_type(world: World, kind: type, chain: str = "platform") -> list[object]:
    return [event for event in world.events(chain) if isinstance(event, kind)]


# --- Users and demo money -------------------------------------------------------------------------------


def test_a_wallet_becomes_a_user_once(world: World) -> None:
    for n, wallet in enumerate((ANN, ANN, f"0x{ANN[2:].upper()}")):
        assert world.ask(RegisterUser(id=f"u{n}", wallet=wallet)) == Answer(user=user_id(ANN))
    assert of_type(world, UserRegistered) == [UserRegistered(user_id(ANN), ANN)]


def test_demo_money_is_given_once_a_wallet(world: World) -> None:
    """With an item of its own, whoever else has one; on the ledger the escrow may take both."""
    world.ask(SeedDemo(id="d1"))
    given = [world.ask(FundWallet(id=f"f{n}", wallet=wallet)) for n, wallet in enumerate((ANN, BOB))]
    assert [answer.user for answer in given] == [user_id(ANN), user_id(BOB)]
    minted = {event.token_id: event.owner for event in world.events() if isinstance(event, LedgerMinted)}
    assert [minted[answer.token_id] for answer in given] == [ANN, BOB]
    assert world.chain.balances[ANN] == world.chain.allowances[ANN] == BUDGET_USDC_MICROS
    assert (LEDGER.collection, given[0].token_id) in world.chain.approved
    again = world.ask(FundWallet(id="f9", wallet=ANN))
    assert again.why == f"wallet {ANN} has its demo money"
    assert world.chain.balances[ANN] == BUDGET_USDC_MICROS


def test_on_an_evm_a_wallet_allows_for_itself_and_has_coin_for_it() -> None:
    """No other chain takes what the wallet has not signed."""
    site = Site(LEDGER.chain_id + 1, LEDGER.escrow, LEDGER.currency, LEDGER.collection)
    store = MemoryEventStore()
    persons = Persons(store, MemoryVault(), SECRET, site, Recruiting(store, SECRET, site))
    events, token = persons.fund(ANN)
    funded, minted, fueled = events[1:]
    assert events[:1] == [UserRegistered(user_id(ANN), ANN)]
    assert funded == LedgerFunded(0, BUDGET_USDC_MICROS, ANN)
    assert isinstance(minted, LedgerMinted)
    assert (minted.approved, minted.approval, minted.owner, minted.token_id) == (False, "", ANN, token)
    assert fueled == WalletFueled(FUEL_GWEI, ANN)


# --- Agents under mandates that people sign -------------------------------------------------------------


def test_two_people_trade_under_what_their_own_wallets_signed(world: World) -> None:
    """From typed data in a wallet's own program to the completed deal."""
    room = opened(world)
    sale = selling(world, room)
    world.ask(FundWallet(id="f2", wallet=BOB))
    purchase = world.ask(draft("d2", room, "bob", Role.BUYER, 55, 30, name="Bo", avatar="🦊"))
    for id_, who, made in (("e1", "ann", sale), ("e2", "bob", purchase)):
        asked = json.loads(json.dumps(typed_data(load_draft(world.vault, made.draft).mandate, LEDGER.domain)))
        signature = Account.sign_typed_data(person_key(who), full_message=asked).signature.to_0x_hex()
        command = EnlistAgent(
            id=id_, draft=made.draft, wallet=person(who), signature=signature, budget_usdc_micros=200 * USDC_MICROS
        )
        answer = world.ask(command)
        assert answer == replaced(made, draft="")
    world.until(lambda: world.count(DealCompleted, room) > 0)
    world.until(lambda: not any(agent.present for agent in world.room(room).agents.values()))
    agents = world.room(room).agents
    assert (agents[sale.agent].left_reason, agents[sale.agent].owner) == (LeaveReason.SOLD_NFT, ANN)
    bought = agents[purchase.agent]
    assert (bought.left_reason, bought.owner, bought.name) == (LeaveReason.BOUGHT_NFT, BOB, "Bo")
    assert world.chain.owners[LEDGER.collection, sale.token_id] == BOB
    assert of_type(world, WalletBudgeted) == [WalletBudgeted(BOB, 200 * USDC_MICROS)]  # a seller needs none
    oracle.check(world.lines())


def replaced(answer: Answer, **changes: str) -> Answer:
    return msgspec.structs.replace(answer, **changes)


def test_a_draft_is_one_agent_however_often_it_is_enlisted(world: World) -> None:
    """Also with another signature of the same wallet: the first one is kept. The budget is that of the last."""
    room = opened(world)
    made = world.ask(draft("d1", room, "ann", Role.BUYER, 5, 4))
    first = world.ask(enlist("e1", world.vault, made.draft, "ann", 50))
    command = enlist("e2", world.vault, made.draft, "ann", 60)
    other = msgspec.structs.replace(command, id="e3", signature=another_signature(world, made.draft))
    assert other.signature != command.signature
    assert [world.ask(command), world.ask(other)] == [first, first]
    assert world.count(AgentSpawned, room) == 1
    budgets = [event.budget_usdc_micros for event in world.events() if isinstance(event, WalletBudgeted)]
    assert budgets == [50 * USDC_MICROS, 60 * USDC_MICROS]
    assert len(of_type(world, UserRegistered)) == 1


def another_signature(world: World, draft_id: str) -> str:
    """A good signature of Ann's wallet with another nonce."""
    digest = mandate_digest(load_draft(world.vault, draft_id).mandate, LEDGER.domain)
    key, nonce = int.from_bytes(person_key("ann"), "big"), 7_777
    x, y = PrivateKey.from_int(nonce).public_key.point()
    s = pow(nonce, -1, ORDER) * (int.from_bytes(digest, "big") + x * key) % ORDER
    odd = y % 2 == 1
    if s > ORDER // 2:
        s, odd = ORDER - s, not odd
    return f"{x:064x}{s:064x}{27 + odd:02x}"


def test_a_buyer_locks_no_more_than_its_wallet_allows(world: World) -> None:
    room = opened(world)
    sale = selling(world, room)
    world.ask(enlist("e1", world.vault, sale.draft, "ann"))
    world.ask(FundWallet(id="f2", wallet=BOB))
    purchase = world.ask(draft("d2", room, "bob", Role.BUYER, 55, 50))
    world.ask(enlist("e2", world.vault, purchase.draft, "bob", 0))
    world.pass_ms(120_000)
    assert world.count(DealLocked, room) == 0
    world.ask(enlist("e3", world.vault, purchase.draft, "bob", 55))
    world.until(lambda: world.count(DealLocked, room) == 1)


def test_a_draft_waits_a_quarter_of_an_hour(world: World) -> None:
    """One that was enlisted in time may be enlisted again: it is there."""
    room = opened(world)
    made = [world.ask(draft(f"d{n}", room, "ann", Role.BUYER, 5, 4, expiry_rounds=5_000)) for n in range(2)]
    world.ask(enlist("e0", world.vault, made[0].draft, "ann"))
    world.pass_ms(DRAFT_MS)
    late = world.ask(enlist("e1", world.vault, made[1].draft, "ann"))
    assert (late.why, late.hint) == (f"draft {made[1].draft} has expired", "draft the agent again, then sign it")
    assert world.ask(enlist("e2", world.vault, made[0].draft, "ann")).agent == made[0].agent
    assert world.count(AgentSpawned, room) == 1


def test_a_mandate_signed_too_late_to_trade_is_refused(world: World) -> None:
    room = opened(world)
    made = world.ask(draft("d1", room, "ann", Role.BUYER, 5, 4, expiry_rounds=100))
    world.pass_ms(101_000 - SETTLEMENT_MS)
    assert "ends before a deal can settle" in world.ask(enlist("e1", world.vault, made.draft, "ann")).why
    assert world.count(AgentSpawned, room) == 0


def test_only_the_wallet_of_a_draft_enlists_it(world: World) -> None:
    room = opened(world)
    made = world.ask(draft("d1", room, "ann", Role.BUYER, 87, 20))
    good = enlist("e0", world.vault, made.draft, "ann", 50)
    others = enlist("e0", world.vault, made.draft, "bob")
    refused: dict[str, Callable[[str], EnlistAgent]] = {
        "there is no draft 'draft_x'": lambda id_: msgspec.structs.replace(good, id=id_, draft="draft_x"),
        f"draft {made.draft} is another wallet's": lambda id_: msgspec.structs.replace(others, id=id_),
        f"the mandate is not signed by {ANN}": lambda id_: msgspec.structs.replace(
            good, id=id_, signature=others.signature
        ),
    }
    for n, (why, command) in enumerate(refused.items()):
        answer = world.ask(command(f"e{n + 1}"))
        assert answer.why == why
        assert "87" not in answer.hint
    assert "not signed" in world.ask(msgspec.structs.replace(good, id="e8", signature="ab" * 300)).why
    world.ask(CloseRoom(id="c1", room=room))
    assert "room" in world.ask(msgspec.structs.replace(good, id="e9")).why
    assert world.count(AgentSpawned, room) == 0
    assert of_type(world, WalletBudgeted) == []


def test_a_draft_tells_its_limits_to_the_vault_alone(world: World) -> None:
    """No event, no answer and no inbox holds them, nor the agent's keys."""
    room = opened(world)
    made = world.ask(draft("d1", room, "ann", Role.BUYER, 87_654, 20_123))
    world.ask(enlist("e1", world.vault, made.draft, "ann", 90_000))
    kept = load_draft(world.vault, made.draft)
    assert kept.mandate.reservation_usdc_micros == 87_654 * USDC_MICROS
    assert kept.spawned.agent == made.agent
    said = b"".join(world.lines()) + msgspec.json.encode([world.inbox.get(id_) for id_ in ("d1", "e1")])
    secrets = (b"87654000000", b"20123000000", kept.mandate.salt.encode(), *kept.keys.values())
    assert [secret for secret in secrets if secret in said] == []
    assert made.draft.encode() not in b"".join(world.lines())
    with pytest.raises(UnknownDraft, match="there is no draft 'desk:d1'"):
        load_draft(world.vault, "desk:d1")


ONE = Item("1", "One", {COMPARABLE_BY: "Male"})
WRONG_DRAFTS: dict[str, dict[str, Any]] = {
    "a buyer starts at or below its limit": {"limit": 87, "start": 93},
    "names them": {"limit": 87, "start": 20, "wants": Wants(WantKind.ITEMS)},
    "end before a deal can settle": {"limit": 87, "start": 20, "expiry_rounds": 20},
    "a seller starts at or above its limit": {"role": Role.SELLER, "limit": 87, "start": 20, "item": ONE},
    "whole ticks": {"role": Role.SELLER, "limit": 87, "start": 93, "maximum_usdc_micros": 1, "item": ONE},
    "token id": {"role": Role.SELLER, "limit": 87, "start": 93, "item": Item("01", "One", ONE.traits)},
    "has no trait": {"role": Role.SELLER, "limit": 87, "start": 93, "item": Item("1", "One", {"colour": "red"})},
}


@pytest.mark.parametrize("why", WRONG_DRAFTS)
def test_a_draft_that_cannot_stand_is_refused_without_its_limits(world: World, why: str) -> None:
    changes: dict[str, Any] = {"role": Role.BUYER, **WRONG_DRAFTS[why]}
    answer = world.ask(draft("d1", opened(world), "ann", **changes))
    assert why in answer.why
    assert answer.draft == ""
    assert "87" not in answer.why + answer.hint
    assert world.inbox.get("d1").body == b""


def test_an_item_minted_here_has_the_traits_it_was_minted_with(world: World) -> None:
    """Whatever its owner says of it; of others the owner's word is taken."""
    room = opened(world)
    token = world.ask(FundWallet(id="f1", wallet=ANN)).token_id
    (minted,) = (event for event in world.events() if isinstance(event, LedgerMinted))
    claimed = Item(token, "Hers", {COMPARABLE_BY: "Alien"})
    made = world.ask(draft("d1", room, "ann", Role.SELLER, 40, 60, item=claimed))
    assert load_draft(world.vault, made.draft).mandate.item == Item(token, "Hers", minted.traits)
    other = Item("123456", "Another\u202e", {COMPARABLE_BY: "Alien"})
    made = world.ask(draft("d2", room, "ann", Role.SELLER, 40, 60, item=other))
    assert load_draft(world.vault, made.draft).mandate.item == Item("123456", "Another", {COMPARABLE_BY: "Alien"})


# --- Rooms of any collection, swarms of people ----------------------------------------------------------


def test_a_room_opens_for_any_collection_and_registers_it(world: World) -> None:
    rooms = [opened(world, "r1", CATS), opened(world, "r2", "0x" + "CA" * 20, "Cats")]
    dogs = opened(world, "r3", "0x" + "d0" * 20, " Dogs ")
    registered = [event for event in world.events() if isinstance(event, CollectionRegistered)]
    assert [(event.collection, event.name, event.comparable_by) for event in registered] == [
        (CATS, "0xcaca…caca", ""),
        ("0x" + "d0" * 20, "Dogs", ""),
    ]
    assert [world.room(room).collection for room in (*rooms, dogs)] == [CATS, CATS, "0x" + "d0" * 20]
    made = world.ask(draft("d1", rooms[0], "ann", Role.SELLER, 40, 60, item=Item("7", "Cat", {})))
    mandate = load_draft(world.vault, made.draft).mandate
    assert (mandate.collection, mandate.item) == (CATS, Item("7", "Cat", {}))
    assert world.ask(enlist("e1", world.vault, made.draft, "ann")).agent == made.agent


@pytest.mark.parametrize("address", [LEDGER.escrow, LEDGER.currency, "0x" + "0" * 40])
def test_what_is_no_collection_has_no_room(world: World, address: str) -> None:
    assert "is not an active collection" in world.ask(OpenRoom(id="o", name="No", collection=address)).why
    assert world.count(RoomOpened) == world.count(CollectionRegistered) == 0


def test_a_swarm_is_its_owners(world: World) -> None:
    for n, owner in enumerate((ANN, None)):
        world.ask(RunSwarm(id=f"w{n}", buyers=1, sellers=1, seed=n, owner=owner))
    owners = [event.owner for event in world.events() if isinstance(event, SwarmStarted)]
    assert owners == [ANN, operator(SECRET)]


# --- What people say ------------------------------------------------------------------------------------


def test_people_speak_in_rooms(world: World) -> None:
    """Each message once, with its command's id; refused when it is one too many."""
    room = opened(world)
    answer = world.ask(Speak(id="s0", room=room, wallet=ANN, text=" Who sells a zombie?\u202e "))
    assert answer == Answer(room=room, user=user_id(ANN))
    lines = [decode_line(line) for line in world.lines()]
    (said,) = (line for line in lines if isinstance(line.event, PersonSpoke))
    assert isinstance(said.event, PersonSpoke)
    assert (said.event.text, said.event.user, said.event.wallet) == ("Who sells a zombie?", user_id(ANN), ANN)
    assert said.tags == ("command:s0", f"room:{room}", f"user:{user_id(ANN)}")
    for n in range(1, 10):
        assert not world.ask(Speak(id=f"s{n}", room=room, wallet=ANN, text="Nobody?")).why
    assert "10 messages a minute" in world.ask(Speak(id="s10", room=room, wallet=ANN, text="Nobody?")).why
    assert not world.ask(Speak(id="s11", room=room, wallet=BOB, text="I do.")).why
    assert world.count(PersonSpoke, room) == 11
    world.ask(CloseRoom(id="c1", room=room))
    assert world.ask(Speak(id="s12", room=room, wallet=BOB, text="Bye.")).why


# --- Public chains --------------------------------------------------------------------------------------


def test_on_a_public_chain_nobody_is_given_anything_and_people_trade(inbox: Inbox) -> None:
    world = World(inbox, mock_wallets=False)
    room = opened(world)
    for n, command in enumerate[Command]((FundWallet(id="n0", wallet=ANN), buyer("n1", room), SeedDemo(id="n2"))):
        assert "nobody can be given money" in world.ask(command).why, n
    assert "nobody can be given money" in world.ask(RunSwarm(id="n3", buyers=1, sellers=1)).why
    assert world.ask(RegisterUser(id="u1", wallet=ANN)).user
    made = world.ask(draft("d1", room, "ann", Role.BUYER, 5, 4))
    assert world.ask(enlist("e1", world.vault, made.draft, "ann")).agent
    assert world.ask(Speak(id="s1", room=room, wallet=ANN, text="Hello!")).room
    assert opened(world, "r2", CATS)
    assert world.chain.owners == {}


def test_an_unknown_draft_is_a_refusal() -> None:
    with pytest.raises(Rejection, match="no draft"):
        load_draft(MemoryVault(), "draft_x")
