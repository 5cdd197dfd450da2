"""The keys that realms announce."""

from __future__ import annotations

import contextlib

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from chatd.federation.signing.keys import (
    MAX_ANNOUNCED,
    MAX_KEPT,
    KeyRing,
    RealmKey,
    decode_keys,
    encode_keys,
)


def key(number: int, until: int | None = None) -> RealmKey:
    return RealmKey(number.to_bytes(32), number, until)


class KeyTests(TestCase):
    def test_announcement(self) -> None:
        keys = [key(1, 2), key(2, 3), key(3)]
        self.assertEqual(decode_keys(encode_keys(keys)), [key(3), key(2, 3), key(1, 2)])

    def test_announcement_is_bounded(self) -> None:
        """The current key is announced even if its clock was set back."""
        keys = [key(number, number + 1) for number in range(10, 60)]
        announced = decode_keys(encode_keys([*keys, key(1)]))
        self.assertEqual(len(announced), MAX_ANNOUNCED)
        self.assertEqual(announced[0], key(1))
        with self.assertRaises(msgspec.ValidationError):
            decode_keys(msgspec.msgpack.encode(keys))

    @given(st.binary(max_size=100))
    def test_garbage(self, data: bytes) -> None:
        with contextlib.suppress(msgspec.DecodeError):
            decode_keys(data)

    def test_learning(self) -> None:
        ring = KeyRing([("realm1", key(1))])
        self.assertEqual(ring.news("realm1", [key(1)]), [])
        news = [key(1, 5), key(2)]
        self.assertEqual(ring.news("realm1", news), news)
        ring.learn("realm1", news)
        self.assertEqual(ring.get("realm1", key(1).id), key(1, 5))
        self.assertIsNone(ring.get("realm2", key(1).id))

    def test_keys_that_are_no_longer_announced_stay(self) -> None:
        ring = KeyRing([("realm1", key(1, 2))])
        ring.learn("realm1", [key(2)])
        self.assertEqual(ring.get("realm1", key(1).id), key(1, 2))

    def test_a_realm_with_many_keys(self) -> None:
        ring = KeyRing()
        gone: list[bytes] = []
        for number in range(MAX_KEPT + 5):
            gone += ring.learn("realm1", [key(number)])
        self.assertEqual(len(ring.of("realm1")), MAX_KEPT)
        self.assertEqual(gone, [key(number).id for number in range(5)])
        ring.forget("realm1")
        self.assertEqual(ring.of("realm1"), {})
