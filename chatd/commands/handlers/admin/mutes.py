"""Handlers of the commands for mutes of people in groups."""

from __future__ import annotations

from chatd.base.errors import NotOperator, UnknownGroup
from chatd.base.moderation_records import MuteInfo
from chatd.base.names import Address
from chatd.base.replies import Reply
from chatd.base.roles import includes
from chatd.base.timestamps import timestamp
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.handlers.replies import count, list_reply
from chatd.commands.restricted import ActHandlers
from chatd.service.audit import Act
from chatd.store.mutes import EVERYWHERE

ACT_HANDLERS = ActHandlers()

MAX_LISTED = 500  # mutes on a page
LISTED = 100


@ACT_HANDLERS.of(ask.AddMute)
async def add_mute(client: Client, command: ask.AddMute, act: Act) -> Reply:
    key, name = await _person(client, command.user, act)
    place, where = await _group(client, command.group)
    mute = await client.service.mutes.add(
        act, key, name, place, command.reason or "", command.expires
    )
    until = "" if mute.until is None else f" until {timestamp(mute.until)}"
    return Reply(f"{name} is muted in {where}{until}")


@ACT_HANDLERS.of(ask.ListMutes)
async def list_mutes(client: Client, command: ask.ListMutes, _act: Act) -> Reply:
    found, more = await client.service.mutes.list(min(command.limit or LISTED, MAX_LISTED))
    items = tuple(
        MuteInfo(mute.name, mute.at, mute.actor, group, mute.until, mute.reason)
        for mute, group in found
    )
    return list_reply(count(items, "mute"), items, "mutes", more)


@ACT_HANDLERS.of(ask.RemoveMute)
async def remove_mute(client: Client, command: ask.RemoveMute, act: Act) -> Reply:
    key, name = await _person(client, command.user, act)
    place, where = await _group(client, command.group)
    await client.service.mutes.remove(act, key, name, place)
    return Reply(f"{name} is not muted in {where} any more")


async def _person(client: Client, who: Address, act: Act) -> tuple[str, str]:
    """The key and the address of a person. Raises UnknownUser, and NotOperator for an operator whom the actor
    may not mute."""
    address = client.service.context.localize(who)
    if address.realm is not None:
        return address.key, str(address)
    account = await client.service.accounts.find(address.name)
    if not includes(act.actor.role, account.role):
        raise NotOperator
    return account.key, account.name


async def _group(client: Client, name: Address | None) -> tuple[int, str]:
    """The id of a group of this realm, and how a reply calls it. Raises UnknownGroup."""
    if name is None:
        return EVERYWHERE, "all groups"
    group = (await client.service.rosters.find(name)).group
    if group.realm is not None:
        raise UnknownGroup(name=group.name)
    return group.id, group.name
