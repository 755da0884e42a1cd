"""Refresh tokens on a real Postgres against a model that keeps every token in the clear."""

from __future__ import annotations

import base64
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule, run_state_machine_as_test

from agentrooms.accounts.schema import migrate_accounts, open_accounts
from agentrooms.accounts.sessions import GRACE_MS, SESSIONS_MAX, Granted, SessionEnded, Sessions
from agentrooms.domain.user import user_id
from agentrooms.events.postgres import Connections
from tests.accounts.clock import Clock, count, dump, wallet

DAY_MS = 86_400_000
LIFETIME_MS = 7 * DAY_MS


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(accounts: Connections, clock: Clock) -> Sessions:
    return Sessions(accounts, LIFETIME_MS, clock)


@dataclass
class Family:
    """What the model knows of one session."""

    granted: Granted
    chain: list[str]
    ends_at_ms: int
    rotated_at_ms: int = 0
    ended: bool = False


class Families(RuleBasedStateMachine):
    """Starts, refreshes with any token ever given, ends, time."""

    accounts: Connections
    families = Bundle("families")

    def __init__(self) -> None:
        super().__init__()
        self.accounts.repeat(lambda connection: connection.execute("TRUNCATE sessions"))
        self.clock = Clock()
        self.sessions = Sessions(self.accounts, LIFETIME_MS, self.clock)

    @rule(target=families, owner=st.integers(0, 2))
    def start(self, owner: int) -> Family:
        granted = self.sessions.start(wallet(owner))
        return Family(granted, [granted.token], self.clock() + LIFETIME_MS)

    @rule(family=families, back=st.integers(0, 4))
    def refresh(self, family: Family, back: int) -> None:
        """With the token that holds (0), the one before (1), or an older one."""
        place = len(family.chain) - 1 - min(back, len(family.chain) - 1)
        token, now = family.chain[place], self.clock()
        newest, before = place == len(family.chain) - 1, place == len(family.chain) - 2
        if family.ended or now >= family.ends_at_ms:
            assert self._ended(token) is False
        elif newest:
            granted = self.sessions.refresh(token)
            assert granted.session == family.granted.session
            assert granted.token not in family.chain
            family.chain.append(granted.token)
            family.rotated_at_ms = now
        elif before and now - family.rotated_at_ms <= GRACE_MS:
            assert self.sessions.refresh(token) == Granted(family.granted.session, family.chain[-1])
        else:
            assert self._ended(token) is True
            family.ended = True

    @rule(family=families)
    def forge(self, family: Family) -> None:
        """A made-up secret for a session that is known counts as a copy."""
        raw = base64.urlsafe_b64decode(family.granted.token)[:16] + secrets.token_bytes(32)
        open_ = not family.ended and self.clock() < family.ends_at_ms
        assert self._ended(base64.urlsafe_b64encode(raw).decode()) is open_
        family.ended = True

    @rule(target=families, family=consumes(families), by_token=st.booleans())
    def end(self, family: Family, by_token: bool) -> Family:
        if by_token:
            self.sessions.end_by(family.chain[0])
        else:
            self.sessions.end(family.granted.session.id)
        family.ended = True
        return family

    @rule(ms=st.sampled_from([1, GRACE_MS // 2, GRACE_MS, GRACE_MS + 1, DAY_MS, LIFETIME_MS]))
    def wait(self, ms: int) -> None:
        self.clock.pass_ms(ms)

    @rule(family=families)
    def look(self, family: Family) -> None:
        open_ = not family.ended and self.clock() < family.ends_at_ms
        assert self.sessions.is_open(family.granted.session.id) is open_
        assert (family.granted.session in self.sessions.of(family.granted.session.user)) is open_

    def _ended(self, token: str) -> bool:
        """Refreshing fails; returns whether that ended a session."""
        with pytest.raises(SessionEnded) as raised:
            self.sessions.refresh(token)
        return raised.value.reused


def test_families_are_as_the_model_says(postgres_dsn: str) -> None:
    """Any order of starts, refreshes with new, last, old and forged tokens, ends and time."""
    schema = f"test_{secrets.token_hex(6)}"
    migrate_accounts(postgres_dsn, schema)
    with closing(open_accounts(postgres_dsn, schema)) as accounts:
        Families.accounts = accounts
        run_state_machine_as_test(Families, settings=settings(suppress_health_check=list(HealthCheck), deadline=None))


def test_windows_that_refresh_at_once_get_the_same_successor(sessions: Sessions) -> None:
    first = sessions.start(wallet(1))
    with ThreadPoolExecutor(8) as pool:
        got = set(pool.map(lambda _: sessions.refresh(first.token).token, range(16)))
    assert len(got) == 1
    assert sessions.refresh(got.pop()).session == first.session


def test_a_thief_and_the_owner_both_lose_the_session(sessions: Sessions, clock: Clock) -> None:
    """The thief uses a copy first; when the owner uses the original, all of the family ends, and nothing else."""
    owner, elsewhere = sessions.start(wallet(1)), sessions.start(wallet(1))
    stolen = sessions.refresh(owner.token)
    clock.pass_ms(GRACE_MS + 1)
    with pytest.raises(SessionEnded, match="used before"):
        sessions.refresh(owner.token)
    with pytest.raises(SessionEnded, match="has ended"):
        sessions.refresh(stolen.token)
    assert sessions.of(user_id(wallet(1))) == [elsewhere.session]


def test_a_session_ends_after_its_days_however_often_it_is_refreshed(sessions: Sessions, clock: Clock) -> None:
    granted = sessions.start(wallet(1))
    for _ in range(6):
        clock.pass_ms(DAY_MS)
        granted = sessions.refresh(granted.token)
    clock.pass_ms(DAY_MS - 1)
    granted = sessions.refresh(granted.token)
    clock.pass_ms(1)
    with pytest.raises(SessionEnded):
        sessions.refresh(granted.token)


def test_the_tables_hold_one_row_a_session_and_no_token(
    sessions: Sessions, clock: Clock, accounts: Connections
) -> None:
    granted = sessions.start(wallet(1))
    given = [granted.token]
    for _ in range(5):
        given.append(sessions.refresh(given[-1]).token)
    held = dump(accounts, "sessions")
    assert count(accounts, "sessions") == 1
    for token in given:
        secret = base64.urlsafe_b64decode(token)[16:]
        assert [text in held for text in (token.encode(), secret, secret.hex().encode())] == [False] * 3
    clock.pass_ms(LIFETIME_MS)
    sessions.start(wallet(2))
    assert count(accounts, "sessions") == 1


def test_a_user_has_so_many_sessions_and_keeps_the_youngest(sessions: Sessions, clock: Clock) -> None:
    granted = []
    for _ in range(SESSIONS_MAX + 2):
        clock.pass_ms(1)
        granted.append(sessions.start(wallet(1)))
    assert sessions.of(user_id(wallet(1))) == [one.session for one in granted[2:]]
    with pytest.raises(SessionEnded):
        sessions.refresh(granted[0].token)


@pytest.mark.parametrize(
    "token", ["", "x", "A" * 63, "A" * 65, "=" * 64, "A" * 62 + "==", "ä" * 64, "+" * 64, "A" * 63 + "\n", "A" * 64]
)
def test_what_is_no_token_belongs_to_no_session(sessions: Sessions, token: str) -> None:
    with pytest.raises(SessionEnded, match="has ended"):
        sessions.refresh(token)
