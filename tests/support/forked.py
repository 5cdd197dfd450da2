"""Daemons forked from a process that has already imported chatd, so that a start takes a tenth of the time.

A forked daemon is a process of its own and runs `twistd` from its command line to its exit code. What it does
not show is that a fresh interpreter finds everything: tests of installing and of options start one.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

from tests.support import ROOT

# What a daemon imports before it listens. None of them installs a reactor or starts a thread.
PRELOADED = (
    "tests.support.forked",
    "twisted.scripts.twistd",
    "twisted.plugins.chatd_plugin",
    "twisted.words.iwords",  # twistd imports it when it looks for plugins
    "twisted.trial.itrial",
    "chatd.tap",
)

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(PRELOADED))


@cache
def _start_server() -> None:
    """Start the process that daemons are forked from, once in a process that tests."""
    # The server does not get our sys.path before it imports.
    with mock.patch.dict(os.environ, PYTHONPATH=str(ROOT)):
        forkserver.ensure_running()


class Process(Protocol):
    """What tests use of subprocess.Popen."""

    pid: int

    @property
    def returncode(self) -> int | Any: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, number: int) -> None: ...

    def kill(self) -> None: ...


class ForkedTwistd:
    """A Process that runs `twistd` with these arguments."""

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        out: Path,
        err: Path,
    ) -> None:
        _start_server()
        given = (list(arguments), str(folder), dict(environment), str(out), str(err))
        self._process = _context.Process(target=_run_twistd, args=given)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("twistd", timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run_twistd(
    arguments: Sequence[str], folder: str, environment: Mapping[str, str], out: str, err: str
) -> Any:
    for descriptor, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    random.seed()  # each fork would draw the same numbers
    sys.argv = ["twistd", *arguments]
    from twisted.scripts.twistd import run

    run()
