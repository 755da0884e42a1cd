"""Answers kept under the key that a request came with, so that the same request again has the same answer.

A request takes its key with a lease, does its work and keeps the answer. When it dies in between, another takes the
key once the lease is over. What is kept is sealed under a secret of the installation, since an answer may hold a
limit, and kept for a day at most.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable

import msgspec
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from agentrooms.accounts.schema import now_ms, prune
from agentrooms.events.postgres import Connection, Connections

KEPT_MS = 24 * 3_600_000
LEASE_MS = 60_000  # longer than any request may take
ANSWER_BYTES_MAX = 131_072  # a longer answer is not kept
KEYS_MAX = 1_000  # of one user; the oldest go first


class Kept(msgspec.Struct, frozen=True):
    """An answer: status, the headers that matter, body."""

    status: int
    headers: dict[str, str]
    body: bytes


class Begun(msgspec.Struct, frozen=True):
    """The request is ours to do; `owner` says so when its answer is kept."""

    user: str
    key: str
    owner: str


class Busy(msgspec.Struct, frozen=True):
    """Another does the same request right now, or did until this moment."""


class Mismatch(msgspec.Struct, frozen=True):
    """The key was used for another request."""


_KEPT = msgspec.msgpack.Decoder(Kept)


class Idempotency:
    """All kept answers. `secret` is the installation's own. May raise StoreError when Postgres cannot be reached."""

    def __init__(self, connections: Connections, secret: bytes, clock_ms: Callable[[], int] = now_ms) -> None:
        self._connections = connections
        self._secret = hashlib.blake2b(b"idempotency", digest_size=32, key=secret).digest()
        self._clock_ms = clock_ms

    def begin(self, user: str, key: str, request: bytes) -> Begun | Kept | Busy | Mismatch:
        """Takes a user's key for a request, which is given whole (method, path, body)."""
        begun, now = Begun(user, key, secrets.token_hex(16)), self._clock_ms()
        name, mac = self._mac("key", user, key.encode()), self._mac("request", user, request)

        def take(connection: Connection) -> Begun | Kept | Busy | Mismatch:
            with connection.transaction():
                prune(connection, "idempotency", "expires_at_ms <= %s", [now])
                connection.execute(
                    "INSERT INTO idempotency"
                    " (user_id, key_mac, request_mac, owner, lease_until_ms, begun_at_ms, expires_at_ms)"
                    " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                    [user, name, mac, begun.owner, now + LEASE_MS, now, now + KEPT_MS],
                )
                row = connection.execute(
                    "SELECT request_mac, owner, lease_until_ms, answer FROM idempotency"
                    " WHERE user_id = %s AND key_mac = %s FOR UPDATE",
                    [user, name],
                ).fetchone()
                if row is None:  # given back, or erased, between the two
                    return Busy()
                mac_kept, owner, lease_until_ms, answer = row
                assert isinstance(lease_until_ms, int)
                if mac_kept != mac:
                    return Mismatch()
                if isinstance(answer, bytes):
                    return self._open(user, key, answer)
                if owner == begun.owner:
                    _drop_oldest(connection, user)
                    return begun
                if lease_until_ms > now:
                    return Busy()
                connection.execute(
                    "UPDATE idempotency SET owner = %s, lease_until_ms = %s WHERE user_id = %s AND key_mac = %s",
                    [begun.owner, now + LEASE_MS, user, name],
                )
                return begun

        return self._connections.repeat(take)

    def keep(self, begun: Begun, answer: Kept) -> None:
        """Keeps the answer of a request that is still ours; a longer one than ANSWER_BYTES_MAX is let go."""
        if len(answer.body) > ANSWER_BYTES_MAX:
            self.let_go(begun)
            return
        sealed = self._seal(begun.user, begun.key, answer)
        self._connections.repeat(
            lambda connection: connection.execute(
                "UPDATE idempotency SET answer = %s WHERE user_id = %s AND key_mac = %s AND owner = %s",
                [sealed, *self._row(begun)],
            )
        )

    def let_go(self, begun: Begun) -> None:
        """Gives the key back: the request came to nothing that is worth keeping."""
        self._connections.repeat(
            lambda connection: connection.execute(
                "DELETE FROM idempotency WHERE user_id = %s AND key_mac = %s AND owner = %s AND answer IS NULL",
                self._row(begun),
            )
        )

    def _row(self, begun: Begun) -> list[object]:
        return [begun.user, self._mac("key", begun.user, begun.key.encode()), begun.owner]

    def _mac(self, purpose: str, user: str, data: bytes) -> bytes:
        """Returns a keyed hash: bodies have few possible values, and a plain hash would tell which."""
        return hashlib.blake2b(f"{purpose}\x1f{user}\x1f".encode() + data, digest_size=32, key=self._secret).digest()

    def _box(self, user: str, key: str) -> SecretBox:
        return SecretBox(self._mac("seal", user, key.encode()))

    def _seal(self, user: str, key: str, answer: Kept) -> bytes:
        return bytes(self._box(user, key).encrypt(msgspec.msgpack.encode(answer)))

    def _open(self, user: str, key: str, sealed: bytes) -> Kept | Mismatch:
        try:
            return _KEPT.decode(self._box(user, key).decrypt(sealed))
        except (CryptoError, msgspec.DecodeError):  # written by another installation, or changed
            return Mismatch()


def _drop_oldest(connection: Connection, user: str) -> None:
    oldest = (
        "user_id = %s AND key_mac IN ("
        "SELECT key_mac FROM idempotency WHERE user_id = %s ORDER BY begun_at_ms DESC, key_mac OFFSET %s)"
    )
    prune(connection, "idempotency", oldest, [user, user, KEYS_MAX])
