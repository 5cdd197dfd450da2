"""GET and HEAD are safe (RFC 9110, 9.2.1): they store nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from tests.support.rawhttp import RawTestCase

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
QUERIES = (
    "to=budi",
    "to=siti",
    "to=budi,siti,nobody",
    "to=messi",
    "to=nobody",
    "to=tono@elsewhere",
    "group=family",
    "group=nothing",
    "group=family@elsewhere",
    "nothing=at+all",
)
UPGRADE: dict[str, Any] = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec_WebSocket_Version": "13",
}


class SafeMethods(RawTestCase):
    def stored(self) -> tuple[list[str], list[tuple[str, int]]]:
        """All rows of the database, and all files with their sizes."""
        uploads = self.realm.state.uploads
        files = [(str(each), each.stat().st_size) for each in uploads.rglob("*") if each.is_file()]
        with closing(sqlite3.connect(self.realm.state.path / "chatd.db")) as connection:
            return list(connection.iterdump()), sorted(files)

    async def upload(self, key: str, body: bytes, query: str) -> None:
        where = f"/uploads/{key}?{query}&filename=a.png&size={len(PNG)}"
        answer = await self.say("PUT", where, "messi", body)
        self.assertIn(answer.status, (200, 202))

    async def test_nothing_is_stored(self) -> None:
        """Every resource, with and without a session."""
        await self.people("messi", "budi", "siti")
        await self.upload("sent", PNG, "to=budi")
        await self.upload("half", PNG[:50], "to=budi")
        await self.realm.service.quotas.save()  # otherwise that happens a second later
        before = self.stored()
        resources = [name.decode() for name in self.site.resource.children]
        paths = [f"/{name}" for name in ("", *resources)]
        paths += [f"/{name}/a.png?to=siti&size=9" for name in resources]
        paths += [
            f"/uploads/{key}?{query}&filename=a.png&size={len(PNG)}"
            for key in ("sent", "half", "new")
            for query in QUERIES
        ]
        for path in paths:
            for method in ("HEAD", "GET"):
                for who in ("messi", ""):
                    await self.say(method, path, who)
        await self.say("GET", "/ws", "messi", **UPGRADE)
        self.assertEqual(self.stored(), before)

    async def test_head_of_a_sent_file(self) -> None:
        """HEAD returns the size of a file that was sent, and 0 for other keys."""
        await self.people("messi", "budi", "siti")
        await self.upload("sent", PNG, "to=budi")
        for query, offset in (("to=budi", len(PNG)), ("to=siti", 0), ("to=budi,siti", 0)):
            where = f"/uploads/sent?{query}&filename=a.png&size={len(PNG)}"
            answer = await self.say("HEAD", where, "messi")
            self.assertEqual((answer.status, answer.headers["upload-offset"]), (200, str(offset)))
