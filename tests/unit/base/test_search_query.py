"""What a search asks for, and how people write it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import BadArgument, BadName
from chatd.base.names import Address, Place
from chatd.base.search_query import MAX_WORDS, SearchQuery, parse_query

DAY = 24 * 3600 * 1000
NOVEMBER_20 = 1_795_132_800_000  # 2026-11-20, in ms since 1970 UTC


class Queries(SynchronousTestCase):
    def test_words(self) -> None:
        for text, words in (
            ("Halo SEMUA", ("halo", "semua")),
            ('"jam  Sepuluh" pagi', ("jam sepuluh", "pagi")),
            ("halo halo", ("halo",)),
            ("a banana", ("banana",)),
            ('"" \u200b', ()),
        ):
            self.assertEqual(parse_query(text).words, words, text)

    def test_filters(self) -> None:
        query = parse_query("from:messi from:@ana@realm2 in:#futsal HAS:file halo")
        self.assertEqual(query.senders, (Address("messi"), Address("ana", "realm2")))
        self.assertEqual(query.places, (Place(group=Address("futsal")),))
        self.assertTrue(query.has_file)
        self.assertEqual(query.words, ("halo",))

    def test_dates(self) -> None:
        """A date is its beginning in UTC; of several, the strictest counts."""
        query = parse_query("after:2026-11-20 after:2026-11-19 before:2026-11-21T00:00:00Z")
        self.assertEqual(query, SearchQuery(after=NOVEMBER_20, before=NOVEMBER_20 + DAY))
        query = parse_query("before:2026-11-21 before:2026-11-20")
        self.assertEqual(query.before, NOVEMBER_20)
        query = parse_query("after:2026-11-20T07:00:00+07:00")
        self.assertEqual(query.after, NOVEMBER_20)

    def test_mistakes(self) -> None:
        for text in ("has:wings", "after:soon", "before:2026-13-01", "after:2026-11-20T10:00:00"):
            self.assertRaises(BadArgument, parse_query, text)
        self.assertRaises(BadName, parse_query, "from:a/b")

    def test_bounds(self) -> None:
        """A search has a limited number of words and of filters of a kind."""
        words = [f"w{number:03}" for number in range(MAX_WORDS + 1)]
        parse_query(" ".join(words[:-1]))
        self.assertRaises(BadArgument, parse_query, " ".join(words))
        self.assertRaises(BadArgument, parse_query, " ".join(f"from:{each}" for each in words))

    @given(st.text(max_size=60))
    def test_anything(self, text: str) -> None:
        """Any text is a query, or is refused with a sentence."""
        try:
            query = parse_query(text)
        except (BadArgument, BadName):
            return
        self.assertNotIn("", query.words)
