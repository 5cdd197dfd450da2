"""Reading: inbox, histories, marks, searches."""

from __future__ import annotations

from chatd.base.model import NotifyLevel
from chatd.base.names import Address, Place
from chatd.commands.values.base import Command

__all__ = [
    "ArchiveConversation",
    "CountUnread",
    "ListConversations",
    "MarkRead",
    "ReadGroupInbox",
    "ReadInbox",
    "SearchMessages",
    "SetNotifications",
    "ShowHistory",
    "ShowReaders",
    "SyncLog",
    "TellTyping",
]


class ReadInbox(Command, frozen=True):
    """The oldest unread messages, which become read. `peek`: do not mark them as read.

    Which ones: `here`: only those from this realm. `direct`: only direct ones. `own`: also those to oneself.
    `sender`: only what that user wrote, to the reader or in a group. `newest`: the newest ones instead, read
    or unread; of a `place` those of both sides, else the direct ones that the reader received.

    `contents`: the dialect shows files by their bytes. What does not fit into one reply stays unread and
    comes later; what never fits is named only. The ids of messages with bytes are `inline` in the reply's
    data; if there are any, the result is a ReplyWithFiles.
    """

    place: Place | None = None
    peek: bool = False
    here: bool = False
    direct: bool = False
    own: bool = False
    contents: bool = False
    newest: bool = False
    sender: Address | None = None


class ReadGroupInbox(Command, frozen=True):
    group: Address


class CountUnread(Command, frozen=True):
    pass


class MarkRead(Command, frozen=True):
    conversation: int
    seq: int


class ListConversations(Command, frozen=True):
    pass


class ShowHistory(Command, frozen=True):
    """`n`: the number of messages. At most one of the others is set: the messages before, after or around a
    seq, or since a time (ms since 1970 UTC)."""

    place: Place | int
    n: int = 20
    before: int | None = None
    after: int | None = None
    around: int | None = None
    since: int | None = None


class SyncLog(Command, frozen=True):
    """`after`, `version` and `term` are what the client has (chatd.store.sync.Cursor); `n` is the number of
    entries. Without a conversation, the ends of `n` logs, from the first conversation above `after`."""

    conversation: int | None = None
    after: int = 0
    n: int = 500
    version: int | None = None
    term: int | None = None


class ShowReaders(Command, frozen=True):
    place: Place | int
    seq: int


class TellTyping(Command, frozen=True):
    place: Place | int


class SearchMessages(Command, frozen=True):
    """`before`: only messages with smaller ids than this."""

    text: str
    before: int | None = None


class SetNotifications(Command, frozen=True):
    """`until` is in ms since 1970 UTC."""

    place: Place | int
    level: NotifyLevel
    until: int | None = None


class ArchiveConversation(Command, frozen=True):
    place: Place | int
    on: bool
