"""What the older systems keep: read from their files, and created in the realm, also again."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from chatd.ctl import main as main_module
from chatd.ctl.exits import WrongUsage
from chatd.ctl.importing import Import
from chatd.ctl.old_systems import OldData, read_pychat, read_tugas4
from chatd.ctl.people import NewPerson, OldGroup
from chatd.ctl.secret_files import PasswordFile
from tests.unit.ctl.test_importing import FakeRealm
from tests.unit.ctl.test_main import CtlTestCase

PEOPLE = [NewPerson(1, "ana", "", "password-1"), NewPerson(2, "budi", "", "x")]
GROUPS = [OldGroup("bagan", ("ana", "budi")), OldGroup("our-team", ("budi",), "our team")]


class OldSystemsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chatd-test-", dir="/dev/shm"))
        self.addCleanup(shutil.rmtree, self.folder)


class Tugas4(OldSystemsTestCase):
    def database(self, *statements: str) -> Path:
        path = self.folder / "progjar.db"
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as made, made:
            for each in statements:
                made.execute(each)
        return path

    def test_by_names(self) -> None:
        self.database(
            "CREATE TABLE user (username TEXT, password TEXT)",
            "CREATE TABLE groupchat (groupname TEXT)",
            "CREATE TABLE user_group (username TEXT, groupname TEXT)",
            "INSERT INTO user VALUES ('ana', 'password-1'), ('budi', 'x')",
            "INSERT INTO groupchat VALUES ('bagan'), ('our team')",
            "INSERT INTO user_group VALUES ('ana','bagan'), ('budi','our team'), ('budi','bagan')",
        )
        self.assertEqual(read_tugas4(self.folder), OldData(PEOPLE, GROUPS))

    def test_by_ids(self) -> None:
        path = self.database(
            "CREATE TABLE user (id INTEGER PRIMARY KEY, Name TEXT, Pass TEXT)",
            "CREATE TABLE groupchat (id INTEGER PRIMARY KEY, name TEXT)",
            "CREATE TABLE user_group (id INTEGER PRIMARY KEY, user_id INT, group_id INT)",
            "INSERT INTO user VALUES (7, 'ana', 'password-1'), (9, 'budi', 'x')",
            "INSERT INTO groupchat VALUES (3, 'bagan'), (4, 'our team')",
            "INSERT INTO user_group VALUES (1, 7, 3), (2, 9, 4), (3, 9, 3), (4, 7, 3)",
        )
        self.assertEqual(read_tugas4(path), OldData(PEOPLE, GROUPS))

    def test_accounts_only(self) -> None:
        self.database(
            "CREATE TABLE user (username TEXT)", "INSERT INTO user VALUES ('ana'), (NULL)"
        )
        self.assertEqual(read_tugas4(self.folder), OldData([NewPerson(1, "ana")], []))

    def test_other_files(self) -> None:
        """The database is not written to, and nothing is made where there is none."""
        self.assertRaises(WrongUsage, read_tugas4, self.folder)
        path = self.folder / "progjar.db"
        path.write_text("something else, which is no database at all")
        self.assertRaises(WrongUsage, read_tugas4, path)
        self.database("CREATE TABLE other (x)")
        self.assertRaises(WrongUsage, read_tugas4, self.folder)
        self.assertEqual([each.name for each in self.folder.iterdir()], ["progjar.db"])


class PyChat(OldSystemsTestCase):
    def export(self, name: str, *documents: Mapping[str, Any], array: bool = False) -> None:
        lines = [json.dumps(each) for each in documents]
        text = f"[{','.join(lines)}]" if array else "\n".join(lines) + "\n"
        (self.folder / name).write_text(text)

    def users(self, **more: Any) -> None:
        self.export(
            "users.json",
            {"_id": {"$oid": "a1"}, "username": "ana", "password": "password-1"},
            {"_id": {"$oid": "b2"}, "username": "budi", "password": "x", **more},
        )

    def test_members_in_groups(self) -> None:
        """By name, by id, or as objects; one document a line, or an array."""
        self.users()
        for first in (
            ["ana", "budi"],
            [{"$oid": "a1"}, {"$oid": "b2"}],
            [{"username": "ana"}, "budi"],
        ):
            groups = (
                {"code": "k1", "group_name": "bagan", "members": first},
                {"code": "k2", "group_name": "our team", "members": ["budi"]},
            )
            for array in (False, True):
                self.export("group.json", *groups, array=array)
                self.assertEqual(read_pychat(self.folder), OldData(PEOPLE, GROUPS))

    def test_groups_in_users(self) -> None:
        self.users(groups=["k2"])
        self.export("groups.json", {"code": "k2", "group_name": "our team"})
        self.assertEqual(read_pychat(self.folder), OldData(PEOPLE, GROUPS[1:]))

    def test_other_files(self) -> None:
        self.assertRaises(WrongUsage, read_pychat, self.folder)
        for text in ("{", "[[[", "\udcff", "[" * 100_000):
            (self.folder / "user.json").write_text(text, errors="surrogateescape")
            self.assertRaises(WrongUsage, read_pychat, self.folder)
        (self.folder / "user.json").write_text('[1, {"username": 5, "password": {}}, {"x": 1}]')
        self.assertEqual(read_pychat(self.folder).people, [NewPerson(1, "5")])


class GroupRealm(FakeRealm):
    """A realm that also has groups."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: dict[str, list[str]] = {}

    def ask(self, verb: str, given: Mapping[str, Any]) -> dict[str, Any]:
        if not verb.startswith("admin.group."):
            return super().ask(verb, given)
        group, user = str(given["group"]), str(given["user"])
        code = None
        if user not in self.accounts:
            code = "unknown-user"
        elif verb == "admin.group.add":
            code = "group-exists" if group in self.groups else None
            self.groups.setdefault(group, [user])
        elif user in self.groups[group]:
            code = "already-member"
        else:
            self.groups[group].append(user)
        return (
            {"status": "OK"} if code is None else {"status": "ERROR", "code": code, "message": code}
        )


