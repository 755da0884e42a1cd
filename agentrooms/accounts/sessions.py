"""Who is signed in: a session is a family of refresh tokens of which each is used once (RFC 9700, 4.14.2).

A token is 16 bytes that name its session and 32 bytes of secret, as 64 letters. The database holds hashes alone.
Each use gives the next token. Who shows one that was used before holds a copy, so the session ends, for thief and
owner alike; only the last one used may be shown again for some seconds, and gives the same successor: an answer was
lost, or two windows asked at once. Its successor is a function of it and a salt, so it need not be stored.

An access token names its session and holds no longer than it, so there is no list of tokens that were taken back.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable

import msgspec

from agentrooms.accounts.schema import now_ms, prune
from agentrooms.domain.user import user_id
from agentrooms.errors import AgentroomsError
from agentrooms.events.postgres import Connection, Connections

ID_BYTES, SECRET_BYTES = 16, 32
TOKEN_LETTERS = 64  # of base64url; nothing is left over
GRACE_MS = 10_000  # in which the last token used gives its successor again
SESSIONS_MAX = 20  # of one user; a further one ends the oldest


class SessionEnded(AgentroomsError):
    """A refresh token belongs to no session that is open. `reused`: it was used before, and ended one now."""

    def __init__(self, *, reused: bool = False) -> None:
        super().__init__(
            "this refresh token was used before, so its session is ended" if reused else "this session has ended",
            hint="sign in again",
        )
        self.reused = reused


class Session(msgspec.Struct, frozen=True):
    """One sign-in of a user. `wallet` in lower case."""

    id: str
    user: str
    wallet: str
    created_at_ms: int
    expires_at_ms: int


class Granted(msgspec.Struct, frozen=True):
    """A session, and the refresh token that now holds."""

    session: Session
    token: str


class Sessions:
    """All sessions. Every method may raise StoreError when Postgres cannot be reached."""

    def __init__(self, connections: Connections, lifetime_ms: int, clock_ms: Callable[[], int] = now_ms) -> None:
        self._connections = connections
        self._lifetime_ms = lifetime_ms
        self._clock_ms = clock_ms

    def start(self, wallet: str) -> Granted:
        """Opens a session of a wallet's user, who is known from then on until it is erased."""
        id_, secret, now = secrets.token_bytes(ID_BYTES), secrets.token_bytes(SECRET_BYTES), self._clock_ms()
        session = Session(id_.hex(), user_id(wallet), wallet, now, now + self._lifetime_ms)

        def put(connection: Connection) -> None:
            with connection.transaction():
                prune(connection, "sessions", "expires_at_ms <= %s", [now])
                connection.execute("INSERT INTO people VALUES (%s, %s) ON CONFLICT DO NOTHING", [session.user, now])
                connection.execute(
                    "INSERT INTO sessions (id, user_id, wallet, created_at_ms, expires_at_ms, token_sha256)"
                    " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",  # there when this is a repetition
                    [*msgspec.structs.astuple(session), _hash(secret)],
                )
                oldest = "id IN (SELECT id FROM sessions WHERE user_id = %s ORDER BY created_at_ms DESC, id OFFSET %s)"
                prune(connection, "sessions", oldest, [session.user, SESSIONS_MAX])

        self._connections.repeat(put)
        return Granted(session, _token(id_, secret))

    def refresh(self, token: str) -> Granted:
        """Uses a refresh token: returns the next one. Raises SessionEnded."""
        id_, secret = _parts(token)
        salt, now = secrets.token_bytes(SECRET_BYTES), self._clock_ms()

        def use(connection: Connection) -> Granted | bool:
            with connection.transaction():
                row = connection.execute(
                    "SELECT id, user_id, wallet, created_at_ms, expires_at_ms,"
                    " token_sha256, previous_sha256, salt, rotated_at_ms FROM sessions WHERE id = %s FOR UPDATE",
                    [id_.hex()],
                ).fetchone()
                if row is None:
                    return False
                held = _held(row)
                if held.session.expires_at_ms <= now:
                    return False
                if hmac.compare_digest(held.token_sha256, _hash(secret)):
                    following = _successor(secret, salt)
                    connection.execute(
                        "UPDATE sessions SET token_sha256 = %s, previous_sha256 = token_sha256, salt = %s,"
                        " rotated_at_ms = %s WHERE id = %s",
                        [_hash(following), salt, now, held.session.id],
                    )
                    return Granted(held.session, _token(id_, following))
                if held.gives_again(secret, now):
                    return Granted(held.session, _token(id_, _successor(secret, held.salt)))
                connection.execute("DELETE FROM sessions WHERE id = %s", [held.session.id])
                return True

        used = self._connections.repeat(use)
        if isinstance(used, bool):
            raise SessionEnded(reused=used)
        return used

    def end(self, id: str) -> None:
        """Ends a session; one that has ended stays so."""
        self._connections.repeat(lambda connection: connection.execute("DELETE FROM sessions WHERE id = %s", [id]))

    def end_by(self, token: str) -> None:
        """Ends the session of a refresh token, whether or not that one still holds. Raises SessionEnded for no token."""
        id_, _secret = _parts(token)
        self.end(id_.hex())

    def is_open(self, id: str) -> bool:
        """Tells whether a session is open; an access token of one that is not holds no more."""

        def read(connection: Connection) -> tuple[object, ...] | None:
            return connection.execute(
                "SELECT true FROM sessions WHERE id = %s AND expires_at_ms > %s", [id, self._clock_ms()]
            ).fetchone()

        return self._connections.repeat(read) is not None

    def of(self, user: str) -> list[Session]:
        """Returns a user's open sessions, the oldest first."""

        def read(connection: Connection) -> list[tuple[object, ...]]:
            return connection.execute(
                "SELECT id, user_id, wallet, created_at_ms, expires_at_ms FROM sessions"
                " WHERE user_id = %s AND expires_at_ms > %s ORDER BY created_at_ms, id",
                [user, self._clock_ms()],
            ).fetchall()

        return [_session(row) for row in self._connections.repeat(read)]


