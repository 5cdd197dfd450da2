"""The order in which parallel workers run the tests: the long ones first.

pytest-xdist gives each worker a block of consecutive tests, and moves tests between workers later. A long
test that is the last to begin keeps one worker busy while all others have nothing left to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])

#: The beginnings of the names of tests that start daemons and browsers.
SLOW = ("tests/browser/", "tests/process/")


class Item(Protocol):
    """What is used of a pytest.Item."""

    @property
    def nodeid(self) -> str: ...


AnyItem = TypeVar("AnyItem", bound=Item)


def long_test(method: Method) -> Method:
    """Decorator: marks a test that takes at least some five seconds, so that it begins early."""
    method.long_test = True  # type: ignore[attr-defined]
    return method


def deal(items: Sequence[AnyItem], workers: int) -> list[AnyItem]:
    """The same tests in another order. The block of each worker begins with its share of the long tests, and
    of the classes that start daemons and browsers. The other tests of a class stay together, because they may
    share what its first one has made."""
    long = [[item] for item in items if _is_long(item)]
    classes: dict[str, list[AnyItem]] = {}
    rest = []
    for item in items:
        if _is_long(item):
            continue
        if item.nodeid.startswith(SLOW):
            classes.setdefault(item.nodeid.rpartition("::")[0], []).append(item)
        else:
            rest.append(item)
    blocks: list[list[AnyItem]] = [[] for _ in range(workers)]
    for group in (*long, *classes.values()):
        min(blocks, key=len).extend(group)
    first = [item for block in blocks for item in block]
    sizes = _block_sizes(len(items), workers)
    if any(len(block) > size for block, size in zip(blocks, sizes, strict=True)):
        return [*first, *rest]
    for block, size in zip(blocks, sizes, strict=True):
        missing = size - len(block)
        block += rest[:missing]
        del rest[:missing]
    return [item for block in blocks for item in block]


def _is_long(item: Item) -> bool:
    return bool(getattr(getattr(item, "obj", None), "long_test", False))


def _block_sizes(count: int, workers: int) -> list[int]:
    """How many tests pytest-xdist gives to each worker."""
    sizes = []
    for left in range(workers, 0, -1):
        sizes.append(count // left)
        count -= sizes[-1]
    return sizes
