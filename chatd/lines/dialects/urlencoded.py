"""`urlencoded`, the dialect of "FinalProjectProgjar" (Alam, Firman and Chendra).

A line `verb key=value&key=value`, percent-encoded, is answered by one JSON object and CRLF. The token of the
session is one of the values. What is said in a room is pushed to those who joined it.
"""

from __future__ import annotations

import binascii
import re
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec

from chatd.base import errors
from chatd.base.model import Event, FileInfo, Message, Reply, RoomTalk
from chatd.base.names import Address, printable
from chatd.base.texts import Secret
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg
from chatd.lines.dialect import (
    Dialect,
    PartialRequest,
    Request,
    Unreadable,
    Wrapping,
    content,
    decode,
)
from chatd.lines.dialects import arguments as args
from chatd.lines.dialects.blocks import Answer, json_around, json_object, non_empty
from chatd.lines.dialects.indonesian import INDONESIAN
from chatd.lines.dialects.verbs import Verb, table, text_of
from chatd.lines.inline_file import INLINE_FILE

END = b"\r\n"
MAX_KEYS = 16
MAX_VALUE = 64 << 10  # encoded characters of a value that is not a file
SESSION = "session"
PAYLOAD = "payload"
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Tag(msgspec.Struct, frozen=True):
    """What an answer needs of its request: the verb, and the token."""

    verb: Verb
    session: Secret | None = None


# Commands whose arguments differ from those of the verb.


def register(username: str, password: Secret, nationality: str, name: str) -> ask.Command:
    return ask.Register(username, password, name, nationality, login=False)


def send(username: Address, message: str) -> ask.Command:
    return ask.SendMessage((username,), message)


def file_send(username: Address, filename: str, size: int) -> ask.Command:
    return ask.SendFile((username,), filename, size, echo=True)


def file_get(filename: str) -> ask.Command:
    return ask.GetFile(filename, "name")


def room_join(roomname: str) -> ask.Command:
    return ask.JoinRoom(roomname)


def room_chat(message: str) -> ask.Command:
    return ask.SendRoomMessage(message)


# Replies.


def welcome(_request: Request, reply: Reply) -> Answer:
    name = reply.data["username"]
    return {"message": f"Login [{name}] telah berhasil", SESSION: reply.fields["tokenId"]}


def registered(_request: Request, _reply: Reply) -> Answer:
    return {"message": "User berhasil dibuat"}


def sent(request: Request, _reply: Reply) -> Answer:
    return {"message": f"Message sent to user [{_recipient(request)}]."}


def inbox(request: Request, reply: Reply) -> Answer:
    messages = [_entry(item) for item in reply.items if isinstance(item, Message)]
    return {
        SESSION: request.tag.session,
        "message": f"{len(messages)} message incoming.",
        "messages": messages,
        **non_empty(remaining=reply.data.get("remaining")),
    }


def _entry(message: Message) -> Answer:
    found: Answer = {"from": message.sender, "message": content(message)}
    return found if message.file is None else {**found, "filename": message.file.name}


def goodbye(request: Request, _reply: Reply) -> Answer:
    return {SESSION: request.tag.session, "message": "Bye bye !"}


def file_names(request: Request, reply: Reply) -> Answer:
    names = [item.name for item in reply.items if isinstance(item, FileInfo)]
    return {SESSION: request.tag.session, "message": list(dict.fromkeys(names))}


def file_sent(request: Request, reply: Reply) -> Answer:
    name = reply.fields["name"]
    return {
        "username": _recipient(request),
        SESSION: request.tag.session,
        "filename": name,
        "message": f"Berhasil mengirim file ! {name} telah dikirim.",
    }


def file_found(request: Request, reply: Reply) -> Answer:
    return {SESSION: request.tag.session, "filename": reply.fields["name"]}


def joined(request: Request, reply: Reply) -> Answer:
    return {
        "roomname": reply.fields["room"],
        SESSION: request.tag.session,
        "users": reply.data["users"],
    }


def spoken(request: Request, _reply: Reply) -> Answer:
    return {"message": getattr(request.command, "text", ""), SESSION: request.tag.session}


def left(request: Request, _reply: Reply) -> Answer:
    return {SESSION: request.tag.session}


def _recipient(request: Request) -> str:
    return ",".join(map(str, getattr(request.command, "to", ())))


RECIPIENT = Arg("username", types.ADDRESS)
MESSAGE = Arg("message", types.TEXT)
ABOUT_SELF = (
    args.USERNAME,
    args.PASSWORD,
    Arg("nationality", types.FULL_NAME),
    Arg("name", types.FULL_NAME),
)
FILE = Arg(PAYLOAD, INLINE_FILE)

