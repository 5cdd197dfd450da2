"""Files on their way up over HTTP: in pieces, cut off, gone on with, refused; on real sockets."""

from __future__ import annotations

import hashlib
import random
from typing import Any
from unittest import mock
from urllib.parse import urlencode

from twisted.internet.defer import Deferred

from chatd.base.names import Address
from chatd.files.incoming import Incoming
from chatd.files.partial_file import PartialFile
from chatd.web import channel as channel_module
from chatd.web.async_resource import MAX_BODY
from tests.support.common import sleep
from tests.support.rawhttp import Heard, Raw, RawTestCase

MIB = 1 << 20
KEY = "aB3_-xyz0123456789abcd"


def path(
    size: int, key: str = KEY, to: str = "budi", name: str = "laporan.pdf", **more: str
) -> str:
    place = {"group": to[1:]} if to.startswith("#") else {"to": to}
    return f"/uploads/{key}?{urlencode({**place, 'filename': name, 'size': size, **more})}"


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class UploadTestCase(RawTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.written = 0  # bytes that came out of bodies
        write = Incoming.write

        def count(incoming: Incoming, data: bytes) -> bool:
            self.written += len(data)
            return write(incoming, data)

        self.patch(Incoming, "write", count)

    async def put(
        self, data: bytes, offset: int = 0, size: int | None = None, who: str = "messi", **more: Any
    ) -> Heard:
        """The bytes of a file from `offset` on."""
        whole = offset + len(data) if size is None else size
        headers = {"Upload_Offset": offset} if offset else {}
        return await self.say("PUT", path(whole, **more), who, data, **headers)

    async def offset(self, size: int, **more: Any) -> int:
        answer = await self.say("HEAD", path(size, **more), "messi")
        self.assertEqual(answer.status, 200)
        return int(answer.headers["upload-offset"])

    async def begin(
        self, size: int, offset: int = 0, length: int | None = None, **more: Any
    ) -> Raw:
        """The head of a PUT; the body is still to come."""
        raw = await self.dial()
        length = size - offset if length is None else length
        headers = {"Upload-Offset": offset, "Content-Length": length}
        raw.begin("PUT", path(size, **more), {"Cookie": self.cookies["messi"], **headers})
        return raw

    async def taken(self, raw: Raw, data: bytes) -> None:
        """Send a little of a body, and wait until it was accepted; it need not be in the file yet."""
        wanted = self.written + len(data)
        raw.send(data)
        await raw.until(lambda: self.written == wanted)

    def bytes_kept(self) -> int:
        return sum(part.stat().st_size for part in self.parts())

    def parts(self) -> list[Any]:
        return list((self.realm.state.uploads / "incoming").iterdir())

    async def stored(self, code: str) -> bytes:
        """The bytes that budi gets."""
        return (await self.say("GET", f"/files/{code}", "budi")).body


class Sending(UploadTestCase):
    async def test_whole(self) -> None:
        await self.people("messi", "budi")
        data = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + noise(100_000)
        answer = await self.put(data)
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["content-type"], "application/json; charset=utf-8")
        found = answer.json
        self.assertEqual(
            {key: found[key] for key in ("status", "message", "name", "size", "sha256", "mime")},
            {
                "status": "OK",
                "message": "File sent",
                "name": "laporan.pdf",
                "size": len(data),
                "sha256": sha256(data),
                "mime": "application/pdf",
            },
        )
        self.assertEqual(found["seq"], 1)
        self.assertGreater(found["id"], 0)
        self.assertEqual(await self.stored(found["code"]), data)
        self.assertEqual(self.parts(), [])

    async def test_nothing_in_it(self) -> None:
        await self.people("messi", "budi")
        answer = await self.put(b"", name="kosong")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.json["sha256"], sha256(b""))

    async def test_without_a_length_there_is_nothing_in_it(self) -> None:
        await self.people("messi", "budi")
        answer = await self.say("PUT", path(0), "messi")
        self.assertEqual(answer.json["size"], 0)

    async def test_to_several(self) -> None:
        await self.people("messi", "budi", "henderson")
        answer = await self.put(b"x", to="budi,henderson,nobody")
        self.assertEqual([each["to"] for each in answer.json["sent"]], ["budi", "henderson"])
        self.assertEqual(answer.json["unknown"], ["nobody"])

    async def test_to_a_group(self) -> None:
        await self.people("messi", "budi")
        accounts, groups = self.realm.service.accounts, self.realm.service.groups
        messi = await accounts.find("messi")
        await groups.create(messi, "tim")
        answer = await self.put(b"x", to="#tim")
        self.assertEqual((answer.status, answer.json["seq"]), (200, 1))

    async def test_names_of_all_kinds(self) -> None:
        await self.people("messi", "budi")
        for number, (name, kept) in enumerate(
            (
                ("a;b&c=d.txt", "a;b&c=d.txt"),
                ("../../e\u0301 +.txt", "é +.txt"),
                ("文 .pdf", "文 .pdf"),
            )
        ):
            answer = await self.put(b"x", key=f"k{number}", name=name)
            self.assertEqual(answer.json["name"], kept)

    async def test_others_on_the_same_connection(self) -> None:
        """What follows a file on its connection is answered after it, and the connection stays."""
        await self.people("messi", "budi")
        raw = await self.begin(5)
        raw.send(b"halo!GET /session HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertEqual((await raw.answer()).json["message"], "File sent")
        self.assertEqual((await raw.answer()).json["realm"], "realm1")
        raw.begin("PUT", path(3, key="k2"), {"Cookie": self.cookies["messi"], "Content-Length": 3})
        raw.send(b"abc")
        self.assertEqual((await raw.answer()).json["size"], 3)
        self.assertFalse(raw.lost)

    async def test_byte_by_byte(self) -> None:
        await self.people("messi", "budi")
        raw = await self.begin(20)
        for byte in noise(20):
            raw.send(bytes([byte]))
            await sleep(0)
        self.assertEqual((await raw.answer()).json["sha256"], sha256(noise(20)))

    async def test_continue(self) -> None:
        """Who waits for a word gets it when the body is wanted."""
        await self.people("messi", "budi")
        raw = await self.dial()
        headers = {"Cookie": self.cookies["messi"], "Content-Length": 3, "Expect": "100-continue"}
        raw.begin("PUT", path(3), headers)
        await raw.until(lambda: raw.got == b"HTTP/1.1 100 Continue\r\n\r\n")
        raw.got.clear()
        raw.send(b"abc")
        self.assertEqual((await raw.answer()).json["size"], 3)


class GoingOn(UploadTestCase):
    async def test_in_pieces_with_cuts(self) -> None:
        """20 MiB, with the connection lost again and again: in the end it is the file that was sent."""
        await self.people("messi", "budi")
        data = noise(20 * MIB)
        chance = random.Random(2)  # noqa: S311
        there, cuts = 0, 0
        while True:
            piece = chance.randint(1, 5 * MIB)
            raw = await self.begin(len(data), there)
            if there + piece >= len(data):
                raw.send(data[there:])
                answer = await raw.answer()
                break
            await self.taken(raw, data[there : there + piece])
            raw.cut()
            cuts += 1
            now = await self.offset(len(data))
            self.assertEqual(now, there + piece)
            there = now
        self.assertGreater(cuts, 2)
        self.assertEqual(answer.json["sha256"], sha256(data))
        self.assertEqual(sha256(await self.stored(answer.json["code"])), sha256(data))
        self.assertEqual(self.parts(), [])

    async def test_part_after_part(self) -> None:
        """A body that ends too early is told so."""
        await self.people("messi", "budi")
        answer = await self.put(b"abc", size=6)
        self.assertEqual((answer.status, answer.headers["upload-offset"]), (202, "3"))
        self.assertEqual(answer.json["offset"], 3)
        self.assertEqual(await self.offset(6), 3)
        answer = await self.put(b"def", offset=3)
        self.assertEqual(answer.json["sha256"], sha256(b"abcdef"))

    async def test_as_curl_says_it(self) -> None:
        """Where a part belongs may also stand in Content-Range."""
        await self.people("messi", "budi")
        await self.put(b"abc", size=6)
        for part, status in (("bytes 0-2/6", 409), ("bytes x", 400), ("bytes 3-5/6", 200)):
            answer = await self.say("PUT", path(6), "messi", b"def", Content_Range=part)
            self.assertEqual(answer.status, status)
        self.assertEqual(answer.json["sha256"], sha256(b"abcdef"))

    async def test_over_a_restart(self) -> None:
        await self.people("messi", "budi")
        await self.put(b"abc", size=6)
        self.assertEqual(self.realm.uploads.clean(()), 0)  # as at a start
        self.assertEqual((await self.put(b"def", offset=3)).json["sha256"], sha256(b"abcdef"))

    async def test_elsewhere(self) -> None:
        """What does not begin where the file ends is refused, and nothing is lost."""
        await self.people("messi", "budi")
        self.assertEqual(await self.offset(6), 0)
        await self.put(b"abc", size=6)
        for offset in (0, 2, 4):
            answer = await self.put(b"x", offset=offset, size=6)
            self.assertEqual((answer.status, answer.json["code"]), (409, "upload-offset"))
            self.assertEqual(answer.headers["upload-offset"], "3")
        self.assertEqual((await self.put(b"def", offset=3)).status, 200)

    async def test_taken_over(self) -> None:
        """An older connection, which may be half dead, is cut off by a newer one, and by HEAD."""
        await self.people("messi", "budi")
        first = await self.begin(9)
        await self.taken(first, b"abc")
        answer = await self.put(b"def", offset=3, size=9)
        self.assertEqual((answer.status, answer.headers["upload-offset"]), (202, "6"))
        await first.gone()
        self.assertEqual(first.got, b"")
        second = await self.begin(9, 6)
        await self.taken(second, b"g")
        self.assertEqual(await self.offset(9), 7)
        await second.gone()
        self.assertEqual((await self.put(b"hi", offset=7)).json["sha256"], sha256(b"abcdefghi"))

    async def test_many_at_once(self) -> None:
        """Of several for one key the last has it."""
        await self.people("messi", "budi")
        raws = [await self.begin(3) for _ in range(5)]
        await raws[0].until(lambda: sum(raw.lost for raw in raws) == 4)
        (last,) = [raw for raw in raws if not raw.lost]
        last.send(b"abc")
        self.assertEqual((await last.answer()).status, 200)
        self.assertEqual(self.site._uploads._claims, {})

    async def test_given_up(self) -> None:
        await self.people("messi", "budi")
        await self.put(b"abc", size=6)
        answer = await self.say("DELETE", f"/uploads/{KEY}", "messi")
        self.assertEqual((answer.status, answer.json["status"]), (200, "OK"))
        self.assertEqual(self.parts(), [])
        raw = await self.begin(6)
        await self.taken(raw, b"abc")
        await self.say("DELETE", f"/uploads/{KEY}", "messi")
        await raw.gone()
        self.assertEqual(await self.offset(6), 0)
        self.assertEqual(self.realm.service.files.under_way._bytes, {})

    async def test_somebody_elses_key(self) -> None:
        """Keys are each one's own."""
        await self.people("messi", "budi")
        await self.put(b"abc", size=6)
        answer = await self.say("HEAD", path(6, to="messi"), "budi")
        self.assertEqual(answer.headers["upload-offset"], "0")
        await self.say("DELETE", f"/uploads/{KEY}", "budi")
        self.assertEqual(await self.offset(6), 3)

    async def test_keys_by_case(self) -> None:
        await self.people("messi", "budi")
        await self.put(b"abc", size=6, key="a")
        self.assertEqual(await self.offset(6, key="A"), 0)

    async def test_stuck(self) -> None:
        """A body that stands still is cut off, and what came is kept."""
        await self.people("messi", "budi")
        self.patch(channel_module, "BODY_TIME", 0.1)
        raw = await self.begin(6)
        raw.send(b"abc")
        await raw.gone()
        self.patch(channel_module, "BODY_TIME", 300)
        self.assertEqual(await self.offset(6), 3)

    async def test_patience_ends_with_the_body(self) -> None:
        await self.people("messi", "budi")
        raw = await self.begin(3)
        await sleep(0.05)
        (channel,) = [c for c in self.site._channels if c.requests]
        self.assertEqual(channel.timeOut, channel_module.BODY_TIME)
        raw.send(b"abc")
        await raw.answer()
        self.assertEqual(channel.timeOut, self.site.timeOut)

    async def test_session_ends(self) -> None:
        """So does what is under way in it; what came is kept."""
        await self.people("messi", "budi")
        raw = await self.begin(9)
        await self.taken(raw, b"abc")
        gone = await self.say("DELETE", "/session", "messi", b"")
        self.assertEqual(gone.status, 200)
        raw.send(b"def")
        answer = await raw.answer()
        self.assertEqual((answer.status, answer.json["code"]), (401, "not-logged-in"))
        await raw.gone()
        self.assertEqual(self.site._uploads._claims, {})

    async def test_realm_stops(self) -> None:
        await self.people("messi", "budi")
        raw = await self.begin(6)
        await self.taken(raw, b"abc")
        await self.site._uploads.stop()
        self.assertEqual((await raw.answer()).json["code"], "shutting-down")
        self.assertEqual((await self.put(b"abc")).status, 503)
        self.assertEqual(self.bytes_kept(), 3)


class Again(UploadTestCase):
    """A key is one sending, however often it is asked for."""

    async def messages(self) -> int:
        budi = await self.realm.service.accounts.find("budi")
        return sum(each.unread for each in await self.realm.service.reading.unread(budi, {}))

    async def test_whole(self) -> None:
        await self.people("messi", "budi")
        data = noise(100_000)
        first = await self.put(data)
        for _ in range(3):
            again = await self.put(data)
            self.assertEqual((again.status, again.json), (200, first.json))
        self.assertEqual(await self.offset(len(data)), len(data))
        again = await self.put(b"", offset=len(data))
        self.assertEqual(again.json, first.json)
        self.assertEqual(await self.messages(), 1)
        self.assertEqual(len(self.realm.service.files.under_way._bytes), 0)
        self.assertEqual(self.parts(), [])

    async def test_answer_was_lost(self) -> None:
        """Wherever the connection ends about the last byte, the file is sent once."""
        await self.people("messi", "budi")
        data = noise(50_000)
        for number, pause in enumerate((0, 0.001, 0.002, 0.005, 0.01, 0.02)):
            key = f"k{number}"
            raw = await self.begin(len(data), key=key)
            raw.send(data)
            await sleep(pause)
            raw.cut()
            there = await self.offset(len(data), key=key)
            answer = await self.put(data[there:], offset=there, key=key)
            self.assertEqual((answer.status, answer.json["sha256"]), (200, sha256(data)))
        self.assertEqual(await self.messages(), 6)
        self.assertEqual(self.parts(), [])

    async def test_not_sent_again(self) -> None:
        """Who knows how to wait need not send the bytes a second time."""
        await self.people("messi", "budi")
        await self.put(b"abc")
        raw = await self.dial()
        headers = {"Cookie": self.cookies["messi"], "Content-Length": 3, "Expect": "100-continue"}
        raw.begin("PUT", path(3), headers)
        self.assertEqual((await raw.answer()).json["message"], "File sent")
        await raw.gone()

    async def test_to_others(self) -> None:
        """The same key to somebody else is another sending."""
        await self.people("messi", "budi", "henderson")
        await self.put(b"abc")
        answer = await self.put(b"abc", to="henderson")
        self.assertEqual((answer.status, answer.json["seq"]), (200, 1))
        self.assertEqual(await self.offset(3, to="budi,nobody"), 3)
        self.assertEqual(await self.offset(3, to="nobody"), 0)


class Refused(UploadTestCase):
    limits = {"file": 30 * MIB, "account_files": 40 * MIB}

    async def early(
        self, status: int, code: str, size: int, who: str = "messi", **more: Any
    ) -> None:
        """Refused before the body has come, however much of it there is; and the connection is closed."""
        raw = await self.dial()
        headers = {"Content-Length": size, "Cookie": self.cookies.get(who, "")}
        raw.begin("PUT", path(size, **more), headers)
        answer = await raw.answer()
        self.assertEqual((answer.status, answer.json["code"]), (status, code))
        self.assertEqual(answer.headers["connection"], "close")
        await raw.gone()
        self.assertEqual(self.site._uploads._claims, {})
        self.assertEqual(self.realm.service.files.under_way._bytes, {})

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
        """Who sends on in spite of it can read why, and is not listened to for long."""
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
        """What came with the head does no harm."""
        await self.people("messi", "budi")
        for size in (1, 100, 70_000):
            answer = await self.put(b"x" * size, to="nobody")
            self.assertEqual(answer.status, 404)

    async def test_nothing_sent_and_refused(self) -> None:
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
        """The sender's own stands in nothing that is kept or shown to others."""
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

    async def test_twisted_lengths(self) -> None:
        """Requests that can be read in two ways are not read."""
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

    async def test_left_meanwhile(self) -> None:
        """What is refused at the end is refused with its reason, and nothing is left."""
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
        """Of what is left unfinished the oldest makes room."""
        await self.people("messi", "budi")
        for number in range(5):
            await self.put(b"abc", size=6, key=f"k{number}")
            await sleep(0.01)
        self.assertEqual(len(self.parts()), 3)
        self.assertEqual([await self.offset(6, key=f"k{n}") for n in (0, 1, 2, 4)], [0, 0, 3, 3])

    async def test_under_way(self) -> None:
        await self.people("messi", "budi")
        raws = [await self.begin(6, key=f"k{number}") for number in range(3)]
        await raws[0].until(lambda: len(self.realm.uploads._claims) == len(raws))
        answer = await self.put(b"abc", key="more")
        self.assertEqual((answer.status, answer.json["code"]), (429, "too-many-uploads"))
        raws[0].send(b"abcdef")
        self.assertEqual((await raws[0].answer()).status, 200)
        self.assertEqual((await self.put(b"abc", key="more")).status, 200)

    async def test_quota(self) -> None:
        """What is kept for later counts, and makes room for what comes now."""
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
        """What the disk does not take stays with its sender."""
        await self.people("messi", "budi")
        service = self.realm.service
        limits = self.with_limits(file=64 * MIB, account_files=64 * MIB).limits
        service.files._limits = service.files.under_way._limits = limits
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
        self.assertEqual(self.realm.service.files.under_way._bytes, {})


class OtherBodies(UploadTestCase):
    """Requests that are no uploads."""

    async def test_bounded(self) -> None:
        login = b'{"username":"messi","password":"surabaya1"}'
        await self.people("messi")
        padded = login + b" " * (MAX_BODY - len(login))
        self.assertEqual((await self.say("POST", "/session", body=padded)).status, 200)
        for where in ("/session", "/nowhere", "/uploads/k", "/"):
            answer = await self.say("POST", where, body=padded + b" ")
            self.assertEqual((answer.status, answer.json["code"]), (413, "body-too-large"))
            self.assertEqual(answer.headers["connection"], "close")

    async def test_announced(self) -> None:
        """What is too large is refused before it is sent."""
        raw = await self.dial()
        raw.begin("POST", "/session", {"Content-Length": 10**12, "Expect": "100-continue"})
        self.assertEqual((await raw.answer()).status, 413)
        await raw.gone()

    async def test_continue(self) -> None:
        raw = await self.dial()
        raw.begin("POST", "/session", {"Content-Length": 2, "Expect": "100-continue"})
        await raw.until(lambda: raw.got == b"HTTP/1.1 100 Continue\r\n\r\n")
        raw.got.clear()
        raw.send(b"{}")
        self.assertEqual((await raw.answer()).status, 400)

    async def test_chunked(self) -> None:
        """They may be, within the same bounds."""
        await self.people("messi")
        login = b'{"username":"messi","password":"surabaya1"}'
        raw = await self.dial()
        raw.begin("POST", "/session", {"Transfer-Encoding": "chunked"})
        for piece in (login[:10], login[10:], b""):
            raw.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.assertEqual((await raw.answer()).status, 200)
        raw.begin("POST", "/session", {"Transfer-Encoding": "chunked"})
        raw.send((b"ffff\r\n" + b" " * 0xFFFF + b"\r\n") * 3 + b"0\r\n\r\n")
        self.assertEqual((await raw.answer()).json["code"], "body-too-large")
        await raw.gone()
        raw = await self.dial()
        raw.begin("POST", "/session", {"Transfer-Encoding": "chunked"})
        raw.send(b"xyz\r\n")
        await raw.gone()
        self.assertTrue(raw.got.startswith(b"HTTP/1.1 400"))

    async def test_lost(self) -> None:
        """A connection that ends anywhere ends quietly."""
        whole = b"POST /session HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde"
        for end in (1, 10, len(whole) - 5, len(whole) - 1):
            raw = await self.dial()
            raw.send(whole[:end])
            await sleep(0.01)
            raw.cut()
        await sleep(0.05)
        self.assertEqual(len(self.site._channels), 0)
