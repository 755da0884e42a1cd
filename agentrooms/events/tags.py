"""Tags: what an event is about. Queries and append conditions speak of tags; within an event they are sorted."""

from __future__ import annotations

from agentrooms.domain import deal, ledger, user
from agentrooms.domain import swarm as swarms
from agentrooms.domain.collection import CollectionClosed, CollectionRegistered
from agentrooms.domain.deal import Terms
from agentrooms.domain.event import Event
from agentrooms.domain.room import PersonSpoke
from agentrooms.domain.verifier_set import VerifierSetRegistered
from agentrooms.events.record import PLATFORM


def chain_tag(chain: str) -> str:
    """Returns the tag all events of a chain carry; the single writer's fence."""
    return PLATFORM if chain == PLATFORM else f"room:{chain}"


def nft_tag(collection: str, token_id: str) -> str:
    """Returns the tag of one item, across rooms."""
    return f"nft:{collection}/{token_id}"


def wallet_tag(wallet: str) -> str:
    """Returns the tag of one wallet, across rooms."""
    return f"wallet:{wallet}"


def user_tag(user: str) -> str:
    """Returns the tag of what one user says, across rooms."""
    return f"user:{user}"


def swarm_tag(swarm: str) -> str:
    """Returns the tag of one swarm's own events."""
    return f"swarm:{swarm}"


def accused_tag(verifier: str) -> str:
    """Returns the tag by which all accusations of a verifier are found."""
    return f"accused:{verifier}"


def cmd_tag(cmd: str) -> str:
    """Returns the tag by which a command's effect is found again."""
    return f"cmd:{cmd}"


def command_tag(command: str) -> str:
    """Returns the tag, in the line itself, of the command of a person that caused an event."""
    return f"command:{command}"


def lock_tags(terms: Terms) -> tuple[str, str]:
    """Returns the two tags that make a deal's lock, and its end, visible to other rooms.

    They find a mandate's other deals too: a buyer's mandate has one wallet, a seller's one item.
    """
    return nft_tag(terms.collection, terms.item.token_id), wallet_tag(terms.buyer_wallet)


def tags_of(event: Event, chain: str, terms: Terms | None = None, command: str = "") -> tuple[str, ...]:
    """Returns the sorted tags of an event.

    `terms` are those of the deal that a deal event is about, `command` the id of the command that caused it.
    """
    tags = [chain_tag(chain)] if not command else [command_tag(command), chain_tag(chain)]
    agent: str | None = getattr(event, "agent", None)
    if agent is not None:
        return f"agent:{agent}", *tags  # sorted: "agent" comes before "command", "platform" and "room"
    if terms is None and isinstance(event, deal.DealLocked):
        terms = event.terms
    if terms is not None:
        tags += [f"deal:{terms.deal}", f"agent:{terms.buyer}", f"agent:{terms.seller}", *lock_tags(terms)]
    tags += _platform_tags(event)
    return tuple(sorted(tags))


def _platform_tags(event: Event) -> list[str]:
    match event:
        case user.UserRegistered() | user.WalletBudgeted() | ledger.LedgerFunded() | ledger.WalletFueled():
            return [wallet_tag(event.wallet)]
        case PersonSpoke():
            return [user_tag(event.user)]
        case ledger.LedgerMinted():
            return [nft_tag(event.collection, event.token_id)]
        case CollectionRegistered() | CollectionClosed():
            return [f"collection:{event.collection}"]
        case VerifierSetRegistered():
            return ["verifiers"]
        case deal.VerifierAccused():
            return [accused_tag(event.evidence.verifier)]
        case (
            swarms.SwarmStarted()
            | swarms.SwarmPaused()
            | swarms.SwarmResumed()
            | swarms.SwarmSpeedSet()
            | swarms.SwarmCompleted()
        ):
            return [swarm_tag(event.swarm)]
    return []
