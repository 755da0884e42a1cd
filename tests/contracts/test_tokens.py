"""The test currency and the demo collection: the standards they keep, permits, names, traits and pictures."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest

from agentrooms.chain.devnet.engine import DEPLOYER_KEY, RELAYER_KEY, Call, Reverted
from agentrooms.chain.evm import abi
from agentrooms.domain.secp256k1 import address_of
from tests.contracts.attacking import ZERO
from tests.contracts.deals import text_hash
from tests.contracts.permits import FOREVER, permit
from tests.contracts.stage import FUNDS, Stage
from tests.contracts.world import Contract

RECEIVER = "0x" + "5" * 40
SVG = "{http://www.w3.org/2000/svg}"


def allowance(stage: Stage, wallet: bytes) -> int:
    return int(stage.world.read(stage.usdc, "allowance", address_of(wallet), stage.escrow.address))


# --- Test USDC ---------------------------------------------------------------------------------------------


def test_the_currency_is_described_as_wallets_expect(stage: Stage) -> None:
    names = ("name", "symbol", "decimals", "version", "owner")
    assert [stage.world.read(stage.usdc, name) for name in names] == [
        "Test USD Coin",
        "USDC",
        6,
        "1",
        address_of(DEPLOYER_KEY),
    ]


def test_money_moves_only_with_its_holders_word_and_its_sum_stays(stage: Stage) -> None:
    world, usdc = stage.world, stage.usdc
    wallet, friend = world.wallets.take(), world.wallets.take()
    before = world.read(usdc, "totalSupply")
    world.transact(DEPLOYER_KEY, usdc, "mint", address_of(wallet), 100)
    world.transact(wallet, usdc, "approve", address_of(friend), 30)
    done = [
        world.transact(wallet, usdc, "transfer", RECEIVER, 40).succeeded,
        world.transact(friend, usdc, "transferFrom", address_of(wallet), address_of(friend), 30).succeeded,
        world.transact(friend, usdc, "transferFrom", address_of(wallet), address_of(friend), 1).succeeded,
        world.transact(wallet, usdc, "transfer", RECEIVER, 31).succeeded,
        world.transact(wallet, usdc, "transfer", ZERO, 1).succeeded,
        world.transact(wallet, usdc, "mint", address_of(wallet), 1).succeeded,
    ]
    assert done == [True, True, False, False, False, False]
    held = [world.read(usdc, "balanceOf", who) for who in (address_of(wallet), address_of(friend), RECEIVER)]
    assert held == [30, 30, 40]
    assert world.read(usdc, "totalSupply") == before + 100


def test_an_allowance_without_end_is_not_used_up(stage: Stage) -> None:
    world, usdc = stage.world, stage.usdc
    wallet, friend = world.wallets.take(), world.wallets.take()
    world.transact(DEPLOYER_KEY, usdc, "mint", address_of(wallet), 10)
    world.transact(wallet, usdc, "approve", address_of(friend), FOREVER)
    world.transact(friend, usdc, "transferFrom", address_of(wallet), RECEIVER, 10)
    assert world.read(usdc, "allowance", address_of(wallet), address_of(friend)) == FOREVER


def test_a_permit_sets_an_allowance_once(stage: Stage) -> None:
    wallet = stage.world.wallets.take()
    args = permit(stage, wallet, amount=9)
    assert stage.world.transact(RELAYER_KEY, stage.usdc, "permit", *args).succeeded
    assert allowance(stage, wallet) == 9
    assert stage.world.read(stage.usdc, "nonces", address_of(wallet)) == 1
    assert not stage.world.transact(RELAYER_KEY, stage.usdc, "permit", *args).succeeded


def test_a_permit_sent_by_a_front_runner_has_the_effect_its_holder_wanted(stage: Stage) -> None:
    """The holder's own transaction then fails, and the deal goes on all the same."""
    plan = stage.plan()
    stage.world.transact(plan.buyer.wallet, stage.usdc, "approve", stage.escrow.address, 0)
    args = permit(stage, plan.buyer.wallet, amount=FUNDS)
    front_runner = stage.world.wallets.take()
    assert stage.world.transact(front_runner, stage.usdc, "permit", *args).succeeded
    assert not stage.world.transact(plan.buyer.wallet, stage.usdc, "permit", *args).succeeded
    assert stage.execute(plan.signed()).succeeded


PERMITS: dict[str, dict[str, Any]] = {
    "of_a_later_nonce": {"nonce": 1},
    "expired": {"deadline": 1},
    "of_another_chain": {"chain_id": 1},
    "for_another_holder": {"holder": RECEIVER},
    "for_the_zero_holder": {"holder": ZERO, "zero": True},
    "with_high_s": {"high": True},
    "with_zeros": {"zero": True},
}


