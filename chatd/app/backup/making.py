"""Makes a backup, also while the realm runs.

The database is copied first, and then the files that this copy names. A file that somebody deletes between
these steps is missing in the backup, and its message is in it although it was deleted a moment ago. Files
never change, so the next backup in the same folder copies only those that it does not have.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from chatd.app.backup.manifest import (
    BEGUN,
    DATABASE,
    LOCK,
    MANIFEST,
    STATE_PREFIX,
    UPLOADS,
    BackupError,
    key_files,
    locked,
    read_manifest,
    write_manifest,
)
from chatd.app.backup.reading import reading
from chatd.app.integrity import file_of
from chatd.app.state import StateFolder
from chatd.base.backup_records import BackupReport, Manifest
from chatd.base.names import key_of
from chatd.base.on_server import NO_BACKUP
from chatd.base.private_files import sync_folder, write_private
from chatd.files.copying import clear_parts, copy_file, hash_file
from chatd.files.disk_space import measure
from chatd.files.file_names import free_path, from_disk, stored_path, to_disk
from chatd.store import database_identity
from chatd.store.migrate import current_version
from chatd.store.snapshot import NamedFile, copy_database, files_named, is_named

MARGIN = 16 << 20  # bytes that stay free on the backup's disk
MAX_LISTED = 1000  # names of missing or damaged files in a manifest


class BackupMaker:
    """Makes one backup of the realm in `state`, whose database `engine` reads, in the folder `target`.

    `objects` says where the files are if they are in a bucket; then they are not copied. `now` is the time in
    ms since 1970 UTC. The work ends with Stopped when `is_stopped` says so.
    """

    def __init__(
        self,
        realm: str,
        state: StateFolder,
        engine: Engine,
        target: Path,
        now: int,
        is_stopped: Callable[[], bool] = lambda: False,
        objects: str = "",
    ) -> None:
        self._realm = realm
        self._state = state
        self._engine = engine
        self._target = target
        self._now = now
        self._is_stopped = is_stopped
        self._objects = objects
        self._copied = self._kept = self._removed = self._bytes = self._files = self._file_bytes = 0
        self._missing: list[str] = []
        self._damaged: list[str] = []

    def make(self) -> BackupReport:
        """Make the backup. Raises BackupError, Stopped; then the backup that was there before is intact."""
        try:
            return self._make()
        except (OSError, DBAPIError) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise BackupError(
                f"the backup in {self._target} was not completed: {reason}; when that is solved, start "
                "it again, and it continues"
            ) from None

    def _make(self) -> BackupReport:
        self._check_target()
        self._target.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check_private()
        with locked(self._target):
            before = self._check_content()
            self._clear(before)
            manifest = self._copy_state()
            if not self._objects:
                self._copy_files(manifest.state)
            manifest = msgspec.structs.replace(
                manifest,
                files=self._files,
                file_bytes=self._file_bytes,
                missing=tuple(self._missing[:MAX_LISTED]),
                damaged=tuple(self._damaged[:MAX_LISTED]),
                objects=self._objects,
            )
            write_manifest(self._target, manifest)
            (self._target / BEGUN).unlink(missing_ok=True)
            self._clear(manifest)
            self._remove_others(manifest.state)
        return BackupReport(manifest, self._copied, self._kept, self._removed, self._bytes)

    def _check_target(self) -> None:
        if file_of(self._engine) is None:
            raise BackupError(NO_BACKUP)
        target, state = self._target.resolve(), self._state.path.resolve()
        if not self._target.is_absolute():
            raise BackupError(f"{self._target} is no absolute path; begin it with /")
        if target == state or state in target.parents or target in state.parents:
            raise BackupError(
                f"{target} and the state folder {state} contain each other; choose another folder"
            )
        files = self._state.uploads.resolve()
        if target == files or files in target.parents or target in files.parents:
            raise BackupError(
                f"{target} and the folder of files {files} contain each other; choose another folder"
            )
        if target.exists() and not any((target / name).exists() for name in (MANIFEST, BEGUN)):
            self._check_empty(target)

    def _check_empty(self, target: Path) -> None:
        if any(path.name != LOCK for path in target.iterdir()):
            raise BackupError(
                f"{target} is neither empty nor a backup; choose an empty folder or a new one"
            )

    def _check_private(self) -> None:
        """Refuse a folder in which somebody else could put links, through which files would be removed."""
        found = self._target.stat()
        if found.st_uid not in (0, os.geteuid()) or found.st_mode & stat.S_IWOTH:
            raise BackupError(
                f"other users of the system may write to {self._target}; choose a folder of chatd's user"
            )
        if (self._target / UPLOADS).is_symlink():
            raise BackupError(f"{self._target / UPLOADS} is a link; choose another folder")

    def _check_content(self) -> Manifest | None:
        """Check that the folder is empty or has a backup of this realm, which is returned."""
        before = read_manifest(self._target)
        with self._engine.connect() as connection:
            identity = database_identity.read(connection)
        assert identity is not None  # noqa: S101 - each start gives it one
        if before is not None and before.database != identity.id:
            raise BackupError(
                f"{self._target} has a backup of another database, that of {before.realm}; "
                "choose another folder"
            )
        if before is None:
            self._begin(identity.id)
        self._database = identity.id
        return before

    def _begin(self, database: str) -> None:
        """Mark the folder as this realm's, so that a first backup that is interrupted can be continued."""
        begun = self._target / BEGUN
        if begun.is_file() and begun.read_text() != database:
            raise BackupError(
                f"{self._target} has an unfinished backup of another realm; choose another folder"
            )
        write_private(begun, database.encode())

    def _clear(self, current: Manifest | None) -> None:
        """Remove the databases that `current` does not name, and incomplete copies of files."""
        for path in self._target.glob(f"{STATE_PREFIX}*"):
            if current is None or path.name != current.state:
                shutil.rmtree(path)
        uploads = self._target / UPLOADS
        uploads.mkdir(mode=0o700, exist_ok=True)
        clear_parts(uploads)
        sync_folder(self._target)

    def _copy_state(self) -> Manifest:
        """Copy the database and the keys. Returns the manifest, without what concerns files."""
        database_file = file_of(self._engine)
        assert database_file is not None  # noqa: S101 - see _check_target
        needed = database_file.stat().st_size + MARGIN
        free, _ = measure(self._target)
        if free < needed:
            raise BackupError(
                f"there is no room for the database in {self._target}: {free} bytes are free and {needed} "
                "are needed; make room and start again"
            )
        moment = datetime.fromtimestamp(self._now / 1000, UTC)
        folder = free_path(self._target / f"{STATE_PREFIX}{moment:%Y%m%dT%H%M%SZ}")
        folder.mkdir(mode=0o700)
        copy = folder / DATABASE
        copy_database(self._engine, copy)
        keys = key_files(self._state)
        for path in keys:
            copy_file(path, folder / path.name, self._is_stopped)
        sync_folder(folder)
        with reading(copy) as connection:
            schema = current_version(connection)
        return Manifest(
            realm=key_of(self._realm),
            database=self._database,
            schema=schema or "",
            made_at=self._now,
            state=folder.name,
            size=copy.stat().st_size,
            sha256=hash_file(copy, self._is_stopped),
            keys=tuple(path.name for path in keys),
            files=0,
            file_bytes=0,
        )

    def _copy_files(self, state: str) -> None:
        uploads = self._target / UPLOADS
        with reading(self._target / state / DATABASE) as connection:
            for file in files_named(connection):
                self._copy_file(file, uploads / to_disk(file.stored))
        sync_folder(uploads)

    def _copy_file(self, file: NamedFile, target: Path) -> None:
        """Copy a file unless the backup has it."""
        source = stored_path(self._state.uploads, file.stored)
        try:
            size = source.stat().st_size
            if target.exists() and target.stat().st_size == size:
                self._kept += 1
            else:
                digest = copy_file(source, target, self._is_stopped)
                if file.sha256 not in (None, digest):
                    self._damaged.append(file.stored)
                self._copied += 1
                self._bytes += size
        except FileNotFoundError:
            # Somebody has deleted it since the database was copied, or it was lost before.
            self._missing.append(file.stored)
            return
        self._files += 1
        self._file_bytes += size

    def _remove_others(self, state: str) -> None:
        """Remove files that the realm no longer has, so that deleted files leave the backup too."""
        with reading(self._target / state / DATABASE) as connection:
            for path in (self._target / UPLOADS).iterdir():
                if not is_named(connection, from_disk(path.name)):
                    path.unlink()
                    self._removed += 1
