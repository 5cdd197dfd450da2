"""Tests of what is checked of read marks in groups and of message requests: broken promises are noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from chatd.commands import values as ask
from chatd.simulate.promises import Promises
from chatd.simulate.read_promises import check_group_marks
from chatd.simulate.records import Violation
from chatd.simulate.strangers import Strangers
from chatd.simulate.world import World
from chatd.store.outcomes import KEPT_REQUEST
from chatd.store.schema import messages, remote_marks


class PromisesTestCase(SynchronousTestCase):
    strange = False

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.world = World(8, folder, 2, strange=self.strange)
        self.addCleanup(self.world.network.close)
        self.promises = Promises(self.world)

    def spoil(self, realm: str, statement: Any) -> None:
        """Change the database of a realm behind its back."""
        database = self.world.network.servers[realm].realm.database
        self.world.network.result(database.run(lambda db: db.execute(statement) and None))

    def broken(self, check: Any) -> str:
        """The promise that is broken."""
        return str(self.assertRaises(Violation, check)).partition(":")[0]


class GroupMarksTestCase(PromisesTestCase):
    def test_mark_that_was_not_told(self) -> None:
        world = self.world
        reader = world.groups["bagan"].creator
        [home] = [server for server in world.servers if server.name == world.realm_of[reader]]
        for text in ("satu", "dua"):
            world.people[reader].posts("bagan", text)
        world.network.settle()
        row = world.rows(reader, "#bagan")[-1]
        world.people[reader].does(ask.MarkRead(row.conversation_id, row.seq))
        self.promises.settle()
        check_group_marks(world, "bagan")
        for server in world.servers:
            if server is not home:
                self.spoil(server.name, sa.update(remote_marks).values(seq=1))
        promise = self.broken(lambda: check_group_marks(world, "bagan"))
        self.assertEqual(promise, "all members see who has read")


class RequestsTestCase(PromisesTestCase):
    strange = True

    def setUp(self) -> None:
        super().setUp()
        strangers = Strangers(self.world)
        self.stranger, self.asked = strangers._pairs[0]
        strangers._write(self.stranger, self.asked)
        self.world.network.advance(1)

    def accept(self) -> None:
        place = self.world.place(self.asked, self.stranger)
        request = self.world.asks(self.asked, ask.AcceptInvitation(place))
        self.world.accepted.append((self.stranger, self.asked, request))
        self.world.network.advance(1)

    def test_kept(self) -> None:
        self.accept()
        self.promises.settle()
        self.promises.check()

    def test_acceptance_that_was_not_told(self) -> None:
        self.accept()
        self.promises.settle()
        self.spoil("realm1", sa.update(messages).values(refused=KEPT_REQUEST))
        promise = self.broken(self.promises.check)
        self.assertEqual(promise, "what is accepted is no request any more")

    def test_message_that_is_lost(self) -> None:
        self.accept()
        self.promises.settle()
        self.spoil("realm2", sa.update(messages).values(text="lain"))
        self.assertEqual(self.broken(self.promises.check), "what is delivered has arrived")

    def test_acceptance_that_nobody_asked_for(self) -> None:
        self.promises.settle()
        self.spoil("realm1", sa.update(messages).values(refused=None))
        self.assertEqual(self.broken(self.promises.check), "a stranger has one request")
