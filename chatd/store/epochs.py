"""The epoch of each log: a number that grows with each change of who may write to it, or how.

A message is checked before it is handed to the writer. If the epoch has moved when its turn comes, it is
checked again, in the writer's thread and in the transaction that stores it: so nothing is stored after the
change that forbids it, and the order of a sender's messages stays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Generic, Protocol, TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection, Select, Update, insert, select, update
from twisted.python.failure import Failure

from chatd.base.errors import ChatError
from chatd.store.engine import backend_of
from chatd.store.new_entries import Stored
from chatd.store.prepared import prepared
from chatd.store.schema import heads

MAX_CACHED = 100_000


class Checked(Protocol):
    """A message that was checked when its log had this epoch; None: it needs no check. `seq` is the number
    that its home has given it."""

    @property
    def conversation(self) -> int: ...

    @property
    def epoch(self) -> int | None: ...

    @property
    def seq(self) -> int | None: ...


Item = TypeVar("Item", bound=Checked)


def epoch_of(connection: Connection, conversation: int) -> int:
    """Return the epoch of a log. One without changes has 0."""
    return connection.scalar(*_epoch(conversation)) or 0


def epochs_of(connection: Connection, conversations: Collection[int]) -> dict[int, int]:
    """Return the epochs of those of these logs that have one."""
    query = select(heads.c.conversation_id, heads.c.epoch)
    rows = connection.execute(query.where(heads.c.conversation_id.in_(conversations)))
    return {row[0]: row[1] for row in rows}


@prepared
def _epoch(conversation: Any) -> Select[Any]:
    return select(heads.c.epoch).where(heads.c.conversation_id == conversation)


@prepared
def _set_epoch(conversation: Any, epoch: Any) -> Update:
    return update(heads).where(heads.c.conversation_id == conversation).values(epoch=epoch)


class Epochs(Generic[Item]):
    """The epochs as the writer's thread knows them."""

    def __init__(self) -> None:
        self._known: dict[int, int] = {}
        self._check_again: Callable[[Connection, Item], Item] = lambda _connection, item: item

    def on_moved(self, check_again: Callable[[Connection, Item], Item]) -> None:
        """Call `check_again` for each message whose epoch has passed. It returns the message as it is to be
        stored now, or raises ChatError."""
        self._check_again = check_again

    def forget(self) -> None:
        """Drop the cache: after a rollback it may be ahead of the database."""
        self._known.clear()

    def of(self, connection: Connection, conversation: int) -> int:
        """Return the epoch that is current in this transaction."""
        epoch = self._known.get(conversation)
        if epoch is None:
            if len(self._known) >= MAX_CACHED:
                self._known.clear()
            epoch = self._known[conversation] = epoch_of(connection, conversation)
        return epoch

    def learn(self, conversation: int, epoch: int) -> None:
        """Note the epoch of a log, as the transaction has read it."""
        self._known[conversation] = epoch

    def move(self, connection: Connection, conversation: int) -> int:
        """Begin the next epoch of a log, and return it."""
        epoch = self.of(connection, conversation) + 1
        if not connection.execute(*_set_epoch(conversation, epoch)).rowcount:
            connection.execute(insert(heads).values(conversation_id=conversation, epoch=epoch))
        self._known[conversation] = epoch
        return epoch

    def checked(self, connection: Connection, items: Sequence[Item]) -> Sequence[Item | Failure]:
        """Return `items` itself if no epoch has moved, else each message as it is to be stored, or the
        Failure with which it is refused."""
        known = self._known
        for item in items:
            if item.epoch is not None and known.get(item.conversation) != item.epoch:
                return [self._checked(connection, each) for each in items]
        return items

    def stated(
        self, connection: Connection, items: Sequence[Item], stored: Sequence[Stored]
    ) -> Sequence[Stored]:
        """The places of `items`. Where several nodes may write, they have the epochs of groups: of those of
        this realm, in which rights are checked, and of others, whose homes have numbered the items."""
        if not backend_of(connection).is_shared:
            return stored
        return [
            place
            if item.epoch is None and item.seq is None
            else replace(place, epoch=self.of(connection, item.conversation))
            for item, place in zip(items, stored, strict=True)
        ]

    def _checked(self, connection: Connection, item: Item) -> Item | Failure:
        if item.epoch is None or self.of(connection, item.conversation) == item.epoch:
            return item
        try:
            return self._check_again(connection, item)
        except ChatError as error:
            return Failure(error)
