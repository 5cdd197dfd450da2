"""Fetches the bytes of files from other realms. Their messages are here already.

A file is fetched in pieces, several at a time, while its realm is linked. When the link or this realm goes
down, the bytes that came are kept on disk, and the next link resumes the transfer.
"""

from __future__ import annotations

from collections import deque
from hashlib import sha256

import msgspec
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base import errors
from chatd.base.background import in_background, log_unexpected
from chatd.base.timers import Timer
from chatd.federation import parcels
from chatd.federation.links import ILinks
from chatd.files.incoming import Incoming
from chatd.files.partial_file import ChangedBytes
from chatd.service.chat_service import ChatService
from chatd.store import arrivals as store
from chatd.store import sent_files
from chatd.store.arrivals import Arrival, SettledFile
from chatd.store.origins import Origin
from chatd.store.outbox import NewParcel

MAX_ACTIVE = 4  # files of one realm at a time
PIECE = 32 << 10  # bytes
WINDOW = 8  # pieces of a file under way; few, so that messages get in between
MAX_ACKNOWLEDGED = 100  # entries with a file whose senders may wait for it
MAX_ENTRIES = 10  # entries with a file that its realm is asked for
STALLED = 24 * 3_600_000  # ms without a byte after which a file is lost
HEARD_EVERY = 60.0  # seconds after which it is noted again that bytes come
FIRST_PAUSE, LAST_PAUSE = 2.0, 60.0  # seconds until a file is asked for again that can't be had yet
MAX_LOST = 500  # files that are given up in one round

# What the other realm answers if it does not have a file, and why the file is lost then
GONE: dict[type[errors.ChatError], str] = {
    errors.UnknownFile: "file-gone",
    errors.FileLost: "file-gone",
    errors.FileMissing: "file-missing",
    errors.FileDamaged: "file-damaged",
}
FAILED = "the bytes of a file were not fetched"

log = Logger()


class FileStopped(Exception):
    """The file does not arrive any more."""


class FilePause(msgspec.Struct, frozen=True):
    """A file is not asked for before `until` by the clock. `seconds` is how long the pause was."""

    until: float
    seconds: float


class RealmArrivals(msgspec.Struct):
    """The files of one realm that arrive, by the ids of their attachments."""

    timer: Timer
    linked: bool = False
    looking: bool = False
    look_again: bool = False
    active: dict[int, Deferred[None]] = {}
    missing: dict[int, int] = {}  # bytes of active files that are still to come
    paused: dict[int, FilePause] = {}


