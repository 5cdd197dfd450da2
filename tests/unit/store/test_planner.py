"""SQLite finds the changes of a message by their index, also in long conversations."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, text
from twisted.trial.unittest import SynchronousTestCase

from chatd.store.engine import backend_of, connect
from chatd.store.migrate import prepare
from chatd.store.schema import changes
from chatd.store.sqlite import STATISTICS

HERE = "FROM changes WHERE conversation_id = 1 AND target = 2"
OF_A_MESSAGE = (
    f"SELECT seq {HERE} AND kind = 'deleted'",
    f"SELECT number, data {HERE} AND kind = 'pinned' ORDER BY seq DESC",
    f"SELECT max(seq) {HERE} AND kind = 'edited'",
)
OF_A_CONVERSATION = "SELECT data FROM changes WHERE conversation_id = 1 AND seq > 5 ORDER BY seq"


class Plans(SynchronousTestCase):
    def setUp(self) -> None:
        self.engine = connect(f"sqlite:///{Path(self.mktemp())}")
        self.addCleanup(self.engine.dispose)
        prepare(self.engine)

    def plan(self, query: str) -> str:
        with self.engine.connect() as connection:
            return str(connection.execute(text(f"EXPLAIN QUERY PLAN {query}")).all()[0][3])

    def test_of_a_message(self) -> None:
        """Also in connections that were open before, and in later ones."""
        for _ in range(2):
            for query in OF_A_MESSAGE:
                self.assertIn(
                    "changes_by_target (conversation_id=? AND target=?)", self.plan(query)
                )
            self.engine.dispose()

    def test_of_a_conversation(self) -> None:
        self.assertIn("PRIMARY KEY (conversation_id=? AND seq>?)", self.plan(OF_A_CONVERSATION))

    def known(self, connection: Connection) -> dict[str, str]:
        rows = connection.execute(text("SELECT idx, stat FROM sqlite_stat1"))
        return {row.idx: row.stat for row in rows}

    def test_again(self) -> None:
        """What is known is kept, also if an operator has used ANALYZE."""
        with self.engine.begin() as connection:
            backend_of(connection).inform_planner(connection)
            self.assertEqual(
                self.known(connection), {idx: stat for idx, (_, stat) in STATISTICS.items()}
            )
            connection.execute(
                changes.insert(),
                [
                    {"conversation_id": 1, "seq": seq, "kind": "deleted", "at": 0, "author": "a"}
                    for seq in range(5)
                ],
            )
            connection.execute(text("ANALYZE changes"))
            analyzed = self.known(connection)
            backend_of(connection).inform_planner(connection)
            self.assertEqual(self.known(connection), analyzed)
            self.assertEqual(analyzed["changes"], "5 5 1")
