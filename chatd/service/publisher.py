"""Passes on stored messages: to listeners here, and to other realms."""

from __future__ import annotations

from typing import TypeAlias, assert_never

import msgspec
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.attachments import Attachment
from chatd.base.errors import ChatError, kept_error
from chatd.base.model import Receipt, Sent
from chatd.service.fan_out import FanOut
from chatd.service.idempotent_sends import receipt_of
from chatd.service.presence import IListener
from chatd.service.remote_sends import RemoteSends, StoredPost
from chatd.service.targets import Target
from chatd.store.idempotent_sends import RecordedSend, SendKey
from chatd.store.new_entries import NewMessage, Stored

log = Logger()


class StoredMessage(msgspec.Struct, frozen=True):
    """A message that is on disk here, and its place."""

    new: NewMessage
    place: Stored


# The result of storing a send: stored here, stored for another realm, or already sent before.
Kept: TypeAlias = StoredMessage | StoredPost | RecordedSend


class Publisher:
    """Sends stored messages to listeners and to other realms."""

    def __init__(self, fan_out: FanOut, remote: RemoteSends) -> None:
        self._fan_out = fan_out
        self._remote = remote

    def publish(
        self,
        target: Target,
        kept: Kept,
        file: Attachment | None,
        origin: IListener | None,
        name: SendKey | None = None,
        wait: bool = True,
    ) -> Deferred[Sent]:
        """Send a stored message to the listeners here and to other realms. `name` is the identity of the
        send, if it has one. With `wait`, fires once other realms have answered or taken too long, and fails
        with the reason if they refuse it."""
        match kept:
            case RecordedSend():
                if wait and kept.refusal is not None:
                    return fail(kept_error(*msgspec.structs.astuple(kept.refusal)))
                return succeed(Sent((receipt_of(kept, target),)))
            case StoredPost():
                return self._remote.deliver_post(target, kept, origin, wait)
            case StoredMessage(new, place):
                if (target.realms or place.realms) and target.group is None:
                    return self._remote.deliver(place, new, target, file, origin, wait)
                return succeed(Sent((self._fan_out.tell(place, new, target, file, origin),)))
            case _:
                assert_never(kept)


def stored_message(new: NewMessage, place: Stored | RecordedSend) -> StoredMessage | RecordedSend:
    return place if isinstance(place, RecordedSend) else StoredMessage(new, place)


async def collect(posts: dict[str, Deferred[Sent]], errors: dict[str, ChatError]) -> list[Receipt]:
    """All receipts. Refusals are added to `errors`. Of other exceptions the first one is raised after all
    posts are done, and the others are logged."""
    receipts: list[Receipt] = []
    failures: list[Exception] = []
    for name, post in posts.items():
        try:
            receipts.extend((await post).receipts)
        except ChatError as error:
            errors[name] = error
        except Exception as error:
            if failures:
                log.failure("a message was not passed on", Failure(error))
            failures.append(error)
    if failures:
        raise failures[0]
    return receipts
