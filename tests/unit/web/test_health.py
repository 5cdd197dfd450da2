"""/healthz: OK as long as the database reads and writes; otherwise the reason."""

from __future__ import annotations

import json
import math
import socket
import threading
from typing import Any
from unittest import mock

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError, OperationalError
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from chatd.base.errors import StorageFailed
from chatd.store import probe
from chatd.web import health
from tests.support.common import sleep
from tests.support.websites import Answer, SiteTestCase


class Damage(Exception):
    """As SQLite tells it, and PostgreSQL."""

    sqlstate = "XX001"


class HealthTests(SiteTestCase):
    async def look(self, method: str = "GET") -> Answer:
        return await self.ask(method, "/healthz")

    def check_ill(self, answer: Answer, code: str, sentence: str) -> None:
        """The answer is 503 with this code and message."""
        self.assertEqual(answer.code, 503, answer)
        self.assertEqual(answer.header("Cache-Control"), "no-store")
        expected = {"status": "ERROR", "code": code, "message": sentence}
        self.assertEqual(json.loads(answer.body), expected)

    def hold_writer(self) -> threading.Event:
        """Block the writer until that is set."""
        released = threading.Event()
        self.addCleanup(released.set)

        def job(_connection: Connection) -> None:
            released.wait(10)

        self.realm.database.run(job)
        return released

    async def test_well(self) -> None:
        answer = await self.look()
        self.assertEqual((answer.code, answer.body), (200, b'{"status":"OK"}'))
        self.assertEqual(answer.header("Cache-Control"), "no-store")
        self.assertEqual(answer.header("Content-Type"), "application/json; charset=utf-8")

    async def test_head(self) -> None:
        answer = await self.look("HEAD")
        self.assertEqual((answer.code, answer.body), (200, b""))
        self.assertEqual(answer.header("Content-Length"), "15")

    async def test_no_other_method(self) -> None:
        self.assertEqual((await self.look("POST")).code, 405)

    async def test_writer_is_stuck(self) -> None:
        """The answer comes in time. Once the writer continues, the realm is healthy again."""
        self.patch(health, "DATABASE_TIME", 0.1)
        released = self.hold_writer()
        sentence = "The database did not answer within 0.1 s"
        self.check_ill(await self.look(), "storage-failed", sentence)
        released.set()
        self.patch(health, "DATABASE_TIME", 10.0)
        self.assertEqual((await self.look()).code, 200)

    async def test_concurrent_requests_share_a_query(self) -> None:
        """Requests do not queue up at a blocked database."""
        self.patch(health, "DATABASE_TIME", 0.3)
        self.hold_writer()
        for _ in range(2):
            answers = await gatherResults([Deferred.fromCoroutine(self.look()) for _ in range(5)])
            self.assertEqual({answer.code for answer in answers}, {503})
        self.assertEqual(self.realm.database.queued, 2)  # the job that blocks, and one probe

    async def test_client_is_gone(self) -> None:
        """Nothing is answered, and nothing is logged."""

        def ask_and_go() -> None:
            with socket.create_connection(("127.0.0.1", self.port.getHost().port)) as connection:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")

        released = self.hold_writer()
        await deferToThread(ask_and_go)
        await sleep(0.05)
        released.set()
        self.assertEqual((await self.look()).code, 200)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_nothing_can_be_stored(self) -> None:
        await self.realm.database.stop()
        sentence = (
            "The realm can't store anything at the moment, and nothing of this request was saved; "
            "try again later"
        )
        self.check_ill(await self.look(), "storage-failed", sentence)

    async def test_a_message_could_not_be_stored(self) -> None:
        """The reason is told until a write succeeds, which the probe itself tries."""

        def fail(*_arguments: Any) -> None:
            raise OperationalError("INSERT", (), Exception("database or disk is full"))

        sentence = "The database could not store anything: database or disk is full"
        with mock.patch.object(probe, "ping_write", fail):
            await self.assertFailure(self.realm.database.run(fail), StorageFailed)
            self.check_ill(await self.look(), "storage-failed", sentence)
            self.check_ill(await self.look(), "storage-failed", sentence)
        self.assertEqual((await self.look()).code, 200)

    async def test_an_empty_transaction_heals_nothing(self) -> None:
        database = self.realm.database

        def fail(*_arguments: Any) -> None:
            raise OperationalError("INSERT", (), Exception("disk I/O error"))

        await self.assertFailure(database.run(fail), StorageFailed)
        await database.run(probe.ping_transaction)
        self.assertEqual(database.trouble, "disk I/O error")
        await database.run(probe.ping_write)
        self.assertIsNone(database.trouble)

    async def test_a_file_could_not_be_stored(self) -> None:
        uploads = self.realm.uploads
        uploads.trouble = "[Errno 28] No space left on device"
        with mock.patch("chatd.files.folder.os.fsync", side_effect=OSError(28, "No space left")):
            sentence = "A file could not be stored: [Errno 28] No space left"
            self.check_ill(await self.look(), "storage-failed", sentence)
        self.assertEqual((await self.look()).code, 200)
        self.assertIsNone(uploads.trouble)
        self.assertEqual(list((self.realm.state.uploads / "incoming").iterdir()), [])

    async def test_below_the_reserve(self) -> None:
        disk = self.realm.service.disk
        disk._next = math.inf  # measured by this test alone
        self.patch(disk, "_measure", lambda: -(3 << 20))
        disk.look()
        sentence = "The disk has 3 MiB less free than its reserve: messages and files are refused"
        self.check_ill(await self.look(), "disk-full", sentence)
        self.patch(disk, "_measure", lambda: 1)
        disk.look()
        self.assertEqual((await self.look()).code, 200)

    async def test_damaged(self) -> None:
        """A read of a damaged page is noticed."""

        def read(_connection: Connection) -> None:
            raise DatabaseError("SELECT", (), Damage("database disk image is malformed"))

        await self.assertFailure(self.realm.database.read(read), StorageFailed)
        self.flushLoggedErrors(DatabaseError)
        sentence = "The database is damaged: database disk image is malformed"
        self.check_ill(await self.look(), "database-damaged", sentence)

    async def test_livez(self) -> None:
        """/livez tells only that the process answers: a restart does not make room on a disk."""
        self.realm.database.damage = "page 3"
        self.realm.service.stopping = True
        for method, body in (("GET", b'{"status":"OK"}'), ("HEAD", b"")):
            answer = await self.ask(method, "/livez")
            self.assertEqual((answer.code, answer.body), (200, body))
        self.assertEqual((await self.ask("POST", "/livez")).code, 405)

    async def test_writer_has_ended(self) -> None:
        """It can't be told from a slow one by waiting, so the answer comes at once."""
        self.patch(self.realm.database._thread, "is_alive", lambda: False)
        sentence = "The thread that writes to the database has ended"
        self.check_ill(await self.look(), "storage-failed", sentence)

    async def test_readyz(self) -> None:
        """Not before the start, not during the shutdown, and not while the realm can't do its work."""
        service = self.realm.service

        async def ready() -> Answer:
            return await self.ask("GET", "/readyz")

        self.check_ill(await ready(), "starting", "The realm is starting")
        service.started = True
        answer = await ready()
        self.assertEqual((answer.code, answer.body), (200, b'{"status":"OK"}'))
        self.assertEqual((await self.ask("HEAD", "/readyz")).body, b"")
        self.assertEqual((await self.ask("POST", "/readyz")).code, 405)
        self.realm.database.damage = "page 3"
        self.check_ill(await ready(), "database-damaged", "The database is damaged: page 3")
        service.stopping = True
        self.assertEqual((await ready()).json["code"], "shutting-down")

    async def test_unforeseen(self) -> None:
        """After an unexpected exception the realm is not healthy."""

        def fail(*_arguments: Any) -> None:
            raise ZeroDivisionError

        self.patch(probe, "ping_read", fail)
        answer = await self.look()
        self.assertEqual((answer.code, answer.json["code"]), (500, "internal"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_shutting_down(self) -> None:
        self.realm.service.stopping = True
        sentence = "The realm is shutting down; connect again in a while"
        self.check_ill(await self.look(), "shutting-down", sentence)
