"""Outsiders get the same answers about a private group as about a group that does not exist, from every
command and in every dialect. New members get nothing from before they joined.

The table (tests.unit.lines.private_rows) has a row for each command that can name a group. The test fails if
a new command is missing. `python -m tests.support.access_table FILE` writes what everybody gets.
"""

from __future__ import annotations

import json
import re
from typing import Any

from chatd.commands import arguments as types
from chatd.commands.table import TABLE
from chatd.lines.dialect import Dialect
from chatd.lines.dialects.key_values import SESSION
from chatd.lines.dialects.urlencoded import UrlencodedDialect
from tests.support import access_table
from tests.support.access_table import ROLES
from tests.support.common import Wire
from tests.unit.lines.cases import PASSWORD, ProtocolTestCase
from tests.unit.lines.private_rows import (
    BY_LINE,
    GREETING,
    GROUP,
    HERE,
    LEAVING,
    LINES,
    LOGINS,
    NEW,
    NEW_FILE,
    NONE,
    OLD,
    OLD_FILE,
    ROWS,
    STATED,
    TOKEN,
    UNKNOWN,
    Row,
)

# Who was never a member, was kicked, and has left
OUTSIDERS = dict(zip(("henderson", "budi", "citra"), ROLES, strict=False))
NAMING = (
    types.GroupType,
    types.JoinableType,
    types.GroupOrPeopleType,
    types.GroupOrNamesType,
    types.ConversationType,
    types.PlaceType,
    types.DestinationType,
)
UNUSED = 1 << 40  # no seq and no id of a conversation
NO_CODE = "zzzzzz"  # of no file


def unnamed(text: str) -> str:
    """An answer, with one name in place of both."""
    return text.replace(GROUP, NONE)


