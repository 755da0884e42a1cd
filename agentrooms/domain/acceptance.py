"""An agent's own word for a deal, given with both of its keys after the lock.

The escrow moves nothing without both agents' session keys; the Ed25519 identity lets anybody see, without
knowing a mandate, that it was this agent that agreed.
"""

from __future__ import annotations

import msgspec
from nacl.signing import SigningKey

from agentrooms.domain import secp256k1
from agentrooms.domain.deal import Acceptance, Terms, deal_digest, deal_hash
from agentrooms.domain.keys import public_hex, sign, verify
from agentrooms.domain.mandate import Mandate

_DOMAIN = b"agentrooms/acceptance/v1\0"


class AgentKeys(msgspec.Struct, frozen=True):
    """An agent's two private keys, 32 bytes each. They sign deals and nothing else; the wallet's key is never here."""

    session: bytes
    identity: bytes

    @property
    def session_address(self) -> str:
        """What a mandate names as its session key."""
        return secp256k1.address_of(self.session)

    @property
    def identity_key(self) -> str:
        """What a mandate names as its identity."""
        return public_hex(SigningKey(self.identity))


def accept(agent: str, terms: Terms, keys: AgentKeys) -> Acceptance:
    """Returns the agent's word for these terms."""
    identity = sign(SigningKey(keys.identity), acceptance_bytes(terms))
    return Acceptance(agent, identity, secp256k1.sign(keys.session, deal_digest(terms)))


def acceptance_bytes(terms: Terms) -> bytes:
    """Returns what an agent's identity signs."""
    return _DOMAIN + bytes.fromhex(deal_hash(terms))


def is_accepted(acceptance: Acceptance, terms: Terms, mandate: Mandate) -> bool:
    """Tells whether both keys that the mandate names have signed these terms."""
    by_session = secp256k1.recover(deal_digest(terms), acceptance.session) == mandate.session_key
    return by_session and verify(mandate.identity, acceptance_bytes(terms), acceptance.identity)
