"""Drafts: agents of people's own wallets that wait for the wallet's signature. Secret: a draft holds the mandate."""

from __future__ import annotations

import msgspec

from agentrooms.domain.agent import AgentSpawned
from agentrooms.domain.mandate import Mandate
from agentrooms.errors import Rejection
from agentrooms.events.vault import NotInVault, Vault

DRAFT_MS = 900_000  # in which the wallet may sign


class UnknownDraft(Rejection):
    """No draft has this id."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that is not there yet: its unsigned mandate, and as what it would join its room.

    `keys` are the agent's two, sealed for the room, by the name under which they are kept.
    """

    id: str
    room: str
    made_at_ms: int
    mandate: Mandate
    spawned: AgentSpawned
    keys: dict[str, bytes]

    @property
    def expires_at_ms(self) -> int:
        """Until when it can be enlisted, by the wall's clock."""
        return self.made_at_ms + DRAFT_MS


_DRAFT = msgspec.json.Decoder(Draft)


def draft_entry(draft: Draft) -> dict[str, bytes]:
    """Returns under which name and as what bytes a vault keeps a draft."""
    return {_name(draft.id): msgspec.json.encode(draft)}


def load_draft(vault: Vault, draft_id: str) -> Draft:
    """Returns a draft, also one that has expired or was enlisted. Raises UnknownDraft."""
    try:
        return _DRAFT.decode(vault.get(_name(draft_id)))
    except (NotInVault, msgspec.DecodeError):
        raise UnknownDraft(f"there is no draft {draft_id[:100]!a}", hint="draft the agent, then sign it") from None


def _name(draft_id: str) -> str:
    return f"draft/{draft_id}"
