"""Restores a backup into an empty state folder.

Each file is compared with the SHA-256 that the database has of it. The database gets its name last, and until
then the file `restoring.json` says which backup is being restored. With it the folder can't be used, and the
same restore can be continued.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
from sqlalchemy.exc import DBAPIError

from chatd.app.backup.manifest import (
    DATABASE,
    UPLOADS,
    BackupError,
    locked,
    read_manifest,
)
from chatd.app.backup.reading import reading
from chatd.app.state import LOCK, RESTORING, StateFolder
from chatd.base.backup_records import Manifest, RestoreReport
from chatd.base.names import key_of
from chatd.base.private_files import sync_folder, write_private
from chatd.files.copying import clear_parts, copy_file
from chatd.files.disk_space import measure
from chatd.files.file_names import to_disk
from chatd.store import database_identity
from chatd.store.snapshot import NamedFile, files_named

MAX_LISTED = 1000  # names of files in a report


class BackupRestorer:
    """Restores the backup in the folder `source` as the realm `realm` into the folder `state`, which this
    process has claimed."""

    def __init__(
        self,
        realm: str,
        state: StateFolder,
        source: Path,
        is_stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._realm = realm
        self._state = state
        self._source = source
        self._is_stopped = is_stopped
        self._files = self._bytes = 0
        self._missing: list[str] = []
        self._damaged: list[str] = []

    def restore(self) -> RestoreReport:
        """Restore the backup. Raises BackupError, Stopped; then the state folder can't be used until the same
        restore is completed, or the folder is emptied."""
        try:
            return self._restore()
        except (OSError, DBAPIError) as error:
            reason = error.orig if isinstance(error, DBAPIError) else error
            raise BackupError(
                f"the backup in {self._source} was not restored: {reason}; when that is solved, start it "
                "again, and it continues"
            ) from None

    def _restore(self) -> RestoreReport:
        manifest = read_manifest(self._source) if self._source.is_dir() else None
        if manifest is None:
            raise BackupError(f"{self._source} has no complete backup; choose another folder")
        if manifest.realm != key_of(self._realm):
            raise BackupError(
                f"{self._source} has a backup of {manifest.realm}, and [realm] name is {self._realm}; change "
                "the configuration, or choose another folder"
            )
        with locked(self._source, reads=True):
            self._begin(manifest)
            if not manifest.objects:
                self._copy_files(manifest)
            self._copy_state(manifest)
        (self._state.path / RESTORING).unlink()
        sync_folder(self._state.path)
        return RestoreReport(
            manifest,
            self._files,
            self._bytes,
            tuple(self._missing[:MAX_LISTED]),
            tuple(self._damaged[:MAX_LISTED]),
        )

    def _begin(self, manifest: Manifest) -> None:
        """Check that the state folder is empty or has a part of this backup, and note which."""
        path, note = self._state.path, msgspec.json.encode(manifest)
        begun = path / RESTORING
        others = {each.name for each in path.iterdir()} - {LOCK, RESTORING}
        if others and not (begun.is_file() and begun.read_bytes() == note):
            raise BackupError(
                f"the state folder {path} is not empty; move its content away, and start again"
            )
        uploads = self._state.uploads
        file_bytes = manifest.file_bytes - self._restored_bytes()
        if uploads.is_relative_to(path):
            _check_room(path, manifest.size + file_bytes)
        else:
            uploads.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_room(path, manifest.size)
            _check_room(uploads, file_bytes)
        write_private(begun, note)
        uploads.mkdir(mode=0o700, exist_ok=True)
        clear_parts(uploads)

    def _restored_bytes(self) -> int:
        uploads = self._state.uploads
        if not uploads.is_dir():
            return 0
        return sum(path.stat().st_size for path in uploads.iterdir())

    def _copy_files(self, manifest: Manifest) -> None:
        with reading(self._source / manifest.state / DATABASE) as connection:
            for file in files_named(connection):
                self._copy_file(file)
        sync_folder(self._state.uploads)

    def _copy_file(self, file: NamedFile) -> None:
        name = to_disk(file.stored)
        if Path(name).name != name:
            raise BackupError(f"the database names a file outside of uploads: {file.stored!r}")
        source, target = self._source / UPLOADS / name, self._state.uploads / name
        try:
            size = source.stat().st_size
        except FileNotFoundError:
            self._missing.append(file.stored)
            return
        if not (target.exists() and target.stat().st_size == size):
            digest = copy_file(source, target, self._is_stopped)
            if file.sha256 not in (None, digest):
                target.unlink()
                self._damaged.append(file.stored)
                return
        self._files += 1
        self._bytes += size

    def _copy_state(self, manifest: Manifest) -> None:
        """Copy the keys, and then the database if it is the one that the manifest describes."""
        source, state = self._source / manifest.state, self._state.path
        for name in manifest.keys:
            copy_file(source / name, state / name, self._is_stopped)
        copy = state / f"{DATABASE}.restored"
        if copy_file(source / DATABASE, copy, self._is_stopped) != manifest.sha256:
            copy.unlink()
            raise BackupError(
                f"{source / DATABASE} is damaged: it is not what the manifest describes; use another backup"
            )
        with reading(copy) as connection:
            problems = database_identity.quick_check(connection)
        if problems:
            raise BackupError(
                f"{source / DATABASE} is damaged ({'; '.join(problems)}); use another backup"
            )
        copy.replace(state / DATABASE)
        sync_folder(state)


def _check_room(folder: Path, needed: int) -> None:
    """Raises BackupError if the folder's disk has less than `needed` bytes free."""
    free, _ = measure(folder)
    if free < needed:
        raise BackupError(
            f"there is no room in {folder}: {free} bytes are free and {needed} are needed; make room and "
            "start again"
        )
