"""Texts that wallets are given to sign: each is for one wallet, domain and chain, holds for minutes and once.

A challenge goes with the first attempt, also with one that fails, so nobody can try signatures on it.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from agentrooms.accounts.schema import now_ms, prune
from agentrooms.domain.user import user_id
from agentrooms.errors import AgentroomsError
from agentrooms.events.postgres import Connection, Connections

CHALLENGE_MS = 5 * 60_000
OPEN_MAX_WALLET = 20  # of one wallet; a further one takes the place of the oldest
OPEN_MAX = 10_000  # of all wallets
_LOCK_KEY = 0x4348414C  # one is opened at a time, so the bounds hold


class ChallengesFull(AgentroomsError):
    """Too many challenges wait for their signature."""


class Challenge(msgspec.Struct, frozen=True):
    """One text to sign. `wallet` in lower case; `nonce` is its name."""

    nonce: str
    wallet: str
    domain: str
    chain_id: int
    message: str
    expires_at_ms: int


class Challenges:
    """The open challenges. Every method may raise StoreError when Postgres cannot be reached."""

    def __init__(self, connections: Connections, clock_ms: Callable[[], int] = now_ms) -> None:
        self._connections = connections
        self._clock_ms = clock_ms

    def open(self, challenge: Challenge) -> None:
        """Keeps a challenge until it is used or over. Raises ChallengesFull."""

        def put(connection: Connection) -> None:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(current_schema()))", [_LOCK_KEY])
                prune(connection, "challenges", "expires_at_ms <= %s", [self._clock_ms()])
                _make_room(connection, user_id(challenge.wallet))
                connection.execute(
                    "INSERT INTO challenges (nonce, user_id, wallet, domain, chain_id, message, expires_at_ms)"
                    " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",  # there when this is a repetition
                    [challenge.nonce, user_id(challenge.wallet), *msgspec.structs.astuple(challenge)[1:]],
                )

        self._connections.repeat(put)

    def use(self, nonce: str, wallet: str, domain: str, chain_id: int) -> Challenge | None:
        """Takes a challenge out; returns it when it still holds and is for this wallet, domain and chain."""

        def take(connection: Connection) -> tuple[object, ...] | None:
            return connection.execute(
                "DELETE FROM challenges WHERE nonce = %s"
                " RETURNING nonce, wallet, domain, chain_id, message, expires_at_ms",
                [nonce],
            ).fetchone()

        row = self._connections.repeat(take)
        if row is None:
            return None
        found = msgspec.convert(dict(zip(Challenge.__struct_fields__, row, strict=True)), Challenge)
        expected = (wallet, domain, chain_id)
        if (found.wallet, found.domain, found.chain_id) != expected or found.expires_at_ms <= self._clock_ms():
            return None
        return found


def _make_room(connection: Connection, user: str) -> None:
    oldest = "nonce IN (SELECT nonce FROM challenges WHERE user_id = %s ORDER BY expires_at_ms DESC, nonce OFFSET %s)"
    prune(connection, "challenges", oldest, [user, OPEN_MAX_WALLET - 1])
    full = connection.execute("SELECT count(*) >= %s FROM challenges", [OPEN_MAX]).fetchone()
    if full == (True,):
        raise ChallengesFull(
            f"{OPEN_MAX} sign-ins wait for their signature", hint=f"try again within {CHALLENGE_MS // 60_000} minutes"
        )
