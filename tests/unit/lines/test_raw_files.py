"""The bytes of uploads and downloads between lines."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from chatd.files.incoming import MAX_PENDING
from chatd.files.outgoing import CHUNK
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.output import MAX_HELD
from tests.support.common import Wire
from tests.unit.lines.cases import (
    CLOSED,
    LOST,
    MIB,
    READ,
    Buffers,
    Caller,
    ProtocolTestCase,
    objects,
    settle,
    sleeping,
    until,
)


class Files(ProtocolTestCase):
    """Bytes of files between lines."""

    async def uploaded(self, wire: Wire, data: bytes, name: str = "a.bin") -> str:
        await wire.ask(command="sendfile", to="henderson", filename=name, size=len(data))
        wire.feed(data)
        return str((await wire.line())["code"])

    async def test_events_wait_for_the_end_of_a_download(self) -> None:
        """Events are not mixed into the bytes of a file, and none is lost."""
        data = bytes(range(256)) * 2048
        messi, henderson = await self.logged_in(), await self.logged_in("henderson")
        code = await self.uploaded(messi, data)
        await henderson.ask(command="listen", on=True)
        go_on = self.block_reading()
        henderson.feed(b'{"command":"getfile","code":"%s"}\n' % code.encode())
        await henderson.until(lambda data: b"sha256" in data and b"\r\n" in data)
        await messi.ask(command="send", to="henderson", text="one")
        await messi.ask(command="send", to="henderson", text="two")
        await settle()
        self.assertEqual(henderson.taken(), b"")
        go_on()
        found = await henderson.until(lambda data: data.count(b'"event"') == 2)
        raw, _, pushed = found.partition(b'{"event"')
        self.assertEqual(raw, data)
        events = objects(b'{"event"' + pushed)
        self.assertEqual([event["text"] for event in events], ["one", "two"])
        self.assertEqual((await henderson.ask(command="ping"))["message"], "pong")

    async def test_command_that_arrives_with_inbox_and_a_file_proves_nothing(self) -> None:
        """What was sent before the reply to `inbox` does not show that the reply has arrived."""
        messi, henderson = await self.logged_in(), await self.logged_in("henderson")
        await messi.ask(command="send", to="henderson", text="one")
        henderson.feed(
            b'{"command":"inbox"}\n'
            b'{"command":"sendfile","to":"messi","filename":"a","size":3}\nabc{"command":"ping"}\n'
        )
        await henderson.until(b'pong"}\r\n')
        self.lose(henderson)
        again = await self.logged_in("henderson")
        inbox = await again.ask(command="inbox")
        self.assertEqual([each["text"] for each in inbox["messages"]], ["one"])

    async def test_events_that_wait_for_a_download_are_limited(self) -> None:
        messi, henderson = await self.logged_in(), await self.logged_in("henderson")
        code = await self.uploaded(messi, bytes(MIB))
        for wire in (messi, henderson):
            await wire.ask(command="roomjoin", room="bola")
        go_on = self.block_reading()
        henderson.feed(b'{"command":"getfile","code":"%s"}\n' % code.encode())
        await henderson.until(lambda data: b"sha256" in data)
        for _ in range(2 * MAX_HELD // 8000):
            if henderson.transport.aborted:
                break
            await messi.ask(command="roomchat", text="x" * 8000)
        self.assertTrue(henderson.transport.aborted)
        self.lose(henderson)
        go_on()
        await settle()
        self.assertEqual((await messi.ask(command="ping"))["message"], "pong")

    async def test_interrupted_upload_leaves_nothing(self) -> None:
        """No file, no message and no quota is left, and nobody else notices."""
        messi, henderson = await self.logged_in(), await self.logged_in("henderson")
        await henderson.ask(command="listen", on=True)
        for why in (LOST, CLOSED):
            await messi.ask(command="sendfile", to="henderson", filename="a", size=300_000)
            messi.feed(bytes(200_000))
            await settle()
            self.assertEqual(len(self.stored_files()), 1)
            self.lose(messi, why)
            await until(lambda: self.stored_files() == [], self.stored_files)
            messi = await self.logged_in()
        self.assertEqual((await henderson.ask(command="unread"))["conversations"], [])
        self.assertEqual(henderson.transport.events, [])
        self.assertEqual((await messi.ask(command="files"))["files"], [])
        self.assertEqual(self.realm.service.files.under_way.counts.bytes, {})

    async def test_upload_ends_when_the_client_half_closes(self) -> None:
        """After the client has closed its sending side, the missing bytes cannot arrive."""
        caller = await self.call_as("messi")
        caller.ask(command="sendfile", to="henderson", filename="a", size=1000)
        await caller.line()
        caller.transport.write(b"only these")
        caller.transport.loseWriteConnection()
        self.assertEqual(await caller.end(), [])
        await until(lambda: self.stored_files() == [], self.stored_files)

    async def test_paused_upload_continues(self) -> None:
        """While the disk is behind the sender is paused. In the end it gets its reply."""
        wire = await self.logged_in()
        data = bytes(range(256)) * (8 * MAX_PENDING // 256)
        await wire.ask(command="sendfile", to="henderson", filename="a", size=len(data))
        wire.feed(data + b'{"id":2,"command":"ping"}\n')
        reply = await wire.line()
        self.assertEqual(reply["sha256"], hashlib.sha256(data).hexdigest())
        self.assertEqual((await wire.line())["id"], 2)


class LargeFiles(ProtocolTestCase):
    """A large file takes little memory, and other connections do not wait for it."""

    SIZE = 32 * MIB

    async def test_large_file_takes_little_memory(self) -> None:
        sender, receiver = await self.call_as("messi"), await self.call_as("henderson")
        other = await self.call()
        data = hashlib.shake_256(b"a large file").digest(MIB) * (self.SIZE // MIB)
        with Buffers(self.door_of(JsonDialect)) as buffers:
            sender.ask(command="sendfile", to="henderson", filename="large", size=self.SIZE)
            self.assertEqual((await sender.line())["status"], "READY")
            sender.transport.write(data)
            pings = await self.ping_until(other, lambda: b"\r\n" in sender.received)
            reply = await sender.line()
        self.assertEqual(reply["sha256"], hashlib.sha256(data).hexdigest())
        self.assertLess(buffers.largest, MAX_PENDING + 2 * READ)
        self.assertGreater(pings, 3)
        with Buffers(self.door_of(JsonDialect)) as buffers:
            receiver.ask(command="getfile", code=reply["code"])
            found = await receiver.line()
            self.assertEqual(found["size"], self.SIZE)
            receiver.hash.update(receiver.received)
            receiver.size, receiver.keeping = len(receiver.received), False
            receiver.transport.pauseProducing()
            await self.ping_until(other, sleeping(0.1))
            receiver.transport.resumeProducing()
            pings = await self.ping_until(other, lambda: receiver.size >= self.SIZE)
        self.assertEqual(receiver.size, self.SIZE)
        self.assertEqual(receiver.hash.hexdigest(), reply["sha256"])
        self.assertLess(buffers.largest, 4 * CHUNK)
        self.assertGreater(pings, 3)

    async def ping_until(self, other: Caller, done: Callable[[], bool]) -> int:
        """Ping until `done`. Each ping must be answered soon. Returns their number."""
        pings = 0
        while not done():
            other.ask(command="ping")
            await until(lambda: b"\r\n" in other.received, longest=2.0)
            self.assertEqual((await other.line())["message"], "pong")
            pings += 1
        return pings
