"""A devnet's chain: the same as any other, and it can be given contracts, money, items and verifiers.

The deployer's key is known to everybody, and so are the addresses of what it deploys first.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from agentrooms.chain.contracts.artefact import load
from agentrooms.chain.devnet.engine import CHAIN_ID, DEPLOYER_KEY, GWEI, RELAYER_KEY
from agentrooms.chain.evm import wallet
from agentrooms.chain.evm.abi import answer, call_data, constructor_data
from agentrooms.chain.evm.chain import LOCAL, EvmChain, Pace
from agentrooms.chain.evm.outbox import PRICE_MIN_WEI, Outbox
from agentrooms.chain.evm.rpc import Rpc, RpcRefused
from agentrooms.chain.evm.view import Clock
from agentrooms.chain.ledger import Provided
from agentrooms.chain.port import ChainError, RawTransaction
from agentrooms.domain.assets import token_number
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted
from agentrooms.domain.secp256k1 import address_of
from agentrooms.domain.site import Site
from agentrooms.domain.verifier_set import VerifierSet
from agentrooms.events.vault import NotInVault, Vault

LIVE_CHAIN_ID = CHAIN_ID + 1  # of installations; what is signed in a run is worth nothing there
NAME, SYMBOL = "CryptoPunks", "PUNK"
MS_PER_TICK = 1  # as on Mainsail
DEPLOY_GAS = 5_000_000
GAS = 150_000  # of a small transaction: a mint of money, a permit, a transfer
MINT_GAS = 800_000  # of an item with its texts
BATCH_MAX = 100  # transactions sent before a block is asked for
MINED_MAX = 1_000  # blocks in which a batch must be mined
IsThere = Callable[[RawTransaction], bool]  # whether what a failed transaction was to give is there without it
_USDC, _COLLECTION, _ESCROW = load("TestUsdc"), load("Collection"), load("Escrow")


def site_of(chain_id: int = CHAIN_ID) -> Site:
    """Returns the contracts of a devnet."""
    deployer = address_of(DEPLOYER_KEY)
    currency, collection, escrow = (wallet.contract_address(deployer, nonce) for nonce in range(3))
    return Site(chain_id, escrow, currency, collection)


class DevnetChain(EvmChain):
    """A devnet behind JSON-RPC."""

    def __init__(
        self, rpc: Rpc, memory: Vault, *, chain_id: int = CHAIN_ID, virtual: bool = False, pace: Pace = LOCAL
    ) -> None:
        clock = Clock(virtual=virtual, devnet=True)
        super().__init__(rpc, site_of(chain_id), RELAYER_KEY, memory, pace=pace, clock=clock)
        self._memory = memory
        self._deployer = Outbox(rpc, chain_id, DEPLOYER_KEY, memory)

    def provide(self, provided: Provided) -> None:
        """Deploys, mints USDC and items, brings permits and approvals, registers verifiers; once a key.

        Restored from a backup, the memory is older than the chain and some of it is there already: that is no fault.
        Money may then be given twice. Raises ChainError when an item is there for another owner.
        """
        mark = f"provided/{provided.key}"
        if self._is_kept(mark):
            self._require_contracts()
            return
        if provided.verifiers is not None:
            self._register(provided.verifiers)
        self._run(self._funding(provided), partial(self._is_there, provided))
        self._run(self._approvals(provided), partial(self._is_there, provided))
        self._memory.put(mark, b"")

    def _require_contracts(self) -> None:
        """Raises ChainError when what was deployed is no longer there: the chain was lost, its memory was not."""
        if self.rpc.call("eth_getCode", self.site.escrow, "latest") == "0x":
            raise ChainError(
                f"the devnet has no escrow at {self.site.escrow} any more: its file was lost",
                hint="restore it from a backup, or begin with a new data folder or run",
            )

    def register(self, verifiers: VerifierSet) -> None:
        """Makes the escrow count attestations of this set; the first one comes with the escrow itself."""
        self.provide(Provided(f"verifiers/{verifiers.version}", verifiers=verifiers))

    def _register(self, verifiers: VerifierSet) -> None:
        addresses = sorted(member.address for member in verifiers.verifiers)
        if verifiers.version == 1:
            codes = (
                ("usdc", _USDC.initcode, b""),
                ("collection", _COLLECTION.initcode, constructor_data(_COLLECTION.abi, NAME, SYMBOL)),
                ("escrow", _ESCROW.initcode, constructor_data(_ESCROW.abi, MS_PER_TICK, addresses)),
            )
            self._run(
                self._made(f"deploy/{name}", None, bytes.fromhex(code) + args, DEPLOY_GAS) for name, code, args in codes
            )
        elif self._set_version() != verifiers.version:
            data = call_data(_ESCROW.abi, "rotate", addresses)
            self._run([self._made(f"rotate/{verifiers.version}", self.site.escrow, data, MINT_GAS)])
        version = self._set_version()
        if version != verifiers.version:
            raise ChainError(f"the escrow's set version is {version}, registered is {verifiers.version}")

    def _set_version(self) -> int:
        return int(answer(_ESCROW.abi, "setVersion", self._view(call_data(_ESCROW.abi, "setVersion"))))

    def _is_there(self, provided: Provided, transaction: RawTransaction) -> bool:
        """Tells whether what a failed transaction was to give had been given before it: an item or a permit."""
        if transaction.raw in {bytes.fromhex(mint.approval) for mint in provided.mints}:
            return False
        name = self._deployer.by_hash(transaction.tx_hash).name
        kind, _, what = name.removeprefix(f"provide/{provided.key}/").partition("/")
        if kind == "fuel":
            return True  # a contract that takes no coin pays no fees either
        if kind == "permit":
            data = call_data(_USDC.abi, "nonces", what)
            return int(answer(_USDC.abi, "nonces", self._view(data, self.site.currency))) > 0
        return any(self._is_minted(mint) for mint in provided.mints if kind == "item" and mint.token_id == what)

    def _is_minted(self, mint: LedgerMinted) -> bool:
        """Tells whether an item is its owner's, or was: then the owner's approval is mined."""
        if self.owner(mint.token_id) == mint.owner:
            return True
        receipt = self._raw_receipt(wallet.hash_of(bytes.fromhex(mint.approval))) if mint.approval else None
        return receipt is not None and receipt.succeeded

    def _funding(self, provided: Provided) -> Iterable[RawTransaction]:
        """Yields what the deployer gives: money, items, native coin, and to sellers the fee of their approval."""
        key = provided.key
        for fund in provided.funds:
            data = call_data(_USDC.abi, "mint", fund.wallet, fund.balance_usdc_micros)
            yield self._made(f"provide/{key}/usdc/{fund.wallet}", self.site.currency, data, GAS)
        for mint in provided.mints:
            yield self._made(f"provide/{key}/item/{mint.token_id}", self.site.collection, _mint_data(mint), MINT_GAS)
            if mint.approval:
                fee = wallet.APPROVE_GAS * PRICE_MIN_WEI
                yield self._made(f"provide/{key}/fee/{mint.token_id}", mint.owner, b"", GAS, fee)

        for fuel in provided.fuels:
            yield self._made(f"provide/{key}/fuel/{fuel.wallet}", fuel.wallet, b"", GAS, fuel.amount_gwei * GWEI)

    def _approvals(self, provided: Provided) -> Iterable[RawTransaction]:
        """Yields what the wallets signed: permits, which anybody may bring, and sellers' own transactions."""
        for fund in provided.funds:
            if fund.permit:
                yield self._permit(provided.key, fund)
        for mint in provided.mints:
            if mint.approval:
                raw = bytes.fromhex(mint.approval)
                yield RawTransaction(wallet.hash_of(raw), raw)

    def _permit(self, key: str, fund: LedgerFunded) -> RawTransaction:
        data = wallet.permit_data(fund.wallet, self.site, fund.allowance_usdc_micros, fund.permit)
        return self._made(f"provide/{key}/permit/{fund.wallet}", self.site.currency, data, GAS)

    def _made(self, name: str, to: str | None, data: bytes, gas: int, value_wei: int = 0) -> RawTransaction:
        return self._deployer.make(name, to, data, gas, value_wei=value_wei).transaction

    def _run(self, transactions: Iterable[RawTransaction], is_there: IsThere = lambda _failed: False) -> None:
        """Sends transactions, in batches, until all are mined. Raises ChainError when one fails that was needed."""
        batch: list[RawTransaction] = []
        for transaction in transactions:
            batch.append(transaction)
            if len(batch) == BATCH_MAX:
                self._run_batch(batch, is_there)
                batch = []
        self._run_batch(batch, is_there)

    def _run_batch(self, batch: list[RawTransaction], is_there: IsThere) -> None:
        refusals = [why for one in batch if (why := self._give(one))]
        waiting = batch
        for _block in range(MINED_MAX):
            waiting = list(
                itertools.dropwhile(partial(self._is_done, is_there), waiting)
            )  # they are mined in their order
            if not waiting:
                return
            self.mine()
        raise ChainError(
            f"{len(waiting)} transactions, which provide for the demo, are not mined {refusals[:1]}",
            hint="is the devnet mining?",
        )

    def _give(self, transaction: RawTransaction) -> str:
        """Sends a transaction; returns why the node does not take it, "" when it has it."""
        try:
            self.rpc.call("eth_sendRawTransaction", "0x" + transaction.raw.hex())
        except RpcRefused as refused:
            if self._raw_receipt(transaction.tx_hash) is None:
                self._catch_up()
            return refused.message
        return ""

    def _catch_up(self) -> None:
        """Sends what the deployer made and, cut short, did not send: what follows could not be mined without it."""
        nonces = itertools.count(self._deployer.mined())
        for attempt in itertools.takewhile(lambda one: one is not None, map(self._deployer.of_nonce, nonces)):
            assert attempt is not None
            with suppress(RpcRefused):
                self.rpc.call("eth_sendRawTransaction", "0x" + attempt.raw.hex())

    def _is_done(self, is_there: IsThere, transaction: RawTransaction) -> bool:
        receipt = self._raw_receipt(transaction.tx_hash)
        if receipt is not None and not receipt.succeeded and not is_there(transaction):
            raise ChainError(f"transaction {transaction.tx_hash}, which provides for the demo, failed")
        return receipt is not None

    def _is_kept(self, key: str) -> bool:
        try:
            self._memory.get(key)
        except NotInVault:
            return False
        return True

    def balance_usdc_micros(self, address: str) -> int:
        """Returns what a wallet holds."""
        data = call_data(_USDC.abi, "balanceOf", address)
        return int(answer(_USDC.abi, "balanceOf", self._view(data, self.site.currency)))

    def owner(self, token_id: str) -> str:
        """Returns who owns an item of the collection. Raises ChainError for one that is not minted."""
        data = call_data(_COLLECTION.abi, "ownerOf", token_number(token_id))
        return str(answer(_COLLECTION.abi, "ownerOf", self._view(data, self.site.collection))).lower()


def _mint_data(mint: LedgerMinted) -> bytes:
    traits: list[Any] = sorted(mint.traits.items())
    return call_data(_COLLECTION.abi, "mint", mint.owner, token_number(mint.token_id), f"Punk #{mint.token_id}", traits)
