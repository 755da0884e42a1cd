"""What a verifier service does: the PRD's internal endpoints, decided by the very same actor as anywhere."""

from __future__ import annotations

import threading
import time

import httpx
import msgspec
from eth_abi.exceptions import EncodingError

from agentrooms import __version__
from agentrooms.actors.messages import AskVote, VoteCast
from agentrooms.actors.verifier import VerifierActor
from agentrooms.actors.verifier_wire import Consensus, RunConsensus
from agentrooms.api.problems import Problem
from agentrooms.api.verifier.home import Home
from agentrooms.chain.contracts.artefact import load
from agentrooms.chain.contracts.reasons import REASONS
from agentrooms.chain.evm import calls
from agentrooms.chain.evm.abi import call_data
from agentrooms.chain.evm.chain import EvmChain
from agentrooms.chain.evm.rpc import RpcRefused
from agentrooms.chain.port import Execution
from agentrooms.consensus.judgement import Case
from agentrooms.domain.assets import token_number
from agentrooms.domain.canonical import canonical
from agentrooms.domain.deal import Decision, Vote, deal_hash
from agentrooms.domain.eip712 import ADDRESS_BYTES, is_address
from agentrooms.domain.keys import verify
from agentrooms.domain.mandate import SignedMandate, mandate_hash
from agentrooms.domain.verifier_set import QUORUM, VERIFIERS
from agentrooms.errors import InvalidInput
from agentrooms.events.vault import NotInVault, Vault

HEAD_KEPT_S = 10.0  # how long /health, which anybody may ask, tells the same head block
HEAD_TIMEOUT_S = 2.0
WORD_BYTES = 32
_COLLECTION = load("Collection").abi


