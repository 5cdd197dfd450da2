"""Opens the store of files that the configuration names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from chatd.app.state import StartError
from chatd.base.clocks import IReactor, Wall
from chatd.base.config import FilesConfig
from chatd.base.counters import Counters
from chatd.files.folder import Uploads
from chatd.files.shared_folder import SharedFolder
from chatd.files.store import IFileStore


class StoreParts(NamedTuple):
    """What a store is made of. `own_folder` makes the one that only this node uses."""

    reactor: IReactor
    counters: Counters
    wall: Wall
    random_bytes: Callable[[int], bytes]
    own_folder: Callable[[IReactor, Path, Counters, Wall], Uploads]


def open_store(files: FilesConfig, folder: Path, parts: StoreParts) -> IFileStore:
    """Start the store of files. `folder` is that of StateFolder.uploads. Raises StartError, OSError."""
    if files.folder is None:
        own = parts.own_folder(parts.reactor, folder, parts.counters, parts.wall)
        own.start()
        return own
    shared = SharedFolder(parts.reactor, folder, parts.counters, parts.wall, parts.random_bytes)
    try:
        shared.start()
    except OSError as error:
        raise StartError(
            f"[files] folder is {folder} and can't be used: {error}; expected a folder that chatd may write "
            "to, on a file system with locks"
        ) from None
    return shared
