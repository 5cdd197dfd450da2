"""Many jobs share one commit, each is isolated from the others, and none is lost."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import IntegrityError
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import provider

from chatd.base.errors import StorageFailed, UnknownUser
from chatd.store.database import Database
from chatd.store.engine import connect
from chatd.store.jobs import Job
from chatd.store.writer import Writer
from chatd.store.writer_thread import MAX_JOBS
from tests.support.common import sleep


def add(connection: Connection, value: str) -> str:
    """A job that fails if the value exists."""
    connection.execute(text("INSERT INTO things (value) VALUES (:value)"), {"value": value})
    return value.upper()


def add_all(connection: Connection, values: Sequence[str]) -> list[str]:
    """The same as a batch, with one statement for all items."""
    connection.execute(
        text("INSERT INTO things (value) VALUES (:value)"), [{"value": each} for each in values]
    )
    return [each.upper() for each in values]


def add_and_refuse(connection: Connection, value: str) -> None:
    """A job that changes something before it fails."""
    add(connection, value)
    raise UnknownUser(name=value)


def add_and_break(connection: Connection, value: str) -> None:
    add(connection, value)
    raise ZeroDivisionError


def fill(connection: Connection) -> None:
    connection.execute(text("INSERT INTO things (value) VALUES (hex(randomblob(400000)))"))


def set_pages(connection: Connection, pages: int) -> int:
    found = connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}").scalar_one()
    return int(found)


def values(connection: Connection) -> list[str]:
    return list(connection.scalars(text("SELECT value FROM things ORDER BY id")))


def make_engine(folder: Path) -> Engine:
    folder.mkdir(parents=True)
    engine = connect(f"sqlite:///{folder / 'test.db'}")
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE things (id INTEGER PRIMARY KEY, value TEXT UNIQUE)"))
    return engine


def commits_of(engine: Engine) -> list[object]:
    """A list that grows with each COMMIT."""
    seen: list[object] = []
    event.listen(engine, "commit", seen.append)
    return seen


class Connecting(SynchronousTestCase):
    def test_durable(self) -> None:
        """SQLite uses a write-ahead log, syncs at every commit and enforces foreign keys."""
        engine = make_engine(Path(self.mktemp()))
        self.addCleanup(engine.dispose)
        with engine.connect() as connection:
            found = {
                pragma: connection.exec_driver_sql(f"PRAGMA {pragma}").scalar()
                for pragma in ("journal_mode", "synchronous", "foreign_keys")
            }
        self.assertEqual(found, {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1})

    def test_case_of_all_letters(self) -> None:
        """lower() handles all letters, and returns values that are not text unchanged."""
        engine = make_engine(Path(self.mktemp()))
        self.addCleanup(engine.dispose)
        with engine.connect() as connection:
            row = connection.execute(text("SELECT lower('ÉÀ Ж'), lower(NULL), lower(7)")).one()
        self.assertEqual(tuple(row), ("éà ж", None, 7))


class WriterTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.engine = make_engine(Path(self.mktemp()))
        self.writer = Writer(self.engine)
        self.addCleanup(self.engine.dispose)
        self.addCleanup(self.writer.close)
        self.forgotten = 0
        self.writer.on_rollback(self.forget)

    def forget(self) -> None:
        self.forgotten += 1

    def commit(self, *jobs: Job) -> list[Any]:
        """The outcome of each job: its value, or the type of its error."""
        found = []
        for job, outcome in zip(jobs, self.writer.commit(jobs), strict=True):
            self.assertIs(outcome.done, job.done)
            failed = isinstance(outcome.value, Failure)
            found.append(outcome.value.type if failed else outcome.value)
        return found

    def stored(self) -> list[str]:
        with self.engine.connect() as connection, connection.begin():
            return values(connection)

    def test_one_commit_for_all(self) -> None:
        commits = commits_of(self.engine)
        found = self.commit(job(add, "a"), job(add, "b"), item("c"), item("d"), job(add, "e"))
        self.assertEqual(found, ["A", "B", "C", "D", "E"])
        self.assertEqual(self.stored(), ["a", "b", "c", "d", "e"])
        self.assertEqual(len(commits), 1 + 1)  # and that of reading
        self.assertEqual(self.forgotten, 0)

    def test_failing_job_takes_no_other_with_it(self) -> None:
        """The changes of a failed job are undone, whatever its error, and the others are kept."""
        for broken, error in ((add_and_refuse, UnknownUser), (add_and_break, ZeroDivisionError)):
            name = error.__name__
            found = self.commit(
                job(add, f"{name} before"), job(broken, f"{name} bad"), job(add, f"{name} after")
            )
            self.assertEqual(found, [f"{name} before".upper(), error, f"{name} after".upper()])
        self.assertEqual(
            self.stored(),
            [
                "UnknownUser before",
                "UnknownUser after",
                "ZeroDivisionError before",
                "ZeroDivisionError after",
            ],
        )

    def test_integrity(self) -> None:
        """A job that violates a constraint fails with that error, alone."""
        found = self.commit(job(add, "a"), job(add, "a"), job(add, "b"))
        self.assertEqual(found, ["A", IntegrityError, "B"])
        self.assertEqual(self.stored(), ["a", "b"])

    def test_bad_item_takes_only_itself(self) -> None:
        found = self.commit(item("a"), item("b"), item("a"), item("c"))
        self.assertEqual(found, ["A", "B", IntegrityError, "C"])
        self.assertEqual(self.stored(), ["a", "b", "c"])

    def test_items_of_one_batch_are_given_together(self) -> None:
        """Consecutive items share one call. Another job between them separates them."""
        calls: list[list[str]] = []

        def note(_connection: Connection, items: Sequence[str]) -> Sequence[str]:
            calls.append(list(items))
            return items

        def other(_connection: Connection, items: Sequence[str]) -> Sequence[str]:
            calls.append(["other", *items])
            return items

        def batch(run: Any, each: str) -> Job:
            return Job(Deferred(), run, (each,), True)

        found = self.commit(
            batch(note, "1"), batch(note, "2"), job(add, "x"), batch(note, "3"), batch(other, "4")
        )
        self.assertEqual(found, ["1", "2", "X", "3", "4"])
        self.assertEqual(calls, [["1", "2"], ["3"], ["other", "4"]])

    def test_bound_methods_of_one_object_are_one_batch(self) -> None:
        """Bound methods are compared by equality, because each lookup creates a new object."""

        class Log:
            def __init__(self) -> None:
                self.calls: list[list[str]] = []

            def note(self, _connection: Connection, items: Sequence[str]) -> Sequence[str]:
                self.calls.append(list(items))
                return items

        one, two = Log(), Log()
        self.commit(*(Job(Deferred(), each.note, ("x",), True) for each in (one, one, two)))
        self.assertEqual((one.calls, two.calls), ([["x", "x"]], [["x"]]))

    def test_rollback_is_reported(self) -> None:
        """Caches of jobs are dropped when changes are undone."""
        self.commit(job(add, "a"))
        self.assertEqual(self.forgotten, 0)
        self.commit(job(add, "b"), job(add_and_break, "c"))
        self.assertGreater(self.forgotten, 0)

    def test_memory_is_in_step(self) -> None:
        """A job that counts in memory counts correctly even if other jobs fail."""
        count: list[int] = []

        def forget() -> None:
            count.clear()

        def number(connection: Connection, items: Sequence[str]) -> list[int]:
            if not count:
                count.append(connection.execute(text("SELECT count(*) FROM things")).scalar_one())
            given = []
            for each in items:
                count[0] += 1
                given.append(count[0])
                connection.execute(
                    text("INSERT INTO things (id, value) VALUES (:id, :value)"),
                    {"id": count[0], "value": each},
                )
            return given

        self.writer.on_rollback(forget)

        def one(value: str) -> Job:
            return Job(Deferred(), number, (value,), True)

        self.assertEqual(
            self.commit(one("a"), one("b"), one("a"), one("c")), [1, 2, IntegrityError, 3]
        )
        self.assertEqual(
            self.commit(one("d"), job(add_and_break, "x"), one("e")), [4, ZeroDivisionError, 5]
        )
        self.assertEqual(self.commit(one("f")), [6])
        self.assertEqual(self.stored(), ["a", "b", "c", "d", "e", "f"])

    def test_full(self) -> None:
        """On a full disk all jobs fail and nothing is stored. With free space again, jobs succeed."""
        pages = self.commit(job(set_pages, 1))[0]
        found = self.commit(job(add, "a"), job(fill), item("b"))
        self.assertEqual(found, [StorageFailed] * 3)
        self.assertEqual(self.stored(), [])
        self.commit(job(set_pages, pages + 10000))
        self.assertEqual(self.commit(job(add, "a"), item("b")), ["A", "B"])
        self.assertEqual(self.stored(), ["a", "b"])
        self.assertGreater(self.forgotten, 0)
        self.flushLoggedErrors()

    def test_full_again_and_again(self) -> None:
        """Failing attempts use up nothing: the tenth fails like the first."""
        self.commit(job(set_pages, 1))
        for _ in range(10):
            self.assertEqual(self.commit(job(fill)), [StorageFailed])
        self.commit(job(set_pages, 100000))
        self.assertEqual(self.commit(job(add, "a")), ["A"])
        self.flushLoggedErrors()

    def test_table_is_gone(self) -> None:
        """Messages of a broken database are not shown to users."""
        self.commit(job(lambda connection: connection.execute(text("DROP TABLE things")).rowcount))
        self.assertEqual(self.commit(job(add, "a")), [StorageFailed])
        self.flushLoggedErrors()


def job(run: Any, *args: Any) -> Job:
    return Job(Deferred(), run, args)


def item(value: str) -> Job:
    return Job(Deferred(), add_all, (value,), True)


class DatabaseTestCase(TestCase):
    def setUp(self) -> None:
        self.engine = make_engine(Path(self.mktemp()))
        self.database = Database(self.engine, cast(Any, reactor))
        self.database.start()
        self.addCleanup(self.database.stop)

    async def outcome(self, done: Deferred[Any]) -> Any:
        """The result of a Deferred, or the type of its error."""
        try:
            return await done
        except Exception as error:
            return type(error)


class Running(DatabaseTestCase):
    async def test_reads_see_what_was_committed(self) -> None:
        await self.database.run(add, "a")
        self.assertEqual(await self.database.read(values), ["a"])

    async def test_fires_once_it_is_on_disk(self) -> None:
        """When a job's Deferred fires, another connection sees its changes."""
        seen: list[list[str]] = []

        def look(_result: str) -> None:
            with self.engine.connect() as connection, connection.begin():
                seen.append(values(connection))

        await self.database.run(add, "a").addCallback(look)
        self.assertEqual(seen, [["a"]])

    async def test_one_turn_one_commit(self) -> None:
        """Jobs of one turn of the reactor share a transaction."""
        commits = commits_of(self.engine)
        results = await DeferredList([self.database.run(add, str(n)) for n in range(100)])
        self.assertTrue(all(good for good, _ in results))
        self.assertEqual(len(commits), 1)

    async def test_order(self) -> None:
        """Jobs and items run, and their Deferreds fire, in the order of the calls."""
        told: list[str] = []
        expected = []
        waiting = []
        for n in range(300):
            name = f"{n:03}"
            done = self.database.run(add, name) if n % 3 else self.database.batch(add_all, name)
            waiting.append(done.addCallback(told.append))
            expected.append(name)
            if n % 50 == 0:
                await sleep(0)
        await DeferredList(waiting)
        self.assertEqual(told, expected)
        self.assertEqual(await self.database.read(values), expected)

    async def test_more_than_one_transaction_takes(self) -> None:
        commits = commits_of(self.engine)
        count = 2 * MAX_JOBS
        waiting = []
        for start in range(4):
            waiting += [self.database.batch(add_all, f"{start}-{n}") for n in range(count // 4)]
            await sleep(0)
        results = await DeferredList(waiting)
        self.assertEqual(sum(good for good, _ in results), count)
        self.assertEqual(len(await self.database.read(values)), count)
        self.assertGreater(len(commits), 1)

    async def test_failures_are_their_own(self) -> None:
        waiting: list[Deferred[Any]] = [
            self.database.run(add, "a"),
            self.database.run(add_and_refuse, "b"),
            self.database.batch(add_all, "a"),
            self.database.batch(add_all, "c"),
        ]
        found = [await self.outcome(each) for each in waiting]
        self.assertEqual(found, ["A", UnknownUser, IntegrityError, "C"])
        self.assertEqual(await self.database.read(values), ["a", "c"])

    async def test_settled(self) -> None:
        """After each transaction and its outcomes, the on_settled calls are made."""
        order: list[str] = []
        self.database.on_settled(lambda: order.append("settled"))
        first, second = self.database.run(add, "a"), self.database.run(add, "b")
        first.addCallback(order.append)
        second.addCallback(order.append)
        await second
        await sleep(0)
        self.assertEqual(order, ["A", "B", "settled"])

    async def test_settled_after_a_failure(self) -> None:
        told: list[None] = []
        self.database.on_settled(lambda: told.append(None))
        await self.outcome(self.database.run(add_and_break, "a"))
        await sleep(0)
        self.assertEqual(len(told), 1)

    async def test_off_the_reactor(self) -> None:
        """Jobs and queries run outside the reactor's thread, and all jobs in the same thread."""

        def where(_connection: Connection) -> str:
            return threading.current_thread().name

        threads = {await self.database.run(where) for _ in range(3)}
        self.assertEqual(threads, {"database"})
        self.assertNotIn(
            await self.database.read(where), (threading.current_thread().name, "database")
        )

    async def test_keywords_are_refused(self) -> None:
        with self.assertRaises(TypeError):
            self.database.run(add, value="a")

    async def test_full(self) -> None:
        """A full disk fails the jobs of that time, and none after space was freed."""
        await self.database.run(set_pages, 1)
        self.assertIs(await self.outcome(self.database.run(fill)), StorageFailed)
        self.assertEqual(await self.database.read(values), [])
        await self.database.run(set_pages, 100000)
        self.assertEqual(await self.database.run(add, "a"), "A")
        self.flushLoggedErrors()

    async def test_failing_query(self) -> None:
        """A query that the database refuses fails with StorageFailed. Other errors are passed on."""

        def broken(connection: Connection) -> None:
            connection.execute(text("SELECT * FROM nowhere"))

        def refuse(_connection: Connection) -> None:
            raise UnknownUser(name="x")

        self.assertIs(await self.outcome(self.database.read(broken)), StorageFailed)
        self.assertIs(await self.outcome(self.database.read(refuse)), UnknownUser)
        self.assertEqual(await self.database.read(values), [])
        self.flushLoggedErrors()

    async def test_log_holds_no_values(self) -> None:
        """Texts of messages are not logged when the database fails."""
        events: list[str] = []

        @provider(ILogObserver)
        def observe(event: dict[str, Any]) -> None:
            failure = event.get("log_failure")
            events.append(repr(event) + (failure.getTraceback() if failure else ""))

        def misspelt(connection: Connection, value: str) -> None:
            connection.execute(text("INSERT INTO nowhere VALUES (:value)"), {"value": value})

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        self.assertIs(await self.outcome(self.database.run(misspelt, "rahasia-123")), StorageFailed)
        self.assertIs(
            await self.outcome(self.database.read(misspelt, "rahasia-123")), StorageFailed
        )
        self.assertNotIn("rahasia-123", "".join(events))
        self.flushLoggedErrors()


class Stopping(DatabaseTestCase):
    async def test_finishes_what_was_accepted(self) -> None:
        waiting = [self.database.run(add, str(n)) for n in range(50)]
        stopped = self.database.stop()
        self.assertEqual([await each for each in waiting], [str(n) for n in range(50)])
        await stopped
        with self.engine.connect() as connection, connection.begin():
            self.assertEqual(len(values(connection)), 50)
        self.engine.dispose()

    async def test_takes_nothing_more(self) -> None:
        await self.database.stop()
        self.assertIs(await self.outcome(self.database.run(add, "a")), StorageFailed)
        self.assertIs(await self.outcome(self.database.batch(add_all, "a")), StorageFailed)

    async def test_reads_after_the_end_are_refused(self) -> None:
        """A read after the stop fails at once."""
        await self.database.stop()
        late = self.database.read(values).addTimeout(2, reactor)
        self.assertIs(await self.outcome(late), StorageFailed)

    async def test_stopping_twice(self) -> None:
        await DeferredList([self.database.stop(), self.database.stop()])
        await self.database.stop()

    async def test_nothing_was_asked(self) -> None:
        await self.database.stop()
