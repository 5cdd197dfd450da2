"""What a client may ask: one frozen value per command, and one table that says all there is to say of each.

From the table's rows come the readers of the dialects, the preconditions that a session checks, the help
texts, the `json` dialect's description of itself, and docs/protocol.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import msgspec

from chatd import arguments as types
from chatd import errors
from chatd.arguments import Secret
from chatd.errors import ChatError, Usage
from chatd.model import ArgumentInfo, CommandInfo
from chatd.names import Address, Place


class Command(msgspec.Struct, frozen=True):
    """Something that a client asks for."""


class Register(Command, frozen=True):
    username: str
    password: Secret
    name: str | None = None
    country: str | None = None


class Auth(Command, frozen=True):
    username: str
    password: Secret


class Resume(Command, frozen=True):
    token: Secret


class Logout(Command, frozen=True):
    pass


class ChangePassword(Command, frozen=True):
    old: Secret
    new: Secret


class WhoAmI(Command, frozen=True):
    pass


class Info(Command, frozen=True):
    pass


class Users(Command, frozen=True):
    pass


class Contacts(Command, frozen=True):
    pass


class AddContact(Command, frozen=True):
    user: Address


class DeleteContact(Command, frozen=True):
    user: Address


class Send(Command, frozen=True):
    to: tuple[Address, ...]
    text: str


class Inbox(Command, frozen=True):
    place: Place | None = None
    peek: bool = False


class Unread(Command, frozen=True):
    pass


class Read(Command, frozen=True):
    conversation: int
    seq: int


class History(Command, frozen=True):
    place: Place
    n: int = 20


class Search(Command, frozen=True):
    text: str


class AddGroup(Command, frozen=True):
    group: str


class JoinGroup(Command, frozen=True):
    group: str


class LeaveGroup(Command, frozen=True):
    group: str


class Groups(Command, frozen=True):
    pass


class MyGroups(Command, frozen=True):
    pass


class Members(Command, frozen=True):
    group: str


class Invite(Command, frozen=True):
    group: str
    users: tuple[Address, ...]


class Kick(Command, frozen=True):
    group: str
    user: Address


class Promote(Command, frozen=True):
    group: str
    user: Address


class CloseGroup(Command, frozen=True):
    group: str


class OpenGroup(Command, frozen=True):
    group: str


class SendGroup(Command, frozen=True):
    group: str | tuple[Address, ...]
    text: str


class InboxGroup(Command, frozen=True):
    group: str


class SendFile(Command, frozen=True):
    to: tuple[Address, ...]
    filename: str
    size: int


class SendGroupFile(Command, frozen=True):
    group: str | tuple[Address, ...]
    filename: str
    size: int


class Files(Command, frozen=True):
    pass


class GetFile(Command, frozen=True):
    code: str


class RoomJoin(Command, frozen=True):
    room: str


class RoomChat(Command, frozen=True):
    text: str


class RoomLeave(Command, frozen=True):
    pass


class Rooms(Command, frozen=True):
    pass


class Listen(Command, frozen=True):
    on: bool


class Help(Command, frozen=True):
    verb: str | None = None


class Ping(Command, frozen=True):
    pass


class Quit(Command, frozen=True):
    pass


class Arg(msgspec.Struct, frozen=True):
    """One argument of a command. By name it may also be given under one of `also`; one that is `named`
    can't be given by its place in a line."""

    name: str
    type: types.Type
    optional: bool = False
    also: tuple[str, ...] = ()
    named: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.name, *self.also)

    @property
    def usage(self) -> str:
        generic = self.type.shape in ("name", "text", "number", "secret", "code|filename")
        shape = self.name if generic else self.type.shape
        return f"[{shape}]" if self.optional else shape


