"""People trade on a chain with an EVM: given money and coin, their wallets allow the escrow by their own transactions."""

from __future__ import annotations

from typing import cast

import pytest

from agentrooms.chain.devnet.engine import Genesis
from agentrooms.chain.devnet.node import CommandNode
from agentrooms.chain.devnet.pyevm import PyEvm
from agentrooms.chain.evm import wallet
from agentrooms.chain.evm.devnet import DevnetChain
from agentrooms.chain.evm.outbox import PRICE_MIN_WEI
from agentrooms.domain.assets import Item
from agentrooms.domain.deal import DealCompleted
from agentrooms.domain.money import USDC_MICROS
from agentrooms.domain.terms import Role
from agentrooms.events.vault import Vault
from agentrooms.live.commands import FundWallet, OpenRoom
from agentrooms.live.inbox import Inbox
from agentrooms.live.recruiting import BUDGET_USDC_MICROS
from tests.evm.market import in_process
from tests.live import world as worlds
from tests.live.asks import draft, enlist, person, person_key
from tests.live.world import World

ALLOWANCE = 60 * USDC_MICROS


def devnet(memory: Vault) -> DevnetChain:
    node = CommandNode(PyEvm(None, Genesis(start_ms=worlds.STARTED_AT_MS)))
    return DevnetChain(in_process(node), memory, virtual=True)


def allow(chain: DevnetChain, token: str) -> None:
    """What Ann's and Bob's own programs send, each paid with the coin that its wallet was given."""
    item = wallet.approval(person_key("ann"), chain.site, token, nonce=0, gas_price_wei=PRICE_MIN_WEI)
    money = wallet.sign_transaction(
        person_key("bob"),
        chain.site.chain_id,
        nonce=0,
        to=chain.site.currency,
        data=wallet.permit_data(
            person("bob"), chain.site, ALLOWANCE, wallet.permit(person_key("bob"), chain.site, ALLOWANCE)
        ),
        gas=wallet.APPROVE_GAS,
        gas_price_wei=PRICE_MIN_WEI,
    )
    for signed in (item, money):
        chain.rpc.call("eth_sendRawTransaction", "0x" + signed.raw.hex())
        chain.mine()


def test_people_trade_with_what_they_allowed_themselves(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worlds, "LedgerChain", devnet)
    world = World(inbox)
    chain = cast("DevnetChain", world.chain)
    room = world.ask(OpenRoom(id="r1", name="Main")).room
    token = world.ask(FundWallet(id="f1", wallet=person("ann"))).token_id
    world.ask(FundWallet(id="f2", wallet=person("bob")))
    allow(chain, token)
    item = Item(token, "Hers", {})
    made = [
        world.ask(draft("d1", room, "ann", Role.SELLER, 40, 50, item=item)),
        world.ask(draft("d2", room, "bob", Role.BUYER, 55, 48)),
    ]

    for who, drafted in zip(("ann", "bob"), made, strict=True):
        world.ask(enlist(f"enlist-{who}", world.vault, drafted.draft, who, ALLOWANCE // USDC_MICROS, chain.site.domain))
    world.until(lambda: world.count(DealCompleted, room) > 0)
    assert chain.owner(token) == person("bob")
    paid = chain.balance_usdc_micros(person("ann")) - BUDGET_USDC_MICROS
    assert 40 * USDC_MICROS <= paid <= 55 * USDC_MICROS
    assert chain.balance_usdc_micros(person("bob")) == BUDGET_USDC_MICROS - paid
