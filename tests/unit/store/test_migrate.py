"""A database is made, upgraded after a backup, or refused; however it came about, it is the same."""

from __future__ import annotations

import importlib
import io
import re
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

import msgspec
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_mock_engine, event, text
from sqlalchemy.exc import IntegrityError, OperationalError
from twisted.trial.unittest import SynchronousTestCase

from chatd.base import names
from chatd.store.accounts import add_account, find_account
from chatd.store.engine import connect
from chatd.store.migrate import (
    SCRIPTS,
    SchemaError,
    alembic_config,
    current_version,
    prepare,
    upgrade,
)
from chatd.store.names import load_older_keys, renew_skeletons, taken
from chatd.store.schema import SCHEMA_VERSION, metadata

NEXT = '''"""For a test."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{before}"


def upgrade() -> None:
    op.add_column("accounts", sa.Column("mood", sa.Text, server_default="good"))
    {more}
'''


def _account(number: int, name: str, *, operator: bool) -> dict[str, object]:
    return {
        "id": number,
        "name": name,
        "key": name.casefold(),
        "password": f"hash {number}",
        "display_name": f"{name} the {number}th",
        "country": "AR",
        "operator": operator,
        "created_at": 1_700_000_000_000 + number,
    }


def _group(
    number: int, name: str, key: str | None, code: str | None, *, closed: bool
) -> dict[str, object]:
    return {"conversation_id": number, "name": name, "key": key, "code": code, "closed": closed}


def _participant(
    account: int, conversation: int, peer: str | None, *, read_seq: int, admin: bool = False
) -> dict[str, object]:
    return {
        "account_id": account,
        "conversation_id": conversation,
        "peer": peer,
        "peer_key": peer and peer.casefold(),
        "read_seq": read_seq,
        "admin": admin,
        "joined_at": 1_700_000_000_000 + account,
    }


def _attachment(number: int, owner: int) -> dict[str, object]:
    return {
        "id": number,
        "code": f"code {number}",
        "name": f"Bild {number}.png",
        "size": 2**40 + number,
        "sha256": f"{number:064x}",
        "mime": "image/png",
        "stored": f"stored {number}",
        "owner_id": owner,
        "created_at": 1_700_000_000_000 + number,
    }


def _message(
    number: int,
    conversation: int,
    seq: int,
    sender: int | None,
    content: str | None,
    *,
    attachment_id: int | None = None,
) -> dict[str, object]:
    return {
        "id": number,
        "conversation_id": conversation,
        "seq": seq,
        "sender_id": sender,
        "sender": f"sender {sender}",
        "at": 1_700_000_000_000 + number,
        "text": content,
        "attachment_id": attachment_id,
    }


# A realm as the first version kept it: every table, and every kind of row in it.
ROWS_0001: dict[str, list[dict[str, object]]] = {
    "accounts": [
        _account(1, "Messi", operator=True),
        _account(2, "Zoë", operator=False),
        _account(5, "Pelé", operator=False),
    ],
    "sessions": [
        {"id": 3, "token_hash": b"\x00\xff" * 16, "account_id": 2, "created_at": 7, "expires_at": 9}
    ],
    "contacts": [
        {"account_id": 1, "key": "zoë", "address": "Zoë"},
        {"account_id": 1, "key": "zoë@b.example", "address": "Zoë@B.example"},
    ],
    "conversations": [
        {"id": 1, "kind": "direct", "created_at": 10},
        {"id": 2, "kind": "group", "created_at": 11},
        {"id": 4, "kind": "group", "created_at": 12},
    ],
    "groups": [
        _group(2, "Füße", "füsse", "ABC234", closed=True),
        _group(4, "ended", None, None, closed=False),
    ],
    "participants": [
        _participant(1, 1, "Zoë", read_seq=3),
        _participant(2, 1, "Messi", read_seq=0),
        _participant(5, 2, None, read_seq=1, admin=True),
        _participant(1, 2, None, read_seq=2),
    ],
    "attachments": [_attachment(1, 2), _attachment(8, 5)],
    "messages": [
        _message(1, 1, 1, 1, "hello"),
        _message(2, 1, 2, 2, "line\none; two '\0'"),
        _message(3, 2, 1, 5, "to all"),
        _message(4, 1, 3, 2, None, attachment_id=1),
        _message(6, 2, 2, 5, None, attachment_id=8),
        _message(9, 2, 3, None, "from nowhere"),
    ],
}


