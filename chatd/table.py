"""The table of commands: one row says all there is to say of each.

From its rows come the readers of the dialects, the preconditions that a session checks, the help texts, the
`json` dialect's description of itself, and docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from chatd import arguments as types
from chatd import commands as ask
from chatd import errors
from chatd.errors import ChatError
from chatd.model import MAX_COUNTED, ArgumentInfo, CommandInfo
from chatd.rows import Arg, Row

_PEOPLE = (errors.UnknownUser, errors.UnknownRealm)
_GROUP = (errors.UnknownGroup, errors.NotMember, errors.UnknownRealm)
_ELSEWHERE = (errors.RealmDown, errors.PeerFailed)  # what can't be queued has to be asked at once
_RULED = (*_GROUP, errors.NotAdmin, *_ELSEWHERE)
_ROOM = (errors.GroupFull, errors.RealmFull, errors.TooManyGroups)
_FILE = (errors.BadFileName, errors.FileTooLarge, errors.QuotaExceeded)

GROUP = Arg("group", types.GROUP)
TEXT = Arg("text", types.TEXT)
TO = Arg("to", types.ADDRESSES, also=("users", "user"))
USER = Arg("user", types.ADDRESS, also=("to",))
PLACE = Arg("place", types.PLACE, also=("user", "to", "group"))
GROUP_OR_PEOPLE = Arg("group", types.GROUP_OR_PEOPLE, also=("to", "users"))
GROUP_OR_NAMES = Arg("group", types.GROUP_OR_NAMES, also=("to", "users"))
REALM = Arg("realm", types.NAME)
FILENAME = Arg("filename", types.FILENAME)
SIZE = Arg("size", types.SIZE)
KEY = Arg("key", types.KEY, optional=True, named=True)

TABLE: tuple[Row, ...] = (
    Row(
        "register",
        ask.Register,
        "make an account and log in to it",
        (
            Arg("username", types.NAME),
            Arg("password", types.SECRET),
            Arg("name", types.DISPLAY_NAME, optional=True),
            Arg("country", types.DISPLAY_NAME, optional=True),
        ),
        aliases=("auth_register", "signup"),
        login=False,
        errors=(
            errors.UserExists,
            errors.ReservedName,
            errors.WeakPassword,
            errors.RegistrationClosed,
            errors.TooManyRegistrations,
            errors.Busy,
            errors.AlreadyLoggedIn,
        ),
    ),
    Row(
        "auth",
        ask.Auth,
        "log in",
        (Arg("username", types.NAME), Arg("password", types.SECRET)),
        aliases=("login", "auth_login", "signin"),
        login=False,
        errors=(errors.UnknownUser, errors.WrongPassword, errors.TooManyAttempts, errors.Busy),
    ),
    Row(
        "resume",
        ask.Resume,
        "go on with the session of a token",
        (Arg("token", types.SECRET),),
        login=False,
        errors=(errors.BadToken,),
    ),
    Row(
        "logout",
        ask.Logout,
        "end the session; its token is worth nothing afterwards",
        (Arg("everywhere", types.FLAG, optional=True, named=True),),
        aliases=("auth_logout", "logoff"),
    ),
    Row(
        "password",
        ask.ChangePassword,
        "change one's password; one's other sessions end",
        (Arg("old", types.SECRET), Arg("new", types.SECRET)),
        aliases=("passwd",),
        errors=(errors.WrongPassword, errors.WeakPassword, errors.TooManyAttempts, errors.Busy),
    ),
    Row(
        "claim",
        ask.Claim,
        "become the first operator, by the code in the realm's state folder; answers as whoami does",
        (Arg("code", types.SECRET),),
        errors=(errors.WrongCode, errors.AlreadyClaimed, errors.TooManyAttempts),
    ),
    Row("whoami", ask.WhoAmI, "who one is"),
    Row(
        "profile",
        ask.Profile,
        "change one's display name or country; answers as whoami does",
        (
            Arg("name", types.DISPLAY_NAME, optional=True),
            Arg("country", types.COUNTRY, optional=True),
        ),
    ),
    Row("info", ask.Info, "who is active", aliases=("who",)),
    Row("users", ask.Users, "everybody in this realm", aliases=("ls",)),
    Row("contacts", ask.Contacts, "one's contacts, and who of them is online"),
    Row(
        "addcontact",
        ask.AddContact,
        "put someone on the list of contacts",
        (USER,),
        errors=(*_PEOPLE, errors.ContactExists, errors.TooManyContacts),
    ),
    Row(
        "delcontact",
        ask.DeleteContact,
        "take someone off the list of contacts",
        (USER,),
        errors=(errors.UnknownContact,),
    ),
    Row(
        "send",
        ask.Send,
        "send a message to one or several people",
        (TO, TEXT, KEY),
        aliases=("msg", "tell", "dm", "privmsg"),
        overlaps=True,
        errors=(*_PEOPLE, errors.MessageTooLong),
    ),
    Row(
        "inbox",
        ask.Inbox,
        "read what is unread: all of it, or what is from one user or in one group",
        (
            msgspec.structs.replace(PLACE, optional=True),
            Arg("peek", types.FLAG, optional=True, named=True),
        ),
        errors=(errors.UnknownUser, *_GROUP, errors.AmbiguousName),
    ),
    Row("unread", ask.Unread, "count what is unread, by conversation; nothing becomes read"),
    Row(
        "read",
        ask.Read,
        "mark a conversation as read up to a message",
        (Arg("conversation", types.SIZE), Arg("seq", types.SIZE)),
        errors=(errors.UnknownConversation,),
    ),
    Row(
        "conversations",
        ask.Conversations,
        f"one's conversations, newest first: the last message, and what is unread (up to {MAX_COUNTED})",
    ),
    Row(
        "history",
        ask.History,
        "the last messages of a conversation, read or not",
        (
            PLACE,
            Arg("n", types.COUNT, optional=True),
            Arg("before", types.SIZE, optional=True, named=True),
        ),
        errors=(errors.UnknownUser, *_GROUP, errors.AmbiguousName),
    ),
    Row(
        "search",
        ask.Search,
        "find messages in one's own conversations",
        (Arg("text", types.SEARCH),),
        errors=(errors.Busy,),
    ),
    Row(
        "addgroup",
        ask.AddGroup,
        "make a group, and be its admin",
        (Arg("group", types.NAME),),
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
        "become a member of a group",
        (Arg("group", types.JOINABLE, also=("code",)),),
        aliases=("join",),
        errors=(
            errors.UnknownGroup,
            errors.AlreadyMember,
            errors.Banned,
            errors.UnknownRealm,
            *_ROOM,
            *_ELSEWHERE,
        ),
    ),
    Row(
        "leavegroup",
        ask.LeaveGroup,
        "leave a group",
        (GROUP,),
        aliases=("leave", "part"),
        errors=_GROUP,
    ),
    Row("groups", ask.Groups, "all groups of this realm", aliases=("ls_group",)),
    Row("mygroups", ask.MyGroups, "the groups that one is a member of"),
    Row(
        "members",
        ask.Members,
        "who is in a group; for its members",
        (GROUP,),
        aliases=("ls_member", "names"),
        errors=(*_GROUP, *_ELSEWHERE),
    ),
    Row(
        "invite",
        ask.Invite,
        "make people members of a group, and lift their bans; for its admins",
        (GROUP, Arg("users", types.WORDS, also=("user", "to"))),
        errors=(*_RULED, errors.UnknownUser, *_ROOM),
    ),
    Row(
        "kick",
        ask.Kick,
        "remove and ban someone: only an admin can let them in again; for admins",
        (GROUP, USER),
        errors=(*_RULED, errors.UnknownUser, errors.NotTheirGroup),
    ),
    Row(
        "bans",
        ask.Bans,
        "the addresses that are banned from a group; for its admins",
        (GROUP,),
        errors=_RULED,
    ),
    Row(
        "unban",
        ask.Unban,
        "lift a ban, so that the address may join again; for admins",
        (GROUP, USER),
        errors=(*_RULED, errors.UnknownUser, errors.NotBanned),
    ),
    Row(
        "promote",
        ask.Promote,
        "make a member an admin; for admins",
        (GROUP, USER),
        errors=(*_RULED, errors.UnknownUser, errors.NotTheirGroup),
    ),
    Row(
        "closegroup",
        ask.CloseGroup,
        "let only members post to a group; for its admins",
        (GROUP,),
        errors=_RULED,
    ),
    Row(
        "opengroup",
        ask.OpenGroup,
        "let people of other realms post to a group; for its admins",
        (GROUP,),
        errors=_RULED,
    ),
    Row(
        "sendgroup",
        ask.SendGroup,
        "send a message to a group, or to a list of people",
        (GROUP_OR_PEOPLE, TEXT, KEY),
        overlaps=True,
        errors=(
            *_GROUP,
            errors.UnknownUser,
            errors.GroupClosed,
            errors.Banned,
            errors.MessageTooLong,
        ),
    ),
    Row("inboxgroup", ask.InboxGroup, "read what is unread in a group", (GROUP,), errors=_GROUP),
    Row(
        "sendfile",
        ask.SendFile,
        "send a file: READY is answered, then exactly that many raw bytes follow",
        (TO, FILENAME, SIZE, KEY),
        aliases=("send_file",),
        errors=(*_PEOPLE, *_FILE),
    ),
    Row(
        "sendgroupfile",
        ask.SendGroupFile,
        "send a file to a group, or to a list of people",
        (GROUP_OR_PEOPLE, FILENAME, SIZE, KEY),
        aliases=("sendgroup_file",),
        errors=(*_GROUP, errors.UnknownUser, errors.GroupClosed, errors.Banned, *_FILE),
    ),
    Row("files", ask.Files, "the files that one may fetch"),
    Row(
        "getfile",
        ask.GetFile,
        "fetch a file: after the reply come exactly that many raw bytes",
        (Arg("code", types.CODE, also=("filename", "name")),),
        aliases=("download_file", "downloadgroup_file"),
        errors=(errors.UnknownFile,),
    ),
    Row(
        "roomjoin",
        ask.RoomJoin,
        "go into a room, and out of the one before",
        (Arg("room", types.ROOM),),
    ),
    Row(
        "roomchat",
        ask.RoomChat,
        "say something to those in the room",
        (TEXT,),
        aliases=("say",),
        errors=(errors.NotInRoom, errors.MessageTooLong),
    ),
    Row("roomleave", ask.RoomLeave, "leave the room", errors=(errors.NotInRoom,)),
    Row("rooms", ask.Rooms, "the rooms, and who is in them"),
    Row(
        "addrealm",
        ask.AddRealm,
        "make another realm a peer: connects to it and checks who it is; for those who may",
        (REALM, Arg("host", types.HOST), Arg("port", types.PORT)),
        errors=(
            errors.NotOperator,
            errors.OwnRealm,
            errors.RealmExists,
            errors.ForbiddenAddress,
            errors.RealmUnreachable,
            errors.WrongRealm,
            errors.BadCertificate,
            errors.CertificateChanged,
            errors.RealmNotAllowed,
        ),
    ),
    Row(
        "delrealm",
        ask.DeleteRealm,
        "forget a peer, its address and its certificate; for those who may",
        (REALM,),
        errors=(errors.NotOperator, errors.UnknownRealm),
    ),
    Row("realms", ask.Realms, "the peers of this realm, how the links are, and what is queued"),
    Row(
        "sendprivaterealm",
        ask.SendRealm,
        "send a message to someone of another realm",
        (REALM, Arg("user", types.NAME, also=("to",)), TEXT, KEY),
        overlaps=True,
        errors=(*_PEOPLE, errors.MessageTooLong),
    ),
    Row(
        "sendgrouprealm",
        ask.SendGroupRealm,
        "send a message to a group, or to a list of people, of another realm",
        (REALM, GROUP_OR_NAMES, TEXT, KEY),
        overlaps=True,
        errors=(
            *_GROUP,
            errors.UnknownUser,
            errors.GroupClosed,
            errors.Banned,
            errors.MessageTooLong,
        ),
    ),
    Row(
        "sendfilerealm",
        ask.SendFileRealm,
        "send a file to someone of another realm",
        (REALM, Arg("user", types.NAME, also=("to",)), FILENAME, SIZE),
        errors=(*_PEOPLE, *_FILE),
    ),
    Row(
        "sendgroupfilerealm",
        ask.SendGroupFileRealm,
        "send a file to a group, or to a list of people, of another realm",
        (REALM, GROUP_OR_NAMES, FILENAME, SIZE),
        errors=(*_GROUP, errors.UnknownUser, errors.GroupClosed, errors.Banned, *_FILE),
    ),
    Row(
        "getrealminbox",
        ask.RealmInbox,
        "read what is unread from another realm: from its people, and in its groups",
        (REALM,),
        errors=(errors.UnknownRealm,),
    ),
    Row(
        "getinboxrealm",
        ask.InboxRealm,
        "as getrealminbox; the username has to be one's own",
        (REALM, Arg("username", types.NAME)),
        errors=(errors.UnknownRealm, errors.NotYourself),
    ),
    Row("listen", ask.Listen, "be given messages as they arrive, or not", (Arg("on", types.FLAG),)),
    Row(
        "help",
        ask.Help,
        "what can be asked, or how one command is used",
        (Arg("verb", types.VERB, optional=True),),
        aliases=("?", "commands"),
        login=False,
        errors=(errors.UnknownCommand,),
    ),
    Row("ping", ask.Ping, "see whether the realm answers", login=False),
    Row(
        "quit",
        ask.Quit,
        "close the connection; the session stays",
        aliases=("exit", "bye"),
        login=False,
    ),
)

# What any request may meet, whatever the command.
COMMON_ERRORS: tuple[type[ChatError], ...] = (
    errors.BadEncoding,
    errors.BadSyntax,
    errors.LineTooLong,
    errors.UnknownCommand,
    errors.Usage,
    errors.BadArgument,
    errors.BadName,
    errors.BadText,
    errors.EmptyText,
    errors.TokenInText,
    errors.NotLoggedIn,
    errors.StorageFailed,
    errors.InternalError,
)

BY_VERB: Mapping[str, Row] = {verb: row for row in TABLE for verb in (row.verb, *row.aliases)}
BY_COMMAND: Mapping[type[ask.Command], Row] = {row.command: row for row in TABLE}


def describe(row: Row) -> CommandInfo:
    """The row as help shows it."""
    return CommandInfo(
        command=row.verb,
        aliases=row.aliases,
        usage=row.usage,
        about=row.help,
        login=row.login,
        arguments=tuple(
            ArgumentInfo(arg.name, arg.type.json, arg.type.about, arg.optional, arg.keys)
            for arg in row.args
        ),
        errors=tuple(error.code for error in row.errors),
    )
