"""HTTP tells outsiders nothing of a private group, and new members nothing from before they joined.

As tests.unit.lines.test_private_groups, for every path of the site.
"""

from __future__ import annotations

import io
import re
import zipfile
from typing import Any

import msgspec

from chatd.base.names import Address
from tests.support import access_table
from tests.support.access_table import ROLES
from tests.support.pictures import picture
from tests.support.rawhttp import Heard, RawTestCase

GROUP, NONE = "rahasia", "taksada"
OUTSIDERS = ("henderson", "budi", "citra")
PEOPLE = dict(zip((*OUTSIDERS, "dewi", "messi"), ROLES, strict=True))
OLD, NEW, NO_FILE = "lama.png", "baru.png", "tiada.png"
PICTURE = picture("PNG", (40, 30))


class Ask(msgspec.Struct, frozen=True):
    """A request, and the status that outsiders, new members and admins get. `{}` stands for the name of the
    group, `{code}` for its code, `{old}` and `{new}` for those of its files."""

    method: str
    path: str
    outsider: int
    member: int = 200
    admin: int = 200
    body: bytes | None = None
    headers: dict[str, str] = {}


UPLOAD = "/uploads/{key}?group={}&filename=c.png&size=" + str(len(PICTURE))
# The admin asks last, in this order.
ASKED = (
    *(
        Ask(method, f"/{folder}/{{{file}}}{query}", 404, 404 if file == "old" else 200)
        for folder, query in (
            ("files", ""),
            ("files", "?inline"),
            ("thumbnails", ""),
        )
        for file in ("old", "new")
        for method in ("GET", "HEAD")
    ),
    Ask("GET", f"/files/{OLD}", 404, 404),
    Ask("GET", f"/files/{NEW}", 404),
    Ask("GET", "/files/{old}", 404, 404, 206, headers={"Range": "bytes=0-3"}),
    Ask("GET", "/files/{new}", 404, 206, 206, headers={"Range": "bytes=0-3"}),
    Ask("GET", "/files/{old}", 404, 404, 304, headers={"If-None-Match": "{tag}"}),
    Ask("GET", "/files/{new}?room", 403, 403, 403),
    Ask("GET", "/pictures/%23{}", 404),
    Ask("GET", "/pictures/{}", 404),
    Ask("GET", "/pictures/%23{}?v=" + "0" * 32, 404),
    Ask("GET", "/pictures/%23{}@realm1", 404),
    Ask("PUT", "/pictures/%23{}?filename=a.png", 404, 403, body=PICTURE),
    Ask("DELETE", "/pictures/%23{}", 404, 403),
    Ask("HEAD", UPLOAD, 200),  # it begins at 0 for everybody
    Ask("PUT", UPLOAD, 404, body=PICTURE),
    Ask("GET", "/join/{}", 200),
    Ask("GET", "/join/{code}", 200),
    Ask("POST", "/join/{}", 404, 409, 409, body=b""),
    Ask("GET", "/{}", 404, 404, 404),
    Ask("GET", "/healthz", 200),
    Ask("GET", "/livez", 200),
)


