"""Queries for files read no more messages than those that carry the files."""

from __future__ import annotations

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from chatd.store.files import files_of, find_file
from chatd.store.schema import metadata
from tests.support.query_plans import plans

READER = 1


class QueryPlans(SynchronousTestCase):
    def setUp(self) -> None:
        self.engine = sa.create_engine("sqlite://")
        self.addCleanup(self.engine.dispose)
        metadata.create_all(self.engine)

    def test_list(self) -> None:
        """A conversation has far more messages than files."""

        def read() -> None:
            with self.engine.connect() as connection:
                files_of(connection, READER, 10)

        found = plans(self.engine, read, "messages")
        for plan in found:
            self.assertRegex(plan, "USING (COVERING )?INDEX messages_by_(file|attachment)")
        self.assertIn("messages_by_file (conversation_id=?", " ".join(found))

    def test_one_file(self) -> None:
        def read() -> None:
            with self.engine.connect() as connection:
                for conversation in (None, 1):
                    find_file(connection, READER, "abcdef-a.txt", False, ("a", 1), conversation)

        found = plans(self.engine, read, "messages", "attachments")
        self.assertTrue(found)
        for plan in found:
            self.assertRegex(plan, "^SEARCH .* USING (COVERING )?INDEX .*=")
