"""The connection, and help."""

from __future__ import annotations

from chatd.base import errors
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Row

ROWS: tuple[Row, ...] = (
    Row(
        "listen",
        ask.SetListening,
        "be given messages as they arrive, or not",
        (Arg("on", types.FLAG),),
    ),
    Row(
        "help",
        ask.ShowHelp,
        "what can be asked, or how one command is used",
        (Arg("verb", types.VERB, optional=True),),
        aliases=("?", "commands"),
        login=False,
        errors=(errors.UnknownCommand,),
    ),
    Row("ping", ask.CheckAlive, "see whether the realm answers", login=False),
    Row(
        "quit",
        ask.Quit,
        "close the connection; the session stays",
        aliases=("exit", "bye"),
        login=False,
    ),
)
