"""`pychat`, the dialect of "py-chat".

A line `KEYWORD argument …` is answered by `success …` or `failed …`. A list is `success <n> <what>` and n
lines. Files are raw bytes, as in plain. Groups are named by their codes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from chatd.base import errors
from chatd.base.characters import isolated_lines
from chatd.base.errors import BadArgument, ChatError, PasswordMismatch, UnknownCommand
from chatd.base.model import Contact, GroupInfo, Message, Reply
from chatd.base.names import Address, Place, parse_name, printable
from chatd.base.texts import Secret
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg
from chatd.lines.dialect import Dialect, PartialRequest, Request, decode
from chatd.lines.dialects import arguments as args
from chatd.lines.dialects.timestamps import timestamp
from chatd.lines.dialects.verbs import (
    Texts,
    Verb,
    group_inbox,
    private_inbox,
    send,
    send_file,
    table,
    text_of,
)

MAX_ARGUMENT = 100
FURTHER = "  | "  # in place of an end of a line in a text

NEW_GROUP = Arg("group", types.TITLE)
AGAIN = Arg("again", types.SECRET)
CONTACT = Arg("user", types.ADDRESS)
FRIENDS = Arg("users", types.WORDS)
PATH = Arg("filename", types.FILENAME)
SIZE = Arg("size", types.SIZE)
FILE_CODE = Arg("code", types.NAME)

TEXTS: Texts = {
    errors.NotLoggedIn: "unauthorized!",
    errors.UnknownUser: "unknown user",
    errors.WrongPassword: "wrong password",
    errors.UserExists: "that username already been used",
    errors.PasswordMismatch: "password doesn't match!",
    errors.UnknownGroup: "group code is invalid",
    errors.NotMember: "you are not a member of the group!",
    errors.NotAdmin: "you are not an admin of the group!",
    errors.UnknownFile: "file code is invalid",
    errors.UnknownCommand: "there is no keyword {verb}",
}
INVITE: Texts = {
    errors.UnknownUser: "unknown users: {name}",
    errors.NotMember: TEXTS[errors.NotAdmin],
}


# Commands whose arguments differ from those of the verb.


def register(username: str, password: Secret, again: Secret) -> ask.Command:
    if password != again:
        raise PasswordMismatch
    return ask.Register(username, password, login=False)


def create_group(group: str) -> ask.Command:
    """One word is the name of the group, several are its title."""
    return ask.AddGroup(None, group) if " " in group else ask.AddGroup(parse_name(group))


def private_file(to: Address, code: str) -> ask.Command:
    return ask.GetFile(code.lower(), "code", place=Place(user=to))


def group_file(group: Address, code: str) -> ask.Command:
    return ask.GetFile(code.lower(), "code", place=Place(group=group))


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
        f"{number} {each.code or each.group} {each.title or each.group}"
        for number, each in enumerate(found, 1)
    ]
    return [_head(reply, "groups"), *lines]


def contacts(_request: Request, reply: Reply) -> Lines:
    found = [item for item in reply.items if isinstance(item, Contact)]
    lines = [f"{each.username} {'online' if each.online else 'offline'}" for each in found]
    return [_head(reply, "contacts"), *lines]


def messages(_request: Request, reply: Reply) -> Lines:
    lines = [
        f"{each.sender} {timestamp(each.at)} {content(each)}"
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
            lines.append(f"{each.sender} {place} {timestamp(each.at)} {content(each)}")
    return [_head(reply, "notifications"), *lines]


def _head(reply: Reply, what: str) -> str:
    remaining = reply.data.get("remaining")
    more = f", {remaining} more remain" if remaining else ""
    return f"{len(reply.items)} {what}{more}"


def content(message: Message) -> str:
    """The text of a message on one line, or the announcement of its file."""
    file = message.file
    if file is None:
        return isolated_lines(message.text or "", FURTHER)
    return f"[{file.name}], file_code: {file.code}"


VERBS = table(
    Verb(
        "AUTH-REGISTER",
        ask.Register,
        (args.USERNAME, args.PASSWORD, AGAIN),
        said("you are registered now!"),
        make=register,
    ),
    Verb("AUTH-LOGIN", ask.LogIn, (args.USERNAME, args.PASSWORD), said("you are logged in now")),
    Verb("AUTH-LOGOUT", ask.LogOut, (), said("you are logged out now")),
    Verb("GROUP-CREATE", ask.AddGroup, (NEW_GROUP,), said("{groupcode}"), make=create_group),
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

    def greeting(self, realm: str, version: str) -> bytes:
        return f"Welcome to {realm}\r\n".encode()

    def read(self, line: bytes) -> PartialRequest:
        word, _, rest = decode(line).lstrip(" ").partition(" ")
        verb = VERBS.get(word.lower())
        if verb is None:
            # As for any other verb, NotLoggedIn comes first.
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
