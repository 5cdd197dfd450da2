"""Files of the client of tugas4, on data connections through real sockets."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

from chatd.base.config import DATA_DOOR
from chatd.files.incoming import MAX_PENDING
from chatd.files.partial_file import PartialFile
from chatd.lines import data_claims, data_door
from chatd.lines.dialects.tugas4 import Tugas4Dialect
from tests.support.buffers import in_pieces
from tests.unit.lines.cases import (
    PASSWORD,
    settle,
    until,
)
from tests.unit.lines.data_cases import DATA, DataDoorTestCase


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
        self.assertEqual((files.under_way.counts.bytes, files.under_way.counts.files), ({}, {}))


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
        self.realm.service.context.use(self.realm.config)
        first = await self.dial()
        second = await self.dial()
        await second.read_all
        self.assertFalse(first.ended.called)
