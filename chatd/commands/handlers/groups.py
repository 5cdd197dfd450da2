"""Handlers of the commands for groups and their members."""

from __future__ import annotations

from typing import Any

import msgspec

from chatd.base.group_settings import ANYONE, SETTINGS, SHUT, check_setting
from chatd.base.model import PRIVATE, Group
from chatd.base.names import Address, Place
from chatd.base.replies import Reply
from chatd.commands import values as ask
from chatd.commands.client import Client, Handlers
from chatd.commands.handlers.replies import count, list_reply
from chatd.commands.table import BY_COMMAND
from chatd.service.group_relocation import AGREED, ENDED, NONE, OFFERED

HANDLERS = Handlers()

# What a move of a group has come to
MOVES = {
    OFFERED: "{group} moves to {realm} when an admin of the other realm agrees, within a week",
    AGREED: "{group} moves to {realm}",
    ENDED: "{group} does not move to {realm}",
}


@HANDLERS.of(ask.AddGroup)
async def add_group(client: Client, command: ask.AddGroup) -> Reply:
    group = await client.service.groups.create(
        client.account,
        command.group,
        command.title,
        client.listener,
        command.visibility == PRIVATE,
    )
    way = "its code or an invitation" if group.private else "its name or its code"
    return Reply(
        f"The group {group.name} was created; others can join it by {way}",
        {"group": group.name, "groupcode": group.code},
        _details(group),
    )


def _details(group: Group) -> dict[str, Any]:
    private = {"visibility": PRIVATE} if group.private else {}
    return {"conversation": group.id, **_title(group), **private}


def _title(group: Group) -> dict[str, Any]:
    return {} if group.title is None else {"title": group.title}


@HANDLERS.of(ask.JoinGroup)
async def join_group(client: Client, command: ask.JoinGroup) -> Reply:
    group = await client.service.groups.join(
        client.account, command.group, client.listener, client.source
    )
    return Reply(f"You are a member of {group.name}", {"group": group.name}, _details(group))


@HANDLERS.of(ask.LeaveGroup)
async def leave_group(client: Client, command: ask.LeaveGroup) -> Reply:
    group = await client.service.groups.leave(client.account, command.group, client.listener)
    return Reply(f"You have left {group.name}", {"group": group.name}, _title(group))


@HANDLERS.of(ask.ListGroups)
async def groups(client: Client, command: ask.ListGroups) -> Reply:
    if command.members:
        groups, names, more = await client.service.groups.list_with_names(client.account)
        reply = list_reply(count(groups, "group"), groups, "groups", more)
        return msgspec.structs.replace(reply, data={**reply.data, "members": names})
    groups, more = await client.service.groups.list(client.account, mine=False)
    return list_reply(count(groups, "group"), groups, "groups", more)


@HANDLERS.of(ask.ListOwnGroups)
async def my_groups(client: Client, _command: ask.ListOwnGroups) -> Reply:
    groups, more = await client.service.groups.list(client.account, mine=True)
    return list_reply(count(groups, "group"), groups, "groups", more)


@HANDLERS.of(ask.ListMembers)
async def members(client: Client, command: ask.ListMembers) -> Reply:
    group, found = await client.service.groups.members(client.account, command.group)
    members = await client.service.profiles.named(found)
    return Reply(
        f"{count(members, 'member')} in {group}",
        {"group": group},
        items=members,
        items_name="members",
    )


@HANDLERS.of(ask.InviteMembers)
async def invite(client: Client, command: ask.InviteMembers) -> Reply:
    group, invited = await client.service.groups.invite(
        client.account, command.group, command.users, client.listener
    )
    sentence = f"{len(invited.joined) + len(invited.asked)} invited to {group}"
    if invited.asked:
        sentence += f"; they have to accept: {', '.join(invited.asked)}"
    if invited.present:
        sentence += f"; members already: {', '.join(invited.present)}"
    if invited.unknown:
        sentence += f"; unknown: {', '.join(invited.unknown)}"
    data = {"joined": invited.joined, "members": invited.present, "unknown": invited.unknown}
    if invited.refused:
        sentence += f"; refused: {', '.join(invited.refused)}"
        data["refused"] = invited.refused
    if invited.asked:
        data["invited"] = invited.asked
    return Reply(sentence, {"group": group}, data)


@HANDLERS.of(ask.ListInvitations)
async def invitations(client: Client, _command: ask.ListInvitations) -> Reply:
    found = await client.service.invitations.list(client.account)
    return list_reply(count(found, "invitation"), found, "invitations", 0)


@HANDLERS.of(ask.AcceptInvitation)
async def accept(client: Client, command: ask.AcceptInvitation) -> Reply:
    if isinstance(command.group, Place):
        return await _answer(client, command.group, accepts=True)
    group = await client.service.groups.accept(client.account, command.group, client.listener)
    return Reply(f"You are a member of {group.name}", {"group": group.name}, _details(group))


@HANDLERS.of(ask.DeclineInvitation)
async def decline(client: Client, command: ask.DeclineInvitation) -> Reply:
    if isinstance(command.group, Place):
        return await _answer(client, command.group, accepts=False)
    found = await client.service.invitations.decline(client.account, command.group)
    return Reply(f"You have declined the invitation to {found.group}", {"group": found.group})


@HANDLERS.of(ask.ListRequests)
async def requests(client: Client, _command: ask.ListRequests) -> Reply:
    found = await client.service.requests.list(client.account)
    return list_reply(count(found, "request"), found, "requests", 0)


