"""Settlement on a chain with an EVM: raw transactions and logs against what was agreed; with a node, inclusion too."""

from __future__ import annotations

from typing import Any

from agentrooms.chain.devnet.transactions import decode
from agentrooms.chain.evm.calls import EXECUTED_TOPIC, deal_key, execute_arguments, execute_data, executed
from agentrooms.chain.evm.rpc import Rpc
from agentrooms.chain.port import Execution
from agentrooms.consensus.judgement import Case
from agentrooms.consensus.votes import attestation_digest
from agentrooms.domain.assets import token_number
from agentrooms.domain.deal import (
    Acceptance,
    ChainLog,
    DealCertified,
    DealCompleted,
    DealLocked,
    DealVerifying,
    EscrowSubmitted,
    Receipt,
    Terms,
    deal_hash,
)
from agentrooms.domain.eip712 import keccak
from agentrooms.domain.ledger import LedgerFunded, LedgerMinted
from agentrooms.domain.secp256k1 import recover
from agentrooms.domain.verifier_set import QUORUM, VerifierSetRegistered
from agentrooms.sim.audit.books import Books
from agentrooms.sim.audit.report import Check, Findings
from agentrooms.sim.audit.source import UNREADABLE, Log, Vault

NAME = "settlement"
TRANSFER_TOPIC = "0x" + keccak(b"Transfer(address,address,uint256)").hex()


class Settlement:
    """Goes through a log; `node`, when given, is asked for every receipt."""

    def __init__(self, log: Log, vault: Vault | None, node: Rpc | None, *, live: bool) -> None:
        self.found = Findings(NAME, log.place)
        self._vault = vault
        self._node = node
        self._books = None if live else Books()  # a room's archive does not hold what its wallets had before
        self._terms: dict[str, Terms] = {}
        self._accepted: dict[str, tuple[Acceptance, ...]] = {}
        self._certified: dict[str, DealCertified] = {}
        self._submitted: dict[str, set[str]] = {}
        self._relayers: set[str] = set()
        self._members: dict[int, set[str]] = {}  # addresses by set version
        self._block = 0

    def take(self, number: int, event: Any) -> None:  # noqa: ANN401 - any event of the catalogue
        """Takes one event of the log."""
        match event:
            case LedgerFunded() if self._books is not None:
                self._books.fund(event)
            case LedgerMinted() if self._books is not None:
                self._note(number, self._books.mint(event))
            case VerifierSetRegistered():
                self._members[event.version] = {verifier.address for verifier in event.verifiers}
            case DealLocked():
                self._terms[event.terms.deal] = event.terms
            case DealVerifying():
                self._accepted[event.deal] = event.acceptances
            case DealCertified():
                self._certified[event.deal] = event
            case EscrowSubmitted():
                self._submitted.setdefault(event.deal, set()).add(event.tx_hash)
                if self._vault is not None:
                    self.found.count += 1
                    self._note(number, self._wrong_transaction(event, self._vault))
            case DealCompleted():
                self._completed(number, event)

    def finish(self) -> Check:
        """Returns what was found."""
        if len(self._relayers) > 1:
            self.found.wrong(0, f"transactions are signed by {len(self._relayers)} accounts: {sorted(self._relayers)}")
        if self._books is not None:
            self._note(0, self._books.imbalance())
        what = "raw transactions, their signer, calldata and logs are what was agreed and certified"
        asked = "; the node has them all" if self._node is not None else ""
        sealed = "" if self._vault is not None else " (logs only: no vault)"
        return self.found.check(what + sealed + asked)

    def _note(self, number: int, wrong: str) -> None:
        if wrong:
            self.found.wrong(number, wrong)

    def _wrong_transaction(self, event: EscrowSubmitted, vault: Vault) -> str:
        """Returns what is wrong with a raw transaction: hash, signer, receiver, calldata."""
        raw, terms = vault.entries.get(event.tx_hash), self._terms.get(event.deal)
        if raw is None:
            return f"transaction {event.tx_hash} is not in the vault"
        if terms is None or event.deal not in self._certified:
            return f"deal {event.deal} was not locked and certified before"
        if event.tx_hash != "0x" + keccak(raw).hex():
            return f"transaction {event.tx_hash}: its bytes have another hash"
        try:
            transaction = decode(raw, terms.chain_id)
            given = execute_arguments(transaction.data)
            due = execute_arguments(execute_data(self._execution(terms, vault)))
        except (AssertionError, *UNREADABLE) as error:
            return f"transaction {event.tx_hash} cannot be read: {error}"
        self._relayers.add(transaction.sender)
        if transaction.to != terms.escrow:
            return f"transaction {event.tx_hash} goes to {transaction.to}, not to the escrow {terms.escrow}"
        if given is None or due is None or given[0] != due[0]:
            return f"transaction {event.tx_hash}: its calldata is not the certified deal with these mandates"
        return self._wrong_attestations(event.tx_hash, terms, given[1])

    def _wrong_attestations(self, tx_hash: str, terms: Terms, attestations: tuple[bytes, ...]) -> str:
        """Returns what is wrong with a transaction's quorum: it may have been made of other votes than the log's."""
        digest = attestation_digest(terms)
        signers = [recover(digest, attestation.hex()) or "nobody" for attestation in attestations]
        members = self._members.get(terms.set_version, set())
        if signers != sorted(set(signers)) or not members.issuperset(signers) or len(signers) < QUORUM:
            return f"transaction {tx_hash}: its attestations are by {', '.join(signers) or 'nobody'}, not by a quorum"
        return ""

    def _execution(self, terms: Terms, vault: Vault) -> Execution:
        buyer, seller = (vault.mandate(key) for key in (terms.buyer_mandate, terms.seller_mandate))
        case = Case(terms=terms, buyer=buyer, seller=seller, acceptances=self._accepted.get(terms.deal, ()))
        return Execution(case, self._certified[terms.deal].votes)

    def _completed(self, number: int, event: DealCompleted) -> None:
        terms, receipt = self._terms.get(event.deal), event.receipt
        self.found.count += 1
        if terms is None:
            self._note(number, f"deal {event.deal} was never locked")
            return
        self._note(number, _wrong_receipt(terms, receipt))
        if receipt.block < self._block:
            self._note(number, f"block {receipt.block} comes after block {self._block} in the log")
        self._block = receipt.block if self._books is not None else 0  # many rooms share a live chain
        if self._books is not None:
            self._note(number, self._books.move(terms))
        if self._node is not None:
            self._note(number, _not_included(self._node, receipt))


