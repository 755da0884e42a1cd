"""User, collection, swarm, agent, deal, locks, verifier set: driven by random commands, each decided twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.actors.plans import verifier_keys
from agentrooms.chain.ledger import LEDGER
from agentrooms.consensus.votes import VerifierKeys
from agentrooms.domain import agent, collection, deal, locks, posting, progress, swarm, user, verifier_set
from agentrooms.domain.assets import Item, WantKind, Wants
from agentrooms.domain.deal import Deal, DealState, Decision, FailReason, LateVerdict, Receipt
from agentrooms.domain.eip712 import EscrowDomain
from agentrooms.domain.ids import seed_bytes
from agentrooms.domain.locks import LockRefused, Locks
from agentrooms.domain.terms import AgentStatus, LeaveReason, StrategyName, Style
from agentrooms.domain.verifier_set import VERIFIERS, Verifier, VerifierSet
from agentrooms.errors import Rejection
from agentrooms.events.catalogue import BY_TYPE
from tests.domain import runs, samples

Command = Callable[[Any], Sequence[Any]]
Evolve = Callable[[Any, Any], Any]


def drive(state: Any, evolve: Evolve, commands: Sequence[Command]) -> list[Any]:
    """Decides every command twice and returns the events; asserts on the way what holds of every decider."""
    events: list[Any] = []
    for command in commands:
        before = repr(state)
        try:
            decided = command(state)
        except Rejection as refusal:
            assert refusal.args != ("",)  # noqa: PT017 - whether it refuses is drawn
            continue
        finally:
            assert repr(state) == before, "deciding changed the state"
        for event in decided:
            assert type(event) in BY_TYPE
            now = repr(state)
            following = evolve(state, event)
            assert repr(state) == now, "evolving changed the state it was given"
            state = following
        assert list(command(state)) == [], "the command is not idempotent"
        events += decided
    return events


def check_splits(initial: Any, evolve: Evolve, events: Sequence[Any]) -> None:
    """Asserts that folding from any cut on gives the same state."""

    def fold(state: Any, part: Sequence[Any]) -> Any:
        for event in part:
            state = evolve(state, event)
        return state

    whole = fold(initial, events)
    assert [fold(fold(initial, events[:k]), events[k:]) for k in range(len(events) + 1)] == [whole] * (len(events) + 1)


# --- User -----------------------------------------------------------------------------------------------

ADDRESSES = st.sampled_from([samples.wallet("a"), samples.wallet("b"), samples.wallet("a").upper(), "0x12", ""])


@st.composite
def user_commands(draw: st.DrawFn) -> Command:
    if draw(st.booleans()):
        address = draw(ADDRESSES)
        return lambda state: user.register(state, address)
    budget = draw(st.integers(-5, 5))
    return lambda state: user.set_budget(state, budget)


@given(st.lists(user_commands()))
def test_users(commands: list[Command]) -> None:
    """A wallet becomes one user, once; budgets are never negative."""
    events = drive(user.User(), user.evolve, commands)
    check_splits(user.User(), user.evolve, events)
    assert sum(isinstance(e, user.UserRegistered) for e in events) <= 1
    assert all(e.budget_usdc_micros >= 0 for e in events if isinstance(e, user.WalletBudgeted))


@pytest.mark.parametrize("text", ["", "0x", "0x" + "A" * 40, "0x" + "a" * 41, "0x" + "a" * 39 + "\n", "1x" + "a" * 40])
def test_what_is_no_address_is_refused(text: str) -> None:
    """Only 0x and 40 lower-case hex digits, so that one wallet has one spelling."""
    with pytest.raises(Rejection):
        user.register(user.User(), text)


def test_one_wallet_has_one_user_id() -> None:
    """The id follows from the wallet alone."""
    wallet = samples.wallet("a")
    (event,) = user.register(user.User(), wallet)
    assert event == user.UserRegistered(user.user_id(wallet), wallet)
    with pytest.raises(Rejection):
        user.register(user.evolve(user.User(), event), samples.wallet("b"))


# --- Collection -----------------------------------------------------------------------------------------


@st.composite
def collection_commands(draw: st.DrawFn) -> Command:
    if draw(st.integers(0, 2)) == 0:
        return collection.close
    name = draw(st.sampled_from(["Punks", "Apes", "", "x" * 51]))
    trait = draw(st.sampled_from(["grade", ""]))
    return lambda state: collection.register(state, samples.COLLECTION, name, trait, "common")


@given(st.lists(collection_commands()))
def test_collections(commands: list[Command]) -> None:
    """Terms never change under an address; it closes and opens again."""
    events = drive(collection.Collection(), collection.evolve, commands)
    check_splits(collection.Collection(), collection.evolve, events)
    kinds = [type(e) for e in events]
    expected = [collection.CollectionRegistered, collection.CollectionClosed] * len(kinds)
    assert kinds == expected[: len(kinds)]
    assert len({e for e in events if isinstance(e, collection.CollectionRegistered)}) <= 1


# --- Swarm ----------------------------------------------------------------------------------------------


@st.composite
def swarm_commands(draw: st.DrawFn) -> Command:
    sides = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    name, room = draw(st.sampled_from(["swarm_1", "swarm_2"])), draw(st.sampled_from(["room_1", "room_2"]))
    started = swarm.SwarmStarted(name, room, "0x1", "custom", *sides)
    speed, deals = draw(st.integers(-1, 11)), draw(st.integers(0, 3))
    choices: list[Command] = [
        lambda state: swarm.start(state, started),
        swarm.pause,
        swarm.resume,
        lambda state: swarm.set_speed(state, speed),
        lambda state: swarm.finish(state, deals),
    ]
    return draw(st.sampled_from(choices))


@given(st.lists(swarm_commands(), max_size=20))
def test_swarms(commands: list[Command]) -> None:
    """A swarm starts once, ends once, and nothing happens after its end."""
    events = drive(swarm.Swarm(), swarm.evolve, commands)
    check_splits(swarm.Swarm(), swarm.evolve, events)
    assert [i for i, e in enumerate(events) if isinstance(e, swarm.SwarmStarted)] == ([0] if events else [])
    assert all(not isinstance(e, swarm.SwarmCompleted) for e in events[:-1])
    assert all(e.speed in swarm.SPEEDS for e in events if isinstance(e, swarm.SwarmSpeedSet))
    assert {str(s) for s in swarm.SwarmStatus} == {"running", "paused", "completed"}


# --- Agent ----------------------------------------------------------------------------------------------

BORN = agent.born(samples.spawned("agent_b", samples.BUYER))


@st.composite
def agent_commands(draw: st.DrawFn) -> Command:
    round_, reason = draw(st.integers(1, 9)), draw(st.sampled_from(LeaveReason))
    strategy, style = draw(st.sampled_from(StrategyName)), draw(st.sampled_from(Style))
    choices: list[Command] = [
        lambda state: agent.pause(state, round_),
        lambda state: agent.resume(state, round_),
        lambda state: agent.reconfigure(state, round_, strategy=strategy, style=style),
        lambda state: agent.leave(state, reason, round_),
    ]
    return draw(st.sampled_from(choices))


STARTS = {
    "spawned": BORN,
    "negotiating": agent.spoke(BORN, priced=True),
    "locked": agent.locked(BORN, "deal_1"),
    "completed": agent.released(agent.locked(BORN, "deal_1"), completed=True),
    "released": agent.released(agent.locked(BORN, "deal_1"), completed=False),
}


@pytest.mark.parametrize("start", STARTS)
@given(commands=st.lists(agent_commands(), max_size=15))
def test_agents(start: str, commands: list[Command]) -> None:
    """Leaving is for good and happens once; pausing gives back the status it took; a live deal forbids all three."""
    before = STARTS[start]
    events = drive(before, agent.evolve, commands)
    check_splits(before, agent.evolve, events)
    assert all(not isinstance(e, agent.AgentLeft) for e in events[:-1])
    after = before
    for event in events:
        following = agent.evolve(after, event)
        if isinstance(event, agent.AgentResumed):
            assert following.status is before.status
        after = following
    if start == "locked":
        assert events == []
    if start == "completed":
        assert (after.status, events[:-1]) == (AgentStatus.COMPLETED, [])


def test_an_agent_is_active_from_its_first_word_and_negotiating_from_its_first_price() -> None:
    """The status says how far it got, and a word without a price never takes it back."""
    active = agent.spoke(BORN, priced=False)
    negotiating = agent.spoke(active, priced=True)
    assert [a.status for a in (BORN, active, negotiating, agent.spoke(negotiating, priced=False))] == [
        "spawned",
        "active",
        "negotiating",
        "negotiating",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "n" * 51},
        {"avatar": "a" * 11},
        {"item": samples.ITEM},
        {"wants": None},
        {"role": "seller"},
        {"name": " Mira"},
        {"name": "Mira\n"},
        {"name": "Zoe\u0308"},
        {"name": "\u202eariM"},
        {"name": "Mi\u200bra"},
        {"name": "Mi\u2028ra"},
        {"name": "Mi\ufeffra"},
        {"avatar": "\u2066a"},
        {"owner": "0x\u0000"},
        {"agent": "agent_\u00adb"},
        {"wants": Wants(WantKind.ITEMS)},
        {"wants": Wants(WantKind.TRAITS)},
        {"wants": Wants(WantKind.ITEMS, ("1 ",))},
        {"wants": Wants(WantKind.TRAITS, traits={"gra\u200bde": "rare"})},
        {"wants": Wants(WantKind.TRAITS, traits={"grade": "\u202erare"})},
        {"role": "seller", "wants": None, "item": Item("1", "Punk\t", {})},
        {"role": "seller", "wants": None, "item": Item("\u200e1", "Punk", {})},
        {"role": "seller", "wants": None, "item": Item("1", "Punk", {"grade": "e\u0301"})},
    ],
)
def test_a_spawn_that_does_not_fit_is_refused(changes: dict[str, Any]) -> None:
    """Each rule alone."""
    event = samples.spawned("agent_b", samples.BUYER)
    agent.check_spawn(event)
    fields = {**msgspec.to_builtins(event), **{k: msgspec.to_builtins(v) for k, v in changes.items()}}
    with pytest.raises(Rejection):
        agent.check_spawn(msgspec.convert(fields, agent.AgentSpawned))


@pytest.mark.parametrize("avatar", ["🦊", "❤️‍🔥", "👩🏽‍💻", "🏳️‍🌈"])  # joiners, variation selectors, skin tones
def test_an_emoji_of_several_parts_is_an_avatar(avatar: str) -> None:
    agent.check_spawn(msgspec.structs.replace(samples.spawned("agent_b", samples.BUYER), avatar=avatar))


# --- Deal -----------------------------------------------------------------------------------------------

LOCKED = deal.born(posting.lock(samples.TERMS, 5))
WORDS = samples.acceptances()


def receipt(tx_hash: str = "0x1", *, succeeded: bool = True) -> Receipt:
    return Receipt(1, "h", 1, "" if succeeded else "why", succeeded, tx_hash)


@st.composite
def deal_commands(draw: st.DrawFn) -> Command:
    round_, decision = draw(st.integers(6, 9)), draw(st.sampled_from(Decision))
    tx_hash, reason = draw(st.sampled_from(["0x1", "0x1", "0x2"])), draw(st.sampled_from(FailReason))
    succeeded = draw(st.booleans())
    choices: list[Command] = [
        lambda state: deal.verify(state, WORDS, round_),
        lambda state: deal.certify(state, decision, samples.votes(7), round_),
        lambda state: deal.submit(state, tx_hash, round_),
        lambda state: deal.complete(state, receipt(tx_hash, succeeded=succeeded), round_),
        lambda state: deal.fail(state, reason, "why", (), round_),
    ]
    return draw(st.sampled_from(choices))


@given(st.lists(deal_commands(), max_size=25))
def test_deals(commands: list[Command]) -> None:
    """One decision, one end, in this order, whatever verdicts come and however late; only transactions may be several.

    How far it is, as people are shown it, never goes back.
    """
    events = drive(LOCKED, deal.evolve, commands)
    check_splits(LOCKED, deal.evolve, events)
    kinds = [type(e).__name__ for e in events]
    order = ["DealVerifying", "DealCertified", "EscrowSubmitted", "DealCompleted", "DealFailed"]
    assert kinds == [k for kind in order for k in kinds if k == kind]
    assert all(kinds.count(kind) <= 1 for kind in order if kind != "EscrowSubmitted")
    assert not {"DealCompleted", "DealFailed"} <= set(kinds)
    decisions = [e.decision for e in events if isinstance(e, deal.DealCertified)]
    if "DealCompleted" in kinds:
        assert decisions == [Decision.APPROVE]
    for event in events:
        if isinstance(event, deal.DealFailed):
            assert (event.reason is FailReason.REJECTED) == (decisions == [Decision.REJECT])
    percents = [progress.of_deal(state)[1] for state in states(LOCKED, events)]
    assert percents == sorted(percents)
    assert (percents[-1] == 100) == (kinds[-1:] in (["DealCompleted"], ["DealFailed"]))


def states(start: Deal, events: Sequence[Any]) -> list[Deal]:
    """The deal before, between and after the events."""
    return list(accumulate(events, deal.evolve, initial=start))


@given(st.integers(0, VERIFIERS), st.integers(0, 300), st.integers(1, 300))
def test_progress_never_goes_back_along_a_deal(votes: int, confirmations: int, wanted: int) -> None:
    """Votes, then the transaction, then its confirmations: each shows at least as much as what came before."""
    shown = [
        progress.of_deal(LOCKED),
        *(progress.by_votes(count) for count in range(votes + 1)),
        progress.of_deal(EXECUTING),
        *(progress.by_confirmations(count, wanted) for count in range(confirmations + 1)),
        progress.of_deal(COMPLETED),
    ]
    percents = [percent for _stage, percent in shown]
    assert percents == sorted(percents)
    assert max(percents[:-1]) < 100
    order = list(progress.Stage)
    stages = [order.index(stage) for stage, _percent in shown]
    assert stages == sorted(stages)


VERIFYING = deal.evolve(LOCKED, deal.verify(LOCKED, WORDS, 6)[0])
EXECUTING = deal.evolve(
    VERIFYING,
    deal.DealCertified(deal=samples.TERMS.deal, decision=Decision.APPROVE, round=7, set_version=1, votes=()),
)
SUBMITTED = deal.evolve(EXECUTING, deal.EscrowSubmitted(samples.TERMS.deal, 7, "0x1"))
COMPLETED = deal.evolve(SUBMITTED, deal.DealCompleted(samples.TERMS.deal, receipt(), 9))
FAILED = deal.evolve(SUBMITTED, deal.DealFailed((), samples.TERMS.deal, "", FailReason.EXPIRED, 9))

LATE: list[tuple[str, Deal, Command]] = [
    ("reject after approve", EXECUTING, lambda d: deal.certify(d, Decision.REJECT, (), 8)),
    ("certificate before the ask", LOCKED, lambda d: deal.certify(d, Decision.APPROVE, (), 8)),
    ("submit before approval", LOCKED, lambda d: deal.submit(d, "0x1", 8)),
    ("the seller's word as the buyer's", LOCKED, lambda d: deal.verify(d, (WORDS[1], WORDS[0]), 8)),
    ("one agent's word twice", LOCKED, lambda d: deal.verify(d, (WORDS[0], WORDS[0]), 8)),
    ("transaction after the end", COMPLETED, lambda d: deal.submit(d, "0x2", 10)),
    ("reverted receipt as success", SUBMITTED, lambda d: deal.complete(d, receipt(succeeded=False), 8)),
    ("receipt before approval", LOCKED, lambda d: deal.complete(d, receipt(), 8)),
    ("rejection after approval", SUBMITTED, lambda d: deal.fail(d, FailReason.REJECTED, "", (), 8)),
    ("receipt before the certificate", VERIFYING, lambda d: deal.complete(d, receipt(), 8)),
    ("rejection without a certificate", VERIFYING, lambda d: deal.fail(d, FailReason.REJECTED, "", (), 8)),
    ("another receipt after the end", COMPLETED, lambda d: deal.complete(d, receipt("0x2"), 10)),
    ("failure after completion", COMPLETED, lambda d: deal.fail(d, FailReason.EXPIRED, "", (), 10)),
    ("completion after failure", FAILED, lambda d: deal.complete(d, receipt(), 10)),
    ("another failure after failure", FAILED, lambda d: deal.fail(d, FailReason.REJECTED, "", (), 10)),
    ("certificate after the end", FAILED, lambda d: deal.certify(d, Decision.REJECT, (), 10)),
]


@pytest.mark.parametrize(("state", "command"), [case[1:] for case in LATE], ids=[case[0] for case in LATE])
def test_a_late_verdict_is_refused(state: Deal, command: Command) -> None:
    """What comes too late, too early or about something else changes nothing."""
    with pytest.raises(LateVerdict):
        command(state)


def test_an_approved_deal_still_ends_by_expiry_on_chain() -> None:
    """The chain's word alone ends it; and a deal that waits for its votes may expire as well."""
    for state in (LOCKED, VERIFYING, EXECUTING, SUBMITTED):
        (event,) = deal.fail(state, FailReason.EXPIRED, "unused", (), 9)
        assert deal.evolve(state, event).state is DealState.FAILED


