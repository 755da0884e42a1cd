"""Random histories of a small market, played on the contracts and in the model, which must agree after every step.

A step is a few small numbers; what they mean depends on the state, so that a history can be cut down to its bug.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from agentrooms.chain.devnet.engine import DEPLOYER_KEY
from agentrooms.chain.evm import abi
from agentrooms.domain.eip712 import keccak, uint
from agentrooms.domain.merkle import leaf, proof, root
from agentrooms.domain.secp256k1 import address_of
from tests.contracts.attacking import with_order
from tests.contracts.deals import BUYER, SELLER, Deal, Execution, Mandate, Plan, Side, text_hash
from tests.contracts.model import FOREVER, Model
from tests.contracts.permits import permit
from tests.contracts.stage import (
    HOUR_MS,
    NEXT_VERIFIER_KEYS,
    NEXT_VERIFIERS,
    TRAITS,
    USDC,
    VERIFIER_KEYS,
    VERIFIERS,
    Stage,
)
from tests.contracts.tampering import elsewhere, respelled, tampered
from tests.contracts.world import Contract, key_of

STEPS_MAX = 14
TOKENS = 4
WALLET_KEYS = tuple(key_of(f"wallet{n}") for n in range(4))
WALLETS = tuple(map(address_of, WALLET_KEYS))
KEPT_MAX = 8  # executions and mandates of the past that later steps may use again
HELD = tuple(sorted((text_hash(name), text_hash(text)) for name, text in TRAITS))
NOT_HELD = ((text_hash("Type"), text_hash("Alien")),)


class Step(msgspec.Struct, frozen=True):
    """What is done, by which wallet, to which item, with which amount or choices."""

    kind: str
    wallet: int = 0
    other: int = 0
    token: int = 0
    amount: int = 0
    choices: dict[str, int] = {}


# What a drawn deal can have that is not as it should be; 0 is always right.
CHOICES = {
    "again": 4,
    "seller": 2,
    "self": 2,
    "items": 4,
    "traits": 3,
    "price": 6,
    "seller_limits": 3,
    "buyer_limits": 3,
    "expiry": 3,
    "start": 3,
    "deadline": 3,
    "fills": 3,
    "counter": 3,
    "role": 3,
    "attesters": 6,
    "version": 3,
    "spelling": 8,
    "tamper": 6,
    "contracts": 5,
}
_WALLET = st.integers(0, len(WALLET_KEYS) - 1)
_TOKEN = st.integers(0, TOKENS - 1)
_AMOUNT = st.sampled_from([0, 1, 20, 47, 48, 49, 60, 100, 1_000])


def steps() -> SearchStrategy[list[Step]]:
    """Returns histories that begin with a market in which something can happen."""
    return st.lists(_step(), min_size=1, max_size=STEPS_MAX)


def _step() -> SearchStrategy[Step]:
    choice = st.sampled_from(sorted(CHOICES)).flatmap(
        lambda name: st.tuples(st.just(name), st.integers(1, CHOICES[name] - 1))
    )
    deal = st.builds(
        Step,
        kind=st.just("deal"),
        wallet=_WALLET,
        other=_WALLET,
        token=_TOKEN,
        choices=st.one_of(st.just({}), st.lists(choice, max_size=1).map(dict), st.lists(choice, max_size=2).map(dict)),
    )
    asset = st.builds(
        Step,
        kind=st.sampled_from(["mint", "fund", "approve", "operate", "allow", "permit", "move", "pay"]),
        wallet=_WALLET,
        other=_WALLET,
        token=_TOKEN,
        amount=_AMOUNT,
    )
    brake = st.builds(
        Step,
        kind=st.sampled_from(["replay", "cancel", "cancel_all", "rotate", "wait", "wait", "replay", "pause"]),
        wallet=_WALLET,
        amount=_AMOUNT,
    )
    return st.one_of(deal, deal, deal, asset, brake)


class History:
    """One market on a stage of its own, and its model."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.world = stage, stage.world
        self.lens = stage.hostile("Lens")
        self.model = Model(stage.domain, VERIFIERS, stage.collection.address, stage.usdc.address)
        self.minted = 0
        self.past: list[Execution] = []
        self.mandates: list[tuple[Side, Side]] = []
        self.executed = 0
        self.reasons: list[str] = []
        for wallet in range(len(WALLETS)):
            self._queue(Step("fund", wallet=wallet, amount=150))
            self._queue(Step("allow", wallet=wallet, amount=100))
        for token in range(TOKENS - 1):
            self._queue(Step("mint", wallet=token, token=token))
            self._queue(Step("approve", wallet=token, token=token, amount=1))
        self.world.mine()
        self.compare()

    def play(self, step: Step) -> None:
        """Does one step on both sides and compares everything."""
        match step.kind:
            case "deal":
                self._deal(self._drawn(step))
            case "replay":
                if self.past:
                    self._deal(self.past[step.amount % len(self.past)])
            case "wait":
                self.world.mine(self.world.now_ms + 1_000 * max(1, step.amount))
            case "cancel_all":
                parent = self.world.engine.head()
                self.world.transact(WALLET_KEYS[step.wallet], self.stage.escrow, "cancelAll")
                self.model.counters[WALLETS[step.wallet]] += (int(parent.hash, 16) >> 128) + 1
            case _:
                self._queue(step)
                self.world.mine()
        self.compare()

    def _queue(self, step: Step) -> None:
        """Sends one simple transaction, and does the same in the model where the specification lets it succeed."""
        stage, model = self.stage, self.model
        key, who, amount = WALLET_KEYS[step.wallet], WALLETS[step.wallet], step.amount * USDC
        whom, token, nft, usdc = WALLETS[step.other], step.token, stage.collection, stage.usdc
        gas = 700_000
        match step.kind:
            case "mint":
                self.world.queue(DEPLOYER_KEY, nft, "mint", who, token, f"Item {token}", TRAITS, gas=gas)
                if token not in model.owners:
                    model.owners[token] = who
                    model.traits[token] = dict(HELD)
            case "fund":
                self.world.queue(DEPLOYER_KEY, usdc, "mint", who, amount, gas=gas)
                model.balances[who] += amount
                self.minted += amount
            case "approve":
                to = stage.escrow.address if step.amount else "0x" + "0" * 40
                self.world.queue(key, nft, "approve", to, token, gas=gas)
                if model.owners.get(token) == who:
                    (model.approved.add if step.amount else model.approved.discard)(token)
            case "operate":
                self.world.queue(key, nft, "setApprovalForAll", stage.escrow.address, bool(step.amount), gas=gas)
                (model.operated.add if step.amount else model.operated.discard)(who)
            case "allow":
                amount = FOREVER if step.amount == 1 else amount
                self.world.queue(key, usdc, "approve", stage.escrow.address, amount, gas=gas)
                model.allowances[who] = amount
            case "permit":
                nonce = model.permits[who] + (1 if step.amount == 1 else 0)
                self.world.queue(DEPLOYER_KEY, usdc, "permit", *permit(stage, key, amount=amount, nonce=nonce), gas=gas)
                if nonce == model.permits[who]:
                    model.permits[who] += 1
                    model.allowances[who] = amount
            case "move":
                self.world.queue(key, nft, "transferFrom", who, whom, token, gas=gas)
                if model.owners.get(token) == who:
                    model.owners[token] = whom
                    model.approved.discard(token)
            case "pay":
                self.world.queue(key, usdc, "transfer", whom, amount, gas=gas)
                if model.balances[who] >= amount:
                    model.balances[who] -= amount
                    model.balances[whom] += amount
            case "cancel":
                mandate = self._known_mandate(step)
                self.world.queue(key, stage.escrow, "cancel", mandate, gas=gas)
                model.cancelled.add((who, mandate))
            case "rotate":
                model.verifiers = NEXT_VERIFIERS if step.amount % 2 else VERIFIERS
                model.set_version += 1
                self.world.queue(DEPLOYER_KEY, stage.escrow, "rotate", model.verifiers, gas=gas)
            case "pause":
                model.paused = not model.paused
                self.world.queue(DEPLOYER_KEY, stage.escrow, "pause" if model.paused else "unpause", gas=gas)
            case _:
                raise AssertionError(step.kind)

    def _known_mandate(self, step: Step) -> bytes:
        """Returns a mandate that has been used, its principal's own one where there is one."""
        known = [side.mandate for sides in self.mandates for side in sides]
        own = [mandate for mandate in known if mandate.principal == WALLETS[step.wallet]]
        from_these = own or known
        return from_these[step.amount % len(from_these)].hash() if from_these else b"\1" * 32

    def _deal(self, execution: Execution) -> None:
        """Asks both views, sends it, and compares the three answers with the model's."""
        now_ms, model = self.world.now_ms, self.model
        expected = model.refusal(execution, now_ms)
        assert self.stage.check(execution) == expected
        assert self.stage.tried(execution) == expected
        if expected is not None:
            self.reasons.append(expected)
        receipt = self.stage.execute(execution)  # one second later, which may be too late
        reason = model.execute(execution, self.world.now_ms, receipt.block_number)
        assert receipt.succeeded == (reason is None), reason
        self.executed += receipt.succeeded
        self.past = [*self.past, execution][-KEPT_MAX:]

    def compare(self) -> None:
        """Compares all that the model knows with the chain, in one look; money and items are conserved."""
        stage, model = self.stage, self.model
        expected: dict[tuple[str, str, tuple[Any, ...]], int] = {
            ("usdc", "totalSupply", ()): self.minted,
            ("collection", "totalSupply", ()): len(model.owners),
            ("escrow", "paused", ()): int(model.paused),
            ("escrow", "setVersion", ()): model.set_version,
        }
        for who in WALLETS:
            expected["usdc", "balanceOf", (who,)] = model.balances[who]
            expected["usdc", "allowance", (who, stage.escrow.address)] = model.allowances[who]
            expected["collection", "balanceOf", (who,)] = list(model.owners.values()).count(who)
            expected["escrow", "counterOf", (who,)] = model.counters[who]
        for token, owner in model.owners.items():
            expected["collection", "ownerOf", (token,)] = int(owner, 16)
        for execution in self.past[-2:]:
            deal_id, sides = execution.deal.deal_id, (execution.seller.mandate, execution.buyer.mandate)
            expected["escrow", "executedBlockOf", (deal_id,)] = model.executed.get(deal_id, 0)
            expected |= {("escrow", "fillsOf", (one.hash(),)): model.fills[one.hash()] for one in sides}
        contracts: dict[str, Contract] = {name: getattr(stage, name) for name in ("usdc", "collection", "escrow")}
        questions = [
            (contracts[to].address, abi.call_data(contracts[to].artefact.abi, name, *args))
            for to, name, args in expected
        ]
        found = dict(zip(expected, self.world.read(self.lens, "words", questions), strict=True))
        assert found == expected
        assert sum(found["usdc", "balanceOf", (who,)] for who in WALLETS) == self.minted
        assert sum(found["collection", "balanceOf", (who,)] for who in WALLETS) == len(model.owners)

    # --- Drawing a deal ------------------------------------------------------------------------------------

    def _drawn(self, step: Step) -> Execution:
        """Signs a deal between two wallets; by its choices it may be wrong in up to two ways."""
        choose = {name: step.choices.get(name, 0) for name in CHOICES}
        plan = self._plan(step, choose)
        execution = plan.signed()
        if choose["items"] == 1:
            tokens = [step.token + n * 7 for n in range(5)]
            execution = with_order(execution, "buyer", proof=proof(tokens, step.token))
        return tampered(respelled(execution, choose["spelling"]), choose["tamper"])

    def _plan(self, step: Step, choose: dict[str, int]) -> Plan:
        model, number, now = self.model, self.stage.count(), self.world.now_ms
        owner = model.owners.get(step.token)
        seller_index = step.wallet if owner is None or choose["seller"] else WALLETS.index(owner)
        buyer_index = (seller_index + (0 if choose["self"] else 1 + step.other % 3)) % len(WALLETS)
        agents = key_of("selling agent"), key_of("buying agent")
        tokens = [step.token + n * 7 for n in range(5)]
        items = [leaf(step.token), root(tokens), b"\0" * 32, leaf(step.token + 1)][choose["items"]]
        price = [48, 47, 49, 39, 61, 0][choose["price"]] * USDC
        expiry = now + [HOUR_MS, 0, 1_500][choose["expiry"]]
        start = now + [-HOUR_MS, 0, 500][choose["start"]]
        counter_off = [0, 1, 0][choose["counter"]]
        contracts = self.stage.collection.address, self.stage.usdc.address
        common: dict[str, Any] = {
            "collection": contracts[0],
            "currency": contracts[1],
            "items": items if choose["items"] != 1 else leaf(step.token),
            "not_before": start,
            "expiry": expiry,
            "fills": [1, 2, 0][choose["fills"]],
        }
        seller = Mandate(
            principal=WALLETS[seller_index],
            role=SELLER if choose["role"] != 1 else BUYER,
            agent=address_of(agents[0]),
            min_price=[40, 48, 49][choose["seller_limits"]] * USDC,
            max_price=[60, 48, 47][choose["seller_limits"] % 2 * 2] * USDC,
            counter=model.counters[WALLETS[seller_index]] + counter_off,
            salt=keccak(b"sell" + uint(number)),
            **common,
        )
        buyer = Mandate(
            principal=WALLETS[buyer_index],
            role=BUYER if choose["role"] != 2 else SELLER,
            agent=address_of(agents[1]),
            min_price=[0, 48, 49][choose["buyer_limits"]] * USDC,
            max_price=[60, 48, 50][choose["buyer_limits"]] * USDC,
            counter=model.counters[WALLETS[buyer_index]] if choose["counter"] != 2 else 0,
            salt=keccak(b"buy" + uint(number)),
            traits=[(), HELD, NOT_HELD][choose["traits"]],
            **(common | {"items": items}),
        )
        sides = (
            Side(mandate=seller, wallet=WALLET_KEYS[seller_index], agent=agents[0]),
            Side(mandate=buyer, wallet=WALLET_KEYS[buyer_index], agent=agents[1]),
        )
        sides = self._used_again(sides, choose["again"])
        current, later = (VERIFIER_KEYS, NEXT_VERIFIER_KEYS)
        if model.verifiers == NEXT_VERIFIERS:
            current, later = later, current
        deal = Deal(
            deal_id=keccak(b"deal" + uint(number)),
            seller_mandate=b"",
            buyer_mandate=b"",
            collection=contracts[0],
            token_id=step.token,
            currency=contracts[1],
            price=price,
            deadline=now + [HOUR_MS, -1, 500][choose["deadline"]],
        )
        plan = Plan(
            domain=self.stage.domain,
            seller=sides[0],
            buyer=sides[1],
            deal=deal,
            attesters=[current[:5], current, current[:4], later, (*current[:4], key_of("outsider")), ()][
                choose["attesters"]
            ],
            set_version=max(0, model.set_version + [0, -1, 1][choose["version"]]),
        )
        return elsewhere(plan, choose["contracts"])

    def _used_again(self, sides: tuple[Side, Side], how: int) -> tuple[Side, Side]:
        """Takes one or both mandates of an earlier deal."""
        if how and self.mandates:
            earlier = self.mandates[-1]
            sides = earlier[0] if how & 1 else sides[0], earlier[1] if how & 2 else sides[1]
        self.mandates = [*self.mandates, sides][-KEPT_MAX:]
        return sides
