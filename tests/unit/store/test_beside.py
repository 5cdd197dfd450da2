"""Several nodes store messages beside each other in one PostgreSQL database."""

from __future__ import annotations

import threading
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatd.base.errors import NotMember
from chatd.store.jobs import MOST_LEFT, Job
from chatd.store.new_entries import NewMessage
from chatd.store.schema import heads, messages, terms
from chatd.store.terms import KEPT
from tests.support.writing_nodes import NOW, Node, NodesCase


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
        """Send as the service does. Returns the stored message."""
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

    def wait_for(self, held: tuple[Any, ...], waiting: tuple[Any, ...]) -> tuple[Any, Any]:
        """Make the call `held`, which is held, and the call `waiting`, which waits for it, until it ends.
        Returns their results."""
        first, one = self.in_thread(*held)
        self.assertTrue(self.storing.wait(20))
        second, two = self.in_thread(*waiting)
        second.join(0.2)
        self.assertTrue(second.is_alive())
        self.held.set()
        first.join(20)
        second.join(20)
        self.assertFalse(second.is_alive())
        return one[0], two[0]

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
        one, two = self.wait_for((self.batch, self.one, 7, "b"), (self.batch, self.two, 7, "c"))
        self.assertEqual((one.seq, two.seq), (5, 6))
        self.assertLess(one.id, two.id)

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
        one, two = self.wait_for((self.one.writer.commit, jobs), (self.batch, self.two, 7, "c"))
        self.assertEqual([each.value.seq for each in one], [3, 5])
        self.assertEqual(two.seq, 6)
        self.assertEqual(self.one.send(7, "d").id, max(self.rows(messages.c.id))[0])

    def test_new_logs(self) -> None:
        """The logs of conversations without entries are locked, also after a rollback."""
        self.assertEqual(self.batch(self.one, 20, "a").seq, 1)
        self.hold(self.one)
        one, two = self.wait_for((self.batch, self.one, 21, "b"), (self.batch, self.two, 21, "c"))
        self.assertEqual((one.seq, two.seq), (1, 2))

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
        """Messages to other conversations do not wait. Jobs that are left come first in the next one."""
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
        """A node that ends first stores the jobs that it has left."""
        self.make_heads()
        self.hold(self.one)
        thread, _ = self.in_thread(self.batch, self.one, 7, "b")
        self.assertTrue(self.storing.wait(20))
        self.assertEqual(self.submit(self.two, (7, "c"), (8, "c")), [(8, 3)])
        self.held.set()
        thread.join(20)
        self.assertEqual([each.value.seq for each in self.two.writer.give_up()], [6])
        self.assertEqual(self.two.writer.give_up(), [])

    def test_not_left_forever(self) -> None:
        """After some attempts a node waits for the locks of the jobs that it has left."""
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
        """Jobs in an exclusive turn wait for nodes that store messages, and the other way round."""
        self.hold(self.one)
        move = self.two.writers.messages.epochs.move
        self.wait_for((self.batch, self.one, 7, "b"), (self.two.run, move, 7))

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
        one, two = self.wait_for(
            (self.batch, self.one, 7, "b", "key"), (self.batch, self.two, 7, "b", "key")
        )
        self.assertEqual((two.seq, two.id), (one.seq, one.id))

    def test_both_ways(self) -> None:
        """Two nodes that lock the same conversations at once do not wait for each other forever."""

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
