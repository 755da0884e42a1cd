"""Agents for people, and the demo: mandates, mock wallets, items from the sales data, money from nowhere."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from agentrooms.chain.signing import approve_item, permit_usdc
from agentrooms.domain import user
from agentrooms.domain.acceptance import AgentKeys
from agentrooms.domain.agent import AgentSpawned
from agentrooms.domain.assets import Item, Wants
from agentrooms.domain.event import Event
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted
from agentrooms.domain.mandate import Mandate, broken_rule, mandate_hash
from agentrooms.domain.money import PRICE_MAX_USDC_MICROS
from agentrooms.domain.site import Site
from agentrooms.domain.terms import Role
from agentrooms.errors import Rejection
from agentrooms.events.journal import once
from agentrooms.events.record import decode_line
from agentrooms.events.store import EventStore, Query, QueryItem
from agentrooms.events.tags import nft_tag, wallet_tag
from agentrooms.live.commands import DraftAgent, SpawnAgent
from agentrooms.live.wallets import DEMO_WALLETS, Wallet, demo_wallet, made_id, mock_wallet, subkey
from agentrooms.live.watching import WatchedRoom
from agentrooms.sim import sales
from agentrooms.sim.names import avatar_of, name_of
from agentrooms.sim.sales import Window
from agentrooms.sim.swarm import COLLECTION_NAME, COMPARABLE_BY, Recruit

BUDGET_USDC_MICROS = PRICE_MAX_USDC_MICROS  # of every mock wallet: no price is above it, so it tells no limit
TOKENS = 10_000  # of the real collection, numbered from 0
RENUMBERED_MAX = 1_000  # items minted of one token: its number, number + TOKENS, number + 2 * TOKENS, ...
USDC_PER_ETH = 1_500  # as in runs


class Recruiting:
    """Makes mandates, wallets and items; what is minted already it reads in the log."""

    def __init__(self, store: EventStore, secret: bytes, site: Site) -> None:
        self._store = store
        self._secret = secret
        self._site = site

    def single(self, command: SpawnAgent, room: WatchedRoom, round_: int, now_ms: int) -> Recruit:
        """Returns the agent of a command that reaches its room in a round. Raises Rejection, without any value."""
        agent = made_id(self._secret, "agent", command.id)
        demo = command.wallet is not None
        wallet = demo_wallet(self._secret, command.wallet) if command.wallet else mock_wallet(self._secret, agent)
        if demo:
            self._require_seeded(wallet)
        selling = command.role is Role.SELLER
        item = self._item(command, wallet, room.opened.collection) if selling else None
        expires_at_ms = room.at_ms(round_ + command.expiry_rounds) + room.behind_ms(round_, now_ms)
        keys = AgentKeys(secrets.token_bytes(32), secrets.token_bytes(32))
        terms = Terms(room.opened.collection, self._site.currency, expires_at_ms)
        signed = wallet.sign(mandate_of(command, wallet.address, keys, item, terms), self._site.domain)
        spawned = spawned_of(agent, command, signed.mandate, round_)
        funds = None if selling or demo else self._funds(wallet)
        mint = self._mint(item, wallet) if item is not None and not demo else None
        return Recruit(round_, spawned, signed, funds, mint, BUDGET_USDC_MICROS if funds is not None else 0, keys)

    def demo_events(self) -> list[Event]:
        """Returns what gives each demo wallet money and one item; [] when they have it."""
        if self._seeded():
            return []
        window = self.unminted(sales.window(subkey(self._secret, "demo"), USDC_PER_ETH), DEMO_WALLETS)
        events: list[Event] = []
        for number in range(1, DEMO_WALLETS + 1):
            wallet = demo_wallet(self._secret, number)
            known = user.User(user.user_id(wallet.address), wallet.address)
            events += user.register(user.User(), wallet.address)
            events += user.set_budget(known, BUDGET_USDC_MICROS)
            events += [self._funds(wallet), self._mint(_item(window, number - 1), wallet)]
        return events

    def drawn(self, key: bytes) -> Item:
        """Returns an item drawn from the sales data that is not minted yet."""
        return _item(self.unminted(sales.window(key, USDC_PER_ETH), 1), 0)

    def unminted(self, window: Window, count: int) -> Window:
        """Returns the window with its first `count` items renumbered where their tokens are minted already."""
        items = list(window.items)
        todo = list(range(min(count, len(items))))
        for n in range(1, RENUMBERED_MAX + 1):
            names = {at: str(int(window.items[at][0]) + (n - 1) * TOKENS) for at in todo}
            taken = self._with_tags(list(names.values()), "ledger.minted")
            for at, name in names.items():
                items[at] = (name, *window.items[at][1:])
            todo = [at for at, name in names.items() if name in taken]
            if not todo:
                return msgspec.structs.replace(window, items=tuple(items))
        raise Rejection(f"{RENUMBERED_MAX} items of one token are minted", hint="take another seed or item")

    def _item(self, command: SpawnAgent, wallet: Wallet, collection: str) -> Item:
        """Returns the item a seller sells: one of its demo wallet, or a new one."""
        if collection != self._site.collection:
            raise Rejection(f"items can be minted of {COLLECTION_NAME} only", hint="sell in one of its rooms")
        if command.wallet is not None:
            return self._item_of(wallet, command.item)
        key = subkey(self._secret, "item", command.id)
        if command.item is None:
            return self.drawn(key)
        window = sales.window_of(command.item, key, USDC_PER_ETH)
        if window is None:
            raise Rejection(f"item {command.item!a} is not in the sales data", hint="name none to have one drawn")
        if self._with_tags([command.item], "ledger.minted"):
            raise Rejection(f"item {command.item} is minted already", hint="name another, or none to have one drawn")
        return _item(window, next(at for at, known in enumerate(window.items) if known[0] == command.item))

    def _mint(self, item: Item, wallet: Wallet) -> LedgerMinted:
        return LedgerMinted(
            approved=True,
            collection=self._site.collection,
            owner=wallet.address,
            token_id=item.token_id,
            traits=item.traits,
            approval=approve_item(wallet.key, self._site, item.token_id),
        )

    def _funds(self, wallet: Wallet) -> LedgerFunded:
        permit = permit_usdc(wallet.key, self._site, BUDGET_USDC_MICROS)
        return LedgerFunded(BUDGET_USDC_MICROS, BUDGET_USDC_MICROS, wallet.address, permit)

    def _item_of(self, wallet: Wallet, token: str | None) -> Item:
        """Returns an item that a demo wallet was given and has not sold."""
        seeded = [decode_line(found.event.data).event for found in self._store.read(once(self._seeded()))]
        mints = [e for e in seeded if isinstance(e, LedgerMinted) and e.owner == wallet.address]
        sold = self._with_tags([mint.token_id for mint in mints], "deal.completed")
        for mint in mints:
            if mint.token_id not in sold and token in {None, mint.token_id}:
                return Item(mint.token_id, f"Punk #{mint.token_id}", mint.traits)
        raise Rejection(f"the demo wallet does not hold {'an item' if token is None else f'item {token!a}'} to sell")

    def _require_seeded(self, wallet: Wallet) -> None:
        if not self._seeded():
            raise Rejection(f"demo wallet {wallet.address} is empty", hint="run `agentrooms db seed` first")

    def _seeded(self) -> str:
        """Returns the id under which the demo's events were appended, "" when they were not."""
        first = demo_wallet(self._secret, 1).address
        found = self._store.read((QueryItem(tags=(wallet_tag(first),), types=("ledger.funded",)),), limit=1)
        return decode_line(found[0].event.data).cmd if found else ""

    def _with_tags(self, tokens: Sequence[str], type_: str) -> set[str]:
        """Returns those tokens that an event of this type is about."""
        if not tokens:
            return set()
        by_tag = {nft_tag(self._site.collection, token): token for token in tokens}
        query: Query = tuple(QueryItem(tags=(tag,), types=(type_,)) for tag in by_tag)
        return {by_tag[tag] for found in self._store.read(query) for tag in found.event.tags if tag in by_tag}


