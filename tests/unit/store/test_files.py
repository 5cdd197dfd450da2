"""Queries for files read no more messages than those that carry the files."""

from __future__ import annotations

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.attachments import StoredFile
from chatd.store.content import erase_file
from chatd.store.files import Owner, files_of, find_file, get_attachment, insert_attachment
from chatd.store.schema import pictures
from tests.support.engines import new_database
from tests.support.query_plans import plans

READER = 1


class QueryPlans(SynchronousTestCase):
    def setUp(self) -> None:
        self.engine = new_database(self)

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


class Pictures(SynchronousTestCase):
    def test_sizes(self) -> None:
        """The size of a picture is kept with its file, and goes with it."""
        engine = new_database(self)
        with engine.begin() as connection:
            for number, (width, height, received) in enumerate(
                ((640, 480, "00ff"), (640, 480, None), (0, 0, "00ff"), (0, 0, None))
            ):
                stored = StoredFile(
                    f"stored {number}", 5, "ab", "image/png", width, height, received
                )
                owner = Owner(sender_key="a@b", realm="b")
                added = insert_attachment(connection, owner, f"c{number}", "gol.png", stored, 1)
                self.assertEqual(get_attachment(connection, added.id), added)
                found = (added.width, added.height, added.received)
                self.assertEqual(found, (width or None, height or None, received))
                erase_file(connection, added.id)
            self.assertEqual(connection.execute(sa.select(pictures)).all(), [])
