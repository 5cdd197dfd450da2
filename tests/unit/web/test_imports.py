"""Importing an archive over HTTP: it is sent, looked at, and cancelled."""

from __future__ import annotations

from typing import Any
from unittest import mock

import msgspec

from chatd.base.account_archive import ArchivedGroup
from chatd.base.errors import DiskFull
from chatd.files.folder import Uploads
from chatd.service.imports import Imports
from tests.support.archives import OLD, archive, direct, said
from tests.support.common import sleep
from tests.support.rawhttp import RawTestCase

DATA = archive(
    direct(5, "budi", said(1, "budi", "halo")),
    profile=msgspec.structs.replace(OLD, groups=(ArchivedGroup("rowing", code="abc:def"),)),
)


class OverHTTP(RawTestCase):
    async def test_import(self) -> None:
        """The answers tell how far it has come, and which groups the archive has."""
        await self.people("messi")
        self.assertEqual((await self.say("GET", "/import", "messi")).status, 404)
        self.assertEqual((await self.say("DELETE", "/import", "messi")).status, 404)
        begun = await self.say("PUT", "/import", "messi", DATA)
        self.assertEqual((begun.status, begun.json["size"]), (200, len(DATA)), begun.body)
        found: dict[str, Any] = begun.json
        while found["state"] == "running":
            await sleep(0.002)
            found = (await self.say("GET", "/import", "messi")).json
        self.assertEqual((found["state"], found["messages"], found["of"]), ("done", 1, 1))
        self.assertEqual(found["from"], "messi@realm9")
        [group] = found["groups"]
        self.assertEqual((group["group"], group["code"]), ("rowing@realm9", "abc:def"))

    async def test_refused(self) -> None:
        """An archive for nobody, one with no place on the disk, and one beside another."""
        await self.people("messi")
        self.assertEqual((await self.say("PUT", "/import", body=DATA)).status, 401)
        self.assertEqual((await self.say("POST", "/import", "messi", DATA)).status, 405)
        full = mock.patch.object(self.realm.service.disk, "check", side_effect=DiskFull)
        with full:
            self.assertEqual((await self.say("PUT", "/import", "messi", DATA)).status, 507)
        broken = mock.patch.object(Uploads, "keep", side_effect=OSError("full"))
        with broken:
            self.assertEqual((await self.say("PUT", "/import", "messi", DATA)).status, 503)
        self.flushLoggedErrors()
        self.assertEqual(self.realm.service.imports._counts.files, {})
        self.assertEqual(self.realm.service.disk.expected, 0)
        running = mock.patch.object(Imports, "_run")
        with running:
            self.assertEqual((await self.say("PUT", "/import", "messi", DATA)).status, 200)
        again = await self.say("PUT", "/import", "messi", DATA)
        self.assertEqual((again.status, again.json["code"]), (409, "import-unfinished"))
        ended = await self.say("DELETE", "/import", "messi")
        self.assertEqual((ended.status, ended.json["state"]), (200, "cancelled"))
        await sleep(0.01)
        self.assertEqual(list(self.realm.uploads.folder.glob("*.zip")), [])
