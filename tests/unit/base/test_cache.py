"""A dictionary that forgets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.cache import Cache


class CacheTest(SynchronousTestCase):
    def test_the_first_makes_room(self) -> None:
        cache: Cache[str, int] = Cache(2)
        cache["a"], cache["b"], cache["c"] = 1, 2, 3
        self.assertEqual(dict(cache), {"b": 2, "c": 3})

    def test_replacing_costs_nobody_a_place(self) -> None:
        cache: Cache[str, int] = Cache(2)
        cache["a"], cache["b"], cache["a"] = 1, 2, 3
        self.assertEqual(dict(cache), {"a": 3, "b": 2})

    def test_room_that_was_given_up_is_used(self) -> None:
        cache: Cache[str, int] = Cache(2)
        cache["a"], cache["b"] = 1, 2
        del cache["a"]
        cache["c"] = 3
        self.assertEqual(dict(cache), {"b": 2, "c": 3})

    @given(st.integers(1, 5), st.lists(st.integers(0, 8), max_size=40))
    def test_bounded_and_true(self, capacity: int, keys: list[int]) -> None:
        """Whatever is put in, it never holds more than it may, and what it holds is what was put in last."""
        cache: Cache[int, int] = Cache(capacity)
        truth = {}
        for moment, key in enumerate(keys):
            cache[key] = truth[key] = moment
            self.assertLessEqual(len(cache), capacity)
            self.assertEqual(cache[key], moment)
        for key, value in cache.items():
            self.assertEqual(value, truth[key])
