"""Join links over HTTP: one page for every code, and joining by a POST."""

from __future__ import annotations

from typing import Any

from chatd.base.names import Address
from chatd.service.guesses import FREE_JOINS
from tests.support.rawhttp import RawTestCase


class JoinLinks(RawTestCase):
    async def test_page(self) -> None:
        """It is the same for every code, also before the login, and tells nothing of a group."""
        page = await self.say("GET", "/")
        for code in ("aaaaaaaabbbbbbbb", "abc:123", "abc%3A123@realm9", "x" * 300, "%00", "a/b"):
            found = await self.say("GET", f"/join/{code}")
            self.assertEqual((found.status, found.body), (200, page.body))
            self.assertEqual(found.headers["etag"], page.headers["etag"])
            self.assertEqual(found.headers["referrer-policy"], "no-referrer")
        self.assertEqual((await self.say("HEAD", "/join/abc:123")).status, 200)
        for path in ("/join", "/join/"):
            self.assertEqual((await self.say("GET", path)).status, 404)

    async def test_joining(self) -> None:
        await self.people("messi", "budi", "citra")
        service = self.realm.service
        messi = await service.accounts.find("messi")
        codes = {}
        for name in ("bola", "rahasia"):
            group = await service.groups.create(messi, name, private=name == "rahasia")
            codes[name] = group.code
        for name, code in codes.items():
            path = f"/join/{code.replace(':', '%3A')}"
            for who, origin, status, refusal in (
                ("", None, 401, "not-logged-in"),
                ("budi", "http://evil.example", 403, "foreign-origin"),
                ("budi", None, 200, None),
                ("budi", None, 409, "already-member"),
            ):
                more: dict[str, Any] = {} if origin is None else {"Origin": origin}
                answer = await self.say("POST", path, who, **more)
                self.assertEqual((answer.status, answer.json.get("code")), (status, refusal))
                if status == 200:
                    self.assertEqual(answer.json["group"], name)
            self.assertEqual((await self.say("DELETE", path, "budi")).json["code"], "bad-method")
        budi = await service.accounts.find("budi")
        self.assertEqual(len((await service.groups.list(budi, mine=True))[0]), 2)

    async def test_guessing(self) -> None:
        """Wrong codes are refused alike, at last with a pause, also for somebody who was banned."""
        await self.people("messi", "budi")
        service = self.realm.service
        messi = await service.accounts.find("messi")
        group = await service.groups.create(messi, "rahasia", private=True)
        await self.say("POST", f"/join/{group.code}", "budi")
        await service.groups.kick(messi, Address("rahasia"), Address("budi"))
        for code in (group.code, "rahasia", *(["bbbbbbbbcccccccc"] * (FREE_JOINS - 1))):
            answer = await self.say("POST", f"/join/{code}", "budi")
            self.assertEqual((answer.status, answer.json["code"]), (404, "unknown-group"))
        answer = await self.say("POST", f"/join/{group.code}", "budi")
        self.assertEqual((answer.status, answer.json["code"]), (429, "too-many-failed-joins"))
