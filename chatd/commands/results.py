"""What a command's handler returns: a reply, or a reply that needs more of the connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeAlias

import msgspec

from chatd.base.replies import Reply
from chatd.files.outgoing import Outgoing
from chatd.service.arriving import ArrivingFile
from chatd.service.downloads import Download


class ExpectUpload(msgspec.Struct, frozen=True):
    """Feed the bytes of a file to `upload`, then call `finish` for the reply."""

    upload: ArrivingFile
    finish: Callable[[], Coroutine[Any, Any, Reply | DownloadReply]]


class DownloadReply(msgspec.Struct, frozen=True):
    """A reply that is followed by the bytes of a file."""

    reply: Reply
    download: Download


class ReplyWithFiles(msgspec.Struct, frozen=True):
    """A reply to messages, with the bytes of files, for dialects that show files inline.

    `files` open them, by the id of the message; a dialect names in the reply any file that is not among them.
    Each is opened when it is its turn. If that fails, the connection is dropped, because the reply has begun.
    Call `sent` once the whole reply was sent.
    """

    reply: Reply
    files: Mapping[int, Callable[[], Awaitable[Outgoing]]]
    sent: Callable[[], None]


class LastReply(msgspec.Struct, frozen=True):
    """A reply after which the connection is closed."""

    reply: Reply


class NumbersShown(msgspec.Struct, frozen=True):
    """A reply after which messages are shown with their numbers (`on`), or without."""

    reply: Reply
    on: bool


Result: TypeAlias = Reply | ExpectUpload | DownloadReply | ReplyWithFiles | LastReply | NumbersShown