def test_a_deal_is_completed_by_whichever_transaction_executed_it() -> None:
    """Its own, one that took a stuck one's place, or a stranger's: the escrow swaps the same."""
    resubmitted = deal.evolve(SUBMITTED, deal.submit(SUBMITTED, "0x2", 8)[0])
    assert resubmitted.tx_hash == "0x2"
    for tx_hash in ("0x1", "0x2", "0x3"):
        (event,) = deal.complete(resubmitted, receipt(tx_hash), 9)
        assert deal.evolve(resubmitted, event).receipt == receipt(tx_hash)


def test_an_accusation_moves_no_deal() -> None:
    """It is about a verifier; the deal goes on as it was."""
    accused = deal.VerifierAccused(samples.TERMS.deal, deal.Misbehaviour(kind="k", verifier="v", votes=()), 8)
    for state in (LOCKED, VERIFYING, EXECUTING, SUBMITTED, COMPLETED, FAILED):
        assert deal.evolve(state, accused) is state


# --- Locks ----------------------------------------------------------------------------------------------

OTHER_ITEM = samples.seller_mandate("other", item=samples.item(2))
SECOND = samples.buyer_mandate(counter=1)  # the same wallet's next mandate
OTHER = samples.terms_of(buyer=SECOND, seller=OTHER_ITEM, agents=("agent_b2", "agent_s2"), room="room_2")


