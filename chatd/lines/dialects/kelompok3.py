"""`kelompok3`, the dialect of "Final Project Progjar A Kelompok 3".

A line `verb [token] argument …` is answered by one JSON object and CRLF CRLF. Its groups are lists of people.
One of its clients has groups with names, too.
"""

from __future__ import annotations

from collections.abc import Mapping

from chatd.base import errors
from chatd.base.model import Message
from chatd.base.names import Address
from chatd.base.replies import Reply, UserInfo
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg
from chatd.lines.dialect import Request
from chatd.lines.dialects import arguments as args
from chatd.lines.dialects.blocks import (
    Answer,
    BlockDialect,
    by_sender,
    entry,
    listed,
    non_empty,
    said,
    token,
)
from chatd.lines.dialects.indonesian import INDONESIAN
from chatd.lines.dialects.json_text import printed_file_bytes
from chatd.lines.dialects.verbs import Texts, Verb, as_typed, not_added, send, send_file, table

ABOUT_SELF = (
    args.USERNAME,
    args.PASSWORD,
    Arg("name", types.DISPLAY_NAME),
    Arg("country", types.DISPLAY_NAME),
)
EITHER = Arg("group", types.GROUP_OR_PEOPLE)

NOBODY = "Tidak ada user yang aktif"
NO_USER: Texts = {errors.UnknownUser: "User Tidak Ditemukan"}
NO_USER_OR_GROUP: Texts = NO_USER | {errors.UnknownGroup: "User Tidak Ditemukan"}
NO_FILE: Texts = {errors.UnknownFile: "File Tidak Ditemukan"}
NO_REALM: Texts = {errors.UnknownRealm: "Realm Tidak Ditemukan"}
NOT_ADDED = not_added("Realm Sudah Ada")
NO_SESSION = "Session Tidak Ditemukan"
TEXTS: Texts = {
    errors.NotLoggedIn: NO_SESSION,
    errors.BadToken: NO_SESSION,
    errors.FileTooLarge: "File Terlalu Besar",
    errors.LineTooLong: "File Terlalu Besar",
    # Requests that are well-formed, and refused for what they contain.
    **{
        kind: INDONESIAN[kind]
        for kind in (
            errors.ReservedName,
            errors.BadText,
            errors.TokenInText,
            errors.MessageTooLong,
            errors.BadFileName,
        )
    },
    errors.BadRequest: "Protocol Tidak Benar",
}


def active(_request: Request, reply: Reply) -> Answer:
    names = [user.username for user in reply.items if isinstance(user, UserInfo)]
    if not names:
        return {"status": "ERROR", "message": NOBODY}
    return {"message": names}


def inbox() -> ask.Command:
    return ask.ReadInbox(here=True, own=True)


def realm_inbox(realm: str) -> ask.Command:
    return ask.ReadRealmInbox(realm, own=True)


def own_realm_inbox(realm: str, username: str) -> ask.Command:
    return ask.ReadOwnRealmInbox(realm, username, own=True)


class RegisterVerb(Verb, frozen=True):
    """`register`. The graphical client sends a name as it was typed, with spaces; the country is the last
    word."""

    def read(self, rest: str) -> Request:
        words = [word for word in rest.split(" ") if word]
        if len(words) > len(self.args):
            words[2:-1] = ["_".join(words[2:-1])]
        return super().read(" ".join(words))


def active_by_name(_request: Request, reply: Reply) -> Answer:
    """An object of objects, as the graphical client reads it."""
    users = [user for user in reply.items if isinstance(user, UserInfo)]
    return {"message": {user.username: {"username": user.username} for user in users}}


INFO_BY_NAME = Verb("info {}", ask.ListActive, (), active_by_name)


def shown(message: Message, names: Mapping[str, str]) -> Answer:
    """A message, with the name of its group and the bytes of its file: the client has no command to fetch
    them."""
    found = entry(message, names) | non_empty(group=message.group)
    if message.file is not None:
        found["file_content"] = printed_file_bytes(message.id)
    return found


def inbox_with_files() -> ask.Command:
    return ask.ReadInbox(here=True, own=True, contents=True)


def realm_inbox_with_files(realm: str) -> ask.Command:
    return ask.ReadRealmInbox(realm, own=True, contents=True)


def send_to_group(group: Address | tuple[Address, ...], text: str) -> ask.Command:
    return ask.SendGroupMessage(group, text, either=True)


def send_file_to_group(
    group: Address | tuple[Address, ...], filename: str, size: int
) -> ask.Command:
    return ask.SendGroupFile(group, filename, size, either=True)