@pytest.mark.parametrize("how", PERMITS.values(), ids=PERMITS)
def test_a_permit_is_refused(stage: Stage, how: dict[str, Any]) -> None:
    wallet = stage.world.wallets.take()
    assert stage.world.tries(stage.usdc, "permit", *permit(stage, wallet)) is None
    assert stage.world.tries(stage.usdc, "permit", *permit(stage, wallet, **how)) is not None


def test_a_permits_deadline_is_in_the_chains_own_time(stage: Stage) -> None:
    """Milliseconds on one chain, seconds on another; whoever signs asks the chain."""
    wallet, now = stage.world.wallets.take(), stage.world.now_ms // stage.world.engine.genesis.ms_per_tick
    assert stage.world.tries(stage.usdc, "permit", *permit(stage, wallet, deadline=now)) is None
    assert stage.world.tries(stage.usdc, "permit", *permit(stage, wallet, deadline=now - 1)) is not None


# --- The collection ----------------------------------------------------------------------------------------


def minted(stage: Stage, *, name: str = "Punk", traits: tuple[tuple[str, str], ...] = ()) -> tuple[bytes, int]:
    wallet, token = stage.world.wallets.take(), stage.count()
    args = (address_of(wallet), token, name, traits)
    assert stage.world.transact(DEPLOYER_KEY, stage.collection, "mint", *args).succeeded
    return wallet, token


def metadata(stage: Stage, token: int) -> dict[str, Any]:
    uri = stage.world.read(stage.collection, "tokenURI", token)
    head, _, body = uri.partition(",")
    assert head == "data:application/json;base64"
    return dict(json.loads(base64.b64decode(body, validate=True)))


def test_the_collection_says_which_standards_it_keeps(stage: Stage) -> None:
    known = {"01ffc9a7": True, "80ac58cd": True, "5b5e139f": True, "ffffffff": False, "af332f3e": False}
    said = {one: stage.world.read(stage.collection, "supportsInterface", bytes.fromhex(one)) for one in known}
    assert said == known
    assert [stage.world.read(stage.collection, name) for name in ("name", "symbol")] == ["Demo", "DEMO"]


def test_an_items_name_and_traits_stand_in_its_metadata(stage: Stage) -> None:
    """The names' lengths go through all paddings of base 64."""
    owner, first, traits = address_of(stage.world.wallets.take()), 1 << 99, (("Type", "Zombie"), ("Hat", "Do-rag"))
    items = [(owner, first + length, "n" * length, traits) for length in range(7)]
    assert stage.world.transact(DEPLOYER_KEY, stage.collection, "mintMany", items).succeeded
    told = [metadata(stage, token) for _, token, *_ in items]
    attributes = [{"trait_type": key, "value": text} for key, text in traits]
    assert [(one["name"], one["attributes"]) for one in told] == [(name, attributes) for _, _, name, _ in items]


AWKWARD = ['"', "\\", '\\"', 'a"b\\c', "Girl's & <b>", "ünïcode ☃ 猫", '"' * 64, "\\" * 64, ""]


@pytest.mark.parametrize("text", AWKWARD, ids=range(len(AWKWARD)))
def test_awkward_texts_stay_texts(stage: Stage, text: str) -> None:
    _, token = minted(stage, name=text, traits=((text or "empty", text),))
    told = metadata(stage, token)
    assert (told["name"], told["attributes"]) == (text, [{"trait_type": text or "empty", "value": text}])


def test_a_picture_has_a_ring_for_each_trait_in_the_colour_of_its_text(stage: Stage) -> None:
    _, token = minted(stage, traits=(("Type", "Zombie"), ("Hat", "Do-rag"), ("Eyes", "Zombie")))
    head, _, body = metadata(stage, token)["image"].partition(",")
    assert head == "data:image/svg+xml"
    picture = ET.fromstring(unquote(body))  # noqa: S314 -- from our own contract
    colours = [ring.attrib["fill"] for ring in picture.iter(SVG + "circle")]
    assert colours == ["#" + text_hash(text).hex()[:6] for text in ("Zombie", "Do-rag", "Zombie")]
    assert [text.text for text in picture.iter(SVG + "text")] == [f"#{token}"]


def test_traits_can_be_asked_for_one_by_one(stage: Stage) -> None:
    _, token = minted(stage, traits=(("Type", "Zombie"), ("Hat", "Do-rag")))
    keys = [text_hash("Hat"), text_hash("Wings"), text_hash("Type")]
    expected = (text_hash("Do-rag"), b"\0" * 32, text_hash("Zombie"))
    assert stage.world.read(stage.collection, "getTraitValues", token, keys) == expected
    assert tuple(stage.world.read(stage.collection, "getTraitValue", token, key) for key in keys) == expected


