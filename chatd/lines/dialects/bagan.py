"""The dialect of "Kelompok Bagan": as kelompok3's on the wire, with groups that are made and joined, and
texts of its own."""

from __future__ import annotations

from collections.abc import Mapping

from chatd.base import errors
from chatd.base.model import Message, Reply
from chatd.base.names import Address, Place
from chatd.commands import arguments as types
from chatd.commands import values as ask
from chatd.commands.rows import Arg
from chatd.lines.dialect import Request
from chatd.lines.dialects import kelompok3
from chatd.lines.dialects.blocks import (
    Answer,
    BlockDialect,
    by_sender,
    entry,
    listed,
    named,
    said,
    some,
)
from chatd.lines.dialects.indonesian import INDONESIAN
from chatd.lines.dialects.kelompok3 import ADD_REALM, REALM, USER, active
from chatd.lines.dialects.verbs import (
    FILE,
    FILENAME,
    GROUP,
    NAME,
    PASSWORD,
    TEXT,
    TO,
    USERNAME,
    Texts,
    Verb,
    send,
    send_file,
    table,
)

COUNTRY = Arg("country", types.DISPLAY_NAME)
FULL_NAME = Arg("name", types.FULL_NAME)
THERE = Arg("group", types.GROUP_NAME)  # a group of another realm

NO_USER: Texts = {errors.UnknownUser: "User tidak ada"}
NO_GROUP: Texts = {errors.UnknownGroup: "Group tidak ditemukan"}
NOT_IN_GROUP: Texts = NO_GROUP | {errors.NotMember: "User bukan member grup"}
NO_FILE: Texts = {errors.UnknownFile: "File tidak ditemukan"}
NO_REALM: Texts = {errors.UnknownRealm: "Realm tidak ditemukan"}
NOT_ADDED: Texts = {
    errors.RealmExists: "Realm sudah ada",
    errors.OwnRealm: "Realm sudah ada",
    **dict.fromkeys(errors.UNREACHABLE, "Realm Unreachable"),
}
TEXTS: Texts = {errors.NotLoggedIn: "Session tidak ditemukan"}


def token(_request: Request, reply: Reply) -> Answer:
    found = reply.fields["tokenId"]
    return {"tokenId": found, "tokenid": found}


def placed(message: Message, names: Mapping[str, str]) -> Answer:
    """An entry that says which group it stands in."""
    return entry(message, names) | some(group=message.group)


def private_inbox(user: Address) -> ask.Command:
    return ask.ReadInbox(Place(user=user))


def group_inbox(group: Address) -> ask.Command:
    return ask.ReadInbox(Place(group=group))


VERBS = table(
    Verb(
        "auth",
        ask.LogIn,
        (USERNAME, PASSWORD),
        token,
        NO_USER | {errors.WrongPassword: "Password salah"},
    ),
    Verb(
        "register",
        ask.Register,
        (USERNAME, PASSWORD, COUNTRY, FULL_NAME),
        token,
        {errors.UserExists: "User sudah ada"},
    ),
    Verb(
        "addgroup",
        ask.AddGroup,
        (NAME,),
        said("Add group Berhasil"),
        {errors.GroupExists: "Group sudah ada"},
    ),
    Verb(
        "joingroup",
        ask.JoinGroup,
        (GROUP,),
        said("Join group berhasil"),
        {errors.UnknownGroup: "Group belum ada", errors.AlreadyMember: "User sudah join"},
    ),
    Verb("send", ask.SendMessage, (TO, TEXT), said("Message sent"), NO_USER, send),
    Verb(
        "sendfile",
        ask.SendFile,
        (TO, FILENAME, FILE),
        said("File sent"),
        NO_USER | NO_FILE,
        send_file,
    ),
    Verb("sendgroup", ask.SendGroupMessage, (GROUP, TEXT), said("Message sent"), NOT_IN_GROUP),
    Verb(
        "sendgroupfile",
        ask.SendGroupFile,
        (GROUP, FILENAME, FILE),
        said("File sent"),
        NOT_IN_GROUP | NO_FILE,
    ),
    Verb("inbox", ask.ReadInbox, (), by_sender(placed), make=lambda: ask.ReadInbox(here=True)),
    Verb(
        "privateinbox",
        ask.ReadInbox,
        (Arg("user", types.ADDRESS),),
        listed(placed),
        NO_USER,
        private_inbox,
    ),
    Verb("groupinbox", ask.ReadInbox, (GROUP,), listed(placed), NOT_IN_GROUP, group_inbox),
    Verb("getusers", ask.ListUsers, (), named("users", "username")),
    Verb("getgroups", ask.ListGroups, (), named("groups", "group")),
    Verb("logout", ask.LogOut, (), said("Logout berhasil")),
    Verb("info", ask.ListActive, (), active),
    Verb("addrealm", ask.AddRealm, ADD_REALM, said("Realm added"), NOT_ADDED),
    Verb(
        "sendprivaterealm",
        ask.SendRealmMessage,
        (REALM, USER, TEXT),
        said("Message sent"),
        NO_REALM | NO_USER,
    ),
    Verb(
        "sendfilerealm",
        ask.SendRealmFile,
        (REALM, USER, FILENAME, FILE),
        said("File sent"),
        NO_REALM | NO_USER | NO_FILE,
    ),
    Verb(
        "sendgrouprealm",
        ask.SendRealmGroupMessage,
        (REALM, THERE, TEXT),
        said("Message sent"),
        NO_REALM | NO_GROUP,
    ),
    Verb(
        "sendgroupfilerealm",
        ask.SendRealmGroupFile,
        (REALM, THERE, FILENAME, FILE),
        said("File sent"),
        NO_REALM | NO_GROUP | NO_FILE,
    ),
    Verb("getrealminbox", ask.ReadRealmInbox, (REALM,), listed(placed), NO_REALM),
)


class BaganDialect(BlockDialect):
    name = "bagan"
    verbs = VERBS
    texts = (TEXTS, kelompok3.TEXTS, INDONESIAN)
