"""What a wire language is made of. A dialect is data and two pure functions: bytes of one request -> what
is asked, and what came of it -> bytes. The line protocol does the rest, the same for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from chatd.base.errors import BadEncoding, ChatError
from chatd.base.model import Event, Message, Reply
from chatd.commands.rows import Row
from chatd.commands.values import Command
from chatd.lines.inline import Content


class Request(msgspec.Struct, frozen=True):
    """A request that could be read. `tag` is the dialect's own, for its writer: what the answer must
    carry (json: the id), or the verb whose words it takes. `content` is a file that stood in the request."""

    row: Row
    command: Command
    tag: Any = None
    content: Content | None = None


class Call(msgspec.Struct, frozen=True):
    """A request that is read to its end once it is known who asks.

    `token` is the word that may be a live session's, and if `required` has to be; `read` is told whether it
    is, and raises ChatError. `inline`: it may carry a file, and so be longer than other lines.
    """

    row: Row
    read: Callable[[bool], Request]
    token: str | None = None
    required: bool = False
    tag: Any = None
    inline: bool = False


class Wrapping(msgspec.Struct, frozen=True):
    """What stands before and behind a file's bytes in a reply, and what becomes of the bytes (given a
    multiple of three at a time)."""

    head: bytes
    tail: bytes = b""
    encode: Callable[[bytes], bytes] | None = None


class Ask(msgspec.Struct, frozen=True):
    """The dialect needs one more line, a secret, before it knows what is asked of `row`: send `prompt`, which
    hides what is typed (chatd.lines.telnet), give the next line to `answer`, and send `after`, which shows it
    again, once it came."""

    row: Row
    prompt: bytes
    after: bytes
    answer: Callable[[bytes], Request | Ask]


class Unreadable(Exception):
    """The line is no request. `tag` as in Request, if it could be told."""

    def __init__(self, error: ChatError, tag: Any = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.tag = tag


class Dialect:
    """One wire language. Subclasses say how; none of the methods may raise anything undeclared.

    `inline`: its requests carry files, so its lines may be as long as `[limits] inline_line`. `shared`: its
    requests may name their session. `detailed`: it writes display names, groups' codes and when files were
    sent. `framed`: its lines come in frames of a transport that has checked who opened it. `telnet`: its
    people use telnet, which is therefore offered BINARY; `here` answers its ARE-YOU-THERE.
    """

    name: str
    hint: str = "nc -C {host} {port}"  # what a person types to come in
    inline: bool = False
    shared: bool = False
    detailed: bool = False
    framed: bool = False
    telnet: bool = False
    here: bytes = b""

    def __init__(self) -> None:
        self._last_events: Sequence[Event] = ()
        self._last_bytes = b""

    def greeting(self, realm: str, version: str) -> bytes:
        """What a connection is met with."""
        return b""

    def token_in(self, start: bytes) -> str | None:
        """The word in a line with this beginning that may be a live session's token."""
        return None

    def read(self, line: bytes) -> Request | Call | Ask:
        """What `line`, without its end, asks for. Raises Unreadable."""
        raise NotImplementedError

    def reply(self, request: Request, reply: Reply) -> bytes:
        raise NotImplementedError

    def give(self, request: Request, reply: Reply) -> Wrapping:
        """The reply that brings a file."""
        return Wrapping(self.reply(request, reply))

    def ready(self, request: Request) -> bytes:
        """Go on, send the bytes of the file."""
        raise NotImplementedError

    def error(self, error: ChatError, tag: Any = None) -> bytes:
        raise NotImplementedError

    def events(self, events: Sequence[Event]) -> bytes:
        """Events for a listener. Written once, however many hear the same."""
        if events is not self._last_events:
            self._last_bytes = b"".join(map(self.write_event, events))
            self._last_events = events
        return self._last_bytes

    def write_event(self, event: Event) -> bytes:
        raise NotImplementedError


def decode(line: bytes) -> str:
    """The line's text. Raises Unreadable."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable(BadEncoding()) from None


def content(message: Message) -> str:
    """The text of a message, or the announcement of its file."""
    file = message.file
    if file is None:
        return message.text or ""
    return f"file {file.name} ({file.size} bytes) code {file.code}"
