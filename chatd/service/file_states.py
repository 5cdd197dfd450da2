"""Tells readers that the file of a message has come from another realm, or is lost."""

from __future__ import annotations

from collections import defaultdict

from twisted.internet.interfaces import IReactorTime

from chatd.base.attachments import HERE, LOSSES, LOST
from chatd.base.events import FileChange
from chatd.base.isolation import guarded
from chatd.base.timers import Signal
from chatd.service.erased_files import ErasedFiles
from chatd.service.presence import Presence
from chatd.store.arrivals import SettledFile
from chatd.store.sent_files import LostFile

UNTOLD = "readers were not told of the state of a file"


class FileStates:
    """Files are named by the ids of their attachments."""

    def __init__(self, clock: IReactorTime, presence: Presence, erased: ErasedFiles) -> None:
        self._clock = clock
        self._presence = presence
        self._erased = erased
        self._waiting: defaultdict[int, Signal] = defaultdict(Signal)

    async def until_settled(self, file: int, seconds: float) -> None:
        """Wait at most `seconds` until a file that arrives is here, or lost."""
        try:
            await self._waiting[file].wait_at_most(seconds, self._clock)
        finally:
            if file in self._waiting and not self._waiting[file]:
                del self._waiting[file]

    def settled(self, file: int, settled: SettledFile, lost: str | None = None) -> None:
        """A file is here, or lost for the reason with that code."""
        for place, accounts, _ in settled.places:
            event = _event(place.conversation, place.seq, lost)
            guarded(UNTOLD, self._presence.tell_followers, accounts, event, None)
        self._presence.flush()
        self._erased.remove(settled.erased)
        waiting = self._waiting.pop(file, None)
        if waiting is not None:
            waiting.notify()

    def lost_there(self, file: LostFile, reason: str) -> None:
        """Another realm has not got the file of a message."""
        if file.seq:
            event = _event(file.conversation, file.seq, reason)
            self._presence.tell_followers((file.account_id,), event, None)
            self._presence.flush()


def _event(conversation: int, seq: int, lost: str | None) -> FileChange:
    if lost is None:
        return FileChange(conversation, seq, HERE)
    return FileChange(conversation, seq, LOST, LOSSES.get(lost, lost), lost)
