"""Handlers of the commands for what the realm stores."""

from __future__ import annotations

from chatd.base.model import Group
from chatd.base.names import Address
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.handlers.replies import list_reply
from chatd.commands.restricted import ActHandlers
from chatd.service.audit import Act

ACT_HANDLERS = ActHandlers()

MAX_LISTED = 500  # accounts, groups or realms
LISTED = 20


@ACT_HANDLERS.of(ask.ShowUsage)
async def show_usage(client: Client, command: ask.ShowUsage, _act: Act) -> Reply:
    limit = min(command.limit or LISTED, MAX_LISTED)
    found, more = await client.service.usage.list(command.by, limit)
    noun = command.by.removesuffix("s") if len(found) == 1 else command.by
    return list_reply(f"{len(found)} {noun}", found, "usage", more)


@ACT_HANDLERS.of(ask.ShowRetention)
async def show_retention(client: Client, _command: ask.ShowRetention, _act: Act) -> Reply:
    found = await client.service.retention.list()
    return list_reply("What is kept", found, "retention", 0)


@ACT_HANDLERS.of(ask.SetRetention)
async def set_retention(client: Client, command: ask.SetRetention, act: Act) -> Reply:
    group = await _group(client, command.group)
    given = {
        "age": _milliseconds(command.age),
        "size": command.size,
        "file_age": _milliseconds(command.file_age),
        "file_size": command.file_size,
    }
    changed = {name: value for name, value in given.items() if value is not None}
    await client.service.retention.set(act, None if group is None else group.id, changed)
    return Reply(
        f"What {_scope(group)} keeps has changed; older messages and files are being removed"
    )


@ACT_HANDLERS.of(ask.ClearRetention)
async def clear_retention(client: Client, command: ask.ClearRetention, act: Act) -> Reply:
    group = await _group(client, command.group)
    await client.service.retention.clear(act, None if group is None else group.id)
    return Reply(f"The limits of {_scope(group)} are removed")


async def _group(client: Client, name: Address | None) -> Group | None:
    """The group with that name, or None for the realm. Raises UnknownGroup."""
    return None if name is None else (await client.service.rosters.find(name)).group


def _scope(group: Group | None) -> str:
    return "the realm" if group is None else group.name


def _milliseconds(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1000
