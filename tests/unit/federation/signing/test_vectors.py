"""Test vectors of the signatures: three entries of one batch. docs/federation.md has the same bytes."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.trial.unittest import TestCase

from chatd.base.content_hash import content_hash
from chatd.federation.signing.merkle import leaf_hash, tree_of
from chatd.federation.signing.proofs import SigningKey
from chatd.federation.signing.statements import (
    Attributes,
    DeletionAttributes,
    MessageAttributes,
    ReactionAttributes,
    StatedRef,
    Statement,
    encode,
    kind_of,
)

PRIVATE = bytes(range(32))
PUBLIC = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
KEY_ID = "56475aa75463474c"
SALT = bytes(range(16))
NUMBER = 7_592_059_174_912_001
ENTRIES: tuple[tuple[Attributes, str, StatedRef | None], ...] = (
    (MessageAttributes(StatedRef("realm2", 4_294_967_301)), "Halo semua", None),
    (ReactionAttributes("👍", True), "", StatedRef("realm2", 4_294_967_301)),
    (DeletionAttributes(), "", StatedRef("realm1", NUMBER)),
)
ATTRIBUTES = (
    "96a76d65737361676592a67265616c6d32cf000000010000000590c0c0c0",
    "93a87265616374696f6ea4f09f918dc3",
    "91a764656c65746564",
)
HASHES = (
    "d2dc28769faf9dec08a299994d63b468e6511d0fd0512ec839b0d3c8dd482c1e",
    "ee5e255d221a4ef30dc3c44ea04a876a58bcfab7cc2e77dcd102f103483511d9",
    "7120d57926119148d1e24c091250b411d30f51d41a809d3cae867edf3fe8b22b",
)
STATEMENTS = (
    "9aad636861746420656e7472792031a67265616c6d31cf001af8f0063c0001a67265616c6d320ca76d657373616765"
    "a56d65737369c0cf0000019ac283aa00c420" + HASHES[0],
    "9aad636861746420656e7472792031a67265616c6d31cf001af8f0063c0002a67265616c6d320ca87265616374696f"
    "6ea56d6573736992a67265616c6d32cf0000000100000005cf0000019ac283aa01c420" + HASHES[1],
    "9aad636861746420656e7472792031a67265616c6d31cf001af8f0063c0003a67265616c6d320ca764656c65746564"
    "a56d6573736992a67265616c6d31cf001af8f0063c0001cf0000019ac283aa02c420" + HASHES[2],
)
ROOT = "2ce08a22de2ca2596c34beeec73a7530954ea98eecfcff37d3d2da46a6349d9e"
PATHS = (
    (
        "0725bddb0b3ee047c2377d6e9c696ff5c53f507c7bd4956d067594ea2cfb0d44"
        "127d147546204bca8761cc5db5a427e114e7bbfd56d2f54d03b6dd0c4fb2e54f"
    ),
    (
        "f63b8cb75d196f096c2369c25341e7e5de0101c2588d48f1a1e2cae94753a619"
        "127d147546204bca8761cc5db5a427e114e7bbfd56d2f54d03b6dd0c4fb2e54f"
    ),
    "12cabcbf7f4b1b8bbef8f20c856593783ece159c401a5e708fab0ed93c70682a",
)
SIGNATURE = (
    "aa684047e603fab64e9e25f2ad8e51a0a9e15111f115814010118709845b2bf3"
    "adc1062f39c6ec65b0c6f39cacb19b54a862d86cec45fa3b145ffe6f73468a0c"
)


class VectorTests(TestCase):
    def test_contents(self) -> None:
        for (attributes, body, _), encoded, digest in zip(ENTRIES, ATTRIBUTES, HASHES, strict=True):
            self.assertEqual(encode(attributes).hex(), encoded)
            found = content_hash(SALT, bytes.fromhex(encoded), body.encode())
            self.assertEqual(found.hex(), digest)

    def test_statements(self) -> None:
        rows = zip(ENTRIES, HASHES, STATEMENTS, strict=True)
        for offset, ((attributes, _, target), digest, encoded) in enumerate(rows):
            stated = Statement(
                "realm1",
                NUMBER + offset,
                "realm2",
                12,
                kind_of(attributes),
                "messi",
                target,
                1_764_200_000_000 + offset,
                bytes.fromhex(digest),
            )
            self.assertEqual(encode(stated).hex(), encoded)

    def test_batch(self) -> None:
        statements = [bytes.fromhex(each) for each in STATEMENTS]
        root, paths = tree_of([leaf_hash(each) for each in statements])
        self.assertEqual((root.hex(), tuple(path.hex() for path in paths)), (ROOT, PATHS))
        key = SigningKey(Ed25519PrivateKey.from_private_bytes(PRIVATE))
        self.assertEqual((key.public.hex(), key.id.hex()), (PUBLIC, KEY_ID))
        for index, proof in enumerate(key.sign(statements)):
            self.assertEqual((proof.index, proof.size), (index, len(statements)))
            self.assertEqual((proof.path.hex(), proof.signature.hex()), (PATHS[index], SIGNATURE))
