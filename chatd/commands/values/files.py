"""Files."""

from __future__ import annotations

from chatd.base.names import Address, Place
from chatd.commands.values.base import Command

__all__ = [
    "DeleteFile",
    "GetFile",
    "ListFiles",
    "SendFile",
    "SendGroupFile",
]


class SendFile(Command, frozen=True):
    """`size` is None if it is not known before the last byte has arrived; also in SendGroupFile. `echo`: the
    bytes of the file come back with the reply."""

    to: tuple[Address, ...]
    filename: str
    size: int | None
    key: str | None = None
    echo: bool = False
    wait: bool = False


class SendGroupFile(Command, frozen=True):
    """`either`: `group` may also be the name of a person."""

    group: Address | tuple[Address, ...]
    filename: str
    size: int | None
    key: str | None = None
    either: bool = False
    wait: bool = False


class ListFiles(Command, frozen=True):
    """`place`: the conversation whose files are listed, or its id; None lists those of all."""

    place: Place | int | None = None


class DeleteFile(Command, frozen=True):
    """Delete a file that the account has sent, with the messages that carry it."""

    code: str


class GetFile(Command, frozen=True):
    """Download a file by its code, by CODE-NAME, by the name under which it is stored, or the newest file
    with a name; with `by_code`, by its code only. Alternatively `stamped` gives a name and the second in
    which it was sent (in ms). `place`: the conversation that must contain it."""

    code: str
    by_code: bool = False
    stamped: tuple[str, int] | None = None
    place: Place | None = None
