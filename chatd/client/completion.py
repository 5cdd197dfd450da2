"""Tab completion: commands, and for each argument the matching names or local paths."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from chatd.base.errors import ChatError
from chatd.base.names import key_of
from chatd.client import local_paths
from chatd.client.line_parser import FILE_COMMANDS, MENUS, OWN_WORDS, row_of
from chatd.client.state import Menu, State
from chatd.commands import arguments as types
from chatd.commands.rows import Arg, Row
from chatd.commands.table import BY_VERB, TABLE
from chatd.commands.words import FIRST_WORDS, find_row

MAX_PATHS = 500


class ArgumentCompleter(Completer):
    """Completes the answer to a prompt for one argument."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.arg: Arg | None = None

    def get_completions(self, document: Document, _event: CompleteEvent) -> Iterable[Completion]:
        if self.arg is not None:
            yield from _for(self.arg, document.text_before_cursor, self._state)


class LineCompleter(Completer):
    """Completes a command line."""

    def __init__(self, state: State) -> None:
        self._state = state

    def get_completions(self, document: Document, _event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        slash = ""
        if self._state.chat is not None:
            if not text.startswith("/"):
                return
            slash, text = "/", text[1:]
        text = text.lstrip(" ")
        verb, space, rest = text.partition(" ")
        if not space:
            yield from _matching(slash + verb, (slash + each for each in verbs(self._state)), " ")
            return
        yield from self._arguments(verb.lower(), rest)

    def _arguments(self, verb: str, rest: str) -> Iterable[Completion]:
        state = self._state
        if verb == "chat":
            yield from _matching(rest, [*_people(state), *state.names.groups], "")
            return
        if verb in ("list", "get", "send"):
            second = [
                each for each in ("list file", "get file", "send file") if each.startswith(verb)
            ]
            yield from _matching(rest, (each.partition(" ")[2] for each in second), "")
        if verb in FIRST_WORDS:
            yield from self._several_words(f"{verb} {rest}")
            return
        row = row_of(verb, state.menu)
        if row is not None:
            yield from self._values(row, rest)

    def _several_words(self, text: str) -> Iterable[Completion]:
        """Complete a verb of several words, or an argument after it."""
        begun, _, last = text.rpartition(" ")
        shown = "".join(f"{word} " for word in begun.lower().split())
        nexts = {
            each.words.removeprefix(shown).partition(" ")[0]
            for each in TABLE
            if each.words.startswith(shown)
        }
        if nexts:
            yield from _matching(last, sorted(nexts), " ")
            return
        with suppress(ChatError):
            yield from self._values(*find_row(text))

    def _values(self, row: Row, rest: str) -> Iterable[Completion]:
        """Complete an argument of a command."""
        state = self._state
        args = [arg for arg in row.args if not arg.named]
        if row.command in FILE_COMMANDS:
            args = args[:-1]
        for at, arg in enumerate(args):
            is_last = at == len(args) - 1
            _, space, after = rest.lstrip(" ").partition(" ")
            if not space or (is_last and (arg.type.greedy or arg.type is types.FILENAME)):
                yield from _for(arg, rest.lstrip(" "), state)
                return
            rest = after


def verbs(state: State) -> list[str]:
    """The words that can begin a line."""
    menu = [*MENUS[state.menu], "get"] if state.menu is not Menu.MAIN else []
    own = [word for word in OWN_WORDS if " " not in word]
    alone = (verb for verb in BY_VERB if "." not in verb)
    return sorted({*alone, *FIRST_WORDS, *own, *menu})


def _people(state: State) -> list[str]:
    return list(dict.fromkeys([*state.names.contacts, *state.names.users]))


def _for(arg: Arg, text: str, state: State) -> Iterable[Completion]:
    """Completions of `text` as the value of `arg`."""
    kind = arg.type
    if kind is types.FILENAME:
        yield from _paths(text)
        return
    if kind is types.CODE:
        names = [*state.files, *(file.name for file in state.files.values())]
        yield from _matching(text, dict.fromkeys(names), "")
        return
    last = text
    if kind in (types.ADDRESSES, types.GROUP_OR_PEOPLE, types.GROUP_OR_NAMES):
        last = text.rpartition(",")[2]
    elif kind is types.WORDS:
        last = text.rpartition(" ")[2]
    yield from _matching(last, _names(arg, state), "")


def _names(arg: Arg, state: State) -> Iterable[str]:
    kind = arg.type
    if arg.name == "realm":
        return state.names.realms
    if kind in (types.ADDRESSES, types.ADDRESS, types.WORDS) or arg.name in ("user", "username"):
        return _people(state)
    if kind in (types.GROUP, types.JOINABLE):
        return state.names.groups
    if kind in (types.GROUP_OR_PEOPLE, types.GROUP_OR_NAMES, types.PLACE, types.CONVERSATION):
        return [*state.names.groups, *_people(state)]
    if kind is types.FILE_CODE:
        return state.files
    if kind is types.ROOM:
        return state.names.rooms
    if kind is types.VERB:
        return [*BY_VERB]
    is_choice = isinstance(kind, types.WordType | types.FlagType)
    return kind.shape.split("|") if is_choice else ()


def _matching(text: str, names: Iterable[str], end: str) -> Iterable[Completion]:
    key = key_of(text)
    for name in names:
        if key_of(name).startswith(key):
            yield Completion(name + end, start_position=-len(text), display=name)


def _paths(text: str) -> Iterable[Completion]:
    """Completions of the last word as a local path."""
    words = local_paths.split(text)
    word = words[-1] if words and not text.endswith(" ") else ""
    start = len(text) - len(_last_raw(text))
    folder, _, begun = word.rpartition("/")
    try:
        base = Path(f"{folder}/" if "/" in word else ".").expanduser()
        found = sorted(base.iterdir())[:MAX_PATHS]
    except (OSError, RuntimeError):
        return
    for path in found:
        name = path.name
        if not name.startswith(begun) or (name.startswith(".") and not begun.startswith(".")):
            continue
        if not name.isprintable():
            continue
        end = "/" if path.is_dir() else ""
        whole = local_paths.quote((f"{folder}/" if "/" in word else "") + name) + end
        yield Completion(whole, start_position=start - len(text), display=name + end)


def _last_raw(text: str) -> str:
    """The last word as typed, with quotes and backslashes."""
    at = 0
    for i, c in enumerate(text):
        if c == " " and not text[:i].endswith("\\"):
            at = i + 1
    return text[at:]
