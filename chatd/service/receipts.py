"""Receipts: telling others how far a person has read, here and in other realms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

import msgspec

from chatd.base.entries import EntryRef
from chatd.base.model import Account
from chatd.base.names import key_of, parse_address
from chatd.service.context import Context
from chatd.service.presence import IListener, Presence
from chatd.service.read_events import Reader, ReadEvents
from chatd.service.realm_news import DirectRead, GroupRead, ReadNews
from chatd.service.remote import IForwarder
from chatd.service.remote_news import RemoteNews
from chatd.store import marks as mark_store
from chatd.store import receipts as store
from chatd.store import shared_marks
from chatd.store.crossing import seq_of
from chatd.store.receipts import Audience


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
        self._events = ReadEvents(context.clock, presence, self._audiences, self._tell_realms)

    def stop(self) -> None:
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
                group = await self._news.group(realm, person, home, group_id)
                if group is None:
                    return
                reader, place = group
            case _:
                assert_never(news)
        move = mark_store.move_remote_mark
        if seq and await self._database.run(move, self._versions, place, reader, seq):
            who = Reader(reader.key, str(reader), realm=realm)
            self._events.moved(who, {place: seq})

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
                other = (
                    None if mark.account_id is not None else key_of(mark.address).partition("@")[2]
                )
                reader = Reader(mark.key, mark.address, mark.account_id, other)
                for audience in await self._audiences(reader, (place,)):
                    if realm in audience.realms:
                        again = msgspec.structs.replace(audience, realms=(realm,))
                        await self._tell_realms(reader, again, mark.seq)

    async def _audiences(self, reader: Reader, places: Sequence[int]) -> Iterable[Audience]:
        read, key = self._database.read, reader.key
        if reader.account_id is None:
            return await read(store.audiences_of_guest, reader.realm or "", key, places, True)
        return await read(store.audiences, reader.account_id, key, places, True)

    async def _tell_realms(self, reader: Reader, audience: Audience, seq: int) -> None:
        """Tell other realms that the reader has read a conversation up to `seq`."""
        if audience.peer is None:
            home = audience.home or self._context.realm_key
            for realm in audience.realms:
                news = GroupRead(reader.address, home, audience.group_id, seq)
                self._forwarder.tell_read(realm, news)
            return
        place = audience.conversation
        number = await self._database.read(mark_store.last_received, place, seq, audience.realms[0])
        if number is not None:
            user = parse_address(audience.peer).name
            direct = DirectRead(reader.address, user, number)
            self._forwarder.tell_read(audience.realms[0], direct)
