"""Handles signals: SIGHUP reads files again, SIGUSR1 and SIGUSR2 do nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from twisted.logger import Logger

from chatd.base.clocks import IReactor

log = Logger()


class Reloads:
    """The files that SIGHUP reads again. One that can't be read leaves the old state in use."""

    def __init__(self) -> None:
        self._all: list[tuple[str, Callable[[], object]]] = []

    def add(self, what: str, reload: Callable[[], object]) -> None:
        """Add a file. `what` is its name for the log. If `reload` raises, it must have changed nothing."""
        self._all.append((what, reload))

    def reload(self) -> None:
        """Read all files again, and log what happened to each."""
        for what, reload in self._all:
            try:
                reload()
            except Exception as error:
                log.error(
                    "{what} can't be read again and stays as it is: {error}",
                    what=what,
                    error=str(error),
                )
            else:
                log.info("{what} was read again", what=what)


def install_signals(reactor: IReactor, reload: Callable[[], None]) -> None:
    """Call `reload` in the reactor's thread on SIGHUP, and ignore SIGUSR1 and SIGUSR2, which would end the
    process.

    Closing a terminal sends SIGHUP too. So a process that had a terminal and has lost it shuts down.
    """
    attended = _has_terminal()

    def hung_up() -> None:
        if attended and not _has_terminal():
            reactor.stop()
        else:
            reload()

    signal.signal(signal.SIGHUP, lambda *_: reactor.callFromThread(hung_up))
    for harmless in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(harmless, lambda *_: None)


def _has_terminal() -> bool:
    """Whether the process has a controlling terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
