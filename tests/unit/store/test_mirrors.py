"""What this realm stores of groups elsewhere."""

from __future__ import annotations

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.model import Account
from chatd.store.mirrors import MemberProof, keep_admission
from chatd.store.schema import admissions, conversations, participants
from tests.support.engines import add_accounts, new_database

BUDI = Account(1, "budi", "budi", "Budi", "")


class AdmissionTestCase(SynchronousTestCase):
    def test_newest(self) -> None:
        """The newest report counts, whatever comes after it, and one without a seal proves nothing."""
        engine = new_database(self)
        with engine.connect() as connection:
            add_accounts(connection, [BUDI.id])
            connection.execute(sa.insert(conversations).values(id=1, kind="group", created_at=0))
            here = {"account_id": BUDI.id, "conversation_id": 1, "read_seq": 0, "joined_at": 0}
            connection.execute(sa.insert(participants).values(**here))
            kept: list[list[tuple[int, bytes]]] = []
            for number, seal in ((5, b"a"), (7, b"b"), (6, b"c"), (8, b""), (9, b"d")):
                keep_admission(connection, 1, BUDI, MemberProof(number, 0, seal))
                rows = connection.execute(sa.select(admissions.c.number, admissions.c.seal))
                kept.append([(row.number, row.seal) for row in rows])
        self.assertEqual(kept, [[(5, b"a")], [(7, b"b")], [(7, b"b")], [], [(9, b"d")]])
