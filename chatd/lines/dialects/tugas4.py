"""`tugas4`, the dialect of "Tugas 4 - Spesifikasi Protokol".

It has the wire format of kelompok3, with other verbs and sentences. The name of a file begins with the
time at which it was sent. What the system's own client does differently is in tugas4_client.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from chatd.base import errors
from chatd.base.model import Message
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.lines.dialect import Request
from chatd.lines.dialects import arguments as args
from chatd.lines.dialects.blocks import (
    Answer,
    BlockDialect,
    by_sender,
    entry,
    in_ascii,
    listed,
    named,
    said,
    token,
)
from chatd.lines.dialects.json_text import CONTENT
from chatd.lines.dialects.tugas4_client import CLIENT_VERBS
from chatd.lines.dialects.tugas4_common import (
    NO_FILE,
    NO_GROUP,
    NO_SESSION,
    NO_USER,
    NOT_IN_GROUP,
    WANTED,
    WRONG,
    get_file,
    get_group_file,
    stored_name,
)
from chatd.lines.dialects.verbs import Texts, Verb, send, send_file, table

TEXTS: Texts = {
    errors.NotLoggedIn: NO_SESSION,
    errors.BadToken: NO_SESSION,
    errors.AlreadyLoggedIn: "Logout terlebih dahulu",
    errors.UnknownCommand: "There is no command {verb}",
    errors.FileTooLarge: "The file is too large: {size} bytes, and {limit} are allowed",
    errors.LineTooLong: "The line is too long: {limit} bytes are allowed",
}


def inbox() -> ask.Command:
    return ask.ReadInbox(direct=True, own=True)


def sentence(start: str) -> Callable[[Request, Reply], Answer]:
    """`start` and the name of the group."""
    return lambda _request, reply: {"message": in_ascii(f"{start} {reply.fields['group']}")}


def file_name(reply: Reply) -> str:
    return stored_name(reply.data["stored"], str(reply.fields["name"]), reply.data["at"])


def file_sent(_request: Request, reply: Reply) -> Answer:
    return {"message": "File sent", "filename": file_name(reply)}


def file_found(_request: Request, reply: Reply) -> Answer:
    return {"filename": file_name(reply), "file_content": CONTENT}


def message_entry(message: Message, names: Mapping[str, str]) -> Answer:
    """A message whose file has the name that get_file accepts."""
    file = message.file
    if file is not None:
        shown = msgspec.structs.replace(file, name=stored_name(file.stored, file.name, file.at))
        message = msgspec.structs.replace(message, file=shown)
    return entry(message, names)


def group_entry(message: Message, names: Mapping[str, str]) -> Answer:
    """A message of a group, whose recipient is not repeated."""
    found = message_entry(message, names)
    del found["msg_to"]
    return found


def members(_request: Request, reply: Reply) -> Answer:
    names: list[Any] = [getattr(member, "username", "") for member in reply.items]
    return {"messages": {str(reply.fields["group"]): names}}


VERBS = table(
    Verb(
        "auth_register",
        ask.Register,
        (args.USERNAME, args.PASSWORD),
        said("Registrasi berhasil, silakan login dengan auth_login"),
        {errors.UserExists: "Username sudah ada"},
        lambda username, password: ask.Register(username, password, login=False, outside=True),
    ),
    Verb(
        "auth_login",
        ask.LogIn,
        (args.USERNAME, args.PASSWORD),
        token,
        {errors.UnknownUser: WRONG, errors.WrongPassword: WRONG},
    ),
    Verb("auth_logout", ask.LogOut, (), said("Logout berhasil")),
    Verb(
        "ls",
        ask.ListUsers,
        (),
        named("messages", "username"),
        make=lambda: ask.ListUsers(others=True),
    ),
    Verb("send", ask.SendMessage, (args.TO, args.TEXT), said("Message sent"), NO_USER, send),
    Verb("inbox", ask.ReadInbox, (), by_sender(message_entry), make=inbox),
    Verb(
        "send_file",
        ask.SendFile,
        (args.TO, args.FILENAME, args.FILE),
        file_sent,
        NO_USER | NO_FILE,
        send_file,
    ),
    Verb("download_file", ask.GetFile, (WANTED,), file_found, NO_FILE, get_file),
    Verb(
        "mkgr",
        ask.AddGroup,
        (args.NEW_GROUP,),
        sentence("You have made the group"),
        {errors.GroupExists: "Group does exist"},
    ),
    Verb(
        "join",
        ask.JoinGroup,
        (args.GROUP,),
        sentence("You have joined the group"),
        NO_GROUP | {errors.AlreadyMember: "You have already in group"},
    ),
    Verb("leave", ask.LeaveGroup, (args.GROUP,), sentence("You have left the group"), NOT_IN_GROUP),
    Verb("ls_group", ask.ListGroups, (), named("messages", "group")),
    Verb("ls_member", ask.ListMembers, (args.GROUP,), members, NOT_IN_GROUP),
    Verb(
        "sendgroup",
        ask.SendGroupMessage,
        (args.GROUP, args.TEXT),
        said("Message sent"),
        NOT_IN_GROUP,
    ),
    Verb("inboxgroup", ask.ReadGroupInbox, (args.GROUP,), listed(group_entry), NOT_IN_GROUP),
    Verb(
        "sendgroup_file",
        ask.SendGroupFile,
        (args.GROUP, args.FILENAME, args.FILE),
        file_sent,
        NOT_IN_GROUP | NO_FILE,
    ),
    Verb(
        "downloadgroup_file",
        ask.GetFile,
        (args.GROUP, WANTED),
        file_found,
        NOT_IN_GROUP | NO_FILE,
        get_group_file,
    ),
)


class Tugas4Dialect(BlockDialect):
    name = "tugas4"
    ascii_messages = True
    token_places = 2
    verbs = VERBS
    client_verbs = CLIENT_VERBS
    texts = (TEXTS,)
