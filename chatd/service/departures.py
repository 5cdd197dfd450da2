"""Deleting accounts.

The account is gone at once: its sessions end, and its name can't be used or taken any more. Then its messages
are deleted if the account asked for that, and it leaves its groups by the same rules as other members. This
runs in the background, and continues when the disk has room again, and after a restart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from twisted.logger import Logger

from chatd.base.background import EXPECTED, in_background
from chatd.base.errors import ChatError, StorageFailed
from chatd.base.model import Account
from chatd.base.names import parse_address
from chatd.base.timers import Timer
from chatd.service.accounts import Accounts
from chatd.service.audit import Act
from chatd.service.context import Context
from chatd.service.groups import Groups
from chatd.service.message_changes import MessageChanges
from chatd.service.node_work import WorkKind
from chatd.store import departures as store
from chatd.store.departures import Departure

PAGE = 100  # messages that are looked up at a time
KIND = "deletions"
UNFINISHED = "a deleted account has not left all of its groups; the next start tries again"
RETRY = 600.0  # seconds after which departures continue that the disk or the database has stopped

log = Logger()


class Steps:
    """The steps of a departure. One that fails does not stop the others."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._refused: Counter[str] = Counter()  # by code
        self.has_failed = False  # unexpectedly

    async def take(self, step: Coroutine[Any, Any, object]) -> None:
        """Raises EXPECTED."""
        try:
            await step
        except EXPECTED:
            raise
        except ChatError as error:
            self._refused[error.code] += 1
        except Exception:
            if not self.has_failed:  # the others probably fail for the same reason
                log.failure("a step of a departure failed; the next start tries again")
            self.has_failed = True

    def report(self) -> None:
        """Log which steps were refused."""
        for code, count in self._refused.items():
            log.info(
                "{account} was deleted, but {count} messages or memberships are left: {why}",
                account=self._account.name,
                count=count,
                why=code,
            )


class Departures:
    """Deletes accounts."""

    def __init__(
        self, context: Context, accounts: Accounts, changes: MessageChanges, groups: Groups
    ) -> None:
        self._context = context
        self._database = context.database
        self._versions = context.writers.versions
        self._accounts = accounts
        self._changes = changes
        self._groups = groups
        self._stopped = False
        self._running: set[tuple[int, bool]] = set()  # accounts, and whether they are erased
        self._interrupted: list[Departure] = []
        self._timer = Timer(context.clock, self._continue)
        self._first: list[Callable[[Account], Coroutine[Any, Any, object]]] = []
        self._failed: set[tuple[int, bool]] = set()  # tasks that the next start tries again
        self._again = False  # what was asked for was under way
        self._work = context.work
        kind = WorkKind(
            self._look, lambda _id: in_background(UNFINISHED, self._look()), lambda: None
        )
        self._work.add(KIND, kind)

    def on_departure(self, then: Callable[[Account], Coroutine[Any, Any, object]]) -> None:
        """Run `then` first for each account that was deleted. It may run again after a restart."""
        self._first.append(then)

    def stop(self) -> None:
        """Leave the rest to the next start."""
        self._stopped = True
        self._timer.cancel()

    @property
    def _is_over(self) -> bool:
        """Whether the rest is left to the next start, or to another node."""
        return self._stopped or not self._work.is_here

    async def _look(self) -> None:
        unfinished: list[Departure] = await self._database.read(store.unfinished)
        failed = self._failed
        self.resume(each for each in unfinished if (each.account.id, each.erase) not in failed)

    def resume(self, unfinished: Iterable[Departure]) -> None:
        """Continue with accounts that were deleted before a restart, or at another node."""
        for departure in unfinished:
            self._begin(departure)

    async def delete(self, account: Account, password: str, erase: bool, source: str) -> None:
        """Delete an account, and with `erase` its messages. The caller ends its sessions. Raises
        WrongPassword, TooManyAttempts, Busy, UnknownUser, LastOperator."""
        await self._accounts.check_own_password(account, password, source)
        now = self._context.now()
        version = self._accounts.version
        left = await self._database.run(store.depart, self._versions, account, erase, now)
        self._deleted(account, left, erase, version)

    async def remove(self, act: Act, account: Account, erase: bool) -> None:
        """As `delete`, for an operator. Raises UnknownUser, and as `Act.run`."""
        now = self._context.now()
        version = self._accounts.version
        left = await act.run(store.remove, self._versions, account, erase, now)
        self._deleted(account, left, erase, version)

    async def erase(self, act: Act, name: str) -> Account:
        """Delete the messages of an account that was deleted before. Returns the account. Raises
        UnknownUser."""
        departure = await act.run(store.erase_deleted, name, self._context.now())
        self._begin(departure)
        return departure.account

    def _deleted(self, account: Account, left: Account, erase: bool, version: int) -> None:
        self._accounts.deleted(account, left, version)
        log.info("the account {account} was deleted", account=account.name)
        self._begin(Departure(account, erase))

    def _begin(self, departure: Departure) -> None:
        """Do what is to be done for a deleted account, unless that is under way."""
        task = departure.account.id, departure.erase
        if not self._work.claim(KIND, departure.account.id):
            return
        if task in self._running:
            self._again = True
            return
        self._running.add(task)
        done = in_background(UNFINISHED, self._run(departure))
        done.addBoth(lambda _result: self._ended(task))

    def _ended(self, task: tuple[int, bool]) -> None:
        self._running.discard(task)
        if self._again and not self._is_over:  # perhaps another node had taken over in between
            self._again = False
            in_background(UNFINISHED, self._look())

    def _continue(self) -> None:
        interrupted, self._interrupted = self._interrupted, []
        self.resume(interrupted)

    async def _run(self, departure: Departure) -> None:
        try:
            await self._finish(departure)
        except StorageFailed:
            if not self._stopped:
                self._interrupted.append(departure)
                self._timer.start(RETRY)

    async def _finish(self, departure: Departure) -> None:
        account = departure.account
        steps = Steps(account)
        for then in self._first:
            await steps.take(then(account))
        if departure.erase and not await self._erase(account, steps):
            return
        for name in await self._database.read(store.groups_of, account.id):
            if self._is_over:
                return
            await steps.take(self._groups.leave(account, parse_address(name), None))
        steps.report()
        if steps.has_failed:
            self._failed.add((account.id, departure.erase))
        elif not self._is_over:
            await self._database.run(store.finish, account.id, departure.erase)

    async def _erase(self, account: Account, steps: Steps) -> bool:
        """Delete the messages of the account, oldest first. Returns whether it has come to the end."""
        after: int | None = 0
        while after is not None:
            page, after = await self._database.read(store.own_messages, account.id, after, PAGE)
            for conversation, seq in page:
                if self._is_over:
                    return False
                await steps.take(self._changes.erase(account, conversation, seq))
        return True
