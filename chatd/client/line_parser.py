"""Parses a typed line into an action: commands, menus, chat lines and prompts for missing arguments."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from chatd.base.errors import ChatError
from chatd.client import local_paths
from chatd.client.actions import (
    Action,
    EnterMenu,
    GetFiles,
    GoBack,
    ListNumberedGroups,
    OpenChat,
    QuitClient,
    Request,
    SayInChat,
    SendFiles,
    ShowHelp,
)
from chatd.client.input_errors import NoSuchCommand, NotUnderstood, no_command
from chatd.client.state import Kind, Menu, Place, State
from chatd.client.threads import Shown
from chatd.client.translations import later, of_error, tr
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Row
from chatd.commands.table import BY_COMMAND, BY_VERB
from chatd.commands.values import Command
from chatd.commands.words import FIRST_WORDS, find_row

# Prompts the user for an argument, which is given for completion. Returns None if the user cancels.
AskUser = Callable[[str, Arg], Awaitable[str | None]]

FILE_COMMANDS = (
    ask.SendFile,
    ask.SendGroupFile,
    ask.SendRealmFile,
    ask.SendRealmGroupFile,
    ask.SendRoomFile,
    ask.SetPicture,
    ask.ImportArchive,
)
DOWNLOADS = (ask.GetFile, ask.GetRoomFile, ask.GetPicture, ask.ExportData, ask.ExportAccount)
BACK, QUIT = "back", "quit"

# The prompts for arguments. Some are the exact words of the documents.
PROMPTS: Mapping[str, str] = {
    "username": later("Username :"),
    "password": later("Password :"),
    "name": later("Name :"),
    "country": later("Nationality :"),
    "token": later("Token :"),
    "old": later("Old password :"),
    "new": later("New password :"),
    "to": later("Recipient username:"),
    "user": later("Username :"),
    "users": later("Usernames:"),
    "text": later("Message:"),
    "group": later("Group:"),
    "place": later("User or group:"),
    "room": later("Room:"),
    "realm": later("Realm:"),
    "host": later("Host:"),
    "port": later("Port:"),
    "filename": later("File Name: "),
    "code": later("File Name: "),
    "conversation": later("Conversation:"),
    "seq": later("Number:"),
    "on": later("on or off:"),
}
_ALL_ASKED = (ask.Register,)  # without arguments, these also ask for the optional ones

# The menus of the third document: word -> verb. `get` (in the group menu) and `chat` are handled separately.
MENUS: Mapping[Menu, Mapping[str, str]] = {
    Menu.MAIN: {},
    Menu.CONTACT: {"get": "contacts", "add": "addcontact", "del": "delcontact"},
    Menu.GROUP: {"create": "addgroup", "join": "joingroup"},
    Menu.LIST: {"get": "inbox"},
}
# Two-word commands of the second document.
TWO_WORDS: Mapping[str, str] = {
    "list file": "files",
    "get file": "getfile",
    "send file": "sendfile",
}
# The commands that a picked message can be given to, with the argument that they get if none is typed.
ON_PICKED: Mapping[str, str] = {
    "reply": "",
    "edit": "",
    "delete": "",
    "react": "",
    "pin": "on",
    "forward": "",
    "readers": "",
    "report": "",
}
OWN_WORDS = ("chat", "contact", "group", "list", "back", *TWO_WORDS)


def row_of(verb: str, menu: Menu) -> Row | None:
    """The row of a word typed in a menu."""
    return BY_VERB.get(MENUS[menu].get(verb, verb))


async def parse_line(
    line: str, state: State, ask_user: AskUser | None, pasted: bool = False
) -> Action | None:
    """Return the action of `line`, or None for an empty line or a cancelled prompt. Without `ask_user`, a
    missing argument is an error. A line that was `pasted` into a chat is never a command.

    Raises NotUnderstood and ChatError.
    """
    if state.chat is not None:
        found = _in_chat(line, state, pasted)
        if not isinstance(found, str):
            return found
        line = found
    verb, _, rest = line.lstrip(" ").partition(" ")
    verb, rest = _meant(verb.lower().removeprefix("/"), rest, state)
    if not verb:
        return None
    own = await _own(verb, rest, state, ask_user)
    if own is not None:
        return own
    row, rest = find_row(f"{verb} {rest}")
    return await _of_row(row, row.words if "." in row.verb else verb, rest, state, ask_user)


def _in_chat(line: str, state: State, pasted: bool) -> Action | str | None:
    """In a chat each line is a message, except `back` and commands after a slash. A line that begins with two
    slashes, or is pasted, is always a message. If a message is picked, a message is a reply to it, and
    commands on messages are about it. Raises NoSuchCommand."""
    place, picked = state.chat, state.picked
    assert place is not None  # noqa: S101 - the caller has checked it
    if not line.strip():
        return None
    if not pasted and line.rstrip() == BACK:
        return GoBack()
    if pasted or not line.startswith("/") or line.startswith("//"):
        text = line[1:] if line.startswith("//") and not pasted else line
        return SayInChat(place, text) if picked is None else _about(place, picked, "reply", text)
    word, _, rest = line[1:].partition(" ")
    word = word.lower()
    if picked is not None and word in ON_PICKED and word in BY_VERB:
        return _about(place, picked, word, rest)
    if word in BY_VERB or word in OWN_WORDS or word in FIRST_WORDS:
        return line[1:]
    raise NoSuchCommand(no_command(word))


def _about(place: Place, picked: Shown, verb: str, rest: str) -> Request:
    """A command on the picked message."""
    row = BY_VERB[verb]
    sign = "#" if place.kind is Kind.GROUP else "@"
    rest = rest or ON_PICKED.get(verb, "")
    return Request(row, row.from_words(f"{sign}{place.name} {picked.seq} {rest}".rstrip()), verb)


def _meant(verb: str, rest: str, state: State) -> tuple[str, str]:
    """Resolve a menu word or a two-word command to its verb."""
    word, space, more = rest.partition(" ")
    meant = TWO_WORDS.get(f"{verb} {word.lower()}")
    # "send file hello" is a message to a user called file.
    if meant is not None and not (meant == "sendfile" and space and more.strip()):
        return meant, more.lstrip(" ")
    return MENUS[state.menu].get(verb, verb), rest


async def _own(verb: str, rest: str, state: State, ask_user: AskUser | None) -> Action | None:
    """Parse the client's own commands."""
    rest = rest.strip(" ")
    verb = BY_VERB[verb].verb if verb in BY_VERB else verb
    if verb in ("contact", "group", "list") and not rest:
        return EnterMenu(Menu(verb))
    if verb == "get" and state.menu is Menu.GROUP and not rest:
        return ListNumberedGroups()
    if verb == BACK and not rest:
        return GoBack()
    if verb == QUIT and not rest:
        return QuitClient()
    if verb == "help":
        return ShowHelp(rest.lower())
    if verb == "chat":
        return await _chat(rest, state, ask_user)
    return None