def test_sixteen_items_of_three_traits_fit_into_one_transaction(stage: Stage) -> None:
    first, owner = 1 << 100, address_of(stage.world.wallets.take())
    items = [(owner, first + n, f"Punk {n}", [("Type", f"t{n % 3}"), ("Hat", "x"), ("Eyes", "y")]) for n in range(16)]
    assert stage.world.transact(DEPLOYER_KEY, stage.collection, "mintMany", items).succeeded
    assert stage.world.read(stage.collection, "balanceOf", owner) == 16
    assert stage.world.read(stage.collection, "ownerOf", first + 15) == owner


BAD_MINTS: dict[str, tuple[Any, ...]] = {
    "a_token_twice": (RECEIVER, 1, "n", []),
    "to_nobody": (ZERO, 1 << 90, "n", []),
    "a_trait_twice": (RECEIVER, 1 << 90, "n", [("Hat", "a"), ("Hat", "b")]),
    "a_control_character_in_the_name": (RECEIVER, 1 << 90, "a\nb", []),
    "a_control_character_in_a_trait": (RECEIVER, 1 << 90, "n", [("Hat\t", "a")]),
    "a_name_that_is_too_long": (RECEIVER, 1 << 90, "n" * 65, []),
    "too_many_traits": (RECEIVER, 1 << 90, "n", [(str(n), "a") for n in range(17)]),
}


@pytest.mark.parametrize("args", BAD_MINTS.values(), ids=BAD_MINTS)
def test_a_mint_is_refused(stage: Stage, args: tuple[Any, ...]) -> None:
    owner = address_of(DEPLOYER_KEY)
    stage.standing_plan()  # its item is among those that exist
    taken = stage.standing_plan().deal.token_id
    args = (args[0], taken if args[1] == 1 else args[1], *args[2:])
    assert stage.world.tries(stage.collection, "mint", RECEIVER, 1 << 90, "n", [("Hat", "a")], sender=owner) is None
    assert stage.world.tries(stage.collection, "mint", *args, sender=owner) is not None


def test_only_its_owner_mints(stage: Stage) -> None:
    args: tuple[Any, ...] = (RECEIVER, 1 << 90, "n", [])
    assert stage.world.tries(stage.collection, "mint", *args, sender=address_of(RELAYER_KEY)) is not None
    assert stage.world.tries(stage.collection, "mintMany", [args], sender=address_of(RELAYER_KEY)) is not None


@pytest.mark.parametrize("name", ["ownerOf", "getApproved", "tokenURI"])
def test_a_token_that_does_not_exist_is_an_error(stage: Stage, name: str) -> None:
    assert stage.world.tries(stage.collection, name, 1 << 91) is not None


def test_an_item_moves_only_with_its_owners_word(stage: Stage) -> None:
    world, nft = stage.world, stage.collection
    wallet, token = minted(stage)
    owner, friend, thief = address_of(wallet), world.wallets.take(), world.wallets.take()
    done = [
        world.transact(thief, nft, "transferFrom", owner, address_of(thief), token).succeeded,
        world.transact(thief, nft, "approve", address_of(thief), token).succeeded,
        world.transact(wallet, nft, "approve", address_of(friend), token).succeeded,
        world.transact(friend, nft, "transferFrom", address_of(thief), RECEIVER, token).succeeded,
        world.transact(friend, nft, "transferFrom", owner, ZERO, token).succeeded,
        world.transact(friend, nft, "transferFrom", owner, RECEIVER, token).succeeded,
        world.transact(friend, nft, "transferFrom", RECEIVER, owner, token).succeeded,
    ]
    assert done == [False, False, True, False, False, True, False]
    assert world.read(nft, "getApproved", token) == ZERO
    assert (world.read(nft, "balanceOf", owner), world.read(nft, "ownerOf", token)) == (0, RECEIVER)


def test_a_safe_transfer_asks_a_contract_whether_it_can_receive(stage: Stage) -> None:
    wallet, token = minted(stage)
    owner = address_of(wallet)
    to_contract = abi.call_data(stage.collection.artefact.abi, "safeTransferFrom", owner, stage.usdc.address, token)
    to_person = abi.call_data(stage.collection.artefact.abi, "safeTransferFrom", owner, RECEIVER, token)
    assert succeeds(stage, stage.collection, to_person, owner)
    assert not succeeds(stage, stage.collection, to_contract, owner)


def succeeds(stage: Stage, contract: Contract, data: bytes, sender: str) -> bool:
    try:
        stage.world.engine.call(Call(to=contract.address, data=data, sender=sender))
    except Reverted:
        return False
    return True
