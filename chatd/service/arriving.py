"""A file that a client is sending: the part that all kinds of uploads share."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from chatd.files.incoming import Incoming


class ArrivingFile:
    """`write` all bytes of the file, then call `finish` of the subclass. To break off, `abort`."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming
        self._arrives = True

    @property
    def missing(self) -> int:
        """How many bytes have not arrived yet."""
        return self._incoming.missing

    @property
    def has_failed(self) -> bool:
        """Whether writing to the disk has failed."""
        return self._incoming.error is not None

    def write(self, data: bytes) -> bool:
        """Take the next bytes. Returns False to ask for a pause until `room` fires."""
        return self._incoming.write(data)

    def room(self) -> Deferred[None]:
        """Fires when the disk has caught up."""
        return self._incoming.room()

    def abort(self) -> None:
        """Remove what has arrived."""
        self._end()
        self._incoming.abort()

    def _end(self) -> None:
        """The file is no longer arriving. Does nothing the second time, because a caller may `abort` after
        `finish` has failed."""
        if self._arrives:
            self._arrives = False
            self._release()

    def _release(self) -> None:
        """Stop counting the file as arriving. Called once."""
        raise NotImplementedError
