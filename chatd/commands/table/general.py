"""The commands for the connection, and help."""

from __future__ import annotations

from chatd.base import errors
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Row

ROWS: tuple[Row, ...] = (
    Row(
        "listen",
        ask.SetListening,
        "turn live messages on or off; all: every kind of event, such as read marks and typing",
        (Arg("on", types.LISTEN), Arg("all", types.FLAG, optional=True, named=True)),
    ),
    Row(
        "verbose",
        ask.SetVerbose,
        "show the number of each message before it, or do not",
        (Arg("on", types.FLAG),),
    ),
    Row(
        "help",
        ask.ShowHelp,
        "list all commands, or explain one",
        (Arg("verb", types.VERB, optional=True),),
        aliases=("?", "commands"),
        login=False,
        errors=(errors.UnknownCommand,),
    ),
    Row("ping", ask.CheckAlive, "check that the realm answers", login=False),
    Row(
        "quit",
        ask.Quit,
        "close the connection; the session stays valid",
        aliases=("exit", "bye"),
        login=False,
    ),
)
