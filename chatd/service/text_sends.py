"""A text on its way to a conversation of this realm, as most messages are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatd.base.model import Sent
from chatd.service.presence import IListener
from chatd.service.targets import Target
from chatd.store.new_entries import NewMessage, Stored

if TYPE_CHECKING:
    from chatd.service.messages import Messages

Then: TypeAlias = Callable[[Sent], Any]


def unchanged(sent: Sent) -> Sent:
    return sent


class TextSend(msgspec.Struct, eq=False):
    """The database calls `callback` or `errback`, which takes less time than callbacks of a Deferred. `sent`
    fires with what `then` makes of a Sent. `size` was charged for the message."""

    messages: Messages
    new: NewMessage
    target: Target
    origin: IListener | None
    wait: bool
    then: Then
    size: int
    sent: Deferred[Any] = msgspec.field(default_factory=Deferred)

    def callback(self, stored: Stored) -> None:
        """It is on disk."""
        if stored.realms and self.target.group is None:
            self._go_on(stored)
            return
        fan_out = self.messages.fan_out
        try:
            receipt = fan_out.tell(stored, self.new, self.target, None, self.origin)
            result = self.then(Sent((receipt,)))
        except Exception:
            self.sent.errback(Failure())  # the sender waits for it
            return
        self.sent.callback(result)

    def _go_on(self, stored: Stored) -> None:
        """The recipient has moved to another realm meanwhile."""
        remote = self.messages.remote
        going = remote.deliver(stored, self.new, self.target, None, self.origin, self.wait)
        going.addCallback(self.then).addCallbacks(self.sent.callback, self.sent.errback)

    def errback(self, failure: Failure | Exception) -> None:
        """It could not be stored."""
        if self.new.sender_id is not None:
            self.messages.quotas.give_back(self.new.sender_id, self.size)
        self.sent.errback(failure)