def held(*events: Any, budget: int = 200) -> Locks:
    return locks.fold([user.WalletBudgeted(samples.wallet("buyer"), budget * samples.USDC), *events])


def test_the_first_lock_wins() -> None:
    """The same item, or either agent, cannot be locked again while the deal lives."""
    live = held(posting.lock(samples.TERMS, 5))
    elsewhere = samples.buyer_mandate("elsewhere")
    again = {
        "item 1 is locked": samples.terms_of(buyer=elsewhere, agents=("agent_b2", "agent_s2"), room="room_2"),
        "agent agent_b is locked": samples.terms_of(buyer=SECOND, seller=OTHER_ITEM, agents=("agent_b", "agent_s2")),
        "mandate .* is locked": samples.terms_of(seller=OTHER_ITEM, agents=("agent_b2", "agent_s2")),
        "agent agent_s is locked": samples.terms_of(buyer=elsewhere, seller=OTHER_ITEM, agents=("agent_b2", "agent_s")),
    }
    for message, terms in again.items():
        with pytest.raises(LockRefused, match=message):
            locks.check_lock(live, terms)
    locks.check_lock(live, OTHER)


def test_a_mandate_has_one_fill() -> None:
    """Once its deal is completed it locks nothing more, whatever budget is left; a failed deal spends nothing."""
    lock = posting.lock(samples.TERMS, 5)
    again = samples.terms_of(seller=OTHER_ITEM, agents=("agent_b2", "agent_s2"), round_=30)
    with pytest.raises(LockRefused, match="one fill"):
        locks.check_lock(held(lock, deal.DealCompleted(samples.TERMS.deal, receipt(), 9), budget=999), again)
    failed = deal.DealFailed((), samples.TERMS.deal, "", FailReason.EXPIRED, 9)
    locks.check_lock(held(lock, failed, budget=999), again)


