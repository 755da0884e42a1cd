"""A room clears acts in its own order, drops what no longer holds, obeys people, and is its room's one writer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import msgspec
import pytest

from agentrooms.actors import room as room_
from agentrooms.actors.agent_host import AgentHost
from agentrooms.actors.messages import (
    Accepted,
    Acts,
    Close,
    Decide,
    Message,
    Pause,
    Reconfigure,
    Remove,
    Resume,
    Scheduled,
    Spawn,
    Tick,
    VerifyDeal,
)
from agentrooms.actors.room import RoomActor, RoomLost
from agentrooms.domain.act import Act, Reason
from agentrooms.domain.agent import AgentLeft, AgentPaused, AgentReconfigured, AgentResumed, AgentSpawned
from agentrooms.domain.assets import WantKind, Wants
from agentrooms.domain.deal import DealLocked, DealVerifying
from agentrooms.domain.room import ActPosted, ActsExplained, RoomClosed, RoomStatus
from agentrooms.domain.terms import ActKind, AgentStatus, LeaveReason, StrategyName
from agentrooms.events.journal import Journal
from agentrooms.events.keyring import Keyring
from agentrooms.events.memory import MemoryEventStore
from agentrooms.events.vault import MemoryVault, put_mandate
from agentrooms.language import ScriptedNarrator
from tests.actors.stage import HOST_A, HOST_B, MANDATES, Stage, accept, events, offer, refusals, sent, words_for
from tests.domain import samples
from tests.domain.samples import ROOM, SET, USDC
from tests.events import oracle

WANTS_ONE = Wants(WantKind.ITEMS, ("1",))


def log(stage: Stage) -> list[bytes]:
    return [p.event.data for p in stage.store.read()]


def posted(stage_events: Sequence[object]) -> list[tuple[str, ActKind]]:
    return [(e.agent, e.act) for e in stage_events if isinstance(e, ActPosted)]


# --- Order and drops ------------------------------------------------------------------------------------


def test_the_order_of_acts_is_drawn_not_that_of_arrival() -> None:
    """Five agents act in one round; whatever the order of messages and within them, the log is the same."""
    acts = [offer("agent_b0", 70), offer("agent_b1", 71), offer("agent_s1", 90), offer("agent_s2", 91)]
    logs = set()
    for order in permutations(acts):
        for cut in (0, 2, 4):
            stage = Stage()
            stage.play(*order[:cut], late=order[cut:])
            logs.add(tuple(log(stage)))
    assert len(logs) == 1


def test_the_drawn_order_changes_from_round_to_round() -> None:
    """Nobody is always first."""
    stage = Stage()
    orders = []
    for price in range(70, 80):
        done = events(stage.play(offer("agent_b0", price), offer("agent_b1", price), offer("agent_s1", price + 20)))
        orders.append(tuple(agent for agent, _act in posted(done)))
    assert len(set(orders)) > 2
    assert {len(order) for order in orders} == {3}


def test_of_two_accepts_of_one_quote_the_second_in_order_is_dropped() -> None:
    """One deal; the loser has said nothing, and may act in the next round."""
    stage = Stage()
    stage.play(offer("agent_s1", 90))
    both = [accept(f"agent_b{n}", "agent_s1", 2, 90) for n in (0, 1)]
    done = events(stage.play(*both))
    (winner,) = posted(done)
    (lock,) = [e for e in done if isinstance(e, DealLocked)]
    (explained,) = [e for e in done if isinstance(e, ActsExplained)]
    assert winner == (lock.terms.buyer, ActKind.ACCEPT)
    assert set(explained.reasons) == {lock.terms.buyer}
    (loser,) = {"agent_b0", "agent_b1"} - {lock.terms.buyer}
    assert posted(events(stage.play(offer(loser, 70)))) == [(loser, ActKind.OFFER)]


def test_an_answer_to_a_quote_that_is_gone_is_dropped() -> None:
    """The seller raised its price in the meantime: the old quote cannot be taken, whatever its number."""
    stage = Stage()
    stage.play(offer("agent_s1", 90))
    stage.play(offer("agent_s1", 95))
    assert events(stage.play(accept("agent_b0", "agent_s1", 2, 90))) == []
    taken = events(stage.play(accept("agent_b0", "agent_s1", 3, 95)))
    assert [type(e) for e in taken] == [ActPosted, DealLocked, ActsExplained]


@pytest.mark.parametrize(
    "act",
    [
        offer("agent_b0", 101),
        accept("agent_b0", "agent_s1", 2, 89),
        Act(agent="agent_x", kind=ActKind.COMMENT, reason=Reason("test")),
        Act(agent="agent_b0", kind=ActKind.COMMENT, reason=Reason("test"), to="agent_x"),
        Act(agent="agent_x", kind=ActKind.LEAVE, reason=Reason("test")),
    ],
    ids=["above its limit", "another price", "unknown agent", "to an unknown agent", "unknown agent leaves"],
)
def test_an_act_outside_the_rules_is_dropped_and_the_round_goes_on(act: Act) -> None:
    """A host that misbehaves hurts nobody else."""
    stage = Stage()
    stage.play(offer("agent_s1", 90))
    assert posted(events(stage.play(act, offer("agent_b1", 70)))) == [("agent_b1", ActKind.OFFER)]


def test_a_lock_beyond_the_wallets_budget_is_dropped() -> None:
    """The accept is not posted either."""
    stage = Stage(budget=89)
    stage.play(offer("agent_s1", 90), offer("agent_s2", 89))
    assert events(stage.play(accept("agent_b0", "agent_s1", 2, 90))) == []
    assert len(events(stage.play(accept("agent_b0", "agent_s2", 2, 89)))) == 3


def test_verification_is_asked_for_once_when_both_agents_have_signed() -> None:
    """With the terms and words of the log, at their round's room time; one word alone waits for the other."""
    stage = Stage()
    stage.play(offer("agent_s1", 90))
    sends = stage.play(accept("agent_b0", "agent_s1", 2, 90))
    (lock,) = [e for e in events(sends) if isinstance(e, DealLocked)]
    words = words_for(lock.terms)
    buyers, sellers = (Accepted(lock.terms.deal, word) for word in words)
    assert [sent(sends, VerifyDeal), sent(stage.play(), VerifyDeal)] == [[], []]
    alone = stage.play(words=(buyers,))
    assert (events(alone), sent(alone, VerifyDeal)) == ([], [])
    both = stage.play(words=(sellers,))
    assert events(both) == [DealVerifying(words, lock.terms.deal, 6)]
    assert sent(both, VerifyDeal) == [VerifyDeal(lock.terms, words, samples.START_MS + 6 * samples.ROUND_MS)]
    assert sent(stage.play(words=(buyers, sellers)), VerifyDeal) == []