def dump(engine: Engine) -> dict[tuple[str, str], str | None]:
    """All tables and indexes, as SQLite keeps them; chatd's own and not Alembic's."""
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT type, name, sql FROM sqlite_master")).all()
    return {(kind, name): sql for kind, name, sql in rows if "alembic" not in name}


def version_table(engine: Engine) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM pragma_table_info('alembic_version')"))
        return [tuple(row) for row in rows]


class MigrateTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir(parents=True)

    def engine(self, name: str = "chatd.db") -> Engine:
        engine = connect(f"sqlite:///{self.folder / name}")
        self.addCleanup(engine.dispose)
        return engine

    def version(self, engine: Engine) -> str | None:
        with engine.connect() as connection:
            return current_version(connection)

    def scripts(self, more: str = "pass") -> Path:
        """The migrations, with one more."""
        folder = self.folder / "migrations"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(SCRIPTS, folder, ignore=ignored)
        revision = NEXT.format(before=SCHEMA_VERSION, more=more)
        (folder / "versions" / "v9999_test.py").write_text(revision)
        return folder

    def backups(self) -> list[Path]:
        return sorted(self.folder.glob("*.bak"))


class Schema(MigrateTestCase):
    def test_upgraded_equals_fresh(self) -> None:
        """All migrations, run on nothing, come to what is made at once, to the letter."""
        fresh, upgraded = self.engine("fresh.db"), self.engine("upgraded.db")
        prepare(fresh)
        upgrade(upgraded, None, SCRIPTS, SCHEMA_VERSION)
        self.assertEqual(dump(upgraded), dump(fresh))
        self.assertEqual(version_table(upgraded), version_table(fresh))
        self.assertEqual(self.version(upgraded), self.version(fresh))
        self.assertGreater(len(dump(fresh)), 10)

    def test_upgraded_equals_fresh_on_postgresql(self) -> None:
        """The statements for PostgreSQL come to the same, as far as that can be told without one."""
        made: list[str] = []

        def note(statement: object, *_args: object, **_more: object) -> None:
            made.append(str(statement.compile(dialect=engine.dialect)))  # type: ignore[attr-defined]

        engine = create_mock_engine("postgresql+psycopg2://", note)
        metadata.create_all(engine, checkfirst=False)
        out = io.StringIO()
        context = MigrationContext.configure(
            dialect_name="postgresql",
            opts={"as_sql": True, "output_buffer": out, "target_metadata": metadata},
        )
        with Operations.context(context):
            for script in sorted((SCRIPTS / "versions").glob("v*.py")):
                importlib.import_module(f"chatd.store.migrations.versions.{script.stem}").upgrade()
        migrated = Catalogue(out.getvalue().split(";\n"))
        fresh = Catalogue(made)
        self.assertEqual(migrated.tables, fresh.tables)
        for name, table in fresh.tables.items():
            self.assertEqual(list(migrated.tables[name].columns), list(table.columns), name)
        self.assertEqual(migrated.indexes, fresh.indexes)
        self.assertEqual(migrated.comments, fresh.comments)
        self.assertEqual(set(fresh.tables), set(metadata.tables))
        self.assertEqual(fresh.tables["attachments"].columns["owner_id"], "BIGINT")

    def test_newest(self) -> None:
        """SCHEMA_VERSION is the newest migration, and they are one line."""
        scripts = ScriptDirectory.from_config(alembic_config(self.engine(), SCRIPTS))
        self.assertEqual(scripts.get_heads(), [SCHEMA_VERSION])
        self.assertEqual(len(scripts.get_bases()), 1)

    def test_migrations_stand_alone(self) -> None:
        """A migration does not speak of today's schema, which will move on."""
        scripts = sorted((SCRIPTS / "versions").glob("v*.py"))
        self.assertTrue(scripts)
        for script in scripts:
            self.assertNotRegex(script.read_text(), r"(?m)^\s*(from|import) chatd", script.name)

    def test_every_column_is_explained_or_plain(self) -> None:
        """What a column holds is said where its name does not say it: times have their unit."""
        for table in metadata.sorted_tables:
            for column in table.columns:
                if column.name == "at" or column.name.endswith("_at"):
                    self.assertEqual(column.comment, "ms since 1970 UTC", f"{table}.{column.name}")


class TableMade(msgspec.Struct):
    columns: dict[str, str]  # type, default and nullability, as declared
    constraints: set[str]


