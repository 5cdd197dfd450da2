"""The base of the dialects kelompok3, bagan and tugas4, which have one wire format.

A line `verb [token] argument …` is answered by one JSON object and CRLF CRLF. Nothing is pushed. Files are
part of lines and replies, in base64.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import msgspec

from chatd.base.errors import ChatError, NotLoggedIn, UnknownCommand
from chatd.base.model import Message
from chatd.base.names import printable
from chatd.base.replies import Reply
from chatd.base.tokens import is_token
from chatd.lines.dialect import (
    Dialect,
    PartialRequest,
    Request,
    Unreadable,
    Wrapping,
    content,
    decode,
)
from chatd.lines.dialects.json_text import CONTENT, encode_ascii, split
from chatd.lines.dialects.verbs import Texts, Verb, text_of

END = b"\r\n\r\n"
MAX_START = 128  # characters of the arguments that are searched for a token

Answer = dict[str, Any]


def json_object(answer: Answer, end: bytes) -> bytes:
    return encode_ascii(answer) + end


def base64(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False)


def json_around(answer: Answer, key: str, end: bytes) -> Wrapping:
    """The object, with the bytes of a file in base64 as its last value, under `key`."""
    return with_contents({**answer, key: CONTENT}, end)


def with_contents(answer: Answer, end: bytes) -> Wrapping:
    """The object with files in it, where it has `file_bytes` or `printed_file_bytes`."""
    pieces, files = split(json_object(answer, end))
    return Wrapping(pieces, base64, files)


class BlockDialect(Dialect):
    """`verbs` are the requests in the document's form, and `client_verbs` those that the system's own client
    sends in another form or reads in another shape. `texts` are the sentences for errors that a verb has none
    for.

    The client puts its token among the first `token_places` arguments (without a login: in the first), and
    then the request has its form. A word there that has the form of a token is nothing else: if no live
    session has it, the request is refused. Requests that the client sends without a token (`Verb.bare`) have
    its form if they end in a space, and those whose file travels elsewhere (`Verb.aside`) only if they end in
    one, because the document has them with a token and a file, too. `ascii_messages`: it can't show refusals
    beyond ASCII.
    """

    inline = True
    patient = True
    token_places = 1
    ascii_messages = False
    shared = True
    detailed = True
    verbs: Mapping[str, Verb]
    client_verbs: Mapping[str, Verb] = {}
    texts: tuple[Texts, ...]

    def token_in(self, start: bytes) -> str | None:
        rest = start.decode("utf-8", "replace").lstrip(" ").partition(" ")[2]
        return _token(rest, self.token_places)

    def read(self, line: bytes) -> PartialRequest:
        word, _, rest = decode(line).lstrip(" ").partition(" ")
        documented = self.verbs.get(word.lower())
        verb = self.client_verbs.get(word.lower(), documented)
        if verb is None:
            raise Unreadable(UnknownCommand(verb=printable(word)))
        token = _token(rest, self.token_places if verb.row.login else 1)
        if token is not None:
            start = rest.index(token)
            rest = rest[:start] + rest[start + len(token) + 1 :]
        if documented is not None and not _is_from_client(verb, token, line):
            verb = documented
        return PartialRequest(
            verb.row,
            partial(_read, verb, rest),
            token,
            token is not None,
            verb,
            inline=verb.inline,
            aside=verb.aside,
        )

    def reply(self, request: Request, reply: Reply) -> bytes:
        return json_object({"status": "OK", **request.tag.write(request, reply)}, END)

    def wrap(self, request: Request, reply: Reply) -> Wrapping:
        return with_contents({"status": "OK", **request.tag.write(request, reply)}, END)

    def error(self, error: ChatError, tag: Any = None) -> bytes:
        own: Texts = {}
        if isinstance(tag, Verb):
            if isinstance(error, NotLoggedIn) and tag.strangers is not None:
                return json_object({"status": "OK", **tag.strangers}, END)
            own = tag.texts
        text = text_of(error, own, *self.texts)
        if self.ascii_messages:
            text = in_ascii(text)
        return json_object({"status": "ERROR", "message": text}, END)


def in_ascii(text: str) -> str:
    """`text` for clients that can't show other characters: these are escaped as in Python."""
    return text.encode("ascii", "backslashreplace").decode()