class FileArrivals:
    """The files of all realms that arrive. A realm's trouble with files affects no other realm."""

    def __init__(self, service: ChatService, links: ILinks) -> None:
        self._context = service.context
        self._clock = service.context.clock
        self._database = service.database
        self._versions = service.context.writers.versions
        self._outbox = service.context.writers.parcels
        self._uploads = service.uploads
        self._disk = service.disk
        self._states = service.file_states
        self._links = links
        self._realms: dict[str, RealmArrivals] = {}

    # What happens

    def link_up(self, realm: str) -> None:
        """Fetch the files of a realm that arrive."""
        if realm not in self._realms:
            self._realms[realm] = RealmArrivals(Timer(self._clock, lambda: self._look(realm)))
        here = self._realms[realm]
        here.linked = True
        here.paused.clear()
        self._look(realm)

    def link_down(self, realm: str) -> None:
        """The link is gone, and the requests over it fail."""
        here = self._realms.get(realm)
        if here is not None:
            here.linked = False
            here.timer.cancel()
            self._tidy(realm, here)

    def _tidy(self, realm: str, here: RealmArrivals) -> None:
        """Keep nothing of a realm that is not linked, once all transfers have ended."""
        if not here.linked and not here.active and self._realms.get(realm) is here:
            del self._realms[realm]

    async def stop(self) -> None:
        """All links are gone. Returns when the bytes that came are on disk."""
        active = [ended for here in self._realms.values() for ended in here.active.values()]
        for realm in [*self._realms]:
            self.link_down(realm)
        await DeferredList(active)

    def added(self, realm: str) -> None:
        """The message of a file of the realm is stored."""
        self._look(realm)

    def here(self, realm: str, number: int | None, size: int) -> None:
        """Tell the realm that the file of its entry with that number is here. Its sender may wait for that;
        nothing is missed if the realm does not get it."""
        if number is not None:
            telling = self._links.file(realm, realm, number, size, 0)
            telling.addErrback(lambda _failure: None)

    def ready(self, realm: str) -> None:
        """The realm has got or lost a file from elsewhere: ask again for those that it did not have yet."""
        here = self._realms.get(realm)
        if here is not None and here.paused:
            here.paused.clear()
            self._look(realm)

    def are_under_way(self, realm: str) -> bool:
        """Whether files of a linked realm arrive."""
        here = self._realms.get(realm)
        return here is not None and bool(here.active or here.paused or here.looking)

    # Which files are fetched

    def _look(self, realm: str) -> None:
        here = self._realms.get(realm)
        if here is None or not here.linked:
            return
        if here.looking:
            here.look_again = True
            return
        here.looking, here.look_again = True, False
        looking = Deferred.fromCoroutine(self._start(realm, here))
        looking.addErrback(lambda failure: self._not_looked(here, failure))
        looking.addBoth(lambda _: self._looked(realm, here))

    def _not_looked(self, here: RealmArrivals, failure: Failure) -> None:
        log_unexpected(FAILED, failure)
        if here.linked:
            here.timer.restart(LAST_PAUSE)

    def _looked(self, realm: str, here: RealmArrivals) -> None:
        here.looking = False
        if here.look_again:
            self._look(realm)

    async def _start(self, realm: str, here: RealmArrivals) -> None:
        now = self._clock.seconds()
        due = {
            ident
            for ident, pause in here.paused.items()
            if pause.until <= now and ident not in here.active
        }
        busy = here.active.keys() | (here.paused.keys() - due)
        room = MAX_ACTIVE - len(here.active)
        if room > 0:
            found = await self._database.read(store.arriving, realm, busy, room)
            for file in found:
                if here.linked and file.id not in here.active:
                    self._begin(realm, here, file)
            if len(found) < room:
                for ident in due - {file.id for file in found}:
                    here.paused.pop(ident, None)  # it does not arrive any more
                await self._let_in(realm, here)
        waiting = [pause.until for ident, pause in here.paused.items() if ident not in here.active]
        if waiting and here.linked and len(here.active) < MAX_ACTIVE:
            here.timer.restart(max(0.1, min(waiting) - now))

    async def _let_in(self, realm: str, here: RealmArrivals) -> None:
        """Let files arrive that have waited for room."""
        room = may_arrive(self._context.config.peers.files)
        if fitting := await self._database.read(store.fitting, realm, room):
            await self._database.run(store.let_in, fitting, self._context.now())
            here.look_again = True

    def _begin(self, realm: str, here: RealmArrivals, file: Arrival) -> None:
        here.missing[file.id] = file.size
        ended: Deferred[None] = Deferred()
        here.active[file.id] = ended
        fetching = in_background(FAILED, self._fetch(here, file))
        fetching.addBoth(lambda _: self._ended(realm, here, file, ended))

    def _ended(self, realm: str, here: RealmArrivals, file: Arrival, ended: Deferred[None]) -> None:
        here.active.pop(file.id, None)
        here.missing.pop(file.id, None)
        ended.callback(None)
        self._tidy(realm, here)
        self._look(realm)

    # One file

    async def _fetch(self, here: RealmArrivals, file: Arrival) -> None:
        """Fetch a file, or pause it if it can't be had now."""
        pause = here.paused.pop(file.id, None)
        seconds = FIRST_PAUSE if pause is None else min(LAST_PAUSE, 2 * pause.seconds)
        # An unexpected error may end it anywhere; it is tried again later.
        here.paused[file.id] = FilePause(self._clock.seconds() + seconds, seconds)
        try:
            reason = await self._try(here, file)
            if reason is not None:
                await self.lose(file.id, reason)
        except errors.FileArriving:
            await self._database.run(store.heard, file.id, self._context.now())
        except errors.RealmDown:
            pass  # the next link resumes it
        except (errors.ChatError, OSError) as error:
            log.info("{realm}: {error}", realm=file.realm, error=str(error))
        except FileStopped:
            here.paused.pop(file.id, None)
        else:
            here.paused.pop(file.id, None)

    async def _try(self, here: RealmArrivals, file: Arrival) -> str | None:
        """Fetch a file by the entries that have it. Returns the code of the reason if it is lost."""
        reason, tried = "file-gone", set[Origin]()
        while True:
            # Messages with the file may have come or gone meanwhile.
            entries = await self._database.read(store.entries_with, file.id, MAX_ENTRIES)
            entry = next((each for each in entries if each not in tried), None)
            if entry is None:
                return reason
            tried.add(entry)
            try:
                await self._receive(here, file, entry)
            except tuple(GONE) as error:
                reason = GONE[type(error)]
            except ChangedBytes:
                reason = "file-damaged"
            else:
                return None

    async def _receive(self, here: RealmArrivals, file: Arrival, entry: Origin) -> None:
        """Fetch a file and store it. A part that has changed on the disk is fetched anew. Raises
        ChangedBytes, other OSErrors, ChatError, FileStopped."""
        while True:
            if self._disk.room() < sum(here.missing.values()) + self._disk.expected:
                raise errors.StorageFailed
            part = part_key(file.stored)
            incoming = await self._uploads.resume(part, file.name, file.size)
            try:
                await self._stream(here, file, entry, incoming)
                stored = await incoming.finish(file.sha256, file.at)
            except ChangedBytes:
                if not incoming.offset:
                    raise
                continue
            except BaseException:
                await incoming.suspend()
                raise
            settled = None
            try:
                settled = await self._database.run(store.arrived, self._versions, file.id, stored)
            finally:
                if settled is None:
                    await self._uploads.remove(stored.stored)
            if settled is None:
                raise FileStopped
            self._settled(file.id, settled)
            for place, _, _ in settled.places[:MAX_ACKNOWLEDGED]:
                if place.origin_realm == file.realm:
                    self.here(file.realm, place.origin_id, file.size)
            return

    async def _stream(
        self, here: RealmArrivals, file: Arrival, entry: Origin, incoming: Incoming
    ) -> None:
        """Ask for the bytes that are missing. The first piece comes alone: the other realm may have to read
        the whole file to check it."""
        position, heard = file.size - incoming.missing, -HEARD_EVERY
        flying: deque[tuple[int, Deferred[bytes]]] = deque()
        window = 1
        try:
            while incoming.missing:
                while position < file.size and len(flying) < window:
                    size = min(PIECE, file.size - position)
                    flying.append((size, self._ask(file.realm, entry, position, size)))
                    position += size
                size, answer = flying.popleft()
                data = await answer
                if incoming.is_ending:
                    raise FileStopped
                if incoming.error is not None:
                    raise errors.StorageFailed
                if len(data) != size:
                    raise errors.PeerFailed(realm=file.realm)
                if not incoming.write(data):
                    await incoming.room()
                here.missing[file.id] = incoming.missing
                window = WINDOW
                if (now := self._clock.seconds()) >= heard + HEARD_EVERY:
                    heard = now
                    await self._database.run(store.heard, file.id, self._context.now())
        finally:
            for _, answer in flying:
                answer.addErrback(lambda _failure: None)

    def _ask(self, realm: str, entry: Origin, offset: int, size: int) -> Deferred[bytes]:
        origin, number = entry
        asked = self._links.file(realm, origin or self._context.realm_key, number, offset, size)
        kept: Deferred[bytes] = Deferred()  # an error waits until the answer is awaited
        asked.addCallbacks(kept.callback, kept.errback)
        return kept

    # The end of a file

    def _settled(self, file: int, settled: SettledFile, lost: str | None = None) -> None:
        self._states.settled(file, settled, lost)
        for place, _, realms in settled.places:
            origin, number = place.origin_realm, place.origin_id
            if number is None:
                origin, number = None, place.number
            for realm in realms:
                if realm != settled.realm and number is not None:
                    self._links.file_ready(realm, origin or self._context.realm_key, number)

    async def lose(self, file: int, reason: str) -> None:
        """Give a file up for the reason with that code, and tell the realm that has sent it."""
        now = self._context.now()

        def job(connection: Connection) -> tuple[SettledFile | None, list[tuple[int, bytes]]]:
            settled = store.lose(connection, self._versions, file, reason)
            if settled is None:
                return None, []
            told = [
                parcels.encode(parcels.FileLoss(place.origin_id, reason))
                for place, _, _ in settled.places
                if place.origin_realm == settled.realm and place.origin_id is not None
            ]
            new = [NewParcel(settled.realm, each, now) for each in told]
            numbers = self._outbox.store(connection, new) if new else []
            return settled, list(zip(numbers, told, strict=True))

        settled, told = await self._database.run(job)
        if settled is None:
            return
        log.info("a file from {realm} is lost: {reason}", realm=settled.realm, reason=reason)
        self._settled(file, settled, reason)
        for number, parcel in told:
            self._links.post(settled.realm, number, parcel, None)

    async def expire(self, expire: int) -> None:
        """Give up the files of which nothing has come for 24 hours, and those that were announced more than
        `expire` ms ago. Files of posts are kept for other realms for as long."""
        now = self._context.now()
        late = await self._database.read(store.overdue, now - STALLED, now - expire, MAX_LOST)
        for file, expired in late:
            await self.lose(file, "file-expired" if expired else "file-stalled")
        if await self._database.read(sent_files.any_posted, now - expire):
            await self._database.run(sent_files.forget_posted, now - expire)

    async def forget(self, realm: str) -> None:
        """Give up the files of a realm that is forgotten."""
        self.link_down(realm)
        while found := await self._database.read(store.expected, realm, MAX_LOST):
            for file in found:
                await self.lose(file, "file-gone")


def may_arrive(quota: int) -> int:
    """The bytes of a realm's files that may arrive at a time, if all of its files may have `quota`."""
    return quota // 10


def part_of(realm: str, code: str) -> str:
    """The name in the uploads folder of the part of the file with that code."""
    return f"incoming/{part_prefix(realm)}.{code}.part"


def part_prefix(realm: str) -> str:
    """The beginning of the names of a realm's parts: unique to the realm, and of the same length for all."""
    return f"realm-{sha256(realm.encode()).hexdigest()[:32]}"


def part_key(stored: str) -> str:
    """The key with which Uploads finds a part."""
    return stored.removeprefix("incoming/").removesuffix(".part")
