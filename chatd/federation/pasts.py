"""Fetches what was written to groups of other realms before somebody here has joined, from their homes.

It is fetched page by page, the newest entries first: in the background after a join and when a link comes
up, up to BACKGROUND entries of a group, and beyond that when people read so far back. How far it has come is
stored with the entries, so it goes on after a cut or a restart. Entries are verified like those that a home
relays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

import msgspec
import sqlalchemy as sa
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from chatd.base.background import EXPECTED, in_background, log_unexpected
from chatd.base.entries import EntryRef
from chatd.base.errors import (
    ChatError,
    NotSupportedThere,
    RealmDown,
    RealmQuota,
    StorageFailed,
    TooMuchArriving,
    UnknownGroup,
    UnknownRealm,
)
from chatd.base.isolation import guarded
from chatd.base.timers import Signal, Timer
from chatd.federation import parcels
from chatd.federation.entry_reader import Arrived, EntryReader
from chatd.federation.fact_reader import RelayedFact
from chatd.federation.group_changes import EntryChange, keep_waiting
from chatd.federation.links import ILinks
from chatd.federation.parcels import Relay
from chatd.federation.past_pages import PastPage
from chatd.federation.past_writer import PastWriter
from chatd.federation.realm_quotas import RealmQuotas
from chatd.service.chat_service import ChatService
from chatd.service.erased_files import ErasedFiles
from chatd.service.group_log import StoredFact, event_of
from chatd.service.presence import LogPlace
from chatd.service.quotas import cost_of, cost_of_change
from chatd.store import crossing
from chatd.store import pasts as store
from chatd.store.new_entries import Stored
from chatd.store.parcel_stream import ParcelStream
from chatd.store.past_pages import PAGE
from chatd.store.pasts import Past, Reached, is_last

BACKGROUND = 10_000  # entries of one group
GROUPS = 100  # that are looked up at a time
AGAIN = 60.0  # seconds after which it is tried again, if there is no room now
AT_ONCE = 20  # entries that are stored before other jobs of the database get their turn

# There is no room now
_LATER = (RealmQuota, TooMuchArriving, StorageFailed)
# The realm gives nothing now
_AWAY = (RealmDown, UnknownRealm, NotSupportedThere)

Item = Arrived | EntryChange | RelayedFact


class StoredItems(msgspec.Struct):
    """What was stored in one transaction: the names of files that were erased, and what tells members of the
    entries that were placed at the end of the log."""

    erased: list[str] = []
    tell: list[Callable[[], object]] = []


log = Logger()


class Pasts:
    def __init__(
        self,
        service: ChatService,
        links: ILinks,
        reader: EntryReader,
        writer: PastWriter,
        quotas: RealmQuotas,
    ) -> None:
        self._clock = service.clock
        self._database = service.database
        self._disk = service.disk
        self._log = service.rosters.log
        self._rosters = service.rosters
        self._presence = service.presence
        self._publisher = service.changes
        self._changes = service.context.writers.changes
        self._erased = ErasedFiles(service.context, service.uploads)
        self._own = service.context.realm_key
        self._links = links
        self._reader = reader
        self._writer = writer
        self._quotas = quotas
        # conversation -> told when the page that is fetched has come
        self._under_way: dict[int, Signal] = {}
        # Realms whose groups are looked through in the background, and whether to begin again
        self._running: dict[str, bool] = {}
        self._timers: dict[str, Timer] = {}
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    # When it is fetched

    def begin(self, realm: str) -> None:
        """Fetch in the background what is missing of groups of that realm."""
        if realm in self._running:
            self._running[realm] = True
            return
        self._running[realm] = False
        in_background(
            "the past of groups of {realm} was not fetched", self._run(realm), realm=realm
        )

    async def _run(self, realm: str) -> None:
        try:
            await self._fetch_all(realm)
        finally:
            if self._running.pop(realm):
                self.begin(realm)

    async def _fetch_all(self, realm: str) -> None:
        tried: set[int] = set()
        while True:
            found = await self._database.read(
                store.pasts_of, realm, BACKGROUND, len(tried) + GROUPS
            )
            fresh = [each for each in found if each not in tried]
            if not fresh:
                return
            tried.update(fresh)
            for conversation in fresh:
                error = await self._fetch_group(conversation)
                if isinstance(error, _LATER):
                    self._again(realm)
                if isinstance(error, (*_LATER, *_AWAY)):
                    return

    def _again(self, realm: str) -> None:
        if self._stopped:
            return  # this page was under way
        timer = self._timers.setdefault(realm, Timer(self._clock, lambda: self.begin(realm)))
        timer.start(AGAIN)

    async def _fetch_group(self, conversation: int) -> ChatError | None:
        """Fetch one page after the other. Returns the error with which it ends, if any."""
        upto = None
        while True:
            past = await self._database.read(store.past_of, conversation)
            if past is None or past.upto == upto or past.fetched >= BACKGROUND:
                return None
            upto = past.upto
            error = await self.fetch_now(conversation)
            if error is not None:
                return error

    def fetch(self, conversation: int) -> Deferred[None]:
        """Fetch the next page of a group. Fires when it has come, or can't come now. Never fails."""
        if conversation not in self._under_way:
            in_background("the past of a group was not fetched", self.fetch_now(conversation))
        begun = self._under_way.get(conversation)
        return succeed(None) if begun is None else begun.wait()

    async def fetch_now(self, conversation: int) -> ChatError | None:
        """Fetch the next page, unless that is under way; then wait for it. Returns why it can't come."""
        under_way = self._under_way.get(conversation)
        if under_way is not None:
            await under_way.wait()
            return None
        signal = self._under_way[conversation] = Signal()
        try:
            await self._fetch_page(conversation)
        except ChatError as error:
            if not isinstance(error, (*_LATER, *_AWAY)):
                where = f"conversation {conversation}"
                log.debug("the past of {where} does not come: {error}", where=where, error=error)
            return error
        except Exception:
            log_unexpected("the past of a group was not fetched")  # that of others is
        finally:
            del self._under_way[conversation]
            signal.notify()
        return None

    # A page

    async def _fetch_page(self, conversation: int) -> None:
        """Raises what the home refuses with, RealmQuota, TooMuchArriving, StorageFailed, and UnknownGroup if
        all members here have left."""
        past = await self._database.read(store.past_of, conversation)
        if past is None:
            return
        realm = past.realm
        self._quotas.check_half(realm)
        page = await self._links.past(realm, past.home_id, past.upto + 1, past.after)
        relays = list(_relays(page, past))
        await self._disk.wait()
        messages = [each for relay in relays if (each := self._message_of(relay)) is not None]
        await self._take(past, relays)
        await self._take_waiting(past, messages)
        count = max(len(relays), PAGE)
        reached = Reached(past.upto, page.start - 1, page.first, page.earlier, count)
        await self._database.run(store.reach_past, conversation, reached)

    async def _take_waiting(self, past: Past, messages: Sequence[EntryRef]) -> None:
        """Make the changes of these messages that have come before them, perhaps while the page was
        stored."""
        read, after = self._database.read, 0
        while found := await read(store.awaited, past.conversation, messages, after, PAGE):
            after = found[-1][0]
            relays = [_relay(parcel) for _, parcel in found]
            await self._take(past, [each for each in relays if each is not None])

    def _message_of(self, relay: Relay) -> EntryRef | None:
        opened = relay.opened
        if opened is None or opened.statement.kind != "message":
            return None
        realm = opened.statement.realm
        return EntryRef(None if realm == self._own else realm, opened.statement.number)

    async def _take(self, past: Past, relays: Sequence[Relay]) -> None:
        """Store entries that are not here yet, in order. Those that are refused are left out."""
        items: list[Item] = []
        for relay in relays:
            item = await self._read(past.realm, relay)
            if isinstance(item, Arrived) and relay.file is not None:
                await self._writer.store_with_file(past.realm, item, relay, ParcelStream())
            elif item is not None:
                items.append(item)
        size = sum(map(_cost, items))
        self._quotas.charge_bytes(past.realm, size)
        try:
            for start in range(0, len(items), AT_ONCE):
                some = items[start : start + AT_ONCE]
                stored = await self._database.run(self._store, some)
                self._erased.remove(stored.erased)
                for tell in stored.tell:
                    guarded("an entry of the past was stored, but not told", tell)
        except Exception:
            self._quotas.give_back_bytes(past.realm, size)
            raise

    async def _read(self, realm: str, relay: Relay) -> Item | None:
        try:
            return await self._reader.read(realm, relay)
        except (UnknownGroup, *EXPECTED):
            raise
        except ChatError as error:
            log.debug("{realm} gives what is not taken: {error}", realm=realm, error=error)
        return None

    def _store(self, connection: sa.Connection, items: Sequence[Item]) -> StoredItems:
        """Runs in the writer's thread."""
        done = StoredItems()
        for item in items:
            match item:
                case Arrived(new):
                    [place] = self._writer.place(connection, [new])
                    if isinstance(place, Stored) and is_last(new.seq, place.seq):
                        done.tell.append(partial(self._writer.tell_last, item, place))
                case RelayedFact():
                    self._store_fact(connection, item, done)
                case _:
                    self._store_change(connection, item, done)
        return done

    def _store_fact(self, connection: sa.Connection, fact: RelayedFact, done: StoredItems) -> None:
        """What the group is now was told when somebody joined, so it is not changed."""
        place = fact.group.id
        if crossing.is_made(connection, place, fact.origin):
            return
        seq = store.free_place(connection, place, fact.seq)
        if seq is None:
            return
        about = fact.group, fact.made, seq, fact.origin, fact.signature
        stored = self._log.mirror(connection, *about, past=True)
        if is_last(fact.seq, seq):
            done.tell.append(partial(self._tell_fact, stored))

    def _store_change(
        self, connection: sa.Connection, change: EntryChange, done: StoredItems
    ) -> None:
        wanted, relay = change.wanted, change.relay
        assert wanted.origin is not None  # noqa: S101 - it comes from another realm
        assert relay is not None  # noqa: S101 - the home has sent it
        place = wanted.conversation
        target = crossing.seq_of(connection, place, change.entry)
        if target is None:
            keep_waiting(connection, change.entry, relay, place)
            return
        store.forget_awaited(connection, place, relay.seq)
        if crossing.is_made(connection, place, wanted.origin):
            return
        seq = store.free_place(connection, place, relay.seq)
        if seq is None:
            return
        wanted = msgspec.structs.replace(wanted, seq=target, given=seq, past=True)
        try:
            result = self._changes.make(connection, wanted, lambda *_: None)
        except ChatError as error:
            log.debug("an earlier change is not made: {error}", error=error)
            return
        if is_last(relay.seq, seq):
            done.tell.append(partial(self._publisher.publish, result, change.target, None))
        else:
            done.erased += result.erased

    def _tell_fact(self, fact: StoredFact) -> None:
        event, seq = event_of(fact), fact.place.seq

        def tell(members: Collection[int], place: LogPlace | None) -> None:
            self._presence.tell_followers(members, event, None, place)

        self._rosters.tell_viewers(fact.group.id, fact.place, seq, (), tell)


def _relays(page: PastPage, past: Past) -> list[Relay]:
    """The parcels of a page that belong there."""
    found = (_relay(each) for each in page.entries)
    return [
        each
        for each in found
        if each is not None
        and each.group_id == past.home_id
        and page.start <= each.seq <= past.upto
        and each.entry.proof is not None
    ]


def _relay(data: bytes | msgspec.Raw) -> Relay | None:
    parcel = parcels.try_decode(data)
    return parcel if isinstance(parcel, Relay) else None


def _cost(item: Item) -> int:
    """The bytes that an entry counts for the quota of the group's home."""
    match item:
        case Arrived(new):
            return cost_of(new)
        case RelayedFact():
            return item.cost
        case _:
            return cost_of_change(item.wanted.change)
