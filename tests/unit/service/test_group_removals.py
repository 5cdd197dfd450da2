"""Groups that operators delete, with members of this realm only."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from chatd.base.errors import UnknownGroup
from chatd.base.names import Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.service import group_removals as module
from chatd.store import ended_groups as ended_store
from chatd.store import group_removals as store
from chatd.store.bans import forget_bans
from chatd.store.retention import RetentionLimits, put_limits
from chatd.store.schema import (
    attachments,
    bans,
    changes,
    ended_groups,
    group_removals,
    groups,
    invited,
    messages,
    removed_messages,
    reports,
    retention,
    retention_marks,
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

    def add_rows(self, count: int) -> None:
        """Let the group have as many people who were invited, who are banned, and removed messages."""
        place = {"conversation_id": 1, "at": 1}
        named = [{**place, "key": f"dewi{n}@realm2"} for n in range(count)]

        def add(connection: sa.Connection) -> None:
            connection.execute(sa.insert(invited), named)
            connection.execute(sa.insert(bans), [{**each, "address": ""} for each in named])
            removed = [{**place, "seq": n} for n in range(1, count + 1)]
            connection.execute(sa.insert(removed_messages), removed)
            mark = {"conversation_id": 1, "seq": 3, "file_seq": 3, "removed": 3, "round": 0}
            connection.execute(sa.insert(retention_marks).values(mark))

        self.network.result(self.one.realm.database.run(add))

    def test_many_rows(self) -> None:
        """They are removed in several transactions. A kill between these changes nothing."""
        self.patch(module, "ROWS", 4)
        self.patch(ended_store, "BANS", 4)
        self.add_rows(10)
        self.budi.does(ask.ReportMessage(PLACE, 3, "rude"))
        finish, tables, removed = store.finish_removal, (invited, bans, removed_messages), []

        def counted(connection: sa.Connection) -> int:
            rows = (sa.select(sa.func.count()).select_from(table) for table in tables)
            return sum(connection.scalar(each) or 0 for each in rows)

        def noted(connection: sa.Connection, *about: Any) -> None:
            before = counted(connection)
            finish(connection, *about)
            removed.append(before - counted(connection))

        self.patch(store, "finish_removal", noted)
        delete_at(self.one)
        for _ in range(60):
            if not self.count(group_removals):
                break
            self.one.kill()
            self.one.open()
            self.network.advance(0.02)
        self.network.advance(1)
        left = (*tables, reports, retention_marks, group_removals, ended_groups)
        self.assertEqual([self.count(table) for table in left], [0] * len(left))
        self.assertEqual(max(removed), 4)
        self.assertGreater(len(removed), 5)

    def test_bans_of_a_group_that_ends(self) -> None:
        """Also if its last member leaves, they are removed a few at a time."""
        self.patch(ended_store, "BANS", 4)
        self.add_rows(10)
        left = []

        def noted(connection: sa.Connection, *about: Any) -> bool:
            more = forget_bans(connection, *about)
            query = sa.select(sa.func.count()).select_from(bans)
            left.append(connection.scalar(query))
            return more

        self.patch(ended_store, "forget_bans", noted)
        for person in (self.ana, self.budi):
            person.does(ask.LeaveGroup(parse_address("bagan")))
        self.assertEqual(self.count(ended_groups), 1)
        self.one.kill()
        self.one.open()
        self.network.advance(5)
        self.assertEqual((left, self.count(ended_groups)), ([6, 2, 0], 0))

    def test_turns(self) -> None:
        """A small group does not wait for a large one."""
        self.ana.creates("kecil")
        self.patch(module, "ERASED", 1)
        delete_at(self.one)
        delete_at(self.one, "kecil")
        self.network.advance(0.3)
        self.assertEqual(self.count(group_removals), 1)
        with self.assertRaises(UnknownGroup):
            self.ana.posts("kecil", "late")
        self.network.advance(30)
        self.assertEqual(self.count(group_removals), 0)

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