class Creating(OldSystemsTestCase):
    def run_import(self, realm: GroupRealm, data: OldData) -> dict[str, Any]:
        work = Import(realm.ask, PasswordFile(self.folder / "passwords.csv"))
        work.add_people(data.people, replace_weak=True)
        work.add_groups(data.groups)
        return work.report()

    def test_again(self) -> None:
        """What is there already is left as it is. The first member with an account is the admin."""
        realm = GroupRealm()
        groups = [OldGroup("bagan", ("budi", "ana")), OldGroup("empty", ())]
        data = OldData(PEOPLE[:1], groups)
        first = self.run_import(realm, data)
        self.assertEqual(first["message"], "1 created, 0 known, 1 groups, 0 members, 2 refused")
        self.assertEqual(realm.groups, {"bagan": ["ana"]})
        self.assertEqual(
            [each["reason"] for each in first["refusals"]],
            ["unknown-user", "None of its members has an account"],
        )
        realm.accounts["budi"] = {}
        self.assertEqual(
            self.run_import(realm, data)["message"],
            "0 created, 1 known, 0 groups, 1 members, 1 refused",
        )
        self.assertEqual(realm.groups, {"bagan": ["ana", "budi"]})

    def test_weak_passwords(self) -> None:
        """They are replaced, and the new ones are saved."""
        realm = GroupRealm()
        found = self.run_import(realm, OldData(PEOPLE, []))
        self.assertEqual((found["created"], found["refused"]), (2, 0))
        saved = (self.folder / "passwords.csv").read_text()
        self.assertEqual(saved, f"name,password\nbudi,{realm.accounts['budi']['password']}\n")


class CommandLine(CtlTestCase):
    def test_systems(self) -> None:
        """Those that keep nothing say so."""
        realm = GroupRealm()
        link = mock.MagicMock()
        link.return_value.__enter__.return_value.ask = realm.ask
        with mock.patch.object(main_module, "ControlLink", link):
            for system in ("kelompok3", "bagan", "urlencoded"):
                code, _, errors = self.run_main("import", system, str(self.folder))
                self.assertEqual(code, 2)
                self.assertIn("in memory only", errors)
            code, _, errors = self.run_main("import", "irc", str(self.folder))
            self.assertEqual(code, 2)
            self.assertIn("expected kelompok3, bagan, urlencoded, tugas4, pychat", errors)
            (self.folder / "user.json").write_text('{"username": "ana", "password": "password-1"}')
            code, out, _ = self.run_main("import", "pychat", str(self.folder))
            self.assertEqual(code, 0)
            self.assertIn("created: 1", out)
