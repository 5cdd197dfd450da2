"""A row of the command table: how to parse, explain and authorize a command."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import msgspec

from chatd.base.entries import Right
from chatd.base.errors import ChatError, Usage
from chatd.commands import arguments as types
from chatd.commands.values import Command


class Arg(msgspec.Struct, frozen=True):
    """An argument of a command. `also` are other names for it in requests with named arguments; one that is
    `named` can't be given by position in a line. `unless`: it may be left out if that argument is given by
    name."""

    name: str
    type: types.Type
    optional: bool = False
    also: tuple[str, ...] = ()
    named: bool = False
    unless: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.name, *self.also)

    @property
    def usage(self) -> str:
        generic = self.type.shape in ("name", "text", "number", "secret", "code|filename")
        shape = self.name if generic else self.type.shape
        return f"[{shape}]" if self.optional else shape


class Row(msgspec.Struct, frozen=True, dict=True):
    """The complete description of a command.

    `login`: requires a login. `overlaps`: may start while earlier overlapping commands still wait for the
    disk; all others wait until earlier commands are finished. `errors`: the errors of this command, besides
    the common ones. `right`: who may change a message so.
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

    @property
    def usage(self) -> str:
        return " ".join((self.verb, *(arg.usage for arg in self.args if not arg.named)))

    @cached_property
    def _by_key(self) -> dict[str, tuple[str, Callable[[str, Any], Any]]]:
        return {key: (arg.name, arg.type.from_json) for arg in self.args for key in arg.keys}

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
            raise self.wrong("Too many arguments" if args else f"{self.verb} takes no argument")
        values = {
            arg.name: arg.type.from_text(arg.name, word)
            for arg, word in zip(args, words, strict=False)
        }
        for arg in self.args:
            if arg.name not in values and not arg.optional:
                raise self.wrong(f"{arg.name} is missing")
        return values

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
            raise self.wrong(f"{self.verb} does not take {unknown}")
        return values
