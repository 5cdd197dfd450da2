"""The layout of a backup folder.

    backup.json         the manifest: it names the rest, and is replaced last
    state-TIME/         the database, and the realm's keys
    uploads/            the files that this database names

The manifest is replaced in one step when everything that it names is on disk. So an interrupted backup leaves
the one before it intact, and the next one removes what the interrupted one has left.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from chatd.app.state import StateFolder
from chatd.base.backup_records import FORMAT, Manifest
from chatd.base.private_files import write_private

MANIFEST = "backup.json"
STATE_PREFIX = "state-"
UPLOADS = "uploads"
LOCK = "lock"
BEGUN = "backup.begun"  # has the id of the database until the first backup is complete
DATABASE = "chatd.db"
# Of the files in the state folder, those that belong to the realm and not to the running daemon.
KEY_ENDINGS = (".key", ".pem")


class BackupError(Exception):
    """A backup can't be made or restored; `str()` says why and what to do."""


def read_manifest(folder: Path) -> Manifest | None:
    """None if the folder has no backup yet. Raises BackupError, OSError."""
    path = folder / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise BackupError(f"{path} can't be read ({error}); choose another folder") from None
    if manifest.format != FORMAT:
        raise BackupError(
            f"the backup in {folder} has format {manifest.format}, and this version of chatd reads format "
            f"{FORMAT}; use the version that made it"
        )
    if not _is_inside(manifest):
        raise BackupError(f"{path} names files outside of the backup; it is not one of chatd's")
    return manifest


def _is_inside(manifest: Manifest) -> bool:
    """Whether a manifest names only what backups have, so that nothing else is read or replaced."""
    names = (manifest.state, *manifest.keys)
    return (
        all(Path(name).name == name for name in names)
        and manifest.state.startswith(STATE_PREFIX)
        and all(Path(name).suffix in KEY_ENDINGS for name in manifest.keys)
    )


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest, and return when it is on disk. Raises OSError."""
    write_private(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")


def key_files(state: StateFolder) -> list[Path]:
    """The realm's keys and certificates in its state folder."""
    return sorted(
        path for path in state.path.iterdir() if path.suffix in KEY_ENDINGS and path.is_file()
    )


@contextmanager
def locked(folder: Path, *, reads: bool = False) -> Iterator[None]:
    """Keep others from changing a backup folder. `reads`: it is only read, so it may be on a read-only
    disk. Raises BackupError, OSError."""
    try:
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if not reads or error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        yield  # nobody changes it
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BackupError(
                f"another backup is being made in {folder}; wait until it is complete"
            ) from None
        yield
    finally:
        os.close(descriptor)
