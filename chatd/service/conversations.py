"""The list of one's conversations: what is open, what is new in it, and who is there."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from chatd.base.model import Account, ConversationInfo
from chatd.service.presence import Presence
from chatd.service.reading import MAX_PAGE, Reading
from chatd.store import overview as store
from chatd.store.database import Database


class Conversations:
    def __init__(self, database: Database, presence: Presence, reading: Reading) -> None:
        self._database = database
        self._presence = presence
        self._reading = reading

    async def all(
        self, account: Account, given: Mapping[int, int]
    ) -> tuple[tuple[ConversationInfo, ...], int]:
        """The account's conversations, newest activity first: the first of them, and how many more. Moves
        no mark.

        `given` is as for Reading.inbox. Who is of another realm is not asked for: the list is wanted
        often, and should not wait for anybody.
        """
        marks = self._reading.marks(account, given)
        found, more = await self._database.read(store.overview, account, marks, MAX_PAGE)
        is_online = self._presence.is_online
        return tuple(
            each if peer is None else msgspec.structs.replace(each, online=is_online(peer))
            for each, peer in found
        ), more