class InfoVerb(Verb, frozen=True):
    """`info`, or `info {}`: the client sends a placeholder that it does not fill in."""

    def read(self, rest: str) -> Request:
        return INFO_BY_NAME.read("") if rest.strip(" ") == "{}" else super().read(rest)


VERBS = table(
    Verb(
        "auth",
        ask.LogIn,
        (args.USERNAME, args.PASSWORD),
        token,
        {errors.UnknownUser: "User Tidak Ada", errors.WrongPassword: "Password Salah"},
    ),
    RegisterVerb(
        "register", ask.Register, ABOUT_SELF, token, {errors.UserExists: "User Sudah Ada"}
    ),
    InfoVerb("info", ask.ListActive, (), active),
    Verb("logout", ask.LogOut, (), said("Logout berhasil")),
    Verb("send", ask.SendMessage, (args.TO, args.TEXT), said("Message Sent"), NO_USER, send),
    Verb("sendgroup", ask.SendMessage, (args.PEOPLE, args.TEXT), said("Message Sent"), NO_USER),
    Verb(
        "sendfile",
        ask.SendFile,
        (args.TO, args.FILENAME, args.FILE),
        said("File Sent"),
        NO_USER | NO_FILE,
        send_file,
    ),
    Verb(
        "sendgroupfile",
        ask.SendFile,
        (args.PEOPLE, args.FILENAME, args.FILE),
        said("File Sent"),
        NO_USER | NO_FILE,
    ),
    Verb("inbox", ask.ReadInbox, (), by_sender(), make=inbox),
    Verb("addrealm", ask.AddRealm, args.REALM_ADDRESS, said("Realm Added"), NOT_ADDED),
    Verb(
        "sendprivaterealm",
        ask.SendRealmMessage,
        (args.REALM, args.REMOTE_USER, args.TEXT),
        said("Message Sent to Realm"),
        NO_REALM | NO_USER,
    ),
    Verb(
        "sendgrouprealm",
        ask.SendRealmGroupMessage,
        (args.REALM, args.REMOTE_USERS, args.TEXT),
        said("Message Sent to Group in Realm"),
        NO_REALM | NO_USER,
    ),
    Verb(
        "sendfilerealm",
        ask.SendRealmFile,
        (args.REALM, args.REMOTE_USER, args.FILENAME, args.FILE),
        said("File Sent to Realm"),
        NO_REALM | NO_USER | NO_FILE,
    ),
    Verb(
        "sendgroupfilerealm",
        ask.SendRealmGroupFile,
        (args.REALM, args.REMOTE_USERS, args.FILENAME, args.FILE),
        said("File Sent to Group in Realm"),
        NO_REALM | NO_USER | NO_FILE,
    ),
    Verb(
        "getinboxrealm",
        ask.ReadOwnRealmInbox,
        (args.REALM, args.USERNAME),
        listed(),
        NO_REALM,
        own_realm_inbox,
    ),
    Verb("getrealminbox", ask.ReadRealmInbox, (args.REALM,), listed(), NO_REALM, realm_inbox),
)

CLIENT_VERBS = {
    **as_typed(VERBS, last=("sendprivaterealm",)),
    **table(
        InfoVerb("info", ask.ListActive, (), active, bare=True, strangers={"message": {}}),
        Verb(
            "sendgroup",
            ask.SendGroupMessage,
            (EITHER, args.TYPED_TEXT),
            said("Message Sent"),
            NO_USER_OR_GROUP,
            send_to_group,
        ),
        Verb(
            "sendgroupfile",
            ask.SendGroupFile,
            (EITHER, args.SPACED_FILENAME, args.FILE),
            said("File Sent"),
            NO_USER_OR_GROUP | NO_FILE,
            send_file_to_group,
        ),
        Verb(
            "addgroup",
            ask.AddGroup,
            (args.NEW_GROUP,),
            said("Add group successful"),
            {errors.GroupExists: "Group Sudah Ada"},
        ),
        Verb(
            "joingroup",
            ask.JoinGroup,
            (args.GROUP,),
            said("Join group successful"),
            {errors.UnknownGroup: "Group Tidak Ditemukan", errors.AlreadyMember: "User Sudah Join"},
        ),
        Verb("inbox", ask.ReadInbox, (), by_sender(shown), make=inbox_with_files),
        Verb(
            "getrealminbox",
            ask.ReadRealmInbox,
            (args.REALM,),
            listed(shown),
            NO_REALM,
            realm_inbox_with_files,
        ),
    ),
}


class Kelompok3Dialect(BlockDialect):
    name = "kelompok3"
    verbs = VERBS
    client_verbs = CLIENT_VERBS
    texts = (TEXTS, INDONESIAN)
