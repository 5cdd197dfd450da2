"""Each migration keeps the data, and a migration that fails changes nothing."""

from __future__ import annotations

from unittest import mock

import sqlalchemy as sa
from sqlalchemy import text

from chatd.base import names
from chatd.store.macs import GUARDED, is_intact, keyed_hash
from chatd.store.migrate import (
    SCRIPTS,
    prepare,
    upgrade,
)
from chatd.store.names import load_older_keys, renew_skeletons, taken
from tests.unit.store.upgrading import ROWS_0001, UpgradeTestCase, dump


class To0002(UpgradeTestCase):
    """The upgrade to links with other realms."""

    def test_every_table_has_rows(self) -> None:
        """The other tests use a complete database of the first version."""
        tables = {name for kind, name in dump(self.old) if kind == "table"}
        self.assertEqual(tables, set(ROWS_0001))

    def test_rows(self) -> None:
        """Rows keep their values, and the new columns are NULL, which means this realm."""
        prepare(self.old, newest="0002")
        added = {
            "groups": ("realm", "home_id"),
            "participants": ("realm",),
            "attachments": ("sender_key", "realm"),
            "messages": ("origin_realm", "origin_id"),
        }
        found = self.rows(self.old)
        for table, rows in ROWS_0001.items():
            new = dict.fromkeys(added.get(table, ()))
            expected = [row | new for row in rows]
            self.assertEqual(
                sorted(found[table], key=repr), sorted(expected, key=repr), f"in {table}"
            )

    def test_foreign_keys(self) -> None:
        """Foreign keys hold for the existing rows and are enforced afterwards."""
        prepare(self.old, newest="0002")
        with self.old.connect() as connection:
            self.assertEqual(connection.execute(text("PRAGMA foreign_key_check")).all(), [])
            self.assertEqual(connection.scalar(text("PRAGMA foreign_keys")), 1)
            self.assertEqual(connection.scalar(text("PRAGMA integrity_check")), "ok")
        self.refused("UPDATE messages SET attachment_id = 77 WHERE id = 1")
        self.refused("UPDATE attachments SET owner_id = 77 WHERE id = 1")
        self.refused("UPDATE participants SET account_id = 77 WHERE conversation_id = 1")
        self.refused("DELETE FROM conversations WHERE id = 2")
        self.refused("DELETE FROM attachments WHERE id = 8")

    def test_equals_fresh(self) -> None:
        """The schema of a database with rows equals a new one, and no temporary table is left."""
        fresh = self.engine("fresh.db")
        prepare(fresh)
        prepare(self.old)
        self.assertEqual(dump(self.old), dump(fresh))

    def test_backup(self) -> None:
        """The backup is the database of the first version."""
        tables, rows = dump(self.old), self.rows(self.old)
        prepare(self.old, newest="0002")
        (backup,) = self.backups()
        kept = self.engine(backup.name)
        self.assertEqual(self.version(kept), "0001")
        self.assertEqual(dump(kept), tables)
        self.assertEqual(self.rows(kept), rows)

    def test_failing_anywhere_changes_nothing(self) -> None:
        before = len(self.rows(self.old)["messages"])
        self.assertGreater(self.failures("0001", "0002"), 25)
        self.assertEqual(len(self.rows(self.old)["messages"]), before)


class To0003(UpgradeTestCase):
    """The upgrade to idempotent sends, with messages from this realm and another."""

    def setUp(self) -> None:
        super().setUp()
        with mock.patch("chatd.store.migrate.back_up"):
            upgrade(self.old, "0001", SCRIPTS, "0002")
        with self.old.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO messages (id, conversation_id, seq, sender, at, text, "
                    "origin_realm, origin_id) VALUES (12, 1, 4, 'budi@realm2', 7, 'halo', 'realm2', 3)"
                )
            )
        self.before = self.rows(self.old)

    def test_rows(self) -> None:
        """Rows keep their values, and older messages have no send keys."""
        prepare(self.old, newest="0003")
        found = self.rows(self.old)
        expected = {**self.before}
        expected["messages"] = [row | {"parcel": None} for row in self.before["messages"]]
        self.assertEqual(found, expected)
        self.assertEqual(len(found["messages"]), len(ROWS_0001["messages"]) + 1)

    def test_equals_fresh(self) -> None:
        fresh = self.engine("fresh.db")
        prepare(fresh)
        prepare(self.old)
        self.assertEqual(dump(self.old), dump(fresh))

    def test_watched(self) -> None:
        """Constraints of messages are still enforced."""
        prepare(self.old)
        self.refused("UPDATE messages SET attachment_id = 77 WHERE id = 1")
        self.refused("UPDATE messages SET seq = 3 WHERE id = 2")
        self.refused(
            "UPDATE messages SET origin_realm = 'realm2', origin_id = 3 WHERE id = 1",
        )

    def test_failing_anywhere_changes_nothing(self) -> None:
        self.assertGreater(self.failures("0002", "0003"), 10)


