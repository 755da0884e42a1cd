"""Markets on every kind of chain: parties with money and items, deals between them, and hands to act on the chain."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from agentrooms.actors.plans import verifier_keys
from agentrooms.chain.devnet.engine import DEPLOYER_KEY, START_MS, Genesis
from agentrooms.chain.devnet.node import CommandNode
from agentrooms.chain.devnet.process import DevnetProcess
from agentrooms.chain.devnet.rpc import Dispatcher
from agentrooms.chain.devnet.transport import InProcess
from agentrooms.chain.evm.abi import call_data
from agentrooms.chain.evm.calls import ESCROW
from agentrooms.chain.evm.chain import EvmChain
from agentrooms.chain.evm.devnet import DevnetChain
from agentrooms.chain.evm.outbox import PRICE_MIN_WEI, Outbox
from agentrooms.chain.evm.rpc import Rpc
from agentrooms.chain.evm.wallet import sign_transaction
from agentrooms.chain.ledger import LedgerChain, Provided
from agentrooms.chain.port import Execution
from agentrooms.chain.signing import approve_item, permit_usdc
from agentrooms.chain.spec import ProvidedChain
from agentrooms.consensus.judgement import Case
from agentrooms.consensus.votes import cast
from agentrooms.domain.deal import Receipt, Terms, Vote
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted
from agentrooms.domain.mandate import SignedMandate, mandate_hash, sign_mandate
from agentrooms.domain.secp256k1 import address_of
from agentrooms.domain.verifier_set import VerifierSet
from agentrooms.events.vault import MemoryVault, Vault
from tests.devnet.engines import make_engine
from tests.domain import samples
from tests.domain.samples import USDC, agent_keys, wallet, wallet_key

replace = msgspec.structs.replace
KINDS = ["ledger", "pyevm", "server", "anvil"]
EVM_KINDS = KINDS[1:]
FUNDS = 1_000 * USDC
WEI = 10**17  # what a wallet gets that pays fees itself
DAY_MS = 86_400_000


class Deal(msgspec.Struct, frozen=True):
    """One sale that could be settled, and the names of its parties."""

    buyer: str
    seller: str
    case: Case

    @property
    def terms(self) -> Terms:
        return self.case.terms


class Market:
    """One chain with contracts and verifiers; each deal has parties and an item of its own."""

    def __init__(self, chain: ProvidedChain, memory: Vault, *, virtual: bool) -> None:
        self.chain = chain
        self.memory = memory
        self.virtual = virtual
        self._now_ms = START_MS
        self._deals = 0
        self.wallets: list[str] = []
        self.tokens: list[str] = []
        self.verifiers = self.set_of(1)
        chain.register(self.verifiers)

    @property
    def evm(self) -> DevnetChain:
        assert isinstance(self.chain, DevnetChain)
        return self.chain

    def set_of(self, version: int) -> VerifierSet:
        """A set of verifiers whose keys are its own."""
        site = self.chain.site
        members = tuple(verifier_keys(_seed(version), name).member(name) for name in samples.NAMES)
        return VerifierSet(version, site.chain_id, site.escrow, members)

    def rotate(self) -> None:
        """Registers the next set."""
        self.verifiers = self.set_of(self.verifiers.version + 1)
        self.chain.register(self.verifiers)

    def now_ms(self) -> int:
        """The time now; virtual time goes on a second each time."""
        self._now_ms = self._now_ms + 1_000 if self.virtual else time.time_ns() // 1_000_000
        return self._now_ms

    def deal(
        self,
        *,
        provided: bool = True,
        deadline_ms: int | None = None,
        traits: dict[str, str] | None = None,
        **changes: Any,
    ) -> Deal:
        """A new deal about a new item, between parties who are ready unless not `provided`."""
        self._deals += 1
        number = self._deals
        buyer, seller, item = f"buyer{number}", f"seller{number}", samples.item(number)
        bought, sold = (
            self.mandate(samples.buyer_mandate(buyer), buyer),
            self.mandate(samples.seller_mandate(seller, item=item), seller),
        )
        if provided:
            self.chain.provide(self.provision(number, buyer, seller, traits))
            self.wallets += [wallet(buyer), wallet(seller)]
            self.tokens.append(item.token_id)
        site = self.chain.site
        terms = samples.terms_of(
            bought,
            sold,
            round_=number,
            agents=(f"agent_b{number}", f"agent_s{number}"),
            chain_id=site.chain_id,
            escrow=site.escrow,
            set_version=self.verifiers.version,
            deadline_ms=deadline_ms if deadline_ms is not None else self.now_ms() + 600_000,
        )
        return self.about(replace(terms, **changes), buyer, seller, bought, sold)

    def about(self, terms: Terms, buyer: str, seller: str, bought: SignedMandate, sold: SignedMandate) -> Deal:
        """A deal of these terms, signed by both agents."""
        return Deal(
            buyer,
            seller,
            Case(terms=terms, buyer=bought, seller=sold, acceptances=samples.acceptances(terms, buyer, seller)),
        )

    def mandate(self, signed: SignedMandate, name: str, **changes: Any) -> SignedMandate:
        """The sample mandate, for this chain and its time."""
        site = self.chain.site
        mandate = replace(
            signed.mandate,
            collection=site.collection,
            currency=site.currency,
            expires_at_ms=self._now_ms + 10_000 * DAY_MS,
            **changes,
        )
        return sign_mandate(mandate, site.domain, wallet_key(name))

    def provision(self, number: int, buyer: str, seller: str, traits: dict[str, str] | None = None) -> Provided:
        """The buyer's money, the seller's item, and what both sign for the escrow."""
        site, item = self.chain.site, samples.item(number)
        fund = LedgerFunded(FUNDS, FUNDS, wallet(buyer), permit_usdc(wallet_key(buyer), site, FUNDS))
        mint = LedgerMinted(
            approved=True,
            collection=site.collection,
            owner=wallet(seller),
            token_id=item.token_id,
            traits=item.traits if traits is None else traits,
            approval=approve_item(wallet_key(seller), site, item.token_id),
        )
        return Provided(f"deal/{number}", funds=(fund,), mints=(mint,))

    def votes(self, terms: Terms, approvals: int = 7) -> tuple[Vote, ...]:
        """The votes of so many verifiers of the current set."""
        seed = _seed(self.verifiers.version)
        names = samples.NAMES[:approvals]
        return tuple(cast(verifier_keys(seed, name), name, terms, (), block=1, at_ms=1) for name in names)

    def execution(self, deal: Deal, approvals: int = 7) -> Execution:
        """All that the escrow needs for a deal."""
        return Execution(deal.case, self.votes(deal.terms, approvals))

    def settle(self, deal: Deal, approvals: int = 7) -> Receipt:
        """Prepares, sends and looks; the receipt is there, for these chains mine at once."""
        transaction = self.chain.prepare(self.execution(deal, approvals))
        self.chain.send(transaction.raw, self.now_ms())
        receipt = self.chain.sent(transaction.tx_hash).receipt
        assert receipt is not None
        return receipt

    def settle_as_stranger(self, deal: Deal) -> Receipt:
        """Somebody else brings the deal to the chain, with an account and a memory of their own."""
        if isinstance(self.chain, LedgerChain):
            return self.settle(deal, approvals=6)
        evm = self.evm
        stranger = EvmChain(evm.rpc, evm.site, self.account("stranger"), MemoryVault(), clock=evm.clock)
        raw = stranger.prepare(self.execution(deal)).raw
        stranger.send(raw, self.now_ms())
        receipt = stranger.standing(deal.terms, self.now_ms()).executed
        assert receipt is not None
        return receipt

    def account(self, name: str) -> bytes:
        """The key of a wallet that can pay fees."""
        address = wallet(name)
        if self.evm.rpc.number("eth_getBalance", address, "latest") < WEI // 2:
            self.act(DEPLOYER_KEY, address, b"", WEI)
        return wallet_key(name)

    def act(self, key: bytes, to: str, data: bytes, value_wei: int = 0) -> None:
        """Sends a transaction of any account and lets it be mined."""
        evm = self.evm
        if key == DEPLOYER_KEY:
            outbox = Outbox(evm.rpc, evm.site.chain_id, key, self.memory)
            raw = outbox.make(f"act/{to}/{data.hex()}/{self.now_ms()}", to, data, 400_000, value_wei=value_wei).raw
        else:
            nonce = evm.rpc.number("eth_getTransactionCount", address_of(key), "latest")
            made = sign_transaction(
                key, evm.site.chain_id, nonce=nonce, to=to, data=data, gas=400_000, gas_price_wei=PRICE_MIN_WEI
            )
            raw = made.raw
        evm.rpc.call("eth_sendRawTransaction", "0x" + raw.hex())
        evm.mine()

    def tell_escrow(self, key: bytes, name: str, *arguments: Any) -> None:
        """Calls a function of the escrow from an account."""
        self.act(key, self.chain.site.escrow, call_data(ESCROW, name, *arguments))

    def cancel(self, deal: Deal, name: str) -> None:
        """The seller or buyer cancels the mandate."""
        signed = deal.case.seller if name == deal.seller else deal.case.buyer
        assert signed is not None
        self.tell_escrow(self.account(name), "cancel", bytes.fromhex(mandate_hash(signed.mandate)))

    def holdings(self) -> tuple[int, dict[str, str]]:
        """All money of all parties, and who owns each item."""
        if isinstance(self.chain, LedgerChain):
            owners = {token: self.chain.owners[self.chain.site.collection, token] for token in self.tokens}
            return sum(self.chain.balances.get(who, 0) for who in self.wallets), owners
        money = sum(self.evm.balance_usdc_micros(who) for who in self.wallets)
        return money, {token: self.evm.owner(token) for token in self.tokens}


@contextmanager
def market(kind: str, folder: Path) -> Iterator[Market]:
    """A new market on a chain of the kind. `server` is live and in a process of its own, the others in virtual time."""
    memory = MemoryVault()
    if kind == "ledger":
        yield Market(LedgerChain(memory), memory, virtual=True)
    elif kind == "server":
        process = DevnetProcess(folder / "devnet.log")
        rpc = Rpc(process.url)
        try:
            yield Market(DevnetChain(rpc, memory), memory, virtual=False)
        finally:
            rpc.close()
            process.stop()
    else:
        engine = make_engine(kind, None, Genesis(start_ms=START_MS))
        try:
            yield Market(DevnetChain(in_process(CommandNode(engine)), memory, virtual=True), memory, virtual=True)
        finally:
            engine.close()


def in_process(node: CommandNode) -> Rpc:
    """A client of a node in this process."""
    return Rpc("http://devnet", transport=InProcess(Dispatcher(node, node)))


def _seed(version: int) -> bytes:
    return samples.KEY if version == 1 else samples.KEY[:-1] + bytes([version])


__all__ = ["EVM_KINDS", "FUNDS", "KINDS", "Deal", "Market", "agent_keys", "in_process", "market"]
