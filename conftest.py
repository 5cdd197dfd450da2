"""A scratch folder for pytest: the tests run in it, as they run in trial's, and put their files there.

It lies in memory if there is room, because the tests create thousands of databases.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of every Linux; containers may have a small one
ENOUGH = 2 << 30  # bytes

_made: list[str] = []


def _only_directs(config: pytest.Config) -> bool:
    """Whether the tests run in other processes, as with `-n`, and this one hands them out."""
    return bool(getattr(config.option, "numprocesses", None)) and not hasattr(config, "workerinput")


def _has_room(folder: Path) -> bool:
    return (
        folder.is_dir() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > ENOUGH
    )


# Last of all: until they are collected, tests are named relative to where pytest was started.
@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    if not _only_directs(session.config):
        parent = MEMORY if _has_room(MEMORY) else None
        scratch = tempfile.mkdtemp(prefix="chatd-", dir=parent)
        _made.append(scratch)
        os.environ["TMPDIR"] = tempfile.tempdir = scratch
        os.chdir(scratch)


def _remove() -> None:
    os.chdir("/")
    for scratch in _made:
        shutil.rmtree(scratch, ignore_errors=True)


# Registered before the tests are imported, and so called after what they register.
atexit.register(_remove)
