"""Handlers of the commands for the connection, and help."""

from __future__ import annotations

from chatd.base.errors import every_error
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.client import Client, Handlers
from chatd.commands.handlers.replies import count
from chatd.commands.results import LastReply, NumbersShown
from chatd.commands.table import TABLE, describe
from chatd.commands.words import row_of

HANDLERS = Handlers()


@HANDLERS.of(ask.SetListening)
def listen(client: Client, command: ask.SetListening) -> Reply:
    on, everything = bool(command.on), command.everything
    client.service.presence.listen(client.account.id, client.listener, on, everything)
    if everything:
        return Reply("Everything is shown as it happens", {"listening": on, "all": True})
    state = "Messages are shown" if on else "Messages are not shown"
    return Reply(f"{state} as they arrive", {"listening": on})


@HANDLERS.of(ask.SetVerbose)
def verbose(_client: Client, command: ask.SetVerbose) -> NumbersShown:
    state = "are shown" if command.on else "are not shown"
    return NumbersShown(Reply(f"The numbers of messages {state}"), command.on)


@HANDLERS.of(ask.ShowHelp)
def show_help(client: Client, command: ask.ShowHelp) -> Reply:
    rows = TABLE if command.verb is None else (row_of(command.verb),)
    return Reply(
        count(rows, "command"),
        data={}
        if command.verb
        else {"errors": {each.code: each.sentence for each in every_error()}},
        items=tuple(map(describe, rows)),
        items_name="commands",
    )


@HANDLERS.of(ask.CheckAlive)
def ping(client: Client, _command: ask.CheckAlive) -> Reply:
    return Reply("pong")


@HANDLERS.of(ask.Quit)
def leave(client: Client, _command: ask.Quit) -> LastReply:
    return LastReply(Reply("Goodbye"))
