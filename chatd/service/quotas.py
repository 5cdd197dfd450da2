"""Daily limits (UTC) on the bytes of messages that an account, or another realm, may have stored.

The use is kept in memory and added to the database once a second, for all owners in one transaction. So a
restart does not reset it, and storing a message does not cost another row. A crash loses the last second.

Several nodes of a realm add to the same rows, and each learns the sum when it has added. So an owner who uses
several nodes exceeds the limit by the use of a second at most.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatd.base.entries import Edit, MessageChange
from chatd.base.errors import ChatError, MessageQuota, RealmQuota
from chatd.base.timers import cancel
from chatd.files.disk_space import DiskSpace
from chatd.store import usage as store
from chatd.store.database import Database
from chatd.store.new_entries import NewMessage
from chatd.store.usage import Owner

DAY = 24 * 3600 * 1000  # ms
SAVE_AFTER = 1.0  # seconds
# The least that a message counts: an empty one takes that much disk space with its indexes.
LEAST = 100
# All realms of one network source that were not added share the limit of this many realms.
REALMS_OF_SOURCE = 4

T = TypeVar("T")

log = Logger()


def cost_of(new: NewMessage) -> int:
    """The bytes that a message counts: its text, opaque body or mentions, whichever is most, once for this
    realm and once for each other realm that gets a copy."""
    size = LEAST if new.text is None else cost(new.text)
    if new.extras is not None:
        size = max(size, len(new.extras.body or b""), cost(new.extras.mentions or ""))
    return size if new.copies is None else size * (1 + len(new.copies.realms))


def cost_of_change(change: MessageChange) -> int:
    """The bytes that a change of a message counts."""
    if not isinstance(change, Edit):
        return LEAST
    return max(cost(change.text), cost("".join(change.mentions)))


def cost_of_text(text: str | None) -> int:
    """The bytes that a message to one person counts; None stands for a file."""
    return LEAST if text is None else cost(text)


def cost(text: str) -> int:
    """The bytes that a text counts."""
    size = len(text) if text.isascii() else len(text.encode())
    return size if size > LEAST else LEAST


class Charge:
    """Bytes that were charged."""

    def __init__(self, quotas: MessageQuotas, owner: Owner, size: int) -> None:
        self._quotas = quotas
        self._owner = owner
        self._size = size

    def undo(self) -> None:
        """Cancel the charge, because nothing was stored."""
        self._quotas.give_back(self._owner, self._size)


class MessageQuotas:
    """An owner is an account by its id, or another realm by its key. Limits are bytes a day; 0 means
    unlimited. `shared`: other nodes of the realm use the same database."""

    def __init__(
        self,
        clock: IReactorTime,
        database: Database,
        disk: DiskSpace,
        account_limit: int,
        realm_limit: int,
        shared: bool = False,
    ) -> None:
        self._clock = clock
        self._database = database
        self._disk = disk
        self._account_limit = account_limit
        self._realm_limit = realm_limit
        self._day = self._begin = self._end = 0  # begin and end of the day in ms
        self._shared = shared
        # What is known to be used: what is stored, and what was used here since
        self._used: dict[Owner, int] = {}
        self._unsaved: dict[Owner, int] = {}
        # What is being stored at the moment, in order. The database may be slow.
        self._saving: deque[dict[Owner, int]] = deque()
        self._timer: IDelayedCall | None = None
        self._stopped = False

    def set_limits(self, account_limit: int, realm_limit: int) -> None:
        """Use other limits from now on, also for what was charged today."""
        self._account_limit = account_limit
        self._realm_limit = realm_limit

    def load(self, day: int, used: Iterable[tuple[Owner, int]]) -> None:
        """Continue with the stored use of a day (in days since 1970 UTC)."""
        self._day, self._begin, self._end = day, day * DAY, (day + 1) * DAY
        self._used = dict(used)

    def charge_account(self, account_id: int, size: int, now: int) -> None:
        """Count `size` bytes for an account; `now` is in ms since 1970 UTC.

        Raises DiskFull, MessageQuota; then nothing is counted. Called for each message.
        """
        if self._disk.low:
            self._disk.check()
        if self._account_limit:
            self._charge(account_id, size, now, self._account_limit)

    def charge(self, owner: str, size: int, now: int) -> None:
        """As `charge_account`, for another realm by its key, or for several together. Raises RealmQuota."""
        if self._realm_limit:
            self._charge(owner, size, now, self._limit_of(owner))

    def _charge(self, owner: Owner, size: int, now: int, limit: int) -> None:
        if not self._begin <= now < self._end:
            self._turn_day(now)
        used = self._used.get(owner, 0) + size
        if used > limit:
            raise self._used_up(owner, now)
        self._used[owner] = used
        self._count(owner, size)

    def _count(self, owner: Owner, size: int) -> None:
        self._unsaved[owner] = self._unsaved.get(owner, 0) + size
        if self._timer is None and not self._stopped:
            self._timer = self._clock.callLater(SAVE_AFTER, self.save)

    def _limit_of(self, owner: str) -> int:
        # A realm's name has no space.
        return self._realm_limit * (REALMS_OF_SOURCE if " " in owner else 1)

    def _used_up(self, owner: Owner, now: int) -> ChatError:
        if self._shared:
            self._count(owner, 0)  # another node may have cancelled a charge since
        minutes = max(1, -(-(self._end - now) // 60_000))
        if type(owner) is int:
            return MessageQuota(limit=self._account_limit, minutes=minutes)
        return RealmQuota(limit=self._realm_limit, minutes=minutes)

    def check(self, owners: Sequence[str], size: int, now: int) -> None:
        """As `charge_all`, but counts nothing."""
        if not self._begin <= now < self._end:
            self._turn_day(now)
        for owner in owners:
            limit = self._limit_of(owner)
            if limit and self._used.get(owner, 0) + size > limit:
                raise self._used_up(owner, now)

    def check_half(self, owners: Sequence[str], now: int) -> None:
        """Raises RealmQuota if one of these has used half of its limit."""
        for owner in owners:
            self.check((owner,), self._limit_of(owner) // 2, now)

    def charge_all(self, owners: Sequence[str], size: int, now: int) -> None:
        """Count `size` bytes for each of these. Raises RealmQuota; then nothing is counted."""
        if len(owners) > 1:
            self.check(owners, size, now)
        for owner in owners:
            self.charge(owner, size, now)

    def _turn_day(self, now: int) -> None:
        # After a small step back of the wall clock the day continues. If the clock was far ahead, its day
        # will not come soon: start over.
        day = now // DAY
        if self._day - day not in (0, 1):
            self.load(day, ())
            self._unsaved.clear()

    @contextmanager
    def charged(self, account_id: int, size: int, now: int) -> Iterator[Charge]:
        """A context that charges as `charge_account`. An exception, or `Charge.undo`, cancels the charge."""
        self.charge_account(account_id, size, now)
        charge = Charge(self, account_id, size)
        try:
            yield charge
        except Exception:
            charge.undo()
            raise

    def give_back(self, owner: Owner, size: int) -> None:
        """Cancel a charge, because nothing was stored."""
        used = self._used.get(owner)
        if used is not None:
            size = min(size, used)
            self._used[owner] = used - size
            self._count(owner, -size)

    def stop(self) -> Deferred[None]:
        """Store the use for the last time. What unfinished requests charge later is forgotten with the
        process."""
        self._stopped = True
        return self.save()

    def save(self) -> Deferred[None]:
        """Store the use. Fires when that is done, and never fails."""
        timer, self._timer = self._timer, None
        cancel(timer)
        unsaved, self._unsaved = self._unsaved, {}
        if not unsaved:
            return succeed(None)
        day, rows = self._day, [*unsaved.items()]
        if not self._shared:
            return self._database.run(store.save, day, rows).addErrback(
                self._not_saved, day, unsaved
            )
        self._saving.append(unsaved)
        saved = self._database.run(store.save_and_read, day, rows).addBoth(self._ended)
        return saved.addCallbacks(
            self._take, self._not_saved, callbackArgs=(day,), errbackArgs=(day, unsaved)
        )

    def _ended(self, result: T) -> T:
        """The first one that is being stored has ended."""
        self._saving.popleft()
        return result

    def _take(self, stored: Iterable[tuple[Owner, int]], day: int) -> None:
        """Use the sums of all nodes."""
        if day == self._day:
            for owner, used in stored:
                later = sum(each.get(owner, 0) for each in (*self._saving, self._unsaved))
                self._used[owner] = used + later

    def _not_saved(self, failure: Failure, day: int, unsaved: dict[Owner, int]) -> None:
        """Keep the changes, to be stored with the next ones. The disk may be full."""
        log.warn("today's use of message quotas was not stored: {error}", error=str(failure.value))
        if day == self._day:
            for owner, size in unsaved.items():
                self._unsaved[owner] = self._unsaved.get(owner, 0) + size
