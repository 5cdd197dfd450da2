"""Direct conversations whose people have moved: a message may have been addressed before that.

Such a message is addressed again in the writer's thread, in the transaction that stores it. So none goes to
an address after others have gone to the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from sqlalchemy import Connection
from twisted.python.failure import Failure

from chatd.base.errors import ChatError

MAX_REROUTED = 100_000


class Placed(Protocol):
    """A message to a conversation."""

    @property
    def conversation(self) -> int: ...


Item = TypeVar("Item", bound=Placed)


class Rerouted(Generic[Item]):
    """The conversations since this start, as the writer's thread knows them. The oldest are forgotten."""

    def __init__(self) -> None:
        self._places: dict[int, None] = {}
        self._readdress: Callable[[Connection, Item], Item] = lambda _connection, item: item

    def on_message(self, readdress: Callable[[Connection, Item], Item]) -> None:
        """Call `readdress` for each message to one of the conversations. It returns the message as it is to
        be stored now, or raises ChatError."""
        self._readdress = readdress

    def add(self, conversation: int) -> None:
        """Messages to a conversation go elsewhere than before."""
        self._places[conversation] = None
        if len(self._places) > MAX_REROUTED:
            del self._places[next(iter(self._places))]

    def checked(
        self, connection: Connection, items: Sequence[Item | Failure]
    ) -> Sequence[Item | Failure]:
        """Return `items` itself if none goes to such a conversation, else each message as it is to be stored,
        or the Failure with which it is refused."""
        places = self._places
        if not places or not any(_place(each) in places for each in items):
            return items
        return [self._checked(connection, each) for each in items]

    def _checked(self, connection: Connection, item: Item | Failure) -> Item | Failure:
        if isinstance(item, Failure) or item.conversation not in self._places:
            return item
        try:
            return self._readdress(connection, item)
        except ChatError as error:
            return Failure(error)


def _place(item: Placed | Failure) -> int | None:
    return None if isinstance(item, Failure) else item.conversation
