"""Files of the client of tugas4, on data connections through real sockets."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from chatd.base.config import DATA_DOOR
from chatd.files.incoming import MAX_PENDING
from chatd.files.partial_file import PartialFile
from chatd.lines import data_claims, data_door
from chatd.lines.data_claims import DataClaims
from chatd.lines.data_door import DataFactory
from chatd.lines.dialects.tugas4 import Tugas4Dialect
from tests.support.buffers import in_pieces
from tests.support.common import run
from tests.unit.lines.cases import (
    CLOSED,
    PASSWORD,
    Caller,
    ProtocolTestCase,
    settle,
    until,
)

DATA = bytes(range(256)) * 512


@implementer(IHalfCloseableProtocol)
class DataCaller(Caller):
    """A client's end of a data connection, which can still send when the other end does not."""

    def __init__(self) -> None:
        super().__init__()
        self.read_all: Deferred[None] = Deferred()

    def readConnectionLost(self) -> None:
        self.read_all.callback(None)

    def writeConnectionLost(self) -> None: ...

    def connectionLost(self, reason: Failure = Failure(CLOSED)) -> None:  # noqa: B008
        if not self.read_all.called:
            self.read_all.callback(None)
        super().connectionLost(reason)


class DataDoorTestCase(ProtocolTestCase):
    def setUp(self) -> None:
        super().setUp()
        network: Any = reactor
        self.claims = DataClaims(self.realm.clock)
        self.data = DataFactory(self.realm.service, self.realm.connections, self.claims)
        self.port = network.listenTCP(0, self.data, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.addCleanup(lambda: run(self.data_closed()))
        self.door_of(Tugas4Dialect).claims = self.claims

    async def data_closed(self) -> None:
        self.data.abort()
        await self.none_open()

    async def client(self, name: str) -> tuple[Caller, str]:
        """A client of tugas4, and its token."""
        caller = await self.call(Tugas4Dialect)
        reply = await self.ask(caller, f"auth_login {name} {PASSWORD} ")
        return caller, reply["tokenid"]

    async def ask(self, caller: Caller, request: str) -> dict[str, Any]:
        caller.transport.write(f"{request}\r\n".encode())
        return await self.reply(caller)

    async def reply(self, caller: Caller) -> dict[str, Any]:
        await until(lambda: b"\r\n\r\n" in caller.received, lambda: caller.received)
        reply, _, rest = caller.received.partition(b"\r\n\r\n")
        self.assertEqual(rest, b"")
        caller.received.clear()
        found: dict[str, Any] = json.loads(reply)
        return found

    async def dial(self) -> DataCaller:
        """A data connection."""
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", self.port.getHost().port)
        caller: DataCaller = await connectProtocol(endpoint, DataCaller())
        self.addCleanup(caller.transport.abortConnection)
        return caller

    async def none_open(self) -> None:
        """The realm has closed all data connections."""
        await until(lambda: not self.realm.connections.by_door[DATA_DOOR])

    async def upload(self, caller: Caller, request: str, data: bytes = DATA) -> dict[str, Any]:
        """Send a file as the client does."""
        caller.transport.write(f"{request}\r\n".encode())
        stream = await self.dial()
        for piece in in_pieces(data, 1024):
            stream.transport.write(piece)
        stream.transport.loseConnection()
        return await self.reply(caller)

    async def download(self, caller: Caller, request: str) -> tuple[bytes, dict[str, Any]]:
        """Fetch a file as the client does."""
        caller.transport.write(f"{request}\r\n".encode())
        stream = await self.dial()
        await stream.read_all
        stream.transport.loseConnection()
        return bytes(stream.received), await self.reply(caller)

    async def texts(self, caller: Caller, token: str) -> list[str]:
        reply = await self.ask(caller, f"inbox {token} ")
        return [entry for entries in reply["messages"].values() for entry in entries]


class Transfers(DataDoorTestCase):
    async def test_file_to_a_person(self) -> None:
        messi, token = await self.client("messi")
        reply = await self.upload(messi, f"send_file {token} henderson img/gambar 1.png ")
        self.assertEqual(reply, {"status": "OK", "message": "File sent"})
        henderson, token = await self.client("henderson")
        (entry,) = await self.texts(henderson, token)
        stored = entry.rpartition("'msg': '")[2].rstrip("'}")
        self.assertRegex(stored, r"\A\d{4}(_\d\d){5}_gambar[_ ]1\.png\Z")
        data, reply = await self.download(henderson, f"download_file {token} {stored} ")
        self.assertEqual(reply, {"status": "OK", "message": "File downloaded"})
        self.assertEqual(data, DATA)
        self.assertEqual(self.realm.connections.by_door[DATA_DOOR], 0)

    async def test_requests_in_pieces(self) -> None:
        """However the requests are split, each finds its data connection."""
        for size in (1, 7, 64):
            wire = self.wire(Tugas4Dialect)
            wire.feed(f"auth_login messi {PASSWORD} \r\n".encode())
            token = json.loads(await wire.until(b"\r\n\r\n"))["tokenid"]
            for request, data in (
                (f"mkgr bola-{size} {token}", None),
                (f"send_file {token} henderson a-{size}", b"satu"),
                (f"sendgroup_file {token} bola-{size} b-{size}", b"dua"),
                (f"download_file {token} a-{size}", b""),
                (f"downloadgroup_file {token} bola-{size} b-{size}", b""),
            ):
                for piece in in_pieces(f"{request} \r\n".encode(), size):
                    wire.feed(piece)
                if data is not None:
                    stream = await self.dial()
                    if data:
                        stream.transport.write(data)
                    else:
                        await stream.read_all
                        self.assertEqual(
                            stream.received, b"satu" if "b-" not in request else b"dua"
                        )
                    stream.transport.loseConnection()
                reply = json.loads(await wire.until(b"\r\n\r\n"))
                self.assertEqual(reply["status"], "OK", reply)

    async def test_file_to_a_group(self) -> None:
        messi, token = await self.client("messi")
        await self.ask(messi, f"mkgr bola {token} ")
        reply = await self.upload(messi, f"sendgroup_file {token} bola gol.png ")
        self.assertEqual(reply, {"status": "OK", "message": "File sent"})
        henderson, token = await self.client("henderson")
        await self.ask(henderson, f"join bola {token} ")
        request = f"downloadgroup_file {token} bola gol.png "
        data, reply = await self.download(henderson, request)
        self.assertEqual((data, reply["message"]), (DATA, "File downloaded"))

    async def test_empty_file(self) -> None:
        messi, token = await self.client("messi")
        reply = await self.upload(messi, f"send_file {token} henderson kosong ", b"")
        self.assertEqual(reply["message"], "File sent")
        data, reply = await self.download(messi, f"download_file {token} kosong ")
        self.assertEqual((data, reply["message"]), (b"", "File downloaded"))

    async def test_large_file(self) -> None:
        """Larger than all buffers on its way."""
        data = DATA * 64
        messi, token = await self.client("messi")
        await self.upload(messi, f"send_file {token} henderson besar ", data)
        found, reply = await self.download(messi, f"download_file {token} besar ")
        self.assertEqual(reply["message"], "File downloaded")
        self.assertTrue(found == data, len(found))

    async def test_slow_disk(self) -> None:
        """No more is read than the disk takes."""
        gate = threading.Event()
        self.addCleanup(gate.set)
        append = PartialFile.append

        def slow(part: PartialFile, chunks: Sequence[bytes]) -> None:
            gate.wait(20)
            append(part, chunks)

        self.patch(PartialFile, "append", slow)
        data = DATA * 64
        messi, token = await self.client("messi")
        messi.transport.write(f"send_file {token} henderson besar \r\n".encode())
        stream = await self.dial()
        stream.transport.write(data)
        stream.transport.loseConnection()
        counters = self.realm.service.counters
        await until(lambda: counters.received > MAX_PENDING)
        await settle()
        self.assertLess(counters.received, 3 * MAX_PENDING)
        gate.set()
        self.assertEqual((await self.reply(messi))["message"], "File sent")
        found, _ = await self.download(messi, f"download_file {token} besar ")
        self.assertTrue(found == data, len(found))

    async def test_connection_comes_before_its_request(self) -> None:
        messi, token = await self.client("messi")
        stream = await self.dial()
        stream.transport.write(b"halo")
        await settle()
        messi.transport.write(f"send_file {token} henderson a ".encode())
        await settle()
        messi.transport.write(b"\r\n")
        stream.transport.loseConnection()
        self.assertEqual((await self.reply(messi))["message"], "File sent")

    async def test_nothing_under_way_stays_counted(self) -> None:
        messi, token = await self.client("messi")
        for _ in range(10):
            reply = await self.upload(messi, f"send_file {token} henderson a ", b"a")
            self.assertEqual(reply["status"], "OK")
        files = self.realm.service.files
        self.assertEqual((files.under_way._bytes, files.under_way._files), ({}, {}))


class Refusals(DataDoorTestCase):
    """The client connects whatever happened, and must not find the connection closed while it sends."""

    limits = {"file": 1000, "account_files": 1500}

    async def test_unknown_recipient(self) -> None:
        messi, token = await self.client("messi")
        reply = await self.upload(messi, f"send_file {token} nobody a ", DATA[:1000])
        self.assertEqual(reply, {"status": "ERROR", "message": "User not found"})
        self.assertEqual(self.stored_files(), [])
        reply = await self.upload(messi, f"send_file {token} henderson a ", b"halo")
        self.assertEqual(reply["status"], "OK")

    async def test_refusal_is_read_before_the_client_connects(self) -> None:
        messi, token = await self.client("messi")
        reply = await self.ask(messi, f"sendgroup_file {token} nothing a ")
        self.assertEqual(reply["message"], "Group not found")
        stream = await self.dial()
        stream.transport.write(DATA[:1000])
        await settle()
        self.assertFalse(stream.ended.called)
        stream.transport.loseConnection()
        await self.none_open()

    async def test_unknown_session(self) -> None:
        messi, _token = await self.client("messi")
        other = "3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        reply = await self.upload(messi, f"send_file {other} henderson a ", b"halo")
        self.assertEqual(reply, {"status": "ERROR", "message": "Session not found"})
        reply = await self.upload(messi, f"send_file henderson {other} a ", b"halo")
        self.assertEqual(reply, {"status": "ERROR", "message": "Session not found"})

    async def test_refusals_without_connections(self) -> None:
        """A client that does not connect after a refusal may go on, and so may others once it is gone."""
        messi, token = await self.client("messi")
        other = "3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        for _ in range(3):
            reply = await self.ask(messi, f"send_file {other} henderson a ")
            self.assertEqual(reply["message"], "Session not found")
            reply = await self.ask(messi, f"download_file {token} nothing ")
            self.assertEqual(reply["message"], "File not found")
        messi.transport.loseConnection()
        await messi.ended
        await until(lambda: not self.claims._claims)
        henderson, token = await self.client("henderson")
        reply = await self.upload(henderson, f"send_file {token} messi a ", b"halo")
        self.assertEqual(reply["message"], "File sent")

    async def test_unknown_file(self) -> None:
        """The connection is closed without any byte."""
        messi, token = await self.client("messi")
        data, reply = await self.download(messi, f"download_file {token} nothing ")
        self.assertEqual((data, reply), (b"", {"status": "ERROR", "message": "File not found"}))

    async def test_file_that_is_too_large(self) -> None:
        messi, token = await self.client("messi")
        reply = await self.upload(messi, f"send_file {token} henderson a ", DATA[:1001])
        self.assertEqual(reply["status"], "ERROR")
        self.assertEqual(
            reply["message"], "The file is too large: more than 1000 bytes, and 1000 are allowed"
        )
        await until(lambda: not self.stored_files(), self.stored_files)

    async def test_largest_file(self) -> None:
        messi, token = await self.client("messi")
        reply = await self.upload(messi, f"send_file {token} henderson a ", DATA[:1000])
        self.assertEqual(reply["status"], "OK")

    async def test_quota(self) -> None:
        messi, token = await self.client("messi")
        await self.upload(messi, f"send_file {token} henderson a ", DATA[:1000])
        reply = await self.upload(messi, f"send_file {token} henderson b ", DATA[:501])
        self.assertEqual(
            reply["message"],
            "Your files may take 1500 bytes and 500 are left; send a smaller one",
        )
        reply = await self.upload(messi, f"send_file {token} henderson b ", DATA[:500])
        self.assertEqual(reply["status"], "OK")

    async def test_disk_is_nearly_full(self) -> None:
        """The disk has room when the request comes, and none for the bytes."""
        messi, token = await self.client("messi")
        disk = self.realm.service.files.under_way._disk
        self.patch(disk, "room", lambda: 100)
        reply = await self.upload(messi, f"send_file {token} henderson a ", DATA[:101])
        self.assertIn("disk is nearly full", reply["message"])
        await until(lambda: not self.stored_files(), self.stored_files)
        reply = await self.upload(messi, f"send_file {token} henderson a ", DATA[:100])
        self.assertEqual(reply["status"], "OK")

    async def test_dropped_bytes_are_bounded(self) -> None:
        messi, token = await self.client("messi")
        await self.ask(messi, f"send_file {token} nobody a ")
        stream = await self.dial()
        stream.transport.write(DATA)
        await self.none_open()

    async def test_connection_without_a_request(self) -> None:
        self.patch(data_claims, "EARLY_TIME", 0.05)
        stream = await self.dial()
        stream.transport.write(b"halo")
        await until(lambda: len(self.data._dropping) == 1)
        self.assertFalse(stream.ended.called)
        stream.transport.loseConnection()
        await self.none_open()

    async def test_dropped_connections_are_bounded(self) -> None:
        self.patch(data_claims, "EARLY_TIME", 0.0)
        self.patch(data_door, "MAX_DROPPED", 2)
        for _ in range(3):
            await self.dial()
        await until(lambda: self.realm.connections.opened[DATA_DOOR] == 3)
        await until(lambda: self.realm.connections.by_door[DATA_DOOR] == 2)
        self.assertEqual(len(self.data._dropping), 2)

    async def test_dropped_connection_has_a_time(self) -> None:
        self.patch(data_claims, "EARLY_TIME", 0.0)
        self.patch(data_door, "DROP_TIME", 0.05)
        await self.dial()
        await until(lambda: self.realm.connections.opened[DATA_DOOR] == 1)
        await self.none_open()

    async def test_door_is_closed(self) -> None:
        self.door_of(Tugas4Dialect).claims = None
        messi, token = await self.client("messi")
        other = "3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        reply = await self.ask(messi, f"send_file {other} henderson a ")
        self.assertEqual(reply["message"], "Session not found")
        for request in (
            f"send_file {token} henderson a ",
            f"sendgroup_file {token} bola a ",
            f"download_file {token} a ",
            f"downloadgroup_file {token} bola a ",
        ):
            reply = await self.ask(messi, request)
            self.assertEqual(reply["status"], "ERROR")
            self.assertIn("tugas4-data = tcp:1338 to [listen]", reply["message"])

    async def test_too_many_connections(self) -> None:
        self.realm.config = self.with_limits(connections_per_address=1)
        self.data._limits = self.realm.config.limits
        first = await self.dial()
        second = await self.dial()
        await second.read_all
        self.assertFalse(first.ended.called)


class Interruptions(DataDoorTestCase):
    async def begin(self) -> tuple[Caller, DataCaller]:
        """A client that sends a file, and its data connection, on which some bytes have arrived."""
        messi, token = await self.client("messi")
        messi.transport.write(f"send_file {token} henderson a \r\n".encode())
        stream = await self.dial()
        stream.transport.write(DATA)
        await until(lambda: self.realm.service.counters.received >= len(DATA))
        return messi, stream

    async def nothing_left(self) -> None:
        await until(lambda: not self.stored_files(), self.stored_files)
        self.assertEqual(self.realm.service.files.under_way._files, {})
        henderson, token = await self.client("henderson")
        self.assertEqual(await self.texts(henderson, token), [])

    async def test_data_connection_breaks(self) -> None:
        messi, stream = await self.begin()
        stream.transport.abortConnection()
        reply = await self.reply(messi)
        self.assertEqual(
            reply, {"status": "ERROR", "message": "The connection of the file broke off; try again"}
        )
        await self.nothing_left()

    async def test_client_is_lost(self) -> None:
        messi, stream = await self.begin()
        messi.transport.abortConnection()
        await stream.ended
        await self.nothing_left()

    async def test_client_ends_in_the_middle(self) -> None:
        """The kernel closes both connections, and the file seems to be complete."""
        messi, stream = await self.begin()
        messi.transport.loseConnection()
        stream.transport.loseConnection()
        await until(lambda: self.realm.connections.total == 0)
        await self.nothing_left()

    async def test_client_is_lost_before_it_connects(self) -> None:
        messi, token = await self.client("messi")
        messi.transport.write(f"send_file {token} henderson a \r\n".encode())
        await settle()
        self.assertEqual(len(self.claims._claims), 1)
        messi.transport.loseConnection()
        await until(lambda: self.realm.connections.total == 0)
        self.assertEqual(self.claims._claims, {})
        await self.nothing_left()

    async def test_client_never_connects(self) -> None:
        self.patch(data_claims, "CLAIM_TIME", 0.05)
        messi, token = await self.client("messi")
        reply = await self.ask(messi, f"send_file {token} henderson a ")
        self.assertIn("No connection for the file came", reply["message"])
        await self.nothing_left()

    async def test_reader_of_a_download_is_lost(self) -> None:
        messi, token = await self.client("messi")
        await self.upload(messi, f"send_file {token} henderson besar ", DATA * 64)
        messi.transport.write(f"download_file {token} besar \r\n".encode())
        stream = await self.dial()
        stream.transport.pauseProducing()
        await until(lambda: any(each._is_full for each in self.data._open))
        stream.transport.abortConnection()
        reply = await self.reply(messi)
        self.assertEqual(reply["message"], "The connection of the file broke off; try again")

    async def test_silent_upload(self) -> None:
        self.patch(data_door, "SILENCE", 0.2)
        messi, _stream = await self.begin()
        reply = await self.reply(messi)
        self.assertEqual(reply["message"], "The connection of the file broke off; try again")
        await self.nothing_left()

    async def test_two_clients_at_one_address(self) -> None:
        messi, token = await self.client("messi")
        henderson, other = await self.client("henderson")
        messi.transport.write(f"send_file {token} henderson a \r\n".encode())
        await settle()
        reply = await self.ask(henderson, f"send_file {other} messi b ")
        self.assertIn("wait 15 s", reply["message"])
        self.assertEqual(await self.reply(messi), reply)
        stream = await self.dial()
        stream.transport.write(b"halo")
        await settle()
        self.assertEqual(len(self.data._dropping), 1)
        await self.nothing_left()

    async def test_next_request_waits(self) -> None:
        messi, stream = await self.begin()
        messi.transport.write(b"ls \r\n")
        await settle()
        self.assertEqual(messi.received, b"")
        stream.transport.loseConnection()
        await until(lambda: messi.received.count(b"\r\n\r\n") == 2)
        first, second, _ = messi.received.split(b"\r\n\r\n")
        self.assertIn(b"File sent", first)
        self.assertIn(b"henderson", second)

    async def test_full_disk(self) -> None:
        failing = mock.patch.object(PartialFile, "append", side_effect=OSError("full"))
        with failing:
            messi, token = await self.client("messi")
            reply = await self.upload(messi, f"send_file {token} henderson a ")
        self.assertEqual(reply["status"], "ERROR")
        self.assertIn("can't store anything", reply["message"])
        await self.nothing_left()

    async def test_realm_stops(self) -> None:
        messi, stream = await self.begin()
        waiting, token = await self.client("henderson")
        waiting.transport.write(f"send_file {token} messi b \r\n".encode())
        await until(lambda: len(self.claims._claims) == 1)
        stopped = [self.door_of(Tugas4Dialect).finish(), self.data.finish()]
        self.assertIn("shutting down", (await self.reply(messi))["message"])
        self.assertIn("shutting down", (await self.reply(waiting))["message"])
        await stream.ended
        for each in stopped:
            await each

    async def test_download_is_completed_when_the_realm_stops(self) -> None:
        messi, token = await self.client("messi")
        await self.upload(messi, f"send_file {token} henderson besar ", DATA * 64)
        messi.transport.write(f"download_file {token} besar \r\n".encode())
        stream = await self.dial()
        stream.transport.pauseProducing()
        await until(lambda: any(each._sending for each in self.data._open))
        stopped: list[Deferred[None]] = [
            self.door_of(Tugas4Dialect).finish(),
            self.data.finish(),
        ]
        stream.transport.resumeProducing()
        await stream.read_all
        self.assertTrue(stream.received == DATA * 64)
        self.assertEqual((await self.reply(messi))["message"], "File downloaded")
        for each in stopped:
            await each
