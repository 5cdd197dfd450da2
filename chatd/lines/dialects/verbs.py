"""What the older dialects are tables of: one `Verb` says how a request is read, what is asked by it, what
its reply is, and which words its refusals have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import msgspec

from chatd.base.errors import BadArgument, ChatError, UnknownFile
from chatd.base.model import Reply
from chatd.base.names import printable
from chatd.base.tokens import hide_tokens
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Row
from chatd.commands.table import BY_COMMAND
from chatd.lines.dialect import Request
from chatd.lines.inline_file import INLINE_FILE

MAX_WORD = 4096  # characters of an argument beside a file: the line may be long, it may not
_WORD = re.compile(" *([^ ]+)")

# A refusal, or a kind of them, and a dialect's words for it; None: the error's own sentence.
Texts = dict[type[ChatError], str | None]

TO = Arg("to", types.ADDRESS)
PEOPLE = Arg("to", types.ADDRESSES)
GROUP = Arg("group", types.GROUP)
NAME = Arg("group", types.NAME)
TEXT = Arg("text", types.TEXT)
FILENAME = Arg("filename", types.FILENAME)
FILE = Arg("content", INLINE_FILE, optional=True)
USERNAME = Arg("username", types.NAME)
PASSWORD = Arg("password", types.SECRET)


class Verb(msgspec.Struct, frozen=True, dict=True):
    """One request of a dialect. `write` makes of a reply what the dialect's writer builds on; `make` is
    given the arguments by name, where the command itself is not enough."""

    name: str
    command: type[ask.Command]
    args: tuple[Arg, ...]
    write: Callable[[Request, Reply], Any]
    texts: Texts = {}
    make: Callable[..., ask.Command] | None = None
    aliases: tuple[str, ...] = ()

    @cached_property
    def row(self) -> Row:
        """The command's row, as this dialect shows it."""
        row = BY_COMMAND[self.command]
        return msgspec.structs.replace(row, verb=self.name, args=self.args, aliases=self.aliases)

    @cached_property
    def _content(self) -> str | None:
        """The argument that is a file."""
        return next((arg.name for arg in self.args if arg.type is INLINE_FILE), None)

    @property
    def inline(self) -> bool:
        """Whether a file may stand in the request."""
        return self._content is not None

    def read(self, rest: str) -> Request:
        """The request of the line after the verb. Raises ChatError."""
        if self._content is None:
            return self.request(self.row.values_of(rest))
        words, content = self._cut(rest)
        return self.request(
            {
                **self.row.values_of(words),
                self._content: INLINE_FILE.from_text(self._content, content),
            }
        )

    def _cut(self, rest: str) -> tuple[str, str]:
        """The words before the file, and the file. Found by their places: it is too long to be copied
        for each of them."""
        end = 0
        for _ in self.args[:-1]:
            found = _WORD.match(rest, end)
            if found is None:
                return rest[:end] + rest[end : end + MAX_WORD], ""
            if found.end(1) - found.start(1) > MAX_WORD:
                expected = f"{MAX_WORD} characters at most"
                raise BadArgument(argument="a word", found="that long", expected=expected)
            end = found.end(1)
        return rest[:end], rest[end + 1 :]

    def read_names(self, given: Mapping[str, str]) -> Request:
        """The request of arguments by name. Raises ChatError."""
        return self.request(self.row.named_values(given))

    def request(self, values: dict[str, Any]) -> Request:
        """The request with these arguments. Raises UnknownFile if it lacks its file."""
        content = None
        if self._content is not None:
            content = values.pop(self._content, None)
            if content is None:
                raise UnknownFile(name=printable(values["filename"]))
            values["size"] = content.size
        return Request(self.row, (self.make or self.command)(**values), self, content)


def table(*verbs: Verb) -> Mapping[str, Verb]:
    """The verbs by their names in lower case."""
    return {name.lower(): verb for verb in verbs for name in (verb.name, *verb.aliases)}


def text_of(error: ChatError, *tables: Texts) -> str:
    """The words for `error` in the first of the tables that has any, for it or for its kind."""
    for texts in tables:
        for kind in type(error).__mro__:
            if kind in texts:
                text = texts[kind]
                details = {**error.defaults, **error.details}
                return str(error) if text is None else hide_tokens(text.format_map(details))
    return str(error)


# What several verbs of several dialects ask for.


def send(to: Any, text: str) -> ask.Command:
    return ask.SendMessage((to,), text)


def send_file(to: Any, filename: str, size: int) -> ask.Command:
    return ask.SendFile((to,), filename, size)
