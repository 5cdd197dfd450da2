"""The list of an account's conversations, with unread counts and who is online."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from chatd.base.model import Account, ConversationInfo
from chatd.base.read_marks import ReadMark
from chatd.service.presence import Presence
from chatd.service.reading import MAX_PAGE, Reading
from chatd.service.remote import IForwarder, ISettled
from chatd.store import overview as store
from chatd.store.database import Database


class Conversations:
    """The conversations of each account."""

    def __init__(
        self, database: Database, presence: Presence, reading: Reading, forwarder: IForwarder
    ) -> None:
        self._database = database
        self._forwarder = forwarder
        self._presence = presence
        self._reading = reading

    async def all(
        self, account: Account, given: Mapping[int, ReadMark]
    ) -> tuple[tuple[ConversationInfo, ...], int]:
        """The first conversations, those with the newest messages first, and how many more there are. Moves
        no read mark.

        `given` is as for Reading.inbox. People of other realms have no online state here: the list is fetched
        often and must not wait for other realms.
        """
        marks = self._reading.marks(account, given)
        with self._forwarder.watch() as settled:
            found, more = await self._database.read(store.overview, account, marks, MAX_PAGE)
        return tuple(self._shown(each, peer, settled) for each, peer in found), more

    def _shown(
        self, info: ConversationInfo, peer: int | None, settled: ISettled
    ) -> ConversationInfo:
        """The conversation, with the state of its last message and whether the account `peer` is online."""
        last = info.last
        if last is not None and last.waits is not None:
            info = msgspec.structs.replace(info, last=settled.fresh(last))
        if peer is None:
            return info
        return msgspec.structs.replace(info, online=self._presence.is_online(peer))
