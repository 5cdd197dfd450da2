"""/healthz: OK as long as the database reads and writes, and the reason otherwise."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from chatd.store import probe
from chatd.web import health
from tests.common import sleep
from tests.websites import Answer, SiteTestCase


class HealthTests(SiteTestCase):
    async def look(self, method: str = "GET") -> Answer:
        return await self.ask(method, "/healthz")

    def check_ill(self, answer: Answer, code: str, sentence: str) -> None:
        """It says so, with this code and sentence."""
        self.assertEqual(answer.code, 503, answer)
        self.assertEqual(answer.header("Cache-Control"), "no-store")
        expected = {"status": "ERROR", "code": code, "message": sentence}
        self.assertEqual(json.loads(answer.body), expected)

    def hold_writer(self) -> threading.Event:
        """Let the writer do nothing until that is set."""
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
        """It says so in time; and once the writer goes on, all is well again."""
        self.patch(health, "PATIENCE", 0.1)
        released = self.hold_writer()
        sentence = "The database did not answer within 0.1 s"
        self.check_ill(await self.look(), "storage-failed", sentence)
        released.set()
        self.patch(health, "PATIENCE", 10.0)
        self.assertEqual((await self.look()).code, 200)

    async def test_many_who_ask_are_one_question(self) -> None:
        """They do not pile up where nothing moves."""
        self.patch(health, "PATIENCE", 0.3)
        self.hold_writer()
        for _ in range(2):
            answers = await gatherResults([Deferred.fromCoroutine(self.look()) for _ in range(5)])
            self.assertEqual({answer.code for answer in answers}, {503})
        self.assertEqual(
            self.realm.database.queued, 2
        )  # what holds it, and one to see whether it moves

    async def test_who_asked_is_gone(self) -> None:
        """Nobody is answered, and nothing is logged."""

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
            "The realm can't store anything just now, and nothing of this was kept; try again later"
        )
        self.check_ill(await self.look(), "storage-failed", sentence)

    async def test_unforeseen(self) -> None:
        """A mistake is not health, either."""

        def fail(*_arguments: Any) -> None:
            raise ZeroDivisionError

        self.patch(probe, "glance", fail)
        answer = await self.look()
        self.assertEqual((answer.code, answer.json["code"]), (500, "internal"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_shutting_down(self) -> None:
        self.realm.service.stopping = True
        sentence = "The realm is shutting down; connect again in a while"
        self.check_ill(await self.look(), "shutting-down", sentence)
