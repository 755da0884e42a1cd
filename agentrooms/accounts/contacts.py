"""How people want to be told: webhooks, and one e-mail address that they have shown to be theirs."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Collection
from typing import TypeVar

import msgspec

from agentrooms.accounts.erasure import stays
from agentrooms.accounts.notifications import Kind
from agentrooms.accounts.schema import DAY_MS, now_ms
from agentrooms.errors import AgentroomsError, InvalidInput
from agentrooms.events.postgres import Connection, Connections

WEBHOOKS_MAX = 10  # of one user
DEAD_MAX = 5  # deliveries in a row that came to nothing; then a webhook is switched off
ADDRESS_CHARACTERS_MAX = 254
ADDRESS_USERS_MAX = 3  # that may name the same address: nobody's mailbox is flooded through many wallets
CODE_MS = 15 * 60_000
CODE_DIGITS = 6
CODE_TRIES_MAX = 5
CODES_MAX_DAY = 5  # that a user may ask for
_LOCK_KEY = 0x434F4E54  # one contact is added at a time, so the bounds hold
_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])"
)

Row = TypeVar("Row", bound=msgspec.Struct)


class Webhook(msgspec.Struct, frozen=True):
    """One webhook. `secret` is shown to its owner once, when it is made, and nowhere else."""

    id: str
    user: str
    url: str
    secret: str
    events: tuple[Kind, ...]
    active: bool
    dead_in_a_row: int
    last_status: int | None
    last_at_ms: int | None
    created_at_ms: int


class Email(msgspec.Struct, frozen=True):
    """A user's address, and what shall be mailed to it once it is confirmed."""

    user: str
    address: str
    events: tuple[Kind, ...]
    confirmed_at_ms: int | None
    created_at_ms: int

    @property
    def confirmed(self) -> bool:
        """Whether the address was shown to be the user's."""
        return self.confirmed_at_ms is not None


class TooManyContacts(AgentroomsError):
    """A user has, or asks for, more than there may be."""


class CodeRefused(InvalidInput):
    """A code is wrong, too old, or was guessed at too often."""


_WEBHOOK = "id, user_id, url, secret, events, active, dead_in_a_row, last_status, last_at_ms, created_at_ms"
_EMAIL = "user_id, address, events, confirmed_at_ms, created_at_ms"


