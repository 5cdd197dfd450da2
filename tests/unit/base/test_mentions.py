"""The mentions in a text, by their form alone."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatd.base.mentions import MAX_MENTIONS, mentions_in
from chatd.base.names import Address


class Mentions(SynchronousTestCase):
    def test_addresses(self) -> None:
        """Each person is mentioned once, in the spelling that comes first."""
        found = mentions_in("@Budi, @budi. @budi@realm2 a@citra @all!")
        self.assertEqual(found, ([Address("Budi"), Address("budi", "realm2")], True))

    def test_words_that_are_no_names(self) -> None:
        """Words that are no valid names are text. Names that follow them are still found."""
        for word in ("@" + "_" * 65, "@budi@-", "@..."):
            found, everybody = mentions_in(f"{word} @citra")
            self.assertIn(Address("citra"), found, word)
            self.assertFalse(everybody)

    def test_many(self) -> None:
        """A text mentions a bounded number of people, however long it is."""
        text = " ".join(f"@user{number}" for number in range(MAX_MENTIONS + 10))
        found, _ = mentions_in(text)
        self.assertEqual(found, [Address(f"user{number}") for number in range(MAX_MENTIONS)])
