"""Idempotent sends: a send with a key that the client chose is carried out once, even if it is repeated.

A repeated send waits until the first one has ended, and gets its answer from the database. If the first one
failed, the repeated one is carried out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress

from twisted.internet.defer import DeferredLock

from chatd.base.errors import StorageFailed
from chatd.base.model import DELIVERED, QUEUED, STORED, Account, Receipt
from chatd.base.names import key_of
from chatd.service.context import Context
from chatd.service.remote import IForwarder
from chatd.service.targets import Target
from chatd.store import idempotent_sends as store
from chatd.store.idempotent_sends import NewPost, RecordedSend, SendKey
from chatd.store.messages import NewMessage, Stored


def name_for(sender: Account, key: str, target: Target) -> SendKey:
    """The identity of a send to `target`. For a group it is the same by whichever name the group is
    called."""
    if target.home is None:
        return SendKey(sender.id, key, str(target.conversation))
    return SendKey(sender.id, key, key_of(target.name))


def receipt_of(known: RecordedSend, target: Target) -> Receipt:
    """The receipt of an earlier send."""
    crosses = target.home is not None or (target.group is None and bool(target.realms))
    state = QUEUED if known.queued else DELIVERED if crosses else STORED
    return Receipt(known.conversation, known.seq, known.id, target.name, state, known.at)


class Sends:
    """The sends that have keys. Those of one name take turns."""

    def __init__(self, context: Context, forwarder: IForwarder) -> None:
        self._database = context.database
        self._forwarder = forwarder
        self._writer = context.writers.sends
        self._turns: dict[SendKey, DeferredLock] = {}
        # Refused sends that could not be removed because the disk was full. They have to be removed before
        # the same send is repeated.
        self._refused: dict[SendKey, tuple[int, str, int]] = {}

    @asynccontextmanager
    async def turn(self, names: Collection[SendKey]) -> AsyncIterator[None]:
        """A context in which no other send has one of these names. Waits for those under way."""
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

    async def store(self, name: SendKey, new: NewMessage) -> Stored | RecordedSend:
        """Store a message that has a key. Returns its place, or that of the earlier one."""
        stored = await self._database.batch(self._writer.store, new)
        return await self._refreshed(name, stored) if isinstance(stored, RecordedSend) else stored

    async def put(self, post: NewPost) -> int | RecordedSend:
        """Put a message to a group elsewhere into the outbox. Returns the number of its parcel, or what is
        known of the earlier one."""
        number = await self._database.batch(self._writer.put, post)
        return (
            await self._refreshed(post.name, number) if isinstance(number, RecordedSend) else number
        )

    async def answered(self, names: Sequence[SendKey]) -> dict[SendKey, RecordedSend]:
        """The earlier sends among `names`."""
        async with self.turn(names):
            found = await self._database.read(store.find, names)
            return {name: await self._refreshed(name, known) for name, known in found.items()}

    async def look_up(self, name: SendKey) -> RecordedSend | None:
        """The earlier send of that name, for a caller that has its turn."""
        found = await self._database.read(store.find, [name])
        return await self._refreshed(name, found[name]) if name in found else None

    async def _refreshed(self, name: SendKey, known: RecordedSend) -> RecordedSend:
        """`known`, as it is once delivered parcels are removed from the outbox."""
        if not known.queued:
            return known
        self._forwarder.flush()
        return (await self._database.run(store.find, [name])).get(name, known)

    async def take_back(self, name: SendKey, ident: int, realm: str, number: int) -> None:
        """Remove a send that another realm has refused: the message with the id `ident` (0 if there is none),
        and the parcel with that number."""
        self._refused[name] = ident, realm, number
        await self._database.run(store.undo, name, ident, realm, number)
        del self._refused[name]

    async def number(self, name: SendKey, receipt: Receipt) -> None:
        """Store how a group's home has numbered a send."""
        # If the disk is full, only the number is lost: a repeated send gets none.
        with suppress(StorageFailed):
            await self._database.run(
                store.record_numbers, name, receipt.conversation, receipt.seq, receipt.id
            )
