"""Handlers of the commands for bans of accounts, networks and realms."""

from __future__ import annotations

from chatd.base.ban_targets import ACCOUNT, NETWORK, REALM, BanTarget
from chatd.base.errors import LocksYouOut, NotOperator, OwnRealm
from chatd.base.model import Account
from chatd.base.moderation_records import AccessBanInfo
from chatd.base.replies import Reply
from chatd.base.roles import OPERATOR, includes
from chatd.base.sources import Networks
from chatd.base.timestamps import timestamp
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.handlers.replies import count, list_reply
from chatd.commands.restricted import ActHandlers
from chatd.service.audit import Act
from chatd.store.access_bans import AccessBan

ACT_HANDLERS = ActHandlers()

MAX_LISTED = 500  # bans on a page
LISTED = 100


@ACT_HANDLERS.of(ask.AddAccessBan)
async def add_ban(client: Client, command: ask.AddAccessBan, act: Act) -> Reply:
    target = command.target
    account = await _check(client, target, act)
    if not command.force and _locks_out(client, target, account):
        raise LocksYouOut(target=str(target))
    ban = await client.service.access_bans.add(
        act, target, account, command.reason or "", command.expires
    )
    if account is not None:
        client.sessions.refuse(account, client.service.access_bans.error(ban))
    until = "" if ban.until is None else f" until {timestamp(ban.until)}"
    return Reply(f"{target} is banned{until}", _fields(ban))


@ACT_HANDLERS.of(ask.ListAccessBans)
async def list_bans(client: Client, command: ask.ListAccessBans, _act: Act) -> Reply:
    limit = min(command.limit or LISTED, MAX_LISTED)
    found, more = client.service.access_bans.list(command.kind, limit)
    items = tuple(
        AccessBanInfo(str(ban.target), ban.target.kind, ban.at, ban.actor, ban.until, ban.reason)
        for ban in found
    )
    return list_reply(count(items, "ban"), items, "access_bans", more)


@ACT_HANDLERS.of(ask.RemoveAccessBan)
async def remove_ban(client: Client, command: ask.RemoveAccessBan, act: Act) -> Reply:
    if command.target.kind != ACCOUNT:
        act.actor.check(OPERATOR)
    await client.service.access_bans.remove(act, command.target)
    return Reply(f"{command.target} is not banned any more", {"target": str(command.target)})


async def _check(client: Client, target: BanTarget, act: Act) -> Account | None:
    """The account that is to be banned, if it is one. Raises UnknownUser, OwnRealm, and NotOperator if the
    actor may not ban the target."""
    if target.kind == ACCOUNT:
        account = await client.service.accounts.find(target.name)
        if not includes(act.actor.role, account.role):
            raise NotOperator
        return account
    act.actor.check(OPERATOR)
    if target.kind == REALM and target.key == client.service.context.realm_key:
        raise OwnRealm(realm=target.name)
    return None


def _locks_out(client: Client, target: BanTarget, account: Account | None) -> bool:
    """Whether the ban would keep out the one who asks for it."""
    if target.kind == NETWORK:
        return Networks.parse(target.name).contains(client.connection.origin.address)
    session = client.session
    return account is not None and session is not None and session.account.id == account.id


def _fields(ban: AccessBan) -> dict[str, str | int | bool]:
    fields: dict[str, str | int | bool] = {"target": str(ban.target), "kind": ban.target.kind}
    if ban.until is not None:
        fields["until"] = timestamp(ban.until)
    return fields
