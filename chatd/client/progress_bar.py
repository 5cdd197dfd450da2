"""The progress bar of a file transfer, drawn by rich: bytes, rate and remaining time."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from chatd.client.render import cut, safe

REDRAW = 0.1
NAME_WIDTH = 20


class NoProgress:
    """Shows nothing, for scripts whose standard error is not a terminal."""

    def begin(self, name: str, size: int) -> None: ...

    def advance(self, size: int) -> None: ...

    def end(self) -> None: ...


class ProgressBar:
    """A progress bar, rendered on demand (`text`) or, with a `console`, drawn continuously."""

    def __init__(
        self, changed: Callable[[], None] = lambda: None, console: Console | None = None
    ) -> None:
        self._console = console
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None if console else 16),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(compact=True),
            console=console,
            auto_refresh=console is not None,
            transient=True,
        )
        self._task: TaskID | None = None
        self._changed = changed
        self._drawn = 0.0

    def begin(self, name: str, size: int) -> None:
        self._task = self._progress.add_task(cut(safe(name), NAME_WIDTH), total=size)
        if self._console is not None:
            self._progress.start()

    def advance(self, size: int) -> None:
        if self._task is None:
            return
        self._progress.advance(self._task, size)
        now = time.monotonic()
        if now - self._drawn > REDRAW:
            self._drawn = now
            self._changed()

    def end(self) -> None:
        if self._task is None:
            return
        if self._console is not None:
            self._progress.stop()
        self._progress.remove_task(self._task)
        self._task = None
        self._changed()

    def text(self, width: int) -> str:
        """The current bar with ANSI colours; empty without a transfer."""
        if self._task is None:
            return ""
        target = io.StringIO()
        console = Console(file=target, width=width, force_terminal=True, color_system="standard")
        console.print(self._progress.get_renderable(), end="", no_wrap=True, crop=True)
        return target.getvalue().partition("\n")[0]
