"""Merkle trees: every leaf leads to the root, and nothing else does."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from chatd.federation.signing.merkle import HASH, BadPath, KnownRoots, leaf_hash, root_from, tree_of

leaves = st.lists(st.binary(max_size=8).map(leaf_hash), min_size=1, max_size=70)


def recursive_root(data: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, as it is written there."""
    if len(data) == 1:
        return sha256(b"\x00" + data[0]).digest()
    half = 1
    while half * 2 < len(data):
        half *= 2
    left, right = recursive_root(data[:half]), recursive_root(data[half:])
    return sha256(b"\x01" + left + right).digest()


class MerkleTests(TestCase):
    def test_published_vectors(self) -> None:
        """The roots that certificate-transparency implementations test with."""
        data = [
            bytes.fromhex(each)
            for each in (
                "",
                "00",
                "10",
                "2021",
                "3031",
                "40414243",
                "5051525354555657",
                "606162636465666768696a6b6c6d6e6f",
            )
        ]
        roots = {
            1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        }
        for count, root in roots.items():
            found, _ = tree_of([leaf_hash(each) for each in data[:count]])
            self.assertEqual(found.hex(), root)

    @given(st.lists(st.binary(max_size=8), min_size=1, max_size=70))
    def test_root_as_in_the_rfc(self, data: list[bytes]) -> None:
        root, _ = tree_of([leaf_hash(each) for each in data])
        self.assertEqual(root, recursive_root(data))

    @given(leaves)
    def test_every_leaf_leads_to_the_root(self, hashes: list[bytes]) -> None:
        root, paths = tree_of(hashes)
        for index, (leaf, path) in enumerate(zip(hashes, paths, strict=True)):
            self.assertEqual(root_from(leaf, index, len(hashes), path), root)

    @given(leaves, st.data())
    def test_known_nodes_change_nothing(self, hashes: list[bytes], data: st.DataObject) -> None:
        """With what was found for other leaves, each leaf leads to the same root, and only along its path."""
        root, paths = tree_of(hashes)
        known: KnownRoots = {}
        for index in data.draw(st.permutations(range(len(hashes)))):
            leaf, path = hashes[index], paths[index]
            wrong = bytes(each ^ 1 for each in path)
            self.assertEqual(root_from(leaf, index, len(hashes), path, known), root)
            others = [(leaf_hash(b"not among them"), path)]
            others += [(leaf, wrong), (leaf, path[:-1] + bytes([path[-1] ^ 1]))] if path else []
            for other, way in others:
                found = root_from(other, index, len(hashes), way, known)
                self.assertEqual(found, root_from(other, index, len(hashes), way))
                self.assertNotEqual(found, root)

    @given(leaves, st.data())
    def test_another_leaf_does_not(self, hashes: list[bytes], data: st.DataObject) -> None:
        root, paths = tree_of(hashes)
        index = data.draw(st.integers(0, len(hashes) - 1))
        other = leaf_hash(b"not among them")
        self.assertNotEqual(root_from(other, index, len(hashes), paths[index]), root)

    @given(leaves, st.integers(-1, 80), st.integers(0, 80), st.binary(max_size=200))
    def test_any_path_is_judged(
        self, hashes: list[bytes], index: int, size: int, path: bytes
    ) -> None:
        try:
            found = root_from(hashes[0], index, size, path)
        except BadPath:
            return
        self.assertEqual(len(found), HASH)

    @given(leaves, st.data())
    def test_path_of_another_length(self, hashes: list[bytes], data: st.DataObject) -> None:
        _, paths = tree_of(hashes)
        index = data.draw(st.integers(0, len(hashes) - 1))
        longer = paths[index] + bytes(HASH)
        with self.assertRaises(BadPath):
            root_from(hashes[index], index, len(hashes), longer)
        if paths[index]:
            with self.assertRaises(BadPath):
                root_from(hashes[index], index, len(hashes), paths[index][:-HASH])

    def test_node_is_no_leaf(self) -> None:
        """The two halves under a node, taken as the data of a leaf, have another hash."""
        left, right = leaf_hash(b"a"), leaf_hash(b"b")
        root, _ = tree_of([left, right])
        self.assertNotEqual(leaf_hash(left + right), root)
