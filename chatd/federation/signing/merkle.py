"""Merkle trees as in RFC 6962 and RFC 9162: one root for a batch, and an audit path for each leaf.

Leaves and nodes are hashed in different domains, so that no node can be taken for a leaf.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

HASH = 32  # bytes

_LEAF = b"\x00"
_NODE = b"\x01"


class BadPath(Exception):
    """An audit path does not fit the place of its leaf."""


def leaf_hash(data: bytes) -> bytes:
    return sha256(_LEAF + data).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(_NODE + left + right).digest()


def tree_of(leaves: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """The root over at least one leaf hash, and for each the audit path: the hashes beside the way to the
    root, from the leaf upward, in one string."""
    paths: list[list[bytes]] = [[] for _ in leaves]
    level = list(leaves)
    width = 1  # leaves under each node of this level; the last node may have fewer
    while len(level) > 1:
        for index, path in enumerate(paths):
            beside = (index // width) ^ 1
            if beside < len(level):
                path.append(level[beside])
        above = [
            _node_hash(level[index], level[index + 1]) for index in range(0, len(level) - 1, 2)
        ]
        if len(level) % 2:
            above.append(level[-1])  # a node without a neighbour moves up
        level = above
        width *= 2
    return level[0], [b"".join(path) for path in paths]


def root_from(leaf: bytes, index: int, size: int, path: bytes) -> bytes:
    """The root of the tree of `size` leaves in which `path` leads up from the leaf hash at `index` (RFC 9162,
    2.1.3.2). Raises BadPath."""
    if not 0 <= index < size or len(path) % HASH:
        raise BadPath
    node, last, found = index, size - 1, leaf
    for start in range(0, len(path), HASH):
        beside = path[start : start + HASH]
        if not last:
            raise BadPath  # it is longer than the tree is high
        if node % 2 or node == last:
            found = _node_hash(beside, found)
            while node and not node % 2:
                node //= 2
                last //= 2
        else:
            found = _node_hash(found, beside)
        node //= 2
        last //= 2
    if last:
        raise BadPath  # it ends below the root
    return found
