"""Several nodes write to one PostgreSQL database, in turns."""

from __future__ import annotations

from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy import Connection
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import StorageFailed
from chatd.store import node_turns, nodes
from chatd.store.engine import connect
from chatd.store.node_turns import NodeRemoved
from chatd.store.outbox import NewParcel
from chatd.store.parcel_numbers import TERM_BITS
from chatd.store.postgres import FIRST_PAUSE, LONGEST_PAUSE, Connecting
from chatd.store.schema import messages, outbox, settings
from chatd.store.schema import nodes as nodes_table
from tests.support.writing_nodes import NOW, Node, NodesCase


class Numbering(NodesCase):
    def test_numbers(self) -> None:
        """Each continues where the other has ended: seqs without gaps, ids without repetition."""
        for number in range(4):
            self.one.send(7, f"one {number}")
            self.two.send(7, f"two {number}")
            self.two.send(8, f"two {number}")
        found = self.rows(messages.c.conversation_id, messages.c.seq)
        self.assertEqual([seq for place, seq in found if place == 7], list(range(1, 9)))
        self.assertEqual([seq for place, seq in found if place == 8], list(range(1, 5)))
        self.assertEqual(len(set(self.rows(messages.c.id))), 12)

    def test_parcels(self) -> None:
        """The numbers of parcels grow, whichever node takes them, also those for other realms."""
        for number in range(3):
            self.one.send(7, f"one {number}", "realm2")
            self.two.send(7, f"two {number}", "realm2", "realm3")
        found = self.rows(outbox.c.id, outbox.c.realm)
        in_order = sorted(number for number, realm in found if realm == "realm2")
        self.assertEqual(len(set(in_order)), 6)
        texts = [text for (text,) in self.rows(messages.c.text)]
        numbers = dict(self.rows(messages.c.text, messages.c.number))
        self.assertEqual([numbers[text] for text in texts], in_order)

    def test_parcels_after_a_new_connection(self) -> None:
        """A node that has reconnected, and has taken no number since, tells the others no older one."""
        three = self.node("three")
        three.send(7, "a", "realm2")
        self.one.send(7, "b", "realm2")
        self.two.send(7, "c", "realm2")
        raw: Any = self.one.writer._connection.connection.driver_connection
        self.server.execute(f"SELECT pg_terminate_backend({raw.info.backend_pid})")
        self.assertRaises(StorageFailed, self.one.send, 7, "d")
        self.one.run(nodes.beat, self.one.id, NOW)
        three.send(7, "e", "realm2")
        self.assertEqual(len(set(self.rows(outbox.c.id))), 4)

    def test_last_number_is_stored(self) -> None:
        """A node does not write again what another one has written: nodes that store something beside each
        other would wait for each other."""
        self.one.send(7, "a", "realm2")
        self.two.send(7, "b", "realm2")
        query = sa.text("SELECT xmin::text, value FROM settings WHERE name = 'last number'")
        with self.one.engine.connect() as connection:
            written = connection.execute(query).one()
            self.one.send(7, "c")
            self.assertEqual(connection.execute(query).one(), written)

    def test_one_term(self) -> None:
        """All number in the term of the node that was started last."""
        first = self.one.send(7, "a", "realm2").number
        later = self.node("three", NOW + 60_000)
        started = later.send(7, "b", "realm2").number
        self.assertGreater(started >> TERM_BITS, first >> TERM_BITS)
        for node in (self.one, later, self.one):
            number = node.send(7, "c", "realm2").number
            self.assertEqual(number >> TERM_BITS, started >> TERM_BITS)

    def test_rollback(self) -> None:
        """Numbers that a node has taken in a transaction that was rolled back are not those of the others."""
        self.one.send(7, "a", "realm2")

        def fail(connection: Connection) -> None:
            self.one.writers.parcels.store(connection, [NewParcel("realm2", b"lost", NOW)])
            raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, self.one.run, fail)
        self.two.send(7, "b", "realm2")
        self.one.send(7, "c", "realm2")
        self.assertEqual(len(set(self.rows(outbox.c.id))), 3)

    def test_only_after_others(self) -> None:
        """A node drops its caches only after another one has changed something."""
        self.one.send(7, "a")
        before = self.one.renewed
        self.one.send(7, "b")
        self.two.run(lambda connection: connection.execute(sa.select(settings)).all())
        self.one.send(7, "c")
        self.assertEqual(self.one.renewed, before)
        self.two.send(7, "d")
        self.one.send(7, "e")
        self.assertEqual(self.one.renewed, before + 1)

    def test_many_turns(self) -> None:
        """The count has room for the turns of a hundred years, 2000 in each second."""
        turns = 100 * 366 * 24 * 3600 * 2000
        count = sa.update(nodes_table).values(commits=turns * node_turns.TURN)
        self.two.run(lambda connection: connection.execute(count))
        self.assertEqual(self.one.send(7, "a").seq, 1)
        self.assertEqual(self.two.send(7, "b").seq, 2)

    def test_removed(self) -> None:
        """A node that the others have removed can read, and changes nothing until it has joined again."""
        self.two.run(nodes.leave, self.one.id)
        self.two.run(nodes.remove_left)
        self.one.run(lambda connection: connection.execute(sa.select(settings)).all())
        self.assertRaises(StorageFailed, self.one.send, 7, "a")
        self.assertIn(str(NodeRemoved().orig), str(self.one.writer.trouble))
        self.assertEqual(self.rows(messages.c.id), [])
        again = self.two.run(nodes.join, "one", "host", NOW)
        assert self.one.writer.turns is not None
        self.one.writer.turns.node = again.id
        self.assertEqual(self.one.send(7, "a").seq, 1)

    def test_paused(self) -> None:
        """A node that is stopped in its turn keeps the others waiting for a short time only. Its
        transaction is not stored, and then the node continues."""
        for limit in ("LONGEST_SILENCE", "PATIENT_SILENCE"):
            self.patch(node_turns, limit, 100)
        sent: list[int] = []

        def pause(connection: Connection) -> None:
            connection.execute(sa.insert(settings).values(name="x", value="y"))
            sent.append(self.two.send(7, "b").seq)

        self.assertRaises(StorageFailed, self.one.run, pause)
        self.flushLoggedErrors()
        self.assertEqual(sent, [1, 2, 3])  # it was tried three times
        self.assertEqual(self.rows(settings.c.name).count(("x",)), 0)
        self.assertEqual(self.one.send(7, "c").seq, 4)

    def test_beat(self) -> None:
        """Each commit counts as a beat, so a node is alive even if its beats wait for many transactions."""
        set_beat = sa.update(nodes_table).values(beat=1)
        self.two.run(lambda connection: connection.execute(set_beat))
        self.one.send(7, "a")
        found = dict(self.rows(nodes_table.c.id, nodes_table.c.beat))
        self.assertGreater(found[self.one.id], 1)

    def test_reconnected(self) -> None:
        """After the connection was lost, a term begins, because the server may be another one that lacks the
        last transactions. Jobs that were not committed are refused."""
        before = self.one.send(7, "a", "realm2").number
        self.server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname <> 'postgres'"
        )
        self.assertRaises(StorageFailed, self.one.send, 7, "b", "realm2")
        after = self.one.send(7, "c", "realm2")
        self.assertEqual(after.seq, 2)
        self.assertGreater(after.number >> TERM_BITS, before >> TERM_BITS)

    def test_isolation(self) -> None:
        """Each statement sees everything that was committed before it, whatever the database's default is."""
        given = {"options": "-c default_transaction_isolation=serializable"}
        url = sa.make_url(self.url).update_query_dict(given)
        engine = connect(url.render_as_string(hide_password=False))
        self.addCleanup(engine.dispose)
        with engine.connect() as connection:
            isolation = connection.exec_driver_sql("SHOW transaction_isolation").scalar()
        self.assertEqual(isolation, "read committed")

    def limit_waiting(self, node: Node) -> None:
        """Let `node` wait for a moment only for its turn."""
        connection = node.writer._connection
        with connection.begin():
            connection.exec_driver_sql("SET lock_timeout = '20ms'")

    def test_no_turn(self) -> None:
        """A sender whose node waits in vain for its turn is told that nothing is stored."""
        self.limit_waiting(self.two)

        def meanwhile(_connection: Connection) -> None:
            self.assertRaises(StorageFailed, self.two.send, 7, "b")

        self.one.run(meanwhile)
        self.assertIn("lock timeout", str(self.two.writer.trouble))
        self.assertEqual(self.two.send(7, "c").seq, 1)

    def test_trouble(self) -> None:
        """Only a transaction that changes something shows that things can be stored again."""
        self.limit_waiting(self.two)
        self.one.run(lambda _connection: self.assertRaises(StorageFailed, self.two.send, 7, "b"))
        self.two.run(lambda connection: connection.execute(sa.select(settings)).all())
        self.assertIn("lock timeout", str(self.two.writer.trouble))
        self.two.send(7, "c")
        self.assertIsNone(self.two.writer.trouble)

    def test_not_counted(self) -> None:
        """So is one whose transaction can't be counted."""
        self.patch(node_turns, "_COUNT", "SELECT 1 / 0, %s, %s")
        self.assertRaises(StorageFailed, self.one.send, 7, "a")
        self.flushLoggedErrors()
        self.assertEqual(self.rows(messages.c.id), [])

    def test_reconnected_in_vain(self) -> None:
        """A term also begins if the first transaction of the new connection has failed."""
        before = self.one.send(7, "a", "realm2").number
        self.server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname <> 'postgres'"
        )
        self.assertRaises(StorageFailed, self.one.send, 7, "b", "realm2")

        def meanwhile(_connection: Connection) -> None:
            self.limit_waiting(self.one)
            self.assertRaises(StorageFailed, self.one.send, 7, "b", "realm2")

        self.assertRaises(StorageFailed, self.two.send, 7, "b")
        self.two.run(meanwhile)
        after = self.one.send(7, "c", "realm2")
        self.assertGreater(after.number >> TERM_BITS, before >> TERM_BITS)


class Dialect:
    """Connects if `reachable`."""

    def __init__(self) -> None:
        self.reachable = False
        self.attempts = 0

    def connect(self) -> str:
        self.attempts += 1
        if not self.reachable:
            raise psycopg.OperationalError("no")
        return "a connection"


class Reconnecting(SynchronousTestCase):
    def test_ever_more_rarely(self) -> None:
        now = [0.0]
        dialect, connecting = Dialect(), Connecting(lambda: now[0])

        def attempt() -> None:
            self.assertRaises(psycopg.OperationalError, connecting, dialect, None, (), {})

        pause = FIRST_PAUSE
        for attempts in range(1, 9):
            attempt()
            attempt()
            self.assertEqual(dialect.attempts, attempts)
            now[0] += pause
            pause = min(2 * pause, LONGEST_PAUSE)
        dialect.reachable = True
        self.assertEqual(connecting(dialect, None, (), {}), "a connection")
        dialect.reachable = False
        attempt()
        self.assertEqual(dialect.attempts, 10)