class Row(msgspec.Struct, frozen=True, dict=True):
    """All there is to say of a command.

    `login`: only for those logged in. `overlaps`: may begin while earlier ones that overlap, too, are
    still on their way to the disk; all others wait for what came before. `errors`: the refusals of its
    own, besides those that any request may meet.
    """

    verb: str
    command: type[Command]
    help: str
    args: tuple[Arg, ...] = ()
    aliases: tuple[str, ...] = ()
    login: bool = True
    overlaps: bool = False
    errors: tuple[type[ChatError], ...] = ()

    @property
    def usage(self) -> str:
        return " ".join((self.verb, *(arg.usage for arg in self.args if not arg.named)))

    @cached_property
    def _by_name(self) -> tuple[tuple[str, tuple[str, ...], Callable[[str, Any], Any], bool], ...]:
        return tuple((arg.name, arg.keys, arg.type.from_json, arg.optional) for arg in self.args)

    def wrong(self, reason: str) -> Usage:
        return Usage(reason=reason, usage=self.usage)

    def from_words(self, rest: str) -> Command:
        """The command that `rest`, the line after the verb, asks for. Raises BadRequest."""
        args = [arg for arg in self.args if not arg.named]
        words: list[str] = []
        space = ""
        for arg in args:
            if not arg.type.greedy:
                rest = rest.lstrip(" ")
            if not rest:
                break
            word, space, rest = (rest, "", "") if arg.type.greedy else rest.partition(" ")
            words.append(word)
        else:
            space = ""
        if space and args[len(words)].type.greedy:
            words.append("")  # there is a place for it, and nothing in it
        if rest.strip(" "):
            raise self.wrong("Too many arguments" if args else f"{self.verb} takes no argument")
        values = {
            arg.name: arg.type.from_text(arg.name, word)
            for arg, word in zip(args, words, strict=False)
        }
        for arg in args[len(words) :]:
            if not arg.optional:
                raise self.wrong(f"{arg.name} is missing")
        return self.command(**values)

    def from_names(self, given: Mapping[str, Any]) -> Command:
        """The command with the arguments `given` by name, as JSON values. Raises BadRequest."""
        values = {}
        used = 0
        for name, keys, from_json, optional in self._by_name:
            for key in keys:
                if key in given:
                    values[name] = from_json(key, given[key])
                    used += 1
                    break
            else:
                if not optional:
                    raise self.wrong(f"{name} is missing")
        if used != len(given):
            known = {key for arg in self.args for key in arg.keys}
            extra = ", ".join(sorted(set(given) - known)) or "the same argument twice"
            raise self.wrong(f"{self.verb} does not take {extra}")
        return self.command(**values)


_PEOPLE = (errors.UnknownUser, errors.UnknownRealm)
_GROUP = (errors.UnknownGroup, errors.NotMember)
_RULED = (*_GROUP, errors.NotAdmin)
_FILE = (errors.BadFileName, errors.FileTooLarge, errors.QuotaExceeded)

GROUP_NAME = Arg("group", types.NAME)
TEXT = Arg("text", types.TEXT)
TO = Arg("to", types.ADDRESSES, also=("users", "user"))
USER = Arg("user", types.ADDRESS, also=("to",))
PLACE = Arg("place", types.PLACE, also=("user", "to", "group"))
GROUP_OR_PEOPLE = Arg("group", types.GROUP_OR_PEOPLE, also=("to", "users"))
FILENAME = Arg("filename", types.FILENAME)
SIZE = Arg("size", types.SIZE)

