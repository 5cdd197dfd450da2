"""Pictures over HTTP: sent without location data, and fetched as thumbnails."""

from __future__ import annotations

import os
import signal
from typing import Any
from unittest import mock

from twisted.internet.task import Clock

from chatd.base.errors import StorageFailed
from chatd.base.pictures import MAX_PIXELS
from chatd.files.thumbnails import ThumbnailFolder
from chatd.media import worker
from chatd.media.process import PictureTooHard
from chatd.service.thumbnails import AGAIN, MAX_THUMBNAIL
from tests.support.pictures import exif, opened, picture
from tests.support.rawhttp import Heard
from tests.unit.web.upload_cases import UploadTestCase, sha256

PLACE = "52 North"


class Thumbnails(UploadTestCase):
    async def send(self, data: bytes, name: str = "gol.jpg", **more: Any) -> dict[str, Any]:
        """What the reply says of the file that messi sends to budi."""
        self.service = self.realm.service
        if not hasattr(self, "cookies"):
            await self.people("messi", "budi", "lina")
        answer = await self.put(data, name=name, **more)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    async def small(self, path: str, who: str = "budi", **headers: Any) -> Heard:
        return await self.say("GET", path, who, **headers)

    async def test_of_a_picture(self) -> None:
        """Only sender and recipient get it. Later requests are answered from the disk."""
        data = picture("JPEG", (900, 600), exif=exif(PLACE, 6))
        sent = await self.send(data)
        self.assertEqual((sent["width"], sent["height"]), (600, 900))
        self.assertEqual(sent["received_sha256"], sha256(data))
        self.assertEqual((await self.send(data)), sent)
        path = sent["thumbnail"]
        self.assertEqual(path, f"/thumbnails/{sent['code']}")
        first = await self.small(path)
        self.assertEqual((first.status, first.headers["content-type"]), (200, "image/webp"))
        self.assertEqual(first.headers["cache-control"], "private, no-cache")
        self.assertIn("sandbox", first.headers["content-security-policy"])
        self.assertEqual(opened(first.body).size, (320, 480))
        self.assertLessEqual(len(first.body), MAX_THUMBNAIL)
        self.patch(self.service.thumbnails, "_scaler", None)
        self.assertEqual((await self.small(path, "messi")).body, first.body)
        head = await self.say("HEAD", path, "messi")
        self.assertEqual((head.status, head.body), (200, b""))
        tag = first.headers["etag"]
        self.assertEqual((await self.small(path, If_None_Match=tag)).status, 304)
        for who, status in (("lina", 404), ("", 401)):
            self.assertEqual((await self.say("GET", path, who)).status, status)
        self.assertEqual((await self.say("DELETE", path, "messi")).status, 405)

    async def test_with_its_message(self) -> None:
        """The picture is in the history with its size, and is deleted with its thumbnail."""
        sent = await self.send(picture("PNG", (300, 200)), "gol.png")
        await self.small(sent["thumbnail"])
        folder = self.service.uploads.folder / "thumbnails"
        self.assertEqual(len(list(folder.iterdir())), 1)
        await self.service.uploads.erase([each.name for each in folder.iterdir()])
        self.assertEqual(list(folder.iterdir()), [])

    async def test_of_others(self) -> None:
        """Files that are no pictures, or pretend to be, have none."""
        text = await self.send(b"text", "gol.png", key="a")
        self.assertNotIn("thumbnail", text)
        self.assertEqual((await self.small(f"/thumbnails/{text['code']}")).status, 415)
        broken = await self.send(picture("PNG")[:50], "gol.png", key="b")
        for _ in range(2):
            answer = await self.small(broken["thumbnail"])
            self.assertEqual((answer.status, answer.json["code"]), (415, "bad-picture"))
            self.patch(self.service.thumbnails, "_scaler", None)
        self.assertEqual((await self.small("/thumbnails/nothing")).status, 404)

    async def test_asked_for_twice(self) -> None:
        """It is made once."""
        sent = await self.send(picture("PNG", (300, 200)), "gol.png")
        made = []
        make = self.service.thumbnails._make

        async def count(*args: Any) -> bytes:
            made.append(args)
            return await make(*args)

        self.patch(self.service.thumbnails, "_make", count)
        raws = [await self.dial() for _ in range(3)]
        for raw in raws:
            raw.begin("GET", sent["thumbnail"], {"Cookie": self.cookies["budi"]})
        answers = [await raw.answer() for raw in raws]
        self.assertEqual([each.status for each in answers], [200] * 3)
        self.assertEqual(len({each.body for each in answers}), 1)
        self.assertEqual(len(made), 1)

    async def test_trouble(self) -> None:
        """If it can't be kept, it is still given. If the process dies, the next request gets it."""
        sent = await self.send(picture("PNG", (300, 200)), "gol.png")

        def fail(*_args: object) -> None:
            raise OSError("no room")

        thumbnails = self.service.thumbnails
        with mock.patch.object(ThumbnailFolder, "write", fail):
            self.assertEqual((await self.small(sent["thumbnail"])).status, 200)
        with mock.patch.object(thumbnails._disk, "is_low", return_value=True):
            self.assertEqual((await self.small(sent["thumbnail"])).status, 200)
        os.kill(thumbnails._scaler._process.transport.pid, signal.SIGKILL)  # type: ignore[union-attr]
        self.assertEqual((await self.small(sent["thumbnail"])).status, 200)
        self.assertEqual(list(thumbnails._making), [])

    async def test_tried_again(self) -> None:
        """A picture that ended the process twice is refused for a while. Something else may have ended it."""
        sent = await self.send(picture("PNG", (300, 200)), "gol.png")
        thumbnails = self.service.thumbnails
        real = thumbnails._scaler.scale
        with (
            mock.patch.object(thumbnails, "_clock", Clock()) as clock,
            mock.patch.object(thumbnails._scaler, "scale", side_effect=PictureTooHard) as scale,
        ):
            for _ in range(2):
                answer = await self.small(sent["thumbnail"])
                self.assertEqual((answer.status, answer.json["code"]), (415, "bad-picture"))
            self.assertEqual(scale.call_count, 1)
            scale.side_effect = real
            clock.advance(AGAIN)
            self.assertEqual((await self.small(sent["thumbnail"])).status, 200)

    async def test_unreadable(self) -> None:
        sent = await self.send(picture("PNG", (300, 200)), "gol.png")

        async def fail(*_args: object) -> None:
            raise OSError("input/output error")

        with mock.patch.object(self.service.thumbnails._scaler, "scale", fail):
            answer = await self.small(sent["thumbnail"])
        self.assertEqual(answer.json["code"], StorageFailed.code)

    def test_one_limit(self) -> None:
        """The process has no limit that is smaller than what clients are promised."""
        self.assertEqual(worker.MAX_PIXELS, MAX_PIXELS)
