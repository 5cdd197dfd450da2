"""Messages: into conversations, to those who listen, and on their way to other realms.

A send whose names are known in memory is one row in the next transaction and nothing else. One that has
to look something up takes the slow way, one job in the writer's queue; while a sender has any of those
under way, all of theirs take it, so that what was sent first arrives first.

What goes to another realm is on disk with the parcel that brings it there; then its sender waits a moment
for what that realm says of it.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, succeed

from chatd import parcels
from chatd.accounts import Accounts
from chatd.counters import Counters
from chatd.directs import Directs, Target
from chatd.errors import ChatError, MessageTooLong, NotMember, none_known
from chatd.homegroups import HomeGroups
from chatd.model import Account, Attachment, Message, Receipt
from chatd.names import Address, key_of
from chatd.outbox import Outbox
from chatd.parcels import FileNote, Verdict
from chatd.presence import IListener, Presence
from chatd.reading import Reading
from chatd.realms import IRealms, refusal
from chatd.sends import Sends, name_for, receipt_of
from chatd.store import conversations as conversation_store
from chatd.store import messages as store
from chatd.store.database import Database
from chatd.store.groups import Roster
from chatd.store.messages import Crossing, MessageWriter, NewMessage, Stored
from chatd.store.outbox import NewParcel
from chatd.store.sends import Known, Name, NewPost, name_of
from chatd.timers import patiently

PATIENCE = 5.0  # seconds that a sender waits for a message to come back from its group's home


class Sent(msgspec.Struct, frozen=True):
    """What became of a message to one or several: where it stands, and who did not get it, and why."""

    receipts: tuple[Receipt, ...]
    refused: Mapping[str, ChatError] = {}


class Way:
    """A direct message on its way to another realm: to the disk (which tells it as it tells a Deferred),
    then to that realm, until `sent` fires.

    One Deferred for all of it: this is done for each message, and they cost more than all else here.
    """

    __slots__ = ("_file", "_messages", "_new", "_origin", "_stored", "_target", "sent")

    def __init__(
        self,
        messages: Messages,
        new: NewMessage,
        target: Target,
        file: Attachment | None,
        origin: IListener | None,
    ) -> None:
        self._messages = messages
        self._new = new
        self._target = target
        self._file = file
        self._origin = origin
        self.sent: Deferred[Sent] = Deferred()

    def errback(self, failure: Any) -> None:
        """It could not be stored."""
        self.sent.errback(failure)

    def callback(self, stored: Stored) -> None:
        """It is on disk, with its parcel."""
        self._stored = stored
        self._messages.dispatch(self._target.realms[0], stored, self._file, self.judged)

    def judged(self, verdict: Verdict | None) -> None:
        """The other realm has said what it thinks of it; None: not yet."""
        if verdict is not None and verdict.code:
            realm = self._target.realms[0]
            refused = self._messages.take_back(self._stored, self._new, realm, verdict)
            refused.addCallbacks(self.sent.errback, self.sent.errback)
            return
        receipt = self._messages.arrived(
            self._stored, self._new, self._target, self._file, self._origin
        )
        if verdict is None:
            receipt = msgspec.structs.replace(receipt, queued=True)
        self.sent.callback(Sent((receipt,)))


class Messages:
    def __init__(
        self,
        clock: Any,
        database: Database,
        accounts: Accounts,
        homes: HomeGroups,
        directs: Directs,
        reading: Reading,
        presence: Presence,
        outbox: Outbox,
        realms: IRealms,
        max_message: int,
        secret: bytes,
        counters: Counters,
    ) -> None:
        self._counters = counters
        self._clock = clock
        self._database = database
        self._accounts = accounts
        self._homes = homes
        self._directs = directs
        self._reading = reading
        self._presence = presence
        self._outbox = outbox
        self._realms = realms
        self._max_message = max_message
        self.writer = MessageWriter(outbox.writer)
        self._store = self.writer.store  # one object for all, by which the database tells a batch
        database.on_rollback(self.writer.forget)
        database.on_refused(self.writer.refused)
        self.sends = Sends(database, self.writer, outbox)
        self._looking_up: Counter[int] = Counter()
        # Number of a parcel to a group elsewhere -> who waits for the message to come back from there.
        self._echoes: dict[int, tuple[Deferred[Receipt | None], IListener | None]] = {}
        self._secret = secret  # by which what comes back is known for our own

    # Sending

    def check_text(self, text: str) -> None:
        """Raises MessageTooLong."""
        limit = self._max_message
        if len(text) * 4 > limit and (size := len(text.encode())) > limit:
            raise MessageTooLong(size=size, limit=limit)

    def send(
        self,
        sender: Account,
        to: Sequence[Address],
        text: str,
        origin: IListener | None,
        key: str | None = None,
    ) -> Deferred[Sent]:
        """A direct message to each of `to`; fires once all of them are stored, and other realms have said
        what they think of theirs or let it wait. To whom it was sent before under that `key`, it is not
        sent again.

        Errs with UnknownUser or UnknownRealm if none of them is known.
        """
        if len(to) == 1 and sender.id not in self._looking_up:
            target = self._directs.cached(sender, to[0])
            if target is not None:
                return self._post(sender, target, text, origin, key)
        return Deferred.fromCoroutine(self._send_slowly(sender, to, text, origin, key))

    async def _send_slowly(
        self,
        sender: Account,
        to: Sequence[Address],
        text: str,
        origin: IListener | None,
        key: str | None,
    ) -> Sent:
        with self._slowly(sender):
            targets, errors = await self._directs.open(sender, to)
            posts = [self._post(sender, target, text, origin, key) for target in targets]
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
    ) -> Deferred[Sent]:
        """A message to a group of which the sender is a member, or to an open one of another realm; not
        again if it was sent before under that `key`.

        Errs with UnknownGroup, NotMember, UnknownRealm, GroupClosed.
        """
        if sender.id not in self._looking_up:
            roster = self._homes.cached(group.key)
            if roster is not None and sender.id in roster.members:
                return self._post(sender, group_target(roster), text, origin, key)
        return Deferred.fromCoroutine(self._post_slowly(sender, group, text, origin, key))

    async def _post_slowly(
        self,
        sender: Account,
        group: Address,
        text: str,
        origin: IListener | None,
        key: str | None,
    ) -> Sent:
        with self._slowly(sender):
            try:
                target = await self.group(sender, group)
            except NotMember:
                # Who has left since then is told where it stands all the same.
                before = None if key is None else await self._posted_before(sender, group, key)
                if before is None:
                    raise
                return before
            done = self._post(sender, target, text, origin, key)
        return await done

    async def _posted_before(self, sender: Account, group: Address, key: str) -> Sent | None:
        target = await self.group(sender, group, member=False)
        name = name_for(sender, key, target)
        known = (await self.sends.answered([name])).get(name)
        return None if known is None else Sent((receipt_of(known, target),))

    @contextmanager
    def _slowly(self, sender: Account) -> Iterator[None]:
        self._looking_up[sender.id] += 1
        try:
            yield
        finally:
            self._looking_up[sender.id] -= 1
            if not self._looking_up[sender.id]:
                del self._looking_up[sender.id]

    async def group(self, sender: Account, name: Address, member: bool = True) -> Target:
        """A group that the sender may post to, as far as that is known here. `member`: has to be one, of
        a group of this realm.

        Raises UnknownGroup, NotMember, UnknownRealm.
        """
        try:
            if not member:
                return group_target(await self._homes.load(name))
            return group_target(await self._homes.find_mine(sender, name, in_turn=True))
        except NotMember:
            local = self._accounts.localize(name)
            if local.realm is None:
                raise
        # It is for the group's home to say whether it is open.
        home = key_of(local.realm)
        shown = f"{local.name}@{self._realms.name_of(home)}"
        return Target(0, (), group=shown, home=home)

    def _post(
        self,
        sender: Account,
        target: Target,
        text: str,
        origin: IListener | None,
        key: str | None,
    ) -> Deferred[Sent]:
        """A text into one conversation."""
        if key is not None:
            once = self._post_once(sender, target, text, origin, name_for(sender, key, target))
            return Deferred.fromCoroutine(once)
        now = self._accounts.now()
        if target.home is not None:
            return Deferred.fromCoroutine(self._post_elsewhere(sender, target, now, text, origin))
        crossing = self._crossing(sender, target, now, text, None) if target.realms else None
        new = NewMessage(target.conversation, sender.id, sender.name, now, text, crossing=crossing)
        if crossing is None or target.group is not None:
            stored: Deferred[Stored] = self._database.batch(self._store, new)
            return stored.addCallback(self._post_arrived, new, target, origin)
        way = Way(self, new, target, None, origin)
        self._database.submit(self._store, new, way)
        return way.sent

    def _post_arrived(
        self, stored: Stored, new: NewMessage, target: Target, origin: IListener | None
    ) -> Sent:
        return Sent((self.arrived(stored, new, target, None, origin),))

    async def _post_once(
        self, sender: Account, target: Target, text: str, origin: IListener | None, name: Name
    ) -> Sent:
        """As `_post`, unless that was done before."""
        async with self.sends.turn([name]):
            now = self._accounts.now()
            if target.home is not None:
                post = self.new_post(sender, target, now, text, None)
                parcel = NewParcel(target.home, post, now, sender.id)
                number = await self.sends.put(NewPost(name, target.conversation, parcel))
                return await self.kept(target, (parcel, number), None, origin, name)
            new = NewMessage(
                target.conversation,
                sender.id,
                sender.name,
                now,
                text,
                crossing=self._crossing(sender, target, now, text, None),
                key=name.key,
            )
            stored = await self.sends.store(name, new)
            return await self.kept(target, (new, stored), None, origin, name)

    # To other realms

    def _crossing(
        self, sender: Account, target: Target, at: int, text: str | None, file: FileNote | None
    ) -> Crossing | None:
        """What brings a message to the realms of the target that are not this one."""
        if not target.realms:
            return None
        if target.group is None:
            direct = parcels.Direct(sender.name, target.there, at, text, file)
            return Crossing(target.realms, parcels.encode(direct), sender.id)
        name, group = target.group, target.conversation

        def relay(seq: int) -> bytes:
            return parcels.encode(parcels.Relay(name, group, seq, sender.name, at, text, file))

        return Crossing(target.realms, relay)

    def take_back(
        self, stored: Stored, new: NewMessage, realm: str, verdict: Verdict
    ) -> Deferred[ChatError]:
        """Another realm has refused a direct message before its sender read OK: it was never there."""
        error = refusal(verdict, self._realms.name_of(realm))
        name = name_of(new)
        gone: Deferred[Any]
        if name is None:
            gone = self._database.run(store.take_back, stored.id)
        else:
            taking = self.sends.take_back(name, stored.id, realm, stored.first)
            gone = Deferred.fromCoroutine(taking)
        return gone.addCallback(lambda _result: error)

    def dispatch(
        self,
        realm: str,
        stored: Stored,
        file: Attachment | None,
        then: Callable[[Verdict | None], Any],
    ) -> None:
        """A message is on disk, with its parcel: let that go, and tell `then` what becomes of it."""
        number = None if file is None else file.id
        self._realms.dispatch(realm, stored.first, stored.parcel, number, then)

    async def _post_elsewhere(
        self, sender: Account, target: Target, at: int, text: str, origin: IListener | None
    ) -> Sent:
        post = self.new_post(sender, target, at, text, None)
        parcel = NewParcel(target.home or "", post, at, sender.id)
        number = await self._outbox.put(parcel)
        return await self._posted(target, number, parcel, origin, None)

    def new_post(
        self, sender: Account, target: Target, at: int, text: str | None, file: FileNote | None
    ) -> bytes:
        group = (target.group or "").partition("@")[0]
        proof = self.proof(sender, target.home or "", at, text, file)
        return parcels.encode(parcels.Post(sender.name, group, at, proof, text, file))

    def proof(
        self, sender: Account, home: str, at: int, text: str | None, file: FileNote | None
    ) -> bytes:
        """What shows that a message to a group of the realm `home` was sent from here, when it comes
        back."""
        what = (sender.key, home, at, text, None if file is None else file.sha256)
        return hmac.digest(self._secret, parcels.encode(what), "sha256")[:16]

    async def _posted(
        self,
        target: Target,
        number: int,
        parcel: NewParcel,
        origin: IListener | None,
        name: Name | None,
    ) -> Sent:
        """A parcel for a group elsewhere is on disk: let it go, and see what comes of it."""
        try:
            receipt = await self._echo_of(target, number, parcel, origin)
        except ChatError:
            if name is not None:
                await self.sends.take_back(name, 0, parcel.realm, number)
            raise
        if name is not None and receipt.seq:
            await self.sends.number(name, receipt)
        return Sent((receipt,))

    async def _echo_of(
        self, target: Target, number: int, parcel: NewParcel, origin: IListener | None
    ) -> Receipt:
        """Let a parcel go, and wait for what its home says, and for the message itself if the sender is a
        member."""
        assert target.home is not None and target.group is not None  # noqa: S101, PT018
        echo: Deferred[Receipt | None] = Deferred()
        if target.conversation:
            self._echoes[number] = echo, origin
        judged: Deferred[Verdict | None] = Deferred()
        self._realms.dispatch(
            target.home, number, parcel.parcel, parcel.attachment_id, judged.callback
        )
        verdict = await judged
        receipt = Receipt(target.conversation, 0, 0, target.group, queued=verdict is None)
        if verdict is None or verdict.code or not target.conversation:
            self._echoes.pop(number, None)
            if verdict is not None and verdict.code:
                raise refusal(verdict, self._realms.name_of(target.home))
            return msgspec.structs.replace(receipt, seq=0 if verdict is None else verdict.seq)
        found = await patiently(self._clock, echo, PATIENCE, lambda: self.echoed(number, None))
        return found or msgspec.structs.replace(receipt, seq=verdict.seq)

    def awaited(self, number: int) -> IListener | None:
        """The connection that waits for the message of that parcel to come back."""
        return self._echoes.get(number, (None, None))[1]

    def echoed(self, number: int, receipt: Receipt | None) -> None:
        """The message of that parcel has come back from its group's home."""
        echo, _ = self._echoes.pop(number, (None, None))
        if echo is not None:
            echo.callback(receipt)

    # Files

    def store_file(
        self,
        connection: Connection,
        sender: Account,
        target: Target,
        file: Attachment,
        now: int,
        key: str | None = None,
    ) -> Any:
        """In the writer's thread: a message with its place, or a parcel with its number."""
        note = FileNote(file.name, file.size, file.sha256, file.code)
        if target.home is not None:
            parcel = self.new_post(sender, target, now, None, note)
            item = NewParcel(target.home, parcel, now, sender.id, file.id)
            if key is not None:
                post = NewPost(name_for(sender, key, target), target.conversation, item)
                return item, self.sends.writer.put(connection, [post])[0]
            return item, self._outbox.writer.store(connection, [item])[0]
        # Much may have happened while the bytes were on their way.
        if not conversation_store.takes_part(connection, sender.id, target.conversation):
            raise NotMember(group=target.name)
        new = NewMessage(
            target.conversation,
            sender.id,
            sender.name,
            now,
            attachment_id=file.id,
            crossing=self._crossing(sender, target, now, None, note),
            key=key,
        )
        writer = self.writer if key is None else self.sends.writer
        return new, writer.store(connection, [new])[0]

    def kept(
        self,
        target: Target,
        stored: Any,
        file: Attachment | None,
        origin: IListener | None,
        name: Name | None = None,
    ) -> Deferred[Sent]:
        """A message is on disk (`stored` is what `store_file` gives): let those have it whom it is for.
        `name` is what it is sent under."""
        new, where = stored
        if isinstance(where, Known):
            return succeed(Sent((receipt_of(where, target),)))
        if isinstance(new, NewParcel):
            return Deferred.fromCoroutine(self._posted(target, where, new, origin, name))
        if target.realms and target.group is None:
            way = Way(self, new, target, file, origin)
            way.callback(where)
            return way.sent
        return succeed(Sent((self.arrived(where, new, target, file, origin),)))

    # Arriving

    def arrived(
        self,
        stored: Stored,
        new: NewMessage,
        target: Target,
        file: Attachment | None,
        origin: IListener | None,
    ) -> Receipt:
        """The message is on disk: now it may be told."""
        audience: Collection[int] = target.audience
        if target.group is None:
            self._counters.direct += 1
        else:
            self._counters.group += 1
        if target.group is not None:
            # Who joined while the message was on its way to the disk has it unread, too.
            roster = self._homes.cached(key_of(target.group))
            if roster is not None and roster.group.id == target.conversation:
                audience = roster.members
            if new.crossing is not None:
                for offset, realm in enumerate(new.crossing.realms):
                    self._realms.post(
                        realm, stored.first + offset, stored.parcel, new.attachment_id
                    )
        elif len(audience) == 1 and not target.realms:
            origin = None  # who writes to oneself wants to see it arrive
        self._reading.arrived(audience)
        receipt = Receipt(new.conversation, stored.seq, stored.id, target.to or target.group or "")
        if len(audience) == 1 and not self._presence.hears(audience, origin):
            return receipt
        message = Message(
            stored.id,
            new.conversation,
            stored.seq,
            new.at,
            new.sender,
            target.to,
            target.group,
            new.text,
            file,
        )
        self._presence.tell(audience, message, origin)
        return receipt


def group_target(roster: Roster) -> Target:
    group = roster.group
    return Target(
        group.id, roster.members, group=group.name, realms=roster.realms, home=group.realm
    )


async def collect(posts: dict[str, Deferred[Sent]], errors: dict[str, ChatError]) -> list[Receipt]:
    """All receipts; refusals go to `errors`, and anything else is raised once all are through."""
    receipts: list[Receipt] = []
    failures = []
    for name, post in posts.items():
        try:
            receipts.extend((await post).receipts)
        except ChatError as error:
            errors[name] = error
        except Exception as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return receipts
