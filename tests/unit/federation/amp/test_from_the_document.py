"""A peer that was written from docs/federation.md, and a realm: what the document says is what happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import ensureDeferred
from twisted.internet.threads import deferToThread

from tests.support.foreign_peer import ForeignPeer, make_certificate
from tests.support.peering import PeeringTestCase

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
        """Wait until the peer has that many parcels."""
        peer = self.peer
        await self.blocking(peer.hear, lambda: len(peer.parcels) >= count)
        return peer.parcels

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

    async def test_unknown(self) -> None:
        peer = await self.linked()
        unknown = ["direct", "budi", "nobody", AT, "Halo"]
        future = ["sticker", "budi", "ana", 1]
        codes = await self.blocking(lambda: peer.deliver(unknown, future))
        self.assertEqual(codes, ["unknown-user", "bad-parcel"])
