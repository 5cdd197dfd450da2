"""Idempotent sends: a send with a key that the client chose is carried out once, even if it is repeated.

A repeated send waits until the first one has ended, and gets its answer from the database, with the state
that the message has by then. If the first one was not stored, the repeated one is carried out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from twisted.internet.defer import DeferredLock

from chatd.base.model import QUEUED, Account, Receipt
from chatd.base.names import key_of
from chatd.service.context import Context
from chatd.service.remote import IForwarder
from chatd.service.targets import Target
from chatd.store import idempotent_sends as store
from chatd.store.idempotent_sends import NamedPost, RecordedSend, SendKey
from chatd.store.new_entries import NewMessage, Stored
from chatd.store.pending import NewPost


def name_for(sender: Account, key: str, target: Target) -> SendKey:
    """The identity of a send to `target`. For a group it is the same by whichever name the group is
    called."""
    if target.home is None:
        return SendKey(sender.id, key, str(target.conversation))
    return SendKey(sender.id, key, key_of(target.name))


def receipt_of(known: RecordedSend, target: Target) -> Receipt:
    """The receipt of an earlier send."""
    reason = None if known.refusal is None else known.refusal.sentence
    place = known.conversation, known.seq, known.id
    return Receipt(*place, target.name, known.state, known.at, reason)


class Sends:
    """The sends that have keys. Those of one name take turns."""

    def __init__(self, context: Context, forwarder: IForwarder) -> None:
        self._database = context.database
        self._forwarder = forwarder
        self._writer = context.writers.sends
        self._turns: dict[SendKey, DeferredLock] = {}

    @asynccontextmanager
    async def turn(self, names: Collection[SendKey]) -> AsyncIterator[None]:
        """A context in which no other send has one of these names. Waits for those under way."""
        taken = []
        try:
            for name in sorted(names):
                lock = self._turns.setdefault(name, DeferredLock())
                await lock.acquire()
                taken.append((name, lock))
            yield
        finally:
            for name, lock in taken:
                if not lock.waiting:
                    del self._turns[name]
                lock.release()

    async def store(self, name: SendKey, new: NewMessage) -> Stored | RecordedSend:
        """Store a message that has a key. Returns its place, or that of the earlier one."""
        stored: Stored | RecordedSend = await self._database.batch(self._writer.store, new)
        return await self._refreshed(name, stored) if isinstance(stored, RecordedSend) else stored

    async def put(self, name: SendKey, post: NewPost) -> Stored | RecordedSend:
        """As `store`, for a message to a group elsewhere."""
        named = NamedPost(name, post)
        stored: Stored | RecordedSend = await self._database.batch(self._writer.put, named)
        return await self._refreshed(name, stored) if isinstance(stored, RecordedSend) else stored

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
        if known.state != QUEUED:
            return known
        self._forwarder.flush()
        return (await self._database.run(store.find, [name])).get(name, known)
