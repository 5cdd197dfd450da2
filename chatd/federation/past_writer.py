"""Stores messages from before somebody here has joined a group of another realm."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from twisted.python.failure import Failure

from chatd.base.attachments import Attachment
from chatd.base.entries import EntryRef
from chatd.base.errors import ChatError, TooMuchArriving
from chatd.federation.entry_reader import Arrived
from chatd.federation.file_arrivals import FileArrivals
from chatd.federation.forwarder import Forwarder
from chatd.federation.parcel_writer import ParcelWriter, verdict_on
from chatd.federation.parcels import Direct, Post, Relay, Verdict
from chatd.federation.realm_quotas import RealmQuotas
from chatd.service.chat_service import ChatService
from chatd.store.arrivals import Announced, Welcome
from chatd.store.new_entries import NewMessage, Stored
from chatd.store.origins import KnownEntry, stored_places
from chatd.store.parcel_stream import ParcelStream
from chatd.store.pasts import answer_replies, free_place
from chatd.store.schema import search_changes


class PastWriter(ParcelWriter):
    """Gives each message its place in the log. No events are sent, because all members have joined since."""

    def __init__(
        self,
        service: ChatService,
        forwarder: Forwarder,
        arrivals: FileArrivals,
        quotas: RealmQuotas,
    ) -> None:
        super().__init__(service, forwarder, arrivals, quotas)
        self._messages = service.context.writers.messages
        self._receive = self.place

    def place(
        self,
        connection: sa.Connection,
        items: Sequence[NewMessage],
        stream: ParcelStream | None = None,
    ) -> list[Stored | KnownEntry | Failure]:
        """Store messages in their places. Runs in the writer's thread."""
        del stream  # what comes again is recognised
        named = [(each.conversation, each.origin) for each in items if each.origin is not None]
        known = stored_places(connection, named)
        return [
            known.get(name) or self._place(connection, each)
            for name, each in zip(named, items, strict=True)
        ]

    def _place(self, connection: sa.Connection, new: NewMessage) -> Stored | KnownEntry:
        assert new.origin is not None  # noqa: S101 - it comes from another realm
        assert new.seq is not None  # noqa: S101 - the group's home has numbered it
        realm, number = new.origin
        seq = free_place(connection, new.conversation, new.seq)
        if seq is None:
            return KnownEntry(new.seq)
        stored = self._messages.store_at(connection, new, seq)
        # The index may have blocks of what comes after it already.
        connection.execute(
            sa.insert(search_changes).values(conversation_id=new.conversation, seq=seq)
        )
        answer_replies(connection, new.conversation, EntryRef(realm, number), seq)
        return stored

    def _tell(self, arrived: Arrived, place: Stored, _file: Attachment | None) -> Verdict:
        return verdict_on(arrived, place)

    async def _judge(self, file: Announced, parcel: Direct | Post | Relay) -> Welcome:
        """As for a relay, but a file that can't even wait comes later, with the page. Raises
        TooMuchArriving."""
        try:
            await self._files.check(file)
        except TooMuchArriving:
            if not await self._files.may_wait(file.realm):
                raise
        except ChatError:
            pass  # it is lost
        return await super()._judge(file, parcel)
