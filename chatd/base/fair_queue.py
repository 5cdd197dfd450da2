"""A bounded queue that is fair to the owners of its items. It has no clock and no threads.

The owner of an item is a path such as (network address, account). Owners take turns at each step of the path:
first the addresses, then the accounts of an address. The items of an owner who fills the queue wait behind
each other; all other owners wait for a few of them at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")
Path = tuple[Hashable, ...]

#: How many preferred items may pass a waiting one before it gets its turn.
PATIENCE = 8
MAX_RECENT = 10_000  # owners remembered to have had a turn


class _Turns(Generic[T]):
    """Owners that take turns. The last step of a path holds the items of one owner, oldest first.

    Fresh owners, which have had no turn since the queue was last empty, go first, so that rare owners do not
    wait for all the others. After `PATIENCE` fresh owners one of the others has a turn. While more than
    `PATIENCE` fresh owners wait, the newest and the oldest alternate, so that a newcomer does not wait for a
    whole burst of others. All paths in one queue have the same length, at least 1.
    """

    def __init__(self) -> None:
        self.size = 0
        # In the order of turns. After its turn an owner goes to the end of `_served`.
        self._fresh: dict[Hashable, _Turns[T] | deque[T]] = {}
        self._served: dict[Hashable, _Turns[T] | deque[T]] = {}
        self._recent: dict[Hashable, None] = {}
        self._in_a_row = 0  # turns of fresh owners while others waited
        self._newest = False  # whether the newest is next, if many fresh owners wait

    def add(self, path: Path, item: T) -> None:
        self.size += 1
        owner, rest = path[0], path[1:]
        waiting = self._fresh.get(owner)
        if waiting is None:
            waiting = self._served.get(owner)
        if waiting is None:
            waiting = _Turns() if rest else deque()
            (self._served if owner in self._recent else self._fresh)[owner] = waiting
        if isinstance(waiting, _Turns):
            waiting.add(rest, item)
        else:
            waiting.append(item)

    def take(self) -> T:
        """Remove the item whose turn it is."""
        if self._fresh and (not self._served or self._in_a_row < PATIENCE):
            ring = self._fresh
            self._in_a_row += 1
        else:
            ring = self._served
            self._in_a_row = 0
        owner = next(iter(ring))
        if ring is self._fresh and len(ring) > PATIENCE:
            self._newest = not self._newest
            if self._newest:
                owner = next(reversed(ring))
        waiting = ring.pop(owner)
        self._remember(owner)
        if _size(waiting) > 1:
            self._served[owner] = waiting
        self.size -= 1
        if not self.size:
            self._recent.clear()
        return waiting.take() if isinstance(waiting, _Turns) else waiting.popleft()

    def _remember(self, owner: Hashable) -> None:
        self._recent.pop(owner, None)
        if len(self._recent) >= MAX_RECENT:
            del self._recent[next(iter(self._recent))]
        self._recent[owner] = None

    def drop(self) -> T:
        """Remove the oldest item of the owner with the most items; among equals, the one whose turn is
        last."""
        owners = [*reversed(self._served.items()), *reversed(self._fresh.items())]
        owner, waiting = max(owners, key=lambda each: _size(each[1]))
        if _size(waiting) == 1:
            (self._fresh if owner in self._fresh else self._served).pop(owner)
        self.size -= 1
        return waiting.drop() if isinstance(waiting, _Turns) else waiting.popleft()


def _size(waiting: _Turns[T] | deque[T]) -> int:
    return waiting.size if isinstance(waiting, _Turns) else len(waiting)


class FairQueue(Generic[T]):
    """Holds at most `capacity` items in `priorities` classes. Class 0 is served first.

    A waiting class gets a turn after `PATIENCE` items of better classes, so no class waits forever.
    """

    def __init__(self, capacity: int, priorities: int = 1) -> None:
        self._capacity = capacity
        self._classes: list[_Turns[T]] = [_Turns() for _ in range(priorities)]
        self._passed = [0] * priorities

    def __len__(self) -> int:
        return sum(each.size for each in self._classes)

    def put(self, owner: Path, item: T, priority: int = 0) -> T | None:
        """Add `item`. If the queue is full, remove an item and return it: the oldest item of the busiest
        owner in the worst class that has any. It may be `item` itself."""
        self._classes[priority].add(owner, item)
        if len(self) <= self._capacity:
            return None
        return next(each for each in reversed(self._classes) if each.size).drop()

    def take(self) -> T:
        """Remove the item whose turn it is. Raises IndexError if there is none."""
        waiting = [number for number, each in enumerate(self._classes) if each.size]
        if not waiting:
            raise IndexError("the queue is empty")
        overdue = [number for number in waiting[1:] if self._passed[number] >= PATIENCE]
        chosen = overdue[0] if overdue else waiting[0]
        for number in range(len(self._classes)):
            if number == chosen or number not in waiting:
                self._passed[number] = 0
            elif number > chosen:
                self._passed[number] += 1
        return self._classes[chosen].take()
