"""Requests of the form `command key=value&key=value`, percent-encoded, which both forms of urlencoded have.

The token of the session is one of the values.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from typing import cast
from urllib.parse import unquote_to_bytes

import msgspec

from chatd.base import errors
from chatd.base.file_handles import distinct_handles
from chatd.base.names import Address, printable
from chatd.base.replies import FileInfo, Reply
from chatd.base.texts import Secret
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg
from chatd.lines.dialect import Dialect, PartialRequest, Request, Unreadable, decode
from chatd.lines.dialects import arguments as args
from chatd.lines.dialects.blocks import Answer
from chatd.lines.dialects.verbs import Verb
from chatd.lines.inline_file import INLINE_FILE

MAX_KEYS = 16
MAX_VALUE = 64 << 10  # encoded characters of a value that is not a file
SESSION = "session"
PAYLOAD = "payload"
_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")

RECIPIENT = Arg("username", types.ADDRESS)
MESSAGE = Arg("message", types.TEXT)
ABOUT_SELF = (
    args.USERNAME,
    args.PASSWORD,
    Arg("nationality", types.FULL_NAME),
    Arg("name", types.FULL_NAME),
)
ROOM = Arg("roomname", types.ROOM)
FILE = Arg(PAYLOAD, INLINE_FILE)


# Commands whose arguments differ from those of the verb.


def register(username: str, password: Secret, nationality: str, name: str) -> ask.Command:
    return ask.Register(username, password, name, nationality, login=False)


def send(username: Address, message: str) -> ask.Command:
    return ask.SendMessage((username,), message)


def inbox() -> ask.Command:
    return ask.ReadInbox(own=True)


def file_get(filename: str) -> ask.Command:
    return ask.GetFile(filename)


def room_chat(message: str) -> ask.Command:
    """The system's own client ends a text with the end of the line that was typed."""
    return ask.SendRoomMessage(message.removesuffix("\n"))


def names_of_files(reply: Reply) -> list[str]:
    """The files in a list, each by a name that means this file."""
    return distinct_handles([item for item in reply.items if isinstance(item, FileInfo)])


def recipients(request: Request) -> str:
    """The recipients of a message or a file, separated by commas."""
    command = cast(ask.SendMessage | ask.SendFile, request.command)
    return ",".join(map(str, command.to))


class Tag(msgspec.Struct, frozen=True):
    """What an answer needs of its request: the verb, and the token."""

    verb: Verb
    session: Secret | None = None


class KeyValueDialect(Dialect):
    """`verbs` is the table of the dialect. A verb may have two words."""

    name = "urlencoded"
    inline = True
    shared = True
    patient = True
    detailed = True
    verbs: Mapping[str, Verb]

    def token_in(self, start: bytes) -> str | None:
        """The token, which has to come before the payload: a long payload needs it."""
        _, rest = self._cut(start.decode("utf-8", "replace"))
        whole = rest.rpartition("&")[0].split("&")  # the last pair may be incomplete
        pairs = (pair.partition("=") for pair in whole)
        return next((value for key, _, value in pairs if key == SESSION), None)

    def read(self, line: bytes) -> PartialRequest:
        name, rest = self._cut(decode(line))
        verb = self.verbs.get(name)
        if verb is None:
            raise Unreadable(errors.UnknownCommand(verb=printable(name)))
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

    def answer(self, request: Request, reply: Reply) -> Answer:
        return {"status": "OK", **request.tag.verb.write(request, reply)}

    def _cut(self, text: str) -> tuple[str, str]:
        """The verb, in lower case, and what follows it. Spaces at the end are padding."""
        first, _, rest = text.strip(" ").partition(" ")
        second, _, left = rest.partition(" ")
        verb = f"{first} {second}".lower()
        return (verb, left) if verb in self.verbs else (first.lower(), rest)


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
