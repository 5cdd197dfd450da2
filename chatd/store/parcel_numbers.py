"""The numbers of parcels. Of one realm's parcels, no two have the same."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from chatd.store.driver import fetch
from chatd.store.engine import placeholder
from chatd.store.settings import get_or_add_setting, put_setting
from chatd.store.starts import begin_start, newest_given

_TERM = "term"
_LAST = "last number"  # of any node
FIRST_TERM = 1_577_836_800_000  # 2020-01-01, in ms since 1970 UTC
TICKS = 1024  # in a second: the unit of terms
TERM_BITS = 22  # of a number: its place in the term
# If the clock is behind the last number, the next term is higher by a random number of ticks below this (17
# minutes). So a realm that is restored while its clock is behind takes no term twice.
SPREAD = 1 << 20


class ParcelNumbers:
    """Numbers parcels.

    Each start of the daemon takes a new term, and numbers begin with it: term * 2^22 + counter. So a number
    is never used again, not even after a restore of a backup, and the counter is not written for each parcel.
    The term is the time of the start in TICKS since 2020, or some more than that of the last number if the
    clock is behind. The counter may exceed its bits: it goes up more slowly than the time.
    """

    def __init__(self, now: Callable[[], int], random_bytes: Callable[[int], bytes]) -> None:
        """`now` returns the time in ms since 1970 UTC."""
        self._now = now
        self._random_bytes = random_bytes
        self._term: int | None = None
        self._stored = False
        self._since: int | None = None  # the first number before the term that may have been lost
        self._last = 0
        self._stored_last = 0  # as the other nodes find it

    def forget(self) -> None:
        """Note a rollback: the term may not be stored any more. Numbers that were taken stay unused."""
        self._stored = False
        self._stored_last = 0

    def renew(self, connection: Connection, reconnected: bool) -> None:
        """Note that other nodes may have given numbers, or begun a term: all nodes are in the newest one, and
        number upward together. A database that was `reconnected` may be an older copy of the last one, so the
        next number begins a term, as after a start."""
        mark = placeholder(connection)
        both = f"SELECT name, value FROM settings WHERE name IN ({mark}, {mark})"  # noqa: S608 - only marks
        found = dict(fetch(connection, both, (_TERM, _LAST)))
        term = int(found.get(_TERM, 0))
        if reconnected or (self._term is not None and term < self._term):
            self._term, self._stored = None, False
        if self._term is None:
            return
        if term > self._term:
            self._begin(term)
        self._stored, self._since = True, None
        self._stored_last = int(found.get(_LAST, 0))
        self._last = max(self._last, self._stored_last)

    def store_last(self, connection: Connection) -> None:
        """Let the other nodes know the last number, if it is new."""
        if self._stored and self._stored_last < self._last:
            put_setting(connection, _LAST, str(self._last))
            self._stored_last = self._last

    @property
    def stored_term(self) -> int | None:
        """The term, if it is stored already. May be read in any thread."""
        return self._term if self._stored else None

    def term(self, connection: Connection) -> int:
        """Return the term of this start, which is stored at its first use."""
        if self._term is None or not self._stored:
            if self._term is None:
                self._begin(self._new_term(connection))
            assert self._term is not None  # noqa: S101 - it has begun
            begin_start(connection, self._term << TERM_BITS, self._since)
            put_setting(connection, _TERM, str(self._term))
            self._stored = True
        return self._term

    def _new_term(self, connection: Connection) -> int:
        stored = int(get_or_add_setting(connection, _TERM, "0"))
        known = max(stored, newest_given(connection) >> TERM_BITS)
        ticks = (self._now() - FIRST_TERM) * TICKS // 1000
        return ticks if ticks > known else self._term_after(known)

    def _term_after(self, known: int) -> int:
        """A term after `known` that does not follow from it: one that does may be taken, and lost."""
        return known + 1 + int.from_bytes(self._random_bytes(4)) % SPREAD

    def _begin(self, term: int) -> None:
        self._term, self._stored = term, False
        self._last = term << TERM_BITS

    def given(self, connection: Connection, number: int) -> None:
        """Note that this realm is proved to have given that number before it was restored. If it is not lower
        than those of this start, a new term begins, because the clock was behind."""
        self.term(connection)
        if number > self._last:
            self._since = self._last + 1
            self._begin(self._term_after(number >> TERM_BITS))
            self.term(connection)

    def span(self, connection: Connection) -> tuple[int, int]:
        """Return the number below those of this start, and the last one that was given."""
        return self.term(connection) << TERM_BITS, self._last

    def next(self, connection: Connection) -> int:
        """Return the number of the next parcel."""
        self.term(connection)
        return self._last + 1

    def take(self, connection: Connection) -> int:
        """Return a number for an entry that crosses in no parcel of its own."""
        self._last = self.next(connection)
        return self._last
