"""Deleting accounts.

The account is gone at once: its sessions end, and its name can't be used or taken any more. Then its messages
are deleted if the account asked for that, and it leaves its groups by the same rules as other members. This
runs in the background, and continues after a restart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from twisted.logger import Logger

from chatd.base.background import in_background
from chatd.base.errors import ChatError, ShuttingDown, StorageFailed
from chatd.base.model import Account
from chatd.base.names import parse_address
from chatd.service.accounts import Accounts
from chatd.service.context import Context
from chatd.service.groups import Groups
from chatd.service.message_changes import MessageChanges
from chatd.store import departures as store
from chatd.store.departures import Departure

PAGE = 100  # messages that are looked up at a time

log = Logger()


class Departures:
    """Deletes accounts."""

    def __init__(
        self, context: Context, accounts: Accounts, changes: MessageChanges, groups: Groups
    ) -> None:
        self._context = context
        self._database = context.database
        self._accounts = accounts
        self._changes = changes
        self._groups = groups
        self._stopped = False

    def stop(self) -> None:
        """Leave the rest to the next start."""
        self._stopped = True

    def resume(self, unfinished: Iterable[Departure]) -> None:
        """Continue with accounts that were deleted before a restart."""
        for departure in unfinished:
            self._begin(departure)

    async def delete(self, account: Account, password: str, erase: bool, source: str) -> None:
        """Delete an account, and with `erase` its messages. The caller ends its sessions. Raises
        WrongPassword, TooManyAttempts, Busy, UnknownUser, LastOperator."""
        await self._accounts.check_own_password(account, password, source)
        now = self._context.now()
        left = await self._database.run(store.depart, account, erase, now)
        self._accounts.deleted(account, left)
        log.info("the account {account} was deleted", account=account.name)
        self._begin(Departure(account, erase))

    def _begin(self, departure: Departure) -> None:
        what = "a deleted account has not left all of its groups; the next start tries again"
        in_background(what, self._finish(departure))

    async def _finish(self, departure: Departure) -> None:
        account = departure.account
        if departure.erase:
            await self._erase(account)
        for name in await self._database.read(store.groups_of, account.id):
            if self._stopped:
                return
            await self._leave(account, name)
        if not self._stopped:
            await self._database.run(store.finish, account.id)

    async def _leave(self, account: Account, name: str) -> None:
        try:
            await self._groups.leave(account, parse_address(name), None)
        except (StorageFailed, ShuttingDown):
            raise
        except ChatError as error:
            log.info(
                "{account} has not left {group}: {why}", account=account.name, group=name, why=error
            )

    async def _erase(self, account: Account) -> None:
        """Delete the messages of the account, oldest first."""
        after: int | None = 0
        refusals: Counter[str] = Counter()  # by code
        while after is not None:
            page, after = await self._database.read(store.own_messages, account.id, after, PAGE)
            for conversation, seq in page:
                if self._stopped:
                    return
                try:
                    await self._changes.erase(account, conversation, seq)
                except (StorageFailed, ShuttingDown):
                    raise
                except ChatError as error:
                    refusals[error.code] += 1
        for code, count in refusals.items():
            log.info(
                "messages of {account} were not erased: {count}, {why}",
                account=account.name,
                count=count,
                why=code,
            )
