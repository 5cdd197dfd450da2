"""Where the log goes, and how it looks: text for people, or one JSON object a line for programs."""

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
from twisted.python.logfile import LogFile

from chatd.config import Log


def make_observer(log: Log, twistd: Mapping[str, Any]) -> ILogObserver | None:
    """What twistd is to log to, by `[log]` and its own options; None leaves it to twistd (syslog, or an
    observer that was asked for by name)."""
    if twistd.get("syslog") or twistd.get("logger"):
        return None
    name = twistd.get("logfile") or ("-" if twistd.get("nodaemon", True) else "twistd.log")
    # A LogFile is what twistd itself takes: a file that rotates.
    out = sys.stdout if name == "-" else cast("IO[Any]", LogFile.fromFullPath(name))
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
