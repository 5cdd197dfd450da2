"""`pychat`, the dialect of "py-chat".

A line `KEYWORD argument …` is answered by `success …` or `failed …`. A list is `success <n> <what>` and n
lines. Files are raw bytes, as in plain. Groups are named by their codes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from chatd.base.errors import BadArgument, BadSyntax, ChatError, UnknownCommand
from chatd.base.model import Message
from chatd.base.names import printable
from chatd.base.replies import Contact, GroupInfo, Reply
from chatd.base.timestamps import timestamp
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg
from chatd.lines.dialect import Dialect, PartialRequest, Request, decode
from chatd.lines.dialects import arguments as args
from chatd.lines.dialects.pychat_client import PychatClientDialect
from chatd.lines.dialects.pychat_common import (
    INVITE,
    LOGIN,
    TEXTS,
    content,
    group_file,
    new_group,
    private_file,
    registration,
    title_of,
)
from chatd.lines.dialects.verbs import (
    Verb,
    group_inbox,
    private_inbox,
    send,
    send_file,
    table,
    text_of,
)
from chatd.lines.line_buffer import LineBuffer
from chatd.lines.object_buffer import ObjectBuffer

MAX_ARGUMENT = 100
FURTHER = "  | "  # in place of an end of a line in a text

NEW_GROUP = Arg("words", types.TITLE)
AGAIN = Arg("again", types.SECRET)
CONTACT = Arg("user", types.ADDRESS)
FRIENDS = Arg("users", types.WORDS)
PATH = Arg("filename", types.FILENAME)
SIZE = Arg("size", types.SIZE)
FILE_CODE = Arg("code", types.NAME)


# Commands whose arguments differ from those of the verb.


def notifications() -> ask.Command:
    return ask.ReadInbox(peek=True)


# Replies: the message, and the lines of a list.

Lines = Sequence[str]


def said(message: str) -> Callable[[Request, Reply], Lines]:
    """The message, with fields of the reply filled in."""
    return lambda _request, reply: [message.format_map(reply.fields)]


def titled(start: str) -> Callable[[Request, Reply], Lines]:
    """`start`, and the title of the group or its name."""
    return lambda _request, reply: [f"{start} {reply.data.get('title') or reply.fields['group']}"]


def invited(_request: Request, reply: Reply) -> Lines:
    unknown = reply.data.get("unknown")
    also = f"; unknown users: {', '.join(unknown)}" if unknown else ""
    return [f"{len(reply.data.get('joined', ()))} invited{also}"]


def groups(_request: Request, reply: Reply) -> Lines:
    found = [item for item in reply.items if isinstance(item, GroupInfo)]
    lines = [
        f"{number} {each.code or each.group} {title_of(each)}"
        for number, each in enumerate(found, 1)
    ]
    return [_head(reply, "groups"), *lines]


def contacts(_request: Request, reply: Reply) -> Lines:
    found = [item for item in reply.items if isinstance(item, Contact)]
    lines = [f"{each.username} {'online' if each.online else 'offline'}" for each in found]
    return [_head(reply, "contacts"), *lines]


def messages(_request: Request, reply: Reply) -> Lines:
    lines = [
        f"{each.sender} {timestamp(each.at)} {one_line(each)}"
        for each in reply.items
        if isinstance(each, Message)
    ]
    return [_head(reply, "messages"), *lines]


def notes(_request: Request, reply: Reply) -> Lines:
    codes = reply.data.get("codes", {})
    lines = []
    for each in reply.items:
        if isinstance(each, Message):
            place = "-" if each.group is None else codes.get(each.group) or each.group
            lines.append(f"{each.sender} {place} {timestamp(each.at)} {one_line(each)}")
    return [_head(reply, "notifications"), *lines]


def _head(reply: Reply, what: str) -> str:
    remaining = reply.data.get("remaining")
    more = f", {remaining} more remain" if remaining else ""
    return f"{len(reply.items)} {what}{more}"


def one_line(message: Message) -> str:
    return content(message, FURTHER)


VERBS = table(
    Verb(
        "AUTH-REGISTER",
        ask.Register,
        (args.USERNAME, args.PASSWORD, AGAIN),
        said("you are registered now!"),
        make=registration,
    ),
    Verb(
        "AUTH-LOGIN",
        ask.LogIn,
        (args.USERNAME, args.PASSWORD),
        said("you are logged in now"),
        LOGIN,
    ),
    Verb("AUTH-LOGOUT", ask.LogOut, (), said("you are logged out now")),
    Verb("GROUP-CREATE", ask.AddGroup, (NEW_GROUP,), said("{groupcode}"), make=new_group),
    Verb("GROUP-GET", ask.ListOwnGroups, (), groups),
    Verb("GROUP-JOIN", ask.JoinGroup, (args.GROUP,), titled("you have joined")),
    Verb("GROUP-EXIT", ask.LeaveGroup, (args.GROUP,), titled("you have left")),
    Verb("GROUP-INVITE", ask.InviteMembers, (args.GROUP, FRIENDS), invited, INVITE),
    Verb(
        "CHAT-PRIVATE-SEND", ask.SendMessage, (args.TO, args.TEXT), said("message sent"), make=send
    ),
    Verb("CHAT-GROUP-SEND", ask.SendGroupMessage, (args.GROUP, args.TEXT), said("message sent")),
    Verb("CHAT-PRIVATE-GET", ask.ReadInbox, (args.TO,), messages, make=private_inbox),
    Verb("CHAT-GROUP-GET", ask.ReadInbox, (args.GROUP,), messages, make=group_inbox),
    Verb(
        "FILE-SEND-PRIVATE",
        ask.SendFile,
        (args.TO, PATH, SIZE),
        said("file {code}"),
        make=send_file,
    ),
    Verb("FILE-SEND-GROUP", ask.SendGroupFile, (args.GROUP, PATH, SIZE), said("file {code}")),
    Verb(
        "FILE-GET-PRIVATE",
        ask.GetFile,
        (args.TO, FILE_CODE),
        said("{name} {size}"),
        make=private_file,
    ),
    Verb(
        "FILE-GET-GROUP",
        ask.GetFile,
        (args.GROUP, FILE_CODE),
        said("{name} {size}"),
        make=group_file,
    ),
    Verb("CONTACT-ADD", ask.AddContact, (CONTACT,), said("contact added")),
    Verb("CONTACT-DELETE", ask.DeleteContact, (CONTACT,), said("contact deleted")),
    Verb("CONTACT-GET", ask.ListContacts, (), contacts),
    Verb("NOTIF-GET", ask.ReadInbox, (), notes, make=notifications),
)


class PychatDialect(Dialect):
    name = "pychat"
    patient = True
    detailed = True
    original = PychatClientDialect()
    live = True
    answers_empty = True

    def new_buffer(self, limit: int, most: int) -> LineBuffer:
        return ObjectBuffer(limit, most)

    def greeting(self, realm: str, version: str) -> bytes:
        return f"Welcome to {realm}\r\n".encode()

    def read(self, line: bytes) -> PartialRequest:
        word, _, rest = decode(line).lstrip(" ").partition(" ")
        verb = VERBS.get(word.lower())
        if verb is None:
            # As for any other verb, NotLoggedIn comes first.
            unknown: ChatError = BadSyntax(reason="send a keyword")
            if word:
                unknown = UnknownCommand(verb=printable(word, MAX_ARGUMENT))
            return PartialRequest(NAMELESS.row, partial(_refuse, unknown), tag=NAMELESS)
        return PartialRequest(verb.row, partial(_read, verb, rest), tag=verb)

    def reply(self, request: Request, reply: Reply) -> bytes:
        head, *lines = request.tag.write(request, reply)
        return _lines(f"success {head}", *lines)

    def ready(self, request: Request) -> bytes:
        return _lines("success ready")

    def error(self, error: ChatError, tag: Any = None) -> bytes:
        own = tag.texts if tag is not None else {}
        return _lines(f"failed {text_of(error, own, TEXTS)}")


NAMELESS = msgspec.structs.replace(VERBS["notif-get"], name="")


def _lines(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()


def _refuse(error: ChatError, _live: bool) -> Request:
    raise error


def _read(verb: Verb, rest: str, _live: bool) -> Request:
    for word in rest.split(" "):
        if len(word) > MAX_ARGUMENT:
            expected = f"{MAX_ARGUMENT} characters at most"
            raise BadArgument(argument="a word", found="that long", expected=expected)
    return verb.read(rest)
