"""Copies files to another folder so that a kill or a power cut never leaves half of one there. It blocks."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from chatd.base.private_files import sync_folder

STEP = 1 << 20  # bytes that are copied at a time
PART = "."  # begins the name of an incomplete copy; names of stored files never begin with it


class Stopped(Exception):
    """The work was interrupted because the daemon stops."""


def copy_file(source: Path, target: Path, is_stopped: Callable[[], bool]) -> str:
    """Copy a file, readable only by this user. Returns its SHA-256 when its content is on disk; its name is
    there after `sync_folder`. Raises OSError, Stopped; then `target` is as before."""
    part = target.with_name(PART + target.name)
    part.unlink(missing_ok=True)
    digest = hashlib.sha256()
    try:
        with (
            source.open("rb") as reader,
            open(part, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as writer,
        ):
            while piece := reader.read(STEP):
                if is_stopped():
                    raise Stopped
                digest.update(piece)
                writer.write(piece)
            writer.flush()
            os.fsync(writer.fileno())
        os.utime(part, ns=(source.stat().st_atime_ns, source.stat().st_mtime_ns))
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return digest.hexdigest()


def hash_file(path: Path, is_stopped: Callable[[], bool]) -> str:
    """The SHA-256 of a file. Raises OSError, Stopped."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(STEP):
            if is_stopped():
                raise Stopped
            digest.update(piece)
    return digest.hexdigest()


def clear_parts(folder: Path) -> None:
    """Remove what interrupted copies have left. Raises OSError."""
    for part in folder.glob(f"{PART}*"):
        part.unlink(missing_ok=True)
    sync_folder(folder)
