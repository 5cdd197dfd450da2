"""How connections end, by the client or by the realm, and what happens to requests under way."""

from __future__ import annotations

import json
from typing import Any

from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.dialects.plain import PlainDialect
from tests.unit.lines.cases import (
    CLOSED,
    MIB,
    PASSWORD,
    ProtocolTestCase,
    objects,
    settle,
    until,
)


class Endings(ProtocolTestCase):
    """How connections end, and what happens to requests under way."""

    async def test_client_that_half_closes_gets_its_replies(self) -> None:
        caller = await self.call()
        caller.ask(command="auth", username="messi", password=PASSWORD)
        for n in range(50):
            caller.ask(command="send", to="henderson", text=str(n))
        caller.ask(command="history", user="henderson", n=100)
        caller.ask(command="ping")
        caller.transport.loseWriteConnection()
        replies = await caller.end()
        self.assertEqual(len(replies), 53)
        self.assertEqual({reply["status"] for reply in replies}, {"OK"})
        texts = [message["text"] for message in replies[-2]["messages"]]
        self.assertEqual(texts, [str(n) for n in range(50)])
        self.assertEqual(self.realm.connections.total, 0)

    async def test_client_that_half_closes_gets_the_whole_file(self) -> None:
        wire = await self.logged_in()
        data = bytes(range(256)) * 4096
        await wire.ask(command="sendfile", to="henderson", filename="a", size=len(data))
        wire.feed(data)
        await wire.line()
        caller = await self.call()
        caller.ask(command="auth", username="henderson", password=PASSWORD)
        caller.ask(command="getfile", name="a")
        caller.ask(command="ping")
        caller.transport.loseWriteConnection()
        await caller.ended
        _welcome, _reply, rest = caller.received.split(b"\r\n", 2)
        self.assertEqual(rest[: len(data)], data)
        self.assertEqual(json.loads(rest[len(data) :])["message"], "pong")

    async def test_half_a_line_is_not_a_request(self) -> None:
        """It is not executed, however the connection ends."""
        for close in ("loseConnection", "loseWriteConnection", "abortConnection"):
            caller = await self.call_as("messi")
            caller.transport.write(b'{"command":"send","to":"henderson","text":"half"}')
            await settle()
            getattr(caller.transport, close)()
            await caller.ended
            await until(lambda: self.realm.connections.total == 0)
            self.assertEqual(caller.received, b"")
        wire = await self.logged_in("henderson")
        self.assertEqual((await wire.ask(command="inbox"))["messages"], [])

    async def test_accepted_message_is_stored_after_the_sender_is_gone(self) -> None:
        wire = await self.logged_in()
        await wire.ask(command="send", to="henderson", text="zero")
        release = self.block_writing()
        wire.feed(b'{"command":"send","to":"henderson","text":"one"}\n')
        self.lose(wire)
        release()
        henderson = await self.logged_in("henderson")
        inbox = await henderson.ask(command="inbox")
        self.assertEqual([each["text"] for each in inbox["messages"]], ["zero", "one"])

    async def test_late_login_attaches_no_session(self) -> None:
        wire = self.wire()
        wire.feed(b'{"command":"auth","username":"messi","password":"%s"}\n' % PASSWORD.encode())
        self.lose(wire)
        await settle()
        other = await self.logged_in("henderson")
        users = (await other.ask(command="info"))["users"]
        self.assertEqual([each["username"] for each in users], ["henderson"])

    async def test_reconnect_after_a_clean_close_gets_no_message_again(self) -> None:
        """Even while the read marks, which moved with the close, are not on disk yet."""
        henderson, messi = await self.logged_in("henderson"), self.wire()
        login = await messi.ask(command="auth", username="messi", password=PASSWORD)
        await henderson.ask(command="send", to="messi", text="halo")
        self.assertEqual(len((await messi.ask(command="inbox"))["messages"]), 1)
        self.block_writing()
        self.lose(messi, CLOSED)
        again = self.wire()
        await again.ask(command="resume", token=login["tokenId"])
        self.assertEqual((await again.ask(command="inbox"))["messages"], [])

    async def test_too_many_connections_from_one_address(self) -> None:
        """They get an error and are closed. Other addresses may connect, and so may this one later."""
        self.realm.config = self.with_limits(connections_per_address=2)
        self.realm.service.context.use(self.realm.config)
        wires = [self.wire(host="10.0.0.1") for _ in range(2)]
        refused = self.wire(host="10.0.0.1")
        await settle()
        (event,) = objects(refused.taken())
        self.assertEqual((event["event"], event["code"]), ("closing", "too-many-connections"))
        self.assertIn("your address", event["message"])
        self.assertTrue(refused.transport.disconnecting)
        refused.protocol.dataReceived(b'{"command":"ping"}\n')
        await settle()
        self.assertEqual(refused.taken(), b"")
        self.assertEqual((await self.wire(host="10.0.0.2").ask(command="ping"))["status"], "OK")
        self.lose(refused, CLOSED)
        self.lose(wires[0])
        self.assertEqual((await self.wire(host="10.0.0.1").ask(command="ping"))["status"], "OK")

    async def test_connections_of_one_address_at_each_door(self) -> None:
        """The limit of one door does not affect another."""
        self.realm.config = self.with_limits(connections_per_address=1)
        self.realm.service.context.use(self.realm.config)
        first = self.wire(host="10.0.0.1")
        refused = self.wire(host="10.0.0.1")
        plain = self.wire(PlainDialect, host="10.0.0.1")
        await settle()
        self.assertTrue(refused.transport.disconnecting)
        self.assertFalse(plain.transport.disconnecting)
        self.assertEqual((await first.ask(command="ping"))["status"], "OK")

    async def test_too_many_connections_in_all(self) -> None:
        self.realm.config = self.with_limits(connections=2)
        self.realm.service.context.use(self.realm.config)
        wires = [self.wire(host=f"10.0.0.{n}") for n in range(2)]
        refused = self.wire(PlainDialect, host="10.0.0.9")
        await settle()
        self.assertTrue(refused.taken().startswith(b"* There are too many connections to this"))
        self.assertTrue(refused.transport.disconnecting)
        for wire in wires:
            self.assertEqual((await wire.ask(command="ping"))["status"], "OK")


