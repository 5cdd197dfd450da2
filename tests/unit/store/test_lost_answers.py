"""The connection to PostgreSQL is lost in a transaction: nothing is stored twice, and callers get the true
outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatd.base.errors import StorageFailed
from chatd.store import node_turns, nodes
from chatd.store.jobs import Job, Outcome
from chatd.store.new_entries import NewMessage
from chatd.store.parcel_stream import ParcelStream
from chatd.store.schema import messages, settings
from chatd.store.schema import nodes as nodes_table
from tests.support.writing_nodes import NOW, Node, NodesCase


def names(outcomes: list[Outcome]) -> list[str]:
    """The name of the error of each job, or "" if it was done."""
    values = [outcome.value for outcome in outcomes]
    return [type(each.value).__name__ if isinstance(each, Failure) else "" for each in values]


class LosingCase(NodesCase):
    def setUp(self) -> None:
        super().setUp()
        self.one.send(7, "a")

    def terminate(self, raw: Any) -> None:
        """End a connection at the server."""
        pid = raw.info.backend_pid
        self.server.execute(f"SELECT pg_terminate_backend({pid}, 5000)")

    def lose(self, node: Node, commit: Callable[[Any], None]) -> None:
        """Let the next commit of `node` do this, and the connection be lost before the answer."""
        dialect = node.engine.dialect
        usual = dialect.do_commit

        def do_commit(connection: Any) -> None:
            self.patch(dialect, "do_commit", usual)
            raw = connection.driver_connection
            commit(raw)
            self.terminate(raw)
            raw.close()
            raise psycopg.OperationalError("the connection is lost")

        self.patch(dialect, "do_commit", do_commit)

    def texts(self) -> list[str]:
        return sorted(text for (text,) in self.rows(messages.c.text))

    def submit(self, node: Node, *texts: str) -> list[Outcome]:
        items = [NewMessage(7, 1, "ana", NOW, text) for text in texts]
        jobs = [Job(Deferred(), node.writers.messages.send, (item,), True) for item in items]
        return node.writer.commit(jobs)


class LostAnswers(LosingCase):
    def test_stored(self) -> None:
        """A transaction was stored, and its answer was lost. Its jobs get their outcomes as soon as
        that is known, before the next ones, with the numbers that they were given."""
        self.lose(self.one, lambda raw: raw.commit())
        self.assertEqual(self.submit(self.one, "b", "c"), [])
        self.assertEqual(self.one.writer.looks_after, 0.2)
        found = self.submit(self.one, "d")
        self.assertEqual([outcome.value.seq for outcome in found], [2, 3, 4])
        self.assertIsNone(self.one.writer.looks_after)
        self.assertEqual(self.texts(), ["a", "b", "c", "d"])

    def test_not_stored(self) -> None:
        self.lose(self.one, lambda raw: raw.rollback())
        self.assertEqual(self.submit(self.one, "b"), [])
        self.assertEqual(names(self.one.writer.commit([])), ["StorageFailed"])
        self.assertEqual(self.texts(), ["a"])
        self.assertEqual(self.submit(self.one, "c")[0].value.seq, 2)

    def test_nothing_to_store(self) -> None:
        """The result of a job that only reads is right, also if its transaction is not committed."""
        self.lose(self.one, lambda raw: None)
        read = Job(Deferred(), lambda connection: 5)
        self.assertEqual(self.one.writer.commit([read]), [])
        self.assertEqual([outcome.value for outcome in self.one.writer.commit([])], [5])

    def test_before_it_has_joined(self) -> None:
        """A node without a count can't know, and says so."""
        assert self.one.writer.turns is not None
        self.one.writer.turns.node = 0
        self.lose(self.one, lambda raw: raw.rollback())
        self.submit(self.one, "b")
        self.assertEqual(names(self.one.writer.commit([])), ["StorageFailed"])

    def test_others_meanwhile(self) -> None:
        """It does not matter what other nodes have stored since."""
        self.lose(self.one, lambda raw: raw.commit())
        self.submit(self.one, "b")
        self.two.send(7, "c")
        self.two.send(7, "d")
        self.assertEqual([outcome.value.seq for outcome in self.submit(self.one, "e")], [2, 5])

    def test_removed(self) -> None:
        """The others have removed the node meanwhile, so its count is gone. The server knows, too."""
        for commit, expected in (
            (lambda raw: raw.commit(), ""),
            (lambda raw: raw.rollback(), "StorageFailed"),
        ):
            self.lose(self.one, commit)
            self.submit(self.one, "b")
            self.two.run(nodes.leave, self.one.id)
            self.two.run(nodes.remove_left)
            self.assertEqual(names(self.one.writer.commit([])), [expected])
            again = self.two.run(nodes.join, "one", "host", NOW)
            assert self.one.writer.turns is not None
            self.one.writer.turns.node = self.one.id = again.id
        self.assertEqual(self.texts(), ["a", "b"])

    def test_removed_and_restarted(self) -> None:
        """If the server was started again since, too, no one can find out."""
        self.patch(
            node_turns,
            "_STATUS",
            "SELECT CASE 'another time' WHEN %s THEN pg_xact_status(%s::text::xid8) END",
        )
        self.lose(self.one, lambda raw: raw.commit())
        self.submit(self.one, "b")
        self.two.run(nodes.leave, self.one.id)
        self.two.run(nodes.remove_left)
        self.assertEqual(names(self.one.writer.commit([])), ["StorageFailed"])

    def test_under_way(self) -> None:
        """While the server has not ended the transaction, nothing is known, and nothing else is stored."""
        self.patch(node_turns, "LOOKS_FOR", 50)
        self.lose(self.one, lambda raw: raw.commit())
        self.submit(self.one, "b")
        with self.two.engine.begin() as connection:
            connection.execute(sa.update(nodes_table).values(address="elsewhere"))
            self.assertEqual(names(self.submit(self.one, "c")), ["StorageFailed"])
            self.assertEqual(self.one.writer.looks_after, 0.2)
        self.assertEqual(names(self.one.writer.commit([])), [""])
        self.assertEqual(self.texts(), ["a", "b"])

    def test_given_up(self) -> None:
        """A node that ends before it knows says that it could not store it."""
        self.lose(self.one, lambda raw: raw.commit())
        self.submit(self.one, "b")
        self.assertEqual(names(self.one.writer.give_up()), ["StorageFailed"])
        self.assertEqual(self.one.writer.give_up(), [])


