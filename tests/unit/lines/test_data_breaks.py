"""Files of the client of tugas4 whose connections break, or are mixed up."""

from __future__ import annotations

from unittest import mock

from twisted.internet.defer import Deferred

from chatd.files.partial_file import PartialFile
from chatd.lines import data_claims, data_door
from chatd.lines.dialects.tugas4 import Tugas4Dialect
from tests.unit.lines.cases import (
    Caller,
    settle,
    until,
)
from tests.unit.lines.data_cases import DATA, DataCaller, DataDoorTestCase


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
        self.assertEqual(self.realm.service.files.under_way.counts.files, {})
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
