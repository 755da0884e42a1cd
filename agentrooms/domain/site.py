"""Where deals settle: one chain, one escrow on it, the money it moves, the collection the demo trades."""

from __future__ import annotations

import msgspec

from agentrooms.domain.eip712 import EscrowDomain


class Site(msgspec.Struct, frozen=True):
    """A chain's id and addresses of contracts, in lower-case hex."""

    chain_id: int
    escrow: str
    currency: str
    collection: str

    @property
    def domain(self) -> EscrowDomain:
        """The escrow that mandates and deals are signed for."""
        return EscrowDomain(self.chain_id, self.escrow)
