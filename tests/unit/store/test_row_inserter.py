"""Inserting many rows of one table."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from chatd.store import row_inserter as module
from chatd.store.engine import connect
from chatd.store.row_inserter import RowInserter

Row = tuple[int | str | bytes | None, ...]


class Inserting(SynchronousTestCase):
    def setUp(self) -> None:
        engine = connect(f"sqlite:///{Path(self.mktemp())}")
        self.addCleanup(engine.dispose)
        names = [sa.Column(name, sa.LargeBinary) for name in ("text", "data", "more")]
        table = sa.Table("things", sa.MetaData(), sa.Column("id", sa.Integer), *names)
        table.create(engine)
        self.inserter = RowInserter(table)
        self.connection = engine.connect()
        self.addCleanup(self.connection.close)

    def stored(self) -> list[Row]:
        found = self.connection.exec_driver_sql("SELECT * FROM things ORDER BY id")
        return [tuple(row) for row in found]

    def test_columns(self) -> None:
        """Columns may be NULL in some rows, in all, or be missing at the end. Bytes stay bytes."""
        rows: list[Row] = [(1, "a", None, b"\0"), (2, None, None, b"\xff"), (3, "c", None, None)]
        self.inserter.insert(self.connection, rows)
        self.inserter.insert(self.connection, [(4, "d"), (5, None)])
        self.assertEqual(self.stored(), [*rows, (4, "d", None, None), (5, None, None, None)])

    def test_given_columns(self) -> None:
        """Rows may have the values of some columns only, in their order; NULL stays NULL."""
        for rows in ([(1, b"a"), (2, None)], [(3, b"b")]):
            self.inserter.insert(self.connection, rows, ("id", "data"))
        expected = [(1, None, b"a", None), (2, None, None, None), (3, None, b"b", None)]
        self.assertEqual(self.stored(), expected)

    def test_few_statements_are_kept(self) -> None:
        self.patch(module, "MAX_STATEMENTS", 2)
        rows: list[Row] = [(1, "a"), (2, None, b"b"), (3, None, None, b"c"), (4, "d")]
        for row in rows:
            self.inserter.insert(self.connection, [row])
            self.assertLessEqual(len(self.inserter._statements), 2)
        self.assertEqual([len(row) for row in self.stored()], [4] * 4)