async def _answer(client: Client, place: Place, accepts: bool) -> Reply:
    """Accept or decline the message request of a person."""
    assert place.user is not None  # noqa: S101 - as InvitingType has made it
    user = await client.service.requests.answer(client.account, place.user, accepts)
    done = "accepted" if accepts else "declined"
    return Reply(f"You have {done} the message request from {user}", {"user": user})


@HANDLERS.of(ask.KickMember)
async def kick(client: Client, command: ask.KickMember) -> Reply:
    group, was_member = await client.service.groups.kick(
        client.account, command.group, command.user, client.listener
    )
    what = "no longer in" if was_member else "banned from"
    return Reply(f"{command.user} is {what} {group}", {"group": group})


@HANDLERS.of(ask.ListBans)
async def bans(client: Client, command: ask.ListBans) -> Reply:
    group, found = await client.service.groups.bans(client.account, command.group)
    return Reply(
        f"{count(found, 'ban')} in {group}", {"group": group}, items=found, items_name="bans"
    )


@HANDLERS.of(ask.LiftBan)
async def unban(client: Client, command: ask.LiftBan) -> Reply:
    group, user = await client.service.groups.unban(client.account, command.group, command.user)
    return Reply(f"{user} may join {group} again", {"group": group, "user": user})


@HANDLERS.of(ask.PromoteMember)
async def promote(client: Client, command: ask.PromoteMember) -> Reply:
    group = await client.service.groups.settings.promote(
        client.account, command.group, command.user, client.listener
    )
    return Reply(f"{command.user} is an admin of {group}", {"group": group})


@HANDLERS.of(ask.DemoteAdmin)
async def demote(client: Client, command: ask.DemoteAdmin) -> Reply:
    group = await client.service.groups.settings.demote(
        client.account, command.group, command.user, client.listener
    )
    return Reply(f"{command.user} is an ordinary member of {group}", {"group": group})


@HANDLERS.of(ask.TransferGroup)
async def transfer(client: Client, command: ask.TransferGroup) -> Reply:
    group = await client.service.groups.settings.transfer(
        client.account, command.group, command.user, client.listener
    )
    if client.service.context.localize(command.user).key == client.account.key:
        return Reply(f"You are an admin of {group}, as before", {"group": group})
    return Reply(f"{command.user} is an admin of {group} in your place", {"group": group})


@HANDLERS.of(ask.MoveGroup)
async def move_group(client: Client, command: ask.MoveGroup) -> Reply:
    realm = None if command.realm.lower() == NONE else command.realm
    moved = await client.service.relocation.move(client.account, command.group, realm)
    fields = {"group": moved.group, "realm": moved.realm, "state": moved.state}
    return Reply(MOVES[moved.state].format(**fields), {**fields})


@HANDLERS.of(ask.ShowGroup)
async def show_group(client: Client, command: ask.ShowGroup) -> Reply:
    found = await client.service.groups.settings.describe(client.account, command.group)
    fields: dict[str, str | int | bool] = {"group": found.group, **found.settings}
    if found.shut is not None:
        fields[SHUT] = found.shut
    if found.members is not None:
        fields["members"] = found.members
    fields |= {"member": found.member, "admin": found.admin}
    if found.code:
        fields["code"] = found.code
    data = {"conversation": found.conversation} if found.member and found.conversation else {}
    return Reply(f"This is {found.group}", fields, data)


@HANDLERS.of(ask.SetGroup)
async def set_group(client: Client, command: ask.SetGroup) -> Reply:
    fields = {key: value for key in SETTINGS if (value := getattr(command, key)) is not None}
    if command.key is not None:
        if command.value is None:
            raise BY_COMMAND[ask.SetGroup].wrong("value is missing")
        fields[command.key] = check_setting(command.key, command.value)
    if not fields:
        raise BY_COMMAND[ask.SetGroup].wrong("Nothing is set")
    group = await client.service.groups.settings.set(
        client.account, command.group, fields, client.listener
    )
    sentence = f"{group} is changed"
    if fields.get("post") == ANYONE and await _is_private(client, command.group):
        sentence += "; while it is private, only its members may post"
    return Reply(sentence, {"group": group, **fields})


async def _is_private(client: Client, group: Address) -> bool:
    return await client.service.groups.settings.is_private(client.account, group)


@HANDLERS.of(ask.RenewCode)
async def renew_code(client: Client, command: ask.RenewCode) -> Reply:
    group, code = await client.service.groups.settings.renew_code(
        client.account, command.group, client.listener
    )
    return Reply(f"{group} has a new code", {"group": group, "groupcode": code})


@HANDLERS.of(ask.RescueGroup)
async def rescue_group(client: Client, command: ask.RescueGroup) -> Reply:
    rescued = await client.service.groups.rescue(client.account, command.group)
    group, waits = rescued.group, rescued.waits
    text = f"{command.group} goes on here as {group.name}"
    if waits:
        text += f"; members in {', '.join(waits)} follow when their realms are reached and agree"
    return Reply(
        text, {"group": group.name, "groupcode": group.code}, {**_details(group), "waits": waits}
    )


@HANDLERS.of(ask.CloseGroup)
async def close_group(client: Client, command: ask.CloseGroup) -> Reply:
    group = await client.service.groups.settings.set_closed(
        client.account, command.group, True, client.listener
    )
    return Reply(f"Only members may post to {group} now", {"group": group})


@HANDLERS.of(ask.OpenGroup)
async def open_group(client: Client, command: ask.OpenGroup) -> Reply:
    group = await client.service.groups.settings.set_closed(
        client.account, command.group, False, client.listener
    )
    when = " once it is public" if await _is_private(client, command.group) else ""
    return Reply(f"People of other realms may post to {group}{when}", {"group": group})
