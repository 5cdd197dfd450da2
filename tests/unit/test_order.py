"""Long tests begin early on each worker (tests.support.order)."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.trial.unittest import SynchronousTestCase

from tests.support.order import deal, long_test


@dataclass(frozen=True)
class FakeItem:
    nodeid: str
    obj: object = None


def short() -> None: ...


@long_test
def lasting() -> None: ...


class Case:
    @long_test
    def lasting(self) -> None: ...


class DealTests(SynchronousTestCase):
    def names(self, items: list[FakeItem]) -> list[str]:
        return [item.nodeid for item in items]

    def test_each_worker_begins_with_a_long_test(self) -> None:
        items = [FakeItem(f"tests/unit/test_a.py::A::test_{number}", short) for number in range(7)]
        items += [FakeItem(f"tests/unit/test_z.py::Z::test_{number}", lasting) for number in "ab"]
        found = self.names(deal(items, 2))
        self.assertEqual(found[0], "tests/unit/test_z.py::Z::test_a")
        self.assertEqual(found[4], "tests/unit/test_z.py::Z::test_b")
        self.assertEqual(sorted(found), sorted(self.names(items)))
        rest = [name for name in found if "test_a.py" in name]
        self.assertEqual(rest, self.names(items)[:7])

    def test_classes_with_daemons_come_before_the_rest(self) -> None:
        items = [FakeItem(f"tests/base/test_a.py::A::test_{number}") for number in range(4)]
        for name in "XY":
            items += [
                FakeItem(f"tests/process/test_x.py::{name}::test_{number}") for number in range(2)
            ]
        found = self.names(deal(items, 2))
        for begin, name in ((0, "X"), (4, "Y")):
            block = [f"tests/process/test_x.py::{name}::test_{number}" for number in range(2)]
            self.assertEqual(found[begin : begin + 2], block)

    def test_more_than_a_block(self) -> None:
        """A class may have more tests than a block, and there may be more workers than tests."""
        items = [FakeItem(f"tests/browser/test_x.py::X::test_{number}") for number in range(5)]
        items.append(FakeItem("tests/unit/test_a.py::A::test_a"))
        for workers in (1, 2, 3, 9):
            found = self.names(deal(items, workers))
            self.assertEqual(sorted(found), sorted(self.names(items)))
        self.assertEqual(deal([], 2), [])

    def test_methods_of_test_cases(self) -> None:
        """The mark is found on bound methods."""
        items = [FakeItem("a", self.setUp), FakeItem("b", Case().lasting)]
        self.assertEqual(self.names(deal(items, 1)), ["b", "a"])
