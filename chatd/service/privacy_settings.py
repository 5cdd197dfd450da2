"""What accounts choose to show and to allow: receipts, presence, and invitations to groups."""

from __future__ import annotations

from chatd.base.model import Account, Privacy, PrivacyKey
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

    async def of(self, account: Account) -> Privacy:
        """What the account has chosen."""
        return await self._database.read(store.privacy_of, account.id)

    async def choose(self, account: Account, key: PrivacyKey, on: bool) -> None:
        """Change a choice."""
        if key == "receipts":
            await self._receipts.switch(account, on)
            return
        await self._database.run(store.choose, account.id, key, on)
        if key == "presence" and on:
            self._presence.unhide(account.id)
        elif key == "presence":
            self._presence.hide((account.id,))
