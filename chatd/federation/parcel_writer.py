"""Stores messages from other realms, and passes them to listeners."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.attachments import HERE, Attachment
from chatd.base.errors import BadFileName, ChatError, StorageFailed, TooMuchArriving
from chatd.base.names import key_of
from chatd.federation.announced_files import AnnouncedFiles
from chatd.federation.entry_reader import Arrived
from chatd.federation.file_arrivals import FileArrivals
from chatd.federation.forwarder import Forwarder
from chatd.federation.parcel_fields import FileNote
from chatd.federation.parcels import KEPT, Direct, Post, Relay, Verdict
from chatd.federation.realm_quotas import RealmQuotas
from chatd.federation.refusals import verdict_of
from chatd.service.chat_service import ChatService
from chatd.service.codes import with_new_code
from chatd.store import files as file_store
from chatd.store.arrivals import Announced, Welcome
from chatd.store.files import Owner
from chatd.store.new_entries import NewMessage, Stored
from chatd.store.origins import KnownEntry, stored_places
from chatd.store.parcel_stream import ParcelStream, StreamPlace
from chatd.store.sent_files import posted

# Why this realm has not got a file of a group elsewhere, which it does not take
REFUSED_HERE = "file-refused"
UNNAMED = "file"  # the name of a file whose name is not taken here

log = Logger()


def owner_of(realm: str, parcel: Direct | Post | Relay) -> Owner:
    """The owner against whose quota a parcel's file counts: its sender, or for a relayed file the group's
    realm."""
    sender = "" if isinstance(parcel, Relay) else key_of(parcel.sender or "").partition("@")[0]
    return Owner(sender_key=f"{sender}@{realm}", realm=realm)


def verdict_on(arrived: Arrived, place: Stored | KnownEntry) -> Verdict:
    """The verdict on a message that is stored, whether now or before."""
    return KEPT if arrived.target.group is None else Verdict(seq=place.seq)


def _refused(failure: Failure) -> Verdict:
    assert isinstance(failure.value, ChatError)  # noqa: S101 - the writer returns no others
    return verdict_of(failure.value)


def _again(file: Attachment) -> Callable[[Connection], Attachment]:
    """A job that finds a file that was here a moment ago. It raises StorageFailed if the file was removed
    meanwhile; then the parcel comes again."""

    def find(connection: Connection) -> Attachment:
        found = file_store.get_attachment(connection, file.id)
        if found is None:
            raise StorageFailed
        return found

    return find


class ParcelWriter:
    """Stores what `ParcelReader` has read. Each message is charged to the quota of its realm."""

    def __init__(
        self,
        service: ChatService,
        forwarder: Forwarder,
        arrivals: FileArrivals,
        quotas: RealmQuotas,
    ) -> None:
        self._context = service.context
        self._database = service.database
        self._messages = service.context.writers.messages
        self._fan_out, self._remote = service.messages.fan_out, service.messages.remote
        self._forwarder = forwarder
        self._moving_out = service.moving_out
        self._files = AnnouncedFiles(service)
        self._arrivals = arrivals
        self._quotas = quotas

    def store(
        self, realm: str, arrived: Sequence[Arrived], stream: ParcelStream
    ) -> Deferred[list[Verdict]]:
        """Store texts, which are charged already, in one job. Fires with a verdict for each, once they are on
        disk."""

        def kept(places: list[Stored | KnownEntry | Failure]) -> list[Verdict]:
            verdicts: list[Verdict] = []
            for each, place in zip(arrived, places, strict=True):
                if type(place) is Stored:
                    verdicts.append(self._told(each, place))
                    continue
                self._quotas.give_back(realm, (each.new,))
                if isinstance(place, Failure):
                    verdicts.append(_refused(place))
                else:
                    verdicts.append(verdict_on(each, place))
            return verdicts

        def failed(failure: Failure) -> Failure:
            self._quotas.give_back(realm, [each.new for each in arrived])
            return failure

        stored = self._database.run(self._receive, [each.new for each in arrived], stream.next())
        return stored.addCallbacks(kept, failed)

    def _receive(
        self, connection: Connection, items: Sequence[NewMessage], place: StreamPlace
    ) -> list[Stored | KnownEntry | Failure]:
        """Store messages. Runs in the writer's thread."""
        return self._messages.receive(connection, items, place)

    def _told(self, arrived: Arrived, place: Stored) -> Verdict:
        """As `_tell`, but never raises, because the message is on disk and must be acknowledged."""
        try:
            return self._tell(arrived, place, None)
        except Exception:
            log.failure("a message from another realm was stored, but not passed to listeners")
            return verdict_on(arrived, place)

    def _tell(self, arrived: Arrived, place: Stored, file: Attachment | None) -> Verdict:
        if arrived.new.extras is not None and arrived.new.extras.deleted_at is not None:
            self._forwarder.relay(place, None)
            return KEPT  # the change that has deleted it follows, and is told
        if arrived.target.group is None:
            for account_id in arrived.target.audience:
                self._moving_out.arrived(account_id)  # only now can it be forwarded
        receipt = self._fan_out.tell(place, arrived.new, arrived.target, file, arrived.origin)
        if arrived.echo:
            self._remote.tell_delivered(arrived.new, receipt, arrived.origin)
            self._forwarder.posts.returned(arrived.echo, receipt.conversation, receipt.seq)
        return verdict_on(arrived, place)

    def tell_adopted(self, arrived: Arrived, place: Stored, file: Attachment | None) -> None:
        """Tell of a message of this realm that is in the log now."""
        self._tell(arrived, place, file)

    async def store_with_file(
        self,
        realm: str,
        arrived: Arrived,
        parcel: Direct | Post | Relay,
        stream: ParcelStream,
        owner: Owner | None = None,
    ) -> Verdict:
        """Store a message whose file this realm has, or fetches from the realm now. The file counts for
        `owner`, or else for the sender of the parcel. A file of a group elsewhere that this realm does not
        take is lost. Raises BadFileName, FileTooLarge, QuotaExceeded, TooMuchArriving, RealmQuota,
        StorageFailed.
        """
        note, new = parcel.file, arrived.new
        assert note is not None  # noqa: S101 - the caller has checked it
        assert new.origin is not None  # noqa: S101 - it comes from another realm
        known = await self._database.read(stored_places, [(new.conversation, new.origin)])
        for place in known.values():
            return verdict_on(arrived, place)
        if new.sender_id is not None:
            # One that was forwarded may be somebody else's. If this realm fetched it from the home of the
            # group, each of the two would wait for the other.
            own = await self._database.read(posted, realm, new.origin[1]) or (
                await self._database.read(file_store.own_file, new.sender_id, note.code)
            )
            if own is not None and own.sha256 == note.sha256:
                return await self._store_file(realm, arrived, stream, _again(own))
        file = self._announced(realm, note, parcel, owner or owner_of(realm, parcel))
        same = await self._files.known(file)
        if same is None:
            welcome = await self._judge(file, parcel)
            return await self._announce(realm, arrived, stream, file, welcome)
        verdict = await self._store_file(realm, arrived, stream, _again(same))
        if same.state == HERE and new.origin[0] == realm:
            self._arrivals.here(realm, new.origin[1], same.size)
        return verdict

    def _announced(
        self, realm: str, note: FileNote, parcel: Direct | Post | Relay, owner: Owner
    ) -> Announced:
        """The file of a message. One of a relay may have any name, because the log here has all entries of
        the home's. Raises BadFileName."""
        try:
            return self._files.announced(realm, note, owner)
        except BadFileName:
            if not isinstance(parcel, Relay):
                raise
            renamed = msgspec.structs.replace(note, name=UNNAMED)
            return self._files.announced(realm, renamed, owner)

    async def _judge(self, file: Announced, parcel: Direct | Post | Relay) -> Welcome:
        """What becomes of a file. Raises the error if its message is refused. A relayed message is not,
        because the log here has all entries of the home's."""
        try:
            await self._files.check(file)
        except ChatError as error:
            if not isinstance(parcel, Relay):
                raise
            if isinstance(error, TooMuchArriving) and await self._files.may_wait(file.realm):
                return Welcome(waits=True)
            return Welcome(lost=REFUSED_HERE)
        return Welcome()

    async def _announce(
        self,
        realm: str,
        arrived: Arrived,
        stream: ParcelStream,
        file: Announced,
        welcome: Welcome,
    ) -> Verdict:
        """Store a message with a new file."""

        def keep(code: str) -> Deferred[Verdict]:
            add = self._files.addition(file, code, welcome)
            return Deferred.fromCoroutine(self._store_file(realm, arrived, stream, add))

        verdict = await with_new_code(self._context.random_bytes, keep)
        self._arrivals.added(realm)
        return verdict

    async def _store_file(
        self,
        realm: str,
        arrived: Arrived,
        stream: ParcelStream,
        add: Callable[[Connection], Attachment],
    ) -> Verdict:
        at = stream.next()

        def job(connection: Connection) -> tuple[NewMessage, Stored | KnownEntry, Attachment]:
            file = add(connection)
            new = msgspec.structs.replace(arrived.new, attachment_id=file.id)
            place = self._receive(connection, [new], at)[0]
            if isinstance(place, Failure):
                place.raiseException()
            return new, place, file

        self._quotas.charge(realm, (arrived.new,))
        try:
            new, place, file = await self._database.run(job)
        except Exception:
            self._quotas.give_back(realm, (arrived.new,))
            raise
        if isinstance(place, KnownEntry):
            self._quotas.give_back(realm, (arrived.new,))
            return verdict_on(arrived, place)
        return self._tell(msgspec.structs.replace(arrived, new=new), place, file)