def test_a_wallet_locks_no_more_than_its_budget() -> None:
    """Reserved and spent money count; a failed deal gives its reserve back."""
    lock = posting.lock(samples.TERMS, 5)
    completed = deal.DealCompleted(samples.TERMS.deal, receipt(), 9)
    failed = deal.DealFailed((), samples.TERMS.deal, "", FailReason.EXPIRED, 9)
    free = [held(*e, budget=159).free_usdc_micros(samples.wallet("buyer")) for e in ([], [lock], [lock, completed])]
    assert free == [159 * samples.USDC, 79 * samples.USDC, 79 * samples.USDC]
    for events in ([lock], [lock, completed]):
        with pytest.raises(LockRefused, match="may lock 79000000 more"):
            locks.check_lock(held(*events, budget=159), OTHER)
    locks.check_lock(held(lock, failed, budget=159), OTHER)
    locks.check_lock(held(lock, budget=160), OTHER)
    with pytest.raises(LockRefused):
        locks.check_lock(Locks(), samples.TERMS)


@pytest.mark.parametrize("name", runs.RUNS)
def test_locks_fold_in_parts_as_at_once(name: str) -> None:
    """Over whole runs: no cut and no repeated evolve shows, and no lock is left at the end."""
    events = [r.event for r in runs.recorded(*runs.RUNS[name])]
    check_splits(Locks(), locks.evolve, events)
    assert locks.fold(events).live == {}