class To0006(UpgradeTestCase):
    """The upgrade to counted members, with groups here and in another realm."""

    def test_counted(self) -> None:
        with mock.patch("chatd.store.migrate.back_up"):
            upgrade(self.old, "0001", SCRIPTS, "0005")
        with self.old.begin() as connection:
            for statement in (
                (
                    "INSERT INTO remote_members (conversation_id, key, address, realm, joined_at) "
                    "VALUES (2, 'budi@realm2', 'budi@realm2', 'realm2', 1800000000000)"
                ),
                "UPDATE groups SET realm = 'realm2', home_id = 9 WHERE conversation_id = 4",
                (
                    "INSERT INTO participants (account_id, conversation_id, read_seq, joined_at) "
                    "VALUES (5, 4, 70, 80)"
                ),
            ):
                connection.execute(text(statement))
        prepare(self.old)
        with self.old.connect() as connection:
            found = connection.execute(text("SELECT * FROM rosters ORDER BY conversation_id")).all()
            self.assertEqual(connection.execute(text("PRAGMA foreign_key_check")).all(), [])
        # Two here and one elsewhere, who joined last; one who is to get nothing up to 70.
        self.assertEqual(list(map(tuple, found)), [(2, 3, 1800000000000, 0), (4, 1, 80, 70)])


