"""Moves the realm's database from SQLite to PostgreSQL (`--move-store`).

The realm is stopped: its state folder is locked meanwhile. Before the first row is copied, the old database
gets a mark, with which chatd does not start on it (chatd.store.move_mark).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from chatd.app.integrity import file_of
from chatd.app.owner import become_owner
from chatd.app.state import StartError, StateFolder, explained, without_password
from chatd.base.config import Config
from chatd.base.timestamps import timestamp
from chatd.store.database_identity import quick_check
from chatd.store.engine import backend_of, connect, is_pooled
from chatd.store.move_mark import MoveMark, read_move_mark

SHOWN = 20  # values that can't be stored, in an error
PROBLEMS = 3  # rows with broken references, in an error

_STEPS = {
    "look": "looked at in",
    "copy": "copied in",
    "vacuum": "statistics in",
    "compare": "compared in",
}


class MoveReport(msgspec.Struct, frozen=True):
    """What was moved, a chatd.store.transfer.mover.StoreMoved. `str()` is the text for the operator."""

    moved: Any
    url: str

    def __str__(self) -> str:
        change = (
            f"in chatd.ini, set this, and start the realm:\n    [database]\n    url = {self.url}\n"
            "chatd does not start on the old database any more; keep it until the new one has a backup"
        )
        if self.moved.was_there:
            return f"everything was there already\n{change}"
        return "\n".join([*self._table(), self._times(), change])

    def _table(self) -> Iterator[str]:
        tables = [each for each in self.moved.tables if each.old.rows]
        width = max([len(each.table) for each in tables] or [0]) + 2
        row = f"{{:<{width}}}{{:>12}}  {{:<32}}  {{:<32}}"
        yield row.format("TABLE", "ROWS", "CHECKSUM BEFORE", "CHECKSUM AFTER")
        for each in tables:
            yield row.format(
                each.table, each.old.rows, each.old.checksum, each.new.checksum
            ).rstrip()
        rows = sum(each.old.rows for each in tables)
        empty = len(self.moved.tables) - len(tables)
        yield f"{rows} rows in {len(tables)} tables are equal in both; {empty} tables are empty in both"

    def _times(self) -> str:
        return ", ".join(
            f"{_STEPS[step]} {seconds:.1f} s" for step, seconds in self.moved.seconds.items()
        )


class StoreMove:
    """One call of the option. `tell` gets a sentence now and then."""

    def __init__(
        self,
        config: Config,
        url: str,
        tell: Callable[[str], None],
        random_id: Callable[[], str],
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._url = url
        self._tell = tell
        self._random_id = random_id
        self._wall = wall
        self._clock = clock
        self._state = StateFolder(config.state, uploads=config.files.folder)

    def run(self) -> MoveReport:
        """Move the database, or go on with a move that was interrupted. Raises StartError."""
        if not self._config.state.is_dir():
            raise StartError(f"[realm] state is {self._config.state}, which does not exist")
        become_owner(self._config.state)
        self._state.claim()
        try:
            with self._new_engine() as new, self._old_engine() as old:
                return self._move(old, new)
        finally:
            self._state.release()

    @contextmanager
    def _new_engine(self) -> Iterator[Engine]:
        with explained(without_password(self._url)):
            engine = connect(self._url)
            if not backend_of(engine).is_shared:
                raise StartError(
                    f"--move-store is {self._url}; expected the URL of a PostgreSQL database: "
                    "postgresql://USER@HOST/NAME"
                )
            if is_pooled(self._url):
                raise StartError(
                    "--move-store leads to a connection pooler; give the URL of the server itself"
                )
            with engine.connect():
                pass  # before anything else is done, it is known that it can be reached
        try:
            yield engine
        finally:
            engine.dispose()

    @contextmanager
    def _old_engine(self) -> Iterator[Engine]:
        """The old database, with the newest schema. One that is marked is not changed any more."""
        url = self._config.database_url
        with explained(without_password(url) or f"sqlite in {self._state.path}"):
            engine = self._state.connect(url)
            file = file_of(engine)
            if file is None:
                raise StartError(
                    f"[database] url is {without_password(url)}; expected the database in SQLite that "
                    "is to be moved"
                )
            if not file.exists():
                raise StartError(f"there is no database {file}; check --config")
        try:
            yield engine
        finally:
            engine.dispose()

    def _mark(self, old: Engine) -> MoveMark:
        """The mark of an interrupted move, or one for a new move. Raises StartError."""
        to, now = without_password(self._url), int(self._wall() * 1000)
        with explained("the old database"), old.connect() as connection:
            found = read_move_mark(connection)
        if found is None:
            self._state.open_database(self._config.database_url).dispose()
            self._check(old)
            return MoveMark(self._random_id(), to, now)
        if found.complete and found.to != to:
            raise StartError(
                f"the realm was moved to {found.to} at {timestamp(found.at)}; expected this URL"
            )
        return msgspec.structs.replace(found, to=to, complete=False)

    def _check(self, old: Engine) -> None:
        """Raises StartError if the old database is damaged, so that the damage is not copied."""
        self._tell("checking the old database")
        with old.connect() as connection:
            problems = quick_check(connection)
            problems += backend_of(old).foreign_key_problems(connection, PROBLEMS)
        if problems:
            raise StartError(
                f"the old database is damaged ({'; '.join(problems)}); nothing was moved; see "
                "docs/operating/incidents.md"
            )

    def _move(self, old: Engine, new: Engine) -> MoveReport:
        from psycopg import Error

        from chatd.store.transfer.mover import MisfitsFound, StoreMover
        from chatd.store.transfer.target import TargetError

        url = without_password(self._url)
        try:
            mark = self._mark(old)
            mover = StoreMover(old, new, mark, self._clock, self._tell)
            try:
                moved = mover.move()
            finally:
                mover.close()
        except MisfitsFound as error:
            raise StartError(_sentence(error.misfits)) from None
        except TargetError as error:
            raise StartError(f"--move-store {url}: {error}") from None
        except (DBAPIError, Error, OSError) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise StartError(
                f"the realm is not moved to {url} yet: {reason}; when that is solved, start the same "
                "again, and it continues"
            ) from None
        if moved.differing:
            raise StartError(
                f"the databases differ in {', '.join(moved.differing)}, and the new one can't be used; "
                f"drop {url}, create it anew, and start again"
            )
        return MoveReport(moved, url)


def _sentence(misfits: list[Any]) -> str:
    shown = "".join(f"\n  {each}" for each in misfits[:SHOWN])
    more = f"\n  and {len(misfits) - SHOWN} more" if len(misfits) > SHOWN else ""
    return (
        f"PostgreSQL can't store {len(misfits)} values of the database; nothing was moved; change them with "
        f"sqlite3, and start again:{shown}{more}"
    )