class Catalogue:
    """What PostgreSQL would know after some statements: just enough of it for ours."""

    def __init__(self, statements: Iterable[str]) -> None:
        self.tables: dict[str, TableMade] = {}
        self.indexes: dict[str, str] = {}
        self.comments: dict[str, str] = {}
        for statement in filter(None, map(str.strip, statements)):
            self._run(statement)

    def _run(self, statement: str) -> None:
        for pattern, run in (
            (r"CREATE TABLE (\w+) \((.*)\)", self._create_table),
            (r"CREATE ((?:UNIQUE )?INDEX) (\w+) (ON .*)", self._create_index),
            (r"COMMENT ON (.*?) IS ('.*')", self.comments.__setitem__),
            (r"ALTER TABLE (\w+) ADD COLUMN (\w+) (.*)", self._add_column),
            (r"ALTER TABLE (\w+) ALTER COLUMN (\w+) DROP NOT NULL", self._make_nullable),
            (r"DROP INDEX (\w+)", self.indexes.pop),
            (r"INSERT INTO .*", lambda: None),
        ):
            if found := re.fullmatch(pattern, statement, re.DOTALL):
                run(*found.groups())
                return
        if statement.startswith("UPDATE "):
            return  # rows, which a catalogue does not have
        raise AssertionError(f"a statement that this test does not know: {statement}")

    def _create_table(self, name: str, body: str) -> None:
        assert name not in self.tables
        table = self.tables[name] = TableMade({}, set())
        for line in re.split(r",\s*\n", body.strip()):
            first, rest = line.strip().split(maxsplit=1)
            if first == "CONSTRAINT":
                table.constraints.add(rest)
            else:
                table.columns[first] = rest

    def _create_index(self, kind: str, name: str, what: str) -> None:
        assert name not in self.indexes
        self.indexes[name] = f"{kind} {what}"

    def _add_column(self, table: str, name: str, rest: str) -> None:
        assert name not in self.tables[table].columns
        self.tables[table].columns[name] = rest

    def _make_nullable(self, table: str, name: str) -> None:
        before = self.tables[table].columns[name]
        assert before.endswith(" NOT NULL")
        self.tables[table].columns[name] = before.removesuffix(" NOT NULL")


