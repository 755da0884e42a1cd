"""Sets of tokens as a root: members prove, others do not, against a tree built the plain way."""

from __future__ import annotations

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from agentrooms.domain import merkle

TOKENS = st.one_of(st.integers(0, 40), st.integers(0, 2**256 - 1))
SETS = st.sets(TOKENS, min_size=1, max_size=33)


def leaf(token: int) -> bytes:
    return bytes(keccak(keccak(encode(["uint256"], [token]))))


def node(tree: list[bytes], at: int) -> bytes:
    """The hash of a node, from the leaves up, as OpenZeppelin numbers them: the first leaf stands last."""
    inner = len(tree) - 1
    if at >= inner:
        return tree[2 * inner - at]
    return bytes(keccak(b"".join(sorted([node(tree, 2 * at + 1), node(tree, 2 * at + 2)]))))


@given(SETS)
def test_every_member_proves_its_place(tokens: set[int]) -> None:
    """Its proof leads from its leaf to the root, which is that of the plain tree, and is no longer than the tree is deep."""
    root = merkle.root(tokens)
    assert root == node(sorted(map(leaf, tokens)), 0)
    for token in tokens:
        proof = merkle.proof(tokens, token)
        assert merkle.climb(leaf(token), proof) == root
        assert len(proof) <= (len(tokens) - 1).bit_length()


@given(SETS, TOKENS)
def test_no_other_token_proves_anything(tokens: set[int], other: int) -> None:
    """Neither is there a proof for it, nor does one of a member serve it."""
    if other in tokens:
        return
    with pytest.raises(ValueError, match="not in the set"):
        merkle.proof(tokens, other)
    root = merkle.root(tokens)
    proofs = {merkle.proof(tokens, token) for token in tokens} | {()}
    assert all(merkle.climb(leaf(other), proof) != root for proof in proofs)


@given(SETS, st.data())
def test_an_inner_node_is_no_leaf(tokens: set[int], data: st.DataObject) -> None:
    """A leaf is hashed twice, so no part of a proof is the leaf of a token."""
    token = data.draw(st.sampled_from(sorted(tokens)))
    proof = merkle.proof(tokens, token)
    shorter = [proof[cut:] for cut in range(1, len(proof) + 1)]
    assert all(merkle.climb(leaf(token), cut) != merkle.root(tokens) for cut in shorter)


@given(st.lists(TOKENS, max_size=12).flatmap(lambda tokens: st.tuples(st.just(tokens), st.permutations(tokens))))
def test_a_set_has_one_root(lists: tuple[list[int], list[int]]) -> None:
    """Order and repetition do not show; other tokens do."""
    tokens, shuffled = lists
    assert merkle.root(tokens) == merkle.root([*shuffled, *tokens])
    assert merkle.root({*tokens, 2**255}) != merkle.root(set(tokens) - {2**255})


def test_one_item_is_its_leaf_and_none_is_any() -> None:
    """As the escrow has it: an empty proof, and the zero word."""
    assert (merkle.root([7]), merkle.proof([7], 7)) == (leaf(7), ())
    assert merkle.root([]) == merkle.ANY == bytes(32)


def test_a_known_root() -> None:
    """Three tokens by hand, so that a change of the tree's shape shows."""
    low, middle, high = sorted(map(leaf, (1, 2, 3)))
    pair = keccak(b"".join(sorted([low, middle])))
    assert merkle.root([1, 2, 3]) == keccak(b"".join(sorted([pair, high])))
