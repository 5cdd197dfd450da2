"""The command line of chatctl, made from the command table."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from chatd import __version__
from chatd.base.errors import StillRunning
from chatd.commands import arguments as types
from chatd.commands.rows import Arg, Row
from chatd.commands.table import TABLE
from chatd.ctl.exits import EXITS, WrongUsage
from chatd.ctl.local import LOCAL

PREFIX = "admin."
OUTPUT = "where to save the file, which must not exist yet; - is the standard output"
# What help says of the first words of commands
SUBJECTS: Mapping[str, str] = {
    "group": "groups",
    "invite": "invitations to the realm",
    "ban": "bans of accounts, networks and realms",
    "message": "messages of other people",
    "mute": "people who can't write to groups",
    "node": "processes that serve the realm together",
    "realm": "other realms",
    "report": "messages that people have reported",
    "retention": "how long messages and files are kept",
    "user": "accounts and their sessions",
}


def rows() -> dict[str, Row]:
    """The commands of chatctl, by their words."""
    return {
        row.verb.removeprefix(PREFIX).replace(".", " "): row
        for row in TABLE
        if row.verb.startswith(PREFIX)
    }


def offline_note(row: Row) -> str:
    """A sentence on stopped realms, for help. Empty if the command needs a running realm, or if its own help
    says that the realm has to be stopped."""
    only = StillRunning in row.errors
    return "It also works while the realm is stopped." if row.offline and not only else ""


class CtlParser(argparse.ArgumentParser):
    """A parser that raises WrongUsage instead of ending the process. `commands` are the parsers of the
    commands, and of their first words, by these words."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.commands: dict[str, CtlParser] = {}

    def error(self, message: str) -> NoReturn:
        raise WrongUsage(f"{message}\n{self.format_usage().rstrip()}")


def make_parser() -> CtlParser:
    """The parser of the whole command line."""
    common = CtlParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--config", "-c", metavar="FILE", help="the realm's configuration file")
    common.add_argument("--json", action="store_true", help="print the reply as a JSON object")
    parser = CtlParser(
        prog="chatctl",
        parents=[common],
        description="Run a chatd realm. It talks to the running realm through the control socket in the "
        "realm's state folder. Without --config, it reads ./etc/chatd.ini, else /etc/chatd.ini.",
        epilog="Exit status: "
        + ", ".join(f"{number} {what}" for number, what in EXITS.items())
        + ".",
    )
    parser.add_argument("--version", action="version", version=f"chatctl {__version__}")
    groups: dict[str, Any] = {"": _subparsers(parser)}
    for words, row in rows().items():
        leaf = _leaf(parser, groups, common, words, row.help, offline_note(row))
        leaf.set_defaults(row=row)
        for arg in row.args:
            _add(leaf, arg)
        if row.download:
            leaf.add_argument("--output", metavar="FILE", default=None, help=OUTPUT)
    for command in LOCAL:
        leaf = _leaf(parser, groups, common, command.words, command.help)
        leaf.set_defaults(local=command)
        for each in command.args:
            if each.shape:
                leaf.add_argument(each.name, metavar=each.shape, help=each.about)
            else:
                leaf.add_argument(each.name, action="store_true", help=each.about)
    helping = groups[""].add_parser("help", help="explain a command")
    helping.add_argument("words", nargs="*", metavar="command")
    return parser


def _leaf(
    parser: CtlParser,
    groups: dict[str, Any],
    common: CtlParser,
    words: str,
    about: str,
    note: str = "",
) -> CtlParser:
    """The parser of a command, which is added. `note` is below its help."""
    before, _, last = words.rpartition(" ")
    made: CtlParser = _group(parser, groups, before, common).add_parser(
        last,
        parents=[common],
        help=about,
        description=f"{about[0].upper()}{about[1:]}.",
        epilog=note or None,
    )
    parser.commands[words] = made
    return made


def _group(parser: CtlParser, groups: dict[str, Any], words: str, common: CtlParser) -> Any:
    """The subparsers of the commands that begin with `words`."""
    if words not in groups:
        before, _, last = words.rpartition(" ")
        above = _group(parser, groups, before, common)
        made = above.add_parser(last, parents=[common], help=SUBJECTS[words])
        parser.commands[words] = made
        groups[words] = _subparsers(made)
    return groups[words]


def _subparsers(parser: CtlParser) -> Any:
    return parser.add_subparsers(metavar="command", required=True, parser_class=CtlParser)


def option_of(arg: Arg) -> str:
    return f"--{arg.name.replace('_', '-')}"


def _add(parser: CtlParser, arg: Arg) -> None:
    """Add an argument of a command. A secret is none: other users of the system see command lines."""
    kind = arg.type
    about = kind.about.replace("%", "%%")
    if is_secret(arg):
        parser.add_argument(
            f"{option_of(arg)}-stdin",
            action="store_true",
            dest=f"{arg.name}_stdin",
            help=f"read the {arg.name} from the first line of the standard input instead of asking for it",
        )
    elif arg.named and isinstance(kind, types.FlagType):
        # It has no value whose form could be told.
        parser.add_argument(option_of(arg), action="store_const", const="on", dest=arg.name)
    elif arg.named:
        parser.add_argument(
            option_of(arg),
            metavar=shape_of(arg),
            dest=arg.name,
            required=not arg.optional,
            help=about,
        )
    else:
        many = ("*" if arg.optional else "+") if kind.greedy else ("?" if arg.optional else None)
        parser.add_argument(arg.name, nargs=many, metavar=shape_of(arg), help=about)


def shape_of(arg: Arg) -> str:
    """What stands for the value of an argument in usage texts; empty for an option without a value."""
    if not arg.named:
        return arg.usage.strip("[]")
    if isinstance(arg.type, types.FlagType):
        return ""
    return "N" if arg.type.shape == "number" else arg.type.shape


def is_secret(arg: Arg) -> bool:
    return arg.type.shape == "secret"


def given_in(row: Row, options: argparse.Namespace) -> dict[str, str]:
    """The arguments that the command line gives, as texts by name."""
    found: dict[str, str] = {}
    for arg in row.args:
        value = getattr(options, arg.name, None)
        text = " ".join(value) if isinstance(value, list) else value
        if text and isinstance(arg.type, types.PathType):
            text = str(Path(text).absolute())
        if text is not None and not is_secret(arg) and (text or not isinstance(value, list)):
            found[arg.name] = text
    return found


def as_json(row: Row, given: Mapping[str, str]) -> dict[str, Any]:
    """The arguments as the json dialect takes them. Raises BadRequest."""
    found: dict[str, Any] = {}
    for arg in row.args:
        if arg.name in given:
            text = given[arg.name]
            is_number = arg.type.json == "number"
            found[arg.name] = arg.type.from_text(arg.name, text) if is_number else text
    return found


def helped(words: Sequence[str], parser: CtlParser) -> str:
    """The help text for a command, or for those that begin with `words`. Raises WrongUsage."""
    asked = " ".join(words)
    found = parser.commands.get(asked) if asked else parser
    if found is None:
        raise WrongUsage(f"there is no command {asked}; chatctl help lists all commands")
    return found.format_help()