class Terms(NamedTuple):
    """What an agent's mandate is for: a collection, a currency, until when; `counter` is the wallet's own on chain."""

    collection: str
    currency: str
    expires_at_ms: int
    counter: int = 0


def mandate_of(
    command: SpawnAgent | DraftAgent, principal: str, keys: AgentKeys, item: Item | None, terms: Terms
) -> Mandate:
    """Returns the mandate of a command's agent, with a salt of its own. Raises Rejection, without any value."""
    maximum = None
    if item is not None:
        maximum = command.maximum_usdc_micros or min(2 * command.start_usdc_micros, PRICE_MAX_USDC_MICROS)
    mandate = Mandate(
        role=command.role,
        principal=principal,
        collection=terms.collection,
        currency=terms.currency,
        item=item,
        wants=(command.wants or Wants()) if item is None else None,
        reservation_usdc_micros=command.limit_usdc_micros,
        start_usdc_micros=command.start_usdc_micros,
        maximum_usdc_micros=maximum,
        expires_at_ms=terms.expires_at_ms,
        counter=terms.counter,
        session_key=keys.session_address,
        identity=keys.identity_key,
        salt=secrets.token_hex(32),
    )
    rule = broken_rule(mandate)
    if rule is not None:
        raise Rejection(f"the agent's mandate cannot stand: {rule}", hint="correct the prices, the item or the wants")
    return mandate


def spawned_of(agent: str, command: SpawnAgent | DraftAgent, mandate: Mandate, round_: int) -> AgentSpawned:
    """Returns how a command's agent joins its room."""
    return AgentSpawned(
        agent=agent,
        avatar=command.avatar or avatar_of(agent),
        item=mandate.item,
        mandate_hash=mandate_hash(mandate),
        name=command.name or name_of(agent),
        owner=mandate.principal,
        role=command.role,
        round=round_,
        strategy=command.strategy,
        style=command.style,
        swarm=None,
        wants=mandate.wants,
    )


def _item(window: Window, at: int) -> Item:
    token, grade, _price = window.items[at]
    return Item(token, f"Punk #{token}", {COMPARABLE_BY: grade})
