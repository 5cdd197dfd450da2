"""The dialect of "Final Project Progjar A Kelompok 3": `verb [token] argument …` on a line, one JSON object
and CRLF CRLF in return. What it calls a group is a list of people."""

from __future__ import annotations

from chatd.base import errors
from chatd.base.model import Reply, UserInfo
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg
from chatd.lines.dialect import Request
from chatd.lines.dialects.blocks import Answer, BlockDialect, by_sender, listed, said, token
from chatd.lines.dialects.indonesian import INDONESIAN
from chatd.lines.dialects.verbs import (
    FILE,
    FILENAME,
    PASSWORD,
    PEOPLE,
    TEXT,
    TO,
    USERNAME,
    Texts,
    Verb,
    send,
    send_file,
    table,
)

REALM = Arg("realm", types.NAME)
USER = Arg("user", types.NAME)
USERS = Arg("group", types.NAMES)
ADD_REALM = (REALM, Arg("host", types.HOST), Arg("port", types.PORT))
ABOUT_SELF = (
    USERNAME,
    PASSWORD,
    Arg("name", types.DISPLAY_NAME),
    Arg("country", types.DISPLAY_NAME),
)

NO_ONE: Texts = {errors.UnknownUser: "User Tidak Ditemukan"}
NO_FILE: Texts = {errors.UnknownFile: "File Tidak Ditemukan"}
NO_REALM: Texts = {errors.UnknownRealm: "Realm Tidak Ditemukan"}
NOT_ADDED: Texts = {
    errors.RealmExists: "Realm Sudah Ada",
    errors.OwnRealm: "Realm Sudah Ada",
    **dict.fromkeys(errors.UNREACHABLE, "Realm Unreachable"),
}
TEXTS: Texts = {
    errors.NotLoggedIn: "Session Tidak Ditemukan",
    errors.FileTooLarge: "File Terlalu Besar",
    errors.LineTooLong: "File Terlalu Besar",
    # What could be read and is refused all the same is said in the sentence of the refusal.
    **{
        kind: INDONESIAN[kind]
        for kind in (
            errors.ReservedName,
            errors.BadText,
            errors.MessageTooLong,
            errors.BadFileName,
        )
    },
    errors.BadRequest: "Protocol Tidak Benar",
}


def active(_request: Request, reply: Reply) -> Answer:
    names = [user.username for user in reply.items if isinstance(user, UserInfo)]
    if not names:
        return {"status": "ERROR", "message": "Tidak ada user yang aktif"}
    return {"message": names}


VERBS = table(
    Verb(
        "auth",
        ask.LogIn,
        (USERNAME, PASSWORD),
        token,
        {errors.UnknownUser: "User Tidak Ada", errors.WrongPassword: "Password Salah"},
    ),
    Verb("register", ask.Register, ABOUT_SELF, token, {errors.UserExists: "User Sudah Ada"}),
    Verb("info", ask.ListActive, (), active),
    Verb("logout", ask.LogOut, (), said("Logout berhasil")),
    Verb("send", ask.SendMessage, (TO, TEXT), said("Message Sent"), NO_ONE, send),
    Verb("sendgroup", ask.SendMessage, (PEOPLE, TEXT), said("Message Sent"), NO_ONE),
    Verb(
        "sendfile",
        ask.SendFile,
        (TO, FILENAME, FILE),
        said("File Sent"),
        NO_ONE | NO_FILE,
        send_file,
    ),
    Verb(
        "sendgroupfile", ask.SendFile, (PEOPLE, FILENAME, FILE), said("File Sent"), NO_ONE | NO_FILE
    ),
    Verb("inbox", ask.ReadInbox, (), by_sender(), make=lambda: ask.ReadInbox(here=True)),
    Verb("addrealm", ask.AddRealm, ADD_REALM, said("Realm Added"), NOT_ADDED),
    Verb(
        "sendprivaterealm",
        ask.SendRealmMessage,
        (REALM, USER, TEXT),
        said("Message Sent to Realm"),
        NO_REALM | NO_ONE,
    ),
    Verb(
        "sendgrouprealm",
        ask.SendRealmGroupMessage,
        (REALM, USERS, TEXT),
        said("Message Sent to Group in Realm"),
        NO_REALM | NO_ONE,
    ),
    Verb(
        "sendfilerealm",
        ask.SendRealmFile,
        (REALM, USER, FILENAME, FILE),
        said("File Sent to Realm"),
        NO_REALM | NO_ONE | NO_FILE,
    ),
    Verb(
        "sendgroupfilerealm",
        ask.SendRealmGroupFile,
        (REALM, USERS, FILENAME, FILE),
        said("File Sent to Group in Realm"),
        NO_REALM | NO_ONE | NO_FILE,
    ),
    Verb("getinboxrealm", ask.ReadOwnRealmInbox, (REALM, USERNAME), listed(), NO_REALM),
    Verb("getrealminbox", ask.ReadRealmInbox, (REALM,), listed(), NO_REALM),
)


class Kelompok3Dialect(BlockDialect):
    name = "kelompok3"
    verbs = VERBS
    texts = (TEXTS, INDONESIAN)
