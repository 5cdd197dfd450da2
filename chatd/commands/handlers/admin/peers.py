"""Handlers of the commands with which operators manage other realms."""

from __future__ import annotations

from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.handlers import realms
from chatd.commands.restricted import ActHandlers
from chatd.service.audit import Act

ACT_HANDLERS = ActHandlers()


@ACT_HANDLERS.of(ask.ListPeers)
async def list_peers(client: Client, _command: ask.ListPeers, _act: Act) -> Reply:
    return await realms.listed(client, by_operator=True)


@ACT_HANDLERS.of(ask.LinkRealm)
async def link_realm(client: Client, command: ask.LinkRealm, _act: Act) -> Reply:
    return await realms.link_with(client, command, by_operator=True)


@ACT_HANDLERS.of(ask.UnlinkRealm)
async def unlink_realm(client: Client, command: ask.UnlinkRealm, _act: Act) -> Reply:
    return await realms.forget(client, command.realm)
