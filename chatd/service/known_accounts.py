"""Finds accounts, and keeps them in memory as they are after their last change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

from chatd.base import errors
from chatd.base.cache import Cache
from chatd.base.model import Account
from chatd.base.names import key_of
from chatd.service.context import Context
from chatd.store import accounts as store

CACHED_ACCOUNTS = 50_000
READ_AT_ONCE = 500  # accounts


class KnownAccounts:
    """The realm's accounts, of which the last used ones are in memory."""

    def __init__(self, context: Context) -> None:
        self._database = context.database
        self._by_key: Cache[str, Account] = Cache(CACHED_ACCOUNTS)
        # account id -> the account after a change. A read from before the change may finish later.
        self._renewed: Cache[int, Account] = Cache(CACHED_ACCOUNTS)
        self.version = 0  # grows when another node has changed an account
        self._changed_elsewhere: Callable[[int | None], object] = lambda _account: None
        # Ids and keys
        self._tell = context.news.topic("accounts", tuple[int, str], self._told, self._reset)

    def on_changed_elsewhere(self, then: Callable[[int | None], object]) -> None:
        """Call `then` with the id of each account that another node has changed. None: it may be any."""
        self._changed_elsewhere = then

    def _told(self, account: tuple[int, str]) -> None:
        account_id, key = account
        self.version += 1
        self._by_key.pop(key)
        self._renewed.pop(account_id)
        self._changed_elsewhere(account_id)

    def _reset(self) -> None:
        self.version += 1
        self._by_key.clear()
        self._renewed.clear()
        self._changed_elsewhere(None)

    def remember(self, account: Account, version: int) -> Account:
        """Cache an account that was read from the database when `version` was this. Returns its current
        state."""
        account = self.current(account)
        if version == self.version:
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
            version = self.version
            account = await self._database.read(store.find_account, key)
            if account is None:
                raise errors.UnknownUser(name=name)
            account = self.remember(account, version)
        return account

    async def find_many(self, names: Iterable[str]) -> dict[str, Account]:
        """The accounts among these names that exist, by their keys."""
        keys = dict.fromkeys(map(key_of, names))
        found = {key: each for key in keys if (each := self._by_key.get(key)) is not None}
        unread = [key for key in keys if key not in found]
        for start in range(0, len(unread), READ_AT_ONCE):
            page = unread[start : start + READ_AT_ONCE]
            version = self.version
            for each in await self._database.read(store.find_accounts, page):
                account = self.remember(each, version)
                found[account.key] = account
        return found

    async def display_name(self, address: str) -> str:
        """Return the display name of an address, or the address itself if it is not known here."""
        account = self._by_key.get(key_of(address))
        if account is None and "@" not in address:
            with suppress(errors.UnknownUser):
                account = await self.find(address)
        return address if account is None else account.display_name

    async def change(
        self, run: Callable[..., Awaitable[Account]], job: Callable[..., Account], *args: Any
    ) -> Account:
        """Run a job that changes an account with `run`, and cache the account that it returns. Older reads
        that finish later do not replace it. The other nodes are told."""
        version = self.version
        changed = await run(job, *args)
        self._changed_here(changed, version)
        return changed

    def _changed_here(self, changed: Account, version: int) -> None:
        if version == self.version:
            self._renewed[changed.id] = changed
            self._by_key[changed.key] = changed
        else:  # another node may have changed it later
            self._renewed.pop(changed.id)
            self._by_key.pop(changed.key)
        self._tell((changed.id, changed.key))

    def forget(self, account: Account, left: Account, version: int) -> None:
        """Forget an account that was deleted; `left` is what is left of it. `version` is from before that."""
        self._by_key.pop(account.key)
        self._changed_here(left, version)
        self._tell((account.id, account.key))
