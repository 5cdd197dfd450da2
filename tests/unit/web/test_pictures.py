"""Pictures of people over HTTP and by commands: set, fetched, announced and removed."""

from __future__ import annotations

from typing import Any

from chatd.base.errors import DiskFull, NotAdmin, NotMember, UnknownGroup
from chatd.base.events import GroupChange
from chatd.base.names import Address, Place
from chatd.service import avatars
from chatd.store.avatars import new_avatar
from chatd.store.sync import Cursor
from tests.support.pictures import exif, opened, picture
from tests.support.rawhttp import Heard, RawTestCase

PLACE = "52 North"


class Pictures(RawTestCase):
    async def put(self, data: bytes, who: str = "messi", whose: str = "@messi") -> Heard:
        return await self.say("PUT", f"/pictures/{whose}?filename=me.jpg", who, data)

    async def test_own(self) -> None:
        """All people here get it: square, small and without location data."""
        await self.people("messi", "budi")
        session = (await self.say("GET", "/session", "messi")).json
        self.assertNotIn("picture", session["account"])
        self.assertEqual((await self.say("GET", "/pictures/@messi", "budi")).status, 404)
        answer = await self.put(picture("JPEG", (900, 600), exif=exif(PLACE, 6)))
        self.assertEqual(answer.status, 200, answer.body)
        path = answer.json["picture"]
        self.assertRegex(path, r"\A/pictures/@messi\?v=[0-9a-f]{32}\Z")
        for who in ("messi", "budi"):
            found = await self.say("GET", path, who)
            self.assertEqual((found.status, found.headers["content-type"]), (200, "image/webp"))
            self.assertIn("immutable", found.headers["cache-control"])
            self.assertEqual(opened(found.body).size, (256, 256))
            self.assertNotIn(PLACE.encode(), found.body)
            self.assertLessEqual(len(found.body), avatars.MAX_AVATAR)
        plain = await self.say("GET", "/pictures/@messi", "budi")
        self.assertEqual(plain.headers["cache-control"], "private, no-cache")
        again = await self.say("GET", path, "budi", If_None_Match=plain.headers["etag"])
        self.assertEqual(again.status, 304)
        self.assertEqual((await self.say("GET", path)).status, 401)
        await self.is_shown(path)
        removed = await self.say("DELETE", "/pictures/@messi", "messi")
        self.assertNotIn("picture", removed.json)
        self.assertEqual((await self.say("GET", path, "budi")).status, 404)
        self.assertEqual(list((self.realm.service.uploads.folder / "rooms").iterdir()), [])

    async def is_shown(self, path: str) -> None:
        """The picture is in lists, and in what the page learns of its own account."""
        service = self.realm.service
        account = (await self.say("GET", "/session", "messi")).json["account"]
        self.assertEqual(account["picture"], path)
        messi, budi = [await service.accounts.find(name) for name in ("messi", "budi")]
        users, _ = await service.people.all(budi)
        self.assertEqual({each.username: each.picture for each in users}["messi"], path)
        await service.messages.send(messi, [Address("budi")], "halo", None)
        found, _ = await service.conversations.all(budi, {})
        self.assertEqual([each.picture for each in found], [path])

    async def test_refused(self) -> None:
        await self.people("messi", "budi")
        for data, who, whose, code in (
            (b"text", "messi", "@messi", "bad-picture"),
            (picture("TIFF"), "messi", "@messi", "bad-picture"),
            (picture("PNG"), "budi", "@messi", "not-your-picture"),
            (picture("PNG"), "messi", "%23messi", "unknown-group"),
            (picture("PNG"), "messi", "%23messi@realm9", "not-your-picture"),
            (picture("PNG"), "messi", "@messi@realm9", "not-your-picture"),
        ):
            answer = await self.put(data, who, whose)
            self.assertEqual(answer.json.get("code"), code)
        self.assertEqual(self.realm.service.avatars._counts.files, {})
        self.patch(avatars, "MAX_SOURCE", 10)
        self.assertEqual((await self.put(bytes(11))).status, 413)
        foreign = await self.say(
            "PUT", "/pictures/@messi", "messi", b"x", Origin="http://evil.example"
        )
        self.assertEqual(foreign.status, 403)

    async def test_of_a_group(self) -> None:
        """Its admins set it, and those who know the group get it. It is an entry of the log. A new group of
        that name does not have it."""
        await self.people("messi", "budi", "lina")
        service = self.realm.service
        messi, budi = [await service.accounts.find(name) for name in ("messi", "budi")]
        name = Address("bola")
        group = await service.groups.create(messi, "bola", private=True)
        await service.groups.join(budi, Address(group.code))
        self.assertEqual((await self.say("GET", "/pictures/%23bola", "budi")).status, 404)
        self.assertEqual((await self.put(picture("PNG"), "budi", "%23bola")).status, 403)
        self.assertEqual((await self.put(picture("PNG"), "messi", "%23bola")).status, 200)
        found, _ = await service.conversations.all(budi, {})
        path = found[0].picture
        assert path is not None
        self.assertRegex(path, r"\A/pictures/%23bola\?v=[0-9a-f]{32}\Z")
        self.assertEqual((await self.say("GET", path, "budi")).status, 200)
        outside = [await self.say("GET", each, "lina") for each in (path, "/pictures/%23none")]
        self.assertEqual([each.status for each in outside], [404, 404])
        self.assertEqual(outside[0].json["code"], "unknown-group")
        self.assertEqual((await self.say("DELETE", "/pictures/%23bola", "budi")).status, 403)
        page = await service.sync.one(budi, group.id, Cursor(), 50)
        changes = [each.fields for each in page.entries if isinstance(each, GroupChange)]
        self.assertEqual(changes, [{"picture": path.partition("=")[2]}])
        self.assertEqual((await self.say("DELETE", "/pictures/%23bola", "messi")).status, 200)
        self.assertEqual((await self.say("DELETE", "/pictures/%23bola", "messi")).status, 200)
        self.assertEqual((await self.say("GET", path, "budi")).status, 404)
        await self.put(picture("PNG"), "messi", "%23bola")
        for each in (budi, messi):
            await service.groups.leave(each, name)
        avatar = new_avatar(b"late")
        with self.assertRaises(UnknownGroup):
            await service.pictures._keep_of_group(messi, group, None, avatar)
        await service.groups.create(budi, "bola")
        self.assertEqual((await self.say("GET", path, "budi")).status, 404)

    async def test_of_a_public_group(self) -> None:
        """The list of groups has it, also for those who are in none of them."""
        await self.people("messi", "lina")
        service = self.realm.service
        messi, lina = [await service.accounts.find(name) for name in ("messi", "lina")]
        for name, private in (("bola", False), ("rahasia", True), ("tenis", False)):
            await service.groups.create(messi, name, private=private)
        for name in ("bola", "rahasia"):
            await self.put(picture("PNG"), "messi", f"%23{name}")
        found, _ = await service.groups.list(lina, mine=False)
        (path, none), names = [each.picture for each in found], [each.group for each in found]
        self.assertEqual((names, none), (["bola", "tenis"], None))
        assert path is not None
        self.assertRegex(path, r"\A/pictures/%23bola\?v=[0-9a-f]{32}\Z")
        self.assertEqual((await self.say("GET", path, "lina")).status, 200)

    async def test_one_at_a_time(self) -> None:
        """A connection that is lost leaves nothing."""
        await self.people("messi")
        raw = await self.dial()
        raw.begin(
            "PUT", "/pictures/@messi", {"Cookie": self.cookies["messi"], "Content-Length": 5000}
        )
        raw.send(b"x" * 100)
        arriving = self.realm.service.avatars._counts.files
        await raw.until(lambda: bool(arriving))
        self.assertEqual((await self.put(b"y")).json["code"], "too-many-uploads")
        raw.cut()
        await raw.until(lambda: not arriving)
        self.assertEqual((await self.put(picture("PNG"))).status, 200)

    async def test_the_daemon_stops(self) -> None:
        """A daemon that stops does not wait for a client that sends nothing."""
        await self.people("messi")
        raw = await self.dial()
        raw.begin(
            "PUT", "/pictures/@messi", {"Cookie": self.cookies["messi"], "Content-Length": 5000}
        )
        raw.send(b"x" * 100)
        arriving = self.realm.service.avatars._counts.files
        await raw.until(lambda: bool(arriving))
        self.site._pictures.stop()
        await raw.until(lambda: not arriving)

    async def test_of_a_group_meanwhile(self) -> None:
        """The sender is no longer an admin when the file has arrived, or the group is another one by then."""
        await self.people("messi", "budi")
        service = self.realm.service
        messi, budi = [await service.accounts.find(name) for name in ("messi", "budi")]
        place, data = Place(group=Address("bola")), picture("PNG")
        await service.groups.create(messi, "bola")
        await service.groups.join(budi, Address("bola"))
        for again in (False, True):
            upload = await service.pictures.begin(messi, place, "a.png", len(data), None)
            upload.write(data)
            await service.groups.leave(messi, Address("bola"))
            if again:
                await service.groups.create(messi, "bola")
            else:
                with self.assertRaises(NotMember):
                    await upload.finish()
                await service.groups.leave(budi, Address("bola"))
                await service.groups.create(messi, "bola")
        with self.assertRaises(UnknownGroup):
            await upload.finish()
        self.assertEqual((await self.say("GET", "/pictures/%23bola", "messi")).status, 404)

    async def test_no_admin_any_more(self) -> None:
        """The transaction that sets the picture checks that the account is an admin."""
        await self.people("messi", "budi")
        service = self.realm.service
        messi, budi = [await service.accounts.find(name) for name in ("messi", "budi")]
        group = await service.groups.create(messi, "bola")
        await service.groups.join(budi, Address("bola"))
        with self.assertRaises(NotAdmin):
            await service.pictures._keep_of_group(budi, group, None, None)

    async def test_trouble(self) -> None:
        """A full disk, and bytes that can't be read."""
        await self.people("messi")
        service = self.realm.service

        def full(_size: int = 0) -> None:
            raise DiskFull

        self.patch(service.disk, "check", full)
        self.assertEqual((await self.put(picture("PNG"))).status, 507)
        self.patch(service.disk, "check", lambda _size=0: None)

        async def fail(*_args: Any) -> None:
            raise OSError("input/output error")

        with_scaler = service.avatars._scaler.scale
        self.patch(service.avatars._scaler, "scale", fail)
        self.assertEqual((await self.put(picture("PNG"))).json["code"], "storage-failed")
        self.patch(service.avatars._scaler, "scale", with_scaler)
        self.patch(service.uploads, "keep", fail)
        self.assertEqual((await self.put(picture("PNG"))).status, 200)
