"""No id of a file is used twice."""

from __future__ import annotations

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.attachments import StoredFile
from chatd.store.content import erase_file
from chatd.store.engine import connect
from chatd.store.files import Owner, insert_attachment
from chatd.store.schema import metadata


class FileIdsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        engine = connect(f"sqlite:///{self.mktemp()}")
        self.addCleanup(engine.dispose)
        metadata.create_all(engine)
        self.engine = engine
        self.count = 0

    def add(self, connection: sa.Connection) -> int:
        self.count += 1
        name = f"file{self.count}"
        file = StoredFile(name, 1, "0" * 64, "text/plain")
        owner = Owner(None, "budi@realm2", "realm2")
        return insert_attachment(connection, owner, name, name, file, 0).id

    def test_never_again(self) -> None:
        with self.engine.begin() as connection:
            self.assertEqual([self.add(connection) for _ in range(3)], [1, 2, 3])
            for ident in (3, 2):
                self.assertNotEqual(erase_file(connection, ident), ())
            self.assertEqual(self.add(connection), 4)
            for ident in (1, 4):
                erase_file(connection, ident)
            self.assertEqual(self.add(connection), 5)
