"""Sends that clients have named by keys of their own: each is done once, however often it is asked for.

Whoever asks the same again waits until the first time is over, and is answered from what is on disk then. If
that time came to nothing, it is done now.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from twisted.internet.defer import DeferredLock

from chatd.base.errors import StorageFailed
from chatd.base.model import Account, Receipt
from chatd.base.names import key_of
from chatd.federation.outbox import Outbox
from chatd.service.directs import Target
from chatd.store import sends as store
from chatd.store.database import Database
from chatd.store.messages import MessageWriter, NewMessage, Stored
from chatd.store.sends import Known, Name, NewPost, SendsWriter


def name_for(sender: Account, key: str, target: Target) -> Name:
    """What stands for a send to `target`: in the group's home, it is the same group whoever asks."""
    if target.home is None:
        return Name(sender.id, key, str(target.conversation))
    return Name(sender.id, key, key_of(target.name))


def receipt_of(known: Known, target: Target) -> Receipt:
    return Receipt(known.conversation, known.seq, known.id, target.name, known.queued)


class Sends:
    """`writer` stores what has a key, within the jobs of others, too."""

    def __init__(self, database: Database, messages: MessageWriter, outbox: Outbox) -> None:
        self._database = database
        self._outbox = outbox
        self.writer = SendsWriter(messages, outbox.writer)
        self._turns: dict[Name, DeferredLock] = {}
        # What was refused, and could not be taken back since the disk was full: it has to be, before the
        # same is asked for again.
        self._refused: dict[Name, tuple[int, str, int]] = {}

    @asynccontextmanager
    async def turn(self, names: Collection[Name]) -> AsyncIterator[None]:
        """While nothing else is under way under these. Does not wait where nothing is."""
        taken = []
        try:
            for name in sorted(names):
                lock = self._turns.setdefault(name, DeferredLock())
                await lock.acquire()
                taken.append((name, lock))
                if name in self._refused:
                    await self.take_back(name, *self._refused[name])
            yield
        finally:
            for name, lock in taken:
                if not lock.waiting:
                    del self._turns[name]
                lock.release()

    async def store(self, name: Name, new: NewMessage) -> Stored | Known:
        """Store a message, which has a key; or where it stands already."""
        stored = await self._database.batch(self.writer.store, new)
        return await self._now(name, stored) if isinstance(stored, Known) else stored

    async def put(self, post: NewPost) -> int | Known:
        """Put a message to a group elsewhere into the outbox; or what is known of it already."""
        number = await self._database.batch(self.writer.put, post)
        return await self._now(post.name, number) if isinstance(number, Known) else number

    async def answered(self, names: Sequence[Name]) -> dict[Name, Known]:
        """Where those of `names` stand that were sent before."""
        async with self.turn(names):
            found = await self._database.read(store.find, names)
            return {name: await self._now(name, known) for name, known in found.items()}

    async def look_up(self, name: Name) -> Known | None:
        """The message that was sent under `name`, for a caller that has its turn."""
        found = await self._database.read(store.find, [name])
        return await self._now(name, found[name]) if name in found else None

    async def _now(self, name: Name, known: Known) -> Known:
        """As it stands with what has arrived taken out of the outbox."""
        if not known.queued:
            return known
        self._outbox.tidy()
        return (await self._database.run(store.find, [name])).get(name, known)

    async def take_back(self, name: Name, ident: int, realm: str, number: int) -> None:
        """Another realm has refused what was sent under `name`, the message of that id or 0, with the
        parcel of that number: it was never there."""
        self._refused[name] = ident, realm, number
        await self._database.run(store.take_back, name, ident, realm, number)
        del self._refused[name]

    async def number(self, name: Name, receipt: Receipt) -> None:
        """A group's home has numbered what was sent under `name`."""
        numbers: Any = (receipt.conversation, receipt.seq, receipt.id)
        # It is there, whether or not this is kept: then who asks again is told less of it.
        with suppress(StorageFailed):
            await self._database.run(store.number, name, *numbers)
