"""Receives parcels from other realms, in order."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred, DeferredList, DeferredLock, succeed
from twisted.python.failure import Failure

from chatd.base.errors import ChatError, RealmQuota, StorageFailed
from chatd.federation import parcels
from chatd.federation.entry_reader import Arrived
from chatd.federation.fact_reader import RelayedFact
from chatd.federation.group_changes import EntryChange
from chatd.federation.news_receiver import NewsReceiver
from chatd.federation.parcel_reader import ParcelReader
from chatd.federation.parcel_writer import ParcelWriter
from chatd.federation.parcels import KEPT, Direct, Parcel, Post, Relay, Verdict
from chatd.federation.realm_quotas import RealmQuotas
from chatd.federation.refusals import verdict_of
from chatd.files.disk_space import DiskSpace
from chatd.store.database import Database
from chatd.store.origins import Origin, stored_anywhere
from chatd.store.parcel_stream import ParcelStream

Numbered = tuple[int, Parcel | None]  # None stands for a parcel that cannot be read


class Submission:
    """A batch of one realm while its parcels are handed to the database. `verdicts` has one for each parcel
    so far; `run` has the texts since then, which are charged to the realm and stored together."""

    def __init__(self, realm: str, batch: Sequence[Numbered], stream: ParcelStream) -> None:
        self.realm = realm
        self.batch = batch
        self.stream = stream
        self.verdicts: list[Verdict | Deferred[Verdict]] = []
        self.run: list[Arrived] = []
        # The origins of the batch that were stored before; looked up when a parcel exceeds the quota.
        self.known: set[Origin] | None = None


class Receiver:
    """Batches of one realm take turns, so that its parcels are stored in order. Realms do not wait for each
    other."""

    def __init__(
        self,
        database: Database,
        disk: DiskSpace,
        quotas: RealmQuotas,
        reader: ParcelReader,
        writer: ParcelWriter,
        news: NewsReceiver,
    ) -> None:
        self._database = database
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
        try:
            return await self._receive(realm, batch, stream)
        except Exception:
            stream.broken = True
            raise

    async def _receive(
        self, realm: str, batch: Sequence[Numbered], stream: ParcelStream
    ) -> list[Verdict]:
        submission = Submission(realm, batch, stream)
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
            for verdict in submission.verdicts:
                if isinstance(verdict, Deferred):
                    verdict.addErrback(lambda _failure: None)
            raise
        finally:
            turn.release()
        waits = [
            succeed(each) if isinstance(each, Verdict) else each for each in submission.verdicts
        ]
        verdicts: list[Verdict] = []
        for _, result in await DeferredList(waits, consumeErrors=True):
            if isinstance(result, Failure):
                result.raiseException()
            verdicts.append(result)
        return verdicts

    async def _submit(self, submission: Submission) -> None:
        """Hand the parcels to the database, and add their verdicts to the submission."""
        realm, run = submission.realm, submission.run
        direct = [each for _, each in submission.batch if type(each) is Direct]
        refused = await self._reader.open_directs(realm, direct)
        try:
            for number, parcel in submission.batch:
                try:
                    arrived: Arrived | EntryChange | RelayedFact | None = None
                    if type(parcel) is Direct:
                        arrived = self._reader.direct(realm, number, parcel, refused)
                    elif isinstance(parcel, Post | Relay):
                        if type(parcel) is Relay:
                            arrived = self._reader.unchanged(realm, parcel)
                        arrived = arrived or await self._reader.read(realm, parcel)
                    if isinstance(arrived, Arrived) and getattr(parcel, "file", None) is None:
                        self._quotas.charge(realm, arrived.new)
                        run.append(arrived)
                        continue
                    self._store_run(submission)
                    verdict: Verdict | Deferred[Verdict]
                    verdict = await self._apply(submission, number, parcel, arrived)
                except StorageFailed:
                    raise
                except ChatError as error:
                    self._store_run(submission)
                    verdict = await self._refuse(submission, number, parcel, error)
                submission.verdicts.append(verdict)
        except Exception:
            for each in run:
                self._quotas.give_back(realm, each.new)
            raise
        self._store_run(submission)

    def _store_run(self, submission: Submission) -> None:
        run = submission.run
        submission.verdicts += self._writer.store(submission.realm, list(run), submission.stream)
        run.clear()

    async def _apply(
        self,
        submission: Submission,
        number: int,
        parcel: Parcel | None,
        arrived: Arrived | EntryChange | RelayedFact | None,
    ) -> Verdict | Deferred[Verdict]:
        """Apply a parcel that is not a text message for an account here: it has a file, is not a message,
        concerns no account here, or is unreadable."""
        realm = submission.realm
        if parcel is None:
            return parcels.UNREADABLE
        if not isinstance(parcel, Direct | Post | Relay):
            return await self._news.receive(realm, number, parcel, submission.stream)
        if isinstance(arrived, EntryChange):
            return self._news.change(realm, arrived, submission.stream)
        if isinstance(arrived, RelayedFact):
            return await self._news.fact(realm, arrived)
        if arrived is not None:
            return await self._writer.store_with_file(realm, arrived, parcel, submission.stream)
        return KEPT

    async def _refuse(
        self,
        submission: Submission,
        number: int,
        parcel: Parcel | None,
        error: ChatError,
    ) -> Verdict:
        """The verdict on a parcel that raised `error`."""
        realm = submission.realm
        if isinstance(error, RealmQuota) and submission.known is None:
            # One query for the whole batch, because much of it may be refused.
            origins = [_origin(realm, *each) for each in submission.batch]
            submission.known = await self._database.read(stored_anywhere, origins)
        if isinstance(error, RealmQuota) and _origin(realm, number, parcel) in (
            submission.known or ()
        ):
            return KEPT  # it was stored before, and its verdict was lost with the link
        return verdict_of(error)

    def lost(self, realm: str) -> None:
        """The link is gone."""
        turn = self._turns.get(realm)
        if turn is not None and not turn.locked:
            del self._turns[realm]


def _origin(realm: str, number: int, parcel: Parcel | None) -> Origin:
    """The name of the entry that a parcel of `realm` brings."""
    opened = parcel.opened if isinstance(parcel, Post | Relay) else None
    return (realm, number) if opened is None else (opened.statement.realm, opened.statement.number)
