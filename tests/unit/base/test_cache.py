"""The cache evicts the entry that was used least recently."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.cache import Cache


class CacheTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.cache: Cache[str, int] = Cache(2)
        self.cache["a"], self.cache["b"] = 1, 2

    def assert_holds(self, **entries: int) -> None:
        self.assertEqual(dict(self.cache.items()), entries)

    def test_oldest_entry_is_evicted(self) -> None:
        self.cache["c"] = 3
        self.assert_holds(b=2, c=3)

    def test_size(self) -> None:
        """It never grows beyond its capacity."""
        for number in range(10):
            self.cache[f"{number}"] = number
        self.assertEqual(len(self.cache), 2)

    def test_lookup_counts_as_use(self) -> None:
        self.assertEqual(self.cache.get("a"), 1)
        self.cache["c"] = 3
        self.assert_holds(a=1, c=3)

    def test_membership_test_is_no_use(self) -> None:
        self.assertIn("a", self.cache)
        self.cache["c"] = 3
        self.assert_holds(b=2, c=3)

    def test_replacement_evicts_nothing_and_counts_as_use(self) -> None:
        self.cache["a"] = 3
        self.assert_holds(a=3, b=2)
        self.cache["c"] = 4
        self.assert_holds(a=3, c=4)

    def test_removed_entry_makes_room(self) -> None:
        self.assertEqual(self.cache.pop("a"), 1)
        self.cache["c"] = 3
        self.assert_holds(b=2, c=3)

    def test_dropped_entries(self) -> None:
        self.cache.drop(lambda key, value: (key, value) == ("a", 1))
        self.assert_holds(b=2)

    def test_missing_entry(self) -> None:
        self.assertIsNone(self.cache.get("c"))
        self.assertIsNone(self.cache.pop("c"))
        self.assertNotIn("c", self.cache)
        self.assert_holds(a=1, b=2)

    @given(st.integers(1, 5), st.lists(st.tuples(st.booleans(), st.integers(0, 8)), max_size=40))
    def test_agrees_with_a_list_of_uses(self, capacity: int, steps: list[tuple[bool, int]]) -> None:
        """It never exceeds its capacity, and holds the last value of the keys that were used last."""
        cache: Cache[int, int] = Cache(capacity)
        expected: list[tuple[int, int]] = []  # the one used last is at the end
        for moment, (is_write, key) in enumerate(steps):
            found = dict(expected).get(key)
            if is_write:
                cache[key] = found = moment
            else:
                self.assertEqual(cache.get(key), found)
            if found is not None:
                expected = [each for each in expected if each[0] != key] + [(key, found)]
                expected = expected[-capacity:]
            self.assertEqual(list(cache.items()), expected)
