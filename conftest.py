"""A scratch folder for pytest: the tests run in it, as they run in trial's, and put their files there.

It lies in memory if there is room, because the tests create thousands of databases.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from multiprocessing.util import Finalize
from pathlib import Path
from typing import IO

import pytest

from chatd.app import memory
from tests import ON_POSTGRES
from tests.support import measuring, order

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of every Linux; containers may have a small one
ENOUGH = 2 << 30  # bytes
PREFIX = "chatd-tests-"
#: Locked by the process that uses the folder, until it ends, however it ends.
LOCK = "in-use"
# After the finalizer by which multiprocessing removes its own folder, which is in the scratch folder.
LAST = -1000

_locks: list[IO[bytes]] = []


def _only_directs(config: pytest.Config) -> bool:
    """Whether the tests run in other processes, as with `-n`, and this one hands them out."""
    return bool(getattr(config.option, "numprocesses", None)) and not hasattr(config, "workerinput")


def _has_room(folder: Path) -> bool:
    return (
        folder.is_dir() and os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > ENOUGH
    )


def _lock(path: Path) -> bool:
    """Lock that file until this process ends, unless another process has locked it."""
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return False
    _locks.append(file)
    return True


def _remove_abandoned() -> None:
    """Remove the scratch folders of processes that were killed."""
    for lock in MEMORY.glob(f"{PREFIX}*/{LOCK}"):
        with contextlib.suppress(OSError):
            if _lock(lock):
                shutil.rmtree(lock.parent, ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        _remove_abandoned()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        items[:] = order.deal(items, workers)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    with measuring.measured(item.nodeid):
        result = yield
    if ON_POSTGRES:
        from tests.support.postgres_pool import POOL

        POOL.reuse()
    return result


# Last of all: until they are collected, tests are named relative to where pytest was started.
@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    if _only_directs(session.config):
        return
    parent = MEMORY if _has_room(MEMORY) else None
    scratch = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    _lock(scratch / "new")
    (scratch / "new").rename(scratch / LOCK)
    os.environ["TMPDIR"] = tempfile.tempdir = str(scratch)
    os.chdir(scratch)
    Finalize(None, _remove, (scratch,), exitpriority=LAST)
    memory.settle()  # as in the daemon: thousands of tests are not searched for garbage again and again


def _remove(scratch: Path) -> None:
    os.chdir("/")
    shutil.rmtree(scratch, ignore_errors=True)