def test_a_stranger_has_no_word_in_a_deal() -> None:
    """Nor do words for another deal count; a rebuilt room waits for both anew."""
    stage = Stage()
    stage.play(offer("agent_s1", 90))
    (lock,) = [e for e in events(stage.play(accept("agent_b0", "agent_s1", 2, 90))) if isinstance(e, DealLocked)]
    deal, (buyer, seller) = lock.terms.deal, words_for(lock.terms)
    stranger = Accepted(deal, msgspec.structs.replace(seller, agent="agent_b2"))
    other = Accepted("deal_other", seller)
    assert events(stage.play(words=(Accepted(deal, buyer), stranger, other))) == []
    stage.actor = stage.make()
    assert events(stage.play(words=(Accepted(deal, seller),))) == []
    assert events(stage.play(words=(Accepted(deal, buyer),))) == [DealVerifying((buyer, seller), deal, 6)]


def test_hosts_give_their_agents_words_until_the_deal_has_both() -> None:
    """Each host for its own agents, in every round: what was lost on the way is said again."""
    stage = Stage()
    stage.play(offer("agent_s1", 90))
    (lock,) = [e for e in events(stage.play(accept("agent_b0", "agent_s1", 2, 90))) if isinstance(e, DealLocked)]
    signer = Keyring(stage.memory, samples.KEY)

    def said(round_: int) -> list[Accepted]:
        words: list[Accepted] = []
        for address in (HOST_A, HOST_B):
            journal = Journal(stage.store, ROOM)
            host = AgentHost(address, stage.config.hosting, stage.vault, samples.KEY, journal, signer)
            for acts in sent(host.receive(Decide(round_, stage.actor._journal.head.seq, ())), Acts):
                words += acts.accepted
        return words

    both = {Accepted(lock.terms.deal, word) for word in words_for(lock.terms)}
    for round_ in (4, 5):
        assert len(said(round_)) == 2
        assert set(said(round_)) == both
    stage.play(words=tuple(both))
    assert said(6) == []


# --- Rounds ---------------------------------------------------------------------------------------------