class To0007(UpgradeTestCase):
    """The upgrade to names that are compared by NFKC and shared by accounts and groups."""

    def setUp(self) -> None:
        super().setUp()
        with mock.patch("chatd.store.migrate.back_up"):
            upgrade(self.old, "0001", SCRIPTS, "0006")
        wide = "\uff4dessi"  # the key that earlier versions gave a name in full width
        self.execute(
            "INSERT INTO accounts (id, name, key, password, display_name, country, operator, created_at) "
            "VALUES (:id, :name, :key, 'hash', :shown, 'A\u200bR', false, 1)",
            {"id": 7, "name": "\uff2dessi", "key": wide, "shown": "\u202eMessi"},
            {"id": 8, "name": "\ufb01sh", "key": "\ufb01sh", "shown": "\u3164"},
            {"id": 9, "name": "\u3164", "key": "\u3164", "shown": "Ana \U0001f469\u200d\U0001f4bb"},
        )
        self.execute(
            "INSERT INTO participants (account_id, conversation_id, peer, peer_key, joined_at) "
            "VALUES (:account, :conversation, :peer, :key, 1)",
            {"account": 5, "conversation": 1, "peer": wide, "key": wide},
            {"account": 7, "conversation": 1, "peer": "\ufb01sh", "key": "\ufb01sh"},
            {"account": 8, "conversation": 1, "peer": "x@\uff52", "key": "x@\uff52"},
        )
        self.execute("UPDATE attachments SET name = :name WHERE id = 1", {"name": "a\u202egpj.exe"})
        self.execute(
            "UPDATE groups SET name = 'Zo\u00eb', key = 'zo\u00eb' WHERE conversation_id = 2", {}
        )

    def test_keys(self) -> None:
        """Keys are renewed. If another account has the new key, the account keeps its old key, also in
        conversations."""
        prepare(self.old)
        found = self.values("SELECT id, key FROM accounts WHERE id IN (1, 7, 8, 9) ORDER BY id")
        self.assertEqual(found, [(1, "messi"), (7, "\uff4dessi"), (8, "fish"), (9, "\u1160")])
        found = self.values(
            "SELECT peer_key FROM participants WHERE account_id IN (5, 7, 8) ORDER BY 1"
        )
        expected = ["fish", "x@r", "\uff4dessi"]
        self.assertEqual([each for (each,) in found if each], expected)

    def test_older_keys_are_kept(self) -> None:
        """An account that keeps an older key is distinct from the account with the new key. The same holds
        for groups, and then no account has the new key of the group's name."""
        self.patch(names, "_older_keys", set())
        self.addCleanup(names._remembered_key_of.cache_clear)
        wide = "\uff42ola"  # bola
        self.execute("UPDATE groups SET name = 'bola', key = 'bola' WHERE conversation_id = 2", {})
        self.execute("INSERT INTO conversations (id, kind, created_at) VALUES (99, 'group', 1)", {})
        self.execute(
            "INSERT INTO groups (conversation_id, name, key, code) VALUES (99, :name, :name, 'c')",
            {"name": wide},
        )
        self.execute(
            "INSERT INTO accounts (id, name, key, password, display_name, country, created_at) "
            "VALUES (10, :name, :name, 'hash', 'B', '', 1)",
            {"name": wide},
        )
        prepare(self.old)
        load_older_keys(self.old)
        for name in ("\uff2dessi", "\uff4dessi"):
            self.assertEqual(names.key_of(name), "\uff4dessi")
        self.assertEqual(names.key_of("\uff2dESSI"), "\uff4dessi")
        self.assertEqual(names.key_of("\ufb01sh"), "fish")
        found = self.values("SELECT key FROM groups WHERE conversation_id IN (2, 99) ORDER BY 1")
        self.assertEqual(found, [("bola",), (wide,)])
        self.assertEqual(self.values("SELECT key FROM accounts WHERE id = 10"), [(wide,)])
        self.assertEqual(names.key_of(wide), wide)

    def test_shown(self) -> None:
        """Display names have no invisible or reordering characters and are not empty."""
        prepare(self.old)
        found = self.values("SELECT display_name, country FROM accounts WHERE id > 6 ORDER BY id")
        self.assertEqual(found[0], ("Messi", "AR"))
        self.assertEqual(found[1][0], "\ufb01sh")
        self.assertEqual(found[2][0], "Ana \U0001f469\u200d\U0001f4bb")
        self.assertEqual(self.values("SELECT name FROM attachments WHERE id = 1"), [("agpj.exe",)])

    def test_skeletons(self) -> None:
        """A start that finds skeletons of other Unicode data rebuilds them, even if two have one name. New
        accounts can't get such a name."""
        prepare(self.old)
        for _ in range(2):
            renew_skeletons(self.old)
            found = self.values("SELECT key, kind FROM names ORDER BY key, kind")
            self.assertIn(("zo\u00eb", "group"), found)
            self.assertIn(("zo\u00eb", "user"), found)
            self.assertEqual(len(found), len(self.values("SELECT 1 FROM accounts")) + 1)
            self.execute("UPDATE settings SET value = 'older' WHERE name LIKE 'how%'", {})
        with self.old.connect() as connection:
            for name in ("ZO\u00cb", "MESSI", "rnessi", "\uff4dessi", "FISH"):
                self.assertIsNotNone(taken(connection, name), name)
            self.assertIsNone(taken(connection, "lineker"))

    def test_failing_anywhere_changes_nothing(self) -> None:
        self.assertGreater(self.failures("0006", "0007"), 10)

    def test_equals_fresh(self) -> None:
        fresh = self.engine("fresh.db")
        prepare(fresh)
        prepare(self.old)
        self.assertEqual(dump(self.old), dump(fresh))


