"""What can be asked about a private group: the requests of tests.unit.lines.test_private_groups, and what
outsiders, new members and admins get."""

from __future__ import annotations

from typing import Any

import msgspec

from chatd.lines.dialect import Dialect
from chatd.lines.dialects.bagan import BaganDialect
from chatd.lines.dialects.kelompok3 import Kelompok3Dialect
from chatd.lines.dialects.key_values import SESSION
from chatd.lines.dialects.plain import PlainDialect
from chatd.lines.dialects.pychat import PychatDialect
from chatd.lines.dialects.tugas4 import Tugas4Dialect
from chatd.lines.dialects.urlencoded import UrlencodedDialect

GROUP, NONE = "rahasia", "taksada"
UNKNOWN, NO_ADMIN, NO_MESSAGE, NO_FILE = (
    "unknown-group",
    "not-admin",
    "unknown-message",
    "unknown-file",
)
# In requests, this stands for the token of the session.
TOKEN = "TOKEN"
# And these stand for the seqs of a message from before the newest member joined and of a later one,
# the codes of a file from before and of a later one, and the id of the conversation.
OLD, NEW, OLD_FILE, NEW_FILE, HERE = "OLD", "NEW", "OLD FILE", "NEW FILE", "HERE"


class Row(msgspec.Struct, frozen=True):
    """A request in json, and the codes of the errors that people get, or OK."""

    request: dict[str, Any]
    outsider: str
    member: str
    admin: str


def _row(
    command: str, outsider: str, member: str = "OK", admin: str = "OK", /, **fields: Any
) -> Row:
    return Row({"command": command, **fields}, outsider, member, admin)


# The members and admins ask in this order, so that some find what others have changed.
ROWS: tuple[Row, ...] = (
    _row("accept", "unknown-invitation", "unknown-invitation", "unknown-invitation", group=GROUP),
    _row("decline", "unknown-invitation", "unknown-invitation", "unknown-invitation", group=GROUP),
    _row("group", UNKNOWN, group=GROUP),
    _row("members", UNKNOWN, group=GROUP),
    _row("history", UNKNOWN, group=GROUP),
    _row("history", "unknown-user", place=GROUP),
    _row("history", "unknown-conversation", conversation=HERE),
    _row("sync", "unknown-conversation", conversation=HERE),
    _row("read", "unknown-conversation", conversation=HERE, seq=NEW),
    _row("inbox", UNKNOWN, group=GROUP),
    _row("inbox", "unknown-user", place=GROUP),
    _row("inboxgroup", UNKNOWN, group=GROUP),
    _row("pins", UNKNOWN, group=GROUP),
    _row("files", UNKNOWN, group=GROUP),
    _row("search", UNKNOWN, text=f"in:#{GROUP} halo"),
    _row("search", "OK", text=GROUP),
    _row("search", "OK", text="halo"),
    _row("typing", UNKNOWN, group=GROUP),
    _row("notify", UNKNOWN, group=GROUP, level="none"),
    _row("archive", UNKNOWN, group=GROUP, on=True),
    _row("getpicture", UNKNOWN, "unknown-picture", "unknown-picture", group=GROUP),
    _row("getfile", NO_FILE, NO_FILE, code=OLD_FILE),
    _row("deletefile", NO_FILE, NO_FILE, code=OLD_FILE),
    _row("getfile", NO_FILE, code=NEW_FILE),
    _row("send", "unknown-user", "unknown-user", "unknown-user", to=GROUP, text="halo"),
    _row("sendgroup", UNKNOWN, group=GROUP, text="halo"),
    _row("sendgroup", UNKNOWN, group=GROUP, text="halo", key="k1"),
    _row("compose", UNKNOWN, group=GROUP, text="halo"),
    _row("compose", "unknown-user", place=GROUP, text="halo"),
    _row(
        "sendfile",
        "unknown-user",
        "unknown-user",
        "unknown-user",
        to=GROUP,
        filename="a.txt",
        size=1,
    ),
    _row("sendgroupfile", UNKNOWN, group=GROUP, filename="a.txt", size=1),
    _row("sendgrouprealm", UNKNOWN, realm="realm1", group=GROUP, text="halo"),
    _row("sendgroupfilerealm", UNKNOWN, realm="realm1", group=GROUP, filename="a.txt", size=1),
    _row("forward", UNKNOWN, user="messi", seq=1, to=f"#{GROUP}"),
    _row("reply", UNKNOWN, NO_MESSAGE, group=GROUP, seq=OLD, text="halo"),
    _row("react", UNKNOWN, NO_MESSAGE, group=GROUP, seq=OLD, emoji="\N{THUMBS UP SIGN}"),
    _row("readers", UNKNOWN, NO_MESSAGE, group=GROUP, seq=OLD),
    _row("report", UNKNOWN, NO_MESSAGE, group=GROUP, seq=OLD, reason="kasar"),
    _row("forward", UNKNOWN, NO_MESSAGE, group=GROUP, seq=OLD, to="messi"),
    _row("pin", UNKNOWN, NO_MESSAGE, group=GROUP, seq=OLD, on=True),
    _row("edit", UNKNOWN, NO_MESSAGE, group=GROUP, seq=OLD, text="halo"),
    _row("delete", UNKNOWN, NO_MESSAGE, group=GROUP, seq=OLD),
    _row("reply", UNKNOWN, group=GROUP, seq=NEW, text="halo"),
    _row("react", UNKNOWN, group=GROUP, seq=NEW, emoji="\N{THUMBS UP SIGN}"),
    _row("readers", UNKNOWN, group=GROUP, seq=NEW),
    _row("report", UNKNOWN, group=GROUP, seq=NEW, reason="kasar"),
    _row("forward", UNKNOWN, group=GROUP, seq=NEW, to="messi"),
    _row("pin", UNKNOWN, NO_ADMIN, group=GROUP, seq=NEW, on=True),
    _row("edit", UNKNOWN, "not-yours", group=GROUP, seq=NEW, text="halo"),
    _row("delete", UNKNOWN, "not-yours", group=GROUP, seq=NEW),
    _row("joingroup", UNKNOWN, "already-member", "already-member", group=GROUP),
    _row("joingroup", UNKNOWN, "already-member", "already-member", group=f"{GROUP}@realm1"),
    _row("bans", UNKNOWN, NO_ADMIN, group=GROUP),
    _row("unban", UNKNOWN, NO_ADMIN, group=GROUP, user="budi"),
    _row("invite", UNKNOWN, NO_ADMIN, group=GROUP, users=["henderson"]),
    _row("promote", UNKNOWN, NO_ADMIN, group=GROUP, user="dewi"),
    _row("demote", UNKNOWN, NO_ADMIN, group=GROUP, user="dewi"),
    _row("setgroup", UNKNOWN, NO_ADMIN, group=GROUP, title="Pasar"),
    _row("setpicture", UNKNOWN, NO_ADMIN, "bad-picture", group=GROUP, filename="a.png", size=1),
    _row("removepicture", UNKNOWN, NO_ADMIN, group=GROUP),
    _row("closegroup", UNKNOWN, NO_ADMIN, group=GROUP),
    _row("opengroup", UNKNOWN, NO_ADMIN, group=GROUP),
    _row("movegroup", UNKNOWN, NO_ADMIN, "no-group-move", group=GROUP, realm="none"),
    _row("movegroup", UNKNOWN, NO_ADMIN, "unknown-realm", group=GROUP, realm="realm2"),
    _row("rescuegroup", UNKNOWN, "group-lives-here", "group-lives-here", group=GROUP),
    _row("renewcode", UNKNOWN, NO_ADMIN, group=GROUP),
    _row("groups", "OK"),
    _row("mygroups", "OK"),
    _row("conversations", "OK"),
    _row("unread", "OK"),
    _row("files", "OK"),
    _row("sync", "OK"),
    _row("kick", UNKNOWN, NO_ADMIN, group=GROUP, user="dewi"),
    _row("transfer", UNKNOWN, NO_ADMIN, group=GROUP, user="henderson"),
    _row("leavegroup", UNKNOWN, group=GROUP),
)
# Not in the table: addgroup says of every taken name that it is taken, and the others name no group of this
# realm.
STATED = ("addgroup", "addcontact", "delcontact", "sendprivaterealm", "sendfilerealm")

