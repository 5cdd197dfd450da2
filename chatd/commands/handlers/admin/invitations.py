"""Handlers of the commands with which operators let people in: invitations, and links to reset a
password."""

from __future__ import annotations

from chatd.base.replies import Reply
from chatd.base.timestamps import timestamp
from chatd.commands import values as ask
from chatd.commands.client import Client
from chatd.commands.handlers.replies import count, list_reply
from chatd.commands.restricted import ActHandlers
from chatd.service.audit import Act

ACT_HANDLERS = ActHandlers()

LIFETIME = 7 * 86_400  # seconds
MAX_LISTED = 500  # invitations on a page
LISTED = 100


@ACT_HANDLERS.of(ask.InviteToRealm)
async def invite(client: Client, command: ask.InviteToRealm, act: Act) -> Reply:
    uses = command.uses or 1
    made = await client.service.realm_invitations.new(
        act, uses, command.expires or LIFETIME, command.note or ""
    )
    return Reply(
        f"Invitation {made.number} is for {count(range(uses), 'account')}; note its code, which is not "
        "shown again",
        {
            "invitation": made.number,
            "code": made.code,
            **({} if made.link is None else {"link": made.link}),
            "uses": uses,
            "expires": timestamp(made.expires_at),
        },
    )


@ACT_HANDLERS.of(ask.ListRealmInvitations)
async def list_invitations(client: Client, command: ask.ListRealmInvitations, _act: Act) -> Reply:
    limit = min(command.limit or LISTED, MAX_LISTED)
    found, more = await client.service.realm_invitations.list(limit, command.before)
    return list_reply(count(found, "invitation"), found, "realm_invitations", more)


@ACT_HANDLERS.of(ask.RevokeRealmInvitation)
async def revoke(client: Client, command: ask.RevokeRealmInvitation, act: Act) -> Reply:
    await client.service.realm_invitations.revoke(act, command.invitation)
    return Reply(f"Invitation {command.invitation} is revoked")


@ACT_HANDLERS.of(ask.ResetPassword)
async def reset(client: Client, command: ask.ResetPassword, act: Act) -> Reply:
    account = await client.service.accounts.find(command.user)
    made = await client.service.resets.new(act, account)
    return Reply(
        f"The link for {account.name} works once; send it to nobody else",
        {"username": account.name, "link": made.link, "expires": timestamp(made.expires_at)},
    )