class _Request(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Base of what is asked."""


class _Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Base of what is answered."""


class VerifySignature(_Request, frozen=True):
    """An Ed25519 signature over a text; signature and key in lower-case hex."""

    message: str
    signature: str
    public_key: str


class SignatureVerified(_Answer, frozen=True):
    """Whether it is the key's; `error` where it could not be any key's."""

    valid: bool
    error: str = ""


class VerifyOwnership(_Request, frozen=True):
    """Does this address own this token now? `token_id` is a decimal number."""

    collection: str
    token_id: str
    owner: str
    deal_id: str = ""


class Ownership(_Answer, frozen=True):
    """What the chain says; `owner` is None for a token that nobody owns."""

    owns: bool
    owner: str | None


class ExecuteEscrow(_Request, frozen=True):
    """A certified deal to be executed: the case and its votes. The PRD's other fields are taken and never believed."""

    deal_id: str
    case: Case
    votes: tuple[Vote, ...]
    buyer_address: str = ""
    seller_address: str = ""
    nft_id: str = ""
    price: int | float | None = None


class Executed(_Answer, frozen=True):
    """How far the execution is: without a block number it is under way, and asking again tells more."""

    success: bool
    tx_hash: str
    block_number: int | None
    error: str = ""


class Health(_Answer, frozen=True):
    """Who this verifier is and what it sees; `head_block` is None when its chain does not answer."""

    status: str
    version: str
    verifier: str
    public_key: str
    address: str
    chain_id: int
    escrow: str
    set_version: int
    executes: bool
    head_block: int | None


class VerifierService:
    """One verifier, asked by many at once. What looks at the chain or decides goes one after the other."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._turn = threading.Lock()
        self._head_turn = threading.Lock()
        self._head: tuple[float, int | None] | None = None

    def run_consensus(self, asked: RunConsensus) -> Consensus:
        """Returns this verifier's one vote on a deal, stored before it is answered."""
        case = asked.case
        self._check(asked.deal_id, case)
        home = self._home
        actor = VerifierActor(
            home.identity.name, home.identity.keys, home.view, home.memory, set_version=home.set_version
        )
        with self._turn:  # a chain with an address has its own time: none is told it
            sends = actor.receive(AskVote(case, 0, ""))
        if not sends:
            raise Problem(503, "the chain does not answer; ask again")
        message = sends[0].message
        assert isinstance(message, VoteCast)
        approved = message.vote.decision is Decision.APPROVE
        return Consensus(
            approved=approved,
            verifier_count=VERIFIERS,
            approval_count=int(approved),
            threshold=QUORUM,
            vote=message.vote,
        )

    def verify_signature(self, asked: VerifySignature) -> SignatureVerified:
        """Tells whether a key signed a text."""
        for name, text, digits in (("publicKey", asked.public_key, 64), ("signature", asked.signature, 128)):
            if len(text) != digits or not set(text) <= set("0123456789abcdef"):
                return SignatureVerified(valid=False, error=f"{name} is not {digits} lower-case hex digits")
        return SignatureVerified(valid=verify(asked.public_key, asked.message.encode(), asked.signature))

    def verify_ownership(self, asked: VerifyOwnership) -> Ownership:
        """Returns whom the chain knows as a token's owner."""
        for name, text in (("collection", asked.collection), ("owner", asked.owner)):
            if not is_address(text):
                raise Problem(422, f"{name} is not an address: 0x and 40 lower-case hex digits")
        try:
            data = call_data(_COLLECTION, "ownerOf", token_number(asked.token_id))
        except InvalidInput as error:
            raise Problem(422, str(error)) from error
        with self._turn:
            owner = self._owner(asked.collection, data)
        return Ownership(owns=owner == asked.owner, owner=owner)

    def execute_escrow(self, asked: ExecuteEscrow) -> Executed:
        """Sends a certified deal to the escrow, which anybody may; asked again, tells how far it is."""
        chain, case = self._home.chain, asked.case
        if chain is None:
            raise Problem(501, "this service executes nothing: it has no RELAYER_KEY")
        self._check(asked.deal_id, case)
        if len(_mandates(case)) < 2:
            raise Problem(422, "a deal executes with both mandates")
        with self._turn:
            return _execute(chain, self._home.memory, Execution(case, asked.votes))

    def health(self) -> Health:
        """Returns who this is and the chain's head, looked up once in HEAD_KEPT_S however often it is asked."""
        home, member = self._home, self._home.identity.member
        head = self._head_block()
        return Health(
            status="ok" if head is not None else "chain unreachable",
            version=__version__,
            verifier=member.id,
            public_key=member.public_key,
            address=member.address,
            chain_id=home.view.site.chain_id,
            escrow=home.view.site.escrow,
            set_version=home.set_version,
            executes=home.chain is not None,
            head_block=head,
        )

    def _check(self, deal: str, case: Case) -> None:
        """Raises Problem for what this verifier has no say in, or what cannot be hashed: no vote is given on those."""
        terms = case.terms
        if deal != terms.deal:
            raise Problem(422, "dealId is not the deal of the terms")
        home = self._home
        if (terms.domain, terms.set_version) != (home.view.site.domain, home.set_version):
            raise Problem(409, f"the terms are not for {_place(home)}")
        try:
            deal_hash(terms)
            known = {mandate_hash(signed.mandate) for signed in _mandates(case)}
            for signed in _mandates(case):
                canonical(signed)
        except (InvalidInput, ValueError) as error:  # its text may hold values of a mandate
            raise Problem(
                422, "the terms or a mandate cannot be hashed: an address, token or number is none"
            ) from error
        if not known <= {terms.buyer_mandate, terms.seller_mandate}:
            raise Problem(422, "a mandate is not the one that the terms name")

    def _owner(self, collection: str, data: bytes) -> str | None:
        call = {"to": collection, "data": "0x" + data.hex()}
        try:
            answer = bytes.fromhex(str(self._home.view.rpc.call("eth_call", call, "latest"))[2:])
        except RpcRefused:  # it reverts for a token that is not minted
            return None
        padding = WORD_BYTES - ADDRESS_BYTES
        if len(answer) != WORD_BYTES or any(answer[:padding]) or not any(answer):
            return None
        return "0x" + answer[padding:].hex()

    def _head_block(self) -> int | None:
        with self._head_turn:
            if self._head is None or time.monotonic() - self._head[0] > HEAD_KEPT_S:
                self._head = (time.monotonic(), _head_of(self._home.view.rpc.url))
            return self._head[1]


def _execute(chain: EvmChain, memory: Vault, execution: Execution) -> Executed:
    deal = execution.terms.deal
    standing = chain.standing(execution.terms, 0)
    if standing.executed is not None:
        return Executed(success=True, tx_hash=standing.executed.tx_hash, block_number=standing.executed.block)
    if not _is_kept(memory, f"executing/{deal}"):
        reason = _refusal(chain, execution)
        if reason:
            raise Problem(409, f"the escrow refuses: {reason}")
    transaction = chain.prepare(execution)
    memory.put(f"executing/{deal}", b"")
    chain.send(transaction.raw, 0)
    sent = chain.sent(transaction.tx_hash)
    if sent.stuck:
        transaction = chain.reprice(transaction.tx_hash)
        chain.send(transaction.raw, 0)
    receipt = sent.receipt
    if receipt is None:
        return Executed(success=False, tx_hash=transaction.tx_hash, block_number=None)
    return Executed(
        success=receipt.succeeded, tx_hash=receipt.tx_hash, block_number=receipt.block, error=receipt.reason
    )


def _refusal(chain: EvmChain, execution: Execution) -> str:
    """Returns why the escrow would refuse, "" when it would execute: what it refuses costs a fee."""
    try:
        call = {"to": chain.site.escrow, "data": "0x" + calls.check_data(execution).hex()}
        reason = calls.check_answer(bytes.fromhex(str(chain.rpc.call("eth_call", call, "latest"))[2:]))
    except (RpcRefused, EncodingError, ValueError) as error:
        raise Problem(422, "the escrow cannot read this execution") from error
    return REASONS.get(reason, f"reason {reason}") if reason else ""


def _is_kept(memory: Vault, key: str) -> bool:
    try:
        memory.get(key)
    except NotInVault:
        return False
    return True


def _head_of(url: str) -> int | None:
    """Asks once, and shortly: who asks for health waits for it."""
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_blockNumber", "params": []}
    try:
        return int(httpx.post(url, json=body, timeout=HEAD_TIMEOUT_S).json()["result"], 16)
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None


def _mandates(case: Case) -> list[SignedMandate]:
    return [signed for signed in (case.buyer, case.seller) if signed is not None]


def _place(home: Home) -> str:
    site = home.view.site
    return f"chain {site.chain_id}, escrow {site.escrow}, set {home.set_version}"
