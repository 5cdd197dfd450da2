"""Uploads over HTTP: complete, in chunks, interrupted and resumed; on real sockets."""

from __future__ import annotations

import random
from typing import cast

from chatd.files.folder import Uploads
from chatd.web import channel as channel_module
from tests.support.common import sleep
from tests.unit.web.upload_cases import KEY, MIB, UploadTestCase, noise, path, sha256


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

    async def test_empty_file(self) -> None:
        await self.people("messi", "budi")
        answer = await self.put(b"", name="kosong")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.json["sha256"], sha256(b""))

    async def test_no_length_means_an_empty_body(self) -> None:
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
        self.assertEqual((answer.status, answer.json["seq"]), (200, 2))

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
        """A request after an upload on the same connection is answered, and the connection stays open."""
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
        """A client that expects `100 Continue` gets it when the body is wanted."""
        await self.people("messi", "budi")
        raw = await self.dial()
        headers = {"Cookie": self.cookies["messi"], "Content-Length": 3, "Expect": "100-continue"}
        raw.begin("PUT", path(3), headers)
        await raw.until(lambda: raw.got == b"HTTP/1.1 100 Continue\r\n\r\n")
        raw.got.clear()
        raw.send(b"abc")
        self.assertEqual((await raw.answer()).json["size"], 3)


class Resuming(UploadTestCase):
    async def test_in_pieces_with_cuts(self) -> None:
        """20 MiB over connections that break again and again arrive complete."""
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

    async def test_chunks(self) -> None:
        """A chunk that is not the last one is answered with 202 and the next offset."""
        await self.people("messi", "budi")
        answer = await self.put(b"abc", size=6)
        self.assertEqual((answer.status, answer.headers["upload-offset"]), (202, "3"))
        self.assertEqual(answer.json["offset"], 3)
        self.assertEqual(await self.offset(6), 3)
        answer = await self.put(b"def", offset=3)
        self.assertEqual(answer.json["sha256"], sha256(b"abcdef"))

    async def test_content_range(self) -> None:
        """The offset may be in Content-Range, as curl sends it."""
        await self.people("messi", "budi")
        await self.put(b"abc", size=6)
        for part, status in (("bytes 0-2/6", 409), ("bytes x", 400), ("bytes 3-5/6", 200)):
            answer = await self.say("PUT", path(6), "messi", b"def", Content_Range=part)
            self.assertEqual(answer.status, status)
        self.assertEqual(answer.json["sha256"], sha256(b"abcdef"))

    async def test_content_range_that_contradicts(self) -> None:
        """Content-Range must agree with the size, the body's length and Upload-Offset: otherwise a client
        that has more to send would be told that its file is complete."""
        await self.people("messi", "budi")
        await self.put(b"abc", size=6)
        for part in (
            "bytes 3-5/60",
            "bytes 3-8/6",
            "bytes 3-4/6",
            "bytes 5-3/6",
            "bytes 3-/6",
            "bytes 3-5",
            "bytes -3/6",
            "bytes */6",
            f"bytes 3-{'9' * 5000}/6",
            f"bytes {'9' * 5000}-5/6",
            "bytes 3-5/6, bytes 0-2/6",
        ):
            answer = await self.say("PUT", path(6), "messi", b"def", Content_Range=part)
            self.assertEqual((answer.status, answer.json["code"]), (400, "bad-argument"), part)
        both = {"Content_Range": "bytes 3-5/6", "Upload_Offset": 2}
        self.assertEqual((await self.say("PUT", path(6), "messi", b"def", **both)).status, 400)
        self.assertEqual(await self.offset(6), 3)
        answer = await self.say("PUT", path(6), "messi", b"def", Content_Range="bytes 3-5/*")
        self.assertEqual(answer.json["sha256"], sha256(b"abcdef"))

    async def test_resumed_after_a_restart(self) -> None:
        await self.people("messi", "budi")
        await self.put(b"abc", size=6)
        self.assertEqual(cast(Uploads, self.realm.uploads).clean(()), 0)  # as at a start
        self.assertEqual((await self.put(b"def", offset=3)).json["sha256"], sha256(b"abcdef"))

    async def test_wrong_offset(self) -> None:
        """A chunk that does not start at the end of the file is refused, and no bytes are lost."""
        await self.people("messi", "budi")
        self.assertEqual(await self.offset(6), 0)
        await self.put(b"abc", size=6)
        for offset in (0, 2, 4):
            answer = await self.put(b"x", offset=offset, size=6)
            self.assertEqual((answer.status, answer.json["code"]), (409, "upload-offset"))
            self.assertEqual(answer.headers["upload-offset"], "3")
        self.assertEqual((await self.put(b"def", offset=3)).status, 200)

    async def test_taken_over(self) -> None:
        """A newer request and HEAD cut off an older request, whose connection may be dead."""
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
        """Of several requests for one key the last one continues."""
        await self.people("messi", "budi")
        raws = [await self.begin(3) for _ in range(5)]
        await raws[0].until(lambda: sum(raw.lost for raw in raws) == 4)
        (last,) = [raw for raw in raws if not raw.lost]
        last.send(b"abc")
        self.assertEqual((await last.answer()).status, 200)
        self.assertEqual(self.site._uploads._claims, {})

    async def test_delete(self) -> None:
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
        self.assertEqual(self.realm.service.files.under_way.counts.bytes, {})

    async def test_keys_belong_to_accounts(self) -> None:
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

    async def test_stalled_body(self) -> None:
        """A body that stalls is cut off, and its bytes are kept."""
        await self.people("messi", "budi")
        self.patch(channel_module, "BODY_TIME", 0.1)
        raw = await self.begin(6)
        raw.send(b"abc")
        await raw.gone()
        self.patch(channel_module, "BODY_TIME", 300)
        self.assertEqual(await self.offset(6), 3)

    async def test_timeout_is_restored_after_the_body(self) -> None:
        await self.people("messi", "budi")
        raw = await self.begin(3)
        await sleep(0.05)
        (channel,) = [c for c in self.site._channels if c.requests]
        self.assertEqual(channel.timeOut, channel_module.BODY_TIME)
        raw.send(b"abc")
        await raw.answer()
        self.assertEqual(channel.timeOut, self.site.timeOut)

    async def test_session_ends(self) -> None:
        """An upload ends with its session, and its bytes are kept."""
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


class Repeating(UploadTestCase):
    """Requests with one idempotency key send one file."""

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
        self.assertEqual(len(self.realm.service.files.under_way.counts.bytes), 0)
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
        """A client that expects `100 Continue` does not send the bytes a second time."""
        await self.people("messi", "budi")
        await self.put(b"abc")
        raw = await self.dial()
        headers = {"Cookie": self.cookies["messi"], "Content-Length": 3, "Expect": "100-continue"}
        raw.begin("PUT", path(3), headers)
        self.assertEqual((await raw.answer()).json["message"], "File sent")
        await raw.gone()

    async def test_to_others(self) -> None:
        """The same key with other recipients is another upload."""
        await self.people("messi", "budi", "henderson")
        await self.put(b"abc")
        answer = await self.put(b"abc", to="henderson")
        self.assertEqual((answer.status, answer.json["seq"]), (200, 1))
        self.assertEqual(await self.offset(3, to="budi,nobody"), 3)
        self.assertEqual(await self.offset(3, to="nobody"), 0)
