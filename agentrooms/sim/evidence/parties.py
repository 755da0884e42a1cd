"""Both sides of a deal: their mandates and their agents' words, with each signature checked."""

from __future__ import annotations

from collections.abc import Mapping

from agentrooms.domain import secp256k1
from agentrooms.domain.acceptance import acceptance_bytes
from agentrooms.domain.agent import AgentSpawned
from agentrooms.domain.deal import Acceptance, Terms, deal_digest
from agentrooms.domain.explain import explain
from agentrooms.domain.keys import verify
from agentrooms.domain.mandate import SignedMandate, breach, is_signed
from agentrooms.domain.secp256k1 import SIGNATURE_BYTES
from agentrooms.domain.terms import Role
from agentrooms.events.vault import NotInVault, Vault, get_mandate
from agentrooms.sim.evidence.records import OK, Checked, Party, Word, bad, holds, unchecked

SEALED = "its mandate is a secret, and the vault is not at hand"


def secret(vault: Vault | None, key: str) -> bytes | None:
    """Returns the vault's entry of a key, None when there is none. Raises StoreError."""
    try:
        return vault.get(key) if vault is not None else None
    except NotInVault:
        return None


def mandate(vault: Vault | None, key: str) -> SignedMandate | None:
    """Returns the signed mandate of a hash, None when it is not at hand. Raises StoreError."""
    try:
        return get_mandate(vault, key) if vault is not None else None
    except NotInVault:
        return None


def parties(
    terms: Terms,
    words: tuple[Acceptance, ...],
    spawned: Mapping[str, AgentSpawned],
    vault: Vault | None,
    locked_at_ms: int,
    *,
    secrets: bool,
) -> tuple[Party, Party]:
    """Returns buyer and seller; with `secrets` also what their mandates say."""
    sides = (
        (Role.BUYER, terms.buyer, terms.buyer_wallet, terms.buyer_mandate),
        (Role.SELLER, terms.seller, terms.seller_wallet, terms.seller_mandate),
    )
    buyer, seller = (
        _party(*side, terms, words, spawned.get(side[1]), _of(vault, side[3]), locked_at_ms, secrets=secrets)
        for side in sides
    )
    return buyer, seller


def _of(vault: Vault | None, key: str) -> SignedMandate | Checked:
    """Returns a mandate, or what there is to say of one that cannot be had."""
    if vault is None or secret(vault, key) is None:
        return unchecked(SEALED)
    found = mandate(vault, key)
    return found if found is not None else bad("what the vault holds for it has another hash")


def _party(
    role: Role,
    agent: str,
    wallet: str,
    key: str,
    terms: Terms,
    words: tuple[Acceptance, ...],
    spawned: AgentSpawned | None,
    signed: SignedMandate | Checked,
    locked_at_ms: int,
    *,
    secrets: bool,
) -> Party:
    word = next((one for one in words if one.agent == agent), None)
    known = signed if isinstance(signed, SignedMandate) else None
    return Party(
        role=role,
        agent=agent,
        name=spawned.name if spawned is not None else "",
        avatar=spawned.avatar if spawned is not None else "",
        wallet=wallet,
        mandate_hash=key,
        signed=_signed(signed, terms, wallet) if isinstance(signed, SignedMandate) else signed,
        within=_within(known, role, terms, locked_at_ms) if known is not None else unchecked(SEALED),
        word=_word(word, terms, known) if word is not None else None,
        mandate=known.mandate if secrets and known is not None else None,
    )


def _signed(signed: SignedMandate, terms: Terms, wallet: str) -> Checked:
    if signed.mandate.principal != wallet:
        return bad(f"it is that of {signed.mandate.principal}")
    if is_signed(signed, terms.domain):
        return OK
    if len(signed.signature) != 2 * SIGNATURE_BYTES:
        return unchecked("it is signed as contracts' wallets do: only the chain can tell")
    return bad(f"its signature is not by {wallet}")


def _within(signed: SignedMandate, role: Role, terms: Terms, at_ms: int) -> Checked:
    """Checks the deal against the limits, without telling any of them."""
    if signed.mandate.role is not role:
        return bad(explain(f"{role}_mandate_invalid:role"))
    broken = breach(signed.mandate, terms.item, terms.price_usdc_micros, at_ms)
    return OK if broken is None else bad(explain(f"{role}_mandate_invalid:{broken}"))


def _word(word: Acceptance, terms: Terms, signed: SignedMandate | None) -> Word:
    signer = secp256k1.recover(deal_digest(terms), word.session)
    return Word(
        session=word.session,
        session_key=signer or "",
        session_checked=_by_session(signer, signed),
        identity=word.identity,
        identity_checked=_by_identity(word, terms, signed),
    )


def _by_session(signer: str | None, signed: SignedMandate | None) -> Checked:
    if signer is None:
        return bad("it is no signature")
    if signed is None:
        return unchecked(f"it is by {signer}; {SEALED}")
    due = signed.mandate.session_key
    return holds(signer == due, f"it is by {signer}, the mandate names {due}")


def _by_identity(word: Acceptance, terms: Terms, signed: SignedMandate | None) -> Checked:
    if signed is None:
        return unchecked(SEALED)
    own = verify(signed.mandate.identity, acceptance_bytes(terms), word.identity)
    return holds(own, "it is not by the identity that the mandate names")
