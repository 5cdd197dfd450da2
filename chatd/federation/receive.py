"""Receives parcels from other realms, in order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, DeferredList, DeferredLock, succeed
from twisted.python.failure import Failure

from chatd.base.errors import AccountMoved, ChatError, RealmQuota, StorageFailed
from chatd.federation import parcels
from chatd.federation.answer_time import conceal
from chatd.federation.entry_reader import Arrived
from chatd.federation.fact_reader import RelayedFact
from chatd.federation.group_changes import EntryChange
from chatd.federation.message_requests import RequestReceiver
from chatd.federation.news_receiver import NewsReceiver
from chatd.federation.parcel_fields import FileNote
from chatd.federation.parcel_reader import ParcelReader
from chatd.federation.parcel_writer import ParcelWriter
from chatd.federation.parcels import (
    KEPT,
    Accepted,
    Direct,
    FileLoss,
    GroupMoveNews,
    GroupNews,
    MoveParcel,
    Parcel,
    Post,
    Relay,
    Verdict,
)
from chatd.federation.realm_quotas import RealmQuotas
from chatd.federation.refusals import verdict_of
from chatd.files.disk_space import DiskSpace
from chatd.service.context import Context
from chatd.store.origins import Origin, stored_anywhere
from chatd.store.parcel_stream import ParcelStream, StreamPlace
from chatd.store.requests import NewRequest

# Parcels whose jobs do not check their place in the stream. Entries that are no messages are like them. Read
# marks may overtake messages: the next mark says the same.
STORED_ALONE = (GroupNews, GroupMoveNews, FileLoss, Accepted, MoveParcel)

Numbered = tuple[int, Parcel | None]  # None stands for a parcel that cannot be read


class Text(NamedTuple):
    """A message without a file, and the parcel that brings it."""

    number: int
    parcel: Parcel | None
    arrived: Arrived


class Unstored(NamedTuple):
    """In place of verdicts that were not stored."""

    failure: Failure


class Submission:
    """A batch of one realm while its parcels are handed to the database. `verdicts` has those for the parcels
    so far, one or several at a time; `run` has the texts since then, which are charged to the realm and
    stored together."""

    def __init__(self, realm: str, batch: Sequence[Numbered], stream: ParcelStream) -> None:
        self.realm = realm
        self.batch = batch
        self.stream = stream
        self.verdicts: list[Verdict | Deferred[Verdict | list[Verdict] | Unstored]] = []
        self.run: list[Text] = []
        # The origins of the batch that were stored before; looked up when a parcel exceeds the quota.
        self.known: set[Origin] | None = None
        # The verdicts depend on names that the realm may not know.
        self.conceals = False

    def add(self, verdict: Verdict | Deferred[Verdict] | Deferred[list[Verdict]]) -> None:
        """Add the verdict or verdicts that come next. A failure is handled at once, because the batch may
        wait for something else when it comes, or end before it."""
        if isinstance(verdict, Deferred):
            coming: Deferred[Any] = verdict
            self.verdicts.append(coming.addErrback(Unstored))
        else:
            self.verdicts.append(verdict)


class Receiver:
    """Batches of one realm take turns, so that its parcels are stored in order. Realms do not wait for each
    other."""

    def __init__(
        self,
        context: Context,
        disk: DiskSpace,
        quotas: RealmQuotas,
        reader: ParcelReader,
        writer: ParcelWriter,
        news: NewsReceiver,
        requests: RequestReceiver,
    ) -> None:
        self._requests = requests
        self._clock = context.clock
        self._database = context.database
        self._messages = context.writers.messages
        self._disk = disk
        self._quotas = quotas
        self._reader = reader
        self._writer = writer
        self._news = news
        self._turns: dict[str, DeferredLock] = {}

    # Parcels

    async def receive(
        self, realm: str, batch: Sequence[Numbered], stream: ParcelStream | None = None
    ) -> list[Verdict]:
        """Store parcels of the realm with that key, in order. Returns their verdicts once all are on disk.

        Raises StorageFailed, or any exception in case of a bug. Then the other realm may send the batch
        again, and nothing that comes later on the same `stream` is stored.
        """
        stream = stream or ParcelStream()
        submission, begun = Submission(realm, batch, stream), self._clock.seconds()
        try:
            verdicts = await self._receive(submission)
        except Exception:
            stream.broken = True
            raise
        if submission.conceals:
            await conceal(self._clock, begun)
        return verdicts

    async def take(self, realm: str, batch: Sequence[Numbered]) -> list[Verdict]:
        """As `receive`, while another batch of the realm has its turn."""
        submission = Submission(realm, batch, ParcelStream())
        await self._disk.wait()
        await self._submit(submission)
        return await _all_of(submission.verdicts)

    async def _receive(self, submission: Submission) -> list[Verdict]:
        realm, stream = submission.realm, submission.stream
        turn = self._turns.setdefault(realm, DeferredLock())
        await stream.wait_for(turn.acquire())
        try:
            # Batches reach the database in the order of their turns. The turn does not wait for the commit.
            if stream.broken:
                raise StorageFailed
            await self._disk.wait()
            await self._submit(submission)
        except Exception:
            stream.broken = True  # before the next batch has its turn
            # The next batch fails at once. Its answer must not come before the one that says why, from which
            # the other realm learns which parcel it was.
            self._clock.callLater(0, turn.release)
            raise
        except BaseException:
            turn.release()
            raise
        turn.release()
        return await _all_of(submission.verdicts)

    async def _submit(self, submission: Submission) -> None:
        """Hand the parcels to the database, and add their verdicts to the submission."""
        realm = submission.realm
        direct = [each for _, each in submission.batch if type(each) is Direct]
        opened = await self._reader.open_directs(realm, direct)
        submission.conceals = self._reader.conceals(realm, [each for _, each in submission.batch])
        submission.stream.begin(self._messages.refusals)
        for number, parcel in submission.batch:
            verdict: Verdict | Deferred[Verdict]
            try:
                arrived: Arrived | NewRequest | EntryChange | RelayedFact | None = None
                file: FileNote | None = None
                if type(parcel) is Direct:
                    arrived = self._reader.direct(realm, number, parcel, opened)
                    file = parcel.file
                elif type(parcel) is Relay and (back := self._reader.unchanged(realm, parcel)):
                    arrived = back
                elif isinstance(parcel, Post | Relay):
                    arrived = await self._reader.read(realm, parcel)
                    file = parcel.file
                if type(arrived) is Arrived and file is None:
                    submission.run.append(Text(number, parcel, arrived))
                    continue
                await self._store_run(submission)
                verdict = await self._apply(submission, number, parcel, arrived)
            except StorageFailed:
                raise
            except ChatError as error:
                await self._store_run(submission)
                verdict = await self._refuse(submission, number, parcel, error)
            submission.add(verdict)
        await self._store_run(submission)

    async def _store_run(self, submission: Submission) -> None:
        """Charge the texts of the run to the realm, and hand them to the database. If they are too much
        together, some may still fit."""
        realm, run = submission.realm, submission.run
        submission.run = []
        if not run:
            return
        try:
            self._quotas.charge(realm, [each.arrived.new for each in run])
        except RealmQuota:
            await self._store_some(submission, run)
        else:
            self._store(submission, run)

    def _store(self, submission: Submission, run: Sequence[Text]) -> None:
        """Hand texts to the database, which are charged."""
        if run:
            arrived = [each.arrived for each in run]
            storing = self._writer.store(submission.realm, arrived, submission.stream)
            submission.add(storing)

    async def _store_some(self, submission: Submission, run: Sequence[Text]) -> None:
        """Charge texts one by one, hand those to the database that fit, and refuse the others."""
        fitting: list[Text] = []
        for each in run:
            try:
                self._quotas.charge(submission.realm, (each.arrived.new,))
            except RealmQuota as error:
                self._store(submission, fitting)
                fitting = []
                refused = await self._refuse(submission, each.number, each.parcel, error)
                submission.add(refused)
            else:
                fitting.append(each)
        self._store(submission, fitting)

    async def _apply(
        self,
        submission: Submission,
        number: int,
        parcel: Parcel | None,
        arrived: Arrived | NewRequest | EntryChange | RelayedFact | None,
    ) -> Verdict | Deferred[Verdict]:
        """Apply a parcel that is not a text message for an account here: it has a file, is not a message,
        concerns no account here, or is unreadable."""
        realm = submission.realm
        if parcel is None:
            return parcels.UNREADABLE
        if isinstance(arrived, RelayedFact) or isinstance(parcel, STORED_ALONE):
            await self._until_stored(submission)
        if not isinstance(parcel, Direct | Post | Relay):
            return await self._news.receive(realm, number, parcel, submission.stream)
        if isinstance(arrived, NewRequest):
            return self._requests.receive(realm, arrived, submission.stream)
        if isinstance(arrived, EntryChange):
            return self._news.change(realm, arrived, submission.stream)
        if isinstance(arrived, RelayedFact):
            return await self._news.fact(realm, arrived)
        if arrived is not None:
            return await self._writer.store_with_file(realm, arrived, parcel, submission.stream)
        return KEPT

    async def _until_stored(self, submission: Submission) -> None:
        """Wait until what came before on the stream is on disk. Raises StorageFailed if that fails, or what a
        parcel of this batch failed with."""
        try:
            await self._database.run(self._check_stored, submission.stream.next())
        except StorageFailed:
            await _all_of(submission.verdicts)
            raise

    def _check_stored(self, _connection: Connection, place: StreamPlace) -> None:
        """Runs in the writer's thread, after the jobs of the parcels before. Raises StorageFailed."""
        place.check(self._messages.refusals)

    async def _refuse(
        self,
        submission: Submission,
        number: int,
        parcel: Parcel | None,
        error: ChatError,
    ) -> Verdict:
        """The verdict on a parcel that raised `error`."""
        realm = submission.realm
        if self._reader.conceals(realm, (parcel,)):
            return verdict_of(error)
        known_anyway = isinstance(error, RealmQuota | AccountMoved)
        if known_anyway and submission.known is None:
            # One query for the whole batch, because much of it may be refused.
            origins = [_origin(realm, *each) for each in submission.batch]
            submission.known = await self._database.read(stored_anywhere, origins)
        if known_anyway and _origin(realm, number, parcel) in (submission.known or ()):
            return KEPT  # it was stored before, and its verdict was lost with the link
        return verdict_of(error)

    @asynccontextmanager
    async def held(self, realm: str) -> AsyncIterator[None]:
        """A context in which no parcel of the realm is taken. They wait."""
        turn = self._turns.setdefault(realm, DeferredLock())
        await turn.acquire()
        try:
            yield
        finally:
            turn.release()

    def lost(self, realm: str) -> None:
        """The link is gone."""
        turn = self._turns.get(realm)
        if turn is not None and not turn.locked:
            del self._turns[realm]


async def _all_of(
    verdicts: Sequence[Verdict | Deferred[Verdict | list[Verdict] | Unstored]],
) -> list[Verdict]:
    """Wait for all verdicts. Raises the first of their exceptions."""
    waits: list[Deferred[Any]] = [
        succeed(each) if isinstance(each, Verdict) else each for each in verdicts
    ]
    found: list[Verdict] = []
    for _, result in await DeferredList(waits):
        if isinstance(result, Unstored):
            result.failure.raiseException()
        if isinstance(result, Verdict):
            found.append(result)
        else:
            found += result
    return found


def _origin(realm: str, number: int, parcel: Parcel | None) -> Origin:
    """The name of the entry that a parcel of `realm` brings."""
    opened = parcel.opened if isinstance(parcel, Post | Relay) else None
    return (realm, number) if opened is None else (opened.statement.realm, opened.statement.number)
