"""Sets of token ids as a Merkle root, so that a mandate for many items is one word on chain.

As OpenZeppelin's StandardMerkleTree: a leaf is hashed twice, pairs are sorted. The tree is a complete
binary tree in an array, leaves last.
"""

from __future__ import annotations

from collections.abc import Iterable

from agentrooms.domain.eip712 import keccak, uint

ANY = b"\0" * 32  # the root of a mandate for any item of a collection


def leaf(token: int) -> bytes:
    """Returns the leaf of a token id."""
    return keccak(keccak(uint(token)))


def root(tokens: Iterable[int]) -> bytes:
    """Returns the root over these token ids; of one, its leaf; of none, `ANY`."""
    tree = _tree(tokens)
    return tree[0] if tree else ANY


def proof(tokens: Iterable[int], token: int) -> tuple[bytes, ...]:
    """Returns the siblings from a token's leaf up to the root. Raises ValueError when it is not in the set."""
    tree = _tree(tokens)
    own, leaves = leaf(token), len(tree) // 2
    if own not in tree[leaves:]:
        raise ValueError(f"token {token} is not in the set")
    at = tree.index(own, leaves)
    path = []
    while at > 0:
        path.append(tree[at + 1 if at % 2 else at - 1])
        at = (at - 1) // 2
    return tuple(path)


def climb(start: bytes, path: Iterable[bytes]) -> bytes:
    """Returns the root that a leaf and its siblings lead to."""
    for sibling in path:
        start = _pair(start, sibling)
    return start


def _tree(tokens: Iterable[int]) -> list[bytes]:
    leaves = sorted({leaf(token) for token in tokens}, reverse=True)
    tree = [b""] * max(0, len(leaves) - 1) + leaves
    for at in range(len(leaves) - 2, -1, -1):
        tree[at] = _pair(tree[2 * at + 1], tree[2 * at + 2])
    return tree


def _pair(one: bytes, other: bytes) -> bytes:
    return keccak(min(one, other) + max(one, other))
