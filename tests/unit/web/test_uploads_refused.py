"""Uploads over HTTP that are refused, and the limits of uploads."""

from __future__ import annotations

from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred

from chatd.base.names import Address
from chatd.files.partial_file import PartialFile
from chatd.web import channel as channel_module
from tests.support.common import sleep
from tests.unit.web.upload_cases import MIB, UploadTestCase, noise, path, sha256


class Refused(UploadTestCase):
    limits = {"file": 30 * MIB, "account_files": 40 * MIB}

    async def early(
        self, status: int, code: str, size: int, who: str = "messi", **more: Any
    ) -> None:
        """The request is refused before its body arrives, and the connection is closed."""
        raw = await self.dial()
        headers = {"Content-Length": size, "Cookie": self.cookies.get(who, "")}
        raw.begin("PUT", path(size, **more), headers)
        answer = await raw.answer()
        self.assertEqual((answer.status, answer.json["code"]), (status, code))
        self.assertEqual(answer.headers["connection"], "close")
        await raw.gone()
        self.assertEqual(self.site._uploads._claims, {})
        self.assertEqual(self.realm.service.files.under_way.counts.bytes, {})

    async def test_early(self) -> None:
        await self.people("messi", "budi")
        await self.early(401, "not-logged-in", 20 * MIB, who="")
        await self.early(413, "file-too-large", 100 * MIB)
        await self.early(404, "unknown-user", 20 * MIB, to="nobody")
        await self.early(404, "unknown-group", 20 * MIB, to="#nothing")
        await self.early(400, "bad-filename", 20 * MIB, name="..")
        await self.early(400, "bad-argument", 20 * MIB, key="a.b")
        await self.put(b"x" * (15 * MIB))
        await self.early(413, "quota-exceeded", 26 * MIB, key="k2")

    async def test_while_sending(self) -> None:
        """A client that continues to send can read the answer, and its bytes are dropped for a short time."""
        await self.people("messi", "budi")
        raw = await self.dial()
        raw.begin(
            "PUT",
            path(25 * MIB, to="nobody"),
            {"Content-Length": 25 * MIB, "Cookie": self.cookies["messi"]},
        )
        raw.send(b"x" * (25 * MIB))
        (channel,) = self.site._channels
        answer = await raw.answer()
        self.assertEqual(answer.status, 404)
        await raw.gone()
        self.assertLess(channel._dropped, channel_module.LINGER_BYTES + 4 * MIB)
        self.assertGreater(channel._dropped, 0)

    async def test_small_and_refused(self) -> None:
        """Bytes of a refused body that arrive with its head are dropped."""
        await self.people("messi", "budi")
        for size in (1, 100, 70_000):
            answer = await self.put(b"x" * size, to="nobody")
            self.assertEqual(answer.status, 404)

    async def test_refused_before_100_continue(self) -> None:
        await self.people("messi", "budi")
        raw = await self.dial()
        headers = {"Content-Length": MIB, "Expect": "100-continue"}
        raw.begin("PUT", path(MIB), headers)
        self.assertEqual((await raw.answer()).status, 401)
        await raw.gone()

    async def test_without_length(self) -> None:
        await self.people("messi", "budi")
        answer = await self.say("PUT", path(10), "messi", Transfer_Encoding="chunked")
        self.assertEqual((answer.status, answer.json["code"]), (411, "length-required"))

    async def test_lengths_that_do_not_fit(self) -> None:
        await self.people("messi", "budi")
        answer = await self.put(b"abcd", size=3)
        self.assertEqual((answer.status, answer.json["code"]), (400, "bad-argument"))
        self.assertEqual((await self.put(b"ab", offset=2, size=3)).status, 400)

    async def test_bad_requests(self) -> None:
        await self.people("messi", "budi")
        for query in (
            "",
            "to=budi&size=1",
            "to=budi&filename=x",
            "filename=x&size=1",
            "to=budi&group=tim&filename=x&size=1",
            "to=budi&filename=x&size=-1",
            "to=budi&filename=x&size=1e3",
            f"to=budi&filename=x&size={'9' * 5000}",
            "to=bu%00di&filename=x&size=1",
            "to=budi&filename=%ff&size=1",
            "to=budi&filename=%00&size=1",
            "to=" + "a," * 200 + "a&filename=x&size=1",
            "&".join(["a=b"] * 100),
        ):
            answer = await self.say("PUT", f"/uploads/k?{query}", "messi", b"x")
            self.assertEqual((answer.status, answer.json["status"]), (400, "ERROR"), query)
        for offset in ("-1", "x", "1.0", "9" * 40, "1, 2", "\u0663"):
            answer = await self.say("PUT", path(9), "messi", b"x", Upload_Offset=offset)
            self.assertEqual(answer.status, 400, offset)
        for key in ("", "a/b", "a" * 65, "a%2Fb", "%00", "..", "a b"):
            answer = await self.say(
                "PUT",
                f"/uploads/{key.replace(' ', '%20')}?to=budi&filename=x&size=1",
                "messi",
                b"x",
            )
            self.assertEqual((answer.status, answer.json["code"]), (400, "bad-argument"), key)
        self.assertEqual((await self.say("GET", path(1), "messi")).status, 405)
        self.assertEqual((await self.say("POST", path(1), "messi", b"x")).status, 405)
        self.assertEqual(self.parts(), [])

    async def test_tokens(self) -> None:
        """The sender's session token may not be in anything that is stored or shown to others."""
        await self.people("messi", "budi")
        token = self.cookies["messi"].partition("=")[2]
        for wrong in (
            {"to": f"budi,{token}"},
            {"to": f"#{token}"},
            {"name": token},
            {"key": token},
        ):
            answer = await self.say("PUT", path(1, **wrong), "messi", b"x")
            self.assertEqual((answer.status, answer.json["code"]), (400, "token-in-text"), wrong)
            self.assertNotIn(token, answer.json["message"])
        self.assertEqual(self.parts(), [])

    async def test_other_sites(self) -> None:
        await self.people("messi", "budi")
        answer = await self.say("PUT", path(1), "messi", b"x", Origin="https://evil.example")
        self.assertEqual((answer.status, answer.json["code"]), (403, "foreign-origin"))
        answer = await self.say("HEAD", path(1), "messi", Origin="https://evil.example")
        self.assertEqual(answer.status, 403)

    async def test_ambiguous_lengths(self) -> None:
        """Requests whose length can be read in two ways are refused (RFC 9112, 6.3)."""
        await self.people("messi", "budi")
        for lines in (
            "Content-Length: 3\r\nContent-Length: 4",
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "Content-Length: +3",
            "Content-Length: -3",
            "Transfer-Encoding: gzip",
        ):
            raw = await self.dial()
            head = (
                f"PUT {path(3)} HTTP/1.1\r\nHost: localhost\r\nCookie: {self.cookies['messi']}\r\n"
            )
            raw.send(f"{head}{lines}\r\n\r\nabc".encode())
            await raw.gone()
            self.assertTrue(raw.got.startswith(b"HTTP/1.1 400"), raw.got)
        self.assertEqual(self.site._uploads._claims, {})

    async def test_member_leaves_meanwhile(self) -> None:
        """A refusal after the last byte has its reason, and nothing is left of the file."""
        await self.people("messi", "budi")
        service = self.realm.service
        messi, budi = [await service.accounts.find(name) for name in ("messi", "budi")]
        await service.groups.create(budi, "tim")
        await service.groups.join(messi, Address("tim"))
        raw = await self.begin(6, to="#tim")
        await self.taken(raw, b"abc")
        await service.groups.leave(messi, Address("tim"))
        raw.send(b"def")
        answer = await raw.answer()
        self.assertEqual((answer.status, answer.json["code"]), (403, "not-member"))
        files = [path for path in self.realm.state.uploads.rglob("*") if path.is_file()]
        self.assertEqual(files, [])


