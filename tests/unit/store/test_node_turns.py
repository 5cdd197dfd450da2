"""Several nodes write to one PostgreSQL database, in turns."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import NotMember, StorageFailed
from chatd.store import node_turns, nodes
from chatd.store.engine import connect
from chatd.store.jobs import Job
from chatd.store.new_entries import NewMessage
from chatd.store.node_turns import NodeRemoved
from chatd.store.outbox import NewParcel
from chatd.store.parcel_numbers import TERM_BITS
from chatd.store.postgres import FIRST_PAUSE, LONGEST_PAUSE, Connecting
from chatd.store.schema import heads, messages, outbox, settings, terms
from chatd.store.schema import nodes as nodes_table
from chatd.store.terms import KEPT
from chatd.store.writer import MOST_LEFT
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
        """What a node keeps in memory is dropped only after another one has changed something."""
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
        """A node that is stopped in its turn keeps the others waiting for a short time only. What it had
        begun is not stored, and then it goes on."""
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
        """Whoever commits something lives, also if its beats wait behind many transactions."""
        set_beat = sa.update(nodes_table).values(beat=1)
        self.two.run(lambda connection: connection.execute(set_beat))
        self.one.send(7, "a")
        found = dict(self.rows(nodes_table.c.id, nodes_table.c.beat))
        self.assertGreater(found[self.one.id], 1)

    def test_reconnected(self) -> None:
        """After the connection was lost, a term begins, because the server may be another one that lacks the
        last transactions. What was not committed is refused."""
        before = self.one.send(7, "a", "realm2").number
        self.server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname <> 'postgres'"
        )
        self.assertRaises(StorageFailed, self.one.send, 7, "b", "realm2")
        after = self.one.send(7, "c", "realm2")
        self.assertEqual(after.seq, 2)
        self.assertGreater(after.number >> TERM_BITS, before >> TERM_BITS)

    def test_isolation(self) -> None:
        """A node sees what was committed before each statement, whatever the database's default is."""
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


