"""Handles signals: SIGHUP reads files again, SIGUSR1 and SIGUSR2 do nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from twisted.logger import Logger

from chatd.base.clocks import IReactor

# The identity of a file's content: a write or a replacement changes it. None if there is no such file.
Signature = tuple[int, int, int, int] | None

log = Logger()


class Reloadable(msgspec.Struct):
    """Something that is read from files. If `reload` raises, it must have changed nothing. `files` returns
    the files that are watched; `seen` are their signatures before they were read last."""

    what: str
    reload: Callable[[], object]
    files: Callable[[], Sequence[Path]]
    seen: tuple[Signature, ...] = ()


def signature_of(path: Path) -> Signature:
    """Blocks on the file system. Follows symbolic links, because ACME clients replace those."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def signatures_of(paths: Sequence[Path]) -> tuple[Signature, ...]:
    return tuple(signature_of(path) for path in paths)


def _no_files() -> Sequence[Path]:
    return ()


class Reloads:
    """The files that SIGHUP reads again. One that can't be read leaves the old state in use."""

    def __init__(self) -> None:
        self._all: dict[str, Reloadable] = {}

    def add(
        self,
        what: str,
        reload: Callable[[], object],
        files: Callable[[], Sequence[Path]] = _no_files,
    ) -> None:
        """Add something that has just been read. `what` is its name for the log. If `reload` raises, it must
        have changed nothing. `files` returns its files, if their changes are watched."""
        self._all[what] = Reloadable(what, reload, files, signatures_of(files()))

    def remove(self, what: str) -> None:
        """Read it no more."""
        self._all.pop(what, None)

    def watched(self) -> list[tuple[str, Sequence[Path]]]:
        """The names of what is read from files that are watched, with these files."""
        found = [(each.what, each.files()) for each in self._all.values()]
        return [(what, files) for what, files in found if files]

    def changed(self, what: str, seen: tuple[Signature, ...]) -> None:
        """Read the files of `what` again, unless their signatures are still `seen`."""
        each = self._all.get(what)
        if each is not None and each.seen != seen:
            self._read(each)

    def reload(self) -> tuple[list[str], list[str]]:
        """Read all files again, and log what happened to each. Returns what was read, and sentences about
        what could not be read."""
        renewed, failed = [], []
        for each in list(self._all.values()):
            if error := self._read(each):
                failed.append(error)
            else:
                renewed.append(each.what)
        return renewed, failed

    def _read(self, each: Reloadable) -> str:
        """Read it again. Returns a sentence if that fails, else an empty text."""
        # Before the files are read: a change after this moment is found at the next look.
        each.seen = signatures_of(each.files())
        try:
            each.reload()
        except Exception as error:
            sentence = f"{each.what} can't be read again and stays as it is: {error}"
            log.error("{sentence}", sentence=sentence)
            return sentence
        log.info("{what} was read again", what=each.what)
        return ""


def install_signals(reactor: IReactor, reload: Callable[[], object]) -> None:
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
