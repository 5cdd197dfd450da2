"""Makes backups and checks of the state folder, in a thread while the realm runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from chatd.app.backup.checking import StateChecker
from chatd.app.backup.making import BackupMaker
from chatd.app.backup.manifest import DATABASE, BackupError
from chatd.app.backup.restoring import BackupRestorer
from chatd.app.backup.stored_files import FilesInBucket, FilesInFolder, IStoredFiles
from chatd.app.file_store import open_bucket, where_objects
from chatd.app.integrity import file_of
from chatd.app.state import StateFolder
from chatd.base.backup_records import BackupReport, CheckReport, RestoreReport
from chatd.base.clocks import IReactor, Wall
from chatd.base.config import S3, Config
from chatd.base.errors import BackupFailed, Busy, ShuttingDown
from chatd.base.on_server import NO_RESTORE, NO_VACUUM
from chatd.base.thread_pools import DaemonPool, stop_pool
from chatd.files.copying import Stopped
from chatd.store.snapshot import vacuum

T = TypeVar("T")


class StateWork:
    """The work itself, which blocks. `state` is claimed by this process."""

    def __init__(
        self,
        config: Config,
        state: StateFolder,
        wall: Wall,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._config = config
        self._state = state
        self._wall = wall
        self._is_stopped = is_stopped

    def back_up(self, folder: str) -> BackupReport:
        """Raises BackupError, Stopped."""
        now = int(self._wall() * 1000)
        objects = where_objects(self._config.files)
        return self._with_engine(
            lambda engine: BackupMaker(
                self._config.realm,
                self._state,
                engine,
                Path(folder),
                now,
                self._is_stopped,
                objects,
            ).make()
        )

    def check(self, hashes: bool, repair: bool) -> CheckReport:
        """Raises BackupError, Stopped."""
        return self._with_engine(
            lambda engine: StateChecker(
                self._state, engine, hashes, repair, self._wall, self._is_stopped, self._files()
            ).check()
        )

    def _files(self) -> IStoredFiles:
        files = self._config.files
        if files.store == S3:
            try:
                return FilesInBucket(open_bucket(files))
            except ImportError as error:
                raise BackupError(
                    f"[files] store is 's3', and {error.name} is not installed"
                ) from None
        return FilesInFolder(self._state.uploads)

    def vacuum(self) -> tuple[int, int]:
        """Make the database file as small as possible. Returns its size before and after, in bytes. Raises
        BackupError, also if it is on a server."""
        return self._with_engine(_vacuum)

    def restore(self, folder: str) -> RestoreReport:
        """Raises BackupError, Stopped."""
        engine = self._connect()
        file = file_of(engine)
        engine.dispose()
        if file is None or file.absolute() != (self._state.path / DATABASE).absolute():
            raise BackupError(NO_RESTORE)
        source = Path(folder)
        return BackupRestorer(self._config.realm, self._state, source, self._is_stopped).restore()

    def _connect(self) -> Engine:
        """An engine for the database, which is not opened yet. Raises BackupError."""
        try:
            return self._state.connect(self._config.database_url)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise BackupError(f"[database] url can't be used: {error}") from None

    def _with_engine(self, work: Callable[[Engine], T]) -> T:
        engine = self._connect()
        file = file_of(engine)
        if file is not None and not file.exists():
            raise BackupError(f"there is no database in {self._state.path}; check [realm] state")
        try:
            return work(engine)
        except (OSError, DBAPIError) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise BackupError(f"the state can't be read: {reason}") from None
        finally:
            engine.dispose()


def _vacuum(engine: Engine) -> tuple[int, int]:
    if file_of(engine) is None:
        raise BackupError(NO_VACUUM)
    return vacuum(engine)


class Upkeep:
    """An IUpkeep (chatd.service.upkeep)."""

    def __init__(self, config: Config, state: StateFolder, reactor: IReactor, wall: Wall) -> None:
        self._reactor = reactor
        self._stopping = threading.Event()
        self._work = StateWork(config, state, wall, self._stopping.is_set)
        self._pool: ThreadPool | None = None
        self._busy = False

    def back_up(self, folder: str) -> Deferred[BackupReport]:
        return self._in_thread(lambda: self._work.back_up(folder))

    def check(self, hashes: bool, repair: bool) -> Deferred[CheckReport]:
        return self._in_thread(lambda: self._work.check(hashes, repair))

    def _in_thread(self, work: Callable[[], T]) -> Deferred[T]:
        if self._stopping.is_set():
            return fail(ShuttingDown())
        if self._busy:
            return fail(Busy())
        if self._pool is None:
            self._pool = DaemonPool(0, 1, name="upkeep")
            self._pool.start()
        self._busy = True
        done = deferToThreadPool(self._reactor, self._pool, work)
        return done.addBoth(self._ended)

    def _ended(self, result: T | Failure) -> T | Failure:
        self._busy = False
        if isinstance(result, Failure):
            if isinstance(result.value, Stopped):
                raise ShuttingDown
            if isinstance(result.value, BackupError):
                raise BackupFailed(reason=str(result.value))
        return result

    def stop(self) -> Deferred[None]:
        """Interrupt the work that is under way. Fires when it has ended."""
        self._stopping.set()
        pool, self._pool = self._pool, None
        return succeed(None) if pool is None else stop_pool(self._reactor, pool)