def test_a_round_waits_for_all_hosts_and_a_round_that_is_over_is_not_run_again() -> None:
    """Late, doubled and unknown rounds change nothing."""
    stage = Stage()
    assert len(sent(stage.tell(Tick(2)), Decide)) == 2
    assert stage.tell(Acts(1, HOST_B, (offer("agent_b1", 70),))) == []
    assert stage.tell(Acts(2, HOST_A, (offer("agent_b0", 70),))) == []
    before = len(log(stage))
    assert len(events(stage.tell(Acts(2, HOST_B, ())))) == 2
    for again in (Tick(2), Tick(1), Acts(2, HOST_B, (offer("agent_b1", 70),))):
        assert stage.tell(again) == []
    assert len(log(stage)) == before + 2


def test_a_quiet_round_appends_nothing_and_the_next_one_follows() -> None:
    """No event, no line; the clock goes on."""
    stage = Stage()
    before = len(log(stage))
    sends = stage.play()
    assert (events(sends), len(log(stage))) == ([], before)
    assert [(s.message, s.delay_ms) for s in sends] == [(Tick(3), samples.ROUND_MS)]


def test_hosts_get_each_event_once_and_a_rebuilt_room_tells_where_the_log_stands() -> None:
    """News begin where the last ones ended; after a rebuild they begin at the end, and hosts read what they lack."""
    stage = Stage()
    known = list(events(stage.play(offer("agent_s1", 90))))
    (first, _second) = sent(stage.tell(Tick(3)), Decide)
    assert list(first.news) == known
    stage.actor = stage.make()
    (again, _second) = sent(stage.tell(Tick(3)), Decide)
    assert (again.seq, again.news) == (first.seq + len(known), ())
    vault = MemoryVault()
    for mandate in MANDATES.values():
        put_mandate(vault, mandate)
    journal = Journal(stage.store, ROOM)
    signer = Keyring(stage.memory, samples.KEY)
    host = AgentHost(HOST_A, stage.config.hosting, vault, samples.KEY, journal, signer)
    later = AgentHost(HOST_A, stage.config.hosting, vault, samples.KEY, Journal(MemoryEventStore(), ROOM), signer)
    later._journal = Journal(stage.store, ROOM)
    assert host.receive(again) == later.receive(again) != []


def test_a_host_of_its_own_is_asked_as_long_as_its_agent_is_there() -> None:
    """Agents outside of swarms share no host; one without agents is not asked."""
    stage = Stage()
    mandate = samples.buyer_mandate("b9")
    put_mandate(stage.vault, mandate)
    stage.tell(Spawn(samples.spawned("agent_b9", mandate)))
    stage.play()
    assert "agent:agent_b9" in [s.to for s in stage.tell(Tick(3))]
    for host in stage.actor._hosts:
        stage.tell(Acts(3, host, ()))
    stage.round = 3
    stage.tell(Remove("agent_b9"))
    stage.play()
    assert "agent:agent_b9" not in [s.to for s in stage.tell(Tick(5))]


# --- People ---------------------------------------------------------------------------------------------


def test_commands_take_effect_in_the_next_round_in_the_order_they_came() -> None:
    """Pause, resume, reconfigure and remove, each by its event; the room they meet is that of the one before."""
    stage = Stage()
    stage.play(offer("agent_b0", 70))
    for command in (
        Pause("agent_b0"),
        Resume("agent_b0"),
        Reconfigure("agent_b0", strategy=StrategyName.SNIPER),
        Remove("agent_b0"),
        Pause("agent_b0"),
    ):
        assert stage.tell(command) == []
    sends = stage.play()
    assert [type(e) for e in events(sends)] == [AgentPaused, AgentResumed, AgentReconfigured, AgentLeft]
    assert [name for name, _why in refusals(sends)] == ["Pause"]
    left = stage.actor.room.agents["agent_b0"]
    assert (left.left_reason, left.strategy, stage.actor.room.quotes) == (
        LeaveReason.USER_REMOVED,
        StrategyName.SNIPER,
        {},
    )


def test_a_paused_agent_is_silent_until_resumed_and_its_quote_is_retracted() -> None:
    """Acts that were under way are dropped."""
    stage = Stage()
    stage.play(offer("agent_s1", 90))
    stage.tell(Pause("agent_s1"))
    assert posted(events(stage.play(offer("agent_s1", 85), accept("agent_b0", "agent_s1", 2, 90)))) == []
    assert stage.actor.room.quotes == {}
    stage.tell(Resume("agent_s1"))
    assert posted(events(stage.play(offer("agent_s1", 85)))) == [("agent_s1", ActKind.OFFER)]


