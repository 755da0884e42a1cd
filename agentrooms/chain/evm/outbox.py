"""One account's transactions: nonces without gaps or repeats, every raw transaction kept before anybody hears its hash.

A transaction has a name, such as `execute/deal_x`, and is made once a name, whatever dies in between: its nonce, its
bytes and its hash are kept in one write. One that is stuck gets a successor of the same nonce at a higher price; one
whose nonce another took gets a new nonce. A nonce that holds up those after it is filled with a transfer of nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import msgspec

from agentrooms.chain.evm.rpc import Rpc
from agentrooms.chain.evm.wallet import sign_transaction
from agentrooms.chain.port import ChainError, RawTransaction
from agentrooms.domain import secp256k1
from agentrooms.events.vault import NotInVault, Vault

GWEI = 10**9
PRICE_MIN_WEI = 5 * GWEI
PRICE_MAX_WEI = 10_000 * GWEI
RAISE_PERCENT = 25  # a successor pays so much more; nodes ask for 10 at least
ATTEMPTS_MAX = 20  # of one name: 5 gwei become 350
AHEAD_MAX = 10_000  # nonces that may be taken beyond what the chain has mined
FILL_GAS = 21_000  # of a transfer of nothing
CACHED_MAX = 2_000  # names whose transactions are at hand without asking the memory


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One signed transaction of a name."""

    name: str
    number: int
    nonce: int
    to: str | None
    data: bytes
    gas: int
    value_wei: int
    price_wei: int
    tx_hash: str
    raw: bytes

    @property
    def transaction(self) -> RawTransaction:
        """What is sent."""
        return RawTransaction(self.tx_hash, self.raw)

    @property
    def cost_wei(self) -> int:
        """What the account must have for it."""
        return self.gas * self.price_wei + self.value_wei


_ATTEMPT = msgspec.msgpack.Decoder(Attempt)


