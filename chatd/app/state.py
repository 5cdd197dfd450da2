"""The state folder: its lock, which keeps a second daemon out, and opening and checking its database."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, NoSuchModuleError
from twisted.logger import Logger

from chatd.app.integrity import (
    Damage,
    check_content,
    check_file,
    file_of,
    find_marker,
    is_small,
    set_aside,
)
from chatd.app.marker import Marker, write_marker
from chatd.base.timestamps import timestamp
from chatd.store import database_identity
from chatd.store.engine import alone, backend_of, connect
from chatd.store.migrate import SchemaError, prepare
from chatd.store.move_mark import MoveMark, read_move_mark, remove_move_mark
from chatd.store.names import load_older_keys, renew_skeletons

LOCK = "lock"
RESTORING = "restoring.json"  # is there while a backup is being restored (chatd.app.backup)

log = Logger()


class StartError(Exception):
    """The daemon can't start. `str()` is the sentence for the operator."""


class StateInUse(StartError):
    """Another daemon uses the state folder."""


class StateFolder:
    """A folder that belongs to one running daemon. It is created with mode 0700. `uploads` has the files; it
    is in this folder unless it is given."""

    def __init__(
        self,
        path: Path,
        connect: Callable[[str], Engine] = connect,
        uploads: Path | None = None,
    ) -> None:
        self.path = path
        self._connect = connect
        self.uploads = uploads or path / "uploads"
        self.marker: Marker | None = None
        # The daemon did not end in order, and the database is not checked yet
        self.unchecked = False
        self.database_file: Path | None = None
        self._lock: int | None = None

    @property
    def is_lossy(self) -> bool:
        """Whether an operator has accepted that the database has lost something."""
        return self.marker is not None and self.marker.lossy

    def claim(self) -> None:
        """Create the folder unless it exists, and lock it. Raises StartError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StartError(
                f"[realm] state is {self.path} and can't be used: {error.strerror}; "
                "expected a folder that chatd may write to"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(self._lock, 32).decode(errors="replace").strip()
            self.release()
            raise StateInUse(
                f"[realm] state is {self.path}, and another chatd (process {owner}) is using it; "
                "expected a folder of its own"
            ) from None
        os.ftruncate(self._lock, 0)
        os.write(self._lock, f"{os.getpid()}\n".encode())

    def connect(self, configured: str) -> Engine:
        """An engine for the realm's database, whose URL in the configuration is `configured`."""
        return self._connect(configured or f"sqlite:///{self.path / 'chatd.db'}")

    def release(self) -> None:
        """Unlock the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def open_database(
        self,
        url: str,
        accept_loss: bool = False,
        random_bytes: Callable[[int], bytes] = os.urandom,
        undo_move: bool = False,
    ) -> Engine:
        """Open the realm's database, and upgrade it to this version's schema.

        Raises StartError if that is not possible, if the database is damaged or not the one that was here
        before, and if it was moved elsewhere. `accept_loss` replaces the second error by a warning, and
        `undo_move` the third one.
        """
        self._check_restored()
        old_umask = os.umask(0o077)
        try:
            with explained(without_password(url) or f"sqlite in {self.path}"):
                engine = self.connect(url)
                self.database_file = file_of(engine)
                with alone(engine):
                    self._prepare(engine, accept_loss, undo_move)
                    self._claim(engine, accept_loss, random_bytes)
        finally:
            os.umask(old_umask)
        return engine

    def _prepare(self, engine: Engine, accept_loss: bool, undo_move: bool) -> None:
        """Check and upgrade the database. Raises Damage, SchemaError, StartError."""
        try:
            self._check(engine, undo_move)
        except Damage as damage:
            engine.dispose()
            if not accept_loss:
                raise
            log.warn("the loss is accepted: {damage}", damage=str(damage))
            if not damage.usable and self.database_file is not None:
                set_aside(self.database_file)
        if undo_move:
            _undo_move(engine)
        prepare(engine)
        load_older_keys(engine)
        renew_skeletons(engine)

    def _check_restored(self) -> None:
        """Raises StartError if the folder has the first part of a backup."""
        if (self.path / RESTORING).exists():
            raise StartError(
                f"[realm] state is {self.path}, into which a backup was restored only in part; run chatctl "
                "restore again, or empty the folder"
            )

    def _check(self, engine: Engine, undo_move: bool) -> None:
        """Raises Damage, StartError."""
        self.marker = None
        self.marker = find_marker(self.path)
        if self.database_file is not None:
            check_file(self.database_file, self.marker, self.uploads)
        if not undo_move:
            _refuse_moved(engine)
        check_content(engine, self.marker)

    def _claim(self, engine: Engine, lossy: bool, random_bytes: Callable[[int], bytes]) -> None:
        """Record that the database and the folder belong together and are in use."""
        old = self.marker
        with engine.begin() as connection:
            identity = database_identity.claim(
                connection, lambda: random_bytes(16).hex(), 0 if old is None else old.mark
            )
        lossy = lossy or (old is not None and old.lossy)
        self.unchecked = old is not None and not old.clean and not is_small(self.database_file)
        self.marker = Marker(identity.id, identity.mark, clean=False, lossy=lossy)
        write_marker(self.path, self.marker)

    def close(self, marker: Marker) -> None:
        """Record that the daemon ended in order. Call it when the database is closed, with the last
        marker."""
        try:
            write_marker(self.path, msgspec.structs.replace(marker, clean=True))
        except OSError as error:
            log.warn("the orderly end of the realm was not recorded: {error}", error=str(error))


def _refuse_moved(engine: Engine) -> None:
    """Raises StartError if the realm has another database by now."""
    try:
        with engine.connect() as connection:
            mark = read_move_mark(connection)
    except DatabaseError as error:
        if backend_of(engine).damage_in(error.orig) is None:
            raise
        return  # `check_content` tells what is damaged
    if mark is not None:
        engine.dispose()
        raise StartError(_moved(mark))


def _undo_move(engine: Engine) -> None:
    with engine.begin() as connection:
        mark = read_move_mark(connection)
        if mark is not None:
            remove_move_mark(connection)
            log.warn("the move to {to} is undone", to=mark.to)


def _moved(mark: MoveMark) -> str:
    since = timestamp(mark.at)
    if mark.complete:
        return (
            f"the realm was moved from this database to {mark.to} at {since}; set [database] url to that, or "
            "start once with --undo-move to continue with this one, without what was written since"
        )
    return (
        f"a move of the realm to {mark.to}, begun at {since}, is not complete; run twistd chatd --move-store "
        "again, or start once with --undo-move to continue with this database"
    )


@contextmanager
def explained(database: str) -> Iterator[None]:
    """Turn the errors of opening `database`, which is named as the operator knows it, into StartError."""
    try:
        yield
    except Damage as damage:
        raise StartError(f"[database] {database}: {damage.sentence}") from None
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise StartError(
            f"[database] url is {database!r}; expected an SQLAlchemy URL whose driver is installed "
            f"({error})"
        ) from None
    except DBAPIError as error:
        raise StartError(f"[database] {database} can't be opened: {error.orig}") from None
    except SchemaError as error:
        raise StartError(f"[database] {database}: {error}") from None
    except OSError as error:
        raise StartError(f"[database] {database} can't be opened: {error}") from None


def without_password(url: str) -> str:
    """A database's URL as it may be shown."""
    return re.sub(r"(://[^:@/]*):[^@/]*@", r"\1:***@", url)
