"""Parcels of directs get seals, most of them without being decoded whole."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chatd.federation import parcels, seals
from chatd.federation.parcels import Direct
from chatd.federation.seals import Seals

TEXT = Direct("Ana", "Budi@realm2", 5, "halo")
# A body that ends as a direct does that has only a text
DISGUISED = b"halo" + seals._ONLY_TEXT.removesuffix(parcels.encode(b""))
OTHERS = (
    Direct("ana", "budi@realm2", 5, None),
    Direct("ana", "budi@realm2", 5, "halo", mentions=("citra",)),
    Direct("ana", "budi@realm2", 5, "halo", forwarded="citra@realm1"),
    Direct("ana", "budi@realm2", 5, media="a/b", body=b"halo"),
    Direct("ana", "budi@realm2", 5, media="a/b", body=DISGUISED),
)


class Adding(SynchronousTestCase):
    def setUp(self) -> None:
        self.seals = Seals(b"k" * 32, "realm1")

    def test_the_same_seal(self) -> None:
        """The parcel of a text gets the same seal as if it were decoded, as do those with something else."""
        for number, direct in enumerate(
            (TEXT, msgspec.structs.replace(TEXT, text="你好"), *OTHERS)
        ):
            sealed = self.seals.add(number, parcels.encode(direct), "realm2")
            seal = self.seals.seal(number, direct)
            self.assertEqual(sealed, parcels.encode(msgspec.structs.replace(direct, seal=seal)))
            self.assertTrue(self.seals.is_own(number, direct, seal))
            self.assertFalse(self.seals.is_own(number + 1, direct, seal))

    def test_only_texts_are_not_decoded(self) -> None:
        self.assertIsNotNone(self.seals._seal_of_text(1, parcels.encode(TEXT)))
        for direct in OTHERS:
            self.assertIsNone(self.seals._seal_of_text(1, parcels.encode(direct)))

    def test_sealed_already(self) -> None:
        """A parcel that has a seal keeps it."""
        sealed = self.seals.add(1, parcels.encode(TEXT), "realm2")
        self.assertEqual(self.seals.add(2, sealed, "realm2"), sealed)
