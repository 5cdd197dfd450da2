"""The commands for groups."""

from __future__ import annotations

from chatd.base import errors
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg, Row
from chatd.commands.table.common import (
    ADMIN_ERRORS,
    GROUP,
    GROUP_ERRORS,
    GROUP_OR_PEOPLE,
    KEY,
    MEMBERSHIP_ERRORS,
    OPAQUE,
    POST_ERRORS,
    REMOTE_ERRORS,
    REPLY,
    TEXT_OR_OPAQUE,
    USER,
    WAIT,
)

ROWS: tuple[Row, ...] = (
    Row(
        "addgroup",
        ask.AddGroup,
        "create a public or private group and become its admin",
        (
            Arg("group", types.NAME),
            Arg("visibility", types.VISIBILITY, optional=True),
            Arg("title", types.TITLE, optional=True, named=True),
        ),
        aliases=("mkgr",),
        errors=(
            errors.GroupExists,
            errors.ReservedName,
            errors.TooManyGroups,
            errors.TooManyNewGroups,
        ),
    ),
    Row(
        "joingroup",
        ask.JoinGroup,
        "join a group",
        (Arg("group", types.JOINABLE, also=("code",)),),
        aliases=("join",),
        errors=(
            errors.UnknownGroup,
            errors.AlreadyMember,
            errors.Banned,
            errors.UnknownRealm,
            *MEMBERSHIP_ERRORS,
            *REMOTE_ERRORS,
        ),
    ),
    Row(
        "leavegroup",
        ask.LeaveGroup,
        "leave a group",
        (GROUP,),
        aliases=("leave", "part"),
        errors=GROUP_ERRORS,
    ),
    Row("groups", ask.ListGroups, "list all groups of this realm", aliases=("ls_group",)),
    Row("mygroups", ask.ListOwnGroups, "list the groups you are in"),
    Row(
        "members",
        ask.ListMembers,
        "list the members of a group (members only)",
        (GROUP,),
        aliases=("ls_member", "names"),
        errors=(*GROUP_ERRORS, *REMOTE_ERRORS),
    ),
    Row(
        "invite",
        ask.InviteMembers,
        "add people to a group, or invite those of other realms, and lift their bans (admins only)",
        (GROUP, Arg("users", types.WORDS, also=("user", "to"))),
        errors=(
            *ADMIN_ERRORS,
            errors.UnknownUser,
            *MEMBERSHIP_ERRORS,
            errors.TooManyInvitations,
        ),
    ),
    Row(
        "invitations",
        ask.ListInvitations,
        "list the invitations to groups of other realms that wait for your answer",
    ),
    Row(
        "accept",
        ask.AcceptInvitation,
        "accept an invitation, and join the group",
        (GROUP,),
        errors=(
            errors.UnknownInvitation,
            errors.UnknownGroup,
            errors.AlreadyMember,
            errors.Banned,
            errors.UnknownRealm,
            *MEMBERSHIP_ERRORS,
            *REMOTE_ERRORS,
        ),
    ),
    Row(
        "decline",
        ask.DeclineInvitation,
        "decline an invitation; the person who invites you is not told",
        (GROUP,),
        errors=(errors.UnknownInvitation,),
    ),
    Row(
        "kick",
        ask.KickMember,
        "remove a member and ban them until an admin lifts the ban (admins only)",
        (GROUP, USER),
        errors=(*ADMIN_ERRORS, errors.UnknownUser, errors.NotTheirGroup),
    ),
    Row(
        "bans",
        ask.ListBans,
        "list the addresses that are banned from a group (admins only)",
        (GROUP,),
        errors=ADMIN_ERRORS,
    ),
    Row(
        "unban",
        ask.LiftBan,
        "lift a ban, so that the address may join again (admins only)",
        (GROUP, USER),
        errors=(*ADMIN_ERRORS, errors.UnknownUser, errors.NotBanned),
    ),
    Row(
        "promote",
        ask.PromoteMember,
        "make a member an admin (admins only)",
        (GROUP, USER),
        errors=(*ADMIN_ERRORS, errors.UnknownUser, errors.NotTheirGroup),
    ),
    Row(
        "closegroup",
        ask.CloseGroup,
        "let only members post to a group (admins only)",
        (GROUP,),
        errors=ADMIN_ERRORS,
    ),
    Row(
        "opengroup",
        ask.OpenGroup,
        "let people of other realms post to a group (admins only)",
        (GROUP,),
        errors=ADMIN_ERRORS,
    ),
    Row(
        "sendgroup",
        ask.SendGroupMessage,
        "send a message to a group or to several people",
        (GROUP_OR_PEOPLE, TEXT_OR_OPAQUE, KEY, WAIT, REPLY, OPAQUE),
        overlaps=True,
        errors=(*POST_ERRORS, errors.UnknownMessage, errors.NotSupportedThere),
    ),
    Row(
        "inboxgroup",
        ask.ReadGroupInbox,
        "read the unread messages of a group",
        (GROUP,),
        errors=GROUP_ERRORS,
    ),
)
