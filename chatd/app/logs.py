"""The log: its file or standard output, and its format (text, or one JSON object a line)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import IO, Any, cast

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    jsonFileLogObserver,
    textFileLogObserver,
)
from twisted.python import threadable
from twisted.python.logfile import LogFile

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


class LogOutput:
    """Where twistd logs to, by `[log]` and twistd's own options. `observer` is None if twistd decides
    (syslog, or an observer given by name); `file` is None if the log goes to standard output."""

    def __init__(self, log: LogConfig, twistd: Mapping[str, Any]) -> None:
        self.observer: ILogObserver | None = None
        self.file: RotatingLog | None = None
        if twistd.get("syslog") or twistd.get("logger"):
            return
        name = twistd.get("logfile") or ("-" if twistd.get("nodaemon", True) else "twistd.log")
        if name != "-":
            self.file = RotatingLog.fromFullPath(name, maxRotatedFiles=log.keep)
        self.observer = _observer(log, cast("IO[Any]", self.file or sys.stdout))


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
