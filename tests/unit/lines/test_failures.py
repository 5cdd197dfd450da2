"""Unexpected exceptions are answered with a reference, and the connection stays usable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from unittest import mock

from twisted.logger import ILogObserver, LogEvent, eventAsText, globalLogPublisher

from chatd.lines.dialects.jsonlines import JsonDialect
from tests.support.common import sleep
from tests.unit.lines.cases import (
    ProtocolTestCase,
    until,
)


class Failures(ProtocolTestCase):
    """An unexpected exception is answered with a reference that is in the log. The connection stays
    open."""

    def setUp(self) -> None:
        self.events: list[LogEvent] = []
        observer = cast(ILogObserver, self.events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        super().setUp()

    def assert_logged(self, reply: dict[str, Any]) -> None:
        self.assertEqual((reply["status"], reply["code"]), ("ERROR", "internal"))
        failures = self.flushLoggedErrors(RuntimeError)
        self.assertEqual(len(failures), 1)
        reference = reply["message"].removeprefix("internal error ").partition(";")[0]
        self.assertRegex(reference, r"\A[0-9a-f]{8}\Z")
        texts = [eventAsText(event) for event in self.events if "log_failure" in event]
        (text,) = [text for text in texts if reference in text]
        self.assertIn("RuntimeError: boom", text)
        self.assertNotIn("boom", reply["message"])

    async def test_unexpected_exception_has_a_reference(self) -> None:
        """While a request is read, started or executed, or while its reply is written."""

        def boom(*_args: object, **_kwargs: object) -> Any:
            raise RuntimeError("boom")

        async def boom_later(*_args: object, **_kwargs: object) -> Any:
            await sleep(0.001)
            raise RuntimeError("boom")

        service = self.realm.service
        wire = await self.logged_in()
        dialect = self.door_of(JsonDialect).dialect
        cases: tuple[tuple[Any, str, Callable[..., Any], dict[str, Any]], ...] = (
            (service.people, "all", boom_later, {"command": "users"}),
            (service.people, "all", boom, {"command": "users"}),
            (service.rooms, "all", boom, {"command": "rooms"}),
            (service.messages, "send_and", boom, {"command": "send", "to": "messi", "text": "x"}),
            (service.messages, "_post", boom, {"command": "send", "to": "henderson", "text": "x"}),
            (dialect, "reply", boom, {"command": "whoami"}),
            (dialect, "reply", boom, {"command": "files"}),
            (dialect, "read", boom, {"command": "ping"}),
        )
        for owner, name, fault, request in cases:
            with mock.patch.object(owner, name, fault):
                self.assert_logged(await wire.ask(**request))
            self.events.clear()
            self.assertEqual((await wire.ask(command="ping", id=1))["id"], 1)

    async def test_a_lost_file_is_refused(self) -> None:
        """The file on disk differs from the one in the database, or is missing."""
        wire = await self.logged_in()
        await wire.ask(command="sendfile", to="henderson", filename="a", size=3)
        wire.feed(b"abc")
        await wire.line()
        (stored,) = self.stored_files()
        path = self.realm.state.uploads / stored
        path.write_bytes(b"ab")
        reply = await wire.ask(command="getfile", code="a")
        self.assertEqual((reply["status"], reply["code"]), ("ERROR", "file-damaged"))
        path.unlink()
        self.assertEqual((await wire.ask(command="getfile", code="a"))["code"], "file-missing")
        self.assertEqual((await wire.ask(command="ping"))["status"], "OK")

    async def test_a_failing_disk_refuses_an_upload(self) -> None:
        """storage-failed: nothing is kept, and the connection continues with the next request."""
        wire = await self.logged_in()
        with mock.patch("chatd.files.folder.os.fsync", side_effect=OSError(28, "No space left")):
            await wire.ask(command="sendfile", to="henderson", filename="a", size=100_000)
            wire.feed(bytes(100_000))
            self.assertEqual((await wire.line())["code"], "storage-failed")
        self.assertEqual((await wire.ask(command="files"))["files"], [])
        await until(lambda: self.stored_files() == [], self.stored_files)

    async def test_a_download_that_breaks_ends_the_connection(self) -> None:
        """Nothing else may take the place of announced bytes that can't be read."""
        wire = await self.logged_in()
        await wire.ask(command="sendfile", to="henderson", filename="a", size=200_000)
        wire.feed(bytes(200_000))
        await wire.line()
        with mock.patch("chatd.files.folder.Outgoing.read", side_effect=OSError(5, "I/O error")):
            wire.feed(b'{"command":"getfile","code":"a"}\n')
            await until(lambda: wire.transport.aborted)
        self.assertEqual(wire.taken().count(b"\n"), 1)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    async def test_any_id_gets_one_reply(self) -> None:
        """Even one that is nested almost too deeply to be read."""
        wire = self.wire()
        for depth in (1, 10, 500, *range(800, 1010)):
            wire.feed(b'{"id":%s%s,"command":"ping"}\n' % (b"[" * depth, b"]" * depth))
            wire.feed(b'{"id":%s%s,"command":"info"}\n' % (b"[" * depth, b"]" * depth))
            data = await wire.until(lambda data: data.count(b"\r\n") == 2)
            self.assertEqual(data.count(b'"status"'), 2)
        self.assertEqual((await wire.ask(command="ping", id=1))["id"], 1)
