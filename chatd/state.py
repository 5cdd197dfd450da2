"""The state folder: the database, the uploads, and the lock that keeps a second daemon out."""

from __future__ import annotations

import fcntl
import os
import re
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from chatd.store.database import connect
from chatd.store.migrate import SchemaError, prepare
from chatd.store.names import renew_skeletons


class StartError(Exception):
    """The daemon can't start; `str()` is the sentence for the operator."""


class StateInUse(StartError):
    """Another daemon has the state folder."""


class StateFolder:
    """A folder that belongs to one running daemon. Made with mode 0700."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.uploads = path / "uploads"
        self._lock: int | None = None

    def claim(self) -> None:
        """Make the folder if need be, and lock it. Raises StartError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
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

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def open_database(self, url: str) -> Engine:
        """The realm's database, at the schema of this version. Raises StartError."""
        shown = _without_password(url) or f"sqlite in {self.path}"
        old_umask = os.umask(0o077)
        try:
            engine = connect(url or f"sqlite:///{self.path / 'chatd.db'}")
            prepare(engine)
            renew_skeletons(engine)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise StartError(
                f"[database] url is {shown!r}; expected an SQLAlchemy URL whose driver is installed "
                f"({error})"
            ) from None
        except DBAPIError as error:
            raise StartError(f"[database] {shown} can't be opened: {error.orig}") from None
        except SchemaError as error:
            raise StartError(f"[database] {shown}: {error}") from None
        finally:
            os.umask(old_umask)
        return engine


def _without_password(url: str) -> str:
    return re.sub(r"(://[^:@/]*):[^@/]*@", r"\1:***@", url)
