"""The interface of a dialect: it reads lines as requests, and writes replies, errors and events.

A dialect is data and functions without side effects. The line protocol does the rest, the same for all
dialects.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, final

import msgspec

from chatd.base.errors import BadEncoding, ChatError
from chatd.base.events import Event, RoomTalk
from chatd.base.model import Message
from chatd.base.replies import Reply
from chatd.commands.rows import Row
from chatd.commands.values import Command
from chatd.lines.inline_file import InlineFile
from chatd.lines.line_buffer import LineBuffer


@final
class Request(msgspec.Struct, frozen=True):
    """A complete request.

    `tag` belongs to the dialect and is passed to its writers: the id that the reply repeats, or the verb
    whose words it uses. `content` is a file that was part of the line.
    """

    row: Row
    command: Command
    tag: Any = None
    content: InlineFile | None = None


@final
class PartialRequest(msgspec.Struct, frozen=True):
    """A request of which only the beginning was read. `read` reads the rest once the session is known.

    `token` is the word that may be the token of a live session; if `required`, it has to be one. `read` is
    called with whether it is, and raises ChatError. `inline`: the line may be long, because it may carry a
    file. `aside`: its file travels on a data connection (chatd.lines.data_claims).
    """

    row: Row
    read: Callable[[bool], Request]
    token: str | None = None
    required: bool = False
    tag: Any = None
    inline: bool = False
    aside: bool = False


class Prompt(msgspec.Struct, frozen=True):
    """A request for one more line, a secret, without which a command of `row` is incomplete.

    Send `prompt`, which hides what is typed (chatd.lines.telnet). When the next line has arrived, send
    `after`, which shows it again, and call `answer` with the line.
    """

    row: Row
    prompt: bytes
    after: bytes
    answer: Callable[[bytes], Request | Prompt]


class Composition(msgspec.Struct, frozen=True):
    """A request for the lines of a text, up to one that is a dot alone (chatd.lines.composer).

    Send `ready`. When the text is complete, call `finish` with it, which raises Unreadable.
    """

    row: Row
    ready: bytes
    finish: Callable[[bytes], Request]


class Confirmation(msgspec.Struct, frozen=True):
    """The client is ready for the bytes of the file that it was offered (Wrapping.offered)."""


class Wrapping(msgspec.Struct, frozen=True):
    """What is sent around the bytes of files, and how these bytes are encoded.

    The first piece comes before the first file, the last one after the last file, so there is one piece more
    than files. `encode` is given a multiple of three bytes at a time, except at the end of a file. In a reply
    with messages, `files` are the ids of the messages whose files it has. `offered`: the bytes of the only
    file wait for a Confirmation.
    """

    pieces: tuple[bytes, ...]
    encode: Callable[[bytes], bytes] | None = None
    files: tuple[int, ...] = ()
    offered: bool = False


class Unreadable(Exception):
    """A line is not a request. `tag` as in Request, if it could be read."""

    def __init__(self, error: ChatError, tag: Any = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.tag = tag


class Dialect:
    """One wire format. Methods raise only what their docstrings name.

    `inline`: requests carry files, so lines may be as long as `[limits] inline_line`. `shared`: requests may
    name their session. `detailed`: replies carry display names, the codes of groups, and when files were
    sent. `framed`: lines arrive in the frames of a transport that has checked who opened it. `telnet`: people
    use telnet clients, so BINARY is offered; `here` answers their ARE-YOU-THERE. `patient`: a client may be
    silent before its login for any time, until its place is needed (chatd.lines.waiting).

    A system's own client may speak another language than its document describes. `original` is the dialect of
    that language at the same door, and itself has `is_original`. `gap`: seconds between two replies, for
    clients that take what they read at once for one message (chatd.lines.paced_output). Events are then
    written one by one, and without the messages of the accounts on the connection. `segment`: bytes that the
    client reads at a time, if it takes fewer for the end of a reply.

    `numbered` is the form that shows the numbers of messages, if that is another.

    `live`: clients get events as soon as they have logged in. `answers_empty`: an empty line is a request.
    `waits`: replies to sends wait until other realms have accepted or refused them, 5 s at most.
    """

    name: str
    hint: str = "nc -C {host} {port}"  # the command with which a person connects
    inline: bool = False
    shared: bool = False
    detailed: bool = False
    framed: bool = False
    telnet: bool = False
    patient: bool = False
    here: bytes = b""
    original: Dialect | None = None
    numbered: Dialect | None = None
    segment: int = 0
    is_original: bool = False
    gap: float = 0.0
    live: bool = False
    answers_empty: bool = False
    waits: bool = True

    def __init__(self) -> None:
        self._last_events: Sequence[Event] = ()
        self._last_bytes = b""

    def form(self, original: bool, numbered: bool) -> Dialect:
        """The dialect in the form of the system's client (`original`), or with the numbers of messages; this
        one if it has no such form."""
        return (original and self.original) or (numbered and self.numbered) or self

    def new_buffer(self, limit: int, most: int) -> LineBuffer:
        """The buffer of a new connection, which splits the input into requests. A request may have `limit`
        bytes, and `most` bytes with permission."""
        return LineBuffer(limit, most)

    def greeting(self, realm: str, version: str) -> bytes:
        """What is sent when a connection is opened."""
        return b""

    def token_in(self, start: bytes) -> str | None:
        """The word in a line that begins with `start` that may be the token of a live session."""
        return None

    def read(self, line: bytes) -> Request | PartialRequest | Confirmation | Prompt | Composition:
        """The request in `line`, which has no line end. Raises Unreadable."""
        raise NotImplementedError

    def reply(self, request: Request, reply: Reply) -> bytes:
        """The reply to `request`."""
        raise NotImplementedError

    def wrap(self, request: Request, reply: Reply) -> Wrapping:
        """The reply to `request` that carries files."""
        return Wrapping((self.reply(request, reply), b""))

    def ready(self, request: Request) -> bytes:
        """The invitation to send the bytes of a file. Empty if files are part of their requests."""
        return b""

    def error(self, error: ChatError, tag: Any = None) -> bytes:
        """The refusal of a request with that tag."""
        raise NotImplementedError

    def events(self, events: Sequence[Event]) -> bytes:
        """Events for a listener. They are written once, however many listeners get the same sequence."""
        if events is not self._last_events:
            self._last_bytes = b"".join(map(self.write_event, events))
            self._last_events = events
        return self._last_bytes

    def events_apart(self, events: Sequence[Event], own: Collection[str]) -> Iterator[bytes]:
        """The events one by one, without the messages of the accounts `own`."""
        for event in events:
            if not (isinstance(event, Message) and event.sender in own):
                yield self.write_event(event)

    def write_event(self, event: Event) -> bytes:
        """One event. Empty, as here, for a dialect that pushes nothing."""
        return b""


def decode(line: bytes) -> str:
    """The text of the line. Raises Unreadable."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable(BadEncoding()) from None


ENCRYPTED = "(encrypted; this client can't open it)"


def content(message: Message | RoomTalk) -> str:
    """The text of a message, or the announcement of its file."""
    file = message.file
    if file is None:
        return message.text or text_of(message)
    return f"file {file.name} ({file.size} bytes) code {file.code}"


def text_of(message: Message | RoomTalk) -> str:
    """The text of a message without a file."""
    opaque = isinstance(message, Message) and message.opaque is not None
    return ENCRYPTED if opaque else message.text or ""
