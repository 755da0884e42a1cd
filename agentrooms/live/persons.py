"""What people ask for wallets of their own: to be users, the demo's money, and agents under mandates they sign themselves."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from agentrooms.chain.ledger import LEDGER
from agentrooms.domain import user
from agentrooms.domain.acceptance import AgentKeys
from agentrooms.domain.assets import ANY_GRADE, Item, is_token_id
from agentrooms.domain.event import Event
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted, WalletFueled
from agentrooms.domain.mandate import SignedMandate, is_signed
from agentrooms.domain.market import trading_ends_ms
from agentrooms.domain.site import Site
from agentrooms.domain.terms import Role
from agentrooms.domain.user import User, UserRegistered, WalletBudgeted
from agentrooms.errors import Rejection
from agentrooms.events.keyring import Keyring
from agentrooms.events.record import decode_line
from agentrooms.events.store import EventStore, QueryItem
from agentrooms.events.tags import nft_tag, wallet_tag
from agentrooms.events.vault import MemoryVault, NotInVault, Vault, get_mandate
from agentrooms.live.commands import DraftAgent, EnlistAgent
from agentrooms.live.drafts import Draft, load_draft
from agentrooms.live.recruiting import BUDGET_USDC_MICROS, Recruiting, Terms, mandate_of, spawned_of
from agentrooms.live.wallets import made_id, room_key, subkey
from agentrooms.live.watching import WatchedRoom

FUEL_GWEI = 1_000_000_000  # one coin: some two thousand approvals at a devnet's price


@dataclass(frozen=True, slots=True)
class Enlisted:
    """A draft with its wallet's signature, and the platform's events that come with it."""

    draft: Draft
    signed: SignedMandate
    events: list[Event]


class Persons:
    """Decides what people ask for their own wallets. Raises Rejection, without any value of a mandate."""

    def __init__(self, store: EventStore, vault: Vault, secret: bytes, site: Site, recruiting: Recruiting) -> None:
        self._store = store
        self._vault = vault
        self._secret = secret
        self._site = site
        self._recruiting = recruiting

    def register(self, wallet: str) -> list[Event]:
        """Returns what makes a wallet a user; [] when it is one."""
        return [*user.register(self._user(wallet), wallet)]

    def fund(self, wallet: str) -> tuple[list[Event], str]:
        """Returns what gives a wallet the demo's money, coin and item, and the item's token id. Raises Rejection."""
        if self._store.read((QueryItem(tags=(wallet_tag(wallet),), types=("ledger.funded",)),), limit=1):
            raise Rejection(f"wallet {wallet} has its demo money", hint="it is given once")
        allowed = self._site == LEDGER  # which takes no transactions of people: there both come allowed
        item = self._recruiting.drawn(subkey(self._secret, "fund", wallet))
        events = self.register(wallet)
        events.append(LedgerFunded(BUDGET_USDC_MICROS if allowed else 0, BUDGET_USDC_MICROS, wallet))
        events.append(LedgerMinted(allowed, self._site.collection, wallet, item.token_id, item.traits))
        if not allowed:
            events.append(WalletFueled(FUEL_GWEI, wallet))
        return events, item.token_id

    def draft(self, command: DraftAgent, room: WatchedRoom, round_: int, now_ms: int) -> Draft:
        """Returns the agent that waits for its wallet's signature; it would reach its room in a round from now.

        Raises Rejection.
        """
        draft = made_id(self._secret, "draft", command.id)
        agent = made_id(self._secret, "agent", draft)  # one draft is one agent, however often it is enlisted
        item = self._item(command.item, room) if command.item is not None else None
        keys = AgentKeys(secrets.token_bytes(32), secrets.token_bytes(32))
        expires_at_ms = room.at_ms(round_ + command.expiry_rounds) + room.behind_ms(round_, now_ms)
        terms = Terms(room.opened.collection, self._site.currency, expires_at_ms, command.counter)
        mandate = mandate_of(command, command.wallet, keys, item, terms)
        name, sealed = Keyring(MemoryVault(), room_key(self._secret, room.opened.room)).seal(agent, keys)
        return Draft(
            id=draft,
            room=room.opened.room,
            made_at_ms=now_ms,
            mandate=mandate,
            spawned=spawned_of(agent, command, mandate, round_),
            keys={name: sealed},
        )

    def enlist(self, command: EnlistAgent, now_ms: int) -> Enlisted:
        """Returns the draft that the wallet has signed. Raises Rejection."""
        draft = load_draft(self._vault, command.draft)
        if draft.mandate.principal != command.wallet:
            raise Rejection(f"draft {draft.id} is another wallet's", hint="draft one for this wallet")
        signed = SignedMandate(draft.mandate, command.signature)
        if not is_signed(signed, self._site.domain):
            raise Rejection(
                f"the mandate is not signed by {command.wallet}",
                hint="sign the draft's typed data with that wallet's own key; a contract's wallet cannot enlist here",
            )
        kept = self._kept(draft)
        if kept is None and now_ms >= draft.expires_at_ms:
            raise Rejection(f"draft {draft.id} has expired", hint="draft the agent again, then sign it")
        if not self._has_joined(draft.spawned.agent) and now_ms >= trading_ends_ms(draft.mandate):
            raise Rejection("the mandate ends before a deal can settle", hint="draft the agent again, for longer")
        buying = draft.mandate.role is Role.BUYER
        events = self._budgeted(command.wallet, command.budget_usdc_micros) if buying else []
        return Enlisted(draft, kept or signed, events)

    def _user(self, wallet: str) -> User:
        state = User()
        types = ("user.registered", "wallet.budgeted")
        for found in self._store.read((QueryItem(tags=(wallet_tag(wallet),), types=types),)):
            event = decode_line(found.event.data).event
            assert isinstance(event, UserRegistered | WalletBudgeted)
            state = user.evolve(state, event)
        return state

    def _budgeted(self, wallet: str, budget_usdc_micros: int) -> list[Event]:
        """Returns what lets deals of a wallet lock so much."""
        known = self._user(wallet)
        events = user.register(known, wallet)
        for event in events:
            known = user.evolve(known, event)
        return [*events, *user.set_budget(known, budget_usdc_micros)]

    def _item(self, item: Item, room: WatchedRoom) -> Item:
        """Returns a person's item; of one that was minted here the log knows the traits."""
        if not is_token_id(item.token_id):
            raise Rejection("the item's token id is none", hint="a decimal number below 2**256")
        tag, opened = nft_tag(room.opened.collection, item.token_id), room.opened
        for found in self._store.read((QueryItem(tags=(tag,), types=("ledger.minted",)),), limit=1):
            minted = decode_line(found.event.data).event
            assert isinstance(minted, LedgerMinted)
            item = Item(item.token_id, item.name, minted.traits)
        if opened.comparable_by and item.grade(opened.comparable_by) == ANY_GRADE:
            raise Rejection(
                f"item {item.token_id} has no trait {opened.comparable_by!a}, by which room {opened.room} compares",
                hint="sell it in a room that compares by nothing",
            )
        return item

    def _kept(self, draft: Draft) -> SignedMandate | None:
        """Returns the draft's mandate as it was signed before: a wallet's second signature may have other bytes."""
        try:
            return get_mandate(self._vault, draft.spawned.mandate_hash)
        except NotInVault:
            return None

    def _has_joined(self, agent: str) -> bool:
        return bool(self._store.read((QueryItem(tags=(f"agent:{agent}",), types=("agent.spawned",)),), limit=1))