# Lines of the other dialects, in which GROUP stands for the name.
LINES: dict[type[Dialect], tuple[str, ...]] = {
    PlainDialect: (
        f"history #{GROUP}",
        f"history {GROUP}",
        f"joingroup {GROUP}",
        f"members {GROUP}",
        f"sendgroup {GROUP} halo",
        f"inbox #{GROUP}",
        f"search in:#{GROUP} halo",
        "groups",
    ),
    Kelompok3Dialect: (f"send {GROUP} halo", f"sendgroup {GROUP},{GROUP} halo", "inbox"),
    BaganDialect: (
        f"joingroup {GROUP}",
        f"sendgroup {GROUP} halo",
        f"sendgroupfile {GROUP} a.txt YQ==",
        f"groupinbox {GROUP}",
        "getgroups",
        "inbox",
    ),
    Tugas4Dialect: (
        f"join {GROUP}",
        f"leave {GROUP}",
        f"ls_member {GROUP}",
        f"sendgroup {GROUP} halo",
        f"inboxgroup {GROUP}",
        f"sendgroup_file {GROUP} a.txt YQ==",
        f"downloadgroup_file {GROUP} a.txt",
        "ls_group",
    ),
    PychatDialect: (
        f"GROUP-JOIN {GROUP}",
        f"GROUP-EXIT {GROUP}",
        f"GROUP-INVITE {GROUP} dewi",
        f"CHAT-GROUP-SEND {GROUP} halo",
        f"CHAT-GROUP-GET {GROUP}",
        f"FILE-SEND-GROUP {GROUP} a.txt 1",
        f"FILE-GET-GROUP {GROUP} k3x9qa",
        "GROUP-GET",
    ),
    UrlencodedDialect: (
        f"send username={GROUP}&message=halo&{SESSION}={TOKEN}",
        f"list_file {SESSION}={TOKEN}",
    ),
}
LEAVING = ("leave ", "GROUP-EXIT ")  # lines that take a member out
LOGINS = {
    Tugas4Dialect: "auth_login {name} {password}",
    PychatDialect: "AUTH-LOGIN {name} {password}",
    UrlencodedDialect: "auth username={name}&password={password}",
}

BY_LINE = (PychatDialect, UrlencodedDialect)  # these end an answer with one line end
GREETING = (PlainDialect, PychatDialect)
