"""Finds accounts, and keeps them in memory as they are after their last change."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from chatd.base import errors
from chatd.base.cache import Cache
from chatd.base.model import Account
from chatd.base.names import key_of
from chatd.store import accounts as store
from chatd.store.database import Database

CACHED_ACCOUNTS = 50_000
READ_AT_ONCE = 500  # accounts


class KnownAccounts:
    """The realm's accounts, of which the last used ones are in memory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._by_key: Cache[str, Account] = Cache(CACHED_ACCOUNTS)
        # account id -> the account after a change. A read from before the change may finish later.
        self._renewed: Cache[int, Account] = Cache(CACHED_ACCOUNTS)

    def remember(self, account: Account) -> Account:
        """Cache an account that was read from the database. Returns its current state."""
        account = self.current(account)
        self._by_key[account.key] = account
        return account

    def current(self, account: Account) -> Account:
        """Return the current state of an account, which may have changed since it was read."""
        return self._renewed.get(account.id) or account

    def cached(self, key: str) -> Account | None:
        """Return the account with that key if it is in memory."""
        return self._by_key.get(key)

    async def find(self, name: str) -> Account:
        """Return the account of that name. Raises UnknownUser."""
        key = key_of(name)
        account = self._by_key.get(key)
        if account is None:
            account = await self._database.read(store.find_account, key)
            if account is None:
                raise errors.UnknownUser(name=name)
            account = self.remember(account)
        return account

    async def find_many(self, names: Iterable[str]) -> dict[str, Account]:
        """The accounts among these names that exist, by their keys."""
        keys = dict.fromkeys(map(key_of, names))
        found = {key: each for key in keys if (each := self._by_key.get(key)) is not None}
        unread = [key for key in keys if key not in found]
        for start in range(0, len(unread), READ_AT_ONCE):
            page = unread[start : start + READ_AT_ONCE]
            for each in await self._database.read(store.find_accounts, page):
                account = self.remember(each)
                found[account.key] = account
        return found

    async def display_name(self, address: str) -> str:
        """Return the display name of an address, or the address itself if it is not known here."""
        account = self._by_key.get(key_of(address))
        if account is None and "@" not in address:
            with suppress(errors.UnknownUser):
                account = await self.find(address)
        return address if account is None else account.display_name

    def renew(self, changed: Account) -> Account:
        """Cache a changed account. Older reads that finish later do not replace it."""
        self._renewed[changed.id] = changed
        return self.remember(changed)

    def forget(self, account: Account, left: Account) -> None:
        """Forget an account that was deleted; `left` is what is left of it."""
        self._by_key.pop(account.key)
        self.renew(left)
