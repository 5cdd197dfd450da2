"""`python -m chatd.ctl.manual` prints the man page chatctl(1), which is made from the command table."""

from __future__ import annotations

import sys

from chatd import __version__
from chatd.commands.rows import Arg, Row
from chatd.ctl.arguments import is_secret, offline_note, option_of, rows, shape_of
from chatd.ctl.exits import EXITS
from chatd.ctl.local import LOCAL, LocalArg, LocalCommand
from chatd.ctl.roff import bold, entry, escaped, example, inline, italic, section, title

DESCRIPTION = (
    "chatctl does on the command line what the operators of a chatd realm do. It talks to the running realm "
    "through the socket `control.sock` in the realm's state folder, which the user that runs chatd and root "
    "may use, and the members of the group that `[realm] control_group` names."
)
OPTIONS = (
    (
        ("--config", "FILE"),
        "The realm's configuration file. Without it, `./etc/chatd.ini` is read, else `/etc/chatd.ini`.",
    ),
    (("--json", ""), "Print the reply as one JSON object, as in the json dialect."),
    (("--help", ""), "Explain a command, and exit. `chatctl help COMMAND` does the same."),
    (("--version", ""), "Print the version, and exit."),
)
SECRETS = (
    "Passwords are asked for on the terminal, or read from the first line of the standard input with the "
    "option that a command has for that. They are never arguments, which other users of the machine see."
)
EXAMPLES = (
    "chatctl --config /etc/chatd.ini user add messi --role operator",
    "chatctl user list --state disabled",
    "chatctl audit --json | jq .entries",
)


def manual() -> str:
    """The man page."""
    page = title("chatctl", 1, "", f"chatd {__version__}", "run a chatd realm")
    options = f"[{bold('--config')} {italic('FILE')}] [{bold('--json')}]"
    page += section("SYNOPSIS", f"{bold('chatctl')} {options} {italic('command')} …")
    page += section("DESCRIPTION", inline(DESCRIPTION), ".PP", inline(SECRETS))
    page += section("OPTIONS")
    for (name, value), about in OPTIONS:
        page += entry([f"{bold(name)} {italic(value)}" if value else bold(name)], about)
    page += section("COMMANDS")
    for words, row in rows().items():
        page += _command(words, row)
    for command in LOCAL:
        page += _local(command)
    page += section("EXIT STATUS")
    for number, about in EXITS.items():
        page += entry([bold(str(number))], about[0].upper() + about[1:] + ".")
    page += section("EXAMPLES", *example(EXAMPLES))
    page += section(
        "SEE ALSO", f"{bold('chatd')}(8), {bold('chatd.ini')}(5), {bold('chatd-client')}(1)"
    )
    return "\n".join(page) + "\n"


def _command(words: str, row: Row) -> list[str]:
    """A command with its arguments."""
    shown = [_usage(arg) for arg in row.args if not is_secret(arg)]
    about = row.help[0].upper() + row.help[1:] + "."
    lines = entry([" ".join((bold(words), *shown))], f"{about} {offline_note(row)}".rstrip())
    options = [_option(arg) for arg in row.args if arg.named or is_secret(arg)]
    return (
        [*lines, ".RS", *(line for option in options for line in option), ".RE"]
        if options
        else lines
    )


def _local(command: LocalCommand) -> list[str]:
    """A command that only chatctl has, with its arguments."""
    terms = {each: _term(each) for each in command.args}
    shown = [f"[{term}]" if each.is_option else term for each, term in terms.items()]
    about = command.help[0].upper() + command.help[1:] + "."
    lines = [*entry([" ".join((bold(command.words), *shown))], about), ".RS"]
    for each, term in terms.items():
        lines += [".TP", term, escaped(each.about[0].upper() + each.about[1:] + ".")]
    return [*lines, ".RE"]


def _term(arg: LocalArg) -> str:
    if not arg.is_option:
        return italic(arg.shape)
    return f"{bold(arg.name)} {italic(arg.shape)}" if arg.shape else bold(arg.name)


def _usage(arg: Arg) -> str:
    if not arg.named:
        return f"[{italic(shape_of(arg))}]" if arg.optional else italic(shape_of(arg))
    value = shape_of(arg)
    shown = f"{bold(option_of(arg))} {italic(value)}" if value else bold(option_of(arg))
    return f"[{shown}]" if arg.optional else shown


def _option(arg: Arg) -> list[str]:
    if is_secret(arg):
        about = f"Read the {arg.name} from the standard input."
        return entry([bold(f"{option_of(arg)}-stdin")], about)
    value = shape_of(arg)
    if not value:
        return entry([bold(option_of(arg))])
    term = f"{bold(option_of(arg))} {italic(value)}"
    return [".TP", term, escaped(arg.type.about[0].upper() + arg.type.about[1:] + ".")]


if __name__ == "__main__":
    sys.stdout.write(manual())