class LostStreams(LosingCase):
    def test_order(self) -> None:
        """The connection is lost in the third of four messages of another realm. They run again, and none is
        stored before those that came before it."""
        stream, messages_of_one = ParcelStream(), self.one.writers.messages
        usual = messages_of_one._receive

        def receive(connection: Connection, items: list[NewMessage]) -> Any:
            if items[0].text == "d":
                self.patch(messages_of_one, "_receive", usual)
                self.terminate(connection.connection.driver_connection)
            return usual(connection, items)

        self.patch(messages_of_one, "_receive", receive)
        jobs = [
            Job(Deferred(), messages_of_one.receive, ([new], stream.next()))
            for number, text in enumerate("bcde", 1)
            for new in [NewMessage(7, None, "cy@far", NOW, text, origin=("far", number))]
        ]
        self.assertEqual(names(self.one.writer.commit(jobs)), [""] * 4)
        found = sorted(self.rows(messages.c.seq, messages.c.text))
        self.assertEqual([text for _, text in found], ["a", "b", "c", "d", "e"])


class SlowJobs(LosingCase):
    """Jobs that take so long between two statements that the server ends the turn."""

    def setUp(self) -> None:
        super().setUp()
        self.runs: list[str] = []
        self.seconds = 5  # that a slow job takes

    def job(self, name: str) -> Job:
        return Job(Deferred(), self.put, (name,))

    def put(self, connection: Connection, name: str) -> None:
        """Add a row. The server ends the connection of slow jobs as it does after the time."""
        self.runs.append(name)
        connection.execute(sa.insert(settings).values(name=name, value=""))
        limit = connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one()
        if name == "slow" and int(limit.removesuffix("s")) < self.seconds:
            self.terminate(connection.connection.driver_connection)

    def put_all(self, connection: Connection, items: list[str]) -> list[None]:
        for item in items:
            self.put(connection, item)
        return [None] * len(items)

    def stored(self) -> list[str]:
        return sorted(name for (name,) in self.rows(settings.c.name) if name in self.runs)

    def test_all_are_stored(self) -> None:
        """One slow job has the server's patience when it is alone. The others are not lost with it."""
        jobs = [self.job("a"), self.job("slow"), self.job("b")]
        self.assertEqual(names(self.one.writer.commit(jobs)), ["", "", ""])
        self.assertEqual(self.stored(), ["a", "b", "slow"])

    def test_too_slow(self) -> None:
        """A job that takes even longer fails alone."""
        self.seconds = 60
        jobs = [self.job("a"), self.job("slow"), self.job("b")]
        self.assertEqual(names(self.one.writer.commit(jobs)), ["", "StorageFailed", ""])
        self.assertEqual(self.stored(), ["a", "b"])

    def test_batch(self) -> None:
        """Also one among the items of a batch."""
        self.seconds = 60
        items = ["a", "b", "slow", "c"]
        jobs = [Job(Deferred(), self.put_all, (item,), True) for item in items]
        self.assertEqual(names(self.one.writer.commit(jobs)), ["", "", "StorageFailed", ""])
        self.assertEqual(self.stored(), ["a", "b", "c"])

    def test_statement(self) -> None:
        """A statement that takes too long fails its job, and no other one."""

        def sleep(connection: Connection) -> None:
            connection.exec_driver_sql("SET LOCAL statement_timeout = 20")
            connection.exec_driver_sql("SELECT pg_sleep(5)")

        jobs = [self.job("a"), Job(Deferred(), sleep), self.job("b")]
        self.assertEqual(names(self.one.writer.commit(jobs)), ["", "StorageFailed", ""])
        self.flushLoggedErrors()
        self.assertEqual(self.stored(), ["a", "b"])

    def test_unreachable(self) -> None:
        """If the server can't be reached at all, jobs are not tried one by one."""

        def lose(connection: Connection) -> None:
            raw: Any = connection.connection.driver_connection
            self.patch(self.one.engine.dialect, "connect", self.refuse)
            self.terminate(raw)
            connection.execute(sa.select(settings))

        jobs = [self.job("a"), Job(Deferred(), lose), *(self.job(str(n)) for n in range(5))]
        self.assertEqual(set(names(self.one.writer.commit(jobs))), {StorageFailed.__name__})
        self.assertEqual(self.runs, ["a"])

    def refuse(self, *_: Any, **__: Any) -> Any:
        raise psycopg.OperationalError("no server")
