"""Receipts: telling others how far a person has read, here and in other realms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

import msgspec
from sqlalchemy import Connection

from chatd.base.background import in_background
from chatd.base.entries import EntryRef
from chatd.base.errors import StorageFailed
from chatd.base.model import Account
from chatd.base.names import parse_address
from chatd.base.timers import Timer
from chatd.service.context import Context
from chatd.service.presence import IListener, Presence
from chatd.service.read_events import Reader, ReadEvents
from chatd.service.realm_news import DirectRead, GroupRead, ReadNews
from chatd.service.remote import IForwarder, Notice, StagedNotice
from chatd.service.remote_news import RemoteNews
from chatd.store import marks as mark_store
from chatd.store import receipts as store
from chatd.store import shared_marks, untold_marks
from chatd.store.crossing import seq_of
from chatd.store.receipts import Audience
from chatd.store.shared_marks import SharedMark

TRY_AGAIN = 10.0  # seconds until other realms are told what could not be stored
PAGE = 100  # marks that are looked up at a time


class Receipts:
    """Who has read what. Read marks always go to the reader's own connections, and to others only if both
    have receipts on."""

    def __init__(
        self, context: Context, presence: Presence, news: RemoteNews, forwarder: IForwarder
    ) -> None:
        self._context = context
        self._database = context.database
        self._versions = context.writers.versions
        self._news = news
        self._forwarder = forwarder
        self._telling: set[str] = set()  # realms that are told again
        self._retrying = Timer(context.clock, self._tell_untold)
        self._stopped = False
        self._events = ReadEvents(context.clock, presence, self._audiences, self._tell_realms)

    def start(self) -> None:
        """Tell other realms what a crash has left."""
        self._tell_untold()

    def stop(self) -> None:
        """Leave to the next start what other realms were not told."""
        self._stopped = True
        self._retrying.cancel()
        self._events.stop()

    def moved(self, account: Account, moved: Mapping[int, int], origin: IListener | None) -> None:
        """The account has read these conversations up to these seqs, on the connection `origin`."""
        self._events.moved(Reader(account.key, account.name, account.id), moved, origin)

    async def switch(self, account: Account, on: bool) -> None:
        """Switch the account's receipts on or off."""
        await self._database.run(store.set_receipts, self._versions, account, on)

    async def readers(self, account: Account, conversation: int, seq: int) -> list[str] | None:
        """The addresses of the people who have read a message; None if that is not shown. Raises
        UnknownMessage."""
        return await self._database.read(store.readers, account, conversation, seq)

    # Other realms

    async def arrived(self, realm: str, news: ReadNews) -> None:
        """The realm has told how far a person has read. News that belongs to no conversation is ignored.

        Raises BadName, UnknownRealm.
        """
        match news:
            case DirectRead(person, user, number):
                direct = await self._news.direct(realm, person, user)
                if direct is None:
                    return
                reader, place = direct
                sent = EntryRef(None, number)
                seq = await self._database.read(seq_of, place, sent)
            case GroupRead(person, home, group_id, seq):
                group = await self._news.group(realm, person, home, group_id, seq)
                if group is None:
                    return
                reader, place = group
            case _:
                assert_never(news)
        move = mark_store.move_remote_mark
        if seq and await self._database.run(move, self._versions, place, reader, seq):
            self._events.moved(Reader(reader.key, str(reader)), {place: seq})

    async def tell_again(self, realm: str) -> None:
        """Tell a realm how far people have read what they share with its people: it has lost that. Does
        nothing while that is done already."""
        if realm in self._telling:
            return
        self._telling.add(realm)
        try:
            await self._tell_again(realm)
        finally:
            self._telling.discard(realm)

    async def _tell_again(self, realm: str) -> None:
        for place in await self._database.read(shared_marks.shared_places, realm):
            for mark in await self._database.read(shared_marks.marks_for, place, realm):
                for audience in await self._audiences(_reader_of(mark), (place,)):
                    if realm in audience.realms:
                        again = msgspec.structs.replace(audience, realms=(realm,))
                        notices = await self._notices(mark, again)
                        staged = await self._database.run(self._stage, mark, notices, False)
                        self._forwarder.send_notices(staged)

    def _tell_untold(self) -> None:
        in_background("read marks were not told", self._tell_all_untold())

    async def _tell_all_untold(self) -> None:
        """Tell other realms the marks that they have yet to be told, each on its own."""
        after = (0, "")
        while page := await self._database.read(shared_marks.untold, after, PAGE):
            for mark in page:
                await in_background("a read mark was not told", self._tell_late(mark))
            after = page[-1].conversation, page[-1].key

    async def _tell_late(self, mark: SharedMark) -> None:
        audiences = await self._audiences(_reader_of(mark), (mark.conversation,))
        for audience in audiences or (Audience(mark.conversation),):
            await self._tell_mark(mark, audience)

    async def _audiences(self, reader: Reader, places: Sequence[int]) -> Sequence[Audience]:
        read, key = self._database.read, reader.key
        if reader.account_id is None:
            return await read(store.audiences_of_guest, key, places, True)
        return await read(store.audiences, reader.account_id, key, places, True)

    async def _tell_realms(self, reader: Reader, audience: Audience, seq: int) -> None:
        """Tell other realms that the reader has read a conversation up to `seq`."""
        who = reader.key, reader.address, reader.account_id
        await self._tell_mark(SharedMark(audience.conversation, *who, seq), audience)

    async def _tell_mark(self, mark: SharedMark, audience: Audience) -> None:
        """Tell the realms of the audience. If that can't be stored, it is tried again later."""
        try:
            notices = await self._notices(mark, audience)
            staged = await self._database.run(self._stage, mark, notices, True)
        except StorageFailed:
            if not self._stopped:
                self._retrying.start(TRY_AGAIN)
            raise
        self._forwarder.send_notices(staged)

    def _stage(
        self, connection: Connection, mark: SharedMark, notices: Sequence[Notice], to_all: bool
    ) -> Sequence[StagedNotice]:
        """`to_all`: these are all realms that are told of the mark."""
        if shared_marks.has_moved_on(connection, mark):
            return ()
        if to_all:
            untold_marks.forget(connection, mark.conversation, mark.key, mark.seq)
        return self._forwarder.stage(connection, notices)

    async def _notices(self, mark: SharedMark, audience: Audience) -> Sequence[Notice]:
        now = self._context.now()
        if audience.peer is None:
            home = audience.home or self._context.realm_key
            news = GroupRead(mark.address, home, audience.group_id, mark.seq)
            return [Notice(realm, now, news) for realm in audience.realms]
        [realm] = audience.realms
        received = mark_store.last_received
        number = await self._database.read(received, mark.conversation, mark.seq, realm)
        if number is None:
            return ()
        user = parse_address(audience.peer).name
        return [Notice(realm, now, DirectRead(mark.address, user, number))]


def _reader_of(mark: SharedMark) -> Reader:
    return Reader(mark.key, mark.address, mark.account_id)
