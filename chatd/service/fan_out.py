"""Passes stored messages to listening connections and to other realms."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial

import msgspec

from chatd.base.attachments import Attachment
from chatd.base.events import ConversationChange
from chatd.base.model import DELIVERED, QUEUED, STORED, Message, Receipt
from chatd.service.blocks import Blocks
from chatd.service.context import Context
from chatd.service.message_parts import with_extras
from chatd.service.presence import IListener, LogPlace, Presence
from chatd.service.reading import Reading
from chatd.service.remote import IForwarder
from chatd.service.rosters import Rosters
from chatd.service.targets import Target
from chatd.store.new_entries import NewMessage, Stored
from chatd.store.sealing import UNVERIFIED


class Others(Collection[int]):
    """The accounts of an audience except some of them, without a copy of a large audience. The audience may
    lose these, too, before it is told."""

    __slots__ = ("_audience", "_left_out")

    def __init__(self, audience: Collection[int], left_out: frozenset[int]) -> None:
        self._audience = audience
        self._left_out = left_out

    def __len__(self) -> int:
        audience = self._audience
        return len(audience) - sum(account in audience for account in self._left_out)

    def __contains__(self, account: object) -> bool:
        return account in self._audience and account not in self._left_out

    def __iter__(self) -> Iterator[int]:
        return (account for account in self._audience if account not in self._left_out)


class _Told(msgspec.Struct, frozen=True):
    """A message that is on disk, and the connection that has sent it."""

    stored: Stored
    new: NewMessage
    target: Target
    file: Attachment | None
    origin: IListener | None

    def event(self, state: str) -> Message:
        """The message as listeners get it."""
        stored, new, target = self.stored, self.new, self.target
        message = Message(
            stored.id,
            new.conversation,
            stored.seq,
            new.at,
            new.sender,
            target.to,
            target.group,
            new.text,
            self.file,
            target.title,
            state,
            unverified=new.signature is not None and new.signature.status == UNVERIFIED,
        )
        return message if new.extras is None else with_extras(message, new.extras, stored.reply)


class FanOut:
    """Called once for each message that is on disk."""

    def __init__(
        self,
        context: Context,
        rosters: Rosters,
        reading: Reading,
        presence: Presence,
        blocks: Blocks,
        forwarder: IForwarder,
    ) -> None:
        self._rosters = rosters
        self._reading = reading
        self._presence = presence
        self._blocks = blocks
        self._forwarder = forwarder
        self._counters = context.counters

    def tell(
        self,
        stored: Stored,
        new: NewMessage,
        target: Target,
        file: Attachment | None,
        origin: IListener | None,
    ) -> Receipt:
        """Pass a message to all participants except the connection `origin`, and to other realms with
        members. Returns the sender's receipt."""
        to, told = target.to or target.group or "", _Told(stored, new, target, file, origin)
        if target.group is None:
            self._counters.direct += 1
            state = QUEUED if new.copies is not None or stored.realms else STORED
            self._tell_direct(told, state)
        else:
            self._counters.group += 1
            state = STORED
            self._tell_group(told)
        return Receipt(new.conversation, stored.seq, stored.id, to, state, new.at)

    def _tell_direct(self, told: _Told, state: str) -> None:
        target, origin, audience = told.target, told.origin, told.target.audience
        self._reading.arrived(audience)
        if len(audience) == 1:
            if not target.realms:
                origin = None  # a message to oneself arrives on the sending connection too
            if not self._presence.hears(audience, origin):
                return
        self._presence.tell(audience, told.event(state), origin)
        if told.stored.seq == 1:
            self._tell_new(told.new, target, origin)

    def _tell_group(self, told: _Told) -> None:
        stored, target = told.stored, told.target
        if stored.realms:
            self._forwarder.relay(stored, told.new.attachment_id)
        tell = partial(self._tell_members, told)
        # Members who joined while the message was being stored get it too, if they may see it.
        self._rosters.tell_viewers(target.conversation, stored, stored.seq, target.audience, tell)

    def _tell_members(self, told: _Told, audience: Collection[int], place: LogPlace | None) -> None:
        """Tell members of a group of a message. Those who have blocked the author get another event than the
        rest. So does the author, if the group is of another realm."""
        origin, new = told.origin, told.new
        self._reading.arrived_in_group(audience)
        if len(audience) == 1 and not self._presence.hears(audience, origin):
            return
        event = told.event(STORED)
        if told.target.home is not None:
            audience = self._tell_author(audience, new.sender_id, event, origin, place)
        if blockers := self._blocks.against(new.sender):
            audience = self._tell_blockers(audience, blockers, event, origin, place)
        self._presence.tell(audience, event, origin, place)

    def _tell_author(
        self,
        audience: Collection[int],
        author: int | None,
        event: Message,
        origin: IListener | None,
        place: LogPlace | None,
    ) -> Collection[int]:
        """If the author of a message to a group elsewhere is of this realm, tell them that it is delivered,
        since it comes from there. Returns the others."""
        if author is None or author not in audience or not self._presence.hears((author,), origin):
            return audience
        delivered = msgspec.structs.replace(event, state=DELIVERED)
        self._presence.tell((author,), delivered, origin, place)
        return Others(audience, frozenset((author,)))

    def _tell_blockers(
        self,
        audience: Collection[int],
        blockers: frozenset[int],
        event: Message,
        origin: IListener | None,
        place: LogPlace | None,
    ) -> Collection[int]:
        """Tell those of the audience who have blocked the sender of a message in a group. Returns the
        others."""
        fewer, more = sorted((blockers, audience), key=len)
        told = frozenset(account for account in fewer if account in more)
        if not told:
            return audience
        self._presence.tell(told, msgspec.structs.replace(event, blocked=True), origin, place)
        return Others(audience, told)

    def _tell_new(self, new: NewMessage, target: Target, origin: IListener | None) -> None:
        """Tell both sides that a direct conversation has begun with this message."""
        for account in target.audience:
            other = target.to if account == new.sender_id else new.sender
            begun = ConversationChange(new.conversation, user=other)
            self._presence.tell_followers((account,), begun, origin)
