"""Accounts from CSV files: what is read, what the realm is asked, and that an import can be repeated."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from chatd.ctl import main as main_module
from chatd.ctl.exits import NotReached, RefusedByRealm, WrongUsage
from chatd.ctl.importing import Import
from chatd.ctl.people import NewPerson, read_bytes, read_people
from chatd.ctl.secret_files import InvitationFile, PasswordFile
from tests.unit.ctl.test_main import CtlTestCase


class FakeRealm:
    """A realm with accounts: answers as the json dialect does. After `left` commands it is gone."""

    def __init__(self) -> None:
        self.accounts: dict[str, Mapping[str, Any]] = {}
        self.invitations: list[Mapping[str, Any]] = []
        self.left = 1000

    def ask(self, verb: str, given: Mapping[str, Any]) -> dict[str, Any]:
        self.left -= 1
        if self.left < 0:
            raise NotReached("the realm is gone")
        if verb == "admin.invite.new":
            if given["note"] == "x":
                return {"status": "ERROR", "code": "busy", "message": "Busy"}
            self.invitations.append(given)
            return {"status": "OK", "code": f"code-{len(self.invitations)}", "link": "l"}
        name = str(given["user"])
        if verb == "admin.user.show":
            if name in self.accounts:
                return {"status": "OK"}
            code = "bad-name" if " " in name else "unknown-user"
            return {"status": "ERROR", "code": code, "message": f"No {name}"}
        if len(given["password"]) < 8:
            return {"status": "ERROR", "code": "weak-password", "message": "Too short"}
        self.accounts[name] = given
        return {"status": "OK"}


class ImportingTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chatd-test-", dir="/dev/shm"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = self.folder / "people.csv"
        self.passwords = self.folder / "passwords.csv"
        self.realm = FakeRealm()

    def read(self, data: bytes) -> list[NewPerson]:
        self.path.write_bytes(data)
        return read_people(self.path)

    def run_import(self, people: list[NewPerson]) -> dict[str, Any]:
        work = Import(self.realm.ask, PasswordFile(self.passwords))
        work.add_people(people)
        return work.report()


class Reading(ImportingTestCase):
    def test_forms(self) -> None:
        """With or without a byte order mark, with commas or semicolons, in any order of columns."""
        found = [NewPerson(2, "budi", "Budi, B", " geheim 99 "), NewPerson(4, "lina", "", "")]
        for data in (
            'name,display_name,password\nbudi,"Budi, B", geheim 99 \n\n lina ,,\n',
            'NAME,Display name,password\r\nbudi,"Budi, B", geheim 99 \r\n\r\nlina,,\r\n',
            "password;name;display_name\n geheim 99 ;budi;Budi, B\n;;\n;lina;",
        ):
            for mark in (b"", b"\xef\xbb\xbf"):
                self.assertEqual(self.read(mark + data.encode()), found)

    def test_lines_within_values(self) -> None:
        """The line is that at which the row ends."""
        found = self.read(b'name,display_name\n"a\nb",c\nd,e\n')
        self.assertEqual([(each.line, each.name) for each in found], [(3, "a\nb"), (4, "d")])

    def test_refused(self) -> None:
        for data, reason in (
            (b"", "is empty"),
            (b"user,password\n", "the head has user, password"),
            (b"name,name\n", "each once"),
            (b"name,passwort\n", "passwort"),
            (b"name,country\nbudi\n", "line 2: 1 values, expected 2"),
            (b'name\n"budi', "line 2"),
            (b"name\n\xff\n", "not in UTF-8"),
        ):
            with self.assertRaises(WrongUsage) as caught:
                self.read(data)
            self.assertIn(reason, str(caught.exception))
        with self.assertRaises(WrongUsage):
            read_people(self.folder / "missing.csv")

    def test_large_files(self) -> None:
        self.path.write_bytes(b"name\nbudi\n")
        self.assertRaises(WrongUsage, read_bytes, self.path, 9)
        self.assertEqual(read_bytes(self.path, 10), b"name\nbudi\n")


class Creating(ImportingTestCase):
    def test_report(self) -> None:
        people = [
            NewPerson(2, "budi", "Budi B", "password-1", "Indonesia"),
            NewPerson(3, "lina", "", "short"),
            NewPerson(4, "a b", "", "password-2"),
            NewPerson(5, "budi", "", "password-3"),
        ]
        found = self.run_import(people)
        self.assertEqual(found["message"], "1 created, 1 known, 2 refused")
        self.assertEqual((found["created"], found["known"], found["refused"]), (1, 1, 2))
        self.assertEqual(
            found["refusals"],
            [
                {"line": 3, "name": "lina", "reason": "Too short"},
                {"line": 4, "name": "a b", "reason": "No a b"},
            ],
        )
        self.assertEqual(
            self.realm.accounts["budi"],
            {"user": "budi", "password": "password-1", "name": "Budi B", "country": "Indonesia"},
        )
        self.assertFalse(self.passwords.exists())

    def test_again(self) -> None:
        people = [NewPerson(2, "budi", "", "password-1"), NewPerson(3, "lina", "", "password-2")]
        self.run_import(people)
        self.assertEqual(self.run_import(people)["message"], "0 created, 2 known, 0 refused")

    def test_full_disk(self) -> None:
        """The import ends, and says how far it has come."""
        replies = [
            {"status": "ERROR", "code": "unknown-user"},
            {"status": "OK"},
            {"status": "ERROR", "code": "unknown-user"},
            {"status": "ERROR", "code": "storage-failed", "message": "Nothing was stored"},
        ]
        work = Import(lambda _verb, _given: replies.pop(0), PasswordFile(self.passwords))
        with self.assertRaises(RefusedByRealm) as caught:
            work.add_people([NewPerson(each, "x", "", "password") for each in (2, 3, 4)])
        self.assertIn("so far 1 created, 0 known", str(caught.exception))


class Passwords(ImportingTestCase):
    people = [NewPerson(2, "budi"), NewPerson(3, "lina"), NewPerson(4, "messi")]

    def lines(self) -> list[str]:
        return self.passwords.read_text().splitlines()

    def test_saved(self) -> None:
        found = self.run_import(self.people[:1])
        password = self.realm.accounts["budi"]["password"]
        self.assertEqual(self.lines(), ["name,password", f"budi,{password}"])
        self.assertGreaterEqual(len(password), 16)
        self.assertEqual(self.passwords.stat().st_mode & 0o777, 0o600)
        self.assertEqual(found["passwords"], str(self.passwords))

    def test_killed_anywhere(self) -> None:
        """Started again, it finishes: each account has the password that is in the file."""
        for left in range(7):
            with self.subTest(left):
                self.passwords.unlink(missing_ok=True)
                self.realm = FakeRealm()
                self.realm.left = left
                if left < 6:
                    self.assertRaises(NotReached, self.run_import, self.people)
                self.realm.left = 1000
                self.run_import(self.people)
                expected = [f"{n},{a['password']}" for n, a in self.realm.accounts.items()]
                self.assertEqual(self.lines(), ["name,password", *expected])
                self.assertEqual(len(expected), 3)

    def test_killed_while_it_writes(self) -> None:
        """A line that is cut off counts for nothing."""
        self.passwords.write_text("name,password\nlina,abc")
        self.run_import(self.people[1:2])
        password = self.realm.accounts["lina"]["password"]
        self.assertEqual(self.lines(), ["name,password", "lina,abc", f"lina,{password}"])

    def test_name_of_the_head(self) -> None:
        """An account with the name of the first column does not get the word below it as its password."""
        self.run_import(self.people[:1])
        self.run_import([NewPerson(2, "name")])
        self.assertNotEqual(self.realm.accounts["name"]["password"], "password")

    def test_known_accounts_get_none(self) -> None:
        self.realm.accounts["budi"] = {}
        self.assertNotIn("passwords", self.run_import(self.people[:1]))
        self.assertFalse(self.passwords.exists())

    def test_of_others(self) -> None:
        """A file that others may read is made private, and a link is not followed."""
        self.passwords.touch(mode=0o644)
        self.run_import(self.people[:1])
        self.assertEqual(self.passwords.stat().st_mode & 0o777, 0o600)
        self.passwords.unlink()
        self.passwords.symlink_to(self.folder / "elsewhere")
        self.assertRaises(WrongUsage, self.run_import, self.people[1:2])
        self.assertFalse((self.folder / "elsewhere").exists())

    def test_of_somebody_else(self) -> None:
        """Who puts a file there neither chooses passwords nor reads them."""
        chosen = "name,password\nbudi,chosen-by-them\n"
        self.passwords.write_text(chosen)
        with mock.patch.object(os, "geteuid", return_value=os.geteuid() + 1):
            self.assertRaises(WrongUsage, self.run_import, self.people[:1])
        self.assertEqual((self.realm.accounts, self.passwords.read_text()), ({}, chosen))


class Inviting(ImportingTestCase):
    def invite(self, *people: NewPerson) -> dict[str, Any]:
        passwords, invitations = PasswordFile(self.passwords), InvitationFile(self.folder / "i.csv")
        work = Import(self.realm.ask, passwords, invitations)
        work.add_people(people)
        return work.report()

    def test_without_password(self) -> None:
        """An import that is started again gives nobody another invitation."""
        self.realm.accounts["lina"] = {}
        people = NewPerson(2, "budi"), NewPerson(3, "ana", "", "password-1"), NewPerson(4, "lina")
        self.assertEqual(
            self.invite(*people)["message"], "1 created, 1 known, 1 invited, 0 refused"
        )
        found = self.invite(*people, NewPerson(5, "messi"))
        self.assertEqual((found["invited"], found["invitations"]), (2, str(self.folder / "i.csv")))
        self.assertEqual(
            self.realm.invitations, [{"uses": 1, "note": "budi"}, {"uses": 1, "note": "messi"}]
        )
        saved = (self.folder / "i.csv").read_text()
        self.assertEqual(saved, "name,code,link\nbudi,code-1,l\nmessi,code-2,l\n")
        self.assertFalse(self.passwords.exists())

    def test_refused(self) -> None:
        found = self.invite(NewPerson(2, "x"), NewPerson(3, "budi"))
        self.assertEqual((found["invited"], found["refused"]), (1, 1))
        self.assertEqual(found["refusals"], [{"line": 2, "name": "x", "reason": "Busy"}])


class CommandLine(CtlTestCase):
    def test_exit_codes(self) -> None:
        """0 if nothing was refused, else 1; with a table of what was refused, or a JSON object."""
        people = self.folder / "p.csv"
        people.write_text("name,password\nbudi,password-1\nlina,short\n")
        realm = FakeRealm()
        link = mock.MagicMock()
        link.return_value.__enter__.return_value.ask = realm.ask
        with mock.patch.object(main_module, "ControlLink", link):
            code, out, _ = self.run_main("user", "import", str(people))
            self.assertEqual(code, 1)
            self.assertIn("   3  lina  Too short\n", out)
            self.assertIn("created: 1\n", out)
            people.write_text("name,password\nbudi,password-1\n")
            code, out, _ = self.run_main("user", "import", str(people), "--json")
            self.assertEqual((code, json.loads(out)["known"]), (0, 1))

    def test_not_running(self) -> None:
        code, _, errors = self.run_main("user", "import", "x.csv")
        self.assertEqual(code, 3)
        self.assertIn("start it first", errors)