class Contacts:
    """All webhooks and addresses. Every method may raise StoreError when Postgres cannot be reached."""

    def __init__(self, connections: Connections, clock_ms: Callable[[], int] = now_ms) -> None:
        self._connections = connections
        self._clock_ms = clock_ms

    def add_webhook(self, user: str, url: str, events: Collection[Kind] = tuple(Kind), *, command: str = "") -> Webhook:
        """Adds a webhook, `url` checked by `Outbound.checked` before. Raises TooManyContacts, InvalidInput.

        The same request of the same `command`, where one is named, is the webhook that it made before.
        """
        request = f"{user} {command or secrets.token_hex(16)} {' '.join(_kinds(events))} {url}"
        made = Webhook(
            f"webhook_{hashlib.sha256(request.encode()).hexdigest()[:16]}",
            user,
            url,
            f"whsec_{secrets.token_urlsafe(32)}",
            _kinds(events),
            active=True,
            dead_in_a_row=0,
            last_status=None,
            last_at_ms=None,
            created_at_ms=self._clock_ms(),
        )

        known = f"SELECT {_WEBHOOK} FROM webhooks WHERE id = %s AND user_id = %s"  # noqa: S608 -- fixed texts

        def put(connection: Connection) -> Webhook:
            with connection.transaction():
                _require_user(connection, user)
                _alone(connection)
                found = connection.execute(known.encode(), [made.id, user]).fetchone()
                if found is not None:  # this is a repetition
                    return _row(found, Webhook)
                row = connection.execute("SELECT count(*) FROM webhooks WHERE user_id = %s", [user]).fetchone()
                if msgspec.convert(row, tuple[int])[0] >= WEBHOOKS_MAX:
                    raise TooManyContacts(f"a user has at most {WEBHOOKS_MAX} webhooks", hint="remove one first")
                connection.execute(
                    "INSERT INTO webhooks (id, user_id, url, secret, events, created_at_ms)"
                    " VALUES (%s, %s, %s, %s, %s, %s)",
                    [made.id, user, url, made.secret, list(made.events), made.created_at_ms],
                )
                return made

        return self._connections.repeat(put)

    def webhooks(self, user: str) -> list[Webhook]:
        """Returns a user's webhooks, the oldest first."""
        query = f"SELECT {_WEBHOOK} FROM webhooks WHERE user_id = %s ORDER BY created_at_ms, id"  # noqa: S608 -- fixed
        return self._connections.repeat(
            lambda connection: [_row(row, Webhook) for row in connection.execute(query.encode(), [user])]
        )

    def webhook(self, user: str, id: str) -> Webhook | None:
        """Returns a webhook of a user, None when the user has none of this id."""
        query = f"SELECT {_WEBHOOK} FROM webhooks WHERE id = %s AND user_id = %s"  # noqa: S608 -- fixed texts
        row = self._connections.repeat(lambda connection: connection.execute(query.encode(), [id, user]).fetchone())
        return None if row is None else _row(row, Webhook)

    def remove_webhook(self, user: str, id: str) -> bool:
        """Removes a webhook of a user; returns whether there was one."""
        query = "DELETE FROM webhooks WHERE id = %s AND user_id = %s"
        return self._connections.repeat(lambda connection: connection.execute(query, [id, user]).rowcount == 1)

    def answered(self, id: str, status: int) -> None:
        """Notes that a webhook took a delivery."""
        query = "UPDATE webhooks SET last_status = %s, last_at_ms = %s, dead_in_a_row = 0 WHERE id = %s"
        self._connections.repeat(lambda connection: connection.execute(query, [status, self._clock_ms(), id]))

    def failed(self, id: str, status: int | None, *, dead: bool) -> bool:
        """Notes that a delivery failed, `dead` when it is not tried again; True when that switched the webhook off."""
        query = (
            "UPDATE webhooks SET last_status = %(status)s, last_at_ms = %(now)s,"
            " dead_in_a_row = dead_in_a_row + %(dead)s, active = active AND dead_in_a_row + %(dead)s < %(most)s"
            " WHERE id = %(id)s AND active RETURNING active"
        )
        values = {"status": status, "now": self._clock_ms(), "dead": int(dead), "most": DEAD_MAX, "id": id}
        return self._connections.once(lambda connection: connection.execute(query, values).fetchone()) == (False,)

    def set_email(self, user: str, address: str, events: Collection[Kind] = tuple(Kind)) -> Email:
        """Sets a user's address and what is mailed to it. Another address than before must be confirmed.

        Raises InvalidInput for what is no address, TooManyContacts when too many users name it, or a user changes it
        too often in a day.
        """
        if len(address) > ADDRESS_CHARACTERS_MAX or _ADDRESS.fullmatch(address) is None:
            raise InvalidInput("that is not an e-mail address", hint="such as name@example.org, in plain characters")
        kinds = list(_kinds(events))

        def put(connection: Connection) -> Email:
            with connection.transaction():
                _require_user(connection, user)
                _alone(connection)
                before = _email(connection, user)
                if before is None or before.address != address:
                    _require_few_users(connection, address)
                    connection.execute(
                        "INSERT INTO emails (user_id, address, events, created_at_ms) VALUES (%s, %s, %s, %s)"
                        " ON CONFLICT (user_id) DO UPDATE SET address = excluded.address, confirmed_at_ms = NULL,"
                        " code_sha256 = NULL, code_expires_at_ms = NULL, code_tries = 0,"
                        " created_at_ms = excluded.created_at_ms",
                        [user, address, kinds, self._clock_ms()],
                    )
                    self._count_code(connection, user)
                connection.execute("UPDATE emails SET events = %s WHERE user_id = %s", [kinds, user])
                found = _email(connection, user)
                assert found is not None
                return found

        return self._connections.repeat(put)

    def ask_code(self, user: str) -> Email:
        """Counts that a user asks for another code. Raises InvalidInput without an address, TooManyContacts."""

        def work(connection: Connection) -> Email:
            with connection.transaction():
                found = _email(connection, user)
                if found is None:
                    raise InvalidInput("there is no e-mail address to confirm", hint="set one first")
                self._count_code(connection, user)
                return found

        return self._connections.once(work)

    def new_code(self, user: str) -> tuple[str, str] | None:
        """Returns an unconfirmed address and the code that is to be mailed to it; None when there is none."""
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
        query = (
            "UPDATE emails SET code_sha256 = %s, code_expires_at_ms = %s, code_tries = 0"
            " WHERE user_id = %s AND confirmed_at_ms IS NULL RETURNING address"
        )
        values = [_hash(user, code), self._clock_ms() + CODE_MS, user]
        row = self._connections.repeat(lambda connection: connection.execute(query, values).fetchone())
        return None if row is None else (msgspec.convert(row[0], str), code)

    def confirm(self, user: str, code: str) -> Email:
        """Confirms a user's address with the code that was mailed to it. Raises CodeRefused."""
        now = self._clock_ms()

        def work(connection: Connection) -> Email | None:
            with connection.transaction():
                row = connection.execute(
                    "UPDATE emails SET code_tries = code_tries + 1 WHERE user_id = %s AND confirmed_at_ms IS NULL"
                    " AND code_expires_at_ms > %s AND code_tries < %s RETURNING code_sha256",
                    [user, now, CODE_TRIES_MAX],
                ).fetchone()
                kept = b"" if row is None else msgspec.convert(row[0], bytes)
                if not hmac.compare_digest(kept, _hash(user, code)):
                    return None
                connection.execute(
                    "UPDATE emails SET confirmed_at_ms = %s, code_sha256 = NULL, code_expires_at_ms = NULL"
                    " WHERE user_id = %s",
                    [now, user],
                )
                return _email(connection, user)

        found = self._connections.once(work)
        if found is None:
            raise CodeRefused(
                "that code does not confirm the address",
                hint=f"a code holds for {CODE_MS // 60_000} minutes and {CODE_TRIES_MAX} tries; ask for another",
            )
        return found

    def email(self, user: str) -> Email | None:
        """Returns a user's address, None when there is none."""
        return self._connections.repeat(lambda connection: _email(connection, user))

    def remove_email(self, user: str) -> bool:
        """Removes a user's address; returns whether there was one."""
        query = "DELETE FROM emails WHERE user_id = %s"
        return self._connections.repeat(lambda connection: connection.execute(query, [user]).rowcount == 1)

    def _count_code(self, connection: Connection, user: str) -> None:
        """Counts a code of today. Raises TooManyContacts, which undoes the transaction."""
        row = connection.execute(
            "UPDATE emails SET codes_asked = CASE WHEN codes_day = %(day)s THEN codes_asked + 1 ELSE 1 END,"
            " codes_day = %(day)s WHERE user_id = %(user)s RETURNING codes_asked",
            {"day": self._clock_ms() // DAY_MS, "user": user},
        ).fetchone()
        if msgspec.convert(row, tuple[int])[0] > CODES_MAX_DAY:
            raise TooManyContacts(
                f"at most {CODES_MAX_DAY} confirmation codes are mailed for a user in a day", hint="try again tomorrow"
            )


def _require_user(connection: Connection, user: str) -> None:
    if not stays(connection, user):
        raise InvalidInput("there is no such user any more", hint="sign in again")


def _alone(connection: Connection) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(current_schema()))", [_LOCK_KEY])


def _require_few_users(connection: Connection, address: str) -> None:
    row = connection.execute("SELECT count(*) FROM emails WHERE lower(address) = %s", [address.lower()]).fetchone()
    if msgspec.convert(row, tuple[int])[0] >= ADDRESS_USERS_MAX:
        raise TooManyContacts(f"{ADDRESS_USERS_MAX} users have this address already", hint="use another one")


def _kinds(events: Collection[Kind]) -> tuple[Kind, ...]:
    try:
        return tuple(sorted({Kind(event) for event in events}))
    except ValueError as error:
        raise InvalidInput("an event is not known", hint=f"one of {', '.join(Kind)}") from error


def _email(connection: Connection, user: str) -> Email | None:
    query = f"SELECT {_EMAIL} FROM emails WHERE user_id = %s"  # noqa: S608 -- fixed texts
    row = connection.execute(query.encode(), [user]).fetchone()
    return None if row is None else _row(row, Email)


def _hash(user: str, code: str) -> bytes:
    return hashlib.sha256(f"{user}\x1f{code}".encode()).digest()


def _row(row: tuple[object, ...], type_: type[Row]) -> Row:
    return msgspec.convert(dict(zip(type_.__struct_fields__, row, strict=True)), type_)
