"""A row of the command table: how to parse, explain and authorize a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from functools import cached_property
from typing import Any

import msgspec

from chatd.base.entries import Right
from chatd.base.errors import ChatError, Usage
from chatd.base.roles import Role
from chatd.commands import arguments as types
from chatd.commands.values import Command


class Arg(msgspec.Struct, frozen=True):
    """An argument of a command. `also` are other names for it in requests with named arguments; one that is
    `named` can't be given by position in a line. `word`: a line may give it as a word such as `key=value`,
    behind the arguments that it has to have. `unless`: it may be left out if that argument is given by
    name."""

    name: str
    type: types.Type
    optional: bool = False
    also: tuple[str, ...] = ()
    named: bool = False
    word: bool = False
    unless: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.name, *self.also)

    @property
    def usage(self) -> str:
        generic = self.type.shape in ("name", "text", "number", "secret", "code|filename")
        shape = self.name if generic else self.type.shape
        if self.named:
            shape = f"{self.name}={self.type.shape}"
        return f"[{shape}]" if self.optional else shape


class Audited(Enum):
    """How the audit log learns of what a command changes. AT_ONCE: in the transaction that changes it
    (Act.run). IN_STEPS: before the command begins, and when it has ended."""

    AT_ONCE = "at once"
    IN_STEPS = "in steps"


class Row(msgspec.Struct, frozen=True, dict=True):
    """The complete description of a command. In a line, a verb of several words has spaces in place of the
    dots.

    `login`: requires a login. `overlaps`: may start while earlier overlapping commands still wait for the
    disk; all others wait until earlier commands are finished. `errors`: the errors of this command, besides
    the common ones. `right`: who may change a message so. `role`: who may use it, besides those at the
    control socket; in a line, its named arguments are words such as `limit=5`. `audited`: what it does stands
    in the audit log. `offline`: chatctl also executes it while the realm is stopped. `local`: only
    chatctl executes it, not a session. `download`: its reply is followed by the bytes of a file, which
    chatctl saves.
    """

    verb: str
    command: type[Command]
    help: str
    args: tuple[Arg, ...] = ()
    aliases: tuple[str, ...] = ()
    login: bool = True
    overlaps: bool = False
    errors: tuple[type[ChatError], ...] = ()
    right: Right | None = None
    role: Role | None = None
    audited: Audited | None = None
    offline: bool = False
    local: bool = False
    download: bool = False

    @property
    def words(self) -> str:
        """The verb in a line."""
        return self.verb.replace(".", " ")

    @property
    def usage(self) -> str:
        shown = (arg.usage for arg in self.args if not arg.named or self._in_line(arg))
        return " ".join((self.words, *shown))

    def _in_line(self, arg: Arg) -> bool:
        """Whether a line may give a named argument."""
        return self.role is not None or arg.word

    @cached_property
    def _by_key(self) -> dict[str, tuple[str, Callable[[str, Any], Any]]]:
        return {key: (arg.name, arg.type.from_json) for arg in self.args for key in arg.keys}

    @cached_property
    def _options(self) -> dict[str, Arg]:
        """The arguments that a line gives by name, by their names."""
        named = (arg for arg in self.args if arg.named and self._in_line(arg))
        return {key: arg for arg in named for key in arg.keys}

    @cached_property
    def _required(self) -> tuple[tuple[str, str | None], ...]:
        """The arguments that have to be given, each unless another one is."""
        return tuple((arg.name, arg.unless) for arg in self.args if not arg.optional)

    def wrong(self, reason: str) -> Usage:
        return Usage(reason=reason, usage=self.usage)

    def from_words(self, rest: str) -> Command:
        """Parse the command from `rest`, the line after the verb. Raises BadRequest."""
        return self.command(**self.values_of(rest))

    def values_of(self, rest: str) -> dict[str, Any]:
        """Parse the arguments in `rest`, by name. Raises BadRequest."""
        rest, options = self.split_options(rest)
        args = [arg for arg in self.args if not arg.named]
        words: list[str] = []
        space = ""
        for arg in args:
            if not arg.type.greedy:
                rest = rest.lstrip(" ")
            if not rest:
                break
            word, space, rest = (rest, "", "") if arg.type.greedy else rest.partition(" ")
            words.append(word)
        else:
            space = ""
        if space and args[len(words)].type.greedy:
            words.append("")  # an empty text after a trailing space
        if rest.strip(" "):
            raise self.wrong("Too many arguments" if args else f"{self.words} takes no argument")
        values = {
            arg.name: arg.type.from_text(arg.name, word)
            for arg, word in zip(args, words, strict=False)
        }
        for key, text in options.items():
            arg = self._options[key]
            values[arg.name] = arg.type.from_text(key, text)
        for arg in self.args:
            if arg.name not in values and not arg.optional:
                raise self.wrong(f"{arg.name} is missing")
        return values

    def split_options(self, rest: str) -> tuple[str, dict[str, str]]:
        """`rest` without the arguments that it gives by name, and these. They stand anywhere before a last
        argument that takes the rest of the line. Raises BadRequest for one that is given twice."""
        if not self._options:
            return rest, {}
        positional = [arg for arg in self.args if not arg.named]
        before = len(positional) - 1 if positional and positional[-1].type.greedy else None
        # Without a role, a required argument may look like an option, unless it would be the last word.
        first = 0 if self.role else sum(not arg.optional for arg in positional)
        kept: list[str] = []
        found: dict[str, str] = {}
        while rest := rest.lstrip(" "):
            word, _, after = rest.partition(" ")
            key, sign, text = word.partition("=")
            is_early = len(kept) < first and after.strip(" ")
            if not sign or key not in self._options or is_early:
                if len(kept) == before:
                    break
                kept.append(word)
            elif key in found:
                raise self.wrong(f"{key} is given twice")
            else:
                found[key] = text
            rest = after
        return " ".join([*kept, rest] if rest else kept), found

    def from_texts(self, given: Mapping[str, str]) -> Command:
        """Build the command from the texts of its arguments, by name. Raises BadRequest."""
        texts = {arg: given[key] for arg in self.args for key in arg.keys if key in given}
        for arg in self.args:
            if arg not in texts and not arg.optional:
                raise self.wrong(f"{arg.name} is missing")
        return self.command(
            **{arg.name: arg.type.from_text(arg.name, text) for arg, text in texts.items()}
        )

    def from_names(self, given: Mapping[str, Any]) -> Command:
        """Build the command from named arguments with JSON values. Raises BadRequest."""
        return self.command(**self.named_values(given))

    def named_values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Parse named arguments with JSON values. Raises BadRequest."""
        values: dict[str, Any] = {}
        by_key, extra = self._by_key, False
        for key in given:
            found = by_key.get(key)
            if found is None or found[0] in values:
                extra = True
            else:
                values[found[0]] = found[1](key, given[key])
        for name, unless in self._required:
            if name not in values and unless not in given:
                raise self.wrong(f"{name} is missing")
        if extra:
            unknown = ", ".join(sorted(set(given) - set(by_key))) or "the same argument twice"
            raise self.wrong(f"{self.words} does not take {unknown}")
        return values
