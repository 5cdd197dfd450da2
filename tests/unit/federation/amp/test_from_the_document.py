"""A peer that was written from docs/federation.md, and a realm: what the document says is what happens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import ensureDeferred
from twisted.internet.threads import deferToThread

from tests.support.foreign_peer import ForeignPeer, RefusedThere, make_certificate
from tests.support.peering import PeeringTestCase, until

T = TypeVar("T")
AT = 1_795_169_000_000
CAPABILITIES = ("lines", "changes", "reactions", "pins", "receipts", "typing")


class FromTheDocument(PeeringTestCase):
    async def linked(self, *capabilities: str) -> ForeignPeer:
        self.realm = self.make("realm1")
        self.ana = await self.person(self.realm, "ana")
        certificate = make_certificate("elsewhere", self.folder)
        peer: ForeignPeer = await deferToThread(
            ForeignPeer, "elsewhere", certificate, self.realm.port
        )
        self.addCleanup(peer.close)
        said = await deferToThread(peer.greet, *(capabilities or CAPABILITIES))
        self.assertEqual((said["realm"], said["version"]), ("realm1", 2))
        self.assertLessEqual(set(CAPABILITIES), set(said["capabilities"]))
        self.peer = peer
        return peer

    async def blocking(self, work: Callable[..., T], *arguments: Any) -> T:
        result: T = await deferToThread(work, *arguments)
        return result

    async def says(self, *parcel: Any) -> int:
        """The peer delivers a parcel, which is kept. Returns its number."""
        number = self.peer.next_number()
        deliver = self.peer.deliver
        codes = await self.blocking(lambda: deliver(list(parcel), numbers=[number]))
        self.assertEqual(codes, [""])
        return number

    async def hears(self, count: int) -> list[tuple[int, list[Any]]]:
        """Wait until the peer has that many parcels. Read marks do not count: they come in their own time."""
        peer = self.peer

        def heard() -> list[tuple[int, list[Any]]]:
            return [each for each in peer.parcels if each[1][0] != "read"]

        await self.blocking(peer.hear, lambda: len(heard()) >= count)
        return heard()

    async def history(self) -> list[dict[str, Any]]:
        found = await self.ana.must("history", user="budi@elsewhere", n=50)
        messages: list[dict[str, Any]] = found["messages"]
        return messages

    async def test_directs(self) -> None:
        """A message each way. The same parcel again changes nothing."""
        peer = await self.linked()
        number = await self.says("direct", "budi", "ana", AT, "Halo\nAna")
        again = ["direct", "budi", "ana", AT, "Halo\nAna"]
        codes = await self.blocking(lambda: peer.deliver(again, numbers=[number]))
        self.assertEqual(codes, [""])
        self.assertEqual(await self.ana.gets(1), ["Halo\nAna"])
        sending = ensureDeferred(self.ana.must("send", to="budi@elsewhere", text="Halo Budi"))
        ((_, parcel),) = await self.hears(1)
        await sending
        self.assertEqual(parcel[:3], ["direct", "ana", "budi"])
        self.assertEqual(parcel[4:6], ["Halo Budi", None])

    async def test_changes(self) -> None:
        """The peer edits, deletes and reacts; so does ana, and the peer hears of it."""
        peer = await self.linked()
        first = await self.says("direct", "budi", "ana", AT, "satu")
        second = await self.says("direct", "budi", "ana", AT, "dua")
        await self.says("edit", "budi", "ana", AT, [True, first], "SATU")
        await self.says("react", "budi", "ana", AT, [True, first], "👍", True)
        await self.says("delete", "budi", "ana", AT, [True, second])
        one, two = await self.history()
        self.assertEqual((one["text"], "edited" in one), ("SATU", True))
        self.assertEqual(one["reactions"], {"👍": ["budi@elsewhere"]})
        self.assertEqual((two.get("text"), two["deleted"]), (None, True))
        sending = ensureDeferred(self.ana.must("send", to="budi@elsewhere", text="tiga"))
        ((number, _),) = await self.hears(1)
        await sending
        for command, more in (
            ("edit", {"text": "TIGA"}),
            ("react", {"emoji": "👍", "on": True}),
            ("delete", {}),
        ):
            seq = 1 if command == "react" else (await self.history())[-1]["seq"]
            await self.ana.must(command, user="budi@elsewhere", seq=seq, **more)
        edit, reaction, deletion = [parcel for _, parcel in (await self.hears(4))[1:]]
        self.assertEqual((edit[0], edit[4], edit[5]), ("edit", [True, number], "TIGA"))
        self.assertEqual(reaction[0], "react")
        self.assertEqual(reaction[4:7], [[False, first], "👍", True])
        self.assertEqual((deletion[0], deletion[4]), ("delete", [True, number]))
        self.assertEqual(len(peer.parcels), 4)

    async def test_file_from_the_peer(self) -> None:
        """Its message is there at once, and its bytes are asked for."""
        peer = await self.linked(*CAPABILITIES, "files")
        data = bytes(range(256)) * 300
        note = ["a.bin", len(data), hashlib.sha256(data).hexdigest(), "abcdef", "text/x-y"]
        number = await self.says("direct", "budi", "ana", AT, None, note)
        ((file,),) = [[each["file"] for each in await self.history()]]
        self.assertEqual(
            (file["name"], file["mime"], file["state"]), ("a.bin", "text/x-y", "arriving")
        )
        peer.files[number] = data
        peer.tell("FileReady", realm=b"elsewhere", number=b"%d" % number)
        await self.says("direct", "budi", "ana", AT, "Halo")
        await self.blocking(peer.hear, lambda: number in peer.taken)
        ((file, _),) = [[each.get("file") for each in await self.history()]]
        self.assertNotIn("state", file)

    async def test_file_to_the_peer(self) -> None:
        """It is fetched, or reported as lost."""
        peer = await self.linked(*CAPABILITIES, "files")
        await self.says("direct", "budi", "ana", AT, "satu")
        data = bytes(range(256)) * 300
        sending = ensureDeferred(self.ana.send_file("budi@elsewhere", "a.bin", data))
        ((number, parcel),) = await self.hears(1)
        self.assertEqual(parcel[5][:3], ["a.bin", len(data), hashlib.sha256(data).hexdigest()])
        self.assertEqual(await self.blocking(peer.fetch, "realm1", number, len(data)), data)
        self.assertEqual((await sending)["status"], "OK")
        for realm, entry in (("realm1", number + 99), ("elsewhere", number)):
            with self.assertRaises(RefusedThere) as caught:
                await self.blocking(peer.fetch, realm, entry, 1)
            self.assertEqual(caught.exception.args[0], "unknown-file")
        await self.says("file-lost", number, "file-stalled")
        file = (await self.history())[-1]["file"]
        self.assertEqual((file["state"], "24 hours" in file["reason"]), ("lost", True))

    async def test_rights(self) -> None:
        """Nobody changes what is not theirs, and nothing is known of other conversations."""
        peer = await self.linked()
        first = await self.says("direct", "budi", "ana", AT, "satu")
        edit = ["edit", "dewi", "ana", AT, [True, first], "lain"]
        unknown = ["react", "budi", "ana", AT, [True, first + 99], "👍"]
        codes = await self.blocking(lambda: peer.deliver(edit, unknown))
        self.assertEqual(codes, ["unknown-message", "unknown-message"])

    async def test_deleted_while_it_waits(self) -> None:
        """A message that is deleted before it is delivered comes without its text. The deletion follows."""
        peer = await self.linked()
        await self.says("direct", "budi", "ana", AT, "satu")
        await self.blocking(peer.close)
        await until(lambda: not self.realm.links)
        sent = await self.ana.must("send", to="budi@elsewhere", text="rahasia")
        await self.ana.must("delete", user="budi@elsewhere", seq=sent["seq"])
        again = await self.blocking(
            ForeignPeer, "elsewhere", self.folder / "elsewhere.pem", self.realm.port
        )
        self.addCleanup(again.close)
        self.peer = again
        await self.blocking(again.greet, *CAPABILITIES)
        (number, direct), (_, deletion) = await self.hears(2)
        self.assertEqual((direct[0], direct[4:6]), ("direct", [None, None]))
        self.assertEqual((deletion[0], deletion[4]), ("delete", [True, number]))

    async def test_unknown(self) -> None:
        peer = await self.linked()
        unknown = ["direct", "budi", "nobody", AT, "Halo"]
        future = ["sticker", "budi", "ana", 1]
        codes = await self.blocking(lambda: peer.deliver(unknown, future))
        self.assertEqual(codes, ["unknown-user", "bad-parcel"])
