"""What accounts choose to show and to allow: receipts, presence, and invitations to groups."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from chatd.base.model import Account, Privacy, PrivacyKey
from chatd.service.node_news import NodeNews
from chatd.service.paced_read import PacedRead
from chatd.service.presence import Presence
from chatd.service.receipts import Receipts
from chatd.store import privacy as store
from chatd.store.database import Database


class PrivacySettings:
    """The choices of each account."""

    def __init__(self, database: Database, presence: Presence, receipts: Receipts) -> None:
        self._database = database
        self._presence = presence
        self._receipts = receipts
        self._changes = 0  # choices of what others see, to notice one during a read
        self._tell_hidden: Callable[[tuple[int, bool]], object] = lambda _told: None

    def share(self, news: NodeNews, clock: IReactorTime) -> None:
        """Tell the other nodes who does not show whether they are online."""
        unread = "it was not read who shows when they are online"
        reading = PacedRead(news, clock, unread, self._read_hidden)
        self._tell_hidden = news.topic(
            "presence-hidden", tuple[int, bool], self._heard_hidden, reading.wake
        )

    def _heard_hidden(self, told: tuple[int, bool]) -> None:
        self._changes += 1
        self._presence.hear_hidden(*told)

    async def _read_hidden(self) -> None:
        while True:
            before = self._changes
            hidden = await self._database.read(store.all_hidden)
            if self._changes == before:  # else it may lack somebody's new choice
                self._presence.set_hidden(hidden)
                return

    async def of(self, account: Account) -> Privacy:
        """What the account has chosen."""
        return await self._database.read(store.privacy_of, account.id)

    async def choose(self, account: Account, key: PrivacyKey, on: bool) -> None:
        """Change a choice."""
        if key == "receipts":
            await self._receipts.switch(account, on)
            return
        await self._database.run(store.choose, account.id, key, on)
        if key != "presence":
            return
        self._changes += 1
        if on:
            self._presence.unhide(account.id)
        else:
            self._presence.hide((account.id,))
        self._tell_hidden((account.id, not on))