# --- Verifier set ---------------------------------------------------------------------------------------


ELSEWHERE = EscrowDomain(LEDGER.chain_id + 1, LEDGER.escrow)
OTHER_ESCROW = EscrowDomain(LEDGER.chain_id, "0x" + "f" * 40)


def stranger(name: str, seed: str = "others") -> Verifier:
    """A verifier of another secret under some name."""
    return verifier_keys(seed_bytes(seed), name).member(name)


def register(members: tuple[Verifier, ...], state: VerifierSet) -> Sequence[Any]:
    return verifier_set.register(state, LEDGER.domain, members)


@given(st.lists(st.permutations(samples.MEMBERS).map(lambda p: tuple(p[:7])), max_size=5))
def test_registering_the_same_members_in_any_order_changes_nothing(sets: list[tuple[Verifier, ...]]) -> None:
    """A set has no order, and its version counts changes only."""
    commands: list[Command] = [partial(register, members) for members in sets]
    events = drive(VerifierSet(), verifier_set.evolve, commands)
    assert events == events[:1]
    check_splits(VerifierSet(), verifier_set.evolve, events)


def test_a_new_set_is_a_new_version() -> None:
    """Another key, chain or escrow is another set."""
    (first,) = register(samples.MEMBERS, VerifierSet())
    current = verifier_set.evolve(VerifierSet(), first)
    assert current == samples.SET
    changed = (stranger("verifier_1"), *samples.MEMBERS[1:])
    others = [(LEDGER.domain, changed), (ELSEWHERE, samples.MEMBERS), (OTHER_ESCROW, samples.MEMBERS)]
    assert [verifier_set.register(current, *other)[0].version for other in others] == [2, 2, 2]


