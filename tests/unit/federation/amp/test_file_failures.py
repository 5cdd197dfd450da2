"""Files between two realms over a network that fails."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from chatd.federation.amp import link as link_module
from chatd.federation.file_supply import FileSupply
from chatd.files.folder import Uploads
from tests.support.common import run, sleep
from tests.support.peering import Person, until
from tests.support.proxied import ProxyTestCase
from tests.support.proxy import THERE

net: Any = reactor


class Files(ProxyTestCase):
    async def test_through_cuts(self) -> None:
        """A file of some MiB arrives complete. After each cut it is resumed, so that little more than its
        size is sent. Messages to others do not wait for it."""
        await self.begin()
        citra = await self.person(self.two, "citra")
        data = random.Random(1).randbytes(4 << 20)  # noqa: S311 - repeatable, not secret
        self.proxy.delay = 0.001
        sent = run(self.ana.send_file("budi@realm2", "gol.bin", data))
        passed = cuts = 0
        while cuts < 4:
            await self.linked()
            await until(lambda: self.bytes_there() > (500 << 10))
            passed += self.bytes_there()
            self.proxy.cut()
            cuts += 1
            await until(lambda: not self.proxy.passages)
        await self.ana.must("send", to="citra@realm2", text="mana?")
        self.assertEqual(await citra.gets(1), ["mana?"])
        reply = await sent
        self.assertEqual(reply["status"], "OK")
        await until(self.stored)
        await self.ana.must("send", to="budi@realm2", text="sudah?")
        (first, second) = await self.messages(self.budi, 2)
        self.assertEqual(second["text"], "sudah?")
        passed += self.bytes_there()
        self.assertLess(passed, len(data) * 1.5)
        self.assertEqual(first["file"]["sha256"], hashlib.sha256(data).hexdigest())
        (stored,) = self.stored()
        self.assertEqual(stored.read_bytes(), data)
        self.assertEqual(list((self.two.config.state / "uploads" / "incoming").iterdir()), [])
        await self.nothing_queued(self.ana)

    async def file_arrives(self) -> None:
        data = random.Random(2).randbytes(1 << 20)  # noqa: S311 - repeatable, not secret
        reply = await self.ana.send_file("budi@realm2", "gol.bin", data)
        self.assertEqual(reply["status"], "OK")
        await self.ana.must("send", to="budi@realm2", text="sudah?")
        (first, second) = await self.messages(self.budi, 2)
        self.assertEqual(first["file"]["sha256"], hashlib.sha256(data).hexdigest())
        self.assertEqual(second["text"], "sudah?")
        await until(self.stored)
        await self.nothing_queued(self.ana)

    def stored(self) -> list[Path]:
        """The files that realm2 has."""
        return [path for path in (self.two.config.state / "uploads").iterdir() if path.is_file()]

    async def test_unanswered_request(self) -> None:
        """The link is dropped, although messages still arrive, and the file is fetched over another one."""
        await self.begin()
        usual = link_module.ANSWER_TIME
        self.patch(link_module, "ANSWER_TIME", 1.0)
        read = FileSupply.read
        asked: list[str] = []

        async def silent(supply: FileSupply, realm: str, *args: Any) -> bytes:
            asked.append(realm)
            if len(asked) == 1:
                await Deferred()
            link_module.ANSWER_TIME = usual  # a slow machine drops no other link
            return await read(supply, realm, *args)

        self.patch(FileSupply, "read", silent)
        await self.file_arrives()
        self.assertEqual(self.proxy.met, 2)

    async def test_lost_while_a_file_is_opened(self) -> None:
        """The part of a file is still being read when the link is lost, and is resumed over the next one."""
        await self.begin()
        resume = Uploads.resume
        opened: list[Any] = []

        def slowly(uploads: Uploads, *args: Any) -> Deferred[Any]:
            opening = resume(uploads, *args)
            opened.append(opening)
            if len(opened) == 1:
                self.proxy.cut()
                opening.addCallback(self.later, until(lambda: not self.two.links))
            return opening

        self.patch(Uploads, "resume", slowly)
        began = net.seconds()
        await self.file_arrives()
        self.assertLess(net.seconds() - began, 5)
        self.assertEqual(list((self.two.config.state / "uploads" / "incoming").iterdir()), [])

    async def test_lost_while_a_file_is_opened_for_good(self) -> None:
        """A file that can't be resumed ends with its link."""
        await self.begin()
        resume = Uploads.resume

        def slowly(uploads: Uploads, *args: Any) -> Deferred[Any]:
            self.proxy.refusing = True
            self.proxy.cut()
            gone = until(lambda: not self.two.links)
            return resume(uploads, *args).addCallback(self.later, gone)

        self.patch(Uploads, "resume", slowly)
        await self.ana.send_file("budi@realm2", "gol.bin", b"x" * 100_000)
        await until(lambda: not self.two.links)
        await sleep(0.1)
        realms = self.two.federation.arrivals._realms.values()
        self.assertEqual([here.active for here in realms], [])

    def later(self, result: Any, when: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        """Both calls get the same result."""
        return run(when).addCallback(lambda _: result)

    def bytes_there(self) -> int:
        return sum(passage.pipes[THERE].passed for passage in self.proxy.passages)

    async def messages(self, person: Person, count: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        end = net.seconds() + 20
        while len(found) < count:
            if net.seconds() > end:
                self.fail(f"{found} came")
            await sleep(0.02)
            found += (await person.must("inbox"))["messages"]
        return found
