"""pytest runs the same trial suite: here it gets what trial has by itself, a scratch folder to stand in."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

_SCRATCH = pytest.StashKey[str]()


def _only_directs(config: pytest.Config) -> bool:
    """Whether the tests run in other processes, as with `-n`, and this one hands them out."""
    return bool(getattr(config.option, "numprocesses", None)) and not hasattr(config, "workerinput")


# Last of all: until they are collected, tests are named relative to where pytest was started.
@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    if not _only_directs(session.config):
        scratch = session.config.stash[_SCRATCH] = tempfile.mkdtemp(prefix="chatd-tests-")
        os.chdir(scratch)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _SCRATCH in session.config.stash:
        os.chdir(session.config.rootpath)
        shutil.rmtree(session.config.stash[_SCRATCH], ignore_errors=True)
