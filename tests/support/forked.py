"""Programs forked from a process that has already imported them, so that a start takes a tenth of the time.

A forked daemon or client is a process of its own and runs from its command line to its exit code. What it
does not show is that a fresh interpreter finds everything: the tests of installing start one.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, Protocol
from unittest import mock

from coverage import Coverage

from tests.support import ROOT
from tests.support.measuring import OF_PROCESSES, measure_process

# What the programs have imported when they listen or talk. None of it installs a reactor or starts a thread.
PRELOADED = (
    "tests.support.forked",
    "twisted.scripts.twistd",
    "twisted.plugins.chatd_plugin",
    "twisted.words.iwords",  # twistd imports it when it looks for plugins
    "twisted.trial.itrial",
    "twisted.cred.strcred",
    "cryptography.hazmat.backends.openssl.backend",
    "chatd.tap",
    "chatd.app.demo",
    "chatd.client.main",
    "chatd.client.script",
    "chatd.client.screen",
    "chatd.client.interactive",
    "tests.support.preloaded",  # the last
)

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(PRELOADED))


@cache
def _start_server() -> None:
    """Start the process that others are forked from, once in a process that tests."""
    # The server does not get our sys.path before it imports. It is not measured, so that only those of its
    # processes take the time that a measurement takes that are measured.
    with mock.patch.dict(os.environ, PYTHONPATH=str(ROOT)):
        os.environ.pop(OF_PROCESSES, None)
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


@dataclass(frozen=True)
class Streams:
    """The files that a program reads and writes. What it writes is appended.

    With `terminal`, all three are that terminal, and it becomes the controlling one.
    """

    stdin: str = os.devnull
    stdout: str = os.devnull
    stderr: str = os.devnull
    terminal: str | None = None

    def attach(self) -> None:
        """Take them in place of those of this process."""
        if self.terminal is not None:
            os.setsid()
            # The first terminal that the leader of a session opens controls the session.
            found = [os.open(self.terminal, os.O_RDWR)] * 3
        else:
            append = os.O_WRONLY | os.O_APPEND | os.O_NOCTTY
            found = [os.open(self.stdin, os.O_RDONLY | os.O_NOCTTY)]
            found += [os.open(path, append) for path in (self.stdout, self.stderr)]
        for descriptor, opened in enumerate(found):
            os.dup2(opened, descriptor)
        # As with a locale of C.UTF-8.
        sys.stdin = os.fdopen(0, "r", -1, "utf-8", "surrogateescape")
        sys.stdout = os.fdopen(1, "w", -1, "utf-8", "surrogateescape")
        sys.stderr = os.fdopen(2, "w", 1, "utf-8", "backslashreplace")


@dataclass(frozen=True)
class Surroundings:
    """What a program finds: its working folder, its environment, and its umask (-1: that of the tests)."""

    folder: Path
    environment: Mapping[str, str]
    umask: int = -1

    def enter(self) -> None:
        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environment)
        if self.umask >= 0:
            os.umask(self.umask)


class Forked:
    """A Process that runs `program`. The first of `arguments` is the program's name."""

    def __init__(
        self,
        program: Callable[[], Any],
        arguments: Sequence[str],
        surroundings: Surroundings,
        streams: Streams,
    ) -> None:
        _start_server()
        how = os.environ.get(OF_PROCESSES)
        given = (program, list(arguments), surroundings, streams, how)
        self._process = _context.Process(target=_run, args=given)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid
        self._code: int | None = None

    @property
    def returncode(self) -> int | None:
        return self.poll()

    def poll(self) -> int | None:
        if self._code is None and (code := self._process.exitcode) is not None:
            self._code = code
            # Tests stay in memory until the last one ends, and their processes with them.
            self._process.close()
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        if self._code is None:
            self._process.join(timeout)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(
    program: Callable[[], Any],
    arguments: Sequence[str],
    surroundings: Surroundings,
    streams: Streams,
    how: str | None,
) -> None:
    surroundings.enter()
    measure_process(how)
    streams.attach()
    random.seed()  # each fork would draw the same numbers
    sys.argv = list(arguments)
    sys.exit(program())


def twistd() -> None:
    """Run twistd, as its script does."""
    from twisted.scripts.twistd import run

    if (measuring := Coverage.current()) is not None:
        # In the end twistd dies of the signal that has stopped it, and nothing is saved then.
        reactor: Any = import_module("twisted.internet.reactor")
        reactor.addSystemEventTrigger("after", "shutdown", measuring.save)
    run()


def client() -> int:
    """Run chatd-client, as its script does."""
    from chatd.client.main import main

    return main()


@dataclass(frozen=True)
class OtherDoors:
    """Runs twistd with other ports in place of the shipped ones, which may be taken on this machine."""

    doors: Mapping[str, str]

    def __call__(self) -> None:
        from chatd.base import config

        config.DEFAULT_DOORS.update(self.doors)
        twistd()


@dataclass(frozen=True)
class Demo:
    """Runs the demo with other ports in place of the shipped ones, in its realms as well. `patience` is how
    many seconds it waits for the link. If `fresh`, its realms are fresh interpreters, as those of users.
    Otherwise they are forked from the demo."""

    doors: Mapping[str, str]
    patience: float
    fresh: bool

    def __call__(self) -> None:
        from chatd.app import demo
        from chatd.base import config

        config.DEFAULT_DOORS.update(self.doors)
        demo.TWISTD = (sys.executable, "-c", _TWISTD_WITH_DOORS.format(doors=dict(self.doors)))
        demo.LINKING_TIME = self.patience
        if not self.fresh:
            asyncio.create_subprocess_exec = _fork_realm  # type: ignore[assignment]
        demo.main()


# In the realms of the demo that are fresh interpreters.
_TWISTD_WITH_DOORS = """\
from chatd.base import config
config.DEFAULT_DOORS.update({doors!r})
from twisted.scripts.twistd import run
run()
"""
_OPEN_AT_MOST = 1024  # descriptors of the demo
_execute = asyncio.create_subprocess_exec


async def _fork_realm(*command: str, **options: Any) -> asyncio.subprocess.Process:
    """Start twistd as asyncio starts a program, but in the forked process itself."""
    arguments = command[3:]  # after the interpreter and its code
    return await _execute(*command, **options, preexec_fn=partial(_become_realm, arguments))


def _become_realm(arguments: Sequence[str]) -> None:
    """Run twistd in a process that was about to execute a program, and end the process."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Those of the demo's loop, and the pipe at whose end the demo knows that the program has started.
    os.closerange(3, _OPEN_AT_MOST)
    asyncio._set_running_loop(None)
    code: Any = 1
    try:
        random.seed()
        sys.argv = ["twistd", *arguments]
        twistd()
    except SystemExit as end:
        code = end.code
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code if isinstance(code, int) else bool(code))
