"""Moves a realm: looks at every value, copies all tables, and compares both databases.

A kill at any point leaves the old database as it was, but for its mark, and the same move can be started
again. The new database gets its version last, and chatd does not use it before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from typing import TypeVar

import msgspec
from sqlalchemy import Engine, Table

from chatd.store.move_mark import MoveMark, put_move_mark
from chatd.store.transfer.digests import TableDigest
from chatd.store.transfer.source import OldStore
from chatd.store.transfer.tables import copied_tables, page_size
from chatd.store.transfer.target import NewStore, Progress
from chatd.store.transfer.values import Converter, Misfit, Page

T = TypeVar("T")

# Rows in a transaction. What a killed process has copied of it is copied again.
BATCH = 10_000

# Seconds between two lines about a table that takes long
TELL_EVERY = 10.0


class MisfitsFound(Exception):
    """The old database has values that the new one can't store."""

    def __init__(self, misfits: list[Misfit]) -> None:
        super().__init__(f"{len(misfits)} values can't be stored in PostgreSQL")
        self.misfits = misfits


class Comparison(msgspec.Struct, frozen=True):
    """A table in the old and in the new database."""

    table: str
    old: TableDigest
    new: TableDigest

    @property
    def is_equal(self) -> bool:
        return self.old == self.new


class StoreMoved(msgspec.Struct, frozen=True):
    """What a move has done: the comparison of each table, and the duration of each step in seconds.
    `was_there`: it was complete before, and nothing was done."""

    tables: tuple[Comparison, ...] = ()
    seconds: Mapping[str, float] = {}
    was_there: bool = False

    @property
    def differing(self) -> tuple[str, ...]:
        """The tables that differ. The new database is not complete then."""
        return tuple(each.table for each in self.tables if not each.is_equal)


class StoreMover:
    """One move from the database of `old` to that of `new`. Nobody uses the old one meanwhile. `tell` gets a
    sentence now and then; `clock` is monotonic, in seconds."""

    def __init__(
        self,
        old: Engine,
        new: Engine,
        mark: MoveMark,
        clock: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        self._old = old
        self._mark = mark
        self._clock = clock
        self._tell = tell
        self._tables = copied_tables()
        self._seconds: dict[str, float] = {}
        self._source = OldStore(old)
        self._target = NewStore(new, mark.id)

    def close(self) -> None:
        """Close both connections."""
        self._source.close()
        self._target.close()

    def move(self) -> StoreMoved:
        """Do all of it, or what is left to do. Raises MisfitsFound, TargetError, DBAPIError, OSError,
        psycopg.Error."""
        target = self._target
        target.claim()
        progress = target.progress()
        if progress is Progress.ALL:
            self._put_mark(complete=True)
            return StoreMoved(was_there=True)
        old = self._timed("look", "looking at all values", self._look)
        if progress is Progress.NOTHING:
            self._put_mark(complete=False)
            target.create()
        self._timed("copy", "copying", self._copy)
        target.set_sequences(self._source.highest_ids())
        self._timed("vacuum", "gathering statistics (VACUUM ANALYZE)", target.vacuum)
        new = self._timed("compare", "comparing", self._compare)
        pairs = zip(self._tables, old, new, strict=True)
        moved = StoreMoved(
            tuple(Comparison(each.name, *both) for each, *both in pairs), self._seconds
        )
        if not moved.differing:
            target.complete()
            self._put_mark(complete=True)
        return moved

    def _put_mark(self, *, complete: bool) -> None:
        with self._old.begin() as connection:
            put_move_mark(connection, msgspec.structs.replace(self._mark, complete=complete))

    def _timed(self, step: str, sentence: str, work: Callable[[], T]) -> T:
        self._tell(sentence)
        begun = self._clock()
        result = work()
        self._seconds[step] = self._clock() - begun
        return result

    def _look(self) -> list[TableDigest]:
        """The digests of the old tables. Raises MisfitsFound."""
        misfits: list[Misfit] = []
        digests = [self._source.look_at(table, misfits) for table in self._tables]
        if misfits:
            raise MisfitsFound(misfits)
        return digests

    def _compare(self) -> list[TableDigest]:
        """The digests of the new tables."""
        return [self._target.look_at(table) for table in self._tables]

    def _copy(self) -> None:
        for table in self._tables:
            after = self._target.last_key(table)
            rows = self._copy_table(table, self._source.pages(table, after))
            if rows or after is not None:
                self._tell(f"{table.name}: {rows} rows{' more' if after is not None else ''}")

    def _copy_table(self, table: Table, pages: Iterator[Page]) -> int:
        """Copy pages. Returns how many rows they have."""
        converter, rows = Converter(table), 0
        told = self._clock()

        def converted(first: Page) -> Iterator[Page]:
            nonlocal rows
            for page in chain([first], islice(pages, BATCH // page_size(table) - 1)):
                rows += len(page)
                yield converter.convert(page)

        for first in pages:
            self._target.add(table, converted(first))
            if self._clock() - told >= TELL_EVERY:
                told = self._clock()
                self._tell(f"{table.name}: {rows} rows so far")
        return rows
