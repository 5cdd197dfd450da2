"""The fair queue: the items of an owner who fills it wait behind each other."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.fair_queue import PATIENCE, FairQueue, Path

OWNERS = st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"))


class FairQueues(SynchronousTestCase):
    def drained(self, queue: FairQueue[str]) -> list[str]:
        return [queue.take() for _ in range(len(queue))]

    def test_owners_take_turns(self) -> None:
        queue: FairQueue[str] = FairQueue(100)
        for number in range(4):
            queue.put(("busy",), f"busy{number}")
        queue.put(("other",), "other")
        self.assertEqual(self.drained(queue), ["busy0", "other", "busy1", "busy2", "busy3"])

    def test_newcomers_do_not_wait_for_a_whole_round(self) -> None:
        """A newcomer among many that take turns has one of the next two turns."""
        queue: FairQueue[str] = FairQueue(100)
        for number in range(20):
            queue.put((number,), "busy")
        for number in [*range(20)] * 2:
            queue.take()
            queue.put((number,), "busy")
        queue.put(("other",), "other")
        self.assertIn("other", (queue.take(), queue.take()))

    def test_burst_does_not_delay_newcomers(self) -> None:
        """A newcomer during a burst of first turns has one of the next two turns. The oldest of the burst
        have the others."""
        queue: FairQueue[str] = FairQueue(200)
        for number in range(100):
            queue.put((number,), f"burst{number}")
        queue.take()
        taken: list[str] = []
        for number in range(10):
            queue.put((f"late{number}",), f"late{number}")
            pair = {queue.take(), queue.take()}
            self.assertIn(f"late{number}", pair)
            taken += pair - {f"late{number}"}
        self.assertEqual(taken, [f"burst{number}" for number in range(10)])

    def test_newcomers_do_not_starve_others(self) -> None:
        """Owners that had a turn before are not starved by newcomers."""
        queue: FairQueue[str] = FairQueue(100)
        queue.put(("a",), "a1")
        queue.put(("a",), "a2")
        taken = []
        for number in range(PATIENCE + 2):
            queue.put((number,), "new")
            taken.append(queue.take())
        self.assertIn("a2", taken)

    def test_accounts_of_an_address_take_turns(self) -> None:
        """The accounts of one address share the turns of that address."""
        queue: FairQueue[str] = FairQueue(100)
        for item in ("a1", "a2", "b1"):
            queue.put(("here", item[0]), item)
        queue.put(("there", "c"), "c1")
        self.assertEqual(self.drained(queue), ["a1", "c1", "b1", "a2"])

    def test_priorities(self) -> None:
        queue: FairQueue[str] = FairQueue(100, priorities=2)
        queue.put(("a",), "registration", 1)
        queue.put(("b",), "login", 0)
        self.assertEqual(self.drained(queue), ["login", "registration"])

    def test_low_priority_is_not_starved(self) -> None:
        """A flood in the better class does not starve the worse one."""
        queue: FairQueue[str] = FairQueue(100, priorities=2)
        queue.put(("a",), "registration", 1)
        taken = []
        for number in range(PATIENCE + 1):
            queue.put(("b",), f"login{number}", 0)
            taken.append(queue.take())
        self.assertEqual(taken[PATIENCE], "registration")

    def test_full(self) -> None:
        """The oldest item of the busiest owner makes room, in the worst class that has items."""
        queue: FairQueue[str] = FairQueue(3, priorities=2)
        for item in ("r1", "r2"):
            queue.put(("busy",), item, 1)
        self.assertIsNone(queue.put(("quiet",), "q1", 1))
        self.assertEqual(queue.put(("quiet",), "login", 0), "r1")
        self.assertEqual(sorted(self.drained(queue)), ["login", "q1", "r2"])

    def test_full_of_higher_priorities(self) -> None:
        """An item of a class below all waiting ones is refused itself."""
        queue: FairQueue[str] = FairQueue(2, priorities=2)
        queue.put(("a",), "a1", 0)
        queue.put(("a",), "a2", 0)
        self.assertEqual(queue.put(("b",), "b1", 1), "b1")

    def test_empty(self) -> None:
        with self.assertRaises(IndexError):
            FairQueue(1).take()

    @given(st.lists(OWNERS, max_size=60))
    def test_nobody_is_overtaken_twice(self, owners: list[Path]) -> None:
        """Between two turns of an address, every other waiting address has a turn."""
        queue: FairQueue[Path] = FairQueue(100)
        for owner in owners:
            queue.put(owner, owner)
        waiting: Counter[object] = Counter(owner[0] for owner in owners)
        since: dict[object, set[object]] = {}
        while queue:
            address = queue.take()[0]
            waiting[address] -= 1
            for other, seen in since.items():
                if waiting[other] and other != address:
                    self.assertNotIn(address, seen, f"{address} passed {other} twice")
                    seen.add(address)
            since[address] = set()
            for other in waiting:
                since.setdefault(other, set())


class Books(RuleBasedStateMachine):
    """Every item comes out once, by `take` or to make room, and in order for each owner."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: FairQueue[tuple[Path, int, int]] = FairQueue(8, priorities=2)
        self.inside: set[tuple[Path, int, int]] = set()
        self.number = 0

    @rule(owner=OWNERS, priority=st.sampled_from([0, 1]))
    def put(self, owner: Path, priority: int) -> None:
        self.number += 1
        item = (owner, priority, self.number)
        self.inside.add(item)
        dropped = self.queue.put(owner, item, priority)
        if dropped is not None:
            most = Counter(each[0][0] for each in self.inside if each[1] == dropped[1])
            assert most[dropped[0][0]] == max(most.values()), "not of the busiest"
            self.leave(dropped)

    @rule()
    def take(self) -> None:
        if self.inside:
            self.leave(self.queue.take())

    def leave(self, item: tuple[Path, int, int]) -> None:
        self.inside.remove(item)
        rest = [each for each in self.inside if each[:2] == item[:2]]
        assert all(item[2] < each[2] for each in rest), "not the oldest of its owner"

    @invariant()
    def bounded(self) -> None:
        assert len(self.queue) == len(self.inside) <= 8


BooksTest = Books.TestCase
