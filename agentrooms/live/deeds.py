"""What the desk does for a command: decided once, kept in the vault, then done as often as a crash makes it.

A deed holds all that depends on the moment (round, time, which items are taken), so repeating it repeats
the same ids, mandates and events.
"""

from __future__ import annotations

import msgspec

from agentrooms.domain.event import Event
from agentrooms.domain.mandate import SignedMandate
from agentrooms.domain.room import RoomOpened
from agentrooms.errors import InvalidInput
from agentrooms.events.catalogue import BY_TYPE, decode
from agentrooms.events.vault import NotInVault, Vault
from agentrooms.live.commands import Answer
from agentrooms.live.drafts import Draft
from agentrooms.live.watching import Joining, Order


class Fact(msgspec.Struct, frozen=True):
    """An event for the platform's chain, by its catalogue name."""

    type: str
    version: int
    data: msgspec.Raw

    @classmethod
    def of(cls, event: Event) -> Fact:
        """Returns the event as data."""
        entry = BY_TYPE[type(event)]
        return cls(entry.name, entry.version, msgspec.Raw(msgspec.json.encode(event)))

    @property
    def event(self) -> Event:
        """The event."""
        return decode(self.type, self.version, self.data)


class Deed(msgspec.Struct, frozen=True, kw_only=True):
    """All that a command comes to. Secret: it holds mandates, and agents' keys sealed for their room.

    `order` makes the command wait until the room has taken it, `stops` until that swarm has ended.
    """

    command_sha256: str
    at_ms: int
    answer: Answer
    mandates: tuple[SignedMandate, ...] = ()
    keys: dict[str, bytes] = {}
    draft: Draft | None = None
    facts: tuple[Fact, ...] = ()
    opens: RoomOpened | None = None
    order: Order | None = None
    joining: tuple[Joining, ...] = ()
    stops: str = ""


_DEED = msgspec.json.Decoder(Deed)


def deed_cmd(command: str) -> str:
    """Returns the id under which a command's deed is kept, and its effect on the platform's chain is found."""
    return f"desk:{command}"


def recall(vault: Vault, command: str) -> Deed | None:
    """Returns the deed that was decided for a command, None when there is none."""
    try:
        return _DEED.decode(vault.get(deed_cmd(command)))
    except NotInVault:
        return None


def keep(vault: Vault, command: str, deed: Deed) -> Deed:
    """Keeps a deed before it is done."""
    data = msgspec.json.encode(deed)
    vault.put(deed_cmd(command), data)
    return _DEED.decode(data)


def require_same(deed: Deed, command: str, sha256: str) -> None:
    """Raises InvalidInput when the deed was decided for another command of the same id."""
    if deed.command_sha256 != sha256:
        raise InvalidInput(f"another command had the id {command}", hint="give this one an id of its own")
