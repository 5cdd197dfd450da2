"""Tells listeners of entries that another node has stored, and could not tell this one any more.

A node that is killed may have stored entries a moment before, and has told nobody of them. When it is gone,
each other node compares the ends of the logs of those who listen there with what it has told them. What it
finds, it reads as each of them sees it, and tells it as usual. It does the same when it can't get news again
that were lost on the bus.

Of a log of which nothing was told here yet, only recent entries count. The times of entries of other realms
are those of their authors, so these may be older.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import TypeVar

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from chatd.base.errors import StorageFailed
from chatd.base.events import Change
from chatd.base.model import Message
from chatd.service.blocks import Blocks
from chatd.service.context import Context
from chatd.service.group_pushes import GroupPushes
from chatd.service.paced_read import REST, PacedRead
from chatd.service.presence import LogPlace, Presence
from chatd.service.repeated_news import KEPT_FOR
from chatd.service.told_entries import ToldEntries
from chatd.store.recent_entries import (
    NewestEntry,
    SeenEntries,
    logs_of,
    newest_of,
    seen_entries,
    tail_of,
)

MARGIN = KEPT_FOR  # seconds by which the clocks of nodes may differ, and that a commit may take
ON_ITS_WAY = 3600.0  # seconds that an entry of another realm may take
LONGEST = 600.0  # seconds; what a node has stored earlier is not looked for
SETTLES = 1.0  # seconds in which news may still arrive of what was found
ACCOUNTS_AT_ONCE = 200
LOGS_AT_ONCE = 500
SEEN_AT_ONCE = 50  # accounts for which entries are read
MAX_TAIL = 100  # entries of a log; clients read what is missing before them
MAX_LOGS = (
    10_000  # with entries that were not told; clients find those of others with the next entry
)

T = TypeVar("T")

log = Logger()


class UntoldLog(msgspec.Struct):
    """The entries of a log that were not told, and the accounts here that listen to it."""

    seqs: list[int]
    accounts: list[int] = []


class UntoldEntries:
    """Finds entries of which nobody tells this node, and tells the listeners here of them. `told` is what
    they know."""

    def __init__(
        self,
        context: Context,
        presence: Presence,
        blocks: Blocks,
        pushes: GroupPushes,
        told: ToldEntries,
    ) -> None:
        self._context = context
        self._clock = context.clock
        self._database = context.database
        self._presence = presence
        self._blocks = blocks
        self._pushes = pushes
        self._told = told
        self._since: float | None = None
        self._pausing: Deferred[None] | None = None
        self._work = PacedRead(
            context.news, context.clock, "listeners do not hear of all entries", self._run
        )
        context.news.on_end(self._end)

    def look(self, since: float) -> None:
        """Some entries that were stored since then, by the clock, may not be told."""
        self._since = since if self._since is None else min(self._since, since)
        self._work.wake()

    async def _run(self) -> None:
        since, self._since = self._since, None
        if since is None:
            return
        age = min(self._clock.seconds() - since, LONGEST) + MARGIN
        try:
            found = await self._find(int((self._context.wall() - age) * 1000))
            if found:
                await self._pause(SETTLES)
            for conversation, untold in found.items():
                await self._tell_log(conversation, untold)
        except CancelledError:
            pass  # the node ends
        except StorageFailed:
            self._since = since if self._since is None else min(self._since, since)
            raise

    # What was not told

    async def _find(self, oldest: int) -> dict[int, UntoldLog]:
        """The logs of those who listen here that have untold entries. `oldest` is the time in ms since 1970
        from which on entries are recent. Raises StorageFailed."""
        found: dict[int, UntoldLog] = {}
        looked_at: set[int] = set()
        for accounts in _pages(self._presence.listening(), ACCOUNTS_AT_ONCE):
            began = self._clock.seconds()
            pairs = await self._database.read(logs_of, accounts)
            logs = {conversation for conversation, _ in pairs} - looked_at
            looked_at |= logs
            for some in _pages(sorted(logs), LOGS_AT_ONCE):
                await self._find_in(some, oldest, found)
            for conversation, account in pairs:
                if conversation in found:
                    found[conversation].accounts.append(account)
            await self._pause(REST * (self._clock.seconds() - began))
        return found

    async def _find_in(self, logs: Sequence[int], oldest: int, found: dict[int, UntoldLog]) -> None:
        """Add those of these logs that have untold entries. Raises StorageFailed."""
        suspected = dict.fromkeys(
            entry.conversation
            for entry in await self._database.read(newest_of, logs)
            if self._is_suspect(entry, oldest)
        )
        for conversation in suspected:
            if len(found) >= MAX_LOGS:
                log.warn("a node has gone, and too many logs have entries that it has not told")
                return
            after = max(self._told.first_untold(conversation) - 1, 0)
            tail = await self._database.read(tail_of, conversation, after, MAX_TAIL)
            seqs = sorted(entry.seq for entry in tail if self._is_untold(entry, oldest))
            if seqs:
                found[conversation] = UntoldLog(seqs[-MAX_TAIL:])

    def _is_suspect(self, newest: NewestEntry, oldest: int) -> bool:
        """Whether an entry may not be told, or one shortly before it."""
        told, conversation = self._told, newest.conversation
        if self._is_untold(newest, oldest):
            return True
        has_skipped = told.first_untold(conversation) <= told.upto(conversation)
        return has_skipped and newest.at >= oldest

    def _is_untold(self, entry: NewestEntry, oldest: int) -> bool:
        upto = self._told.upto(entry.conversation)
        if 0 < upto < entry.seq:
            return True
        if not upto and not entry.is_ours:
            oldest -= int(ON_ITS_WAY * 1000)
        return entry.at >= oldest and not self._told.is_told(entry.conversation, entry.seq)

    # Telling it

    async def _tell_log(self, conversation: int, untold: UntoldLog) -> None:
        """Tell the listeners of a log of its untold entries. Raises StorageFailed and CancelledError."""
        seqs = [each for each in untold.seqs if not self._told.is_told(conversation, each)]
        if not seqs:
            return  # the news have arrived
        try:
            for accounts in _pages(untold.accounts, SEEN_AT_ONCE):
                began = self._clock.seconds()
                count = min(seqs[-1] - seqs[0] + 1, 2 * MAX_TAIL)
                seen = await self._database.read(
                    seen_entries, conversation, accounts, seqs[0] - 1, count
                )
                self._push(conversation, seen, seqs)
                await self._pause(REST * (self._clock.seconds() - began))
        except (StorageFailed, CancelledError):
            raise
        except Exception:
            log.failure("the untold entries of a log are not told")
        for seq in seqs:
            self._told.note_read(conversation, seq)

    def _push(self, conversation: int, seen: SeenEntries, seqs: Sequence[int]) -> None:
        """Push entries to those who have seen them in the database, unless the group has changed since."""
        wanted = frozenset(seqs)
        entries = {
            account.id: self._blocks.marked(account, some)
            for account, all_seen in seen.by_account
            if (some := [entry for entry in all_seen if entry.seq in wanted])
        }
        if seen.epoch is None:
            self._hear(entries, None, None)
        elif entries:
            place = LogPlace(conversation, seen.epoch, seqs[-1])
            self._pushes.pass_on(place, partial(self._hear, entries), by_roster=False)

    def _hear(
        self,
        entries: dict[int, list[Message | Change]],
        viewers: Collection[int] | None,
        _place: LogPlace | None,
    ) -> None:
        for account, some in entries.items():
            if viewers is None or account in viewers:
                for entry in some:
                    self._presence.hear((account,), entry, not isinstance(entry, Message))

    async def _pause(self, seconds: float) -> None:
        """Let other queries have their turn. Raises CancelledError when the node ends."""
        if self._context.news.stopped:
            raise CancelledError
        self._pausing = deferLater(self._clock, seconds, lambda: None)
        await self._pausing
        self._pausing = None

    def _end(self) -> None:
        if self._pausing is not None:
            self._pausing.cancel()


def _pages(items: Sequence[T], size: int) -> list[Sequence[T]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
