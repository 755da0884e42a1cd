"""An agent's word for a deal: both its keys, these terms, this mandate, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.domain.acceptance import AgentKeys, accept, acceptance_bytes, is_accepted
from agentrooms.domain.keys import verify
from tests.domain import samples
from tests.domain.samples import BUYER, SELLER, TERMS, acceptances, agent_keys

replace = msgspec.structs.replace
WORD = acceptances()[0]


def test_both_agents_words_count_under_their_own_mandates() -> None:
    """And under no other."""
    buyer, seller = acceptances()
    counted = [is_accepted(word, TERMS, party.mandate) for word in (buyer, seller) for party in (BUYER, SELLER)]
    assert counted == [True, False, False, True]
    assert (buyer.agent, seller.agent) == (TERMS.buyer, TERMS.seller)


@given(st.sampled_from(["own", "other", "none"]), st.sampled_from(["own", "other", "none"]))
def test_one_key_alone_is_no_word(session: str, identity: str) -> None:
    """The session's for the escrow and the identity's for anybody: each missing or another's spoils it."""
    own, other = agent_keys("buyer"), agent_keys("elsewhere")
    keys = AgentKeys((own if session == "own" else other).session, (own if identity == "own" else other).identity)
    word = accept(TERMS.buyer, TERMS, keys)
    word = replace(
        word,
        session="" if session == "none" else word.session,
        identity="" if identity == "none" else word.identity,
    )
    assert is_accepted(word, TERMS, BUYER.mandate) == ((session, identity) == ("own", "own"))


@pytest.mark.parametrize(
    "changes",
    [
        {"price_usdc_micros": 80_010_000},
        {"deadline_ms": 1},
        {"deal": "deal_other"},
        {"quote": "quote_other"},
        {"item": samples.item(2)},
        {"buyer_mandate": "0" * 64},
        {"room": "room_other"},
        {"set_version": 2},
        {"currency": "0x" + "1" * 40},
        {"chain_id": 1},
        {"escrow": "0x" + "1" * 40},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_word_is_for_all_the_terms(changes: dict[str, Any]) -> None:
    """Also for those that the escrow does not look into, and for one chain and escrow."""
    assert is_accepted(WORD, TERMS, BUYER.mandate)
    assert not is_accepted(WORD, replace(TERMS, **changes), BUYER.mandate)


def test_anybody_can_see_whose_word_it_was() -> None:
    """The identity's signature needs no mandate and no chain: a public key and the terms are enough."""
    assert verify(agent_keys("buyer").identity_key, acceptance_bytes(TERMS), WORD.identity)
    assert not verify(agent_keys("seller").identity_key, acceptance_bytes(TERMS), WORD.identity)
