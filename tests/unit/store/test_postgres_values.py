"""Values that PostgreSQL has in another way than SQLite: texts with NUL, and sums."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatd.store.engine import connect
from tests.support.postgres import MISSING, find_programs, server


class TextsWithNul(SynchronousTestCase):
    if find_programs() is None:
        skip = MISSING

    def test_equal_nothing(self) -> None:
        """They are no error: clients may look for them. Other texts are as they were."""
        found = server()
        assert found is not None
        engine = connect(found.url("postgres"))
        self.addCleanup(engine.dispose)
        with engine.connect() as connection:
            for text, expected in (("a", True), ("a\x00", False), ("\x00", False), ("é", True)):
                for query, values in (
                    ("SELECT %s = CAST('a' AS text) OR %s = CAST('é' AS text)", (text, text)),
                    ("SELECT ARRAY['a', 'é'] && CAST(%s AS text[])", ([text],)),
                    ("SELECT %s::text || '' IN ('a', 'é')", (text,)),
                ):
                    answer = connection.exec_driver_sql(query, values).scalar()
                    self.assertEqual(answer, expected, (text, query))


class Sums(SynchronousTestCase):
    if find_programs() is None:
        skip = MISSING

    def test_are_integers(self) -> None:
        """Also of numbers with 64 bits, whose sums are decimal numbers."""
        found = server()
        assert found is not None
        engine = connect(found.url("postgres"))
        self.addCleanup(engine.dispose)
        with engine.connect() as connection:
            query = "SELECT sum(each) FROM unnest(%s::bigint[]) AS each"
            for values in ([0], [2**62, 2**62, -7]):
                found_sum = connection.exec_driver_sql(query, (values,)).scalar()
                self.assertEqual((type(found_sum), found_sum), (int, sum(values)))
