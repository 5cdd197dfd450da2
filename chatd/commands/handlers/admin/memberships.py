"""Handlers of the commands with which operators make groups in the name of accounts, and add members."""

from __future__ import annotations

from chatd.base.names import Address
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.restricted import ActHandlers
from chatd.service.audit import Act

ACT_HANDLERS = ActHandlers()


@ACT_HANDLERS.of(ask.MakeGroup)
async def make(client: Client, command: ask.MakeGroup, _act: Act) -> Reply:
    account = await client.service.accounts.find(command.user)
    group = await client.service.groups.create(account, command.group, command.title)
    return Reply(
        f"The group {group.name} was created, and {account.name} is its admin",
        {"group": group.name, "username": account.name},
    )


@ACT_HANDLERS.of(ask.AddMember)
async def enter(client: Client, command: ask.AddMember, _act: Act) -> Reply:
    account = await client.service.accounts.find(command.user)
    group = await client.service.groups.join(account, Address(command.group))
    return Reply(
        f"{account.name} is a member of {group.name}",
        {"group": group.name, "username": account.name},
    )