def test_a_new_mandate_counts_from_its_round_on() -> None:
    """The old limit's quote goes, and the new limit is the guard."""
    stage = Stage()
    stage.play(offer("agent_b0", 90))
    lower = samples.buyer_mandate("b0", reservation_usdc_micros=80 * USDC)
    stage.tell(Reconfigure("agent_b0", mandate_hash=put_mandate(stage.vault, lower)))
    assert posted(events(stage.play(offer("agent_b0", 90)))) == []
    assert stage.actor.room.quotes == {}
    assert posted(events(stage.play(offer("agent_b0", 80)))) == [("agent_b0", ActKind.OFFER)]


def test_an_agent_with_a_live_deal_cannot_be_taken_out() -> None:
    """Every command on it is refused by name, and nothing changes."""
    stage = Stage()
    stage.play(offer("agent_s1", 90))
    stage.play(accept("agent_b0", "agent_s1", 2, 90))
    commands: list[Message] = [
        Pause("agent_b0"),
        Remove("agent_s1"),
        Reconfigure("agent_b0", strategy=StrategyName.PATIENT),
    ]
    for command in commands:
        stage.tell(command)
    sends = stage.play()
    assert [name for name, why in refusals(sends) if "live deal" in why] == ["Pause", "Remove", "Reconfigure"]
    assert stage.actor.room.agents["agent_b0"].status is AgentStatus.DEAL_LOCKED


def test_a_room_closes_when_no_deal_is_live_and_all_leave() -> None:
    """At once without deals; the room's clock stops."""
    stage = Stage()
    stage.play(offer("agent_b0", 90))
    stage.tell(Close())
    sends = stage.play()
    assert [type(e) for e in events(sends)] == [AgentLeft] * 5 + [RoomClosed]
    assert sent(sends, Tick) == []
    assert stage.actor.room.status is RoomStatus.INACTIVE
    late = Spawn(samples.spawned("agent_b9", samples.buyer_mandate("b9")))
    assert refusals(stage.tell(late)) == [("Spawn", "the room is closed")]


def test_closing_waits_for_a_live_deal() -> None:
    """The command stays in the mailbox."""
    stage = Stage()
    stage.play(offer("agent_s1", 90))
    stage.play(accept("agent_b0", "agent_s1", 2, 90))
    stage.tell(Close())
    for _round in range(2):
        assert not any(isinstance(e, RoomClosed) for e in events(stage.play()))
    assert [type(w.command) for w in stage.actor._mailbox] == [Close]


def test_a_scheduled_command_waits_for_its_round() -> None:
    """Not before it, and then once."""
    stage = Stage()
    stage.tell(Scheduled(4, Pause("agent_b0")))
    assert [[type(e) for e in events(stage.play())] for _round in range(4)] == [[], [], [AgentPaused], []]


def test_an_unknown_agent_is_refused_by_name() -> None:
    """Whatever is wanted of it."""
    stage = Stage()
    for command in (Pause("agent_x"), Resume("agent_x"), Remove("agent_x"), Reconfigure("agent_x")):
        stage.tell(command)
    sends = stage.play()
    assert [name for name, why in refusals(sends) if "agent_x is not in room" in why] == [
        "Pause",
        "Resume",
        "Remove",
        "Reconfigure",
    ]
    assert events(sends) == []


def test_a_spawn_sent_twice_joins_once() -> None:
    """And a second one for the same item is refused."""
    stage = Stage()
    mandate, second = samples.buyer_mandate("b9"), samples.seller_mandate("s9", item=samples.item(1))
    put_mandate(stage.vault, mandate)
    put_mandate(stage.vault, second)
    for _time in range(2):
        stage.tell(Spawn(samples.spawned("agent_b9", mandate)))
    stage.tell(Spawn(samples.spawned("agent_s9", second)))
    sends = stage.play()
    assert [e.agent for e in events(sends) if isinstance(e, AgentSpawned)] == ["agent_b9"]
    assert [name for name, _why in refusals(sends)] == ["Spawn"]


def test_a_spawn_without_its_owners_signed_mandate_is_refused() -> None:
    """Not in the vault, signed by another wallet, of another wallet, or for other wants: each is named."""
    stage = Stage()
    mandate = samples.buyer_mandate("b9")
    forged = msgspec.structs.replace(mandate, signature=samples.buyer_mandate("b8").signature)
    others = samples.buyer_mandate("b8")
    stage.tell(Spawn(samples.spawned("agent_b7", samples.buyer_mandate("b7"))))
    put_mandate(stage.vault, forged)
    stage.tell(Spawn(samples.spawned("agent_b9", forged)))
    put_mandate(stage.vault, others)
    stage.tell(Spawn(msgspec.structs.replace(samples.spawned("agent_b8", others), owner=samples.wallet("b9"))))
    stage.tell(Spawn(msgspec.structs.replace(samples.spawned("agent_b8", others), wants=WANTS_ONE)))
    sends = stage.play()
    assert events(sends) == []
    whys = [why for _name, why in refusals(sends)]
    assert ["holds nothing" in whys[0], "is not signed" in whys[1], *("not for this agent" in w for w in whys[2:])] == [
        True
    ] * 4