class Bounds(UploadTestCase):
    limits = {"file": MIB, "account_files": 2 * MIB, "account_uploads": 3}

    async def test_unfinished(self) -> None:
        """The oldest suspended upload makes room for a new one."""
        await self.people("messi", "budi")
        for number in range(5):
            await self.put(b"abc", size=6, key=f"k{number}")
            await sleep(0.01)
        self.assertEqual(len(self.parts()), 3)
        self.assertEqual([await self.offset(6, key=f"k{n}") for n in (0, 1, 2, 4)], [0, 0, 3, 3])

    async def test_under_way(self) -> None:
        await self.people("messi", "budi")
        raws = [await self.begin(6, key=f"k{number}") for number in range(3)]
        await raws[0].until(lambda: len(self.realm.uploads.claimed("")) == len(raws))
        answer = await self.put(b"abc", key="more")
        self.assertEqual((answer.status, answer.json["code"]), (429, "too-many-uploads"))
        raws[0].send(b"abcdef")
        self.assertEqual((await raws[0].answer()).status, 200)
        self.assertEqual((await self.put(b"abc", key="more")).status, 200)

    async def test_quota(self) -> None:
        """Suspended uploads count for the quota, and make room for a new one."""
        await self.people("messi", "budi")
        data = noise(MIB)
        await self.put(data[:-1], size=MIB, key="a")
        await sleep(0.01)
        await self.put(data[:-1], size=MIB, key="b")
        self.assertEqual((await self.put(data[:10], key="c")).status, 200)
        self.assertEqual(await self.offset(MIB, key="a"), 0)
        self.assertEqual(await self.offset(MIB, key="b"), MIB - 1)
        self.assertEqual((await self.put(data[-1:], offset=MIB - 1, key="b")).status, 200)
        answer = await self.put(data, key="d")
        self.assertEqual(answer.json["code"], "quota-exceeded")

    async def test_slow_disk(self) -> None:
        """While the disk is slow, bytes stay with the sender."""
        await self.people("messi", "budi")
        service = self.realm.service
        service.context.use(self.with_limits(file=64 * MIB, account_files=64 * MIB))
        held: list[Deferred[None]] = []
        in_thread = self.realm.uploads.in_thread

        def slowly(work: Any, *args: Any) -> Deferred[Any]:
            if getattr(work, "func", work).__name__ != "append":
                return in_thread(work, *args)
            gate: Deferred[None] = Deferred()
            held.append(gate)
            return gate.addCallback(lambda _: in_thread(work, *args))

        data = noise(32 * MIB)
        with mock.patch.object(self.realm.uploads, "in_thread", slowly):
            raw = await self.begin(len(data))
            raw.send(data)
            await raw.until(lambda: bool(held))
            await sleep(0.3)
            (channel,) = [c for c in self.site._channels if c.requests]
            (request,) = channel.requests
            waiting = sum(map(len, request.body._pieces))
            self.assertLess(waiting, 256 << 10)
            self.assertEqual(len(held), 1)
            while not raw.got:
                while held:
                    held.pop().callback(None)
                await sleep(0.001)
        self.assertEqual((await raw.answer()).json["sha256"], sha256(data))

    async def test_disk_full(self) -> None:
        await self.people("messi", "budi")
        with mock.patch.object(PartialFile, "append", side_effect=OSError(28, "No space left")):
            raw = await self.begin(MIB)
            raw.send(noise(MIB - 1))
            answer = await raw.answer()
        self.assertEqual((answer.status, answer.json["code"]), (503, "storage-failed"))
        self.assertEqual(self.realm.service.files.under_way.counts.bytes, {})

    async def test_disk_full_at_the_end_of_a_chunk(self) -> None:
        """The client is not told that bytes are here which the disk has refused."""
        await self.people("messi", "budi")
        for call in ("append", "leave"):
            with mock.patch.object(PartialFile, call, side_effect=OSError(28, "No space left")):
                answer = await self.put(b"abc", size=6)
            self.assertEqual((answer.status, answer.json["code"]), (503, "storage-failed"), call)
        self.assertEqual(self.realm.service.files.under_way.counts.bytes, {})