class StoringBeside(NodesCase):
    """Nodes store messages beside each other."""

    def setUp(self) -> None:
        super().setUp()
        self.held = threading.Event()
        self.storing = threading.Event()
        self.jobs: list[Job] = []
        self.addCleanup(self.held.set)
        for node in (self.one, self.two):
            node.send(7, "a")  # now it knows of the other one
            node.send(8, "a")
            node.send(7, "a")

    def batch(self, node: Node, conversation: int, text: str, key: str | None = None) -> Any:
        """Send as the service does. Returns what is stored."""
        new = NewMessage(conversation, 1, "ana", NOW, text, key=key)
        run = node.writers.messages.send if key is None else node.writers.sends.store
        [outcome] = node.writer.commit([Job(Deferred(), run, (new,), True)])
        if isinstance(outcome.value, Failure):
            outcome.value.raiseException()
        return outcome.value

    def hold(self, node: Node) -> None:
        """Let the next transaction of `node` wait before its commit, until `held` is set."""
        turns = node.writer.turns
        assert turns is not None
        end = turns.end

        def wait(connection: Connection) -> None:
            self.storing.set()
            assert self.held.wait(20)
            end(connection)

        self.patch(turns, "end", wait)

    def in_thread(self, *call: Any) -> tuple[threading.Thread, list[Any]]:
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(call[0](*call[1:])), daemon=True)
        thread.start()
        return thread, found

    def test_other_conversation(self) -> None:
        """It does not wait for a transaction of another node."""
        self.hold(self.one)
        thread, found = self.in_thread(self.batch, self.one, 7, "b")
        self.assertTrue(self.storing.wait(20))
        self.assertEqual(self.batch(self.two, 8, "b").seq, 3)
        self.held.set()
        thread.join(20)
        self.assertEqual(found[0].seq, 5)
        self.assertEqual(self.batch(self.two, 7, "c").seq, 6)
        self.assertEqual(len(set(self.rows(messages.c.id))), 9)

    def test_same_conversation(self) -> None:
        """It waits for the other node's transaction, and continues where that has ended."""
        self.hold(self.one)
        first, one = self.in_thread(self.batch, self.one, 7, "b")
        self.assertTrue(self.storing.wait(20))
        second, two = self.in_thread(self.batch, self.two, 7, "c")
        second.join(0.2)
        self.assertTrue(second.is_alive())
        self.held.set()
        first.join(20)
        second.join(20)
        self.assertEqual((one[0].seq, two[0].seq), (5, 6))
        self.assertLess(one[0].id, two[0].id)

    def test_locked_at_once(self) -> None:
        """All conversations of a transaction are locked before anything is stored, with or without keys:
        otherwise two nodes could wait for each other."""
        store = self.one.writers.messages.store

        def wait(*args: Any) -> Any:
            self.storing.set()
            assert self.held.wait(20)
            return store(*args)

        self.patch(self.one.writers.messages, "store", wait)
        plain, named = (NewMessage(place, 1, "ana", NOW, "b", key="key") for place in (8, 7))
        jobs = [
            Job(Deferred(), self.one.writers.messages.send, (plain,), True),
            Job(Deferred(), self.one.writers.sends.store, (named,), True),
        ]
        first, one = self.in_thread(self.one.writer.commit, jobs)
        self.assertTrue(self.storing.wait(20))
        second, two = self.in_thread(self.batch, self.two, 7, "c")
        second.join(0.2)
        self.assertTrue(second.is_alive())
        self.held.set()
        first.join(20)
        second.join(20)
        self.assertEqual([each.value.seq for each in one[0]], [3, 5])
        self.assertEqual(two[0].seq, 6)
        self.assertEqual(self.one.send(7, "d").id, max(self.rows(messages.c.id))[0])

    def test_new_logs(self) -> None:
        """The logs of conversations without entries are locked, also after a rollback."""
        self.assertEqual(self.batch(self.one, 20, "a").seq, 1)
        self.hold(self.one)
        first, one = self.in_thread(self.batch, self.one, 21, "b")
        self.assertTrue(self.storing.wait(20))
        second, two = self.in_thread(self.batch, self.two, 21, "c")
        second.join(0.2)
        self.assertTrue(second.is_alive())
        self.held.set()
        first.join(20)
        second.join(20)
        self.assertEqual((one[0].seq, two[0].seq), (1, 2))

    def make_heads(self) -> None:
        """A node that adds the first head of a log waits for another one that does the same."""
        with self.one.engine.begin() as connection:
            connection.execute(sa.insert(heads), [{"conversation_id": 7}, {"conversation_id": 8}])

    def submit(self, node: Node, *messages: tuple[int, str]) -> list[tuple[int, int]]:
        """Send several messages at once. Returns the conversations and seqs of those that are stored now."""
        jobs = []
        for place, text in messages:
            new = NewMessage(place, 1, "ana", NOW, text)
            jobs.append(Job(Deferred(), node.writers.messages.send, (new,), True))
        self.jobs += jobs
        places = {job.done: job.args[0].conversation for job in self.jobs}
        return [(places[each.done], each.value.seq) for each in node.writer.commit(jobs)]

    def test_what_is_free(self) -> None:
        """Messages to other conversations do not wait. What is left comes first in a later transaction."""
        self.make_heads()
        self.hold(self.one)
        thread, _ = self.in_thread(self.batch, self.one, 7, "b")
        self.assertTrue(self.storing.wait(20))
        found = self.submit(self.two, (7, "c"), (8, "c"), (7, "d"), (9, "c"))
        self.assertEqual(found, [(8, 3), (9, 1)])
        self.assertEqual(self.two.writer.looks_after, 0.0)
        self.held.set()
        thread.join(20)
        found = self.submit(self.two, (7, "e"), (8, "e"))
        self.assertEqual(found, [(7, 6), (7, 7), (7, 8), (8, 4)])
        self.assertIsNone(self.two.writer.looks_after)
        texts = self.rows(messages.c.seq, messages.c.text, messages.c.conversation_id)
        order = [text for _, text, place in sorted(texts) if place == 7]
        self.assertEqual(order[-4:], ["b", "c", "d", "e"])

    def test_left_at_the_end(self) -> None:
        """A node that ends stores what it has left before."""
        self.make_heads()
        self.hold(self.one)
        thread, _ = self.in_thread(self.batch, self.one, 7, "b")
        self.assertTrue(self.storing.wait(20))
        self.assertEqual(self.submit(self.two, (7, "c"), (8, "c")), [(8, 3)])
        self.held.set()
        thread.join(20)
        self.assertEqual([each.value.seq for each in self.two.writer.give_up()], [6])
        self.assertEqual(self.two.writer.give_up(), [])

    def test_not_left_for_good(self) -> None:
        """After some attempts a node waits for what it has left."""
        self.make_heads()
        self.hold(self.one)
        first, _ = self.in_thread(self.batch, self.one, 7, "b")
        self.assertTrue(self.storing.wait(20))
        self.submit(self.two, (7, "c"), (8, "c"))
        for _ in range(MOST_LEFT - 1):
            self.submit(self.two, (8, "d"))
        second, found = self.in_thread(self.submit, self.two, (8, "e"))
        second.join(0.2)
        self.assertTrue(second.is_alive())
        self.held.set()
        first.join(20)
        second.join(20)
        self.assertEqual(found[0], [(7, 6), (8, 6)])

    def test_terms(self) -> None:
        """A log keeps its newest terms."""
        rows = [{"conversation_id": 8, "term": term, "first": 1} for term in range(KEPT)]
        with self.one.engine.begin() as connection:
            connection.execute(sa.delete(terms))
            connection.execute(sa.insert(terms), rows)
        self.submit(self.two, (8, "b"), (7, "b"))
        found = self.rows(terms.c.term, terms.c.conversation_id)
        kept = sorted(term for term, place in found if place == 8)
        self.assertEqual(kept[:-1], [*range(1, KEPT)])
        self.assertEqual([each for each in found if each[1] == 7], [(kept[-1], 7)])

    def test_turn(self) -> None:
        """What needs the turn of a node waits for those that store messages, and the other way round."""
        self.hold(self.one)
        first, _ = self.in_thread(self.batch, self.one, 7, "b")
        self.assertTrue(self.storing.wait(20))
        second, _ = self.in_thread(self.two.run, self.two.writers.messages.epochs.move, 7)
        second.join(0.2)
        self.assertTrue(second.is_alive())
        self.held.set()
        first.join(20)
        second.join(20)
        self.assertFalse(second.is_alive())

    def test_moved_epoch(self) -> None:
        """A sender who lost the right to write on another node is refused here."""
        refusals: list[int] = []

        def check_again(_connection: Connection, item: NewMessage) -> NewMessage:
            refusals.append(item.conversation)
            raise NotMember(group="g")

        self.two.writers.messages.epochs.on_moved(check_again)
        epoch = self.one.run(self.one.writers.messages.epochs.move, 7)
        new = NewMessage(7, 1, "ana", NOW, "b", epoch=epoch - 1)
        send = self.two.writers.messages.send
        [outcome] = self.two.writer.commit([Job(Deferred(), send, (new,), True)])
        self.assertIsInstance(outcome.value.value, NotMember)
        self.assertEqual(refusals, [7])

    def test_one_key(self) -> None:
        """A message that is sent again at another node is stored once."""
        first = self.batch(self.one, 7, "b", "key")
        again = self.batch(self.two, 7, "b", "key")
        self.assertEqual((again.seq, again.id), (first.seq, first.id))
        self.assertEqual(len(self.rows(messages.c.id)), 7)

    def test_one_key_at_once(self) -> None:
        """Also while the first is not committed yet, and also to another conversation."""
        self.hold(self.one)
        first, one = self.in_thread(self.batch, self.one, 7, "b", "key")
        self.assertTrue(self.storing.wait(20))
        second, two = self.in_thread(self.batch, self.two, 7, "b", "key")
        self.held.set()
        first.join(20)
        second.join(20)
        self.assertEqual((two[0].seq, two[0].id), (one[0].seq, one[0].id))

    def test_both_ways(self) -> None:
        """Two nodes that lock the same conversations at once do not wait for each other for good."""

        def send_all(node: Node) -> None:
            for number in range(20):
                items = [NewMessage(place, 1, "ana", NOW, str(number)) for place in (8, 9, 7)]
                run = node.writers.messages.send
                node.writer.commit([Job(Deferred(), run, (item,), True) for item in items])

        threads = [self.in_thread(send_all, node)[0] for node in (self.one, self.two)]
        for thread in threads:
            thread.join(20)
        for place, before in ((7, 4), (8, 2), (9, 0)):
            seqs = [
                seq
                for each, seq in self.rows(messages.c.conversation_id, messages.c.seq)
                if each == place
            ]
            self.assertEqual(sorted(seqs), list(range(1, before + 41)))


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
