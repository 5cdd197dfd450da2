"""The commands for sending direct messages and for reading."""

from __future__ import annotations

import msgspec

from chatd.base import errors
from chatd.base.model import MAX_READERS
from chatd.base.roles import MODERATOR
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Audited, Row
from chatd.commands.table.common import (
    CONVERSATION,
    CONVERSATION_ERRORS,
    FROM_CONVERSATION,
    KEY,
    LOOKUP_ERRORS,
    OPAQUE,
    PEOPLE_ERRORS,
    PLACE,
    PLACE_ERRORS,
    REPLY,
    SEQ,
    TEXT,
    TEXT_OR_OPAQUE,
    TO,
    WAIT,
)

_CONVERSING = (
    *CONVERSATION_ERRORS,
    errors.UnknownMessage,
    errors.GroupClosed,
    errors.Banned,
    errors.NotSupportedThere,
)

ROWS: tuple[Row, ...] = (
    Row(
        "send",
        ask.SendMessage,
        "send a message to one or more people",
        (TO, TEXT_OR_OPAQUE, KEY, WAIT, REPLY, OPAQUE),
        aliases=("msg", "tell", "dm", "privmsg"),
        overlaps=True,
        errors=(
            *PEOPLE_ERRORS,
            *LOOKUP_ERRORS,
            errors.MessageTooLong,
            errors.UnknownMessage,
            errors.NotSupportedThere,
        ),
    ),
    Row(
        "reply",
        ask.ReplyToMessage,
        "answer a message of a conversation",
        (CONVERSATION, SEQ, TEXT, KEY, WAIT),
        errors=(*_CONVERSING, errors.MessageTooLong),
    ),
    Row(
        "compose",
        ask.ComposeMessage,
        "send a text of several lines: write them after this one, and a dot alone after the last",
        (CONVERSATION, msgspec.structs.replace(TEXT, named=True), KEY, WAIT),
        errors=(*_CONVERSING, errors.MessageTooLong),
    ),
    Row(
        "forward",
        ask.ForwardMessage,
        "send a message, or its file, to another user or group, with the name of its author",
        (FROM_CONVERSATION, SEQ, Arg("to", types.DESTINATION), KEY, WAIT),
        errors=_CONVERSING,
    ),
    Row(
        "inbox",
        ask.ReadInbox,
        "read unread messages: all, or those of one user or group",
        (
            msgspec.structs.replace(PLACE, optional=True),
            Arg("peek", types.FLAG, optional=True, named=True),
        ),
        errors=PLACE_ERRORS,
    ),
    Row(
        "unread",
        ask.CountUnread,
        "count the unread messages of each conversation without marking them as read",
    ),
    Row(
        "read",
        ask.MarkRead,
        "mark a conversation as read up to a message",
        (Arg("conversation", types.SIZE), Arg("seq", types.SIZE)),
        errors=(errors.UnknownConversation,),
    ),
    Row(
        "conversations",
        ask.ListConversations,
        "list your conversations, newest first, with the last message and the unread count",
    ),
    Row(
        "history",
        ask.ShowHistory,
        "show the last messages of a conversation, read or unread",
        (
            CONVERSATION,
            Arg("n", types.COUNT, optional=True),
            Arg("before", types.SEQ, optional=True, named=True),
            Arg("after", types.SEQ, optional=True, named=True),
            Arg("around", types.SEQ, optional=True, named=True),
            Arg("since", types.TIME, optional=True, named=True),
        ),
        errors=CONVERSATION_ERRORS,
    ),
    Row(
        "sync",
        ask.SyncLog,
        "show what has changed in a conversation since you read it, or where each conversation ends",
        (
            Arg("conversation", types.SIZE, optional=True),
            Arg("after", types.SIZE, optional=True),
            Arg("n", types.COUNT, optional=True),
            Arg("version", types.SIZE, optional=True, named=True),
            Arg("term", types.SIZE, optional=True, named=True),
        ),
        errors=(errors.UnknownConversation,),
    ),
    Row(
        "readers",
        ask.ShowReaders,
        f"show who has read a message (in groups of up to {MAX_READERS} members)",
        (CONVERSATION, Arg("seq", types.SIZE)),
        errors=(*CONVERSATION_ERRORS, errors.UnknownMessage),
    ),
    Row(
        "typing",
        ask.TellTyping,
        "tell the others of a conversation that you are writing",
        (CONVERSATION,),
        errors=CONVERSATION_ERRORS,
    ),
    Row(
        "privacy",
        ask.ChangePrivacy,
        "show or change what others see of you and may do",
        (
            Arg("key", types.PRIVACY_KEY, optional=True),
            Arg("value", types.FLAG, optional=True),
            Arg("receipts", types.FLAG, optional=True, named=True),
            Arg("presence", types.FLAG, optional=True, named=True),
            Arg("invitations", types.FLAG, optional=True, named=True),
        ),
    ),
    Row(
        "report",
        ask.ReportMessage,
        "report a message to the moderators of this realm",
        (CONVERSATION, SEQ, Arg("reason", types.REASON, also=("text",))),
        errors=(*CONVERSATION_ERRORS, errors.UnknownMessage, errors.TooManyReports),
    ),
    Row(
        "reports",
        ask.ListReports,
        "list the reported messages, for moderators",
        role=MODERATOR,
        errors=(errors.NotModerator,),
    ),
    Row(
        "closereport",
        ask.CloseReport,
        "close a report, for moderators",
        (Arg("report", types.SIZE),),
        role=MODERATOR,
        audited=Audited.AT_ONCE,
        errors=(errors.NotModerator, errors.UnknownReport),
    ),
    Row(
        "notify",
        ask.SetNotifications,
        "choose which messages of a conversation notify you",
        (
            CONVERSATION,
            Arg("level", types.NOTIFY, also=("notify",)),
            Arg("until", types.TIME, optional=True),
        ),
        errors=CONVERSATION_ERRORS,
    ),
    Row(
        "archive",
        ask.ArchiveConversation,
        "move a conversation into the archive, or out of it",
        (CONVERSATION, Arg("on", types.FLAG)),
        errors=CONVERSATION_ERRORS,
    ),
    Row(
        "search",
        ask.SearchMessages,
        "search the messages of your conversations",
        (Arg("text", types.SEARCH), Arg("before", types.SIZE, optional=True, named=True)),
        errors=(*CONVERSATION_ERRORS, errors.Busy),
    ),
    Row(
        "dismiss",
        ask.DismissMessage,
        "remove a refused message to a group of another realm",
        (Arg("message_id", types.SIZE),),
        errors=(errors.NotPending,),
    ),
)