def same_keys(statement_of: str, attestation_of: str, name: str) -> Verifier:
    """A verifier that uses the keys of others, both of which it has."""
    statement, attestation = verifier_keys(samples.KEY, statement_of), verifier_keys(samples.KEY, attestation_of)
    return VerifierKeys(statement.statement, attestation.attestation).member(name)


@pytest.mark.parametrize(
    "members",
    [
        (),
        samples.MEMBERS[:6],
        (*samples.MEMBERS, stranger("verifier_8")),
        (*samples.MEMBERS[:6], samples.MEMBERS[0]),
        (*samples.MEMBERS[:6], same_keys("verifier_1", "verifier_8", "verifier_8")),
        (*samples.MEMBERS[:6], same_keys("verifier_8", "verifier_1", "verifier_8")),
        (*samples.MEMBERS[:6], stranger("verifier_1")),
    ],
    ids=["none", "six", "eight", "one twice", "one key twice", "one address twice", "one name twice"],
)
def test_only_seven_distinct_members_are_a_set(members: tuple[Verifier, ...]) -> None:
    """Six honest ones and a copy would be six."""
    assert all(map(verifier_set.is_bound, members))
    with pytest.raises(Rejection, match="exactly 7"):
        register(members, VerifierSet())


BOND_FIELDS = ("id", "public_key", "address", "address_proof", "public_key_proof")


@given(st.sets(st.sampled_from(BOND_FIELDS)))
def test_nobody_registers_a_key_that_is_not_its_own(taken: set[str]) -> None:
    """Each field alone, and each mixture, taken from another verifier breaks the bond of the two keys."""
    own, other = samples.MEMBERS[6], stranger("verifier_8")
    mixed = msgspec.structs.replace(own, **{name: getattr(other, name) for name in taken})
    assert verifier_set.is_bound(mixed) == (taken in (set(), set(BOND_FIELDS)))
    if not verifier_set.is_bound(mixed):
        with pytest.raises(Rejection, match="have not signed for each other"):
            register((*samples.MEMBERS[:6], mixed), VerifierSet())