async def _chat(rest: str, state: State, ask_user: AskUser | None) -> Action | None:
    """`chat` prompts for a recipient and a text, as in the second document; `chat X` opens a chat."""
    name, _, text = rest.partition(" ")
    if not name:
        return await _of_row(BY_VERB["send"], "chat", "", state, ask_user)
    place = _place(name, state)
    return SayInChat(place, text.lstrip(" ")) if text.strip(" ") else OpenChat(place)


def _place(name: str, state: State) -> Place:
    group, user = name.startswith("#"), name.startswith("@")
    bare = name[1:] if group or user else name
    if state.menu is Menu.GROUP and name.isdigit() and state.names.numbered:
        if not 0 < int(name) <= len(state.names.numbered):
            raise NotUnderstood(
                tr("There is no group number {number}: get lists them", number=name)
            )
        return Place(state.names.numbered[int(name) - 1], Kind.GROUP)
    if group or (state.menu is Menu.GROUP and not user):
        return Place(str(types.GROUP.from_text("group", bare)), Kind.GROUP)
    bare = str(types.ADDRESS.from_text("to", bare))
    if user or state.menu is Menu.CONTACT:
        return Place(bare, Kind.USER)
    return state.resolve(bare)


async def _of_row(
    row: Row, verb: str, rest: str, state: State, ask_user: AskUser | None
) -> Action | None:
    if row.command in FILE_COMMANDS:
        return await _files(row, rest, state, ask_user)
    if row.command in DOWNLOADS:
        return await _get(row, verb, rest, ask_user)
    rest = _without_retyped(row, rest)
    given = await complete(row, rest, ask_user)
    return None if given is None else Request(row, given, verb)


def _without_retyped(row: Row, rest: str) -> str:
    """Drop a repeated password in `register`, as typed in the third document. Here the third word is the
    display name, which everybody sees."""
    words = rest.split()
    if row.command is ask.Register and len(words) == 3 and words[1] == words[2]:
        return " ".join(words[:2])
    return rest


async def complete(row: Row, rest: str, ask_user: AskUser | None) -> Command | None:
    """The command with the arguments in `rest`; prompts for missing ones. None if the user cancels."""
    args = [arg for arg in row.args if not arg.named]
    before, options = row.split_options(rest)
    missing = _missing(row, args, before)
    if not missing or ask_user is None:
        return row.from_words(rest)
    named = [arg for arg in row.args if arg.name in options]
    values = _given(args, before)
    values |= {arg.name: arg.type.from_text(arg.name, options[arg.name]) for arg in named}
    for arg in missing:
        value = await _ask_until_right(arg, ask_user)
        if value is None:
            return None
        if value != "":
            values[arg.name] = value
    return row.command(**values)