TABLE: tuple[Row, ...] = (
    Row(
        "register",
        Register,
        "make an account and log in to it",
        (
            Arg("username", types.NAME),
            Arg("password", types.SECRET),
            Arg("name", types.DISPLAY_NAME, optional=True),
            Arg("country", types.DISPLAY_NAME, optional=True),
        ),
        aliases=("auth_register",),
        login=False,
        errors=(
            errors.UserExists,
            errors.ReservedName,
            errors.WeakPassword,
            errors.RegistrationClosed,
        ),
    ),
    Row(
        "auth",
        Auth,
        "log in",
        (Arg("username", types.NAME), Arg("password", types.SECRET)),
        aliases=("login", "auth_login"),
        login=False,
        errors=(errors.UnknownUser, errors.WrongPassword, errors.TooManyAttempts),
    ),
    Row(
        "resume",
        Resume,
        "go on with the session of a token",
        (Arg("token", types.SECRET),),
        login=False,
        errors=(errors.BadToken,),
    ),
    Row(
        "logout",
        Logout,
        "end the session; its token is worth nothing afterwards",
        aliases=("auth_logout",),
    ),
    Row(
        "password",
        ChangePassword,
        "change one's password; one's other sessions end",
        (Arg("old", types.SECRET), Arg("new", types.SECRET)),
        errors=(errors.WrongPassword, errors.WeakPassword, errors.TooManyAttempts),
    ),
    Row("whoami", WhoAmI, "who one is"),
    Row("info", Info, "who is active"),
    Row("users", Users, "everybody in this realm", aliases=("ls",)),
    Row("contacts", Contacts, "one's contacts, and who of them is online"),
    Row(
        "addcontact",
        AddContact,
        "put someone on the list of contacts",
        (USER,),
        errors=(*_PEOPLE, errors.ContactExists),
    ),
    Row(
        "delcontact",
        DeleteContact,
        "take someone off the list of contacts",
        (USER,),
        errors=(errors.UnknownContact, errors.UnknownRealm),
    ),
    Row(
        "send",
        Send,
        "send a message to one or several people",
        (TO, TEXT),
        overlaps=True,
        errors=(*_PEOPLE, errors.MessageTooLong),
    ),
    Row(
        "inbox",
        Inbox,
        "read what is unread: all of it, or what is from one user or in one group",
        (
            msgspec.structs.replace(PLACE, optional=True),
            Arg("peek", types.FLAG, optional=True, named=True),
        ),
        errors=(*_PEOPLE, *_GROUP),
    ),
    Row("unread", Unread, "count what is unread, by conversation; nothing becomes read"),
    Row(
        "read",
        Read,
        "mark a conversation as read up to a message",
        (Arg("conversation", types.SIZE), Arg("seq", types.SIZE)),
        errors=(errors.UnknownConversation,),
    ),
    Row(
        "history",
        History,
        "the last messages of a conversation, read or not",
        (PLACE, Arg("n", types.COUNT, optional=True)),
        errors=(*_PEOPLE, *_GROUP),
    ),
    Row("search", Search, "find messages in one's own conversations", (TEXT,)),
    Row(
        "addgroup",
        AddGroup,
        "make a group, and be its admin",
        (GROUP_NAME,),
        aliases=("mkgr",),
        errors=(errors.GroupExists, errors.ReservedName),
    ),
    Row(
        "joingroup",
        JoinGroup,
        "become a member of a group",
        (Arg("group", types.GROUP, also=("code",)),),
        aliases=("join",),
        errors=(errors.UnknownGroup, errors.AlreadyMember),
    ),
    Row(
        "leavegroup", LeaveGroup, "leave a group", (GROUP_NAME,), aliases=("leave",), errors=_GROUP
    ),
    Row("groups", Groups, "all groups of this realm", aliases=("ls_group",)),
    Row("mygroups", MyGroups, "the groups that one is a member of"),
    Row(
        "members",
        Members,
        "who is in a group; for its members",
        (GROUP_NAME,),
        aliases=("ls_member",),
        errors=_GROUP,
    ),
    Row(
        "invite",
        Invite,
        "make people members of a group; for its admins",
        (GROUP_NAME, Arg("users", types.WORDS, also=("user", "to"))),
        errors=(*_RULED, *_PEOPLE),
    ),
    Row(
        "kick",
        Kick,
        "take someone out of a group; for its admins",
        (GROUP_NAME, USER),
        errors=(*_RULED, *_PEOPLE, errors.NotTheirGroup),
    ),
    Row(
        "promote",
        Promote,
        "make a member an admin; for admins",
        (GROUP_NAME, USER),
        errors=(*_RULED, *_PEOPLE, errors.NotTheirGroup),
    ),
    Row(
        "closegroup",
        CloseGroup,
        "let only members post to a group; for its admins",
        (GROUP_NAME,),
        errors=_RULED,
    ),
    Row(
        "opengroup",
        OpenGroup,
        "let people of other realms post to a group; for its admins",
        (GROUP_NAME,),
        errors=_RULED,
    ),
    Row(
        "sendgroup",
        SendGroup,
        "send a message to a group, or to a list of people",
        (GROUP_OR_PEOPLE, TEXT),
        overlaps=True,
        errors=(*_GROUP, *_PEOPLE, errors.MessageTooLong),
    ),
    Row("inboxgroup", InboxGroup, "read what is unread in a group", (GROUP_NAME,), errors=_GROUP),
    Row(
        "sendfile",
        SendFile,
        "send a file: READY is answered, then exactly that many raw bytes follow",
        (TO, FILENAME, SIZE),
        aliases=("send_file",),
        errors=(*_PEOPLE, *_FILE),
    ),
    Row(
        "sendgroupfile",
        SendGroupFile,
        "send a file to a group, or to a list of people",
        (GROUP_OR_PEOPLE, FILENAME, SIZE),
        aliases=("sendgroup_file",),
        errors=(*_GROUP, *_PEOPLE, *_FILE),
    ),
    Row("files", Files, "the files that one may fetch"),
    Row(
        "getfile",
        GetFile,
        "fetch a file: after the reply come exactly that many raw bytes",
        (Arg("code", types.CODE, also=("filename", "name")),),
        aliases=("download_file", "downloadgroup_file"),
        errors=(errors.UnknownFile,),
    ),
    Row(
        "roomjoin",
        RoomJoin,
        "go into a room, and out of the one before",
        (Arg("room", types.ROOM),),
    ),
    Row(
        "roomchat",
        RoomChat,
        "say something to those in the room",
        (TEXT,),
        errors=(errors.NotInRoom, errors.MessageTooLong),
    ),
    Row("roomleave", RoomLeave, "leave the room", errors=(errors.NotInRoom,)),
    Row("rooms", Rooms, "the rooms, and who is in them"),
    Row("listen", Listen, "be given messages as they arrive, or not", (Arg("on", types.FLAG),)),
    Row(
        "help",
        Help,
        "what can be asked, or how one command is used",
        (Arg("verb", types.VERB, optional=True),),
        login=False,
        errors=(errors.UnknownCommand,),
    ),
    Row("ping", Ping, "see whether the realm answers", login=False),
    Row("quit", Quit, "close the connection; the session stays", login=False),
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
    errors.NotLoggedIn,
    errors.StorageFailed,
    errors.InternalError,
)

BY_VERB: Mapping[str, Row] = {verb: row for row in TABLE for verb in (row.verb, *row.aliases)}
BY_COMMAND: Mapping[type[Command], Row] = {row.command: row for row in TABLE}


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
