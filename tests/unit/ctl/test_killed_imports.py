"""Imports whose realm is killed anywhere: the import that is started again finishes, and nothing is half done
or there twice."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import ChatError
from chatd.base.names import Address
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR
from chatd.base.secret_codes import plain_code
from chatd.base.tokens import hash_token
from chatd.commands.connection import Connection, Origin
from chatd.commands.handlers import HANDLERS
from chatd.commands.sessions import Sessions
from chatd.commands.table import BY_VERB
from chatd.ctl.importing import Import
from chatd.ctl.offline import NobodyListens
from chatd.ctl.people import NewPerson, OldGroup
from chatd.ctl.secret_files import InvitationFile, PasswordFile
from chatd.lines.dialect import Request
from chatd.lines.dialects.control import ControlDialect
from chatd.store.accounts import password_of
from chatd.store.jobs import Job
from chatd.store.realm_invitations import is_usable
from chatd.store.schema import changes, realm_invitations
from tests.support.common import same_bytes
from tests.support.inline import open_inline, result_of

ACTOR = Principal("local:root", OPERATOR, is_local=True)
PEOPLE = [NewPerson(1, "ana", "Ana", "password-1"), NewPerson(2, "budi")]
GROUPS = [OldGroup("bagan", ("budi", "ana"))]


class Killed(Exception):
    """The realm is gone."""


class KilledRealm:
    """A realm on the files of a folder, with the control socket's commands. It is killed at its `last` job
    (from 0); with `stored`, that is still on the disk, but nobody hears of it."""

    def __init__(
        self, folder: Path, random_bytes: Any, last: int | None = None, stored: bool = False
    ) -> None:
        clock = Clock()
        clock.advance(1_000_000.0)
        self.service, self.database = open_inline(folder / "state", clock, random_bytes)
        self.jobs = 0
        self.connection = Connection(
            Sessions(self.service, HANDLERS), NobodyListens(), Origin("local", 0)
        )
        self.connection.actor = ACTOR
        submit = self.database._submit

        def counted(job: Job) -> Deferred[Any]:
            number, self.jobs = self.jobs, self.jobs + 1
            if last is None or number < last:
                return submit(job)
            if stored and number == last:
                submit(Job(Deferred().addErrback(lambda _: None), job.run, job.args, job.batch))
            raise Killed

        self.database._submit = counted  # type: ignore[method-assign]

    def ask(self, verb: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """As ControlLink.ask. Raises Killed."""
        row, dialect = BY_VERB[verb], ControlDialect()
        command = row.from_names(given)
        try:
            found = self.connection.own.execute(command)
            reply: Any = result_of(found) if isinstance(found, Deferred) else found
            line = dialect.reply(Request(row, command, 1), reply)
        except ChatError as error:
            line = dialect.error(error, 1)
        answer: dict[str, Any] = json.loads(line)
        return answer


class KilledImportTestCase(SynchronousTestCase):
    invite = False

    def setUp(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="chatd-test-", dir="/dev/shm"))
        self.addCleanup(shutil.rmtree, self.home)
        self.folder = self.home
        self.random_bytes = same_bytes()

    def import_all(self, realm: KilledRealm) -> dict[str, Any]:
        invitations = InvitationFile(self.folder / "i.csv") if self.invite else None
        work = Import(realm.ask, PasswordFile(self.folder / "p.csv"), invitations)
        work.add_people(PEOPLE)
        if not self.invite:
            work.add_groups(GROUPS)
        return work.report()

    def saved(self, name: str) -> list[list[str]]:
        path = self.folder / name
        return list(csv.reader(path.read_text().splitlines()))[1:] if path.exists() else []

    def killed_anywhere(self) -> None:
        """Check the state after each kill and another import."""
        self.folder = self.home / "whole"
        whole = KilledRealm(self.folder, self.random_bytes)
        self.import_all(whole)
        expected = self.state_of(whole)
        for last in range(whole.jobs):
            for stored in (False, True):
                self.folder = self.home / f"{last}-{stored}"
                killed = KilledRealm(self.folder, self.random_bytes, last, stored)
                self.assertRaises(Killed, self.import_all, killed)
                killed.database.stop()
                realm = KilledRealm(self.folder, self.random_bytes)
                report = self.import_all(realm)
                self.assertEqual(report["refused"], 0, report)
                self.assertEqual(self.state_of(realm), expected, (last, stored))
                realm.database.stop()

    def state_of(self, realm: KilledRealm) -> Any:
        """What has to be the same after any kill."""
        raise NotImplementedError

    def read(self, realm: KilledRealm, query: sa.Select[Any]) -> list[Any]:
        found: list[Any] = result_of(
            realm.database.read(lambda connection: connection.execute(query).all())
        )
        return found


class Accounts(KilledImportTestCase):
    def state_of(self, realm: KilledRealm) -> Any:
        service = realm.service
        found = [result_of(service.accounts.find(person.name)) for person in PEOPLE]
        passwords = {
            each.name: result_of(realm.database.read(password_of, each.id)) for each in found
        }
        self.assertEqual(passwords.pop("ana"), "password-1")
        self.assertEqual(
            [[name, password] for name, password in passwords.items()], self.saved("p.csv")
        )
        _, members = result_of(service.groups.members(found[0], Address("bagan")))
        log = self.read(realm, sa.select(changes.c.kind).order_by(changes.c.seq))
        return (
            [(each.name, each.display_name, each.role) for each in found],
            [(each.username, each.admin) for each in members],
            [row.kind for row in log],
        )

    def test_killed(self) -> None:
        """Each account has the password of the file, and has joined once."""
        self.killed_anywhere()


class Invitations(KilledImportTestCase):
    invite = True

    def state_of(self, realm: KilledRealm) -> Any:
        """One that was stored and not heard of stays, and nobody has its code."""
        codes = [code for _, code, _ in self.saved("i.csv")]
        for code in codes:
            code_hash, now = hash_token(plain_code(code)), realm.service.context.now()
            self.assertTrue(result_of(realm.database.read(is_usable, code_hash, now)))
        count = len(self.read(realm, sa.select(realm_invitations.c.id)))
        self.assertIn(count, (1, 2))
        return [name for name, *_ in self.saved("i.csv")], len(set(codes))

    def test_killed(self) -> None:
        """Each person has one invitation in the file, and it works."""
        self.killed_anywhere()
