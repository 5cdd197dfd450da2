"""What each node keeps in memory only, and the others keep copies of: who is connected there, and in which
room.

A node tells its changes as they happen. One that has joined, or has lost something, asks for a snapshot,
which comes in pages while changes go on. The bus keeps the order of what a node tells, so a page and the
changes after it agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum, auto
from itertools import islice
from typing import Any, Generic, TypeVar

import msgspec
from twisted.internet.interfaces import IReactorTime

from chatd.base.isolation import guarded
from chatd.base.timers import Timer
from chatd.service.node_news import NodeNews

K = TypeVar("K")
V = TypeVar("V")

PAGE = 2000  # entries in one message
ASK_AGAIN = 2.0  # seconds between two questions for a snapshot
MAX_ASKED = 5  # questions without an answer, after which what the node has counts as gone
GIVES_UP = 30  # questions without an answer and without a doubt, after which the node is not asked any more
BETWEEN = 1.0  # seconds between two snapshots
UNUSED = "a change at another node was not used"


class CopyChange(Enum):
    """How a change of an entry became known."""

    TOLD = auto()  # its node has told it
    MISSED = auto()  # a snapshot has it, after a loss
    LOST = auto()  # its node has gone


class StatePage(msgspec.Struct, Generic[K, V], frozen=True, array_like=True):
    """Entries by key; None stands for one that is gone. `page` is the number of a page of a snapshot, whose
    last one says so; None: these are changes."""

    entries: list[tuple[K, V | None]]
    page: int | None = None
    is_last: bool = False


class StateCopy(msgspec.Struct):
    """The entries of another node. While it `is_stale`, a snapshot is asked for. `fresh` has its pages so
    far."""

    entries: dict[Any, Any] = {}
    is_stale: bool = True
    asked: int = 0
    fresh: dict[Any, Any] | None = None
    next_page: int = 0


class StateSource(msgspec.Struct, Generic[K, V], frozen=True):
    """What this node has: its keys, and the value of a key or None."""

    keys: Callable[[], Iterable[K]]
    value: Callable[[K], V | None]


class SoftState(Generic[K, V]):
    """`name` is that of the topics, and `kind` the type of a page. `apply(key, before, after, how)` is told
    of each change of an entry of another node, and how it became known."""

    def __init__(
        self,
        news: NodeNews,
        clock: IReactorTime,
        name: str,
        kind: type[StatePage[K, V]],
        source: StateSource[K, V],
        apply: Callable[[K, V | None, V | None, CopyChange], object],
    ) -> None:
        self._news = news
        self._source = source
        self._apply = apply
        self._copies: dict[str, StateCopy] = {}
        self._entries: dict[str, dict[K, V]] = {}  # those of the copies
        self._changed: dict[K, None] = {}
        self._flush = Timer(clock, self._tell_changes)
        self._asking = Timer(clock, self._ask)
        self._pages: Iterator[K] | None = None  # the keys that are left of a snapshot under way
        self._page = 0
        self._again = False  # another node has asked meanwhile
        self._next = Timer(clock, self._send_page)
        self._stopped = False
        self._tell = news.topic_by_node(f"{name}-state", kind, self._heard)
        self._question = news.topic_by_node(f"{name}-snapshot", str, self._asked)
        news.on_doubt(self._doubt)
        news.on_gone(self._gone)

    @property
    def copies(self) -> Mapping[str, dict[K, V]]:
        """What the other nodes have, by their names. It changes with them."""
        return self._entries

    def stop(self) -> None:
        """Tell and ask nothing any more."""
        self._stopped = True
        for timer in (self._flush, self._asking, self._next):
            timer.cancel()

    # What this node has

    def changed(self, key: K) -> None:
        """An entry of this node has changed. The others are told in the next turn of the reactor."""
        if self._copies and not self._stopped:
            self._changed[key] = None
            self._flush.start(0)

    def _tell_changes(self) -> None:
        keys = iter(self._changed)
        self._changed = {}
        while part := list(islice(keys, PAGE)):
            self._tell(StatePage([(key, self._source.value(key)) for key in part]))

    def _asked(self, _node: str, asked: str) -> None:
        if asked != self._news.name or self._stopped:
            return
        if self._pages is not None:
            self._again = True
            return
        self._begin()

    def _begin(self) -> None:
        self._pages, self._page, self._again = iter(list(self._source.keys())), 0, False
        self._next.restart(0)

    def _send_page(self) -> None:
        if self._pages is None:
            return
        if self._page < 0:  # the pause after a snapshot is over
            self._pages = None
            if self._again:
                self._begin()
            return
        part = list(islice(self._pages, PAGE))
        is_last = len(part) < PAGE
        found: list[tuple[K, V | None]]
        found = [(key, value) for key in part if (value := self._source.value(key)) is not None]
        self._tell(StatePage(found, self._page, is_last))
        self._page = -1 if is_last else self._page + 1
        self._next.start(BETWEEN if is_last else 0)

    # What the others have

    def _copy(self, node: str) -> StateCopy:
        copy = self._copies.get(node)
        if copy is None:
            copy = self._copies[node] = StateCopy()
            self._entries[node] = copy.entries
            self._ask_soon()
        return copy

    def _doubt(self, node: str) -> None:
        """Something of a node may be lost. What is known of it stays until the snapshot is there."""
        copy = self._copy(node)
        copy.is_stale, copy.fresh = True, None
        copy.asked = min(copy.asked, MAX_ASKED)
        self._ask_soon()

    def _ask_soon(self) -> None:
        if not self._stopped:
            self._asking.start(0)

    def _ask(self) -> None:
        for node, copy in list(self._copies.items()):
            if not copy.is_stale:
                continue
            if copy.asked >= GIVES_UP:
                self._gone(node)
                continue
            if copy.asked >= MAX_ASKED:
                self._lose(copy)
            copy.asked += 1
            self._question(node)
            self._asking.start(ASK_AGAIN)

    def _heard(self, node: str, told: StatePage[K, V]) -> None:
        copy = self._copy(node)
        if told.page is not None:
            self._heard_page(copy, told)
            return
        for key, value in told.entries:
            for target in (copy.fresh, copy.entries):
                if target is None:
                    continue
                before = target.pop(key, None)
                if value is not None:
                    target[key] = value
            self._note(key, before, value, CopyChange.TOLD)

    def _heard_page(self, copy: StateCopy, told: StatePage[K, V]) -> None:
        if not copy.is_stale:
            return
        if told.page == 0:
            copy.fresh, copy.next_page = {}, 0
        if copy.fresh is None or told.page != copy.next_page:
            copy.fresh = None
            return
        copy.fresh.update(told.entries)
        copy.next_page += 1
        if told.is_last:
            self._replace(copy, copy.fresh)
            copy.fresh, copy.is_stale, copy.asked = None, False, 0

    def _replace(self, copy: StateCopy, fresh: dict[K, V]) -> None:
        before = dict(copy.entries)
        copy.entries.clear()
        copy.entries.update(fresh)
        for key in before.keys() | fresh.keys():
            self._note(key, before.get(key), fresh.get(key), CopyChange.MISSED)

    def _note(self, key: K, before: V | None, after: V | None, how: CopyChange) -> None:
        if before != after:
            guarded(UNUSED, self._apply, key, before, after, how)

    def _gone(self, node: str) -> None:
        copy = self._copies.pop(node, None)
        if copy is not None:
            del self._entries[node]
            self._lose(copy)

    def _lose(self, copy: StateCopy) -> None:
        """What a node has counts as gone."""
        lost = dict(copy.entries)
        copy.entries.clear()
        for key, value in lost.items():
            self._note(key, value, None, CopyChange.LOST)
