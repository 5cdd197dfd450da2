"""Merkle trees as in RFC 6962 and RFC 9162: one root for a batch, and an audit path for each leaf.

Leaves and nodes are hashed in different domains, so that no node can be taken for a leaf.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TypeAlias

HASH = 32  # bytes

# A node on the way to the root: its index and the last one of its level, its hash, and the path from there
Step: TypeAlias = tuple[tuple[int, int], bytes, bytes]
# The roots to which steps lead
KnownRoots: TypeAlias = dict[Step, bytes]

_LEAF = b"\x00"
_NODE = b"\x01"


class BadPath(Exception):
    """An audit path does not fit the place of its leaf."""


def leaf_hash(data: bytes) -> bytes:
    return sha256(_LEAF + data).digest()


def tree_of(leaves: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """The root over at least one leaf hash, and for each the audit path: the hashes beside the way to the
    root, from the leaf upward, in one string."""
    levels = [leaves]  # from the leaves to the root
    while len(levels[-1]) > 1:
        level = levels[-1]
        above = [
            sha256(_NODE + level[index] + level[index + 1]).digest()
            for index in range(0, len(level) - 1, 2)
        ]
        if len(level) % 2:
            above.append(level[-1])  # a node without a neighbour moves up
        levels.append(above)
    [root] = levels.pop()
    paths = [b""]  # of the nodes of a level, down to the leaves
    for level in reversed(levels):
        alone = len(level) - 1 if len(level) % 2 else -1
        paths = [
            paths[index // 2] if index == alone else level[index ^ 1] + paths[index // 2]
            for index in range(len(level))
        ]
    return root, paths


def root_from(
    leaf: bytes, index: int, size: int, path: bytes, known: KnownRoots | None = None
) -> bytes:
    """The root of the tree of `size` leaves in which `path` leads up from the leaf hash at `index` (RFC 9162,
    2.1.3.2). Raises BadPath.

    `known` has what earlier calls have found, and gets what this one finds. So each node of a tree is hashed
    once, and not once for each leaf below it.
    """
    if not 0 <= index < size or len(path) % HASH:
        raise BadPath
    known = {} if known is None else known
    place, found = (index, size - 1), leaf
    walked: list[Step] = []
    while path:
        step = (place, found, path)
        if step in known:
            found = known[step]
            break
        node, last = place
        if not last:
            raise BadPath  # it is longer than the tree is high
        beside, path = path[:HASH], path[HASH:]
        walked.append(step)
        if node % 2 or node == last:
            if node % 2:
                walked.append(((node - 1, last), beside, found + path))
            found = sha256(_NODE + beside + found).digest()
            while node and not node % 2:
                node //= 2
                last //= 2
        else:
            walked.append(((node + 1, last), beside, found + path))
            found = sha256(_NODE + found + beside).digest()
        place = node // 2, last // 2
    else:
        if place[1]:
            raise BadPath  # it ends below the root
    known.update(dict.fromkeys(walked, found))
    return found