def _is_from_client(verb: Verb, token: str | None, line: bytes) -> bool:
    """Whether a request for `verb` is in the form of the system's own client."""
    is_padded = line.endswith(b" ")
    return verb.bare and is_padded if token is None else is_padded or not verb.aside


def _token(rest: str, places: int) -> str | None:
    """The word among the first `places` arguments in `rest` that has the form of a token."""
    words = rest[: MAX_START * places].split(" ", places + 1)
    return next(filter(is_token, words[:places]), None)


def _read(verb: Verb, rest: str, _live: bool) -> Request:
    return verb.read(rest)


# Replies.


def said(sentence: str) -> Callable[[Request, Reply], Answer]:
    """The sentence, and the unknown names of a list of recipients."""

    def write(_request: Request, reply: Reply) -> Answer:
        return {"message": sentence, **non_empty(unknown=reply.data.get("unknown"))}

    return write


def token(_request: Request, reply: Reply) -> Answer:
    return {"tokenid": reply.fields["tokenId"]}


def non_empty(**values: Any) -> Answer:
    """The values that are not empty, zero or None."""
    return {key: value for key, value in values.items() if value}


def text_entry(message: Message, names: Mapping[str, str]) -> Answer:
    """A message, with display names. Its recipient is the user or the group."""
    to = message.group if message.to is None else names.get(message.to, message.to)
    return {
        "msg_from": names.get(message.sender, message.sender),
        "msg_to": to,
        "msg": content(message),
    }


def entry(message: Message, names: Mapping[str, str]) -> Answer:
    """A message, and what is known about its file."""
    found = text_entry(message, names)
    if message.file is not None:
        file = message.file
        found |= {"file_name": file.name, "file_size": file.size, "file_code": file.code}
    return found


def listed(
    write: Callable[[Message, Mapping[str, str]], Answer] = entry,
) -> Callable[[Request, Reply], Answer]:
    """Messages in one list."""

    def write_list(_request: Request, reply: Reply) -> Answer:
        names = reply.data.get("names", {})
        messages = [write(message, names) for message in messages_of(reply)]
        return {"messages": messages, **non_empty(remaining=reply.data.get("remaining"))}

    return write_list


def by_sender(
    write: Callable[[Message, Mapping[str, str]], Answer] = entry,
) -> Callable[[Request, Reply], Answer]:
    """Messages by the username of their sender."""

    def write_inbox(_request: Request, reply: Reply) -> Answer:
        names = reply.data.get("names", {})
        messages: dict[str, list[Answer]] = {}
        for message in messages_of(reply):
            messages.setdefault(message.sender, []).append(write(message, names))
        return {"messages": messages, **non_empty(remaining=reply.data.get("remaining"))}

    return write_inbox


def messages_of(reply: Reply) -> list[Message]:
    """The messages. Where files are shown by their bytes, a file that is not is one line of text."""
    found = [item for item in reply.items if isinstance(item, Message)]
    inline = reply.data.get("inline")
    return found if inline is None else [_as_shown(message, inline) for message in found]


def _as_shown(message: Message, inline: Collection[int]) -> Message:
    if message.file is None or message.id in inline:
        return message
    return msgspec.structs.replace(message, text=content(message), file=None)


def named(key: str, attribute: str) -> Callable[[Request, Reply], Answer]:
    """One attribute of each item, under `key`."""

    def write(_request: Request, reply: Reply) -> Answer:
        names = [getattr(item, attribute) for item in reply.items]
        return {key: names, **non_empty(remaining=reply.data.get("remaining"))}

    return write
