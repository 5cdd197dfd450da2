"""Messages: into conversations, to those who listen, and out of them again.

A send whose names are known in memory is one row in the next transaction and nothing else. One that has
to look something up takes the slow way, one job in the writer's queue; while a sender has any of those
under way, all of theirs take it, so that what was sent first arrives first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from chatd.accounts import Accounts
from chatd.cache import Cache
from chatd.errors import (
    ChatError,
    MessageTooLong,
    NotMember,
    UnknownGroup,
    UnknownRealm,
    UnknownUser,
    none_known,
)
from chatd.groups import Groups, Roster
from chatd.model import Account, Attachment, Message, Receipt, UnreadCount
from chatd.names import ALL, Address, Place, Scope, key_of, parse_address
from chatd.presence import IListener, Presence
from chatd.store import accounts as account_store
from chatd.store import conversations as conversation_store
from chatd.store import messages as store
from chatd.store.database import Database
from chatd.store.messages import MessageWriter, NewMessage, Page, Part

MAX_PAGE = 500
CACHED_CONVERSATIONS = 100_000


class Sent(msgspec.Struct, frozen=True):
    """What became of a message to one or several: where it stands, and whom nobody knows."""

    receipts: tuple[Receipt, ...]
    unknown: tuple[str, ...] = ()


class Target(msgspec.Struct, frozen=True):
    """A conversation to send to, and the accounts that take part in it; `to` or `group` names it."""

    conversation: int
    audience: Collection[int]
    to: str | None = None
    group: str | None = None


class Messages:
    def __init__(
        self,
        database: Database,
        accounts: Accounts,
        groups: Groups,
        presence: Presence,
        max_message: int,
    ) -> None:
        self._database = database
        self._accounts = accounts
        self._groups = groups
        self._presence = presence
        self._max_message = max_message
        self._writer = MessageWriter()
        self._store = self._writer.store  # one object for all, by which the database tells a batch
        database.on_rollback(self._writer.forget)
        # (account id, the other's key) -> their conversation
        self._direct: Cache[tuple[int, str], Target] = Cache(CACHED_CONVERSATIONS)
        self._looking_up: Counter[int] = Counter()
        # account id -> conversation -> seq: read marks that are on their way to the disk.
        self._moving: dict[int, dict[int, int]] = {}
        # Accounts that are known to have nothing unread, and those of which it is being found out.
        self._quiet: set[int] = set()
        self._checking: dict[int, object] = {}

    # Sending

    def check_text(self, text: str) -> None:
        """Raises MessageTooLong."""
        limit = self._max_message
        if len(text) * 4 > limit and (size := len(text.encode())) > limit:
            raise MessageTooLong(size=size, limit=limit)

    def send(
        self, sender: Account, to: Sequence[Address], text: str, origin: IListener | None
    ) -> Deferred[Sent]:
        """A direct message to each of `to`; fires once all of them are stored.

        Errs with UnknownUser or UnknownRealm if none of them is known.
        """
        if len(to) == 1 and sender.id not in self._looking_up and to[0].realm is None:
            target = self._direct.get((sender.id, key_of(to[0].name)))
            if target is not None:
                return self._post(sender, target, text, origin)
        return Deferred.fromCoroutine(self._send_slowly(sender, to, text, origin))

    async def _send_slowly(
        self, sender: Account, to: Sequence[Address], text: str, origin: IListener | None
    ) -> Sent:
        with self._slowly(sender):
            targets, unknown = await self.people(sender, to)
            posts = [self._post(sender, target, text, origin) for target in targets]
        receipts = [receipt for sent in await _all(posts) for receipt in sent.receipts]
        return Sent(tuple(receipts), unknown)

    def post(
        self, sender: Account, group: Address, text: str, origin: IListener | None
    ) -> Deferred[Sent]:
        """A message to a group of which the sender is a member. Errs with UnknownGroup, NotMember."""
        roster = self._groups.cached(group) if sender.id not in self._looking_up else None
        if roster is not None and sender.id in roster.members:
            target = _group_target(roster)
            return self._post(sender, target, text, origin)
        return Deferred.fromCoroutine(self._post_slowly(sender, group, text, origin))

    async def _post_slowly(
        self, sender: Account, group: Address, text: str, origin: IListener | None
    ) -> Sent:
        with self._slowly(sender):
            target = await self.group(sender, group)
            done = self._post(sender, target, text, origin)
        return await done

    @contextmanager
    def _slowly(self, sender: Account) -> Iterator[None]:
        self._looking_up[sender.id] += 1
        try:
            yield
        finally:
            self._looking_up[sender.id] -= 1
            if not self._looking_up[sender.id]:
                del self._looking_up[sender.id]

    async def people(
        self, sender: Account, to: Sequence[Address]
    ) -> tuple[list[Target], tuple[str, ...]]:
        """The sender's direct conversations with `to`, each once, and the names that nobody has.

        Raises UnknownUser or UnknownRealm if none of them is known.
        """
        names: dict[str, str] = {}
        elsewhere: dict[str, ChatError] = {}
        for address in to:
            try:
                name = self._accounts.local(address).name
            except UnknownRealm as error:
                name = str(address)
                elsewhere[key_of(name)] = error
            names[key_of(name)] = name
        keys = [key for key in names if key not in elsewhere]
        found = await self._database.run(_open_all, sender, keys, self._accounts.now())
        targets = []
        errors: dict[str, ChatError] = {}
        for key, name in names.items():
            if key not in found:
                errors[name] = elsewhere.get(key) or UnknownUser(name=name)
                continue
            account, conversation = found[key]
            self._accounts.remember(account)
            target = Target(conversation, frozenset((account.id, sender.id)), to=account.name)
            self._direct[sender.id, key] = target
            targets.append(target)
        if not targets:
            raise none_known(errors)
        return targets, tuple(errors)

    async def group(self, sender: Account, name: Address) -> Target:
        """A group of which the sender is a member. Raises UnknownGroup, NotMember."""
        return _group_target(await self._groups.find_mine(sender, name, in_turn=True))

    def _post(
        self, sender: Account, target: Target, text: str, origin: IListener | None
    ) -> Deferred[Sent]:
        new = NewMessage(target.conversation, sender.id, sender.name, self._accounts.now(), text)
        stored: Deferred[tuple[int, int]] = self._database.batch(self._store, new)
        return stored.addCallback(self._post_arrived, new, target, origin)

    def _post_arrived(
        self,
        stored: tuple[int, int],
        new: NewMessage,
        target: Target,
        origin: IListener | None,
    ) -> Sent:
        return Sent((self._arrived(stored, new, target, None, origin),))

    async def send_file(
        self,
        sender: Account,
        targets: Sequence[Target],
        add_file: Callable[[Connection], Attachment],
        origin: IListener | None,
    ) -> tuple[Attachment, tuple[Receipt, ...]]:
        """An attachment to each of `targets`, the note of the file and its messages in one transaction."""
        now = self._accounts.now()
        new = [NewMessage(each.conversation, sender.id, sender.name, now) for each in targets]
        names = [target.group or target.to or "" for target in targets]
        file, stored = await self._database.run(self._store_with_file, add_file, new, names)
        return file, tuple(
            self._arrived(where, each, target, file, origin)
            for where, each, target in zip(stored, new, targets, strict=True)
        )

    def _store_with_file(
        self,
        connection: Connection,
        add_file: Callable[[Connection], Attachment],
        new: Sequence[NewMessage],
        names: Sequence[str],
    ) -> tuple[Attachment, list[tuple[int, int]]]:
        for each, name in zip(new, names, strict=True):
            # Much may have happened while the bytes were on their way.
            if not conversation_store.takes_part(connection, each.sender_id, each.conversation):
                raise NotMember(group=name)
        file = add_file(connection)
        items = [msgspec.structs.replace(each, attachment_id=file.id) for each in new]
        return file, self._writer.store(connection, items)

    def _arrived(
        self,
        stored: tuple[int, int],
        new: NewMessage,
        target: Target,
        file: Attachment | None,
        origin: IListener | None,
    ) -> Receipt:
        """The message is on disk: now it may be told."""
        ident, seq = stored
        audience: Collection[int] = target.audience
        if target.group is not None:
            # Who joined while the message was on its way to the disk has it unread, too.
            roster = self._groups.cached(parse_address(target.group))
            if roster is not None and roster.group.id == target.conversation:
                audience = roster.members
        elif len(audience) == 1:
            origin = None  # who writes to oneself wants to see it arrive
        self._quiet.difference_update(audience)
        if self._checking:
            for account in audience:
                self._checking.pop(account, None)
        message = Message(
            ident,
            new.conversation,
            seq,
            new.at,
            new.sender,
            target.to,
            target.group,
            new.text,
            file,
        )
        self._presence.tell(audience, message, origin)
        return Receipt(new.conversation, seq, ident, target.to or target.group or "")

    # Reading

    async def inbox(self, account: Account, scope: Scope, given: Mapping[int, int]) -> Page:
        """The oldest unread messages, of one part or of all. Moves no mark.

        `given` says what has been handed out already and is not yet in the marks. Raises what
        `conversation_of` does.
        """
        if account.id in self._quiet and scope.place is None:
            return Page([])
        marks = self._marks(account, given)
        part = store.WHOLE
        if scope.place is not None:
            conversation = await self.conversation_of(account, scope.place)
            if conversation is None:
                return Page([])
            part = Part(conversation)
        elif scope is not ALL:
            realm = "" if scope.here else scope.realm and key_of(scope.realm)
            part = Part(realm=realm, direct=scope.direct)
        check = object()
        if part is store.WHOLE and not marks:
            self._checking[account.id] = check
        page = await self._database.read(store.unread, account, part, marks, MAX_PAGE)
        if self._checking.get(account.id) is check:  # nothing has arrived meanwhile
            del self._checking[account.id]
            if not page.messages:
                self._quiet.add(account.id)
        return page

    def _marks(self, account: Account, given: Mapping[int, int]) -> dict[int, int]:
        """`given`, and the marks that are on their way to the disk."""
        return {**self._moving.get(account.id, {}), **given}

    async def unread(self, account: Account, given: Mapping[int, int]) -> tuple[UnreadCount, ...]:
        """How many unread messages each conversation has."""
        if account.id in self._quiet:
            return ()
        marks = self._marks(account, given)
        return tuple(await self._database.read(store.unread_counts, account, marks))

    async def history(self, account: Account, place: Place, count: int) -> Page:
        """The last `count` messages of a conversation. Raises what `conversation_of` does."""
        conversation = await self.conversation_of(account, place)
        if conversation is None:
            return Page([])
        return await self._database.read(store.history, account, conversation, min(count, MAX_PAGE))

    async def search(self, account: Account, text: str) -> Page:
        """The newest messages in the account's conversations that hold `text`."""
        return await self._database.search(store.search, account, text, MAX_PAGE)

    async def move_marks(self, account: Account, marks: Mapping[int, int]) -> None:
        """What was handed out has arrived. It holds for whoever asks from now on, and on disk soon."""
        moving = self._moving.setdefault(account.id, {})
        for conversation, seq in marks.items():
            moving[conversation] = max(seq, moving.get(conversation, 0))
        try:
            await self._database.run(conversation_store.move_marks, account.id, dict(marks))
        finally:
            for conversation, seq in marks.items():
                if moving.get(conversation) == seq:
                    del moving[conversation]
            if not moving:
                self._moving.pop(account.id, None)

    async def mark_read(self, account: Account, conversation: int, seq: int) -> None:
        """Move one read mark forward, at most to the newest message. Raises UnknownConversation."""
        await self._database.run(conversation_store.mark_read, account.id, conversation, seq)

    async def conversation_of(self, account: Account, place: Place) -> int | None:
        """The conversation that `place` names, None if nothing was said there yet.

        A name that may be either is that of the user one has talked with, or else the group's. Raises
        UnknownUser, UnknownRealm, UnknownGroup, NotMember.
        """
        unknown: UnknownUser | None = None
        if place.user is not None:
            try:
                direct = await self._direct_with(account, self._accounts.local(place.user).name)
                if direct is not None or place.group is None:
                    return direct
            except UnknownUser as error:
                unknown = error
        if place.group is not None:
            try:
                return (await self._groups.find_mine(account, place.group)).group.id
            except (UnknownGroup, NotMember) as error:
                if place.user is None or (unknown and isinstance(error, NotMember)):
                    raise
        if unknown is not None:
            raise unknown
        return None

    async def _direct_with(self, account: Account, name: str) -> int | None:
        key = key_of(name)
        known = self._direct.get((account.id, key))
        if known is not None:
            return known.conversation
        other = await self._accounts.find(name)
        return await self._database.read(conversation_store.find_direct, account.id, other.key)


def _group_target(roster: Roster) -> Target:
    return Target(roster.group.id, roster.members, group=roster.group.name)


async def _all(posts: Sequence[Deferred[Sent]]) -> list[Sent]:
    """All results; or the first error, but only once all are through."""
    results = []
    errors = []
    for post in posts:
        try:
            results.append(await post)
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return results


def _open_all(
    connection: Connection, sender: Account, keys: Sequence[str], now: int
) -> dict[str, tuple[Account, int]]:
    """For each key that is an account's: the account, and the sender's conversation with it."""
    opened = {}
    for key in keys:
        account = account_store.find_account(connection, key)
        if account is not None:
            opened[key] = (
                account,
                conversation_store.open_direct(connection, sender, account, now),
            )
    return opened
