"""Tests of chatd.store.prepared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from chatd.store.prepared import prepared

table = sa.Table(
    "numbers",
    sa.MetaData(),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text),
)


class Prepared(SynchronousTestCase):
    def setUp(self) -> None:
        self.made = 0
        engine = sa.create_engine("sqlite://")
        table.create(engine)
        self.connection = engine.connect()
        self.addCleanup(engine.dispose)
        self.addCleanup(self.connection.close)
        rows = [{"number": number, "name": f"n{number}"} for number in range(5)]
        self.connection.execute(sa.insert(table), rows)

        @prepared
        def named(numbers: Any, limit: Any, *, column: sa.Column[Any]) -> sa.Select[Any]:
            self.made += 1
            found = sa.select(column).where(table.c.number.in_(numbers))
            return found.order_by(table.c.number).limit(limit)

        self.named = named

    def found(self, numbers: Sequence[int], limit: int, column: Any = table.c.name) -> list[Any]:
        return list(self.connection.scalars(*self.named(numbers, limit, column=column)))

    def test_other_values(self) -> None:
        self.assertEqual(self.found([1, 3, 4], 2), ["n1", "n3"])
        self.assertEqual(self.found([2], 9), ["n2"])
        self.assertEqual(self.found([], 9), [])
        self.assertEqual(self.made, 1)

    def test_shapes(self) -> None:
        for _ in range(2):
            self.assertEqual(self.found([1], 1), ["n1"])
            self.assertEqual(self.found([1], 1, table.c.number), [1])
        self.assertEqual(self.made, 2)

    def test_parameters_do_not_clash_with_columns(self) -> None:
        @prepared
        def rename(number: Any, name: Any) -> sa.Update:
            return sa.update(table).where(table.c.number == number).values(name=name)

        self.assertEqual(self.connection.execute(*rename(1, None)).rowcount, 1)
        self.assertEqual(self.found([0, 1], 2), ["n0", None])

    def test_missing_value(self) -> None:
        self.assertRaises(ValueError, self.named, [1], column=table.c.name)
