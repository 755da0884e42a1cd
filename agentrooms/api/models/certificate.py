"""What proves a deal, as it goes out: its evidence without a word of what either mandate says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from agentrooms.api.models.base import Wire
from agentrooms.api.models.records import wire_of, wired
from agentrooms.sim.evidence import Evidence

if TYPE_CHECKING:
    Proof = Wire
else:
    Proof = wire_of(Evidence)


class CertificateAnswer(Wire):
    """All that proves a deal, and what came of checking it."""

    certificate: Proof
    wrong: tuple[str, ...] = Field(
        description="What does not hold; empty when all that could be checked does", examples=[[]]
    )
    missing: tuple[str, ...] = Field(description="What could not be checked, and why", examples=[[]])


def certificate_of(evidence: Evidence) -> CertificateAnswer:
    """Returns the evidence of a deal; the model has no place for a mandate."""
    return CertificateAnswer(certificate=wired(evidence), wrong=evidence.wrong(), missing=evidence.missing())
