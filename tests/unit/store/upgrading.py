"""Databases of the first version for tests of migrations, and what these tests compare."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from types import ModuleType
from unittest import mock

from alembic import util
from alembic.util import load_python_file
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import IntegrityError, OperationalError
from twisted.trial.unittest import SynchronousTestCase

from chatd.store.engine import connect
from chatd.store.migrate import (
    SCRIPTS,
    current_version,
    upgrade,
)
from chatd.store.schema import SCHEMA_VERSION

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
    """The statements of all tables and indexes in SQLite, except Alembic's."""
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
        """A copy of the migrations with an additional one."""
        folder = self.folder / "migrations"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(SCRIPTS, folder, ignore=ignored)
        revision = NEXT.format(before=SCHEMA_VERSION, more=more)
        (folder / "versions" / "v9999_test.py").write_text(revision)
        return folder

    def backups(self) -> list[Path]:
        return sorted(self.folder.glob("*.bak"))


_load_once = cache(load_python_file)


def _load(folder: str, name: str) -> ModuleType:
    """Load a script as Alembic does, but a revision once. It would compile all of them for each upgrade."""
    return load_python_file(folder, name) if name == "env.py" else _load_once(folder, name)


# Each try executes all statements before the one that fails, so the tries of a long upgrade take long.
EACH = 10
THIRD = 3


class UpgradeTestCase(MigrateTestCase):
    """`self.old` is a database of the first version with the data of a realm."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(util, "load_python_file", _load)
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
        """The rows of the tables of the first version."""
        with engine.connect() as connection:
            return {
                table: [
                    dict(row)
                    for row in connection.execute(text(f"SELECT * FROM {table}")).mappings()  # noqa: S608
                ]
                for table in ROWS_0001
            }

    def execute(self, statement: str, *rows: dict[str, object]) -> None:
        with self.old.begin() as connection:
            connection.execute(text(statement), list(rows))

    def values(self, query: str) -> list[tuple[object, ...]]:
        with self.old.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def refused(self, statement: str) -> None:
        with self.assertRaises(IntegrityError), self.old.begin() as connection:
            connection.execute(text(statement))

    def failures(self, version: str, newer: str) -> int:
        """Let each of the first EACH statements of an upgrade fail in turn, and then every THIRD. After each
        failure the database is unchanged. Returns the number of statements, or up to two more."""
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
                    failures += 1 if failures < EACH else THIRD
                left = 1000
                self.assertEqual(dump(self.old), tables)
                self.assertEqual(self.rows(self.old), rows)
                self.assertEqual(self.version(self.old), version)
        left = 1000
        self.assertEqual(self.version(self.old), newer)
        return failures
