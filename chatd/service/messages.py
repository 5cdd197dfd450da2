"""Sending: from an address and a text to a stored message.

A message whose target is in memory is one row in the next transaction. One whose target has to be looked up
takes a job in the writer's queue. While a sender has any of those under way, all of their messages are looked
up, so that messages are stored in the order in which they were sent.

Messages that go to another realm, or are stored only there, continue in chatd.service.remote_sends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from chatd.base.errors import (
    Banned,
    ChatError,
    DiskFull,
    GroupMoved,
    GroupShut,
    MessageQuota,
    MessageTooLong,
    Muted,
    NotMember,
    UnknownUser,
    none_known,
)
from chatd.base.model import Account, Sent
from chatd.base.names import Address
from chatd.service.context import Context
from chatd.service.directs import Directs
from chatd.service.fan_out import FanOut
from chatd.service.group_targets import GroupTargets
from chatd.service.idempotent_sends import Sends, name_for, receipt_of
from chatd.service.message_maker import MessageMaker
from chatd.service.message_parts import MessageParts
from chatd.service.mutes import CheckMute
from chatd.service.presence import IListener
from chatd.service.publisher import Kept, Publisher, collect, stored_message
from chatd.service.quotas import MessageQuotas, cost, cost_of
from chatd.service.remote_sends import RemotePost, RemoteSend, RemoteSends
from chatd.service.rosters import Rosters
from chatd.service.send_turns import SendTurns
from chatd.service.targets import Target, group_target
from chatd.service.text_sends import TextSend, Then, unchanged
from chatd.store.database import Batch, Item
from chatd.store.idempotent_sends import RecordedSend
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
        self.groups = GroupTargets(context, rosters, directs)
        self.maker = MessageMaker(context, remote)
        self._check_mute: CheckMute = lambda _key, _group, _name: None

    def on_post(self, check: CheckMute) -> None:
        """Call `check` for each message to a group. It raises Muted."""
        self._check_mute = check

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

        Fails with UnknownGroup, NotMember, Banned, UnknownRealm, GroupClosed, GroupShut.
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
                target = await self.groups.find(sender, group)
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
        target = await self.groups.find(sender, group, member=False)
        name = name_for(sender, key, target)
        known = (await self.sends.answered([name])).get(name)
        return None if known is None else Sent((receipt_of(known, target),))

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
        """Send a message to one conversation: a text, or `parts`. Fires as `send_and`. Fails with Muted,
        GroupShut, DiskFull, MessageQuota."""
        if key is not None:
            once = self._post_once(sender, target, text, origin, key, wait, parts)
            return Deferred.fromCoroutine(once).addCallback(then)
        try:
            self.check_target(sender, target)
        except ChatError as error:
            return fail(error)
        now = self._context.now()
        if target.realms or target.home is not None or parts is not None:
            new = self.maker.make(sender, target, now, text, parts=parts)
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
        return self._post_parts(sender, target, new, parts, origin, wait, size).addCallback(then)

    def _post_parts(
        self,
        sender: Account,
        target: Target,
        new: NewMessage,
        parts: MessageParts,
        origin: IListener | None,
        wait: bool,
        size: int,
    ) -> Deferred[Sent]:
        """Store a message of `parts` for people of this realm or for a group of it."""
        stored: Deferred[Stored] = self._database.batch(self._writer.send, new)
        arrived, refund = (new, target, origin, parts, wait), (sender.id, size)
        return stored.addCallbacks(self._post_arrived, self._not_stored, arrived, {}, refund)

    def check_target(self, sender: Account, target: Target) -> None:
        """Raises Muted, GroupShut."""
        if target.group is not None:
            target.check_open()
            self._check_mute(sender.key, target.conversation, target.group)

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
        key: str,
        wait: bool,
        parts: MessageParts | None,
    ) -> Sent:
        """As `_post`, but a repeated send gets the earlier answer."""
        name = name_for(sender, key, target)
        async with self.sends.turn([name]):
            now = self._context.now()
            new = self.maker.make(sender, target, now, text, key=key, parts=parts)
            kept: Kept
            try:
                self.check_target(sender, target)
                with self.quotas.charged(sender.id, cost_of(new), now) as charge:
                    if target.home is not None:
                        kept = await self.remote.store_post_once(name, sender, target, new, parts)
                    else:
                        kept = stored_message(new, await self.sends.store(name, new))
                    if isinstance(kept, RecordedSend):
                        charge.undo()
            except (DiskFull, MessageQuota, Muted, GroupShut):
                # A repeated send still gets its earlier answer.
                known = await self.sends.look_up(name)
                if known is None:
                    raise
                kept = known
            file = None if parts is None else parts.file
            return await self.publisher.publish(target, kept, file, origin, name, wait)
