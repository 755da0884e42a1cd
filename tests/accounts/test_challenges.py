"""A challenge holds once, for its wallet, domain and chain, for five minutes; and there are only so many."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from agentrooms.accounts import challenges as module
from agentrooms.accounts.challenges import CHALLENGE_MS, OPEN_MAX_WALLET, Challenge, Challenges, ChallengesFull
from agentrooms.events.postgres import Connections
from tests.accounts.clock import Clock, count, wallet

WALLET, DOMAIN, CHAIN = wallet(7), "agentrooms.example", 11812


def challenge(nonce: str = "n1", at_ms: int = 0, of: str = WALLET) -> Challenge:
    return Challenge(nonce, of, DOMAIN, CHAIN, f"sign in with {nonce}\n\n✓", at_ms + CHALLENGE_MS)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def challenges(accounts: Connections, clock: Clock) -> Challenges:
    return Challenges(accounts, clock)


def test_a_challenge_is_given_back_once_as_it_was_kept(challenges: Challenges, clock: Clock) -> None:
    given = challenge(at_ms=clock())
    challenges.open(given)
    assert challenges.use("n1", WALLET, DOMAIN, CHAIN) == given
    assert challenges.use("n1", WALLET, DOMAIN, CHAIN) is None


@pytest.mark.parametrize(
    ("of", "domain", "chain"),
    [(wallet(8), DOMAIN, CHAIN), (WALLET, "evil.example", CHAIN), (WALLET, DOMAIN, 1)],
)
def test_an_attempt_for_another_wallet_domain_or_chain_fails_and_uses_it_up(
    challenges: Challenges, clock: Clock, of: str, domain: str, chain: int
) -> None:
    challenges.open(challenge(at_ms=clock()))
    assert challenges.use("n1", of, domain, chain) is None
    assert challenges.use("n1", WALLET, DOMAIN, CHAIN) is None


@pytest.mark.parametrize(("passed_ms", "holds"), [(CHALLENGE_MS - 1, True), (CHALLENGE_MS, False)])
def test_a_challenge_holds_for_five_minutes(challenges: Challenges, clock: Clock, passed_ms: int, holds: bool) -> None:
    challenges.open(challenge(at_ms=clock()))
    clock.pass_ms(passed_ms)
    assert (challenges.use("n1", WALLET, DOMAIN, CHAIN) is not None) is holds


def test_of_many_attempts_at_once_one_gets_it(challenges: Challenges, clock: Clock) -> None:
    challenges.open(challenge(at_ms=clock()))
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: challenges.use("n1", WALLET, DOMAIN, CHAIN), range(24)))
    assert sum(one is not None for one in got) == 1


def test_a_wallet_has_so_many_and_keeps_the_youngest(
    challenges: Challenges, clock: Clock, accounts: Connections
) -> None:
    for number in range(OPEN_MAX_WALLET + 3):
        clock.pass_ms(1)
        challenges.open(challenge(f"n{number}", clock()))
    assert count(accounts, "challenges") == OPEN_MAX_WALLET
    assert challenges.use("n2", WALLET, DOMAIN, CHAIN) is None
    assert challenges.use("n3", WALLET, DOMAIN, CHAIN) is not None


def test_there_are_so_many_in_all_until_some_are_over(
    challenges: Challenges, clock: Clock, accounts: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPEN_MAX", 5)
    with ThreadPoolExecutor(4) as pool:
        opening = [
            pool.submit(challenges.open, challenge(f"n{number}", clock(), wallet(number))) for number in range(9)
        ]
    assert sum(isinstance(one.exception(), ChallengesFull) for one in opening) == 4
    assert count(accounts, "challenges") == 5
    clock.pass_ms(CHALLENGE_MS)
    challenges.open(challenge("late", clock(), wallet(99)))
    assert count(accounts, "challenges") == 1


def test_what_is_kept_is_what_is_given(challenges: Challenges, clock: Clock) -> None:
    odd = msgspec.structs.replace(challenge(at_ms=clock()), message="'; DROP TABLE challenges; --\n\\x00 %s ä")
    challenges.open(odd)
    assert challenges.use("n1", WALLET, DOMAIN, CHAIN) == odd