class Outbox:
    """The transactions of one key on one chain. `memory` outlives the process; one process at a time uses a key."""

    def __init__(self, rpc: Rpc, chain_id: int, key: bytes, memory: Vault) -> None:
        self._rpc = rpc
        self._chain_id = chain_id
        self._key = key
        self._memory = memory
        self.address = secp256k1.address_of(key)
        self._next = 0  # nonces below are taken
        self._begun = False
        self._cached: dict[str, tuple[Attempt, ...]] = {}

    def make(self, name: str, to: str | None, data: bytes, gas: int, *, value_wei: int = 0) -> Attempt:
        """Returns the name's latest transaction, made now if there is none."""
        known = self.latest(name)
        if known is not None:
            return known
        draft = Attempt(
            name=name,
            number=0,
            nonce=0,
            to=to,
            data=data,
            gas=gas,
            value_wei=value_wei,
            price_wei=self.price_wei(),
            tx_hash="",
            raw=b"",
        )
        return self._place(draft)

    def succeed(self, attempt: Attempt) -> Attempt:
        """Returns the transaction after this one: dearer, and of a new nonce where another took the old one.

        Raises ChainError when there were ATTEMPTS_MAX already, or a higher price is more than we pay.
        """
        known, number = self.attempts(attempt.name), attempt.number + 1
        if len(known) > number:
            return known[number]
        if not self.may_succeed(attempt):
            raise ChainError(
                f"{attempt.name} is not mined after {number} transactions, the last at {attempt.price_wei} wei",
                hint="look at the node and at the account's balance",
            )
        price = max(self.price_wei(), _raised(attempt.price_wei))
        draft = msgspec.structs.replace(attempt, number=number, price_wei=price)
        return self._place(draft) if self.mined() > attempt.nonce else self._keep(self._signed(draft))

    def may_succeed(self, attempt: Attempt) -> bool:
        """Tells whether a transaction may have one more after it."""
        return attempt.number + 1 < ATTEMPTS_MAX and _raised(attempt.price_wei) <= PRICE_MAX_WEI

    def fill(self, nonce: int) -> Attempt:
        """Returns a transfer of nothing to the account itself, which takes a nonce so that those after it may go on.

        It pays more than whatever else was made of this nonce, also asked again; that gets a new nonce by `succeed`.
        """
        known = self.latest(name := f"fill/{nonce}")
        if known is not None:
            return self.succeed(known)
        rival = self.of_nonce(nonce)
        least = min(_raised(rival.price_wei), PRICE_MAX_WEI) if rival is not None else 0
        draft = Attempt(
            name=name,
            number=0,
            nonce=nonce,
            to=self.address,
            data=b"",
            gas=FILL_GAS,
            value_wei=0,
            price_wei=max(self.price_wei(), least),
            tx_hash="",
            raw=b"",
        )
        return self._keep(self._signed(draft))

    def attempts(self, name: str) -> tuple[Attempt, ...]:
        """Returns all transactions of a name, the first one first."""
        if name not in self._cached:
            found = (self._recall(name, number) for number in itertools.count())
            self._cache(name, tuple(one for one in itertools.takewhile(lambda one: one is not None, found) if one))
        return self._cached[name]

    def latest(self, name: str) -> Attempt | None:
        """Returns the name's last transaction, None when none was made."""
        known = self.attempts(name)
        return known[-1] if known else None

    def by_hash(self, tx_hash: str) -> Attempt:
        """Returns a transaction of this account. Raises ChainError for any other."""
        key = self._get(f"hash/{tx_hash}")
        if key is None:
            raise ChainError(f"transaction {tx_hash} is not one of {self.address}")
        name, _, number = key.rpartition("@")
        known = self.attempts(name)
        if int(number) >= len(known) or known[int(number)].tx_hash != tx_hash:
            raise ChainError(f"transaction {tx_hash} is not one of {self.address}")
        return known[int(number)]

    def of_nonce(self, nonce: int) -> Attempt | None:
        """Returns the latest transaction of whoever took a nonce, None when nobody did."""
        holder = self._get(self._nonce_key(nonce))
        if holder is None:
            return None
        alike = [one for one in self.attempts(holder.rpartition("@")[0]) if one.nonce == nonce]
        return alike[-1] if alike else None

    def refusal(self, attempt: Attempt, find: Callable[[], str]) -> str:
        """Returns why a transaction was refused, as it was found when that was asked first: later it may be otherwise."""
        key = f"refusal/{attempt.tx_hash}"
        known = self._get(key)
        if known is None:
            known = find()
            self._memory.put(key, known.encode())
        return known

    def mined(self) -> int:
        """Returns how many transactions of the account are mined."""
        return self._rpc.number("eth_getTransactionCount", self.address, "latest")

    def balance_wei(self) -> int:
        """Returns what the account has."""
        return self._rpc.number("eth_getBalance", self.address, "latest")

    def price_wei(self) -> int:
        """Returns what the node asks for gas, within our bounds. Raises ChainError when it is more than we pay."""
        asked = self._rpc.number("eth_gasPrice")
        if asked > PRICE_MAX_WEI:
            raise ChainError(f"the node asks {asked} wei for gas, {PRICE_MAX_WEI} is the most we pay")
        return max(PRICE_MIN_WEI, asked)

    def _place(self, draft: Attempt) -> Attempt:
        """Returns the draft signed with the next free nonce, which nobody else gets."""
        if not self._begun:
            self._next, self._begun = self.mined(), True
        for nonce in range(self._next, self._next + AHEAD_MAX):
            key = self._nonce_key(nonce)
            if self._get(key) is None:
                signed = self._signed(msgspec.structs.replace(draft, nonce=nonce))
                try:
                    kept = self._keep(signed, {key: f"{draft.name}@{draft.number}".encode()})
                except NotInVault:  # by a former life of ours that was slow to end
                    known = self.attempts(draft.name)
                    if len(known) > draft.number:
                        return known[draft.number]
                    continue
                self._next = nonce + 1
                return kept
        raise ChainError(f"{AHEAD_MAX} transactions of {self.address} wait to be mined", hint="is the node mining?")

    def _signed(self, draft: Attempt) -> Attempt:
        transaction = sign_transaction(
            self._key,
            self._chain_id,
            nonce=draft.nonce,
            to=draft.to,
            data=draft.data,
            gas=draft.gas,
            gas_price_wei=draft.price_wei,
            value_wei=draft.value_wei,
        )
        return msgspec.structs.replace(draft, tx_hash=transaction.tx_hash, raw=transaction.raw)

    def _keep(self, attempt: Attempt, beside: Mapping[str, bytes] | None = None) -> Attempt:
        known = self.attempts(attempt.name)
        del self._cached[attempt.name]  # should the memory fail now, it may hold the transaction or not
        self._memory.put_many(
            {
                **(beside or {}),
                self._key_of(attempt.name, attempt.number): msgspec.msgpack.encode(attempt),
                f"hash/{attempt.tx_hash}": f"{attempt.name}@{attempt.number}".encode(),
            }
        )
        self._cache(attempt.name, (*known, attempt))
        return attempt

    def _cache(self, name: str, attempts: tuple[Attempt, ...]) -> None:
        while len(self._cached) >= CACHED_MAX:
            del self._cached[next(iter(self._cached))]
        self._cached[name] = attempts

    def _recall(self, name: str, number: int) -> Attempt | None:
        try:
            return _ATTEMPT.decode(self._memory.get(self._key_of(name, number)))
        except NotInVault:
            return None

    def _get(self, key: str) -> str | None:
        try:
            return self._memory.get(key).decode()
        except NotInVault:
            return None

    def _key_of(self, name: str, number: int) -> str:
        return f"transaction/{self.address}/{name}/{number}"

    def _nonce_key(self, nonce: int) -> str:
        return f"nonce/{self.address}/{nonce:012d}"


def _raised(price_wei: int) -> int:
    return price_wei * (100 + RAISE_PERCENT) // 100
