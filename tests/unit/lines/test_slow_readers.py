"""A client that does not read its replies takes bounded memory, and is cut off in the end."""

from __future__ import annotations

from chatd.base.throttle import Budget
from chatd.lines.dialects.jsonlines import JsonDialect
from chatd.lines.output import MAX_FULL, MAX_UNREAD
from chatd.lines.silence import LOGIN_TIME
from tests.support.common import sleep
from tests.unit.lines.cases import (
    CLOSED,
    MIB,
    READ,
    Buffers,
    ManualClock,
    ProtocolTestCase,
    settle,
    until,
)


class SlowReaders(ProtocolTestCase):
    """Output for a client that does not read is limited, and the client is cut off in the end. Others do
    not notice."""

    limits = {"commands_per_second": 0}

    def setUp(self) -> None:
        self.clock = ManualClock()
        super().setUp()

    async def test_waiting_events_are_limited(self) -> None:
        """While the socket is full; after that the connection is dropped."""
        slow, other = await self.logged_in(), await self.logged_in("henderson")
        for wire in (slow, other):
            await wire.ask(command="roomjoin", room="bola")
        slow.protocol.output.pauseProducing()
        text = "x" * 8000
        said = 0
        while not slow.transport.aborted:
            await other.ask(command="roomchat", text=text)
            said += 1
            self.assertLess(said * len(text), 2 * MAX_UNREAD)
        self.assertGreater(said * len(text), MAX_UNREAD * 0.9)
        self.assertLess(len(slow.transport.value()), MAX_UNREAD + READ)
        self.lose(slow)
        self.assertEqual((await other.ask(command="ping"))["message"], "pong")
        rooms = (await other.ask(command="rooms"))["rooms"]
        self.assertEqual(rooms, [{"room": "bola", "users": ["henderson"]}])

    async def test_connections_of_an_account_share_a_limit(self) -> None:
        """Many connections that are a little behind take as much memory as one that is far behind."""
        share = MAX_UNREAD // 2
        budget = Budget(10 * share)
        self.door_of(JsonDialect).sessions.unread = budget
        slow = [await self.logged_in() for _ in range(4)]
        other = await self.logged_in("henderson")
        for wire in (*slow, other):
            await wire.ask(command="roomjoin", room="bola")
        for wire in slow:
            wire.protocol.output.pauseProducing()
        for _ in range(200):
            await other.ask(command="roomchat", text="x" * 8000)
            await settle()
            if any(wire.transport.aborted for wire in slow):
                break
        self.assertLess(sum(len(wire.transport.value()) for wire in slow), share + READ)
        (cut,) = (wire for wire in slow if wire.transport.aborted)
        self.lose(cut)
        slow.remove(cut)
        slow[0].protocol.output.resumeProducing()
        self.assertLess(0, budget.held)
        for wire in slow:
            self.lose(wire)
        self.assertEqual(budget.held, 0)
        self.assertEqual((await other.ask(command="ping"))["message"], "pong")

    async def test_client_that_catches_up_stays(self) -> None:
        slow, other = await self.logged_in(), await self.logged_in("henderson")
        for wire in (slow, other):
            await wire.ask(command="roomjoin", room="bola")
        for _ in range(4):
            slow.protocol.output.pauseProducing()
            for _ in range(60):
                await other.ask(command="roomchat", text="x" * 8000)
            await settle()
            slow.taken()
            slow.protocol.output.resumeProducing()
        self.assertFalse(slow.transport.aborted)
        self.assertEqual((await slow.ask(command="ping"))["message"], "pong")

    async def test_client_that_does_not_read_is_not_read_from(self) -> None:
        wire = await self.logged_in()
        wire.protocol.output.pauseProducing()
        wire.feed(b'{"command":"ping"}\n')
        await settle()
        self.assertEqual(wire.taken(), b"")
        wire.protocol.output.resumeProducing()
        self.assertEqual((await wire.line())["message"], "pong")

    async def test_client_that_reads_nothing_for_long_is_cut_off(self) -> None:
        """Even if there is little to read."""
        wire = await self.logged_in()
        wire.protocol.output.pauseProducing()
        for _ in range(int(MAX_FULL // 60) + 3):
            self.clock.advance(60)
        self.assertTrue(wire.transport.aborted)

    async def test_client_that_does_not_read_the_last_error_is_cut_off(self) -> None:
        wire = self.wire()
        wire.protocol.output.pauseProducing()
        self.clock.advance(LOGIN_TIME)
        self.assertTrue(wire.transport.disconnecting)
        self.assertFalse(wire.transport.aborted)
        self.clock.advance(MAX_FULL)
        self.assertTrue(wire.transport.aborted)

    async def test_unsent_messages_are_not_marked_as_read(self) -> None:
        """A connection that ends with unsent output has not proved that the inbox arrived."""
        other, slow = await self.logged_in("henderson"), await self.logged_in()
        await other.ask(command="send", to="messi", text="halo")
        slow.feed(b'{"command":"inbox"}\n')
        await slow.until(b"\r\n")
        slow.protocol.output.pauseProducing()
        self.lose(slow, CLOSED)
        again = await self.logged_in()
        inbox = await again.ask(command="inbox")
        self.assertEqual([each["text"] for each in inbox["messages"]], ["halo"])


class SlowSockets(ProtocolTestCase):
    """The same over real sockets and their buffers."""

    limits = {"commands_per_second": 0}

    async def test_a_listener_that_never_reads_is_cut_off(self) -> None:
        slow, other = await self.call_as("messi"), await self.call_as("henderson")
        for caller in (slow, other):
            caller.ask(command="roomjoin", room="bola")
            await caller.line()
        slow.transport.pauseProducing()
        text, said = "x" * 8000, 0
        with Buffers(self.door_of(JsonDialect)) as buffers:
            while self.realm.connections.total == 2:
                other.ask(command="roomchat", text=text)
                self.assertEqual((await other.line())["status"], "OK")
                said += 1
                self.assertLess(said * len(text), 64 * MIB)
        self.assertLess(buffers.largest, 2 * MAX_UNREAD)
        slow.transport.resumeProducing()
        await slow.ended

    async def test_unread_replies_stop_the_next_command(self) -> None:
        """Many requests with long replies take no more memory than a few of them."""
        caller, other = await self.call(), await self.call()
        caller.transport.pauseProducing()
        count = 2000
        wanted = caller.lines + count
        with Buffers(self.door_of(JsonDialect)) as buffers:
            caller.transport.write(b'{"command":"help"}\n' * count)
            for _ in range(20):
                other.ask(command="ping")
                self.assertEqual((await other.line())["message"], "pong")
                await sleep(0.01)
            caller.transport.resumeProducing()
            await until(lambda: caller.lines == wanted)
        self.assertLess(buffers.largest, 2 * MIB)

    async def test_unread_replies_stop_the_next_send(self) -> None:
        """As above, for requests that the database answers."""
        caller = await self.call_as("messi")
        caller.transport.pauseProducing()
        count = 8000  # of more than 500 bytes each: twice what may be in memory
        wanted = caller.lines + count
        request = b'{"command":"send","to":"henderson","text":"x","id":"%s"}\n' % (b"i" * 500)
        with Buffers(self.door_of(JsonDialect)) as buffers:
            caller.transport.write(request * count)
            await sleep(0.3)
            caller.transport.resumeProducing()
            await until(lambda: caller.lines == wanted)
        self.assertLess(buffers.largest, 2 * MIB)
