"""Makes messages to store: a text, parts or a file for a target, with the copies for other realms."""

from __future__ import annotations

from sqlalchemy import Connection
from twisted.python.failure import Failure

from chatd.base.attachments import Attachment
from chatd.base.entries import NO_PARTS
from chatd.base.model import Account
from chatd.service.context import Context
from chatd.service.message_parts import MessageParts
from chatd.service.publisher import Kept, stored_message
from chatd.service.remote_sends import RemoteSends
from chatd.service.targets import Target
from chatd.store.idempotent_sends import RecordedSend
from chatd.store.new_entries import NewMessage, Stored


class MessageMaker:
    """Makes messages, and stores those that carry files."""

    def __init__(self, context: Context, remote: RemoteSends) -> None:
        self._context = context
        self._remote = remote

    def make(
        self,
        sender: Account,
        target: Target,
        at: int,
        text: str | None,
        file: Attachment | None = None,
        key: str | None = None,
        parts: MessageParts | None = None,
    ) -> NewMessage:
        """A message to store here, with its copies for other realms."""
        copies, crossing, extras, forwards = None, NO_PARTS, None, None
        if parts is not None:
            file, crossing, extras = parts.file, parts.crossing, parts.extras
            forwards = parts.forwards
        if target.realms and target.home is None:
            copies = self._remote.forwarder.copies(sender, target, at, text, file, crossing)
        return NewMessage(
            target.conversation,
            sender.id,
            sender.name,
            at,
            text,
            None if file is None else file.id,
            copies=copies,
            key=key,
            extras=extras,
            epoch=target.epoch if target.home is None else None,
            forwards=forwards,
        )

    def store_file(
        self,
        connection: Connection,
        sender: Account,
        target: Target,
        file: Attachment,
        now: int,
        key: str | None = None,
    ) -> Kept:
        """Store a message that carries a file, for `publish`. Runs in the writer's thread. Raises NotMember,
        Banned."""
        new = self.make(sender, target, now, None, file, key)
        if target.home is not None:
            return self._remote.store_file(connection, sender, target, new, file)
        writers = self._context.writers
        place: Stored | RecordedSend | Failure
        if key is None:
            place = writers.messages.send(connection, [new])[0]
        else:
            place = writers.sends.store(connection, [new])[0]
        if isinstance(place, Failure):
            place.raiseException()  # the sender was removed while the bytes arrived
        return stored_message(new, place)
