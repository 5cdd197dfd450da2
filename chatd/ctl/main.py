"""Runs chatctl: finds the realm, asks for secrets, sends the command, and prints the reply."""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from chatd.base.config import Config
from chatd.base.config_file import ConfigError, find_config, load_config
from chatd.base.errors import BadRequest
from chatd.commands.rows import Arg, Row
from chatd.ctl.arguments import as_json, given_in, helped, is_secret, make_parser
from chatd.ctl.exits import DONE, CtlError, NotReached, RefusedByRealm, WrongUsage
from chatd.ctl.link import ControlLink, NotRunning
from chatd.ctl.local import LocalCommand
from chatd.ctl.output import json_line, printable, reply_lines
from chatd.ctl.saving import Saving

INTERRUPTED = 130  # as shells say it


def main(words: Sequence[str] | None = None) -> int:
    """Execute a command line. Returns the exit code."""
    try:
        return _run(words)
    except CtlError as error:
        sys.stderr.write(f"chatctl: {error}\n")
        return error.status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Nobody reads the rest. Python would complain when it flushes the standard output at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE


def _run(words: Sequence[str] | None) -> int:
    parser = make_parser()
    options = parser.parse_args(words)
    if hasattr(options, "local"):
        return _run_local(options.local, options)
    if not hasattr(options, "row"):
        sys.stdout.write(helped(options.words, parser))
        return DONE
    row: Row = options.row
    try:
        given = as_json(row, given_in(row, options))
        given |= {arg.name: _secret(arg, options) for arg in row.args if is_secret(arg)}
        row.from_names(given)
        config = _config(options)
    except (BadRequest, ConfigError) as error:
        raise WrongUsage(str(error)) from None
    saving = Saving(options.output) if row.download else None
    reply = _ask(config, row, given, saving)
    if saving is None or not saving.to_stdout or reply.get("status") != "OK":
        _show(reply, as_object=getattr(options, "json", False))
    return RefusedByRealm.status if reply.get("sound") is False else DONE


def _run_local(command: LocalCommand, options: argparse.Namespace) -> int:
    """Execute a command that only chatctl has. Returns the exit code, which tells whether something was
    refused. Raises CtlError."""
    try:
        config = _config(options)
    except ConfigError as error:
        raise WrongUsage(str(error)) from None
    try:
        with ControlLink(config.state) as link:
            reply = command.run(options, link.ask)
    except NotRunning as error:
        raise NotReached(f"{error}; start it first") from None
    _show(reply, as_object=getattr(options, "json", False))
    return RefusedByRealm.status if reply["refused"] else DONE


def _config(options: argparse.Namespace) -> Config:
    """The configuration of the realm, found as twistd finds it. Raises ConfigError."""
    given = getattr(options, "config", None)
    path = Path(given) if given is not None else find_config(Path.cwd())
    if path is None:
        return msgspec.structs.replace(Config(), state=Path.cwd() / Config().state)
    return load_config(path)


def _secret(arg: Arg, options: argparse.Namespace) -> str:
    """Ask for a secret, or read it from the standard input. Raises WrongUsage."""
    option = f"--{arg.name}-stdin"
    if getattr(options, f"{arg.name}_stdin", False):
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise WrongUsage(f"there is no terminal to ask for the {arg.name}; give it with {option}")
    secret = getpass.getpass(f"{arg.name.capitalize()}: ")
    if getpass.getpass(f"{arg.name.capitalize()} again: ") != secret:
        raise WrongUsage("the two differ; start again")
    return secret


def _ask(config: Config, row: Row, given: dict[str, Any], saving: Saving | None) -> dict[str, Any]:
    """The reply of the realm, or of its state folder if it is stopped. Raises CtlError."""
    try:
        with ControlLink(config.state) as link:
            return link.ask(row.verb, given, saving)
    except NotRunning as error:
        if not row.offline:
            raise NotReached(f"{error}; start it first") from None
    from chatd.ctl.offline import run_offline  # Twisted is loaded only for this

    return run_offline(config, row, given, saving)


def _show(reply: dict[str, Any], as_object: bool) -> None:
    """Print the reply. Raises RefusedByRealm for a refusal."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    if as_object:
        sys.stdout.write(json_line(reply, encoding))
    if reply.get("status") != "OK":
        raise RefusedByRealm(printable(str(reply.get("message"))))
    if not as_object:
        text = "\n".join(reply_lines(reply)) + "\n"
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
