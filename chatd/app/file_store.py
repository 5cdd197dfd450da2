"""Opens the store of files that the configuration names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from twisted.logger import Logger

from chatd.app.state import StartError
from chatd.base.clocks import IReactor, Wall
from chatd.base.config import S3, FilesConfig
from chatd.base.counters import Counters
from chatd.files.folder import Uploads
from chatd.files.shared_folder import SharedFolder
from chatd.files.store import IFileStore
from chatd.service.object_sweep import ISweptStore

if TYPE_CHECKING:
    from chatd.files.bucket import Bucket


SCRATCH = "scratch"  # the folder in the state folder for what does not go to the bucket


log = Logger()


class OpenedStore(NamedTuple):
    """A store that has started, and the same one if it is looked through in the background."""

    files: IFileStore
    swept: ISweptStore | None = None


class StoreParts(NamedTuple):
    """What a store is made of. `own_folder` makes the one that only this node uses, and `shared_folder` one
    for several nodes. `is_node`: other nodes may serve the realm, too."""

    reactor: IReactor
    counters: Counters
    wall: Wall
    random_bytes: Callable[[int], bytes]
    own_folder: Callable[[IReactor, Path, Counters, Wall], Uploads]
    is_node: bool = False
    shared_folder: Callable[..., SharedFolder] = SharedFolder


def open_store(files: FilesConfig, state: Path, folder: Path, parts: StoreParts) -> OpenedStore:
    """Start the store of files. `folder` is that of StateFolder.uploads. Raises StartError, OSError."""
    if files.store == S3:
        return _open_objects(files, state / SCRATCH, parts)
    if files.folder is None:
        own = parts.own_folder(parts.reactor, folder, parts.counters, parts.wall)
        own.start()
        if parts.is_node:
            log.warn(
                "the files of this node are in {folder}, where other nodes can't read them: set [files] "
                "folder or store",
                folder=str(folder),
            )
        return OpenedStore(own)
    shared = parts.shared_folder(
        parts.reactor, folder, parts.counters, parts.wall, parts.random_bytes
    )
    try:
        shared.start()
    except OSError as error:
        raise StartError(
            f"[files] folder is {folder} and can't be used: {error}; expected a folder that chatd may write "
            "to, on a file system with locks"
        ) from None
    return OpenedStore(shared)


def where_objects(files: FilesConfig) -> str:
    """The address of the objects, for people; empty if files are in a folder."""
    return f"s3://{files.bucket}/{files.prefix}" if files.store == S3 else ""


def open_bucket(files: FilesConfig) -> Bucket:
    """The bucket that the configuration names. Raises OSError, ImportError."""
    from chatd.files.bucket import Bucket, connect  # boto3 is large, and only this store needs it

    return Bucket(connect(files), files.bucket, files.prefix)


def _open_objects(files: FilesConfig, folder: Path, parts: StoreParts) -> OpenedStore:
    try:
        bucket = open_bucket(files)
    except ImportError as error:
        raise StartError(
            f"[files] store is 's3', and {error.name} is not installed; expected it from pip install "
            "'chatd[s3]'"
        ) from None
    except OSError as error:
        raise StartError(f"[files] store is 's3', and it can't be used: {error}") from None
    from chatd.files.object_store import ObjectStore

    store = ObjectStore(
        parts.reactor, bucket, folder, parts.counters, parts.wall, parts.random_bytes
    )
    store.start()
    return OpenedStore(store, store)