class Shutdown(ProtocolTestCase):
    """The realm answers the requests that it accepted, announces the end, and closes."""

    async def test_accepted_requests_are_answered(self) -> None:
        caller, idle = await self.call_as("messi"), await self.call()
        caller.ask(command="send", to="henderson", text="zero")
        await caller.line()
        release = self.block_writing()
        for ident in range(3):
            caller.ask(id=ident, command="send", to="henderson", text="x")
        caller.ask(id=3, command="unread")
        await settle()
        finished = self.door_of(JsonDialect).finish()
        (event,) = await idle.end()
        self.assertEqual((event["event"], event["code"]), ("closing", "shutting-down"))
        self.assertFalse(finished.called)
        self.assertEqual(caller.received, b"")
        release()
        await finished
        *replies, event = await caller.end()
        self.assertEqual([reply["id"] for reply in replies], [0, 1, 2, 3])
        self.assertEqual({reply["status"] for reply in replies}, {"OK"})
        self.assertEqual(event["code"], "shutting-down")

    async def test_without_connections_it_finishes_at_once(self) -> None:
        self.assertTrue(self.door_of(PlainDialect).finish().called)

    async def test_no_more_requests_are_accepted(self) -> None:
        wire = await self.logged_in()
        await wire.ask(command="send", to="henderson", text="zero")
        release = self.block_writing()
        wire.feed(b'{"id":1,"command":"send","to":"henderson","text":"one"}\n')
        self.door_of(JsonDialect).finish()
        wire.feed(b'{"id":2,"command":"send","to":"henderson","text":"two"}\n')
        release()
        data = await wire.until(lambda data: b"shutting-down" in data)
        self.assertNotIn(b'"id":2', data)

    async def test_upload_under_way_is_aborted(self) -> None:
        caller = await self.call_as("messi")
        caller.ask(command="sendfile", to="henderson", filename="a", size=1000)
        await caller.line()
        caller.transport.write(b"only these")
        await settle()
        await self.door_of(JsonDialect).finish()
        await caller.ended
        await until(lambda: self.stored_files() == [], self.stored_files)

    async def test_download_under_way_is_completed(self) -> None:
        """It is completed, and nothing else is mixed into its bytes."""
        wire = await self.logged_in()
        data = bytes(range(256)) * 16384
        await wire.ask(command="sendfile", to="henderson", filename="a", size=len(data))
        wire.feed(data)
        await wire.line()
        caller = await self.call_as("henderson")
        go_on = self.block_reading()
        caller.ask(command="getfile", name="a")
        await caller.line()
        finished = self.door_of(JsonDialect).finish()
        self.lose(wire)
        await settle()
        self.assertEqual(caller.received, b"")
        go_on()
        await finished
        await caller.ended
        self.assertEqual(caller.received[: len(data)], data[: len(caller.received)])
        self.assertGreaterEqual(len(caller.received), len(data))

    async def test_clients_that_do_not_read_can_be_dropped(self) -> None:
        caller = await self.call_as("messi")
        caller.transport.pauseProducing()
        protocol: Any = next(iter(self.door_of(JsonDialect)._protocols))
        protocol.transport.write(bytes(32 * MIB))
        finished = self.door_of(JsonDialect).finish()
        await settle()
        self.assertFalse(finished.called)
        self.door_of(JsonDialect).abort()
        await finished
        caller.transport.resumeProducing()
        await caller.ended
