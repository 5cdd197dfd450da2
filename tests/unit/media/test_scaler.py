"""Pictures are scaled in another process. No misbehaviour of that process harms the daemon."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from chatd.base.errors import Busy, ShuttingDown
from chatd.media import process, scaler
from chatd.media.process import Form, PictureRefused, PictureTooHard
from chatd.media.scaler import PictureScaler
from tests.support.common import sleep
from tests.support.pictures import picture

FORM = Form(square=False, side=100, most=65_536)
# Scripts that misbehave.
SILENT = "import sys; sys.stdin.buffer.read()"
DEAF = "import time; time.sleep(100)"
DYING = "import sys; sys.stdin.buffer.read(10); sys.exit('no more')"
LYING = r"""
import sys
sys.stdout.buffer.write(b"\1\0\1\0\1\377\377\377\377")
sys.stdout.flush()
sys.stdin.buffer.read()
"""
# It writes more than one result, at once or later.
CHATTY = r"""
import sys
sys.stdin.buffer.read(1)
sys.stdout.buffer.write(b"\0\0\0\0\0\0\0\0\2hm" * 2)
sys.stdout.flush()
sys.stdin.buffer.read()
"""
TALKING = CHATTY.replace("* 2)", "* 1)").replace(
    "sys.stdin.buffer.read()\n",
    """
import time
while True:
    time.sleep(0.01)
    sys.stdout.buffer.write(b"x")
    sys.stdout.flush()
""",
)


class Source:
    """An open file."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.at = 0
        self.closed = False

    async def read(self, size: int) -> bytes:
        data = self.data[self.at : self.at + size]
        self.at += len(data)
        return data

    async def seek(self, offset: int) -> None:
        self.at = offset

    async def close(self) -> None:
        self.closed = True


class ScalerTestCase(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.scaler = PictureScaler(reactor, self.clock)
        self.addCleanup(self.scaler.stop)

    def scale(self, data: bytes | Source, owner: str = "messi") -> Deferred[Any]:
        source = data if isinstance(data, Source) else Source(data)

        async def opened() -> Any:
            return source

        return self.scaler.scale(owner, opened, FORM)

    def pid(self) -> int:
        return int(self.scaler._process.transport.pid)  # type: ignore[union-attr]

    def use(self, program: str) -> None:
        """Run another program in place of the worker."""
        path = Path(self.mktemp())
        path.write_text(program)
        self.patch(process, "WORKER", str(path))

    async def until(self, condition: Any) -> None:
        while not condition():
            await sleep(0.005)


class TheRealProcess(ScalerTestCase):
    async def test_scales(self) -> None:
        """Several pictures: large, unreadable, and one after the process was killed."""
        large = picture("PNG", (1000, 1000)) + bytes(3 << 20)
        found = await gatherResults([self.scale(large), self.scale(picture("JPEG", (200, 50)))])
        self.assertEqual([(each.width, each.height) for each in found], [(100, 100), (100, 25)])
        first = self.pid()
        with self.assertRaisesRegex(PictureRefused, "damaged"):
            await self.scale(b"no picture")
        self.assertEqual(self.pid(), first)
        os.kill(first, signal.SIGKILL)
        self.assertEqual((await self.scale(picture("GIF"))).width, 40)
        self.assertNotEqual(self.pid(), first)
        await self.is_confined()
        self.clock.advance(scaler.IDLE)
        await self.until(lambda: not self.scaler._alive)

    async def is_confined(self) -> None:
        """It has no variables, and can open nothing."""
        folder = Path(f"/proc/{self.pid()}")
        self.assertEqual((folder / "environ").read_bytes(), b"")
        limits = (folder / "limits").read_text()
        for name in ("Max open files", "Max file size", "Max core file size", "Max processes"):
            self.assertRegex(limits, rf"{name} +0 +0 ")
        self.assertRegex(limits, r"Max address space +\d+ ")


class Trouble(ScalerTestCase):
    async def test_every_kind(self) -> None:
        for program in (DYING, LYING):
            self.use(program)
            for size in (1, 300_000):
                source = Source(bytes(size))
                with self.assertRaisesRegex(PictureTooHard, "too much"):
                    await self.scale(source)
                self.assertTrue(source.closed)

    async def test_output_without_a_request(self) -> None:
        """The daemon does not buffer the output of a process that an attacker controls."""
        self.use(CHATTY)
        scaling = self.scale(b"")
        with self.assertRaisesRegex(PictureTooHard, "too much"):
            await scaling
        self.use(TALKING)
        with self.assertRaisesRegex(PictureRefused, "hm"):
            await self.scale(b"")
        await self.until(lambda: not self.scaler._alive)

    async def test_no_answer(self) -> None:
        """A process that takes too long is killed."""
        for program, size in ((SILENT, 1), (DEAF, 1 << 20)):
            self.use(program)
            scaling = self.scale(bytes(size))
            await sleep(0.05)
            self.clock.advance(process.TIME)
            with self.assertRaisesRegex(PictureTooHard, "too much"):
                await scaling

    async def test_unreadable_source(self) -> None:
        self.use(SILENT)
        with self.assertRaises(OSError):
            source = Source(b"")
            source.size = 5
            await self.scale(source)
        await self.until(lambda: not self.scaler._alive)

        async def gone() -> Any:
            raise OSError("no such file")

        with self.assertRaises(OSError):
            await self.scaler.scale("messi", gone, FORM)

    async def test_a_new_process_after_many(self) -> None:
        self.patch(scaler, "MAX_SCALED", 1)
        await self.scale(picture("PNG"))
        self.assertIsNone(self.scaler._process)

    async def test_no_process(self) -> None:
        class Full:
            def spawnProcess(self, *_args: object, **_more: object) -> None:
                raise OSError("no more processes")

        self.scaler._reactor = Full()
        with self.assertRaises(Busy):
            await self.scale(b"")

    async def test_stopping(self) -> None:
        self.use(SILENT)
        under_way, waiting = self.scale(b"1"), self.scale(b"2")
        await sleep(0)
        await self.scaler.stop()
        for each in (under_way, waiting, self.scale(b"3")):
            with self.assertRaises(ShuttingDown):
                await each
        self.assertFalse(self.scaler._alive)


class Waiting(ScalerTestCase):
    def test_limits(self) -> None:
        """One owner has a limit, and others still get a place when all places are taken."""
        self.patch(scaler, "MAX_WAITING_OF_ONE", 3)
        self.scaler._working = True
        mine = [self.scale(b"") for _ in range(4)]
        self.failureResultOf(mine[3], Busy)
        self.scaler._waiting._capacity = 4
        others = [self.scale(b"", f"other {number}") for number in range(2)]
        self.failureResultOf(mine[0], Busy)
        self.assertNoResult(others[1])
        self.assertEqual(self.scaler._waits["messi"], 2)
        self.scaler._stopped = False
        self.scaler.stop()
        for each in (*mine[1:3], *others):
            self.failureResultOf(each, ShuttingDown)
