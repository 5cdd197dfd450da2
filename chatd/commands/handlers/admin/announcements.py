"""Handler of the command with which operators write to all accounts."""

from __future__ import annotations

from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.restricted import ActHandlers
from chatd.service.audit import Act

ACT_HANDLERS = ActHandlers()


@ACT_HANDLERS.of(ask.Announce)
async def announce(client: Client, command: ask.Announce, act: Act) -> Reply:
    group = None
    if command.group is not None:
        group = (await client.service.rosters.find(command.group)).group.id
    accounts = await client.service.announcements.announce(act, command.text, group)
    return Reply("The announcement is being sent", {"accounts": accounts})
