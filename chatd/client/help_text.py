"""The texts of `help`: those of the command table, and the client's own commands."""

from __future__ import annotations

from chatd.client.line_parser import DOWNLOADS, FILE_COMMANDS, MENUS, TWO_WORDS
from chatd.client.render import Line
from chatd.client.state import Menu
from chatd.client.translations import later, tr
from chatd.commands.rows import Row
from chatd.commands.table import BY_VERB, GROUPS, TABLE

OWN: dict[str, tuple[str, str]] = {
    "chat": (
        "chat [address|#group] [text]",
        later("chat with someone: each line is a message, until back"),
    ),
    "contact": ("contact", later("open the contacts menu: get, add, del, chat, back")),
    "group": ("group", later("open the groups menu: create, get, join, chat, back")),
    "list": ("list", later("open the inbox menu: get, chat, back")),
    "back": ("back", later("leave a chat or a menu")),
    "list file": ("list file", later("list the files you may download")),
    "get file": ("get file", later("download a file; asks for its name")),
    "send file": ("send file", later("send a file; asks for its name and its recipient")),
}
_MENU_USAGE = {
    Menu.CONTACT: ("get", "add username", "del username", "chat username", "back"),
    Menu.GROUP: ("create group", "get", "join code", "chat number", "back"),
    Menu.LIST: ("get [user|group]", "chat username", "back"),
}


def usage(row: Row) -> str:
    """The usage in the client, where files are local paths without a size."""
    if row.command not in FILE_COMMANDS:
        many = f" [{row.args[0].name}…]" if row.command in DOWNLOADS and row.args else ""
        return row.usage + many
    *targets, _, _ = (arg for arg in row.args if not arg.named)
    return " ".join((row.verb, *(arg.usage for arg in targets), "path [path…]"))


def about(row: Row) -> str:
    """What the command does, without the details of the protocol."""
    found = tr(row.help)
    return found.partition(":")[0] if row.command in (*FILE_COMMANDS, *DOWNLOADS) else found


def help_lines(verb: str, menu: Menu) -> list[Line]:
    """Help for all commands or for one; empty for an unknown command."""
    if not verb:
        rows = [_line(usage(row), about(row), row.aliases) for row in TABLE if "." not in row.verb]
        rows += [_line(f"{word} …", tr(about), ()) for word, about in GROUPS.items()]
        return [*rows, *(_line(shape, tr(words), ()) for shape, words in OWN.values())]
    if verb in OWN:
        shape, words = OWN[verb]
        return [_line(shape, tr(words), ())]
    begun = ".".join(verb.split())
    if several := [row for row in TABLE if row.verb.startswith(f"{begun}.")]:
        return [_line(usage(row), about(row), ()) for row in several]
    verb = begun if begun in BY_VERB else verb
    row = BY_VERB.get(MENUS[menu].get(TWO_WORDS.get(verb, verb), TWO_WORDS.get(verb, verb)))
    return [] if row is None else [_line(usage(row), about(row), row.aliases)]


def menu_lines(menu: Menu) -> list[Line]:
    """The commands of a menu."""
    return [[("note", " · ".join(_MENU_USAGE[menu]))]]


def _line(shape: str, words: str, aliases: tuple[str, ...]) -> Line:
    also = f" ({', '.join(aliases)})" if aliases else ""
    return [("own", shape), ("", f": {words}"), ("time", also)]
