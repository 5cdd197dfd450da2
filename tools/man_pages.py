"""Writes the man pages chatd(8), chatd.ini(5), chatd-client(1) and chatctl(1).

`python -m tools.man_pages build/man` writes one file for each. They are made from what the programs use: the
options of `twistd chatd` and of `chatd-client`, the keys of the configuration with the comments of
etc/chatd.ini, the table of commands, and the tables of signals and files in docs/operating/configuration.md.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from chatd import __version__
from chatd.base.config_file import KEYS
from chatd.client.help_text import OWN, about, usage
from chatd.client.main import parser
from chatd.commands.table import GROUPS, TABLE
from chatd.ctl.manual import manual
from chatd.ctl.roff import bold, entry, example, inline, italic, paragraph, section, title
from chatd.tap import Options

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "etc" / "chatd.ini"
CONFIGURATION = ROOT / "docs" / "operating" / "configuration.md"
CLIENT = ROOT / "docs" / "client.md"
NEWS = ROOT / "NEWS.md"
SOURCE = f"chatd {__version__}"


class Key(NamedTuple):
    """Some keys of etc/chatd.ini that share a comment. `names` have their values: `line = 64K`."""

    section: str
    names: tuple[str, ...]
    comment: tuple[str, ...]


def released() -> str:
    """The date of the newest release in NEWS.md; empty before the first one."""
    found = re.search(
        r"^## .*\((\d{4}-\d\d-\d\d)\)$", NEWS.read_text(encoding="utf-8"), re.MULTILINE
    )
    return found[1] if found else ""


def table_rows(path: Path, head: str) -> Iterator[list[str]]:
    """The cells of the Markdown table that begins with `head`. Raises ValueError if there is none."""
    lines = iter(path.read_text(encoding="utf-8").splitlines())
    if not any(line.startswith(head) for line in lines):
        raise ValueError(f"{path} has no table that begins with {head}")
    next(lines)  # the rule below the head
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def config_keys(text: str) -> tuple[list[str], list[Key]]:
    """What etc/chatd.ini says first, and its keys with the comments above them."""
    comment: list[str] = []
    names: list[str] = []
    found: list[Key] = []
    head: list[str] = []
    current = ""

    def close() -> None:
        if names:
            found.append(Key(current, tuple(names), tuple(comment)))
            comment.clear()
            names.clear()

    for line in [*text.splitlines(), ""]:
        if re.fullmatch(r";?\[.+\]", line):
            close()
            if not current:
                head, comment[:] = list(comment), []
            current = line.strip(";[]")
        elif line.startswith("; "):
            if names:
                close()
            comment.append(line[2:])
        elif re.match(r";?[\w-]+ =|;\w+", line):
            names.append(line.removeprefix(";"))
    close()
    return head, found


def _text_and_examples(comment: tuple[str, ...]) -> list[str]:
    """The comment as roff: sentences run on, and lines that are indented are examples."""
    lines: list[str] = []
    text: list[str] = []
    for line in (*comment, ""):
        if line and not line.startswith("  "):
            text.append(line)
            continue
        if text:
            lines += [".br", inline(" ".join(text))] if lines else [inline(" ".join(text))]
            text = []
        if line:
            lines += [".br", bold(line.strip())]
    return lines or ["\\&"]


def config_page() -> list[str]:
    """chatd.ini(5)."""
    head, keys = config_keys(CONFIG.read_text(encoding="utf-8"))
    page = title("chatd.ini", 5, released(), SOURCE, "configuration of chatd(8)")
    page += section("DESCRIPTION", inline(" ".join(head)))
    page += paragraph(
        "The file is read when the daemon starts, and every mistake in it is told in one sentence. "
        "A line that begins with a semicolon is a comment."
    )
    shown = ""
    for key in keys:
        if key.section != shown:
            shown = key.section
            page += section(f"[{shown}]")
        name_terms = [
            bold(name) + inline(f" = {value}".rstrip())
            for name, value in (re.split(r" ?= ?", line, maxsplit=1) for line in key.names)
        ]
        first, *others = name_terms
        page += [".TP", first]
        for term in others:
            page += [".TQ", term]
        page += _text_and_examples(key.comment)
    return page + section("SEE ALSO", f"{bold('chatd')}(8), {bold('twistd')}(1)")


def daemon_page() -> list[str]:
    """chatd(8)."""
    page = title("chatd", 8, released(), SOURCE, "federated chat daemon")
    page += section("SYNOPSIS", f"{bold('twistd')} [{italic('twistd options')}] {bold('chatd')} "
                    f"{inline(Options.synopsis)}")  # fmt: skip
    page += section("DESCRIPTION", inline(
        "chatd is a plugin of twistd(1). It serves one realm: accounts, groups, messages and files, for "
        "browsers, terminals, telnet and programs, linked with other realms."
    ))  # fmt: skip
    page += paragraph(Options.longdesc)
    page += _daemon_options()
    page += section("SIGNALS")
    for name, text in table_rows(CONFIGURATION, "| signal |"):
        page += entry([inline(name)], text)
    page += section("EXIT STATUS", inline(
        "1 if the daemon can't start, with one sentence on standard error. After SIGTERM or SIGINT it ends "
        "by that signal."
    ))  # fmt: skip
    page += section("FILES", inline("In the folder `[realm] state` of the configuration:"))
    for name, text in table_rows(CONFIGURATION, "| what | for |"):
        page += entry([inline(name)], text)
    page += section("EXAMPLES")
    page += example(
        [
            "twistd -n --pidfile= chatd --config /etc/chatd.ini",
            "twistd -n chatd --config /etc/chatd.ini --fingerprint",
        ]
    )
    return page + section("SEE ALSO", f"{bold('chatd.ini')}(5), {bold('chatd-client')}(1), "
                          f"{bold('twistd')}(1)")  # fmt: skip


def _daemon_options() -> list[str]:
    page = section("OPTIONS")
    for name, short, _default, text in Options.optParameters:
        page += entry([f"{bold(f'-{short}')}, {bold(f'--{name}')} {italic('FILE')}"], text or "")
    for name, _short, text in Options.optFlags:
        page += entry([bold(f"--{name}")], text or "")
    page += section("OPTIONS OF TWISTD", inline("The most useful ones; they come before `chatd`."))
    for terms, text in (
        ("-n", "stay in the foreground and log to standard output"),
        ("--pidfile=FILE", "write the process id to FILE; with an empty FILE write none"),
        ("--logfile=FILE", "log to FILE"),
    ):
        page += entry([bold(terms)], text)
    return page


def client_page() -> list[str]:
    """chatd-client(1)."""
    options = parser()
    page = title("chatd-client", 1, released(), SOURCE, "terminal client for chatd")
    words = []
    for action in options._actions:
        words.append(_shape(action) if not action.option_strings else f"[{_shape(action)}]")
    page += section("SYNOPSIS", " ".join([bold("chatd-client"), *words]))
    page += section("DESCRIPTION", inline(options.description or ""))
    page += section("OPTIONS")
    for action in options._actions:
        page += entry([_shape(action, every=True)], action.help or "")
    page += section("COMMANDS", inline(
        "Missing arguments are asked for. In a chat, commands begin with a slash; every other line is a "
        "message."
    ))  # fmt: skip
    commands = ((usage(row), about(row)) for row in TABLE if "." not in row.verb)
    groups = ((f"{word} …", text) for word, text in GROUPS.items())
    for shape, text in (*commands, *groups, *OWN.values()):
        verb, _, rest = shape.partition(" ")
        page += entry([f"{bold(verb)} {italic(rest)}" if rest else bold(verb)], text)
    page += section("EXIT STATUS")
    for name, text in re.findall(r"(\d) ([^,.]+)", options.epilog or ""):
        page += entry([bold(name)], text)
    page += section("FILES", inline(
        "The folder `$XDG_STATE_HOME/chatd` (`~/.local/state/chatd`) has `client.json` (the addresses of "
        "the last realm, and the tokens of your sessions), `client-history` (the lines that you typed) and, "
        "after an internal error, `client-errors.log`."
    ))  # fmt: skip
    return page + section("SEE ALSO", f"{bold('chatd')}(8)")


def _shape(action: argparse.Action, every: bool = False) -> str:
    """An option as it is typed: its first name, or `every` one."""
    value = action.metavar if isinstance(action.metavar, str) else "|".join(action.choices or ())
    if not action.option_strings:
        shape = f"{italic(value)} …" if action.nargs == "*" else italic(value)
        return shape if every else f"[{shape}]"
    names = action.option_strings if every else action.option_strings[-1:]
    takes = value if action.nargs != 0 else ""
    return ", ".join(map(bold, names)) + (f" {italic(takes)}" if takes else "")


PAGES = {
    "chatd.8": daemon_page,
    "chatd.ini.5": config_page,
    "chatd-client.1": client_page,
    "chatctl.1": lambda: manual().splitlines(),
}


def missing_keys() -> list[str]:
    """Keys of the configuration that chatd.ini(5) does not have."""
    _, keys = config_keys(CONFIG.read_text(encoding="utf-8"))
    have = {(key.section, name.split(" =")[0]) for key in keys for name in key.names}
    return [
        f"[{part}] {name}"
        for part, names in KEYS.items()
        for name in names
        if (part, name) not in have
    ]


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text("\n".join(page()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
