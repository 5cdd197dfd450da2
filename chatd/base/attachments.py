"""Files of messages: their names and sizes, whether their bytes are here, and why one is lost."""

from __future__ import annotations

import msgspec

# Whether the bytes of a file are here (Attachment.state)
HERE = "here"
ARRIVING = "arriving"
LOST = "lost"

# Why a file is lost, by the code of the reason
LOSSES = {
    "file-refused": "this realm has no room for it",
    "file-gone": "the realm that sent it no longer has it",
    "file-damaged": "its content is not what was announced",
    "file-stalled": "no part of it has arrived for 24 hours",
    "file-expired": "it did not arrive in time",
    "file-removed": "the realm keeps files only for some time, and has removed it",
    "file-missing": "it is missing from the disk of the realm that sent it",
}


class Attachment(msgspec.Struct, frozen=True):
    """A file attached to a message. `stored` is its name in the uploads folder; `at` is in ms since 1970.

    `arrival` is None if its bytes are here, empty while they arrive from another realm, and else the code of
    the reason for which they are lost. A picture has its `width` and `height` in pixels. `received` is the
    SHA-256 of the bytes as the sender sent them, if location data were removed from them.
    """

    id: int
    code: str
    name: str
    size: int
    sha256: str
    mime: str
    stored: str
    at: int
    arrival: str | None = None
    width: int | None = None
    height: int | None = None
    received: str | None = None

    @property
    def state(self) -> str:
        """Whether its bytes are here."""
        return HERE if self.arrival is None else LOST if self.arrival else ARRIVING

    @property
    def reason(self) -> str | None:
        """Why it is lost, or None."""
        return LOSSES.get(self.arrival, self.arrival) if self.arrival else None


class StoredFile(msgspec.Struct, frozen=True):
    """A complete file on disk, with the name `stored` in the uploads folder. `width`, `height` and `received`
    as in Attachment; a file that is no picture has the size 0."""

    stored: str
    size: int
    sha256: str
    mime: str
    width: int = 0
    height: int = 0
    received: str | None = None


def attachment_of(ident: int, code: str, name: str, file: StoredFile, at: int) -> Attachment:
    """The attachment with a file that is here."""
    return Attachment(
        ident,
        code,
        name,
        file.size,
        file.sha256,
        file.mime,
        file.stored,
        at,
        width=file.width or None,
        height=file.height or None,
        received=file.received,
    )
