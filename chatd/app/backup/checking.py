"""Checks a realm's state: the structure of the database, its rows, and the files against them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from chatd.app.backup.stored_files import FilesInFolder, IStoredFiles
from chatd.app.state import StateFolder
from chatd.base.backup_records import CheckReport, StateProblem
from chatd.base.clocks import Wall
from chatd.files.copying import Stopped
from chatd.store import database_identity
from chatd.store.macs import check_page
from chatd.store.snapshot import (
    NamedFile,
    files_after,
    foreign_key_problems,
    is_named,
    is_to_be_erased,
    other_files,
)

T = TypeVar("T")

MAX_PROBLEMS = 1000  # that a report lists of each kind
ARRIVING = (
    3600.0  # seconds after its last change in which an unknown file may still be about to be stored
)

DATABASE_DAMAGED = "database-damaged"
ROW_BROKEN = "row-broken"
MESSAGE_ALTERED = "message-altered"
FILE_MISSING = "file-missing"
FILE_DAMAGED = "file-damaged"
FILE_UNKNOWN = "file-unknown"


class StateChecker:
    """Checks the state folder `state`, whose database `engine` reads, also while the realm runs. `files` are
    those of the realm; None: those in the folder of the state.

    `hashes`: read all files, and compare their SHA-256. `repair`: do what is safe, which is to move files
    that no message carries to `uploads/unclaimed/`.
    """

    def __init__(
        self,
        state: StateFolder,
        engine: Engine,
        hashes: bool = True,
        repair: bool = False,
        wall: Wall = time.time,
        is_stopped: Callable[[], bool] = lambda: False,
        files: IStoredFiles | None = None,
    ) -> None:
        self._stored: IStoredFiles = files or FilesInFolder(state.uploads)
        self._engine = engine
        self._hashes = hashes
        self._repair = repair
        self._wall = wall
        self._is_stopped = is_stopped
        self._files = self._messages = 0
        self._found: dict[str, int] = {}
        self._problems: list[StateProblem] = []

    def check(self) -> CheckReport:
        """Check everything. Raises OSError, Stopped."""
        with self._engine.connect() as connection:
            damage = database_identity.quick_check(connection)
        for what in damage:
            self._add(DATABASE_DAMAGED, what)
        try:
            self._check_rows()
            self._check_files()
            self._check_unknown()
        except DBAPIError as error:
            if not damage:
                raise
            self._add(DATABASE_DAMAGED, f"the check ended early: {error.orig}")
        return CheckReport(self._files, self._messages, self._found, tuple(self._problems))

    def _add(self, kind: str, what: str, repaired: str | None = None) -> None:
        count = self._found[kind] = self._found.get(kind, 0) + 1
        if count <= MAX_PROBLEMS:
            self._problems.append(StateProblem(kind, what, repaired))

    def _check_rows(self) -> None:
        with self._engine.connect() as connection:
            for what in foreign_key_problems(connection, MAX_PROBLEMS):
                self._add(ROW_BROKEN, what)
        after = 0
        # A transaction of its own for each page, so that the write-ahead log does not grow meanwhile.
        while (page := self._read(partial(check_page, after=after))) is not None:
            for conversation, seq in page.altered:
                self._add(MESSAGE_ALTERED, f"message {seq} of conversation {conversation}")
            self._messages += page.count
            after = page.last

    def _read(self, query: Callable[[Connection], T]) -> T:
        if self._is_stopped():
            raise Stopped
        with self._engine.connect() as connection:
            return query(connection)

    def _check_files(self) -> None:
        after = 0
        while page := self._read(partial(files_after, after=after)):
            for _, file in page:
                self._check_file(file)
            after = page[-1][0]
        for file in self._read(other_files):
            self._check_file(file)

    def _check_file(self, file: NamedFile) -> None:
        self._files += 1
        try:
            size = self._stored.size_of(file.stored)
            if file.size is not None and size != file.size:
                self._add(FILE_DAMAGED, f"{file.stored} has {size} bytes and not {file.size}")
            elif self._hashes and file.sha256 not in (None, self._hash(file.stored)):
                self._add(FILE_DAMAGED, f"the bytes of {file.stored} are not those that came")
        except FileNotFoundError:
            # Somebody may have deleted it since the page was read.
            if self._read(partial(is_named, stored=file.stored)):
                self._add(FILE_MISSING, f"{file.stored} is not in {self._stored.where}")

    def _hash(self, stored: str) -> str:
        return self._stored.hash(stored, self._is_stopped)

    def _check_unknown(self) -> None:
        for stored in self._stored.older_than(self._wall() - ARRIVING):
            with suppress(FileNotFoundError):  # it was deleted meanwhile
                self._check_one_unknown(stored)

    def _check_one_unknown(self, stored: str) -> None:
        if self._read(partial(is_named, stored=stored)):
            return
        # A deleted file leaves the store a moment later. It must not survive among the unclaimed ones.
        if not self._read(partial(is_to_be_erased, stored=stored)):
            self._stored.size_of(stored)  # raises if it has left since
            repaired = None
            if self._repair:
                repaired = f"it is now {self._stored.set_aside(stored)}"
            self._add(FILE_UNKNOWN, f"no message carries {stored}", repaired)
