"""Keeps parcels in order behind a file: the bytes of a file go first, then its message, then what follows.

A lane is what must stay in order: the messages between two people, or those of a group
(`parcels.order_of`). A file holds up its own lane only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.federation import parcels
from chatd.federation.amp.send_queue import Item

MAX_HELD = 1000  # parcels that wait for files; beyond that nothing more is sent

Lane: TypeAlias = tuple[str, str]

log = Logger()


class FileLanes:
    """The lanes of one link to `realm`. `send` sends the bytes of an item's file; `sent` and `failed` are
    called with the item once that is over."""

    def __init__(
        self,
        realm: str,
        clock: IReactorTime,
        send: Callable[[Item], Deferred[None]],
        sent: Callable[[Item], None],
        failed: Callable[[Item, Failure], None],
    ) -> None:
        self._realm = realm
        self._clock = clock
        self._send = send
        self._sent = sent
        self._failed = failed
        self._closed = False
        # The parcels that wait in a lane, behind one with a file.
        self._held: dict[Lane, deque[Item]] = {}
        # By file that is being sent: parcels of other lanes with the same file.
        self._sharing: dict[int, deque[Item]] = {}
        # By number: the parcels whose files are being sent, or have arrived
        self._sending: dict[int, Item] = {}
        self.count = 0  # parcels that wait, those that wait for their own file included

    def close(self) -> None:
        """The link is gone: call nothing any more."""
        self._closed = True

    def hold(self, item: Item) -> bool:
        """Hold `item` if it must wait, for its own file or for one before it. Returns whether it must."""
        if item.lane is not None:
            return False
        parcel = parcels.decode(item.parcel)
        lane = parcels.order_of(parcel)
        if lane in self._held:
            self._held[lane].append(item)
            self.count += 1
            return True
        if item.file is None or _is_echo(parcel, self._realm):
            return False
        self._held[lane] = deque()
        self.count += 1
        item.lane = lane
        self._clock.callLater(0, self._begin, item)
        return True

    def _begin(self, item: Item) -> None:
        assert item.file is not None  # noqa: S101 - only such items begin a lane
        sharing = self._sharing.get(item.file)
        if sharing is not None:
            sharing.append(item)
            return
        self._sharing[item.file] = deque()
        self.send(item)

    def send(self, item: Item) -> None:
        """Send the bytes of the item's file, or send them again."""
        if not self._closed:
            self._sending[item.number] = item
            sending = self._send(item)
            sending.addCallbacks(self._after_send, self._after_failure, (item,), {}, (item,))
            sending.addErrback(lambda failure: log.failure("a file was not delivered", failure))

    def _after_send(self, _result: object, item: Item) -> None:
        if not self._closed:
            self._sent(item)

    def _after_failure(self, failure: Failure, item: Item) -> None:
        if not self._closed:
            self._failed(item, failure)

    def blanked(self, number: int, parcel: bytes) -> None:
        """A parcel has lost its content: it goes without its file."""
        for held in (*self._held.values(), *self._sharing.values(), self._sending.values()):
            for item in held:
                if item.number == number:
                    item.empty(parcel)

    def release(self, item: Item) -> Iterable[Item]:
        """End the lane of `item`, which has arrived or was refused. Returns the parcels that waited in it, in
        order. The next parcel with the same file gets its turn."""
        self._sending.pop(item.number, None)
        assert item.lane is not None and item.file is not None  # noqa: S101, PT018
        held = self._held.pop(item.lane)
        self.count -= len(held) + 1
        sharing = self._sharing.pop(item.file)
        if sharing:
            self._sharing[item.file] = sharing
            self.send(sharing.popleft())
        return held


def _is_echo(parcel: parcels.Parcel, realm: str) -> bool:
    """Whether the message goes back to the realm of its sender, which has the file."""
    return isinstance(parcel, parcels.Relay) and parcel.origin_realm == realm
