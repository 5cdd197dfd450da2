"""What other realms bring: parcels, taken in order, and the files that belong to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, DeferredLock, succeed

from chatd.base.errors import ChatError, RealmQuota, StorageFailed, UnknownGroup
from chatd.federation import parcels
from chatd.federation.file_receive import FileIncomplete, FileReceiver
from chatd.federation.membership import MembershipNews
from chatd.federation.parcel_reader import Arrived, ParcelReader
from chatd.federation.parcel_writer import ParcelWriter, owner_of
from chatd.federation.parcels import KEPT, Direct, Parcel, Post, Relay, Verdict
from chatd.federation.realm_quotas import RealmQuotas
from chatd.federation.refusals import verdict_of
from chatd.files.disk_space import DiskSpace
from chatd.store import messages as message_store
from chatd.store.database import Database
from chatd.store.messages import Stream

Numbered = tuple[int, Parcel | None]


class Receiver:
    def __init__(
        self,
        database: Database,
        files: FileReceiver,
        disk: DiskSpace,
        quotas: RealmQuotas,
        reader: ParcelReader,
        writer: ParcelWriter,
        news: MembershipNews,
    ) -> None:
        self._database = database
        self._files = files
        self._disk = disk
        self._quotas = quotas
        self._reader = reader
        self._writer = writer
        self._news = news
        self._turns: dict[str, DeferredLock] = {}

    # Parcels

    async def receive(
        self, realm: str, batch: Sequence[Numbered], stream: Stream | None = None
    ) -> list[Verdict]:
        """Take parcels of the realm with that key, in order. Returns their verdicts once all is on disk.

        Raises StorageFailed, and for a bug any exception. Then the other realm may send them again, and
        nothing that comes later on the same `stream` is stored.
        """
        stream = stream or Stream()
        try:
            return await self._receive(realm, batch, stream)
        except Exception:
            stream.broken = True
            raise

    async def _receive(
        self, realm: str, batch: Sequence[Numbered], stream: Stream
    ) -> list[Verdict]:
        verdicts: list[Verdict | Deferred[Verdict]] = []
        turn = self._turns.setdefault(realm, DeferredLock())
        await stream.wait_for(turn.acquire())
        try:
            # Batches reach the database in the order of their turns. The turn does not wait for the disk.
            if stream.broken:
                raise StorageFailed
            await self._disk.wait()
            await self._submit(realm, batch, stream, verdicts)
        except Exception:
            stream.broken = True  # before the next batch has its turn
            for verdict in verdicts:
                if isinstance(verdict, Deferred):
                    verdict.addErrback(lambda _failure: None)
            raise
        finally:
            turn.release()
        waits = [succeed(each) if isinstance(each, Verdict) else each for each in verdicts]
        results: Any = await DeferredList(waits, consumeErrors=True)
        for good, result in results:
            if not good:
                raise result.value
        return [result for _, result in results]

    async def _submit(
        self,
        realm: str,
        batch: Sequence[Numbered],
        stream: Stream,
        verdicts: list[Verdict | Deferred[Verdict]],
    ) -> None:
        """Hand each parcel to the database, and add its verdict to `verdicts`."""
        refused = await self._reader.open_directs(
            realm, [each for _, each in batch if type(each) is Direct]
        )
        run: list[Arrived] = []  # consecutive texts, which are stored together

        def store_run() -> None:
            nonlocal run
            verdicts.extend(self._writer.store(realm, run, stream))
            run = []

        came: dict[int, bool] = {}
        try:
            for number, parcel in batch:
                arrived = None
                try:
                    if type(parcel) is Direct:
                        arrived = self._reader.direct(realm, number, parcel, refused)
                    elif isinstance(parcel, Post | Relay):
                        arrived = await self._reader.read(realm, number, parcel)
                    if arrived is not None and getattr(parcel, "file", None) is None:
                        self._quotas.charge(realm, arrived.new)
                        run.append(arrived)
                        continue
                    store_run()
                    verdicts.append(await self._take(realm, number, parcel, arrived, stream))
                except StorageFailed:
                    raise
                except (ChatError, FileIncomplete) as error:
                    store_run()
                    if isinstance(error, RealmQuota) and not came:
                        came = await self._have_come(realm, batch)
                    verdicts.append(await self._refuse(realm, number, parcel, error, came))
        except Exception:
            for each in run:
                self._quotas.give_back(realm, each.new)
            raise
        store_run()

    async def _have_come(self, realm: str, batch: Sequence[Numbered]) -> dict[int, bool]:
        """Which of these were stored before. One query tells it of all: much may be refused."""
        numbers = [number for number, _ in batch]
        found = await self._database.read(message_store.have_come, realm, numbers)
        return {number: number in found for number in numbers}

    async def _take(
        self,
        realm: str,
        number: int,
        parcel: Parcel | None,
        arrived: Arrived | None,
        stream: Stream,
    ) -> Verdict:
        """The verdict on a parcel that is not a text for somebody here: it brings a file, changes a group,
        concerns nobody here, or is unreadable."""
        if parcel is None:
            return parcels.UNREADABLE
        if not isinstance(parcel, Direct | Post | Relay):
            await self._news.receive(realm, number, parcel)
        elif arrived is not None:
            verdict = await self._writer.store_with_file(realm, number, arrived, parcel, stream)
            await self._files.forget(realm, number)
            return verdict
        return KEPT

    async def _refuse(
        self,
        realm: str,
        number: int,
        parcel: Parcel | None,
        error: ChatError | FileIncomplete,
        came: Mapping[int, bool],
    ) -> Verdict:
        """The verdict on a parcel that raised `error`. The file of a refused one is removed. `came` says
        which were stored before, once one was refused for its realm's quota."""
        if isinstance(error, ChatError) and getattr(parcel, "file", None) is not None:
            await self._files.forget(realm, number)
        if isinstance(error, RealmQuota) and came[number]:
            return KEPT  # it was stored before, and its verdict was lost with the link
        return verdict_of(error)

    # Files

    async def offer(self, realm: str, number: int, parcel: Parcel) -> int:
        """Prepare for the file of a parcel that will follow. Returns the offset to send it from.

        Raises what its message would be refused for, and what `FileReceiver.offer` does.
        """
        if not isinstance(parcel, Direct | Post | Relay) or parcel.file is None:
            raise UnknownGroup(name="")
        if isinstance(parcel, Direct):
            await self._reader.check_direct(realm, parcel)
        else:
            await self._reader.read(realm, number, parcel)
        return await self._files.offer(realm, number, parcel.file, owner_of(realm, parcel))

    async def take(self, realm: str, number: int, offset: int, data: bytes) -> None:
        """See `FileReceiver.take`."""
        await self._files.take(realm, number, offset, data)

    async def lost(self, realm: str) -> None:
        """The link is gone: keep the parts of files for later."""
        self._end_turns(realm)
        await self._files.drop_all(realm)

    async def forget(self, realm: str) -> None:
        """The realm itself is forgotten: remove the parts of its files."""
        self._end_turns(realm)
        await self._files.forget_all(realm)

    def _end_turns(self, realm: str) -> None:
        turn = self._turns.get(realm)
        if turn is not None and not turn.locked:
            del self._turns[realm]
