"""Work that takes long and outlives the node which has begun it: deletions, imports and moves of accounts,
deletions of groups, announcements, the removal of what is not to be kept, and looks through a store of
objects.

One node of the realm does it for all of them, under a lease. The others store what is to be done, and tell
that node. If it dies, the next one reads what is left from the database. In between, two nodes may do the
same for a moment, so each step has to bear that.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from chatd.base.background import log_unexpected
from chatd.base.errors import StorageFailed
from chatd.base.isolation import guarded
from chatd.base.recurring_work import RecurringWork
from chatd.service.node_news import NodeNews
from chatd.service.paced_read import PacedRead

LEASE = "work for accounts"


class WorkKind(msgspec.Struct, frozen=True):
    """One kind of work. `look` begins all that is left by the database, `begin` that for the account with an
    id, and `suspend` stops all of it; another node continues."""

    look: Callable[[], Coroutine[Any, Any, object]]
    begin: Callable[[int], object]
    suspend: Callable[[], object]


class NodeWork:
    """Says whether this node does the work. A node that is alone does it from the beginning."""

    def __init__(self, news: NodeNews) -> None:
        self.is_here = news.is_alone
        self._ended = False
        self._kinds: dict[str, WorkKind] = {}
        what = "what is left to do was not looked for"
        self._looking = PacedRead(news, news.clock, what, self._look)
        look = self._looking.wake
        self._tell = news.topic("work for accounts", tuple[str, int], self._told, look)
        news.on_gone(lambda _node: look())  # it may not have told what it has stored

    def add(self, name: str, kind: WorkKind) -> None:
        """Add a kind of work."""
        self._kinds[name] = kind

    def add_recurring(self, name: str, work: RecurringWork, first: float) -> None:
        """Add a kind of work that is not for single accounts. It begins `first` seconds after this node does
        it."""

        async def look() -> None:
            work.start(first)

        self.add(name, WorkKind(look, lambda _id: work.wake(), work.stop))

    def wake(self, name: str, work: RecurringWork) -> None:
        """Begin a run of that work, at the node that does it."""
        if self.is_here:
            work.wake()
        else:
            self._tell((name, 0))

    def stop(self) -> None:
        """Begin nothing any more."""
        self._ended = True

    def start(self) -> None:
        """This node does the work from now on."""
        self.is_here = True
        self._looking.wake()

    def suspend(self) -> None:
        """Another node does it."""
        self.is_here = False
        for kind in self._kinds.values():
            guarded("work was not suspended, and another node does it too", kind.suspend)

    def claim(self, name: str, account_id: int) -> bool:
        """Something is to be done for an account, and that is stored. Returns whether this node does it; if
        not, the one that does is told."""
        if not self.is_here:
            self._tell((name, account_id))
        return self.is_here

    def _told(self, told: tuple[str, int]) -> None:
        name, account_id = told
        kind = self._kinds.get(name)
        if self.is_here and not self._ended and kind is not None:
            kind.begin(account_id)

    async def _look(self) -> None:
        """Begin all that is left by the database, if this node does the work. Raises StorageFailed, so that
        it is tried again."""
        unread: StorageFailed | None = None
        for name, kind in self._kinds.items():
            if not self.is_here or self._ended:
                return
            try:
                await kind.look()
            except StorageFailed as error:
                unread = error
            except Exception:
                log_unexpected("what is left of {name} was not begun", name=name)
        if unread is not None:
            raise unread