class Prepare(MigrateTestCase):
    def test_fresh(self) -> None:
        engine = self.engine()
        prepare(engine)
        self.assertEqual(self.version(engine), SCHEMA_VERSION)
        self.assertEqual(self.backups(), [])

    def test_again(self) -> None:
        """A database of this version is left alone."""
        engine = self.engine()
        prepare(engine)
        self._add(engine, "messi")
        before = dump(engine)
        prepare(engine)
        self.assertEqual(dump(engine), before)
        self.assertIsNotNone(self._find(engine, "messi"))
        self.assertEqual(self.backups(), [])

    def _add(self, engine: Engine, name: str) -> None:
        with engine.begin() as connection:
            add_account(connection, name, "hash", name, "", 1000)

    def _find(self, engine: Engine, name: str) -> object:
        with engine.begin() as connection:
            return find_account(connection, name)

    def test_upgrade(self) -> None:
        """An older database is upgraded, with all that is in it."""
        engine = self.engine()
        prepare(engine)
        self._add(engine, "messi")
        prepare(engine, self.scripts(), "9999")
        self.assertEqual(self.version(engine), "9999")
        self.assertIsNotNone(self._find(engine, "messi"))
        with engine.connect() as connection:
            self.assertEqual(connection.scalar(text("SELECT mood FROM accounts")), "good")

    def test_backup(self) -> None:
        """Before an upgrade a copy is made, whole, named by its version, for the operator only."""
        engine = self.engine()
        prepare(engine)
        self._add(engine, "messi")
        before = dump(engine)
        prepare(engine, self.scripts(), "9999")
        (backup,) = self.backups()
        self.assertRegex(backup.name, rf"\Achatd\.db\.{SCHEMA_VERSION}\.\d{{8}}T\d{{6}}Z\.bak\Z")
        self.assertEqual(stat.S_IMODE(backup.stat().st_mode), 0o600)
        kept = self.engine(backup.name)
        self.assertEqual(dump(kept), before)
        self.assertEqual(self.version(kept), SCHEMA_VERSION)
        self.assertIsNotNone(self._find(kept, "messi"))

    def test_backup_can_be_used(self) -> None:
        """What was backed up can be put back, and upgraded again."""
        engine = self.engine()
        prepare(engine)
        self._add(engine, "messi")
        scripts = self.scripts()
        prepare(engine, scripts, "9999")
        again = self.engine(self.backups()[0].name)
        prepare(again, scripts, "9999")
        self.assertEqual(dump(again), dump(engine))

    def test_interrupted_backup(self) -> None:
        """What a kill left of a backup is no backup, and does not pile up."""
        engine = self.engine()
        prepare(engine)
        part = self.folder / "chatd.db.bak.part"
        part.write_bytes(b"half")
        killed = mock.patch("chatd.store.migrate.os.fsync", side_effect=OSError("killed here"))
        with killed, self.assertRaises(OSError):
            prepare(engine, self.scripts(), "9999")
        self.assertEqual(self.backups(), [])
        prepare(engine, self.folder / "migrations", "9999")
        self.assertEqual(len(self.backups()), 1)
        self.assertFalse(part.exists())

    def test_failing_upgrade_changes_nothing(self) -> None:
        """An upgrade is done whole or not at all."""
        engine = self.engine()
        prepare(engine)
        self._add(engine, "messi")
        before = dump(engine)
        with self.assertRaises(ZeroDivisionError):
            prepare(engine, self.scripts("1 / 0"), "9999")
        self.assertEqual(dump(engine), before)
        self.assertEqual(self.version(engine), SCHEMA_VERSION)
        self.assertEqual(len(self.backups()), 1)

    def test_no_room_for_a_backup(self) -> None:
        """Without room for a backup nothing is upgraded, and the sentence says how much is needed."""
        engine = self.engine()
        prepare(engine)
        with (
            mock.patch("shutil.disk_usage", return_value=mock.Mock(free=3)),
            self.assertRaises(SchemaError) as caught,
        ):
            prepare(engine, self.scripts(), "9999")
        self.assertIn("3 bytes are free", str(caught.exception))
        self.assertEqual(self.version(engine), SCHEMA_VERSION)
        self.assertEqual(self.backups(), [])

    def test_newer(self) -> None:
        """A database that a newer chatd made is refused, and not touched."""
        engine = self.engine()
        prepare(engine)
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        before = dump(engine)
        with self.assertRaises(SchemaError) as caught:
            prepare(engine)
        for part in ("9999", SCHEMA_VERSION, "install"):
            self.assertIn(part, str(caught.exception))
        self.assertEqual(dump(engine), before)
        self.assertEqual(self.version(engine), "9999")
        self.assertEqual(self.backups(), [])

    def test_foreign(self) -> None:
        """Somebody else's database is refused, and not touched."""
        engine = self.engine()
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE bookmarks (url TEXT)"))
        before = dump(engine)
        with self.assertRaises(SchemaError) as caught:
            prepare(engine)
        self.assertIn("not chatd's", str(caught.exception))
        self.assertEqual(dump(engine), before)

    def test_making_is_whole_or_not_at_all(self) -> None:
        """A start that dies while it makes the tables leaves an empty database, which the next one takes."""
        engine = self.engine()

        def die(_connection: Connection, **_options: object) -> None:
            metadata.tables["accounts"].create(_connection)
            raise KeyboardInterrupt

        with mock.patch.object(metadata, "create_all", die), self.assertRaises(KeyboardInterrupt):
            prepare(engine)
        self.assertEqual(dump(engine), {})
        prepare(engine)
        self.assertEqual(self.version(engine), SCHEMA_VERSION)


