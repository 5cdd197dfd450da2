"""Groups that operators delete, with members of this realm only."""

from __future__ import annotations

import sqlalchemy as sa

from chatd.base.errors import UnknownGroup
from chatd.base.names import Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.service import group_removals as module
from chatd.store.retention import RetentionLimits, put_limits
from chatd.store.schema import (
    attachments,
    changes,
    group_removals,
    groups,
    messages,
    reports,
    retention,
    rosters,
)
from tests.support.managing import delete_at
from tests.support.network import NetworkTestCase

PLACE = Place(None, parse_group("bagan"))


class LocalTestCase(NetworkTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.one = self.network.server("realm1")
        self.ana, self.budi = self.one.person("ana"), self.one.person("budi")
        self.ana.creates("bagan")
        self.budi.joins("bagan")
        for n in range(30):
            self.ana.posts("bagan", f"kucing {n}")
        self.ana.sends_file("#bagan", "a.txt", b"kucing" * 100)
        self.ana.sends("budi", "kucing in a direct")
        self.network.settle()

    def count(self, table: sa.Table) -> int:
        query = sa.select(sa.func.count()).select_from(table)
        return int(self.one.realm.database.now(lambda db: db.scalar(query)))

    def test_nothing_is_left(self) -> None:
        """Neither reports nor limits nor what is searched; other conversations stay."""
        self.ana.does(ask.SetGroup(parse_address("bagan"), title="Cats", topic="Only cats"))
        self.budi.does(ask.ReportMessage(PLACE, 3, "rude"))
        self.network.result(self.one.realm.database.run(put_limits, 1, RetentionLimits(5)))
        delete_at(self.one)
        self.network.advance(30)
        for table in (attachments, reports, retention, group_removals):
            self.assertEqual(self.count(table), 0, table.name)
        read = self.one.realm.database.now
        texts = sa.select(messages.c.text).where(messages.c.text.is_not(None))
        self.assertEqual(read(lambda db: db.scalars(texts).all()), ["kucing in a direct"])
        about = sa.select(groups.c.key, groups.c.title, groups.c.topic, rosters.c.members)
        joined = about.join(rosters, rosters.c.conversation_id == groups.c.conversation_id)
        self.assertEqual(read(lambda db: db.execute(joined).all()), [(None, None, None, 0)])
        self.assertEqual(list(self.one.realm.state.uploads.glob("*a.txt*")), [])
        found = self.ana.does(ask.SearchMessages("kucing")).items
        self.assertEqual([each.text for each in found], ["kucing in a direct"])
        deleted = sa.select(changes.c.seq).where(changes.c.kind == "deleted")
        self.assertEqual(read(lambda db: db.scalars(deleted).all()), [])
        with self.assertRaises(UnknownGroup):
            self.ana.posts("bagan", "late")

    def test_killed_at_each_step(self) -> None:
        for name in ("MEMBERS", "ERASED"):
            self.patch(module, name, 1)
        delete_at(self.one)
        kills = 0
        while self.count(group_removals) and kills < 60:
            kills += 1
            self.one.kill()
            self.one.open()
            self.network.advance(0.02)
        self.assertGreater(kills, 5)
        self.assertEqual((self.count(group_removals), self.count(attachments)), (0, 0))
        left = sa.select(sa.func.count()).where(messages.c.text.like("kucing _%"))
        self.assertEqual(self.one.realm.database.now(lambda db: db.scalar(left)), 1)

    def test_stopped_in_between(self) -> None:
        """A realm that stops finishes the step that is under way, and no more."""
        self.patch(module, "ERASED", 1)
        delete_at(self.one)
        self.network.advance(0.05)
        self.one.restart()
        self.assertEqual(self.count(group_removals), 1)
        self.network.advance(30)
        self.assertEqual(self.count(group_removals), 0)
