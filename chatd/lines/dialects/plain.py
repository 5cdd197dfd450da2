"""`plain`, the dialect for people: all of chatd, in lines that they type and read with telnet.

A request is a line, `verb argument …`. A reply is a block of `key: value` lines that ends in an empty line;
its first line is `status: OK`, `ERROR` or `READY`. List items begin with `- `, events with `* `. Each further
line of a text begins with `  | `, in an event with `* | `, so no text can be taken for anything else.
"""

from __future__ import annotations

from typing import Any

from chatd.base import events, model, replies
from chatd.base.characters import isolated_lines
from chatd.base.errors import ChatError, PasswordMismatch
from chatd.commands import arguments as types
from chatd.commands.rows import Row
from chatd.commands.values import (
    AddAccount,
    ChangePassword,
    Command,
    ComposeMessage,
    LogIn,
    Register,
    SetPassword,
)
from chatd.commands.words import find_row
from chatd.lines.dialect import (
    Composition,
    Dialect,
    Prompt,
    Request,
    Unreadable,
    decode,
)
from chatd.lines.dialects.plain_events import event_lines
from chatd.lines.dialects.plain_items import item_lines
from chatd.lines.dialects.plain_messages import FURTHER
from chatd.lines.telnet import HIDE, SHOW

# Missing arguments for which the user gets a prompt. The answer is not shown while it is typed. If there are
# two prompts for one argument, both answers must be the same.
Prompts = tuple[tuple[str, bytes], ...]
PASSWORD = ("password", b"Password: ")
NEW_PASSWORD = (("password", b"New password: "), ("password", b"New password again: "))
PROMPTS: dict[type[Command], Prompts] = {
    LogIn: (PASSWORD,),
    Register: (PASSWORD, ("password", b"Password again: ")),
    AddAccount: NEW_PASSWORD,
    SetPassword: NEW_PASSWORD,
    ChangePassword: (
        ("old", b"Old password: "),
        ("new", b"New password: "),
        ("new", b"New password again: "),
    ),
}


# What the reply to a sending command tells of the message
SENT = ("conversation", "seq", "at", "state")


class PlainDialect(Dialect):
    name = "plain"
    hint = "telnet {host} {port}"
    telnet = True
    here = b"* Yes, chatd is here.\r\n"

    def greeting(self, realm: str, version: str) -> bytes:
        return f"* chatd {version} at {realm}. Type help.\r\n".encode()

    def read(self, line: bytes) -> Request | Prompt | Composition:
        """A slash before the verb, as in IRC, is ignored."""
        try:
            row, rest = find_row(decode(line).lstrip(" "))
        except ChatError as error:
            raise Unreadable(error) from None
        prompts = PROMPTS.get(row.command)
        if prompts is None:
            return _compose(row, rest) if row.command is ComposeMessage else _request(row, rest)
        asked = {name for name, _ in prompts}
        shown = [arg.name for arg in row.args if arg.name not in asked and not arg.optional]
        try:
            before, options = row.split_options(rest)
        except ChatError as error:
            raise Unreadable(error) from None
        words = [word for word in before.split(" ") if word]
        if len(words) != len(shown):
            return _request(row, rest)
        return _ask(row, {**dict(zip(shown, words, strict=True)), **options}, prompts)

    def reply(self, request: Request, reply: replies.Reply) -> bytes:
        lines = ["status: OK", f"message: {reply.message}"]
        for key, value in reply.fields.items():
            lines.append(f"{key}: {_shown(value)}")
        data = reply.data
        if "state" in data:  # a message was sent
            lines += [f"{key}: {data[key]}" for key in SENT if data[key] is not None]
        for item in (*reply.items, *reply.pending):
            lines.append(f"- {self.number(item)}{item_lines(item)}")
        return _block(lines)

    def ready(self, request: Request) -> bytes:
        return _ready("Send the bytes of the file now")

    def error(self, error: ChatError, tag: Any = None) -> bytes:
        return _block(["status: ERROR", f"code: {error.code}", f"message: {error}"])

    def write_event(self, event: events.Event) -> bytes:
        lines = event_lines(event)
        return f"* {self.number(event)}{lines}\r\n".encode() if lines else b""

    def number(self, _item: object) -> str:
        """What stands before an item or an event: nothing."""
        return ""


class NumberedPlainDialect(PlainDialect):
    """`plain` after `verbose on`: each message has its number in its conversation before it."""

    def number(self, item: object) -> str:
        return f"#{item.seq} " if isinstance(item, model.Message) and item.seq else ""


PlainDialect.numbered = NumberedPlainDialect()


def _shown(value: str | int | bool) -> str:
    """The value of a field. No text of it can look like another field."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return isolated_lines(value, FURTHER) if isinstance(value, str) else str(value)


def _block(lines: list[str]) -> bytes:
    lines += ("", "")
    return "\r\n".join(lines).encode()


def _ready(message: str) -> bytes:
    return _block(["status: READY", f"message: {message}"])


def _request(row: Row, rest: str) -> Request:
    try:
        return Request(row, row.from_words(rest))
    except ChatError as error:
        raise Unreadable(error) from None


def _ask(row: Row, given: dict[str, str], prompts: Prompts) -> Prompt:
    """Ask for the first missing argument besides `given`."""
    (name, prompt), *others = prompts

    def answer(line: bytes) -> Request | Prompt:
        typed = decode(line)
        if given.get(name, typed) != typed:
            raise Unreadable(PasswordMismatch())
        found = {**given, name: typed}
        if others:
            return _ask(row, found, tuple(others))
        try:
            return Request(row, row.from_texts(found))
        except ChatError as error:
            raise Unreadable(error) from None

    return Prompt(row, HIDE + prompt, SHOW + b"\r\n", answer)


def _compose(row: Row, rest: str) -> Composition:
    """Ask for the text. Whether the place exists is checked after it, because a client that does not wait
    for this answer has sent the text already."""
    words = [word for word in rest.split(" ") if word]
    if len(words) != 1:
        raise Unreadable(row.wrong("Too many arguments" if words else "place is missing"))
    try:
        place = row.args[0].type.from_text("place", words[0])
    except ChatError as error:
        raise Unreadable(error) from None

    def finish(text: bytes) -> Request:
        try:
            checked = types.TEXT.from_text("text", decode(text))
        except ChatError as error:
            raise Unreadable(error) from None
        return Request(row, ComposeMessage(place, checked))

    return Composition(row, _ready("Write the text, and a dot alone after its last line"), finish)
