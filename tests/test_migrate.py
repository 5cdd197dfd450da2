"""A database is made, upgraded after a backup, or refused; however it came about, it is the same."""

from __future__ import annotations

import importlib
import io
import re
import shutil
import stat
from pathlib import Path
from unittest import mock

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_mock_engine, text
from twisted.trial.unittest import SynchronousTestCase

from chatd.store.accounts import add_account, find_account
from chatd.store.database import connect
from chatd.store.migrate import (
    SCRIPTS,
    SchemaError,
    alembic_config,
    current_version,
    prepare,
    upgrade,
)
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
        """The same statements for PostgreSQL, as far as that can be told without one."""
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
        migrated = [statement.strip() for statement in out.getvalue().split(";\n")]
        self.assertEqual(_normal(migrated), _normal(made))

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


def _normal(statements: list[str]) -> set[str]:
    """The statements in any order, without what only layout differs in."""
    squeezed = (re.sub(r"\s+", " ", statement).strip() for statement in statements)
    return {statement for statement in squeezed if statement}


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

        def die(_connection: Connection) -> None:
            metadata.tables["accounts"].create(_connection)
            raise KeyboardInterrupt

        with mock.patch.object(metadata, "create_all", die), self.assertRaises(KeyboardInterrupt):
            prepare(engine)
        self.assertEqual(dump(engine), {})
        prepare(engine)
        self.assertEqual(self.version(engine), SCHEMA_VERSION)
