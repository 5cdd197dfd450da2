"""Handlers of the commands for the connection, and help."""

from __future__ import annotations

from chatd.base.errors import every_error
from chatd.base.replies import CommandInfo, Reply
from chatd.base.roles import USER, includes
from chatd.commands import values as ask
from chatd.commands.client import Client, Handlers
from chatd.commands.handlers.replies import count
from chatd.commands.results import LastReply, NumbersShown
from chatd.commands.table import BY_COMMAND, TABLE, describe, describe_group, groups_of
from chatd.commands.words import find_row

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
    found = _described(client, command.verb)
    return Reply(
        count(found, "command"),
        data={}
        if command.verb
        else {"errors": {each.code: each.sentence for each in every_error()}},
        items=found,
        items_name="commands",
    )


def _described(client: Client, verb: str | None) -> tuple[CommandInfo, ...]:
    """What help shows of all commands, of those that begin with `verb`, or of that one. Without `verb`, and
    of several, those for which the client lacks the role are left out. Raises UnknownCommand, Usage."""
    role = USER if client.session is None and client.connection.actor is None else client.actor.role
    allowed = [row for row in TABLE if row.role is None or includes(role, row.role)]
    if verb is None:
        alone = tuple(describe(row) for row in allowed if "." not in row.verb)
        return alone + tuple(map(describe_group, groups_of(allowed)))
    begun = ".".join(verb.split()) + "."
    rows = [row for row in allowed if row.verb.startswith(begun)]
    if not rows:
        row, rest = find_row(verb)
        if rest:
            raise BY_COMMAND[ask.ShowHelp].wrong("Too many arguments")
        rows = [row]
    return tuple(map(describe, rows))


@HANDLERS.of(ask.CheckAlive)
def ping(client: Client, _command: ask.CheckAlive) -> Reply:
    return Reply("pong")


@HANDLERS.of(ask.Quit)
def leave(client: Client, _command: ask.Quit) -> LastReply:
    return LastReply(Reply("Goodbye"))
