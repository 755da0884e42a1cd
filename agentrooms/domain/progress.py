"""How far a deal's settlement is, for people: a stage and a number from 0 to 100."""

from __future__ import annotations

from enum import StrEnum

from agentrooms.domain.deal import Deal, DealState
from agentrooms.domain.verifier_set import QUORUM

APPROVED = 65  # percent, with a certificate and no transaction yet
MINED = 80  # in a block


class Stage(StrEnum):
    """What settlement is busy with; the values are those of the socket contract."""

    OWNERSHIP = "ownership"
    BALANCE = "balance"
    CONSENSUS = "consensus"
    EXECUTION = "execution"
    CONFIRMATION = "confirmation"


def by_votes(votes: int) -> tuple[Stage, int]:
    """Returns stage and percent while verifiers answer: each looks at owner and money before it votes."""
    if votes == 0:
        return Stage.OWNERSHIP, 10
    if votes == 1:
        return Stage.BALANCE, 25
    return Stage.CONSENSUS, min(60, 30 + 30 * votes // QUORUM)


def by_confirmations(confirmations: int, wanted: int) -> tuple[Stage, int]:
    """Returns stage and percent once the transaction was sent; 0 confirmations: it is in no block yet."""
    if confirmations == 0:
        return Stage.EXECUTION, 75
    return Stage.CONFIRMATION, min(99, MINED + 20 * confirmations // max(1, wanted))


def of_state(state: DealState, *, decided: bool, sent: bool) -> tuple[Stage, int]:
    """Returns stage and percent of a deal in a state: with a certificate or not, with a transaction or not."""
    match state:
        case DealState.LOCKED:
            return Stage.OWNERSHIP, 5
        case DealState.VERIFYING:
            return by_votes(0)
        case DealState.EXECUTING:
            return by_confirmations(0, 1) if sent else (Stage.EXECUTION, APPROVED)
        case DealState.COMPLETED:
            return Stage.CONFIRMATION, 100
        case DealState.FAILED:
            return Stage.CONSENSUS if decided else Stage.OWNERSHIP, 100


def of_deal(deal: Deal) -> tuple[Stage, int]:
    """Returns stage and percent as far as the log tells."""
    return of_state(deal.state, decided=deal.decision is not None, sent=deal.tx_hash is not None)


def further(known: tuple[Stage, int], told: int | None) -> tuple[Stage, int]:
    """Returns what is further: stage and percent by the log, or the percent last told.

    Settlement that was made anew begins again; who watches has seen more by then, and shall not see it fall.
    """
    return known if told is None or told <= known[1] else (at_percent(told), told)


def at_percent(percent: int) -> Stage:
    """Returns the stage of a deal that is not over and so far."""
    return next(stage for least, stage in _FROM if percent >= least)


_FROM = (
    (MINED, Stage.CONFIRMATION),
    (APPROVED, Stage.EXECUTION),
    (by_votes(2)[1], Stage.CONSENSUS),
    (by_votes(1)[1], Stage.BALANCE),
    (0, Stage.OWNERSHIP),
)
