"""pytest runs the same trial suite: here it gets what trial has by itself, a scratch folder to stand in."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

_SCRATCH = pytest.StashKey[str]()


def pytest_sessionstart(session: pytest.Session) -> None:
    scratch = session.config.stash[_SCRATCH] = tempfile.mkdtemp(prefix="chatd-tests-")
    os.chdir(scratch)


def pytest_sessionfinish(session: pytest.Session) -> None:
    os.chdir(session.config.rootpath)
    shutil.rmtree(session.config.stash[_SCRATCH], ignore_errors=True)