def _missing(row: Row, args: list[Arg], rest: str) -> list[Arg]:
    if not rest.strip(" "):
        everything = row.command in _ALL_ASKED
        return [arg for arg in args if everything or not arg.optional]
    words, left = 0, rest
    for arg in args:
        left = left.lstrip(" ")
        if not left:
            break
        left = "" if arg.type.greedy else left.partition(" ")[2]
        words += 1
    return [arg for arg in args[words:] if not arg.optional]


def _given(args: list[Arg], rest: str) -> dict[str, Any]:
    """The values of the first arguments. Raises BadRequest."""
    words = rest.split()
    return {
        arg.name: arg.type.from_text(arg.name, word) for arg, word in zip(args, words, strict=False)
    }


async def _ask_until_right(arg: Arg, ask_user: AskUser) -> Any:
    """The user's value: None if they cancel, "" if they leave out an optional argument."""
    prompt = _prompt(arg.name)
    while True:
        text = await ask_user(prompt, arg)
        if text is None or (not text and not arg.optional):
            return None
        if not text:
            return ""
        return _read(arg, text)


def _read(arg: Arg, text: str) -> Any:
    if isinstance(arg.type, types.DisplayNameType):
        return arg.type.from_json(arg.name, text)  # at a prompt, spaces need no underscores
    return arg.type.from_text(arg.name, text if arg.type.greedy else text.strip(" "))


async def _files(row: Row, rest: str, state: State, ask_user: AskUser | None) -> SendFiles | None:
    """A command that sends files: recipients, then local paths. In a chat, paths alone go to that chat; words
    that start with a path can't start with a recipient."""
    *targets, filename, _size = (arg for arg in row.args if not arg.named)
    words = local_paths.split(rest)
    place = state.chat
    if place is not None and row.command in (ask.SendFile, ask.SendGroupFile) and words:
        found = local_paths.expand(words, rest)
        if all(path.is_file() for path in found) or "/" in words[0]:
            return SendFiles(row_for(place), {}, tuple(found), place)
    if len(words) > len(targets):
        after = _after_words(rest, len(targets))
        to = dict(zip((arg.name for arg in targets), words, strict=False))
        found = local_paths.expand(words[len(targets) :], after)
        return _sending(row, targets, to, found)
    if ask_user is None:
        raise row.wrong(tr("{name} is missing", name=[*targets, filename][len(words)].name))
    # The second document asks for the file first.
    name = await ask_user(_prompt("filename"), filename)
    if not name or not name.strip():
        return None
    to = dict(zip((arg.name for arg in targets), words, strict=False))
    for arg in targets[len(words) :]:
        value = await ask_user(_file_prompt(arg), arg)
        if not value:
            return None
        to[arg.name] = value.strip(" ")
    return _sending(row, targets, to, local_paths.expand(local_paths.split(name), name))


def _prompt(name: str) -> str:
    sentence = PROMPTS.get(name, f"{name}:")
    return tr(sentence)


def _file_prompt(arg: Arg) -> str:
    return tr("Recipient Username:") if arg.name in ("to", "user") else _prompt(arg.name)


def row_for(place: Place) -> Row:
    """The command that sends a file to a conversation."""
    return BY_COMMAND[ask.SendGroupFile if place.kind is Kind.GROUP else ask.SendFile]


def _sending(row: Row, targets: list[Arg], to: Mapping[str, str], files: list[Path]) -> SendFiles:
    values = {arg.name: as_json(arg.type.from_text(arg.name, to[arg.name])) for arg in targets}
    return SendFiles(row, values, tuple(files))


def _after_words(rest: str, count: int) -> str:
    for _ in range(count):
        rest = rest.lstrip(" ").partition(" ")[2]
    return rest.strip(" ")


async def _get(row: Row, verb: str, rest: str, ask_user: AskUser | None) -> GetFiles | None:
    if not row.args:
        row.from_words(rest)  # raises BadRequest if there are any
        return GetFiles((row.verb,), row.verb, verb=row.verb)
    if not rest.strip(" "):
        if ask_user is None:
            raise row.wrong(tr("{name} is missing", name=row.args[0].name))
        rest = await ask_user(_prompt(row.args[0].name), row.args[0]) or ""
    whole = rest.strip(" ")
    words = tuple(local_paths.split(whole))
    return GetFiles(words, whole, verb == "downloadgroup_file", row.verb) if words else None


def as_json(value: Any) -> Any:
    """A value of an argument as the json dialect writes it."""
    if isinstance(value, tuple):
        return [str(each) for each in value]
    return value if isinstance(value, bool | int | None) else str(value)


def by_name(row: Row, command: Command) -> dict[str, Any]:
    """The arguments of a command, by name, without flags that are off by default and other missing ones."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(command)}
    given = {arg.name: getattr(command, arg.name) for arg in row.args}
    return {
        name: as_json(value)
        for name, value in given.items()
        if value is not None and not (value is False and defaults[name] is False)
    }


def sentence(error: Exception) -> str:
    return of_error(error) if isinstance(error, ChatError) else str(error)
