"""What people of this realm have sent to a group elsewhere that lives here now, because it has moved or was
rescued.

It waits in the outbox for the former home. It becomes a part of the log here, in its order, with the numbers
and the signatures that it has. Its authors were members when they wrote it, so only what people have sent
whom the home has removed is refused.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from sqlalchemy import Connection
from twisted.python.failure import Failure

from chatd.base.attachments import Attachment
from chatd.base.background import log_unexpected
from chatd.base.entries import Deletion, Edit
from chatd.base.errors import BadSignature, ChatError, StorageFailed, UnknownUser
from chatd.base.isolation import guarded
from chatd.base.model import Party, party_of
from chatd.federation import parcels
from chatd.federation.entry_reader import Arrived, EntryReader
from chatd.federation.group_changes import EntryChange, GroupChanges
from chatd.federation.links import ILinks
from chatd.federation.outcomes import Outcomes
from chatd.federation.parcel_writer import ParcelWriter
from chatd.federation.parcels import Post, Relay
from chatd.federation.rerouting import GroupPlace, MovedParcel, waiting_for
from chatd.service.context import Context
from chatd.store import crossing
from chatd.store import files as file_store
from chatd.store import outbox as outbox_store
from chatd.store.accounts import find_account
from chatd.store.bans import check_ban
from chatd.store.groups import group_of
from chatd.store.members import realms_of, roster_of
from chatd.store.message_changes import ChangeResult
from chatd.store.new_entries import Stored
from chatd.store.outbox import NewParcel, QueuedParcel
from chatd.store.roster import Roster
from chatd.store.shut_groups import check_open


class AdoptedMessage(NamedTuple):
    """A message that is stored here now, and its place."""

    arrived: Arrived
    place: Stored
    file: Attachment | None


class Adopted(msgspec.Struct):
    """What has become of the posts: messages and changes that are in the log now, parcels for other realms,
    and the numbers of posts that are refused, with the reasons."""

    messages: list[AdoptedMessage] = []
    changes: list[tuple[EntryChange, ChangeResult]] = []
    sent: list[MovedParcel] = []
    refused: list[tuple[int, ChatError]] = []


class MovedPosts:
    def __init__(
        self,
        context: Context,
        reader: EntryReader,
        writer: ParcelWriter,
        changes: GroupChanges,
        outcomes: Outcomes,
        links: ILinks,
    ) -> None:
        self._own = context.realm_key
        self._now = context.now
        self._database = context.database
        self._writers = context.writers
        self._reader = reader
        self._writer = writer
        self._changes = changes
        self._outcomes = outcomes
        self._links = links

    async def adopt_waiting(self, conversation: int, left: GroupPlace) -> None:
        """Take what waits for the former home `left` of a group into its log, if the group lives here, and
        tell of it."""

        def job(connection: Connection) -> Adopted | None:
            group = group_of(connection, conversation)
            if group is None or group.realm is not None:
                return None
            return self.adopt(connection, left, roster_of(connection, group))

        adopted = await self._database.run(job)
        if adopted is not None:
            self.send(adopted)
            await self.tell(left.realm, adopted)

    def send(self, adopted: Adopted) -> None:
        """Send the parcels for other realms, which are stored."""
        for parcel in adopted.sent:
            self._links.post(*parcel)

    async def tell(self, left: str, adopted: Adopted) -> None:
        """Tell of posts to the former home `left` that are in the log here now, or are refused."""
        for each in adopted.messages:
            guarded("a post was taken over, but not told", self._writer.tell_adopted, *each)
        for change in adopted.changes:
            guarded("a change was taken over, but not told", self._changes.tell_adopted, *change)
        for number, error in adopted.refused:
            try:
                await self._outcomes.refuse(left, number, error)
            except Exception:
                log_unexpected("the author of a refused post was not told")

    # In the writer's thread

    def adopt(self, connection: Connection, left: GroupPlace, roster: Roster) -> Adopted:
        """Take what waits for the former home of the group of a roster into its log. What is refused waits
        until its author is told. Raises StorageFailed."""
        done = Adopted()
        for queued, parcel in waiting_for(connection, left):
            try:
                # Those who have left are no members here, and read marks of people here are known here.
                if isinstance(parcel, Post):
                    self._take(connection, queued, parcel, roster, done)
            except StorageFailed:
                raise
            except ChatError as error:
                done.refused.append((queued.id, error))
                continue
            outbox_store.remove(connection, left.realm, queued.id)
        return done

    def _take(
        self,
        connection: Connection,
        queued: QueuedParcel,
        post: Post,
        roster: Roster,
        done: Adopted,
    ) -> None:
        """Raises ChatError."""
        author = self._author(connection, post)
        entry = self._reader.own(post, roster, author)
        erases = isinstance(entry, EntryChange) and isinstance(entry.wanted.change, Deletion)
        if not erases:  # people delete their messages also where they are banned
            check_ban(connection, roster.group, author)
            check_open(connection, roster.group)
        if isinstance(entry, EntryChange):
            self._change(connection, post, entry, done)
        elif isinstance(entry, Arrived):
            self._message(connection, queued, post, entry, done)

    def _author(self, connection: Connection, post: Post) -> Party:
        """Raises BadSignature, UnknownUser."""
        opened = post.opening
        if isinstance(opened, BadSignature):
            raise opened
        name = opened.statement.author
        account = find_account(connection, name)
        if account is None:
            raise UnknownUser(name=name)
        return party_of(account)

    def _message(
        self,
        connection: Connection,
        queued: QueuedParcel,
        post: Post,
        arrived: Arrived,
        done: Adopted,
    ) -> None:
        """Raises ChatError."""
        file = None
        if queued.attachment_id is not None:
            file = file_store.get_attachment(connection, queued.attachment_id)
        new = msgspec.structs.replace(
            arrived.new, copies=None, epoch=None, attachment_id=None if file is None else file.id
        )
        [place] = self._writers.messages.receive(connection, [new])
        if isinstance(place, Failure):
            place.raiseException()
        if not isinstance(place, Stored):
            return  # the former home has numbered it, and it is here already
        done.messages.append(AdoptedMessage(msgspec.structs.replace(arrived, new=new), place, file))
        realms = realms_of(connection, new.conversation)
        self._send(connection, post, arrived, place.seq, realms, done)

    def _change(
        self, connection: Connection, post: Post, change: EntryChange, done: Adopted
    ) -> None:
        """Raises ChatError."""
        # Their author may have left since.
        erases = isinstance(change.wanted.change, Deletion | Edit)
        wanted = msgspec.structs.replace(change.wanted, erases=erases)
        change = msgspec.structs.replace(change, wanted=wanted, copies=None)
        made = self._changes.make_now(connection, change)
        if isinstance(made, ChatError):
            raise made
        if made is None or made.stored is None or made.event is None:
            return  # the former home has made it, and it is here already, or it changes nothing
        done.changes.append((change, made))
        place = wanted.conversation
        realms = realms_of(connection, place)
        if not isinstance(wanted.change, Deletion):
            realms = crossing.realms_seeing(connection, place, made.event.target, realms)
        self._send(connection, post, change, made.stored.seq, realms, done)

    def _send(
        self,
        connection: Connection,
        post: Post,
        entry: Arrived | EntryChange,
        seq: int,
        realms: tuple[str, ...],
        done: Adopted,
    ) -> None:
        """Store the parcels for other realms. They get new numbers, because these realms have to be told
        first that the group lives here."""
        if not realms:
            return
        target, now = entry.target, self._now()
        relay = Relay(post.entry, target.there, target.conversation, seq)
        data = parcels.encode(relay)
        file = getattr(getattr(entry, "new", None), "attachment_id", None)
        number = self._writers.parcels.take(connection)
        items = [NewParcel(each, data, now, None, file, number) for each in realms]
        self._writers.parcels.store(connection, items)
        done.sent += [MovedParcel(each, number, data, file) for each in realms]
