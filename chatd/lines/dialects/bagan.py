"""`bagan`, the dialect of "Kelompok Bagan".

It has the wire format of kelompok3, groups that people create and join, and its own sentences.
"""

from __future__ import annotations

from collections.abc import Mapping

from chatd.base import errors
from chatd.base.model import Message, Reply
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg
from chatd.lines.dialect import Request
from chatd.lines.dialects import arguments as args
from chatd.lines.dialects import kelompok3
from chatd.lines.dialects.blocks import (
    Answer,
    BlockDialect,
    by_sender,
    entry,
    listed,
    named,
    non_empty,
    said,
)
from chatd.lines.dialects.indonesian import INDONESIAN
from chatd.lines.dialects.kelompok3 import active, inbox, realm_inbox
from chatd.lines.dialects.verbs import (
    Texts,
    Verb,
    group_inbox,
    not_added,
    private_inbox,
    send,
    send_file,
    table,
)

COUNTRY = Arg("country", types.DISPLAY_NAME)

NO_USER: Texts = {errors.UnknownUser: "User tidak ada"}
NO_GROUP: Texts = {errors.UnknownGroup: "Group tidak ditemukan"}
NOT_IN_GROUP: Texts = NO_GROUP | {errors.NotMember: "User bukan member grup"}
NO_FILE: Texts = {errors.UnknownFile: "File tidak ditemukan"}
NO_REALM: Texts = {errors.UnknownRealm: "Realm tidak ditemukan"}
NOT_ADDED = not_added("Realm sudah ada")
NO_SESSION = "Session tidak ditemukan"
TEXTS: Texts = {errors.NotLoggedIn: NO_SESSION, errors.BadToken: NO_SESSION}


def token(_request: Request, reply: Reply) -> Answer:
    found = reply.fields["tokenId"]
    return {"tokenId": found, "tokenid": found}


def placed(message: Message, names: Mapping[str, str]) -> Answer:
    """A message, with the name of its group."""
    return entry(message, names) | non_empty(group=message.group)


VERBS = table(
    Verb(
        "auth",
        ask.LogIn,
        (args.USERNAME, args.PASSWORD),
        token,
        NO_USER | {errors.WrongPassword: "Password salah"},
    ),
    Verb(
        "register",
        ask.Register,
        (args.USERNAME, args.PASSWORD, COUNTRY, args.FULL_NAME),
        token,
        {errors.UserExists: "User sudah ada"},
    ),
    Verb(
        "addgroup",
        ask.AddGroup,
        (args.NEW_GROUP,),
        said("Add group Berhasil"),
        {errors.GroupExists: "Group sudah ada"},
    ),
    Verb(
        "joingroup",
        ask.JoinGroup,
        (args.GROUP,),
        said("Join group berhasil"),
        {errors.UnknownGroup: "Group belum ada", errors.AlreadyMember: "User sudah join"},
    ),
    Verb("send", ask.SendMessage, (args.TO, args.TEXT), said("Message sent"), NO_USER, send),
    Verb(
        "sendfile",
        ask.SendFile,
        (args.TO, args.FILENAME, args.FILE),
        said("File sent"),
        NO_USER | NO_FILE,
        send_file,
    ),
    Verb(
        "sendgroup",
        ask.SendGroupMessage,
        (args.GROUP, args.TEXT),
        said("Message sent"),
        NOT_IN_GROUP,
    ),
    Verb(
        "sendgroupfile",
        ask.SendGroupFile,
        (args.GROUP, args.FILENAME, args.FILE),
        said("File sent"),
        NOT_IN_GROUP | NO_FILE,
    ),
    Verb("inbox", ask.ReadInbox, (), by_sender(placed), make=inbox),
    Verb("privateinbox", ask.ReadInbox, (args.TO,), listed(placed), NO_USER, private_inbox),
    Verb("groupinbox", ask.ReadInbox, (args.GROUP,), listed(placed), NOT_IN_GROUP, group_inbox),
    Verb("getusers", ask.ListUsers, (), named("users", "username")),
    Verb("getgroups", ask.ListGroups, (), named("groups", "group")),
    Verb("logout", ask.LogOut, (), said("Logout berhasil")),
    Verb("info", ask.ListActive, (), active),
    Verb("addrealm", ask.AddRealm, args.REALM_ADDRESS, said("Realm added"), NOT_ADDED),
    Verb(
        "sendprivaterealm",
        ask.SendRealmMessage,
        (args.REALM, args.REMOTE_USER, args.TEXT),
        said("Message sent"),
        NO_REALM | NO_USER,
    ),
    Verb(
        "sendfilerealm",
        ask.SendRealmFile,
        (args.REALM, args.REMOTE_USER, args.FILENAME, args.FILE),
        said("File sent"),
        NO_REALM | NO_USER | NO_FILE,
    ),
    Verb(
        "sendgrouprealm",
        ask.SendRealmGroupMessage,
        (args.REALM, args.REMOTE_GROUP, args.TEXT),
        said("Message sent"),
        NO_REALM | NO_GROUP,
    ),
    Verb(
        "sendgroupfilerealm",
        ask.SendRealmGroupFile,
        (args.REALM, args.REMOTE_GROUP, args.FILENAME, args.FILE),
        said("File sent"),
        NO_REALM | NO_GROUP | NO_FILE,
    ),
    Verb("getrealminbox", ask.ReadRealmInbox, (args.REALM,), listed(placed), NO_REALM, realm_inbox),
)


class BaganDialect(BlockDialect):
    name = "bagan"
    verbs = VERBS
    texts = (TEXTS, kelompok3.TEXTS, INDONESIAN)
