"""Holdings on a chain with an EVM, over JSON-RPC. Contracts may be anybody's: their gas and answers are bounded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar, cast

from agentrooms.chain.contracts.artefact import load
from agentrooms.chain.evm.abi import call_data
from agentrooms.chain.evm.outbox import PRICE_MIN_WEI
from agentrooms.chain.evm.rpc import Rpc, RpcRefused
from agentrooms.chain.evm.view import read_block
from agentrooms.chain.holdings import Head, MandateState, Money, PermitToken
from agentrooms.chain.port import ChainError, ChainUnreachable
from agentrooms.domain import eip712
from agentrooms.domain.assets import token_number
from agentrooms.domain.canonical import normalise
from agentrooms.domain.eip712 import WORD_BYTES, EscrowDomain, keccak
from agentrooms.domain.mandate import WANTED_TRAITS_MAX
from agentrooms.domain.site import Site

TIMEOUT_S = 5.0  # of one answer of the node; people wait for it
ATTEMPTS_MAX = 2
WAIT_MAX_S = 2.0  # longer than this no request waits for its turn at the node
KEPT_S = 600.0  # what hardly ever changes: what contracts are and call themselves
KEPT_MAX = 10_000  # such answers
QUESTION_GAS = 500_000  # of a small question to a contract of others
SIGNATURE_GAS = 2_000_000
TRAITS_GAS = 2_000_000
URI_GAS = 30_000_000  # a contract may compose its metadata
URI_BYTES_MAX = 262_144
NAME_BYTES_MAX = 1_024
NAME_CHARACTERS_MAX = 50
ADDRESS_MAX = 1 << 160
ERC165, ERC721, NO_INTERFACE = "01ffc9a7", "80ac58cd", "ffffffff"

_ESCROW, _USDC, _NFT = load("Escrow").abi, load("TestUsdc").abi, load("Collection").abi
_SIGNED = keccak(b"isValidSignature(bytes32,bytes)")[:4]

Kept = TypeVar("Kept")


class EvmHoldings:
    """One chain, asked about people. Threads may share it."""

    def __init__(self, rpc: Rpc, site: Site, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rpc = rpc
        self._site = site
        self._clock = clock
        self._kept: dict[tuple[str, str], tuple[float, object]] = {}

    def close(self) -> None:
        """Ends the connection."""
        self._rpc.close()

    def head(self) -> Head:
        block = read_block(self._rpc.call("eth_getBlockByNumber", "latest", False), "latest")
        return Head(block.number, block.at_ms)

    def gas_price_wei(self) -> int:
        return max(PRICE_MIN_WEI, self._rpc.number("eth_gasPrice"))

    def has_code(self, address: str) -> bool:
        return self._hex("eth_getCode", self._rpc.call("eth_getCode", address, "latest")) != ""

    def owner_of(self, collection: str, token_id: str) -> str | None:
        return _address(self._asked(collection, call_data(_NFT, "ownerOf", token_number(token_id))))

    def is_approved(self, collection: str, token_id: str, owner: str) -> bool:
        one = call_data(_NFT, "getApproved", token_number(token_id))
        if _address(self._asked(collection, one)) == self._site.escrow:
            return True
        return _truth(self._asked(collection, call_data(_NFT, "isApprovedForAll", owner, self._site.escrow)))

    def money(self, wallet: str) -> Money:
        usdc = self._site.currency
        return Money(
            self._number(usdc, call_data(_USDC, "balanceOf", wallet)),
            self._number(usdc, call_data(_USDC, "allowance", wallet, self._site.escrow)),
        )

    def permit_token(self) -> PermitToken | None:
        return self._keep("permit", "", self._permit_token)

    def _permit_token(self) -> PermitToken | None:
        """Asks the currency for its name, and believes it only when its separator follows from it."""
        usdc = self._site.currency
        named = [
            _text(self._asked(usdc, call_data(_USDC, which), bytes_max=NAME_BYTES_MAX)) for which in ("name", "version")
        ]
        name, version = named[0], named[1] or "1"
        contract = EscrowDomain(self._site.chain_id, usdc)
        said = self._asked(usdc, call_data(_USDC, "DOMAIN_SEPARATOR"))
        if not name or said != eip712.domain_separator(contract, name, version):
            return None
        return PermitToken(name, version, contract)

    def permit_nonce(self, wallet: str) -> int:
        return self._number(self._site.currency, call_data(_USDC, "nonces", wallet))

    def counter(self, wallet: str) -> int:
        return self._number(self._site.escrow, call_data(_ESCROW, "counterOf", wallet))

    def mandate_state(self, wallet: str, mandate_hash: str) -> MandateState:
        escrow, hashed = self._site.escrow, eip712.word(mandate_hash)
        return MandateState(
            self._number(escrow, call_data(_ESCROW, "fillsOf", hashed)),
            cancelled=self._number(escrow, call_data(_ESCROW, "isCancelled", wallet, hashed)) == 1,
        )

    def is_erc721(self, collection: str) -> bool:
        return self._keep("erc721", collection, lambda: self._is_erc721(collection))

    def _is_erc721(self, collection: str) -> bool:
        """Asks as ERC-165 has it: who says yes to everything is none."""
        says = [
            _truth(self._asked(collection, call_data(_NFT, "supportsInterface", bytes.fromhex(one))))
            for one in (ERC165, NO_INTERFACE, ERC721)
        ]
        return says == [True, False, True]

    def name(self, collection: str) -> str:
        return self._keep("name", collection, lambda: self._name(collection))

    def _name(self, collection: str) -> str:
        said = self._asked(collection, call_data(_NFT, "name"), bytes_max=NAME_BYTES_MAX)
        return normalise(_text(said)[:NAME_CHARACTERS_MAX])

    def token_uri(self, collection: str, token_id: str) -> str:
        data = call_data(_NFT, "tokenURI", token_number(token_id))
        return _text(self._asked(collection, data, bytes_max=URI_BYTES_MAX, gas=URI_GAS))

    def held_traits(self, collection: str, token_id: str, traits: dict[str, str]) -> dict[str, str]:
        names = sorted(traits)[:WANTED_TRAITS_MAX]
        if not names:
            return {}
        data = call_data(_NFT, "getTraitValues", token_number(token_id), [keccak(name.encode()) for name in names])
        said = self._asked(collection, data, bytes_max=WORD_BYTES * (len(names) + 1), gas=TRAITS_GAS)
        values = _words(said, len(names))
        return {
            name: traits[name]
            for name, value in zip(names, values, strict=False)
            if value == keccak(traits[name].encode())
        }

    def contract_signed(self, wallet: str, digest: bytes, signature: bytes) -> bool:
        padded = signature.ljust(-(-len(signature) // WORD_BYTES) * WORD_BYTES, b"\0")
        data = _SIGNED + digest + eip712.uint(2 * WORD_BYTES) + eip712.uint(len(signature)) + padded
        said = self._asked(wallet, data, gas=SIGNATURE_GAS)
        return said is not None and len(said) == WORD_BYTES and said == _SIGNED.ljust(WORD_BYTES, b"\0")

    def _number(self, ours: str, data: bytes) -> int:
        """Returns a number that one of our own contracts answers. Raises ChainError when it does not."""
        said = self._asked(ours, data)
        if said is None:
            raise ChainError(f"the contract {ours} does not answer as ours", hint="is it deployed on this chain?")
        return int.from_bytes(said[:WORD_BYTES], "big")

    def _asked(self, to: str, data: bytes, *, bytes_max: int = WORD_BYTES, gas: int = QUESTION_GAS) -> bytes | None:
        """Returns what a contract answers: at least a word, and little more than `bytes_max`; None for anything else."""
        question = {"to": to, "data": "0x" + data.hex(), "gas": hex(gas)}
        try:
            said = self._hex("eth_call", self._rpc.call("eth_call", question, "latest"))
        except RpcRefused:
            return None  # it reverts, or wants more gas than it is worth
        longest = bytes_max if bytes_max == WORD_BYTES else bytes_max + 3 * WORD_BYTES  # offset, length, padding
        return bytes.fromhex(said) if 2 * WORD_BYTES <= len(said) <= 2 * longest else None

    def _hex(self, method: str, said: object) -> str:
        text = said.removeprefix("0x") if isinstance(said, str) else "-"
        try:
            bytes.fromhex(text)
        except ValueError as error:
            raise ChainUnreachable(f"{method}: the node answers no bytes: {ascii(said)[:80]}") from error
        return text

    def _keep(self, what: str, of: str, ask: Callable[[], Kept]) -> Kept:
        """Returns an answer that hardly ever changes, at most KEPT_S old; a no may be a yes as soon as it is deployed."""
        found, now = self._kept.get((what, of)), self._clock()
        if found is not None and now < found[0]:
            return cast("Kept", found[1])
        answer = ask()
        if not answer:
            return answer
        if len(self._kept) >= KEPT_MAX:
            self._kept.clear()
        self._kept[what, of] = now + KEPT_S, answer
        return answer


def open_rpc(url: str, requests_per_minute: int | None) -> Rpc:
    """Returns a client that rather says at once that the node is busy than have a person wait."""
    return Rpc(
        url,
        requests_per_minute=requests_per_minute,
        timeout_s=TIMEOUT_S,
        attempts_max=ATTEMPTS_MAX,
        sleep=_short_sleep,
    )


def _short_sleep(seconds: float) -> None:
    if seconds > WAIT_MAX_S:
        raise ChainUnreachable(f"the node is to be asked again in {seconds:.0f} s only", hint="try again then")
    time.sleep(seconds)


def _address(said: bytes | None) -> str | None:
    """Returns an address that is neither zero nor longer than one."""
    value = int.from_bytes(said, "big") if said is not None else 0
    return f"0x{value:040x}" if 0 < value < ADDRESS_MAX else None


def _truth(said: bytes | None) -> bool:
    return said is not None and int.from_bytes(said, "big") == 1


def _words(said: bytes | None, count: int) -> list[bytes]:
    """Returns the words of an answer that is a list of so many, [] for any other."""
    head = eip712.uint(WORD_BYTES) + eip712.uint(count)
    if said is None or not said.startswith(head) or len(said) != (count + 2) * WORD_BYTES:
        return []
    return [said[at : at + WORD_BYTES] for at in range(len(head), len(said), WORD_BYTES)]


def _text(said: bytes | None) -> str:
    """Returns the one text of an answer, "" when it is none; no offset of it leads outside."""
    if said is None:
        return ""
    start = int.from_bytes(said[:WORD_BYTES], "big")
    if start > len(said) - WORD_BYTES:
        return ""
    length, begin = int.from_bytes(said[start : start + WORD_BYTES], "big"), start + WORD_BYTES
    if begin + length > len(said):
        return ""
    try:
        return said[begin : begin + length].decode()
    except UnicodeDecodeError:
        return ""
