"""A stage for deals: escrow, currency and collection of one world, and parties who are ready to trade."""

from __future__ import annotations

from functools import cache
from typing import Any

from agentrooms.chain.contracts.artefact import Artefact
from agentrooms.chain.contracts.build import compile_source
from agentrooms.chain.contracts.reasons import REASONS, refused
from agentrooms.chain.devnet.engine import DEPLOYER_KEY, Receipt
from agentrooms.domain.eip712 import EscrowDomain, keccak, uint
from agentrooms.domain.secp256k1 import address_of
from tests.contracts.deals import BUYER, SELLER, Deal, Execution, Mandate, Plan, Side, one_item, text_hash
from tests.contracts.world import HOSTILE, Contract, World, key_of

USDC = 1_000_000
PRICE = 48 * USDC
HOUR_MS = 3_600_000
FAR_MS = 10_000 * HOUR_MS  # longer than all tests of one chain together
FUNDS = 1_000 * USDC
VERIFIER_KEYS = tuple(sorted((key_of(f"verifier{n}") for n in range(7)), key=address_of))
VERIFIERS = tuple(map(address_of, VERIFIER_KEYS))
NEXT_VERIFIER_KEYS = tuple(sorted((key_of(f"next verifier{n}") for n in range(7)), key=address_of))
NEXT_VERIFIERS = tuple(map(address_of, NEXT_VERIFIER_KEYS))
TRAITS = (("Hat", "Beanie"), ("Type", "Zombie"))


@cache
def compiled(name: str) -> Artefact:
    """Returns a contract that is for tests alone."""
    return compile_source(HOSTILE / f"{name}.vy")


