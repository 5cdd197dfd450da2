"""Outsiders get the same answers about a private group as about a group that does not exist, from every
command and in every dialect.

The table has a row for each command that can name a group. The test fails if a new command is missing.
"""

from __future__ import annotations

import json
from typing import Any

from chatd.commands import arguments as types
from chatd.commands.table import TABLE
from chatd.lines.dialect import Dialect
from chatd.lines.dialects.bagan import BaganDialect
from chatd.lines.dialects.kelompok3 import Kelompok3Dialect
from chatd.lines.dialects.plain import PlainDialect
from chatd.lines.dialects.pychat import PychatDialect
from chatd.lines.dialects.tugas4 import Tugas4Dialect
from chatd.lines.dialects.urlencoded import UrlencodedDialect
from tests.support.common import Wire
from tests.unit.lines.cases import PASSWORD, ProtocolTestCase

GROUP, NONE = "rahasia", "taksada"
OUTSIDERS = ("henderson", "budi", "citra")  # was never a member; was kicked; has left
UNKNOWN = "unknown-group"

# Commands in json that name the group, and the code of the error that an outsider gets, or OK
ROWS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"command": "accept", "group": GROUP}, "unknown-invitation"),
    ({"command": "bans", "group": GROUP}, UNKNOWN),
    ({"command": "closegroup", "group": GROUP}, UNKNOWN),
    ({"command": "compose", "group": GROUP, "text": "halo"}, UNKNOWN),
    ({"command": "compose", "place": GROUP, "text": "halo"}, "unknown-user"),
    ({"command": "decline", "group": GROUP}, "unknown-invitation"),
    ({"command": "delete", "group": GROUP, "seq": 1}, UNKNOWN),
    ({"command": "edit", "group": GROUP, "seq": 1, "text": "halo"}, UNKNOWN),
    ({"command": "demote", "group": GROUP, "user": "messi"}, UNKNOWN),
    ({"command": "group", "group": GROUP}, UNKNOWN),
    ({"command": "renewcode", "group": GROUP}, UNKNOWN),
    ({"command": "setgroup", "group": GROUP, "title": "Pasar"}, UNKNOWN),
    ({"command": "transfer", "group": GROUP, "user": "dewi"}, UNKNOWN),
    ({"command": "forward", "group": GROUP, "seq": 1, "to": "messi"}, UNKNOWN),
    ({"command": "forward", "user": "messi", "seq": 1, "to": f"#{GROUP}"}, "unknown-message"),
    ({"command": "history", "group": GROUP}, UNKNOWN),
    ({"command": "history", "place": GROUP}, "unknown-user"),
    ({"command": "inbox", "group": GROUP}, UNKNOWN),
    ({"command": "inbox", "place": GROUP}, "unknown-user"),
    ({"command": "inboxgroup", "group": GROUP}, UNKNOWN),
    ({"command": "invite", "group": GROUP, "users": ["henderson"]}, UNKNOWN),
    ({"command": "joingroup", "group": GROUP}, UNKNOWN),
    ({"command": "joingroup", "group": f"{GROUP}@realm1"}, UNKNOWN),
    ({"command": "kick", "group": GROUP, "user": "dewi"}, UNKNOWN),
    ({"command": "leavegroup", "group": GROUP}, UNKNOWN),
    ({"command": "members", "group": GROUP}, UNKNOWN),
    ({"command": "opengroup", "group": GROUP}, UNKNOWN),
    ({"command": "pin", "group": GROUP, "seq": 1, "on": True}, UNKNOWN),
    ({"command": "pins", "group": GROUP}, UNKNOWN),
    ({"command": "promote", "group": GROUP, "user": "dewi"}, UNKNOWN),
    ({"command": "react", "group": GROUP, "seq": 1, "emoji": "\N{THUMBS UP SIGN}"}, UNKNOWN),
    ({"command": "readers", "group": GROUP, "seq": 1}, UNKNOWN),
    ({"command": "reply", "group": GROUP, "seq": 1, "text": "halo"}, UNKNOWN),
    ({"command": "search", "text": f"in:#{GROUP} halo"}, UNKNOWN),
    ({"command": "search", "text": GROUP}, "OK"),
    ({"command": "send", "to": GROUP, "text": "halo"}, "unknown-user"),
    ({"command": "sendfile", "to": GROUP, "filename": "a.txt", "size": 1}, "unknown-user"),
    ({"command": "sendgroup", "group": GROUP, "text": "halo"}, UNKNOWN),
    ({"command": "sendgroup", "group": GROUP, "text": "halo", "key": "k1"}, UNKNOWN),
    ({"command": "sendgroupfile", "group": GROUP, "filename": "a.txt", "size": 1}, UNKNOWN),
    ({"command": "typing", "group": GROUP}, UNKNOWN),
    ({"command": "unban", "group": GROUP, "user": "budi"}, UNKNOWN),
    ({"command": "sendgrouprealm", "realm": "realm1", "group": GROUP, "text": "halo"}, UNKNOWN),
    (
        {
            "command": "sendgroupfilerealm",
            "realm": "realm1",
            "group": GROUP,
            "filename": "a.txt",
            "size": 1,
        },
        UNKNOWN,
    ),
    ({"command": "archive", "group": GROUP, "on": True}, UNKNOWN),
    ({"command": "files", "group": GROUP}, UNKNOWN),
    ({"command": "getpicture", "group": GROUP}, UNKNOWN),
    ({"command": "notify", "group": GROUP, "level": "none"}, UNKNOWN),
    ({"command": "removepicture", "group": GROUP}, UNKNOWN),
    ({"command": "report", "group": GROUP, "seq": 1, "reason": "kasar"}, UNKNOWN),
    ({"command": "setpicture", "group": GROUP, "filename": "a.png", "size": 9}, UNKNOWN),
    ({"command": "groups"}, "OK"),
    ({"command": "mygroups"}, "OK"),
    ({"command": "conversations"}, "OK"),
    ({"command": "unread"}, "OK"),
    ({"command": "files"}, "OK"),
    ({"command": "sync"}, "OK"),
)
# Not in the table: addgroup says of every taken name that it is taken, and the others name no group of this
# realm.
STATED = ("addgroup", "addcontact", "delcontact", "sendprivaterealm", "sendfilerealm")
NAMING = (
    types.GroupType,
    types.JoinableType,
    types.GroupOrPeopleType,
    types.GroupOrNamesType,
    types.ConversationType,
    types.PlaceType,
    types.DestinationType,
)

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
    UrlencodedDialect: (f"send username={GROUP}&message=halo", "list_file"),
}
LOGINS = {
    Tugas4Dialect: "auth_login {name} {password}",
    PychatDialect: "AUTH-LOGIN {name} {password}",
    UrlencodedDialect: "auth username={name}&password={password}",
}


