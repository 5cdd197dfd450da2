"""Messages that need look-ups before they are sent: replies, mentions, forwarded and opaque messages."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from chatd.base.entries import EntryRef
from chatd.base.errors import (
    MessageDeleted,
    MessageWithheld,
    NotMember,
    UnknownMessage,
    UnknownUser,
    none_known,
)
from chatd.base.model import Account, Message, Sent
from chatd.base.names import Address, Place, parse_address
from chatd.service.directs import Directs
from chatd.service.mentions import Mentions
from chatd.service.message_parts import MessageParts
from chatd.service.messages import Messages
from chatd.service.presence import IListener
from chatd.service.publisher import collect
from chatd.service.target_finder import TargetFinder
from chatd.service.targets import Target
from chatd.store.access import has_message, view_of
from chatd.store.database import Database
from chatd.store.earlier_numbers import ref_of
from chatd.store.pinned import message_at


class SendOptions(msgspec.Struct, frozen=True):
    """`origin` is the connection that sends. `reply` is the seq of the message that is answered. `key` and
    `wait` as in Messages.send."""

    origin: IListener | None
    key: str | None = None
    wait: bool = True
    reply: int | None = None


class ComposedSends:
    """Sends messages that have more than a text."""

    def __init__(
        self,
        database: Database,
        messages: Messages,
        directs: Directs,
        finder: TargetFinder,
        mentions: Mentions,
    ) -> None:
        self._database = database
        self._messages = messages
        self._directs = directs
        self._finder = finder
        self._mentions = mentions

    async def to_people(
        self, sender: Account, to: Sequence[Address], parts: MessageParts, options: SendOptions
    ) -> Sent:
        """Send to each of `to`. Fails as Messages.send, and with UnknownMessage."""
        async with self._messages.turns.turn(sender):
            targets, errors = await self._directs.open(sender, to)
            posts = {
                target.name: self._messages.send_parts(
                    sender,
                    target,
                    await self._complete(sender, target, parts, options),
                    options.origin,
                    options.key,
                    options.wait,
                )
                for target in targets
            }
        receipts = await collect(posts, errors)
        if not receipts:
            raise none_known(errors)
        return Sent(tuple(receipts), errors)

    async def to_group(
        self, sender: Account, group: Address, parts: MessageParts, options: SendOptions
    ) -> Sent:
        """Send to a group. Fails as Messages.post, and with UnknownMessage."""
        async with self._messages.turns.turn(sender):
            target = await self._messages.groups.find(sender, group)
            whole = await self._complete(sender, target, parts, options)
            done = self._messages.send_parts(
                sender, target, whole, options.origin, options.key, options.wait
            )
        return await done

    async def to_place(
        self, sender: Account, place: Place | int, parts: MessageParts, options: SendOptions
    ) -> Sent:
        """Send to a person or a group. Fails as `to_people` and `to_group`, and as Reading.find."""
        try:
            target = await self._finder.find(sender, place)
        except NotMember:
            if isinstance(place, Place) and place.group is not None:
                # It raises Banned if that is why.
                await self._messages.groups.find(sender, place.group)
            raise
        if target is not None:
            place = _place_of(target)
        assert isinstance(place, Place)  # noqa: S101 - the finder has found an id, or has raised
        if place.user is None:
            assert place.group is not None  # noqa: S101 - a place has one of the two
            return await self.to_group(sender, place.group, parts, options)
        try:
            return await self.to_people(sender, (place.user,), parts, options)
        except UnknownUser:
            if place.group is None:
                raise
            return await self.to_group(sender, place.group, parts, options)

    async def _complete(
        self, sender: Account, target: Target, parts: MessageParts, options: SendOptions
    ) -> MessageParts:
        """The parts with the reply and the mentions in that conversation. Raises UnknownMessage."""
        if options.reply is not None:
            known, ref = await self._database.read(
                _answered, sender.id, target.conversation, options.reply
            )
            if not known:
                raise UnknownMessage(seq=options.reply)
            parts = msgspec.structs.replace(parts, reply=options.reply, reply_ref=ref)
        if parts.text is not None and parts.forwarded is None and "@" in parts.text:
            mentions = await self._mentions.resolve(sender, target, parts.text)
            parts = msgspec.structs.replace(parts, mentions=mentions)
        return parts

    async def forward(
        self,
        sender: Account,
        where: Place | int,
        seq: int,
        to: Place,
        options: SendOptions,
    ) -> Sent:
        """Send the content of the message `seq` of a conversation to somebody else, with the address of its
        author. Raises UnknownMessage, MessageDeleted, MessageWithheld, and as `to_place`."""
        source = await self._finder.find(sender, where)
        if source is None:
            raise UnknownMessage(seq=seq)
        message = await self._database.read(message_at, sender, source.conversation, seq)
        if message is None:
            raise UnknownMessage(seq=seq)
        if message.deleted:
            raise MessageDeleted(seq=seq)
        if message.withheld:
            raise MessageWithheld(seq=seq)
        return await self.to_place(sender, to, _forwarded(message), options)


def _forwarded(message: Message) -> MessageParts:
    return MessageParts(
        message.text,
        message.file,
        message.seq,
        forwarded=message.forwarded or message.sender,
        opaque=message.opaque,
    )


def _place_of(target: Target) -> Place:
    address = parse_address(target.name)
    return Place(group=address) if target.group is not None else Place(user=address)


def _answered(
    connection: Connection, account_id: int, conversation: int, seq: int
) -> tuple[bool, EntryRef | None]:
    """Whether the account sees that message, also if it was deleted since, and its name elsewhere."""
    view = view_of(connection, account_id, conversation)
    if view is None or not has_message(connection, view, seq):
        return False, None
    return True, ref_of(connection, conversation, seq)