class UpgradeTestCase(MigrateTestCase):
    """`self.old` is a database of the first version, with a realm in it."""

    def setUp(self) -> None:
        super().setUp()
        self.old = self.engine()
        upgrade(self.old, None, SCRIPTS, "0001")
        with self.old.begin() as connection:
            for table, rows in ROWS_0001.items():
                names = list(rows[0])
                connection.execute(
                    text(
                        f"INSERT INTO {table} ({', '.join(names)}) "  # noqa: S608
                        f"VALUES ({', '.join(':' + name for name in names)})"
                    ),
                    rows,
                )

    def rows(self, engine: Engine) -> dict[str, list[dict[str, object]]]:
        """All that is in the tables of the first version."""
        with engine.connect() as connection:
            return {
                table: [
                    dict(row)
                    for row in connection.execute(text(f"SELECT * FROM {table}")).mappings()  # noqa: S608
                ]
                for table in ROWS_0001
            }

    def refused(self, statement: str) -> None:
        with self.assertRaises(IntegrityError), self.old.begin() as connection:
            connection.execute(text(statement))

    def failures(self, version: str, newer: str) -> int:
        """How many statements an upgrade has: whichever fails, the database is as it was; when none does, it
        is upgraded."""
        tables, rows = dump(self.old), self.rows(self.old)
        left = failures = 0

        def count(*_args: object) -> None:
            nonlocal left
            if left == 0:
                raise OperationalError("no statement", None, Exception("disk full"))
            left -= 1

        event.listen(self.old, "before_cursor_execute", count)
        self.addCleanup(event.remove, self.old, "before_cursor_execute", count)
        with mock.patch("chatd.store.migrate.back_up"):
            while True:
                left = failures
                try:
                    upgrade(self.old, version, SCRIPTS, newer)
                    break
                except OperationalError:
                    failures += 1
                left = 1000
                self.assertEqual(dump(self.old), tables)
                self.assertEqual(self.rows(self.old), rows)
                self.assertEqual(self.version(self.old), version)
        left = 1000
        self.assertEqual(self.version(self.old), newer)
        return failures


class To0002(UpgradeTestCase):
    """To that which links realms."""

    def test_every_table_has_rows(self) -> None:
        """What the other tests see to is a whole database of the first version."""
        tables = {name for kind, name in dump(self.old) if kind == "table"}
        self.assertEqual(tables, set(ROWS_0001))

    def test_rows(self) -> None:
        """Every row is as it was, and what is new in it is NULL: it is of this realm."""
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
        """They hold for what is there, and are watched from then on."""
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
        """With rows too it comes to what is made at once; nothing of the way there is left."""
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
    """To that which knows what was sent before, from one that links realms and has messages of both."""

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
        """Every row is as it was; of what was sent before nothing more is known."""
        prepare(self.old)
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
        """What has to hold of messages still has to."""
        prepare(self.old)
        self.refused("UPDATE messages SET attachment_id = 77 WHERE id = 1")
        self.refused("UPDATE messages SET seq = 3 WHERE id = 2")
        self.refused(
            "UPDATE messages SET origin_realm = 'realm2', origin_id = 3 WHERE id = 1",
        )

    def test_failing_anywhere_changes_nothing(self) -> None:
        self.assertGreater(self.failures("0002", "0003"), 10)


class To0006(UpgradeTestCase):
    """To that which counts the members of groups, from one that has groups here and elsewhere."""

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
    """To that which compares names by NFKC, and accounts with groups."""

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

    def execute(self, statement: str, *rows: dict[str, object]) -> None:
        with self.old.begin() as connection:
            connection.execute(text(statement), list(rows))

    def values(self, query: str) -> list[tuple[object, ...]]:
        with self.old.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def test_keys(self) -> None:
        """They are renewed; where another has the new one, the account keeps its old one, as do the
        conversations with it."""
        prepare(self.old)
        found = self.values("SELECT id, key FROM accounts WHERE id IN (1, 7, 8, 9) ORDER BY id")
        self.assertEqual(found, [(1, "messi"), (7, "\uff4dessi"), (8, "fish"), (9, "\u1160")])
        found = self.values(
            "SELECT peer_key FROM participants WHERE account_id IN (5, 7, 8) ORDER BY 1"
        )
        expected = ["fish", "x@r", "\uff4dessi"]
        self.assertEqual([each for (each,) in found if each], expected)

    def test_older_keys_go_on(self) -> None:
        """Whoever kept an older key is not taken for the one with the new key; nor is a group, and then no
        account has the new key of its name either."""
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
        """Nothing that is shown hides or turns anything, and everybody is called something."""
        prepare(self.old)
        found = self.values("SELECT display_name, country FROM accounts WHERE id > 6 ORDER BY id")
        self.assertEqual(found[0], ("Messi", "AR"))
        self.assertEqual(found[1][0], "\ufb01sh")
        self.assertEqual(found[2][0], "Ana \U0001f469\u200d\U0001f4bb")
        self.assertEqual(self.values("SELECT name FROM attachments WHERE id = 1"), [("agpj.exe",)])

    def test_skeletons(self) -> None:
        """Each start makes them that finds those of other Unicode data, also of two who share a name; and
        nobody else gets such a name."""
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
