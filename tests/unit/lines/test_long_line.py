"""Lines that carry files: who may send long ones, their memory, and when they are dropped."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote_plus

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from chatd.base.throttle import Budget
from chatd.lines.dialect import Dialect
from chatd.lines.dialects.bagan import BaganDialect
from chatd.lines.dialects.kelompok3 import Kelompok3Dialect
from chatd.lines.dialects.tugas4 import Tugas4Dialect
from chatd.lines.dialects.urlencoded import UrlencodedDialect
from chatd.lines.long_line import GAIN, STALL, TOKEN_BYTES
from tests.support.common import RealmTestCase, Wire, sleep

LINE, INLINE, TOTAL = 1000, 100_000, 1_000_000
FILE = base64.b64encode(b"bola" * 3000).decode()
VERBS: dict[type[Dialect], str] = {
    Kelompok3Dialect: "sendfile {token} messi plan.txt ",
    BaganDialect: "sendfile {token} messi plan.txt ",
    Tugas4Dialect: "send_file {token} messi plan.txt ",
    UrlencodedDialect: "file_send username=messi&session={token}&filename=plan.txt&payload=",
}
TOKEN = "x" * 43


class SharedBytes(TestCase):
    def test_a_tenth_for_each(self) -> None:
        budget = Budget(100)
        self.assertTrue(budget.change(1, 10))
        self.assertFalse(budget.change(1, 1))
        self.assertTrue(all(budget.change(account, 10) for account in range(2, 11)))
        self.assertFalse(budget.change(11, 1))
        self.assertTrue(budget.change(1, -10))
        self.assertTrue(budget.change(11, 10))

    @given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 30))))
    def test_total_is_never_exceeded(self, sizes: list[tuple[int, int]]) -> None:
        budget = Budget(200)
        held = dict.fromkeys(range(13), 0)
        for account, size in sizes:
            if budget.change(account, size - held[account]):
                held[account] = size
            self.assertLessEqual(max(held.values()), 20)
            self.assertEqual(budget.held, sum(held.values()))
            self.assertLessEqual(budget.held, 200)


class LongLineTestCase(RealmTestCase):
    limits = {"line": LINE, "inline_line": INLINE, "inline_total": TOTAL, "commands_per_second": 0}

    def setUp(self) -> None:
        self.time = Clock()
        self.clock = self.time if self.turned else None
        super().setUp()

    turned = False

    def wire(self, dialect: type[Dialect] = BaganDialect) -> Wire:
        wire = self.connect(dialect())
        self.addCleanup(wire.lose, Failure(ConnectionDone()))
        return wire

    async def token_of(self, name: str) -> str:
        login = await self.realm.service.accounts.register(name, "surabaya1", None, None)
        return str(login.token)

    @property
    def held(self) -> int:
        return self.realm.sessions.inline.held


class WhoMay(LongLineTestCase):
    async def test_login_is_needed(self) -> None:
        for dialect, verb in VERBS.items():
            wire = self.wire(dialect)
            wire.feed(b"nothing\r\n")  # the first line has its own rule
            await wire.until(b"\r\n")
            wire.feed(verb.format(token=TOKEN).encode() + b"A" * LINE)
            answer = await wire.until(b"\r\n")
            self.assertIn(b"ERROR", answer, dialect.name)
            self.assertLess(len(wire.protocol.lines), LINE)
            wire.feed(b"A" * 10 * LINE + b"\r\n")
            self.assertEqual(len(wire.protocol.lines), 0)
            self.assertFalse(wire.transport.disconnecting)

    async def test_a_live_token_at_the_beginning(self) -> None:
        """On a connection without a login."""
        token = await self.token_of("messi")
        for dialect, verb in VERBS.items():
            value = quote_plus(FILE) if dialect is UrlencodedDialect else FILE
            line = verb.format(token=token) + value
            for size in (len(line), LINE - 1, 7000):
                wire = self.wire(dialect)
                for start in range(0, len(line), size):
                    wire.feed(line[start : start + size].encode())
                wire.feed(b"\r\nnothing\r\n")
                answer = await wire.until(lambda data: data.count(b"status") == 2)
                self.assertIn(b'"status":"OK"', answer, dialect.name)
        self.assertEqual(self.held, 0)

    async def test_a_token_that_comes_too_late(self) -> None:
        """In urlencoded it has to come before the payload, or the connection needs a login."""
        token = await self.token_of("messi")
        line = f"file_send username=messi&filename=a.txt&payload={quote_plus(FILE)}&session={token}\r\n"
        wire = self.wire(UrlencodedDialect)
        wire.feed(line.encode())
        self.assertIn(b"line-too-long", await wire.until(b"\r\n"))
        wire = self.wire(UrlencodedDialect)
        wire.feed(b"auth username=messi&password=surabaya1\r\n")
        await wire.until(b"\r\n")
        wire.feed(line.encode())
        self.assertIn(b'"status":"OK"', await wire.until(b"\r\n"))

    async def test_a_token_beyond_the_first_bytes(self) -> None:
        token = await self.token_of("messi")
        wire = self.wire()
        wire.feed(b"sendfile" + b" " * TOKEN_BYTES + f"{token} messi a.txt {FILE}\r\n".encode())
        self.assertIn(b"ERROR", await wire.until(b"\r\n\r\n"))

    async def test_after_a_login(self) -> None:
        await self.token_of("messi")
        wire = self.wire()
        wire.feed(b"auth messi surabaya1\r\n")
        await wire.until(b"\r\n\r\n")
        wire.feed(f"sendfile messi a.txt {FILE}".encode())
        self.assertGreater(self.held, len(FILE))
        wire.feed(b"\r\n")
        self.assertIn(b"File sent", await wire.until(b"\r\n\r\n"))
        self.assertEqual(self.held, 0)
        wire.feed(b"sendfile messi a.txt " + b"A" * INLINE)
        self.assertIn(b"ERROR", await wire.until(b"\r\n\r\n"))
        self.assertEqual(self.held, 0)


class SharedMemory(LongLineTestCase):
    turned = True

    async def begun(self, token: str, size: int) -> Wire:
        wire = self.wire()
        wire.feed(f"sendfile {token} messi a.txt ".encode() + b"A" * size)
        held = self.held
        while self.held == held and b"ERROR" not in wire.transport.value():
            await sleep(0.002)
        return wire

    async def test_an_account_has_its_share(self) -> None:
        """One whole line. A second one is refused; other accounts have their own shares."""
        messi, budi = await self.token_of("messi"), await self.token_of("budi")
        first = await self.begun(messi, 60_000)
        self.assertEqual(first.taken(), b"")
        second = await self.begun(messi, 60_000)
        self.assertIn(b"100000", second.taken())
        other = await self.begun(budi, 90_000)
        self.assertEqual(other.taken(), b"")
        first.lose(Failure(ConnectionDone()))
        self.assertLess(self.held, 95_000)
        third = await self.begun(messi, 90_000)
        self.assertEqual(third.taken(), b"")

    async def test_stalled_line_is_dropped(self) -> None:
        token = await self.token_of("messi")
        wire = await self.begun(token, 2000)
        self.time.advance(STALL + 1)
        self.assertIn(str(GAIN).encode(), await wire.until(b"\r\n\r\n"))
        self.assertEqual((self.held, len(wire.protocol.lines)), (0, 0))
        wire.feed(b"A" * 5000 + b"\r\nnothing\r\n")
        self.assertIn(b"ERROR", await wire.until(b"\r\n\r\n"))
        self.assertFalse(wire.transport.disconnecting)

    async def test_growing_line_continues(self) -> None:
        token = await self.token_of("messi")
        wire = await self.begun(token, 2000)
        for _ in range(3):
            wire.feed(b"A" * GAIN)
            self.time.advance(STALL)
        self.assertEqual(wire.taken(), b"")
        self.assertGreater(self.held, 3 * GAIN)

    async def test_interrupted_line_is_dropped(self) -> None:
        """By the telnet command IP."""
        token = await self.token_of("messi")
        wire = await self.begun(token, 2000)
        wire.feed(b"\xff\xf4")
        self.assertEqual(self.held, 0)

    async def test_lost_connection_holds_no_memory(self) -> None:
        token = await self.token_of("messi")
        wire = await self.begun(token, 2000)
        wire.lose(Failure(ConnectionDone()))
        self.assertEqual(len(wire.protocol.lines), 0)
        self.assertEqual(self.held, 0)

    async def test_refused_line_holds_no_memory(self) -> None:
        token = await self.token_of("messi")
        for rest in (b"?", b"A" * 5000):  # not base64, and no such user
            wire = await self.begun(token, 2000)
            wire.feed(rest + b"\r\n")
            await wire.until(b"\r\n\r\n")
            self.assertEqual(self.held, 0)


class Stored(LongLineTestCase):
    async def test_holds_no_memory(self) -> None:
        """Not even while the client does not read the file that comes back with the reply."""
        token = await self.token_of("messi")
        wire = self.wire(UrlencodedDialect)
        wire.feed(f"inbox session={token}\r\n".encode())
        await wire.until(b"\r\n")
        verb = VERBS[UrlencodedDialect].format(token=token)
        wire.feed(f"{verb}{quote_plus(FILE)}\r\n".encode())
        output = wire.protocol.output
        output.pauseProducing()
        self.assertGreater(self.held, len(FILE))
        await wire.until(lambda _data: not self.held)
        output.resumeProducing()
        self.assertEqual(json.loads(await wire.until(b"\r\n"))["payload"], FILE)
