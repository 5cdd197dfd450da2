"""What the client of `tugas4` sends and reads in another form than its document describes.

It is a program in Python 2 that evaluates lists as Python (chatd.lines.dialects.python_literals), and shows
the first element of each name. It reads all messages each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatd.base import errors
from chatd.base.model import Message
from chatd.base.names import Address, Place
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.lines.dialect import Request, text_of
from chatd.lines.dialects import arguments as args
from chatd.lines.dialects.blocks import Answer, messages_of, non_empty, said
from chatd.lines.dialects.python_literals import dict_literal
from chatd.lines.dialects.tugas4_common import (
    NO_FILE,
    NO_USER,
    NOT_IN_GROUP,
    get_file,
    get_group_file,
    stored_name,
)
from chatd.lines.dialects.verbs import Verb, send, table


def rows(attribute: str) -> Callable[[Request, Reply], Answer]:
    """One attribute of each item, as a row of a table with one column."""

    def write(_request: Request, reply: Reply) -> Answer:
        names = [[getattr(item, attribute)] for item in reply.items]
        return {"messages": names, **non_empty(remaining=reply.data.get("remaining"))}

    return write


def shown(message: Message) -> str:
    """The text of a message. A file is shown by the name with which it can be fetched."""
    file = message.file
    return text_of(message) if file is None else stored_name(file.stored, file.name, file.at)


def literals(_request: Request, reply: Reply) -> Answer:
    """Messages by the username of their sender, each as the literal of a dictionary."""
    names = reply.data.get("names", {})
    found: dict[str, list[str]] = {}
    for message in messages_of(reply):
        to = str(message.to)
        entry = {
            "msg_from": names.get(message.sender, message.sender),
            "msg_to": names.get(to, to),
            "msg": shown(message),
        }
        found.setdefault(message.sender, []).append(dict_literal(entry))
    return {"messages": found, **non_empty(remaining=reply.data.get("remaining"))}


def pairs(_request: Request, reply: Reply) -> Answer:
    """The sender and the text of each message."""
    found: list[Any] = [[message.sender, shown(message)] for message in messages_of(reply)]
    return {"messages": found, **non_empty(remaining=reply.data.get("remaining"))}


def inbox() -> ask.Command:
    return ask.ReadInbox(direct=True, own=True, newest=True)


def group_inbox(group: Address) -> ask.Command:
    return ask.ReadInbox(Place(group=group), newest=True)


def send_file(to: Address, filename: str) -> ask.Command:
    return ask.SendFile((to,), filename, size=None)


def send_group_file(group: Address, filename: str) -> ask.Command:
    return ask.SendGroupFile(group, filename, size=None)


CLIENT_VERBS = table(
    Verb(
        "auth_logout",
        ask.LogOut,
        (),
        said("Session ID Deleted. Logged out!"),
        {errors.NotLoggedIn: "Login first to log out!"},
        bare=True,
    ),
    Verb("ls", ask.ListUsers, (), rows("username"), make=lambda: ask.ListUsers(others=True)),
    Verb("send", ask.SendMessage, (args.TO, args.TYPED_TEXT), said("Message Sent"), NO_USER, send),
    Verb("inbox", ask.ReadInbox, (), literals, make=inbox),
    Verb(
        "send_file",
        ask.SendFile,
        (args.TO, args.SPACED_FILENAME),
        said("File sent"),
        NO_USER,
        send_file,
        aside=True,
    ),
    Verb(
        "download_file",
        ask.GetFile,
        (args.FILENAME,),
        said("File downloaded"),
        NO_FILE,
        get_file,
        aside=True,
    ),
    Verb("ls_group", ask.ListGroups, (), rows("group")),
    Verb(
        "sendgroup",
        ask.SendGroupMessage,
        (args.GROUP, args.TYPED_TEXT),
        said("Message Sent"),
        NOT_IN_GROUP,
    ),
    Verb("inboxgroup", ask.ReadInbox, (args.GROUP,), pairs, NOT_IN_GROUP, group_inbox),
    Verb(
        "sendgroup_file",
        ask.SendGroupFile,
        (args.GROUP, args.SPACED_FILENAME),
        said("File sent"),
        NOT_IN_GROUP,
        send_group_file,
        aside=True,
    ),
    Verb(
        "downloadgroup_file",
        ask.GetFile,
        (args.GROUP, args.FILENAME),
        said("File downloaded"),
        NOT_IN_GROUP | NO_FILE,
        get_group_file,
        aside=True,
    ),
)
