"""A database is created, upgraded after a backup, or refused, and has the same schema in every case."""

from __future__ import annotations

import importlib
import io
import re
import stat
from collections.abc import Iterable
from unittest import mock

import msgspec
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_mock_engine, text

from chatd.store.accounts import add_account, find_account
from chatd.store.migrate import (
    SCRIPTS,
    SchemaError,
    alembic_config,
    prepare,
    upgrade,
)
from chatd.store.schema import SCHEMA_VERSION, metadata
from tests.unit.store.upgrading import MigrateTestCase, dump, version_table


class Schema(MigrateTestCase):
    def test_upgraded_equals_fresh(self) -> None:
        """All migrations on an empty database give exactly the schema of a new one."""
        fresh, upgraded = self.engine("fresh.db"), self.engine("upgraded.db")
        prepare(fresh)
        upgrade(upgraded, None, SCRIPTS, SCHEMA_VERSION)
        prepare(upgraded)
        self.assertEqual(dump(upgraded), dump(fresh))
        self.assertEqual(version_table(upgraded), version_table(fresh))
        self.assertEqual(self.version(upgraded), self.version(fresh))
        self.assertGreater(len(dump(fresh)), 10)

    def test_upgraded_equals_fresh_on_postgresql(self) -> None:
        """The same for PostgreSQL's statements, compared without a PostgreSQL server."""
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
        self.assertEqual(migrated.routines, fresh.routines)
        self.assertEqual(set(fresh.tables), set(metadata.tables))
        self.assertEqual(fresh.tables["attachments"].columns["owner_id"], "BIGINT")

    def test_newest(self) -> None:
        """SCHEMA_VERSION is the newest migration, and the migrations have no branches."""
        scripts = ScriptDirectory.from_config(alembic_config(self.engine(), SCRIPTS))
        self.assertEqual(scripts.get_heads(), [SCHEMA_VERSION])
        self.assertEqual(len(scripts.get_bases()), 1)

    def test_migrations_stand_alone(self) -> None:
        """A migration does not import the current schema, because that changes later. It may import a module
        beside env.py, for which the same holds."""
        scripts = sorted((SCRIPTS / "versions").glob("v*.py"))
        self.assertTrue(scripts)
        for script in scripts:
            for _, name in re.findall(r"(?m)^\s*(from|import)\s+(chatd\S*)", script.read_text()):
                self.assertRegex(name, r"^chatd\.store\.migrations\.\w+$", script.name)
                helper = SCRIPTS / f"{name.rpartition('.')[2]}.py"
                if helper not in scripts:
                    scripts.append(helper)

    def test_times_have_units(self) -> None:
        """Columns with times have a comment with the unit."""
        for table in metadata.sorted_tables:
            for column in table.columns:
                if column.name == "at" or column.name.endswith("_at"):
                    self.assertEqual(column.comment, "ms since 1970 UTC", f"{table}.{column.name}")


class TableMade(msgspec.Struct):
    columns: dict[str, str]  # type, default and nullability, as declared
    constraints: set[str]


class Catalogue:
    """What PostgreSQL would know after some statements, as far as ours need it."""

    def __init__(self, statements: Iterable[str]) -> None:
        self.tables: dict[str, TableMade] = {}
        self.indexes: dict[str, str] = {}
        self.comments: dict[str, str] = {}
        self.routines: dict[str, str] = {}
        for statement in filter(None, map(str.strip, statements)):
            self._run(statement)

    def _run(self, statement: str) -> None:
        for pattern, run in (
            (r"CREATE TABLE (\w+) \((.*)\)", self._create_table),
            (r"CREATE ((?:UNIQUE )?INDEX) (\w+) (ON .*)", self._create_index),
            (r"COMMENT ON (.*?) IS ('.*')", self.comments.__setitem__),
            (r"ALTER TABLE (\w+) ADD COLUMN (\w+) (.*)", self._add_column),
            (r"ALTER TABLE (\w+) ALTER COLUMN (\w+) DROP NOT NULL", self._make_nullable),
            (r"ALTER TABLE (\w+) RENAME (\w+) TO (\w+)", self._rename_column),
            (r"ALTER TABLE (\w+) DROP COLUMN (\w+)", self._drop_column),
            (r"DROP INDEX (\w+)", self.indexes.pop),
            (r"INSERT INTO .*", lambda: None),
            (r"CREATE (FUNCTION \w+|TRIGGER \w+)(.*)", self.routines.__setitem__),
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

    def _rename_column(self, table: str, old: str, new: str) -> None:
        columns = self.tables[table].columns
        self.tables[table].columns = {new if n == old else n: rest for n, rest in columns.items()}
        self.comments.pop(f"COLUMN {table}.{old}", None)

    def _drop_column(self, table: str, name: str) -> None:
        del self.tables[table].columns[name]
        self.comments.pop(f"COLUMN {table}.{name}", None)

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
        """An older database is upgraded with all of its data."""
        engine = self.engine()
        prepare(engine)
        self._add(engine, "messi")
        prepare(engine, self.scripts(), "9999")
        self.assertEqual(self.version(engine), "9999")
        self.assertIsNotNone(self._find(engine, "messi"))
        with engine.connect() as connection:
            self.assertEqual(connection.scalar(text("SELECT mood FROM accounts")), "good")

    def test_backup(self) -> None:
        """Before an upgrade, a complete copy is made, named by its version and readable by the
        operator only."""
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
        """A backup can be restored and upgraded again."""
        engine = self.engine()
        prepare(engine)
        self._add(engine, "messi")
        scripts = self.scripts()
        prepare(engine, scripts, "9999")
        again = self.engine(self.backups()[0].name)
        prepare(again, scripts, "9999")
        self.assertEqual(dump(again), dump(engine))

    def test_interrupted_backup(self) -> None:
        """What an interrupted backup leaves has no backup's name, and is removed by the next one."""
        engine = self.engine()
        prepare(engine)
        part = self.folder / "chatd.db.bak.part"
        part.write_bytes(b"half")
        killed = mock.patch("chatd.store.snapshot.sync_file", side_effect=OSError("killed here"))
        with killed, self.assertRaises(OSError):
            prepare(engine, self.scripts(), "9999")
        self.assertEqual(self.backups(), [])
        prepare(engine, self.folder / "migrations", "9999")
        self.assertEqual(len(self.backups()), 1)
        self.assertFalse(part.exists())

    def test_failing_upgrade_changes_nothing(self) -> None:
        """An upgrade is completed or changes nothing."""
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
        """A database of a newer chatd is refused and not changed."""
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
        """The database of another program is refused and not changed."""
        engine = self.engine()
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE bookmarks (url TEXT)"))
        before = dump(engine)
        with self.assertRaises(SchemaError) as caught:
            prepare(engine)
        self.assertIn("not chatd's", str(caught.exception))
        self.assertEqual(dump(engine), before)

    def test_creation_is_atomic(self) -> None:
        """A start that dies while it creates the tables leaves an empty database for the next start."""
        engine = self.engine()

        def die(_connection: Connection, **_options: object) -> None:
            metadata.tables["accounts"].create(_connection)
            raise KeyboardInterrupt

        with mock.patch.object(metadata, "create_all", die), self.assertRaises(KeyboardInterrupt):
            prepare(engine)
        self.assertEqual(dump(engine), {})
        prepare(engine)
        self.assertEqual(self.version(engine), SCHEMA_VERSION)