BY_LINE = (PychatDialect, UrlencodedDialect)  # these end an answer with one line end
GREETING = (PlainDialect, PychatDialect)


def unnamed(text: str) -> str:
    """An answer, with one name in place of both."""
    return text.replace(GROUP, NONE)


class PrivateGroups(ProtocolTestCase):
    people = ("messi", *OUTSIDERS, "dewi")

    async def set_up(self) -> None:
        """Messi has a private group. Budi was kicked from it, Citra has left it, and Dewi is a new member."""
        self.admin = await self.logged_in("messi")
        made = await self.admin.ask(
            command="addgroup", group=GROUP, visibility="private", title="Rapat"
        )
        self.assertEqual((made["status"], made["visibility"]), ("OK", "private"))
        self.code = made["groupcode"]
        self.assertEqual(len(self.code.replace(":", "")), 16)
        for name in ("budi", "citra"):
            wire = await self.logged_in(name)
            await self.done(wire, command="joingroup", code=self.code)
        await self.done(self.admin, command="sendgroup", group=GROUP, text="halo semua")
        await self.done(self.admin, command="kick", group=GROUP, user="budi")
        await self.done(wire, command="leavegroup", group=GROUP)
        self.member = await self.logged_in("dewi")
        await self.done(self.member, command="joingroup", code=self.code)

    async def done(self, wire: Wire, **request: Any) -> dict[str, Any]:
        reply = await wire.ask(**request)
        self.assertEqual(reply["status"], "OK", reply)
        return reply

    def test_table(self) -> None:
        """The table has all commands with an argument that can name a group."""
        naming = {
            row.verb for row in TABLE if any(isinstance(arg.type, NAMING) for arg in row.args)
        }
        listed = {row["command"] for row, _ in ROWS}
        self.assertEqual(naming - set(STATED) - listed, set())

    async def test_outsiders(self) -> None:
        """Every command answers as for a free name. Afterwards the group is as before."""
        await self.set_up()
        for name in OUTSIDERS:
            wire = await self.logged_in(name)
            for row, expected in ROWS:
                reply = json.dumps(await wire.ask(**row))
                other = json.loads(unnamed(json.dumps(row)))
                none = json.dumps(await wire.ask(**other))
                self.assertEqual(unnamed(reply), none, f"{name}: {row}")
                found = json.loads(reply)
                self.assertEqual(found.get("code", found["status"]), expected, f"{name}: {row}")
                self.assertNotIn("Rapat", reply)
        members = (await self.done(self.admin, command="members", group=GROUP))["members"]
        self.assertEqual([each["username"] for each in members], ["messi", "dewi"])

    async def test_dialects(self) -> None:
        """The other dialects answer as for a group that does not exist, too."""
        await self.set_up()
        for dialect, lines in LINES.items():
            for name in OUTSIDERS:
                wire = self.wire(dialect)
                login = LOGINS.get(dialect, "auth {name} {password}")
                end = b"\r\n" if dialect in BY_LINE else b"\r\n\r\n"
                if dialect in GREETING:
                    await wire.until(b"\r\n")
                wire.feed(f"{login.format(name=name, password=PASSWORD)}\r\n".encode())
                await wire.until(end)
                for line in lines:
                    answers = []
                    for each in (line, unnamed(line)):
                        wire.feed(f"{each}\r\n".encode())
                        answers.append(unnamed((await wire.until(end)).decode()))
                    self.assertEqual(answers[0], answers[1], f"{dialect.name}, {name}: {line}")
                    self.assertNotIn("Rapat", answers[0])

    async def test_codes(self) -> None:
        """The code lets in everybody who was not kicked. No other command takes it as a name."""
        await self.set_up()
        other = self.code[:-1] + ("a" if self.code[-1] != "a" else "b")
        for name in OUTSIDERS:
            wire = await self.logged_in(name)
            for row, _ in ROWS:
                if (
                    GROUP not in (row.get("group"), row.get("place"))
                    or row["command"] == "joingroup"
                ):
                    continue
                real, wrong = (
                    {key: code if value == GROUP else value for key, value in row.items()}
                    for code in (self.code, other)
                )
                found = json.dumps(await wire.ask(**real)).replace(self.code, other)
                self.assertEqual(found, json.dumps(await wire.ask(**wrong)), f"{name}: {real}")
        for name, status in (("henderson", "OK"), ("budi", "ERROR"), ("citra", "OK")):
            wire = await self.logged_in(name)
            reply = await wire.ask(command="joingroup", code=self.code)
            self.assertEqual(reply["status"], status)
            if status == "ERROR":
                self.assertEqual(reply["code"], UNKNOWN)

    async def test_members(self) -> None:
        """A new member sees the code, and messages from after they joined."""
        await self.set_up()
        await self.done(self.admin, command="sendgroup", group=GROUP, text="selamat datang")
        for wire, texts in (
            (self.member, ["selamat datang"]),
            (self.admin, ["halo semua", "selamat datang"]),
        ):
            page = await self.done(wire, command="history", group=GROUP)
            self.assertEqual([each["text"] for each in page["messages"]], texts)
            self.assertEqual(page["earlier"], 0)
            for command in ("groups", "mygroups"):
                (group,) = (await self.done(wire, command=command))["groups"]
                self.assertEqual((group["visibility"], group["code"]), ("private", self.code))
                self.assertTrue(group["closed"])
