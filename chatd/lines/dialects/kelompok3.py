"""`kelompok3`, the dialect of "Final Project Progjar A Kelompok 3".

A line `verb [token] argument …` is answered by one JSON object and CRLF CRLF. Its groups are lists of people.
"""

from __future__ import annotations

from chatd.base import errors
from chatd.base.model import Reply, UserInfo
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg
from chatd.lines.dialect import Request
from chatd.lines.dialects import arguments as args
from chatd.lines.dialects.blocks import Answer, BlockDialect, by_sender, listed, said, token
from chatd.lines.dialects.indonesian import INDONESIAN
from chatd.lines.dialects.verbs import Texts, Verb, not_added, send, send_file, table

ABOUT_SELF = (
    args.USERNAME,
    args.PASSWORD,
    Arg("name", types.DISPLAY_NAME),
    Arg("country", types.DISPLAY_NAME),
)

NO_USER: Texts = {errors.UnknownUser: "User Tidak Ditemukan"}
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
        for kind in (errors.ReservedName, errors.BadText, errors.MessageTooLong, errors.BadFileName)
    },
    errors.BadRequest: "Protocol Tidak Benar",
}


def active(_request: Request, reply: Reply) -> Answer:
    names = [user.username for user in reply.items if isinstance(user, UserInfo)]
    if not names:
        return {"status": "ERROR", "message": "Tidak ada user yang aktif"}
    return {"message": names}


def inbox() -> ask.Command:
    return ask.ReadInbox(here=True, own=True)


def realm_inbox(realm: str) -> ask.Command:
    return ask.ReadRealmInbox(realm, own=True)


def own_realm_inbox(realm: str, username: str) -> ask.Command:
    return ask.ReadOwnRealmInbox(realm, username, own=True)


VERBS = table(
    Verb(
        "auth",
        ask.LogIn,
        (args.USERNAME, args.PASSWORD),
        token,
        {errors.UnknownUser: "User Tidak Ada", errors.WrongPassword: "Password Salah"},
    ),
    Verb("register", ask.Register, ABOUT_SELF, token, {errors.UserExists: "User Sudah Ada"}),
    Verb("info", ask.ListActive, (), active),
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


class Kelompok3Dialect(BlockDialect):
    name = "kelompok3"
    verbs = VERBS
    texts = (TEXTS, INDONESIAN)
