"""The language of py-chat's own client. It differs from the one that its document describes (pychat.py).

A request is a JSON object with `COMMAND`, and with the token of the session in `token`. The reply is an
object with `FOR`, the command that it answers, and what is pushed has `NOTIF` there. Nothing separates
objects: the client takes what it has read for a whole object if it ends in `}`. It reads 1024 bytes at a
time, so that no brace within an object may be the last of them.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any, Final

import msgspec

from chatd.base import errors
from chatd.base.errors import BadSyntax, ChatError
from chatd.base.events import Closing, Event, MemberChange, SessionEnded
from chatd.base.model import Message
from chatd.base.names import printable
from chatd.base.replies import Reply
from chatd.base.texts import Secret
from chatd.lines.dialect import Confirmation, Dialect, PartialRequest, Request, Unreadable, Wrapping
from chatd.lines.dialects.json_text import encode_ascii
from chatd.lines.dialects.pychat_client_verbs import OWN_TEXTS, UNAUTHORIZED, VERBS, Answer
from chatd.lines.dialects.pychat_common import TEXTS, content
from chatd.lines.dialects.verbs import Verb, text_of

READ: Final = 1024  # bytes that the client reads at a time
GAP: Final = 0.05  # seconds between two replies
MAX_COMMAND: Final = 100  # characters of an unknown command that are repeated


class CalledVerb(msgspec.Struct, frozen=True):
    """What a reply needs of its request: the command as it was sent, and its verb, if it is known."""

    command: str | None = None
    verb: Verb | None = None


class PychatClientDialect(Dialect):
    name = "pychat"
    detailed = True
    is_original = True
    gap = GAP

    def read(self, line: bytes) -> Request | PartialRequest | Confirmation:
        given = _decoded(line)
        command = given.pop("COMMAND", None)
        if command is None and given.get("status") == "ready":
            return Confirmation()
        if not isinstance(command, str):
            raise Unreadable(BadSyntax(reason="COMMAND has to name a command"), CalledVerb())
        verb = VERBS.get(command.lower())
        tag = CalledVerb(printable(command, MAX_COMMAND), verb)
        if verb is None:
            raise Unreadable(errors.UnknownCommand(verb=tag.command), tag)
        read = partial(_read, verb, tag, given)
        token = given.get("token")
        try:
            if not verb.row.login:
                return read(False)
            if not isinstance(token, str):
                raise errors.NotLoggedIn
        except ChatError as error:
            raise Unreadable(error, tag) from None
        return PartialRequest(verb.row, read, Secret(token), required=True, tag=tag)

    def reply(self, request: Request, reply: Reply) -> bytes:
        tag = request.tag
        answer = tag.verb.write(request, reply)
        if "FOR" not in answer:
            answer = {"FOR": tag.command, "status": "success", **answer}
        return json_object(answer)

    def wrap(self, request: Request, reply: Reply) -> Wrapping:
        return Wrapping((self.reply(request, reply), b""), offered=True)

    def ready(self, request: Request) -> bytes:
        message = "send the bytes of the file now"
        return json_object({"FOR": request.tag.command, "status": "ready", "message": message})

    def error(self, error: ChatError, tag: Any = None) -> bytes:
        command = verb = None
        if tag is not None:
            command, verb = tag.command, tag.verb
        if isinstance(error, errors.NotLoggedIn | errors.BadToken):
            return json_object({"FOR": command, "status": "failed", "message": UNAUTHORIZED})
        status = "rejected" if verb is PRIVATE_FILE else "failed"
        message = text_of(error, {} if verb is None else verb.texts, OWN_TEXTS, TEXTS)
        return json_object({"FOR": command, "status": status, "message": message})

    def write_event(self, event: Event) -> bytes:
        match event:
            case Message():
                return _notification(event)
            case Closing():
                return self.error(event.error)
            case SessionEnded():
                return json_object({"FOR": None, "message": event.reason})
            case MemberChange():
                return json_object({"FOR": None, "message": event.sentence})
            case _:
                return b""


PRIVATE_FILE = VERBS["file-private-send"]


def _decoded(line: bytes) -> dict[str, Any]:
    """The object in `line`. Raises Unreadable."""
    try:
        given = msgspec.json.decode(line)
    except UnicodeDecodeError:
        raise Unreadable(errors.BadEncoding(), CalledVerb()) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreadable(BadSyntax(reason=f"{error}; send a JSON object"), CalledVerb()) from None
    if type(given) is not dict:
        raise Unreadable(BadSyntax(reason="send a JSON object"), CalledVerb())
    return given


def _read(verb: Verb, tag: CalledVerb, given: dict[str, Any], _live: bool) -> Request:
    """The request. Keys that the verb does not have are ignored, because the client adds some to every
    request."""
    known = {arg.name: given[arg.name] for arg in verb.args if arg.name in given}
    return msgspec.structs.replace(verb.read_names(known), tag=tag)


@lru_cache(maxsize=64)  # a message is usually written for several listeners in turn
def _notification(message: Message) -> bytes:
    group: Answer = {}
    if message.group is not None:
        group = {"from_group": message.title or message.group}
    text = content(message)
    return json_object({"FOR": "NOTIF", "from_user": message.sender, **group, "text": text})


# What the client can read.

_BRACE: Final = b"}"
_ESCAPED_BRACE: Final = b"\\u007d"


def json_object(answer: Answer) -> bytes:
    """The object in ASCII, so that the client finds its end: strings have no brace, and no other brace but
    the last one is the last byte of a read."""
    data = _without_braces(answer)
    if _BRACE[0] not in data[READ - 1 : -1 : READ]:
        return data
    reads = []
    start = 0
    while start < len(data):
        read = data[start : start + READ]
        start += len(read)
        if len(read) == READ and read.endswith(_BRACE) and start < len(data):
            read = read[:-1] + b" "
            start -= 1
        reads.append(read)
    return b"".join(reads)


def _without_braces(value: Any) -> bytes:
    """`value` in JSON, with all braces in strings escaped."""
    if isinstance(value, dict):
        pairs = (
            b"%b:%b" % (_without_braces(key), _without_braces(each)) for key, each in value.items()
        )
        return b"{%b}" % b",".join(pairs)
    if isinstance(value, list | tuple):
        return b"[%b]" % b",".join(map(_without_braces, value))
    return encode_ascii(value).replace(_BRACE, _ESCAPED_BRACE)
