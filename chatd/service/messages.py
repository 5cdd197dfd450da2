"""Sending: from an address and a text to a stored message.

A message whose target is in memory is one row in the next transaction. One whose target has to be looked up
takes a job in the writer's queue. While a sender has any of those under way, all of their messages are looked
up, so that messages are stored in the order in which they were sent.

Messages that go to another realm, or are stored only there, continue in chatd.service.remote_sends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from chatd.base.attachments import Attachment
from chatd.base.entries import NO_PARTS
from chatd.base.errors import (
    Banned,
    ChatError,
    DiskFull,
    GroupMoved,
    MessageQuota,
    MessageTooLong,
    NotMember,
    UnknownUser,
    none_known,
)
from chatd.base.model import Account, Sent, party_of
from chatd.base.names import Address, key_of
from chatd.service.context import Context
from chatd.service.directs import Directs
from chatd.service.fan_out import FanOut
from chatd.service.idempotent_sends import Sends, name_for, receipt_of
from chatd.service.message_parts import MessageParts
from chatd.service.presence import IListener
from chatd.service.publisher import Kept, Publisher, collect, stored_message
from chatd.service.quotas import MessageQuotas, cost, cost_of
from chatd.service.remote_sends import RemotePost, RemoteSend, RemoteSends
from chatd.service.rosters import Rosters
from chatd.service.send_turns import SendTurns
from chatd.service.targets import Target, group_target
from chatd.service.text_sends import TextSend, Then, unchanged
from chatd.store.bans import check_ban
from chatd.store.database import Batch, Item
from chatd.store.idempotent_sends import RecordedSend, SendKey
from chatd.store.new_entries import NewMessage, Stored

T = TypeVar("T")


class Messages:
    """Sends messages to people and groups."""

    def __init__(
        self,
        context: Context,
        rosters: Rosters,
        directs: Directs,
        sends: Sends,
        quotas: MessageQuotas,
        fan_out: FanOut,
        remote: RemoteSends,
    ) -> None:
        self._context = context
        self._database = context.database
        self._rosters = rosters
        self._directs = directs
        self.quotas = quotas
        self.remote = remote
        self.fan_out = fan_out
        self.sends = sends
        self.publisher = Publisher(fan_out, remote)
        self._writer = context.writers.messages
        self._posts = context.writers.posts
        self.turns = SendTurns()

    # Sending

    def check_text(self, text: str) -> None:
        """Raises MessageTooLong."""
        limit = self._context.config.limits.message
        if len(text) * 4 > limit and (size := len(text.encode())) > limit:
            raise MessageTooLong(size=size, limit=limit)

    def send(
        self,
        sender: Account,
        to: Sequence[Address],
        text: str,
        origin: IListener | None,
        key: str | None = None,
        wait: bool = True,
    ) -> Deferred[Sent]:
        """Send a direct message to each of `to`. Fires once all are stored; with `wait`, once other realms
        have answered or taken too long. A message that was sent before under that `key` is not sent again.

        Fails with UnknownUser or UnknownRealm if none of them is known.
        """
        return self.send_and(unchanged, sender, to, text, origin, key, wait)

    def send_and(
        self,
        then: Callable[[Sent], T],
        sender: Account,
        to: Sequence[Address],
        text: str,
        origin: IListener | None,
        key: str | None,
        wait: bool,
    ) -> Deferred[T]:
        """As `send`. Fires with what `then` makes of the result: for most messages, this takes less time than
        a callback."""
        if len(to) == 1 and sender.id not in self.turns.active:
            target = self._directs.cached(sender, to[0])
            if target is not None:
                return self._post(sender, target, text, origin, key, wait, then=then)
        sending = self._send_slowly(sender, to, text, origin, key, wait)
        return Deferred.fromCoroutine(sending).addCallback(then)

    async def _send_slowly(
        self,
        sender: Account,
        to: Sequence[Address],
        text: str,
        origin: IListener | None,
        key: str | None,
        wait: bool,
    ) -> Sent:
        async with self.turns.in_order(sender):
            targets, errors = await self._directs.open(sender, to)
            posts = [self._post(sender, target, text, origin, key, wait) for target in targets]
        receipts = await collect(
            {target.name: post for target, post in zip(targets, posts, strict=True)}, errors
        )
        if not receipts:
            raise none_known(errors)
        return Sent(tuple(receipts), errors)

    def post(
        self,
        sender: Account,
        group: Address,
        text: str,
        origin: IListener | None,
        key: str | None = None,
        wait: bool = True,
    ) -> Deferred[Sent]:
        """Send a message to a group that the sender is a member of, or to an open one of another realm. A
        message that was sent before under that `key` is not sent again.

        Fails with UnknownGroup, NotMember, Banned, UnknownRealm, GroupClosed.
        """
        if sender.id not in self.turns.active:
            roster = self._rosters.postable(sender, group.key)
            if roster is not None:
                posting = self._post(sender, group_target(roster), text, origin, key, wait)
                again = sender, group, text, origin, key, wait
                return posting.addErrback(self._post_again, *again)
        return Deferred.fromCoroutine(self._post_slowly(sender, group, text, origin, key, wait))

    def _post_again(self, failure: Failure, *post: Any) -> Deferred[Sent]:
        """The group has moved to another realm when the message was about to be stored: send it there."""
        failure.trap(GroupMoved)
        return Deferred.fromCoroutine(self._post_slowly(*post))

    async def _post_slowly(
        self,
        sender: Account,
        group: Address,
        text: str,
        origin: IListener | None,
        key: str | None,
        wait: bool,
    ) -> Sent:
        async with self.turns.in_order(sender):
            try:
                target = await self.group(sender, group)
            except (NotMember, Banned):
                # A repeated send by a former member still gets its earlier answer.
                before = None if key is None else await self._posted_before(sender, group, key)
                if before is None:
                    raise
                return before
            done: Deferred[Sent] = self._post(sender, target, text, origin, key, wait)
        return await done

    def send_parts(
        self,
        sender: Account,
        target: Target,
        parts: MessageParts,
        origin: IListener | None,
        key: str | None = None,
        wait: bool = True,
    ) -> Deferred[Sent]:
        """Send a message that has more than a text. Call it in a turn (`turns`). Fails with
        NotSupportedThere."""
        try:
            return self._post(sender, target, parts.text, origin, key, wait, parts)
        except ChatError as error:
            return fail(error)

    def send_to_either(
        self,
        sender: Account,
        name: Address,
        text: str,
        origin: IListener | None,
        key: str | None = None,
        wait: bool = True,
    ) -> Deferred[Sent]:
        """Send to the person with that name, or else to the group: accounts and groups share one namespace.
        Fails as `post`."""
        return Deferred.fromCoroutine(self._send_to_either(sender, name, text, origin, key, wait))

    async def _send_to_either(
        self,
        sender: Account,
        name: Address,
        text: str,
        origin: IListener | None,
        key: str | None,
        wait: bool,
    ) -> Sent:
        with self.turns.looking_up(sender):
            try:
                return await self.send(sender, (name,), text, origin, key, wait)
            except UnknownUser:
                return await self.post(sender, name, text, origin, key, wait)

    async def _posted_before(self, sender: Account, group: Address, key: str) -> Sent | None:
        target = await self.group(sender, group, member=False)
        name = name_for(sender, key, target)
        known = (await self.sends.answered([name])).get(name)
        return None if known is None else Sent((receipt_of(known, target),))

    async def group(self, sender: Account, name: Address, member: bool = True) -> Target:
        """A group that the sender may post to, as far as this realm knows. With `member`, the sender has to
        be a member if the group lives in this realm.

        Raises UnknownGroup, NotMember, Banned, UnknownRealm, and as UnknownRealms.meet.
        """
        await self._directs.unknown.meet(sender, name)
        try:
            if not member:
                return group_target(await self._rosters.load(name))
            return group_target(await self._rosters.find_mine(sender, name, in_turn=True))
        except NotMember:
            local = self._context.localize(name)
            if local.realm is None or await self._has_come(sender, name):
                await self._check_ban(sender, name)
                raise
        # Only the group's home knows whether the group is open.
        return Target(0, (), group=str(self._directs.as_written(local)), home=key_of(local.realm))

    async def _has_come(self, sender: Account, former: Address) -> bool:
        """Whether the group that had this address in another realm has moved here."""
        try:
            roster = await self._rosters.find(former, party_of(sender))
        except NotMember:  # nobody here is a member
            return False
        return roster.group.realm is None

    async def _check_ban(self, sender: Account, name: Address) -> None:
        """Raises Banned, or UnknownGroup for a private group."""
        party = party_of(sender)
        roster = await self._rosters.find(name, party)
        await self._database.read(check_ban, roster.group, party)

    def _post(
        self,
        sender: Account,
        target: Target,
        text: str | None,
        origin: IListener | None,
        key: str | None,
        wait: bool,
        parts: MessageParts | None = None,
        then: Then = unchanged,
    ) -> Deferred[Any]:
        """Send a message to one conversation: a text, or `parts`. Fires as `send_and`. Fails with DiskFull,
        MessageQuota."""
        if key is not None:
            name = name_for(sender, key, target)
            once = self._post_once(sender, target, text, origin, name, wait, parts)
            return Deferred.fromCoroutine(once).addCallback(then)
        now = self._context.now()
        if target.realms or target.home is not None or parts is not None:
            new = self._new(sender, target, now, text, parts=parts)
        else:
            new = NewMessage(
                target.conversation, sender.id, sender.name, now, text, epoch=target.epoch
            )
        size = cost_of(new) if new.copies is not None or text is None else cost(text)
        try:
            self.quotas.charge_account(sender.id, size, now)
        except ChatError as error:
            return fail(error)
        if target.home is not None:
            post = self.remote.new_post(sender, target, new, parts)
            posting = RemotePost(self.remote, post, target, origin, wait)
            return self._submit(self._posts.store, post, posting, size, then)
        if new.copies is not None and target.group is None:
            sending = RemoteSend(self.remote, new, target, origin, wait)
            sending.file = None if parts is None else parts.file
            return self._submit(self._writer.send, new, sending, size, then)
        if parts is None:
            text_send = TextSend(self, new, target, origin, wait, then, size)
            self._database.submit(self._writer.send, new, text_send)
            return text_send.sent
        stored: Deferred[Stored] = self._database.batch(self._writer.send, new)
        arrived, refund = (new, target, origin, parts, wait), (sender.id, size)
        sent: Deferred[Sent] = stored.addCallbacks(
            self._post_arrived, self._not_stored, arrived, {}, refund
        )
        return sent.addCallback(then)

    def _submit(
        self,
        job: Batch[Item, Stored],
        item: Item,
        send: RemoteSend | RemotePost,
        size: int,
        then: Then,
    ) -> Deferred[Any]:
        """Store a message of that size, and let `send` continue with it. Fires with what `then` makes of a
        Sent."""
        send.charge, send.then = (self.quotas, size), then
        self._database.submit(job, item, send)
        return send.sent

    def _not_stored(self, failure: Failure, sender_id: int, size: int) -> Failure:
        """Return the bytes to the quota, since nothing was stored."""
        self.quotas.give_back(sender_id, size)
        return failure

    def _new(
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
            copies = self.remote.forwarder.copies(sender, target, at, text, file, crossing)
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

    def _post_arrived(
        self,
        stored: Stored,
        new: NewMessage,
        target: Target,
        origin: IListener | None,
        parts: MessageParts,
        wait: bool,
    ) -> Sent | Deferred[Sent]:
        file = parts.file
        if (
            stored.realms and target.group is None
        ):  # the recipient has moved to another realm meanwhile
            return self.remote.deliver(stored, new, target, file, origin, wait)
        return Sent((self.fan_out.tell(stored, new, target, file, origin),))

    async def _post_once(
        self,
        sender: Account,
        target: Target,
        text: str | None,
        origin: IListener | None,
        name: SendKey,
        wait: bool,
        parts: MessageParts | None,
    ) -> Sent:
        """As `_post`, but a repeated send gets the earlier answer."""
        async with self.sends.turn([name]):
            now = self._context.now()
            new = self._new(sender, target, now, text, key=name.key, parts=parts)
            kept: Kept
            try:
                with self.quotas.charged(sender.id, cost_of(new), now) as charge:
                    if target.home is not None:
                        kept = await self.remote.store_post_once(name, sender, target, new, parts)
                    else:
                        kept = stored_message(new, await self.sends.store(name, new))
                    if isinstance(kept, RecordedSend):
                        charge.undo()
            except (DiskFull, MessageQuota):
                # A repeated send still gets its earlier answer.
                known = await self.sends.look_up(name)
                if known is None:
                    raise
                kept = known
            file = None if parts is None else parts.file
            return await self.publisher.publish(target, kept, file, origin, name, wait)

    # Files

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
        new = self._new(sender, target, now, None, file, key)
        if target.home is not None:
            return self.remote.store_file(connection, sender, target, new, file)
        writers = self._context.writers
        place: Stored | RecordedSend | Failure
        if key is None:
            place = writers.messages.send(connection, [new])[0]
        else:
            place = writers.sends.store(connection, [new])[0]
        if isinstance(place, Failure):
            place.raiseException()  # the sender was removed while the bytes arrived
        return stored_message(new, place)
