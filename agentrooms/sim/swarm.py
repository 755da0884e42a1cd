"""Draws a swarm: agents with mock wallets, mandates on real prices, items and funds on the simulation's chain.

Every draw is keyed by the agent it is for, so another agent more shifts nobody's.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from agentrooms.chain.signing import approve_item, permit_usdc
from agentrooms.domain import user
from agentrooms.domain.acceptance import AgentKeys
from agentrooms.domain.agent import AgentSpawned
from agentrooms.domain.assets import Item, WantKind, Wants
from agentrooms.domain.canonical import digest
from agentrooms.domain.event import Event
from agentrooms.domain.ids import derive_id, draw_below
from agentrooms.domain.keys import derive_key
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted
from agentrooms.domain.mandate import Mandate, SignedMandate, check_mandate, mandate_hash, sign_mandate
from agentrooms.domain.market import PERMILLE
from agentrooms.domain.money import to_tick
from agentrooms.domain.secp256k1 import address_of, derive_secret
from agentrooms.domain.site import Site
from agentrooms.domain.terms import Role, StrategyName, Style
from agentrooms.sim.names import avatar_of, name_of
from agentrooms.sim.sales import COMMON, RARE, Window
from agentrooms.sim.settings import RunSettings

COLLECTION_NAME = "CryptoPunks"
COMPARABLE_BY = "grade"
JOIN_ROUNDS = 12  # agents join within these rounds
LISTED_POOL = 12  # a buyer of listed items lists some of the run's first items

# Their order is part of what a seed means: what is added later stays out, or every run changes.
STRATEGIES = (
    StrategyName.COMPETITIVE,
    StrategyName.PATIENT,
    StrategyName.AGGRESSIVE,
    StrategyName.CONSERVATIVE,
    StrategyName.SNIPER,
)
STYLES = (Style.FORMAL, Style.CASUAL, Style.PROFESSIONAL, Style.AGGRESSIVE)

Draw = Callable[[str, int], int]
"""Draws for a purpose a number below a bound."""
Prices = tuple[int, int, int | None]
"""Limit, start and, for a seller, maximum."""


class Recruit(msgspec.Struct, frozen=True):
    """One agent of a swarm before it joins."""

    join_round: int
    spawned: AgentSpawned
    mandate: SignedMandate
    funds: LedgerFunded | None
    mint: LedgerMinted | None
    budget_usdc_micros: int
    keys: AgentKeys

    def provided(self) -> list[Event]:
        """Returns what gives the recruit all it has: its user, and a budget and funds or an item."""
        wallet = self.spawned.owner
        events: list[Event] = [*user.register(user.User(), wallet)]
        if self.funds is not None:
            known = user.User(user.user_id(wallet), wallet)
            events += [*user.set_budget(known, self.budget_usdc_micros), self.funds]
        if self.mint is not None:
            events.append(self.mint)
        return events


class Recruiter:
    """Draws the agents of one run, or of one live swarm.

    Swarms of one key and `roster` draw the same agents, on other ids, wallets and salts; it is the run by default.
    """

    def __init__(
        self,
        settings: RunSettings,
        site: Site,
        run_key: bytes,
        run: str,
        swarm: str,
        market: Window,
        *,
        roster: str | None = None,
    ) -> None:
        self._settings = settings
        self._site = site
        self._key = run_key
        self._run = run
        self._swarm = swarm
        self._market = market
        self._roster = roster if roster is not None else run

    def recruits(self) -> list[Recruit]:
        """Returns buyers and sellers in the order in which they join."""
        sides = ((Role.BUYER, self._settings.buyers), (Role.SELLER, self._settings.sellers))
        all_ = [self._recruit(role, ordinal) for role, count in sides for ordinal in range(count)]
        return sorted(all_, key=lambda r: (r.join_round, r.spawned.agent))

    def remandate(self, recruit: Recruit, limit_usdc_micros: int) -> SignedMandate:
        """Returns the recruit's mandate with another limit, signed by the same mock wallet.

        Raises InvalidInput when the limit contradicts its start price.
        """
        old = recruit.mandate.mandate
        salt = digest("agentrooms/salt/v1", f"{old.salt}/{limit_usdc_micros}".encode())
        mandate = msgspec.structs.replace(old, reservation_usdc_micros=limit_usdc_micros, salt=salt)
        check_mandate(mandate)
        return sign_mandate(mandate, self._site.domain, self._wallet(recruit.spawned.agent))

    def _recruit(self, role: Role, ordinal: int) -> Recruit:
        agent = derive_id("agent", self._run, role, ordinal)
        draw = self._draw(derive_id("agent", self._roster, role, ordinal))
        join = 1 + draw("join", JOIN_ROUNDS)
        item = self._item(ordinal) if role is Role.SELLER else None
        wants = self._wants(draw) if role is Role.BUYER else None
        prices = self._bidding(draw, wants) if wants is not None else self._asking(draw, ordinal)
        keys = self._keys(agent)
        mandate = self._mandate(agent, draw, item, wants, prices, keys)
        signed = sign_mandate(mandate, self._site.domain, self._wallet(agent))
        owner = signed.mandate.principal
        spawned = AgentSpawned(
            agent=agent,
            avatar=avatar_of(agent),
            item=item,
            mandate_hash=mandate_hash(signed.mandate),
            name=name_of(agent),
            owner=owner,
            role=role,
            round=join,
            strategy=STRATEGIES[draw("strategy", len(STRATEGIES))],
            style=STYLES[draw("style", len(STYLES))],
            swarm=self._swarm,
            wants=wants,
        )
        if item is not None:
            mint = LedgerMinted(
                approved=True,
                collection=self._site.collection,
                owner=owner,
                token_id=item.token_id,
                traits=item.traits,
                approval=approve_item(self._wallet(agent), self._site, item.token_id),
            )
            return Recruit(join, spawned, signed, None, mint, 0, keys)
        return Recruit(join, spawned, signed, self._funds(draw, agent, owner), None, self._budget(), keys)

    def _mandate(
        self, agent: str, draw: Draw, item: Item | None, wants: Wants | None, prices: Prices, keys: AgentKeys
    ) -> Mandate:
        settings = self._settings
        least, most = settings.mandate_rounds
        rounds = least + draw("expiry", most - least + 1)
        limit, start, maximum = prices
        return Mandate(
            role=Role.BUYER if item is None else Role.SELLER,
            principal=address_of(self._wallet(agent)),
            collection=self._site.collection,
            currency=self._site.currency,
            item=item,
            wants=wants,
            reservation_usdc_micros=limit,
            start_usdc_micros=start,
            maximum_usdc_micros=maximum,
            expires_at_ms=settings.started_at_ms + rounds * settings.round_ms,
            session_key=keys.session_address,
            identity=keys.identity_key,
            salt=digest("agentrooms/salt/v1", self._key + agent.encode()),
        )

    def _asking(self, draw: Draw, ordinal: int) -> Prices:
        """Returns limit, start and maximum: a seller parts with its item for 70 to 100 % of what it sold for."""
        worth = self._market.items[ordinal][2]
        limit = _part(worth, 700 + draw("limit", 301))
        start = _part(limit, 1_150 + draw("start", 451))
        return limit, start, 2 * start

    def _bidding(self, draw: Draw, wants: Wants) -> Prices:
        """Returns limit and start: a buyer pays 95 to 130 % of a sale drawn from those of its grade."""
        sales = self._market.rare if wants.traits.get(COMPARABLE_BY) == RARE else self._market.common
        worth = sales[draw("worth", len(sales))]
        limit = _part(worth, 950 + draw("limit", 351))
        return limit, _part(limit, 500 + draw("start", 301)), None

    def _item(self, ordinal: int) -> Item:
        token, grade, _price = self._market.items[ordinal % len(self._market.items)]
        return Item(token, f"Punk #{token}", {COMPARABLE_BY: grade})

    def _wants(self, draw: Draw) -> Wants:
        kind = draw("wants", 100)
        if kind < 65:
            return Wants()
        if kind < 88:
            return Wants(WantKind.TRAITS, traits={COMPARABLE_BY: RARE if draw("rare", 6) == 0 else COMMON})
        pool = [token for token, grade, _price in self._market.items[:LISTED_POOL] if grade == COMMON]
        return Wants(WantKind.ITEMS, tuple(sorted(t for t in pool if draw(f"lists/{t}", 2) == 0)) or (pool[0],))

    def _funds(self, draw: Draw, agent: str, owner: str) -> LedgerFunded:
        """Returns what the mock wallet holds; some wallets turn out empty-handed when the run asks for it."""
        short = draw("underfunded", PERMILLE) < self._settings.underfunded_permille
        budget = self._budget()
        permit = permit_usdc(self._wallet(agent), self._site, budget)
        return LedgerFunded(budget, 0 if short else budget, owner, permit)

    def _budget(self) -> int:
        """Returns every buyer's budget: above all prices of the window, so it tells nothing about a limit."""
        return 2 * self._market.highest

    def _keys(self, agent: str) -> AgentKeys:
        return AgentKeys(derive_secret(self._key, "session", agent), bytes(derive_key(self._key, "identity", agent)))

    def _wallet(self, agent: str) -> bytes:
        return derive_secret(self._key, "wallet", agent)

    def _draw(self, agent: str) -> Draw:
        return lambda purpose, bound: draw_below(self._key, bound, purpose, agent)


def _part(price: int, permille: int) -> int:
    return to_tick(price * permille // PERMILLE)
