"""Notices that certificates were renewed, and has them read again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from chatd.app.reload import Reloads, Signature, signatures_of
from chatd.base.background import in_background
from chatd.base.timers import Timer

INTERVAL = 30.0  # seconds between two looks


class CertificateWatch:
    """Looks at the watched files of `reloads` every INTERVAL seconds by `clock`, between `start` and `stop`.
    `in_thread` runs what blocks on the file system.

    Only the files' metadata are looked at. A file that was read half-written is read again when it is
    complete, because that changes its metadata once more.
    """

    def __init__(
        self, clock: IReactorTime, in_thread: Callable[..., Deferred[Any]], reloads: Reloads
    ) -> None:
        self._in_thread = in_thread
        self._reloads = reloads
        self._timer = Timer(clock, self._look)
        self._stopped = False

    def start(self) -> None:
        self._timer.start(INTERVAL)

    def stop(self) -> None:
        self._stopped = True
        self._timer.cancel()

    def _look(self) -> None:
        looking = Deferred.fromCoroutine(self._compare())
        in_background("changes of certificates were not looked for", looking)

    async def _compare(self) -> None:
        try:
            seen = await self._in_thread(_look_at, self._reloads.watched())
            for what, signatures in seen:
                if not self._stopped:
                    self._reloads.changed(what, signatures)
        finally:
            if not self._stopped:
                self._timer.start(INTERVAL)


def _look_at(
    watched: Sequence[tuple[str, Sequence[Path]]],
) -> list[tuple[str, tuple[Signature, ...]]]:
    """Runs in a thread."""
    return [(what, signatures_of(files)) for what, files in watched]