VERBS = table(
    Verb("auth", ask.LogIn, (args.USERNAME, args.PASSWORD), welcome),
    Verb("register", ask.Register, ABOUT_SELF, registered, make=register),
    Verb("send", ask.SendMessage, (RECIPIENT, MESSAGE), sent, make=send),
    Verb("inbox", ask.ReadInbox, (), inbox, make=lambda: ask.ReadInbox(own=True)),
    Verb("logout", ask.LogOut, (), goodbye),
    Verb("list_file", ask.ListFiles, (), file_names, aliases=("file_list",)),
    Verb("file_send", ask.SendFile, (RECIPIENT, FILE, args.FILENAME), file_sent, make=file_send),
    Verb("file_get", ask.GetFile, (args.FILENAME,), file_found, make=file_get),
    Verb("room_join", ask.JoinRoom, (Arg("roomname", types.ROOM),), joined, make=room_join),
    Verb("room_chat", ask.SendRoomMessage, (MESSAGE,), spoken, make=room_chat),
    Verb("room_leave", ask.LeaveRoom, (), left),
)


class UrlencodedDialect(Dialect):
    name = "urlencoded"
    inline = True
    shared = True
    patient = True

    def token_in(self, start: bytes) -> str | None:
        """The token, which has to come before the payload: a long payload needs it."""
        rest = start.decode("utf-8", "replace").lstrip(" ").partition(" ")[2]
        whole = rest.rpartition("&")[0].split("&")  # the last pair may be incomplete
        pairs = (pair.partition("=") for pair in whole)
        return next((value for key, _, value in pairs if key == SESSION), None)

    def read(self, line: bytes) -> PartialRequest:
        word, _, rest = decode(line).lstrip(" ").partition(" ")
        verb = VERBS.get(word.lower())
        if verb is None:
            raise Unreadable(errors.UnknownCommand(verb=printable(word)))
        try:
            given = _values(rest)
            token = given.pop(SESSION, None) if verb.row.login else None
            if verb.row.login and token is None:
                raise errors.NotLoggedIn
        except errors.ChatError as error:
            raise Unreadable(error) from None
        tag = Tag(verb, None if token is None else Secret(token))

        def read(_live: bool) -> Request:
            if PAYLOAD in given:
                given[PAYLOAD] = _unescaped(given[PAYLOAD])
            try:
                return msgspec.structs.replace(verb.read_names(given), tag=tag)
            except errors.Usage as error:
                raise errors.Usage(reason=error.details["reason"], usage=_usage(verb)) from None

        return PartialRequest(verb.row, read, tag.session, verb.row.login, tag, verb.inline)

    def reply(self, request: Request, reply: Reply) -> bytes:
        return json_object(self._answer(request, reply), END)

    def wrap(self, request: Request, reply: Reply) -> Wrapping:
        return json_around(self._answer(request, reply), PAYLOAD, END)

    def _answer(self, request: Request, reply: Reply) -> Answer:
        return {"status": "OK", **request.tag.verb.write(request, reply)}

    def error(self, error: errors.ChatError, tag: Any = None) -> bytes:
        sentence = text_of(error, INDONESIAN)
        return json_object({"status": "ERROR", "message": sentence, "error": error.code}, END)

    def write_event(self, event: Event) -> bytes:
        if not isinstance(event, RoomTalk):
            return b""
        said = {
            "type": "broadcast",
            "roomname": event.room,
            "username": event.sender,
            "display": event.display_name,
            "message": content(event),
        }
        return json_object(said, END)


def _usage(verb: Verb) -> str:
    keys = [*(arg.name for arg in verb.args), *([SESSION] if verb.row.login else [])]
    return f"{verb.name} {'&'.join(f'{key}=...' for key in keys)}"


def _values(payload: str) -> dict[str, str]:
    """The values by their keys. A file stays encoded. Raises BadRequest."""
    values: dict[str, str] = {}
    for pair in payload.split("&", MAX_KEYS):
        raw_key, equals, raw = pair.partition("=")
        if not pair:
            continue
        key = _decoded(raw_key)
        if not equals or key in values:
            raise errors.BadSyntax(reason="each key must appear once, as key=value")
        values[key] = raw if key == PAYLOAD else _decoded(raw)
    return values


def _decoded(text: str) -> str:
    if len(text) > MAX_VALUE:
        raise errors.MessageTooLong(size=len(text), limit=MAX_VALUE)
    if _BROKEN.search(text):
        raise errors.BadSyntax(reason="% must be followed by two hexadecimal digits")
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise errors.BadEncoding from None


def _unescaped(base64: str) -> str:
    """The base64 of a file, without percent-encoding. A bare + is a plus, because base64 has no spaces."""
    if "%" not in base64:
        return base64
    if not base64.isascii() or base64.endswith("%"):
        raise errors.BadSyntax(reason="% must be followed by two hexadecimal digits")
    # The quoted-printable decoder (RFC 2045) is written in C and differs only in its escape character.
    return binascii.a2b_qp(base64.replace("=", "=3D").replace("%", "=")).decode("latin-1")
