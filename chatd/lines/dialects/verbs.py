"""The verbs of the older dialects: how each is read, its command, and its replies and refusals.

An older dialect is a table of such verbs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import Any

import msgspec

from chatd.base import errors
from chatd.base.errors import BadArgument, ChatError, UnknownFile
from chatd.base.names import Address, Place, printable
from chatd.base.replies import Reply
from chatd.base.terms import Term
from chatd.base.tokens import hide_tokens
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Row
from chatd.commands.table import BY_COMMAND
from chatd.lines.dialect import Request
from chatd.lines.dialects import arguments as args
from chatd.lines.inline_file import INLINE_FILE

MAX_WORD = 4096  # characters of an argument before a file, although the line may be long
_WORD = re.compile(" *([^ ]+)")

# Errors, or base classes of errors, and a dialect's sentences for them. None is the error's own sentence.
Texts = dict[type[ChatError], str | None]


class Verb(msgspec.Struct, frozen=True, dict=True):
    """One verb of a dialect.

    `write` makes of a reply what the dialect's own writer builds on. `make` makes the command from the
    arguments, by name, where the arguments are not those of the command. `texts` are its refusals. `bare`:
    the system's own client sends it without a token (BlockDialect). `strangers`: what somebody who is not
    logged in gets instead of a refusal, because the client needs it. `aside`: its file travels on a data
    connection (chatd.lines.data_claims).
    """

    name: str
    command: type[ask.Command]
    args: tuple[Arg, ...]
    write: Callable[[Request, Reply], Any]
    texts: Texts = {}
    make: Callable[..., ask.Command] | None = None
    aliases: tuple[str, ...] = ()
    bare: bool = False
    strangers: Mapping[str, Any] | None = None
    aside: bool = False

    @cached_property
    def row(self) -> Row:
        """The row of the command, with the verb and arguments of this dialect."""
        row = BY_COMMAND[self.command]
        return msgspec.structs.replace(row, verb=self.name, args=self.args, aliases=self.aliases)

    @cached_property
    def _content(self) -> str | None:
        """The name of the argument that is a file."""
        return next((arg.name for arg in self.args if arg.type is INLINE_FILE), None)

    @cached_property
    def _before_content(self) -> tuple[Arg, ...]:
        """The arguments before the file."""
        return tuple(arg for arg in self.args if arg.type is not INLINE_FILE)

    @property
    def inline(self) -> bool:
        """Whether a request may carry a file."""
        return self._content is not None

    def read(self, rest: str) -> Request:
        """The request in `rest`, the line after the verb. Raises ChatError."""
        if self._content is None:
            return self.request(self.row.values_of(rest))
        spaced = any(arg.type.greedy for arg in self._before_content)
        words, content = (self._cut_last if spaced else self._cut)(rest)
        return self.request(
            {
                **self.row.values_of(words),
                self._content: INLINE_FILE.from_text(self._content, content),
            }
        )

    def _cut(self, rest: str) -> tuple[str, str]:
        """The words before the file, and the file. The file is too long to be copied for each word."""
        end = 0
        for _ in self._before_content:
            found = _WORD.match(rest, end)
            if found is None:
                return rest[:end] + rest[end : end + MAX_WORD], ""
            if found.end(1) - found.start(1) > MAX_WORD:
                expected = f"{MAX_WORD} characters at most"
                raise BadArgument(argument="a word", found="that long", expected=expected)
            end = found.end(1)
        return rest[:end], rest[end + 1 :]

    def _cut_last(self, rest: str) -> tuple[str, str]:
        """As `_cut`, where a name before the file may have spaces: the file is the last word."""
        words, _, content = rest.rstrip(" ").rpartition(" ")
        least = len(self._before_content)
        most = least * MAX_WORD
        if len(_WORD.findall(words[:most])) < least:
            return rest[:most], ""
        if len(words) > most:
            expected = f"{MAX_WORD} characters at most"
            raise BadArgument(argument="a word", found="that long", expected=expected)
        return words.rstrip(" "), content

    def read_names(self, given: Mapping[str, str]) -> Request:
        """The request with arguments by name. Raises ChatError."""
        return self.request(self.row.named_values(given))

    def request(self, values: dict[str, Any]) -> Request:
        """The request with these arguments. Raises UnknownFile if its file is missing."""
        content = None
        if self._content is not None:
            content = values.pop(self._content, None)
            if content is None:
                raise UnknownFile(name=printable(values["filename"]))
            values["size"] = content.size
        return Request(self.row, (self.make or self.command)(**values), self, content)


def table(*verbs: Verb) -> Mapping[str, Verb]:
    """The verbs by their names and aliases, in lower case."""
    return {name.lower(): verb for verb in verbs for name in (verb.name, *verb.aliases)}


def as_typed(verbs: Mapping[str, Verb], last: Collection[str] = ()) -> Mapping[str, Verb]:
    """The verbs that take a text or the name of a file, with these arguments as clients send them. The client
    adds no space behind the texts of the verbs `last`."""
    found = {}
    for name, verb in verbs.items():
        text = args.LAST_TEXT if name in last else args.TYPED_TEXT
        kinds = {args.TEXT: text, args.FILENAME: args.SPACED_FILENAME}
        words = tuple(kinds.get(each, each) for each in verb.args)
        if words != verb.args:
            found[name] = msgspec.structs.replace(verb, args=words)
    return found


def text_of(error: ChatError, *tables: Texts) -> str:
    """The sentence for `error`, from the first table that has one for its class or for a base class. The
    tables are in Indonesian."""
    for texts in tables:
        for kind in type(error).__mro__:
            if kind in texts:
                text = texts[kind]
                details = dict(error.worded(error.details))
                if isinstance(term := details.get("until"), Term):
                    details["until"] = term.worded("sampai")
                return str(error) if text is None else hide_tokens(text.format_map(details))
    return str(error)


def not_added(exists: str) -> Texts:
    """The refusals of adding a realm. `exists` is the one for a realm that is known already."""
    unreachable = dict.fromkeys(errors.UNREACHABLE, "Realm Unreachable")
    return {errors.RealmExists: exists, errors.OwnRealm: exists, **unreachable}


# Commands of verbs in several dialects.


def send(to: Address, text: str) -> ask.Command:
    return ask.SendMessage((to,), text)


def send_file(to: Address, filename: str, size: int) -> ask.Command:
    return ask.SendFile((to,), filename, size)


def private_inbox(to: Address) -> ask.Command:
    return ask.ReadInbox(Place(user=to), own=True)


def group_inbox(group: Address) -> ask.Command:
    return ask.ReadInbox(Place(group=group))