def test_a_full_mailbox_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """And takes commands again after a round."""
    stage = Stage()
    monkeypatch.setattr(room_, "MAILBOX_MAX", 2)
    for _command in range(2):
        stage.tell(Pause("agent_b0"))
    assert [why for _name, why in refusals(stage.tell(Pause("agent_b0")))] == ["2 commands wait; send them more slowly"]
    stage.play()
    assert stage.tell(Pause("agent_b0")) == []


# --- One writer, many rooms -----------------------------------------------------------------------------


def test_a_room_that_another_process_writes_is_lost() -> None:
    """The old actor stops with a hint and has appended nothing."""
    stage = Stage()
    stage.tell(Tick(2))
    stage.tell(Acts(2, HOST_A, (offer("agent_b0", 70),)))
    usurper = stage.make()
    usurper.receive(Tick(2))
    usurper.receive(Acts(2, HOST_A, (offer("agent_b1", 71),)))
    usurper.receive(Acts(2, HOST_B, ()))
    with pytest.raises(RoomLost) as caught:
        stage.tell(Acts(2, HOST_B, ()))
    assert caught.value.hint != ""
    oracle.check(log(stage))


def test_two_rooms_cannot_lock_one_item_and_the_loser_goes_on_without_that_accept() -> None:
    """The same wallets sell and buy the same item in both rooms; the second lock is dropped, its round is not."""
    first = Stage()
    second = Stage(first.store, "room_2")
    for stage in (first, second):
        stage.play(offer("agent_s1", 90))
    assert any(isinstance(e, DealLocked) for e in events(first.play(accept("agent_b0", "agent_s1", 2, 90))))
    done = events(second.play(accept("agent_b1", "agent_s1", 2, 90), offer("agent_b2", 70)))
    assert posted(done) == [("agent_b2", ActKind.OFFER)]
    oracle.check(log(first))


def test_a_lock_lost_between_decision_and_append_is_decided_again() -> None:
    """The other room's lock comes after this room has loaded: the append conflicts and the round is cleared anew."""
    first = Stage()
    second = Stage(first.store, "room_2")
    for stage in (first, second):
        stage.play(offer("agent_s1", 90))
    first.tell(Tick(3))
    first.tell(Acts(3, HOST_A, (accept("agent_b0", "agent_s1", 2, 90),)))
    store = first.store
    raced: list[bool] = []
    append = store.append

    def racing(*arguments: object) -> object:
        if not raced:
            raced.append(True)
            second.play(accept("agent_b1", "agent_s1", 2, 90))
        return append(*arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "append", racing)
        done = events(first.tell(Acts(3, HOST_B, (offer("agent_b2", 70),))))
    assert posted(done) == [("agent_b2", ActKind.OFFER)]
    oracle.check(log(first))
    assert sum(b'"deal.locked"' in line for line in log(first)) == 1


def test_the_room_is_the_one_of_its_log_after_every_round() -> None:
    """State in memory and state rebuilt are equal."""
    stage = Stage()
    for acts in ((offer("agent_s1", 90), offer("agent_b0", 70)), (accept("agent_b1", "agent_s1", 2, 90),), ()):
        stage.play(*acts)
        assert stage.make().room == stage.actor.room
    assert stage.actor.room.id == ROOM


def test_a_room_that_stood_still_gives_its_deals_time_on_the_chain() -> None:
    """Its own time goes on where it was; the chain's has gone on meanwhile."""
    stage = Stage()
    behind_s = 3_600
    stage.actor = RoomActor(
        stage.config,
        stage.store,
        stage.vault,
        ScriptedNarrator(),
        SET,
        (),
        lambda: samples.START_MS + (stage.round + behind_s) * samples.ROUND_MS,
    )
    stage.play(offer("agent_s1", 90))
    locked = [e for e in events(stage.play(accept("agent_b0", "agent_s1", 2, 90))) if isinstance(e, DealLocked)]
    assert [e.terms.deadline_ms - samples.START_MS for e in locked] == [(3 + behind_s) * samples.ROUND_MS + 50_000]
