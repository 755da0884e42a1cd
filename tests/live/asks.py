"""Commands as tests give them; prices in USDC."""

from __future__ import annotations

from agentrooms.chain.ledger import LEDGER
from agentrooms.domain.eip712 import EscrowDomain
from agentrooms.domain.mandate import sign_mandate
from agentrooms.domain.money import USDC_MICROS
from agentrooms.domain.secp256k1 import address_of, derive_secret
from agentrooms.domain.terms import Role, StrategyName, Style
from agentrooms.events.vault import Vault
from agentrooms.live.commands import DraftAgent, EnlistAgent, SpawnAgent
from agentrooms.live.drafts import load_draft


def person_key(name: str) -> bytes:
    """The key of a person's own wallet, which the system does not know."""
    return derive_secret(b"people of tests!", "wallet", name)


def person(name: str) -> str:
    """The address of a person's own wallet."""
    return address_of(person_key(name))


def draft(id_: str, room: str, who: str, role: Role, limit: int, start: int, **more: object) -> DraftAgent:
    """An agent of a person's own wallet."""
    return DraftAgent(
        id=id_,
        wallet=person(who),
        room=room,
        role=role,
        strategy=StrategyName.COMPETITIVE,
        style=Style.CASUAL,
        limit_usdc_micros=limit * USDC_MICROS,
        start_usdc_micros=start * USDC_MICROS,
        **more,  # type: ignore[arg-type]
    )


def enlist(
    id_: str, vault: Vault, draft_id: str, who: str, budget: int = 0, escrow: EscrowDomain = LEDGER.domain
) -> EnlistAgent:
    """The draft with the signature of a person's wallet for an escrow; budget in USDC."""
    signed = sign_mandate(load_draft(vault, draft_id).mandate, escrow, person_key(who))
    return EnlistAgent(
        id=id_,
        draft=draft_id,
        wallet=person(who),
        signature=signed.signature,
        budget_usdc_micros=budget * USDC_MICROS,
    )


def spawn(id_: str, room: str, role: Role, limit: int, start: int, **more: object) -> SpawnAgent:
    """An agent that trades from a limit and a start."""
    return SpawnAgent(
        id=id_,
        room=room,
        role=role,
        strategy=StrategyName.COMPETITIVE,
        style=Style.CASUAL,
        limit_usdc_micros=limit * USDC_MICROS,
        start_usdc_micros=start * USDC_MICROS,
        **more,  # type: ignore[arg-type]
    )


def seller(id_: str, room: str, limit: int = 40, start: int = 60, **more: object) -> SpawnAgent:
    """A seller."""
    return spawn(id_, room, Role.SELLER, limit, start, **more)


def buyer(id_: str, room: str, limit: int = 55, start: int = 30, **more: object) -> SpawnAgent:
    """A buyer."""
    return spawn(id_, room, Role.BUYER, limit, start, **more)
