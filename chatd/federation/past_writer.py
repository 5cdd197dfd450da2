"""Stores messages of a group of another realm that are older than the memberships here."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from twisted.python.failure import Failure

from chatd.base.attachments import Attachment
from chatd.base.errors import ChatError, TooMuchArriving
from chatd.federation.entry_reader import Arrived
from chatd.federation.parcel_writer import ParcelWriter, verdict_on
from chatd.federation.parcels import Direct, Post, Relay, Verdict
from chatd.store.arrivals import Announced, Welcome
from chatd.store.new_entries import NewMessage, Stored
from chatd.store.origins import KnownEntry, stored_places
from chatd.store.parcel_stream import StreamPlace
from chatd.store.past_messages import place_message
from chatd.store.pasts import is_last


class PastWriter(ParcelWriter):
    """Gives each message its place in the log. No events are sent, because all members have joined since; but
    one that finds its place at the end of the log is told as a new one, because clients go on from there."""

    def place(
        self, connection: sa.Connection, items: Sequence[NewMessage]
    ) -> list[Stored | KnownEntry | Failure]:
        """Store messages in their places. Runs in the writer's thread."""
        named = [(each.conversation, each.origin) for each in items if each.origin is not None]
        known = stored_places(connection, named)
        return [
            known.get(name) or place_message(connection, self._messages, each)
            for name, each in zip(named, items, strict=True)
        ]

    def _receive(
        self, connection: sa.Connection, items: Sequence[NewMessage], _place: StreamPlace
    ) -> list[Stored | KnownEntry | Failure]:
        return self.place(connection, items)  # what comes again is recognised

    def tell_last(self, arrived: Arrived, place: Stored) -> None:
        """Tell of a message that was stored with `place`, if that is at the end of the log."""
        self._tell(arrived, place, None)

    def _tell(self, arrived: Arrived, place: Stored, file: Attachment | None) -> Verdict:
        if is_last(arrived.new.seq, place.seq):
            return super()._tell(arrived, place, file)
        return verdict_on(arrived, place)

    async def _judge(self, file: Announced, parcel: Direct | Post | Relay) -> Welcome:
        """As for a relay. Raises TooMuchArriving if the file can't even wait for its turn. Then the page is
        fetched again later."""
        try:
            await self._files.check(file)
        except TooMuchArriving:
            if not await self._files.may_wait(file.realm):
                raise
        except ChatError:
            pass  # the file is lost
        return await super()._judge(file, parcel)
