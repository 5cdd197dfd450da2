"""`bagan`, the dialect of "Kelompok Bagan".

It has the wire format of kelompok3, groups that people create and join, and its own sentences.
"""

from __future__ import annotations

from collections.abc import Mapping

from chatd.base import errors
from chatd.base.model import Message
from chatd.base.names import Address, Place
from chatd.base.replies import GroupInfo, Reply, UserInfo
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
    non_empty,
    said,
)
from chatd.lines.dialects.indonesian import INDONESIAN
from chatd.lines.dialects.json_text import printed_file_bytes
from chatd.lines.dialects.kelompok3 import (
    NOBODY,
    active,
    inbox,
    inbox_with_files,
    realm_inbox,
    realm_inbox_with_files,
)
from chatd.lines.dialects.verbs import (
    Texts,
    Verb,
    as_typed,
    not_added,
    send,
    send_file,
    table,
)
from chatd.lines.line_buffer import LineBuffer
from chatd.lines.token_lines import TokenLineBuffer

COUNTRY = Arg("country", types.DISPLAY_NAME)

NO_USER: Texts = {errors.UnknownUser: "User tidak ada"}
NO_GROUP: Texts = {errors.UnknownGroup: "Group tidak ditemukan"}
NOT_IN_GROUP: Texts = NO_GROUP | {errors.NotMember: "User bukan member grup"}
GROUP_EXISTS: Texts = {errors.GroupExists: "Group sudah ada"}
NO_FILE: Texts = {errors.UnknownFile: "File tidak ditemukan"}
NO_REALM: Texts = {errors.UnknownRealm: "Realm tidak ditemukan"}
NOT_ADDED = not_added("Realm sudah ada")
NO_SESSION = "Session tidak ditemukan"
TEXTS: Texts = {errors.NotLoggedIn: NO_SESSION, errors.BadToken: NO_SESSION}


def token(_request: Request, reply: Reply) -> Answer:
    found = reply.fields["tokenId"]
    return {"tokenId": found, "tokenid": found}


def shown(message: Message, names: Mapping[str, str]) -> Answer:
    """A message with the bytes of its file. The client takes whatever has `msg` for a text, and shows a
    picture from any `address`."""
    found = placed(message, names)
    if message.file is not None:
        del found["msg"]
        found["file_content"] = printed_file_bytes(message.id)
        found["address"] = message.file.code
    return found


def private_inbox(to: Address) -> ask.Command:
    """What that person wrote, also in groups."""
    return ask.ReadInbox(sender=to, own=True, contents=True)


def group_inbox(group: Address) -> ask.Command:
    return ask.ReadInbox(Place(group=group), contents=True)


def placed(message: Message, names: Mapping[str, str]) -> Answer:
    """A message, with the name of its group."""
    return entry(message, names) | non_empty(group=message.group)


def user_names(_request: Request, reply: Reply) -> Answer:
    users = [{"username": user.username} for user in reply.items if isinstance(user, UserInfo)]
    return {"users": users, **non_empty(remaining=reply.data.get("remaining"))}


def groups(_request: Request, reply: Reply) -> Answer:
    """Groups with the names of their members. `remaining` is how many are not listed."""
    members = reply.data.get("members", {})
    found = []
    for group in reply.items:
        if isinstance(group, GroupInfo):
            names = members.get(group.group, ())
            more = max(0, group.members - len(names))
            found.append({"group": group.group, "members": names, **non_empty(remaining=more)})
    return {"groups": found, **non_empty(remaining=reply.data.get("remaining"))}


def list_groups() -> ask.Command:
    return ask.ListGroups(members=True)


def file_sent(_request: Request, reply: Reply) -> Answer:
    return {"message": "File sent", "address": reply.fields["code"]}


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
        GROUP_EXISTS,
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
    Verb("logout", ask.LogOut, (), said("Logout berhasil")),
    Verb("info", ask.ListActive, (), active, {errors.NotLoggedIn: NOBODY}),
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

CLIENT_VERBS = {
    **as_typed(VERBS, last=("sendprivaterealm",)),
    **table(
        Verb(
            "addgroup",
            ask.AddGroup,
            (args.NEW_GROUP,),
            said("Add group successful"),
            GROUP_EXISTS,
            bare=True,
        ),
        Verb(
            "sendfile",
            ask.SendFile,
            (args.TO, args.SPACED_FILENAME, args.FILE),
            file_sent,
            NO_USER | NO_FILE,
            send_file,
        ),
        Verb(
            "sendgroupfile",
            ask.SendGroupFile,
            (args.GROUP, args.SPACED_FILENAME, args.FILE),
            file_sent,
            NOT_IN_GROUP | NO_FILE,
        ),
        Verb("inbox", ask.ReadInbox, (), by_sender(shown), make=inbox_with_files),
        Verb("info", ask.ListActive, (), active, bare=True, strangers={"message": []}),
        Verb(
            "getrealminbox",
            ask.ReadRealmInbox,
            (args.REALM,),
            listed(shown),
            NO_REALM,
            realm_inbox_with_files,
        ),
        # These are not in the document.
        Verb("privateinbox", ask.ReadInbox, (args.TO,), by_sender(shown), NO_USER, private_inbox),
        Verb(
            "groupinbox", ask.ReadInbox, (args.GROUP,), by_sender(shown), NOT_IN_GROUP, group_inbox
        ),
        Verb("getusers", ask.ListUsers, (), user_names, bare=True, strangers={"users": []}),
        Verb(
            "getgroups",
            ask.ListGroups,
            (),
            groups,
            make=list_groups,
            bare=True,
            strangers={"groups": []},
        ),
    ),
}


class BaganDialect(BlockDialect):
    name = "bagan"
    verbs = VERBS
    client_verbs = CLIENT_VERBS
    texts = (TEXTS, kelompok3.TEXTS, INDONESIAN)

    def new_buffer(self, limit: int, most: int) -> LineBuffer:
        return TokenLineBuffer(limit, most)