class Stage:
    """One escrow with its own collection and currency, and a count from which ids come."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.escrow = world.deploy_named("Escrow", world.engine.genesis.ms_per_tick, VERIFIERS)
        self.usdc = world.deploy_named("TestUsdc")
        self.collection = world.deploy_named("Collection", "Demo", "DEMO")
        self._count = 0
        self._standing: Plan | None = None

    @property
    def domain(self) -> EscrowDomain:
        return EscrowDomain(self.world.engine.genesis.chain_id, self.escrow.address)

    def count(self) -> int:
        self._count += 1
        return self._count

    def plan(
        self,
        *,
        collection: Contract | None = None,
        currency: Contract | None = None,
        seller_wallet: bytes | None = None,
        buyer_wallet: bytes | None = None,
        prepared: bool = True,
    ) -> Plan:
        """Returns a valid deal of new parties over a new item; `prepared` mints, funds and approves it on chain."""
        number = self.count()
        seller_wallet = seller_wallet or self.world.wallets.take()
        buyer_wallet = buyer_wallet or self.world.wallets.take()
        nft, token = collection or self.collection, currency or self.usdc
        if prepared:
            self.prepare(nft, token, seller_wallet, buyer_wallet, number)
        common: dict[str, Any] = {
            "collection": nft.address,
            "currency": token.address,
            "items": one_item(number),
            "not_before": self.world.now_ms - HOUR_MS,
            "expiry": self.world.now_ms + FAR_MS,
        }
        seller = Mandate(
            principal=address_of(seller_wallet),
            role=SELLER,
            agent=address_of(key_of(f"selling agent {number}")),
            min_price=PRICE - 8 * USDC,
            max_price=PRICE + 40 * USDC,
            salt=keccak(b"sell" + uint(number)),
            **common,
        )
        buyer = Mandate(
            principal=address_of(buyer_wallet),
            role=BUYER,
            agent=address_of(key_of(f"buying agent {number}")),
            min_price=0,
            max_price=PRICE + 2 * USDC,
            salt=keccak(b"buy" + uint(number)),
            **common,
        )
        deal = Deal(
            deal_id=keccak(b"deal" + uint(number)),
            seller_mandate=seller.hash(),
            buyer_mandate=buyer.hash(),
            collection=nft.address,
            token_id=number,
            currency=token.address,
            price=PRICE,
            deadline=self.world.now_ms + FAR_MS,
        )
        return Plan(
            domain=self.domain,
            seller=Side(mandate=seller, wallet=seller_wallet, agent=key_of(f"selling agent {number}")),
            buyer=Side(mandate=buyer, wallet=buyer_wallet, agent=key_of(f"buying agent {number}")),
            deal=deal,
            attesters=VERIFIER_KEYS[:5],
        )

    def hostile(self, name: str, *args: Any) -> Contract:
        """Returns a contract of its own; those that play tricks take the trick's number."""
        return self.world.deploy(compiled(name), *args)

    def valid_plan(self) -> Plan:
        """Returns a deal of its own that the escrow would execute."""
        plan = self.plan()
        assert self.check(plan.signed()) is None
        return plan

    def standing_plan(self) -> Plan:
        """Returns one valid deal that all may alter who leave the chain as it is."""
        if self._standing is None:
            self._standing = self.valid_plan()
        return self._standing

    def prepare(self, nft: Contract, token: Contract, seller: bytes, buyer: bytes, token_id: int) -> None:
        """Gives the seller the item and the buyer the funds; both let the escrow move them."""
        world = self.world
        traits = (f"Item {token_id}", TRAITS) if nft.artefact.name == "Collection" else ()
        world.queue(DEPLOYER_KEY, nft, "mint", address_of(seller), token_id, *traits, gas=700_000)
        world.queue(DEPLOYER_KEY, token, "mint", address_of(buyer), FUNDS, gas=200_000)
        world.queue(buyer, token, "approve", self.escrow.address, FUNDS, gas=200_000)
        sent = world.queue(seller, nft, "approve", self.escrow.address, token_id, gas=200_000)
        world.mine()
        assert world.receipt(sent).succeeded

    def check(self, execution: Execution) -> str | None:
        """Returns the reason's name that the view gives."""
        code = self.world.read(self.escrow, "check", *execution.values())
        return REASONS[code] if code else None

    def facts(self, plan: Plan, keys: tuple[bytes, ...] = ()) -> dict[str, Any]:
        """Returns what a verifier would be told of the deal."""
        entry = next(one for one in self.escrow.artefact.abi if one.get("name") == "facts")
        execution = plan.signed()
        sides = [part for order in (execution.seller, execution.buyer) for part in order.values()[:2]]
        told = self.world.read(self.escrow, "facts", execution.deal.values(), *sides, keys)
        return dict(zip((part["name"] for part in entry["outputs"][0]["components"]), told, strict=True))

    def tried(self, execution: Execution) -> str | None:
        """Returns the reason's name with which `execute` would revert; nothing is sent."""
        data = self.world.tries(self.escrow, "execute", *execution.values())
        if data is None:
            return None
        name = refused(data)
        assert name is not None, f"reverted without a reason: {data.hex()}"
        return name

    def execute(self, execution: Execution, key: bytes | None = None) -> Receipt:
        """Sends it, from anybody's wallet."""
        return self.world.transact(key or DEPLOYER_KEY, self.escrow, "execute", *execution.values())

    def holdings(self, plan: Plan) -> tuple[Any, ...]:
        """Returns everything a deal may change: owner, balances, allowance, fills, use of the deal's id."""
        world, deal = self.world, plan.signed().deal
        nft = Contract(plan.deal.collection, self.collection.artefact)
        money = Contract(plan.deal.currency, self.usdc.artefact)
        seller, buyer = plan.seller.mandate.principal, plan.buyer.mandate.principal
        return (
            world.read(nft, "ownerOf", deal.token_id),
            world.read(money, "balanceOf", seller),
            world.read(money, "balanceOf", buyer),
            world.read(money, "allowance", buyer, self.escrow.address),
            world.read(self.escrow, "fillsOf", deal.seller_mandate),
            world.read(self.escrow, "fillsOf", deal.buyer_mandate),
            world.read(self.escrow, "executedBlockOf", deal.deal_id),
        )


def held_traits() -> tuple[tuple[bytes, bytes], ...]:
    """Returns the stage's item's traits as a mandate asks for them."""
    return tuple(sorted((text_hash(name), text_hash(text)) for name, text in TRAITS))