class To0008(UpgradeTestCase):
    """The upgrade to groups with titles."""

    def setUp(self) -> None:
        super().setUp()
        with mock.patch("chatd.store.migrate.back_up"):
            upgrade(self.old, "0001", SCRIPTS, "0007")
        with self.old.begin() as connection:
            connection.execute(
                text(
                    "INSERT INTO groups (conversation_id, name, key, closed, realm, home_id) "
                    "VALUES (1, 'bola@B', 'bola@b', false, 'b', 7)"
                )
            )
        self.before = self.rows(self.old)

    def test_rows(self) -> None:
        """Groups keep their values, and have no titles."""
        prepare(self.old, newest="0008")
        expected = [row | {"title": None} for row in self.before["groups"]]
        self.assertEqual(self.rows(self.old)["groups"], expected)

    def test_macs(self) -> None:
        """Older messages are protected from being altered."""
        prepare(self.old)
        with self.old.connect() as connection:
            rows = connection.execute(sa.select(*GUARDED)).all()
            self.assertTrue(rows)
            for row in map(tuple, rows):
                self.assertTrue(is_intact(keyed_hash(connection), row))
                self.assertFalse(is_intact(keyed_hash(connection), (*row[:2], 1, *row[3:])))

    def test_watched(self) -> None:
        """Constraints of groups are still enforced."""
        prepare(self.old)
        self.refused("UPDATE groups SET key = 'f\u00fcsse' WHERE conversation_id = 1")
        self.refused("UPDATE groups SET code = 'ABC234' WHERE conversation_id = 1")
        self.refused("UPDATE groups SET realm = 'b', home_id = 7 WHERE conversation_id = 2")
        self.refused("UPDATE groups SET conversation_id = 77 WHERE conversation_id = 2")

    def test_failing_anywhere_changes_nothing(self) -> None:
        self.assertGreater(self.failures("0007", "0008"), 5)


class To0012(UpgradeTestCase):
    """The upgrade to private groups, and to sessions that say where they were used."""

    def setUp(self) -> None:
        super().setUp()
        with mock.patch("chatd.store.migrate.back_up"):
            upgrade(self.old, "0001", SCRIPTS, "0011")
        self.execute(
            "INSERT INTO skipped SELECT account_id, conversation_id, 1 FROM participants", {}
        )
        self.before = self.rows(self.old)

    def test_rows(self) -> None:
        """Groups are public and have not moved, members see all of the past, and what they have skipped
        stays unread."""
        skipped = self.values("SELECT * FROM skipped ORDER BY 1, 2")
        prepare(self.old)
        found = self.rows(self.old)
        new = {"topic": None, "private": 0, "past": "all", "moves": 0}
        self.assertEqual(found["groups"], [row | new for row in self.before["groups"]])
        expected = [row | {"first_seq": 0} for row in self.before["participants"]]
        self.assertEqual(found["participants"], expected)
        self.assertEqual(self.values("SELECT * FROM skipped ORDER BY 1, 2"), skipped)
        self.assertNotEqual(skipped, [])

    def test_contacts(self) -> None:
        """Contacts of other realms have the keys of their realms."""
        prepare(self.old)
        expected = [("zoë", None), ("zoë@b.example", "b.example")]
        self.assertEqual(self.values("SELECT key, realm FROM contacts ORDER BY key"), expected)

    def test_watched(self) -> None:
        """What is skipped goes with its participant, also afterwards, and has one."""
        prepare(self.old)
        self.refused("INSERT INTO skipped VALUES (77, 77, 1)")
        self.refused("UPDATE participants SET account_id = 77 WHERE conversation_id = 1")
        self.execute("DELETE FROM participants", {})
        self.assertEqual(self.values("SELECT * FROM skipped"), [])

    def test_failing_anywhere_changes_nothing(self) -> None:
        self.assertGreater(self.failures("0011", "0012"), 15)

    def test_roles(self) -> None:
        """Operators stay operators. Before, that was a flag of each account."""
        prepare(self.old)
        self.assertEqual(self.values("SELECT account_id, role FROM roles"), [(1, "operator")])
        expected = [
            {key: value for key, value in row.items() if key != "operator"}
            for row in self.before["accounts"]
        ]
        self.assertEqual(self.rows(self.old)["accounts"], expected)

    def test_sessions_and_choices(self) -> None:
        self.execute("INSERT INTO privacy (account_id, receipts, version) VALUES (1, false, 7)", {})
        prepare(self.old)
        added = {"client": "", "address": ""}
        expected = [row | added | {"used_at": row["created_at"]} for row in self.before["sessions"]]
        self.assertEqual(self.rows(self.old)["sessions"], expected)
        self.assertNotEqual(expected, [])
        self.assertEqual(self.values("SELECT * FROM privacy"), [(1, 0, 7, 1, 1)])
