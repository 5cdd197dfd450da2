"""Signals of a running daemon: SIGHUP reads files again, SIGUSR1 and SIGUSR2 do nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

log = Logger()


class Reloads:
    """What SIGHUP reads again. A part that fails keeps its old state."""

    def __init__(self) -> None:
        self._all: list[tuple[str, Callable[[], object]]] = []

    def add(self, what: str, reload: Callable[[], object]) -> None:
        """Add a part. `reload` raises if `what` can't be read; its old state must be intact then."""
        self._all.append((what, reload))

    def reload(self) -> None:
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


def install_signals(reactor: Any, reload: Callable[[], None]) -> None:
    """Call `reload` in the reactor on SIGHUP, and ignore SIGUSR1 and SIGUSR2, which would end the process.

    Closing a terminal sends SIGHUP too: if the process had a terminal and has none now, it shuts down.
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