class PrivateGroups(RawTestCase):
    async def set_up(self) -> None:
        """Messi has a private group with a picture. Budi was kicked from it, Citra has left it, and Dewi is a
        new member. There are files from before she joined, and from afterwards."""
        await self.people(*PEOPLE)
        service = self.realm.service
        accounts = {name: await service.accounts.find(name) for name in PEOPLE}
        messi, here = accounts["messi"], Address(GROUP)
        group = await service.groups.create(messi, GROUP, title="Rapat", private=True)
        for name in ("budi", "citra"):
            await service.groups.join(accounts[name], Address(group.code))
        said = await self.say("PUT", f"/pictures/%23{GROUP}?filename=a.png", "messi", PICTURE)
        self.assertEqual(said.status, 200, said.body)
        self.codes = {"code": group.code, "old": await self.send(OLD)}
        await service.groups.kick(messi, here, Address("budi"))
        await service.groups.leave(accounts["citra"], here)
        await service.groups.join(accounts["dewi"], Address(group.code))
        self.codes["new"] = await self.send(NEW)
        self.tag = (await self.say("HEAD", f"/files/{self.codes['old']}", "messi")).headers["etag"]

    async def send(self, name: str) -> str:
        path = f"/uploads/{name[:4]}{'x' * 18}?group={GROUP}&filename={name}&size={len(PICTURE)}"
        answer = await self.say("PUT", path, "messi", PICTURE)
        self.assertEqual(answer.status, 200, answer.body)
        return str(answer.json["code"])

    async def asks(self, who: str, ask: Ask, group: str, codes: dict[str, str]) -> Heard:
        key = f"{who}{'k' * 16}"
        path = ask.path.format(group, key=key, **codes)
        if NO_FILE in codes.values():
            path = path.replace(OLD, NO_FILE).replace(NEW, NO_FILE)
        headers = {name: value.format(tag=self.tag) for name, value in ask.headers.items()}
        return await self.say(ask.method, path, who, ask.body, **headers)

    def shown(self, answer: Heard) -> tuple[Any, ...]:
        """All that a client gets but the time, with one name for each name and code that was asked for."""
        headers = {
            key: value
            for key, value in answer.headers.items()
            if key not in ("date", "content-length", "etag")
        }
        body = answer.body.decode(errors="replace").replace(GROUP, NONE)
        for each in (*self.codes.values(), OLD, NEW):
            body = body.replace(each, NO_FILE)
        return answer.status, headers, re.sub(r'"(up|load|reference|seconds)": [^,}]*', "", body)

    def note(self, ask: Ask, who: str, answer: Heard) -> None:
        code = answer.json.get("code") if answer.status >= 400 and answer.body else None
        extra = "".join(f" {name}: {value}" for name, value in ask.headers.items())
        shown = f"{ask.method} {ask.path}{extra}".replace("{}", GROUP)
        text = f"{answer.status}{f' {code}' if code else ''}"
        access_table.TABLE.note("HTTP", shown, PEOPLE[who], text)

    async def test_paths(self) -> None:
        """Outsiders get the answers for a group and files that do not exist. So does a new member for what is
        from before they joined."""
        await self.set_up()
        wrong = {"code": self.codes["code"][::-1], "old": NO_FILE, "new": NO_FILE}
        for who in PEOPLE:
            for ask in ASKED:
                found = await self.asks(who, ask, GROUP, self.codes)
                self.note(ask, who, found)
                expected = ask.admin if who == "messi" else ask.member
                expected = ask.outsider if who in OUTSIDERS else expected
                self.assertEqual(found.status, expected, f"{who}: {ask} {found.body[:200]!r}")
                earlier = who == "dewi" and ("{old}" in ask.path or OLD in ask.path)
                if who in OUTSIDERS or earlier:
                    none = await self.asks(who, ask, NONE if who in OUTSIDERS else GROUP, wrong)
                    self.assertEqual(self.shown(found), self.shown(none), f"{who}: {ask}")

    async def test_export(self) -> None:
        """An export has what its account may read."""
        await self.set_up()
        for who, files in (
            *((name, set()) for name in OUTSIDERS),
            ("dewi", {NEW}),
            ("messi", {OLD, NEW}),
        ):
            answer = await self.say("GET", "/export", who)
            with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
                texts = {name: archive.read(name) for name in archive.namelist()}
            found = b"".join(data for name, data in texts.items() if name.endswith(".json"))
            found += "".join(texts).encode()
            there = {name for name in (OLD, NEW) if name.encode() in found}
            self.assertEqual(there, files, who)
            if who in OUTSIDERS:
                self.assertNotIn(GROUP.encode(), found, who)
                self.assertNotIn(b"Rapat", found, who)
            shown = ", ".join(sorted(files)) or "nothing of it"
            access_table.TABLE.note("HTTP", "GET /export", PEOPLE[who], shown)