class PrivateGroups(ProtocolTestCase):
    people = ("messi", *OUTSIDERS, "dewi")
    token = ""  # of the newest session that needs it in each request

    async def set_up(self) -> None:
        """Messi has a private group. Budi was kicked from it, Citra has left it, and Dewi is a new member.
        There are a message and a file from before she joined, and from afterwards."""
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
        said, old_file = await self.say("halo semua")
        await self.done(self.admin, command="kick", group=GROUP, user="budi")
        await self.done(wire, command="leavegroup", group=GROUP)
        self.member = await self.logged_in("dewi")
        await self.done(self.member, command="joingroup", code=self.code)
        later, new_file = await self.say("halo dewi")
        self.real = {
            OLD: said["seq"],
            NEW: later["seq"],
            OLD_FILE: old_file,
            NEW_FILE: new_file,
            HERE: said["conversation"],
        }
        self.wrong = {
            OLD: said["seq"],
            NEW: later["seq"],
            OLD_FILE: NO_CODE,
            NEW_FILE: NO_CODE,
            HERE: UNUSED,
        }

    async def greet(self) -> None:
        """Messi writes a message to everybody, which they can forward."""
        await self.done(self.admin, command="send", to=list(self.people), text="hai")

    async def say(self, text: str) -> tuple[dict[str, Any], str]:
        """Post a message and a file. Returns the first reply, and the code of the file."""
        said = await self.done(self.admin, command="sendgroup", group=GROUP, text=text)
        sent = await self.asks(
            self.admin, {"command": "sendgroupfile", "group": GROUP, "filename": "a.txt", "size": 1}
        )
        self.assertEqual(sent["status"], "OK", sent)
        return said, sent["code"]

    async def done(self, wire: Wire, **request: Any) -> dict[str, Any]:
        reply = await wire.ask(**request)
        self.assertEqual(reply["status"], "OK", reply)
        return reply

    async def asks(self, wire: Wire, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to a request; to that of a file, once its bytes have crossed."""
        reply = await wire.ask(**request)
        if reply["status"] == "READY":
            wire.feed(b"a")
            reply = await wire.line()
            while "event" in reply:
                reply = await wire.line()
        elif request["command"] == "getfile" and reply["status"] == "OK":
            await wire.until(lambda data: len(data) >= reply["size"])
        return reply

    def request(self, row: Row, values: dict[str, Any]) -> dict[str, Any]:
        return {
            key: values.get(value, value) if isinstance(value, str) else value
            for key, value in row.request.items()
        }

    def note(self, row: Row, role: str, reply: dict[str, Any]) -> str:
        """The code of an error, or the status."""
        answer = reply.get("code") if reply["status"] == "ERROR" else reply["status"]
        shown = json.dumps(row.request, ensure_ascii=False)
        access_table.TABLE.note("json", shown, role, str(answer))
        return str(answer)

    def test_table(self) -> None:
        """The table has all commands with an argument that can name a group. Those that need a role refuse
        others before they look for the group (test_operators)."""
        naming = {
            row.verb
            for row in TABLE
            if row.role is None and any(isinstance(arg.type, NAMING) for arg in row.args)
        }
        listed = {row.request["command"] for row in ROWS}
        self.assertEqual(naming - set(STATED) - listed, set())

    async def test_operators(self) -> None:
        """Commands that need a role are refused in the same way whether the group exists."""
        await self.set_up()
        wire = await self.logged_in("henderson")
        for command in ("admin.retention.set", "admin.retention.clear"):
            answers = [await wire.ask(command=command, group=each) for each in (GROUP, NONE)]
            self.assertEqual(answers[0], answers[1])
            self.assertEqual(answers[0]["code"], "not-operator")

    async def test_outsiders(self) -> None:
        """Every command answers as for a free name. Afterwards the group is as before."""
        await self.set_up()
        await self.greet()
        for name, role in OUTSIDERS.items():
            wire = await self.logged_in(name)
            for row in ROWS:
                found = await self.asks(wire, self.request(row, self.real))
                other = json.loads(unnamed(json.dumps(self.request(row, self.wrong))))
                none = json.dumps(await self.asks(wire, other))
                shown = unnamed(json.dumps(found))
                for key in (HERE, OLD_FILE, NEW_FILE):
                    if key in row.request.values():
                        shown = re.sub(rf"\b{self.real[key]}\b", str(self.wrong[key]), shown)
                self.assertEqual(shown, none, f"{name}: {row}")
                self.assertEqual(self.note(row, role, found), row.outsider, f"{name}: {row}")
                self.assertNotIn("Rapat", shown)
        members = (await self.done(self.admin, command="members", group=GROUP))["members"]
        self.assertEqual([each["username"] for each in members], ["messi", "dewi"])

    async def test_members(self) -> None:
        """A new member gets nothing of a message or file from before they joined, and gets the same answers
        as for one that does not exist. An admin gets all."""
        await self.set_up()
        await self.greet()
        other_answers = []
        for row in ROWS:
            reply = await self.asks(self.member, self.request(row, self.real))
            if (answer := self.note(row, ROLES[3], reply)) != row.member:
                other_answers.append((row, answer))
            text = json.dumps(reply)
            self.assertNotIn("halo semua", text)
            if OLD in row.request.values() or OLD_FILE in row.request.values():
                values = {**self.real, OLD: UNUSED, OLD_FILE: NO_CODE}
                other = json.dumps(await self.asks(self.member, self.request(row, values)))
                for each in (OLD, OLD_FILE):
                    text = text.replace(str(self.real[each]), str(values[each]))
                self.assertEqual(text, other, row)
        await self.done(self.member, command="joingroup", code=self.code)
        for row in ROWS:
            reply = await self.asks(self.admin, self.request(row, self.real))
            if (answer := self.note(row, ROLES[4], reply)) != row.admin:
                other_answers.append((row, answer))
        self.assertEqual(other_answers, [])

    async def test_dialects(self) -> None:
        """The other dialects answer as for a group that does not exist, too. They show a new member nothing
        from before they joined."""
        await self.set_up()
        for dialect, lines in LINES.items():
            for name, role in OUTSIDERS.items():
                wire, end = await self.speaker(dialect, name)
                for line in lines:
                    answer = await self.answer(wire, end, line)
                    none = await self.answer(wire, end, unnamed(line))
                    self.assertEqual(unnamed(answer), none, f"{dialect.name}, {name}: {line}")
                    self.assertNotIn("Rapat", answer)
                    self.note_line(dialect, line, role, answer)
            for name, role in zip(("dewi", "messi"), ROLES[3:], strict=True):
                wire, end = await self.speaker(dialect, name)
                for line in lines:
                    if not line.startswith(LEAVING):
                        answer = await self.answer(wire, end, line)
                        self.note_line(dialect, line, role, answer)
                        self.assertFalse(name == "dewi" and "halo semua" in answer, line)

    async def speaker(self, dialect: type[Dialect], name: str) -> tuple[Wire, bytes]:
        """A connection on which that person is logged in, and the end of each answer."""
        wire = self.wire(dialect)
        login = LOGINS.get(dialect, "auth {name} {password}")
        end = b"\r\n" if dialect in BY_LINE else b"\r\n\r\n"
        if dialect in GREETING:
            await wire.until(b"\r\n")
        answer = await self.answer(wire, end, login.format(name=name, password=PASSWORD))
        self.assertRegex(answer.lower(), "ok|success")
        if dialect is UrlencodedDialect:
            self.token = json.loads(answer)[SESSION]
        return wire, end

    async def answer(self, wire: Wire, end: bytes, line: str) -> str:
        wire.feed(f"{line.replace(TOKEN, self.token)}\r\n".encode())
        answer = await wire.until(end)
        if answer.startswith(b"success ready"):
            wire.feed(b"a")
            answer += await wire.until(end)
        return answer.decode()

    def note_line(self, dialect: type[Dialect], line: str, role: str, answer: str) -> None:
        if self.token:
            answer = answer.replace(self.token, TOKEN)
        shown = " ".join(answer.split()[:9])[:70]
        access_table.TABLE.note(dialect.name, line, role, f"`{shown}`")

    async def test_codes(self) -> None:
        """The code lets in everybody who was not kicked. No other command takes it as a name."""
        await self.set_up()
        other = self.code[:-1] + ("a" if self.code[-1] != "a" else "b")
        for name in OUTSIDERS:
            wire = await self.logged_in(name)
            for row in ROWS:
                request = self.request(row, self.real)
                named = GROUP in (request.get("group"), request.get("place"))
                if not named or request["command"] == "joingroup":
                    continue
                real, wrong = (
                    {key: code if value == GROUP else value for key, value in request.items()}
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

    async def test_lists(self) -> None:
        """A new member sees the code, and messages from after they joined."""
        await self.set_up()
        for wire, texts in (
            (self.member, ["halo dewi"]),
            (self.admin, ["halo semua", "halo dewi"]),
        ):
            page = await self.done(wire, command="history", group=GROUP)
            found = [each["text"] for each in page["messages"] if "text" in each]
            self.assertEqual(found, texts)
            self.assertEqual(page["earlier"], 0)
            for command in ("groups", "mygroups"):
                (group,) = (await self.done(wire, command=command))["groups"]
                self.assertEqual((group["visibility"], group["code"]), ("private", self.code))
                self.assertTrue(group["closed"])
