"""The log: its file or standard output, and its format (text, or one JSON object a line)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import IO, Any, cast

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    jsonFileLogObserver,
    textFileLogObserver,
)
from twisted.python import threadable
from twisted.python.logfile import LogFile
from zope.interface import implementer

from chatd.base.config import LogConfig


class RotatingLog(LogFile):
    """A log file that is renamed to `.1`, `.2` and so on at 1 MB each. `maxRotatedFiles` of them are kept."""

    synchronized = ["reopen"]

    def reopen(self) -> None:
        """Reopen the log by its name, because another program may have moved the file. Raises OSError, and
        continues in the old file, if that fails."""
        with open(self.path, "ab"):  # noqa: PTH123 - as Twisted opens it, but before it closes the old file
            super().reopen()


threadable.synchronize(RotatingLog)


@implementer(ILogObserver)
class ChangeableObserver:
    """Passes events on to another observer, which may be replaced."""

    def __init__(self, observer: ILogObserver) -> None:
        self.observer = observer

    def __call__(self, event: LogEvent) -> None:
        self.observer(event)


class LogOutput:
    """Where twistd logs to, by `[log]` and twistd's own options. `observer` is None if twistd decides
    (syslog, or an observer given by name); `file` is None if the log goes to standard output."""

    def __init__(self, log: LogConfig, twistd: Mapping[str, Any]) -> None:
        self.observer: ChangeableObserver | None = None
        self.file: RotatingLog | None = None
        if twistd.get("syslog") or twistd.get("logger"):
            return
        name = twistd.get("logfile") or ("-" if twistd.get("nodaemon", True) else "twistd.log")
        if name != "-":
            self.file = RotatingLog.fromFullPath(name, maxRotatedFiles=log.keep)
        self._out = cast("IO[Any]", self.file or sys.stdout)
        self.observer = ChangeableObserver(_observer(log, self._out))

    def use(self, log: LogConfig) -> None:
        """Use another format, level and number of rotated files from now on."""
        if self.observer is not None:
            self.observer.observer = _observer(log, self._out)
        if self.file is not None:
            self.file.maxRotatedFiles = log.keep


def _observer(log: LogConfig, out: IO[Any]) -> ILogObserver:
    observer = (
        jsonFileLogObserver(out, recordSeparator="")
        if log.format == "json"
        else textFileLogObserver(out)
    )
    level = LogLevel.lookupByName(log.level)
    return cast(
        ILogObserver,
        FilteringLogObserver(observer, [LogLevelFilterPredicate(defaultLogLevel=level)]),
    )
