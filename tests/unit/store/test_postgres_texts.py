"""Texts with NUL, on a PostgreSQL server."""

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