def _wrong_receipt(terms: Terms, receipt: Receipt) -> str:
    """Returns what a receipt's logs lack or say otherwise: payment, delivery, and the escrow's own word."""
    if not receipt.succeeded:
        return f"the receipt of deal {terms.deal} says that it failed"
    paid = _transfer(terms.currency, terms.buyer_wallet, terms.seller_wallet)
    token = token_number(terms.item.token_id)
    delivered = _transfer(terms.collection, terms.seller_wallet, terms.buyer_wallet)
    amounts = [int(log.data, 16) for log in receipt.logs if (log.address, log.topics) == paid]
    items = [
        int(log.topics[3], 16) for log in receipt.logs if (log.address, log.topics[:3]) == delivered and log.topics[3:]
    ]
    if amounts != [terms.price_usdc_micros]:
        return f"the logs show payments of {amounts} from buyer to seller, due was {terms.price_usdc_micros}"
    if items != [token]:
        return f"the logs show items {items} from seller to buyer, due was {token}"
    events = [executed(log, terms.escrow) for log in receipt.logs if EXECUTED_TOPIC in log.topics[:1]]
    due = {
        "dealId": deal_key(terms.deal),
        "dealHash": bytes.fromhex(deal_hash(terms)),
        "seller": terms.seller_wallet,
        "buyer": terms.buyer_wallet,
        "collection": terms.collection,
        "tokenId": token,
        "currency": terms.currency,
        "price": terms.price_usdc_micros,
    }
    return "" if due in events else f"the escrow's event is not that of deal {terms.deal}"


def _transfer(contract: str, sender: str, receiver: str) -> tuple[str, tuple[str, ...]]:
    """Returns contract and topics of a transfer between two wallets."""
    return contract, (TRANSFER_TOPIC, *("0x" + wallet[2:].rjust(64, "0") for wallet in (sender, receiver)))


def _not_included(node: Rpc, receipt: Receipt) -> str:
    """Returns how the node's receipt differs from the log's."""
    found = node.call("eth_getTransactionReceipt", receipt.tx_hash)
    if not isinstance(found, dict):
        return f"the node has no transaction {receipt.tx_hash}"
    theirs = (found["blockHash"].lower(), int(found["blockNumber"], 16), int(found["status"], 16) == 1)
    if theirs != (receipt.block_hash, receipt.block, receipt.succeeded):
        return (
            f"the node has transaction {receipt.tx_hash} in block {theirs[1]} ({theirs[0]}), the log in {receipt.block}"
        )
    logs = tuple(
        ChainLog(log["address"].lower(), tuple(topic.lower() for topic in log["topics"]), log["data"].lower())
        for log in found["logs"]
    )
    return "" if logs == receipt.logs else f"the node has other logs of transaction {receipt.tx_hash}"


def check_evm(log: Log, vault: Vault | None, rpc: str | None, *, live: bool) -> Check:
    """Checks the settlement of a log on an EVM. `rpc` is the address of a node of its chain, None to stay offline."""
    node = Rpc(rpc) if rpc is not None else None
    settlement = Settlement(log, vault, node, live=live)
    try:
        for number, recorded in log.decoded():
            settlement.take(number, recorded.event)
    finally:
        if node is not None:
            node.close()
    return settlement.finish()