class _Held(msgspec.Struct, frozen=True):
    """A session's row: hashes of the token that holds and of the one before, with what made one of the other."""

    session: Session
    token_sha256: bytes
    previous_sha256: bytes
    salt: bytes
    rotated_at_ms: int

    def gives_again(self, secret: bytes, now_ms: int) -> bool:
        """Tells whether a secret is that of the last token used, shown again soon enough."""
        return hmac.compare_digest(self.previous_sha256, _hash(secret)) and now_ms - self.rotated_at_ms <= GRACE_MS


def _held(row: tuple[object, ...]) -> _Held:
    token, previous, salt, rotated_at_ms = row[5:]
    assert isinstance(token, bytes)
    if not (isinstance(previous, bytes) and isinstance(salt, bytes) and isinstance(rotated_at_ms, int)):
        return _Held(_session(row[:5]), token, b"", b"", 0)
    return _Held(_session(row[:5]), token, previous, salt, rotated_at_ms)


def _session(row: tuple[object, ...]) -> Session:
    return msgspec.convert(dict(zip(Session.__struct_fields__, row, strict=True)), Session)


def _hash(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def _successor(secret: bytes, salt: bytes) -> bytes:
    return hmac.digest(salt, secret, "sha256")


def _token(id_: bytes, secret: bytes) -> str:
    return base64.urlsafe_b64encode(id_ + secret).decode()


def _parts(token: str) -> tuple[bytes, bytes]:
    """Returns a token's session and secret. Raises SessionEnded for what is no token."""
    try:
        raw = base64.b64decode(token.encode("ascii"), b"-_", validate=True) if len(token) == TOKEN_LETTERS else b""
    except (UnicodeEncodeError, binascii.Error) as error:
        raise SessionEnded from error
    if len(raw) != ID_BYTES + SECRET_BYTES:
        raise SessionEnded
    return raw[:ID_BYTES], raw[ID_BYTES:]
