"""Files from other realms: who may resume an incomplete one, how many are kept, and what is refused."""

from __future__ import annotations

import hashlib
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred

from chatd.base.config import Limits
from chatd.base.errors import FileTooLarge, StorageFailed
from chatd.federation import file_receive as module
from chatd.federation.file_receive import FileIncomplete, _key, _keys
from chatd.federation.parcel_fields import FileNote
from chatd.federation.parcels import Direct
from chatd.store.files import Owner
from tests.support.network import NetworkTestCase, Server

DATA = b"0123456789" * 100
OWNER = Owner(sender_key="budi@realm2", realm="realm2")


class PartsTestCase(NetworkTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.one: Server = self.network.server("realm1")
        self.one.person("ana")
        self.names = 0

    def brings(self, realm: str, number: int, *, part: int = 500, size: int = 1000) -> int:
        """A realm offers a file, sends a part of it, and its link breaks. Returns the offset that it was
        told."""
        digest = hashlib.sha256(DATA).hexdigest()
        note = FileNote(f"{number}.txt", size, digest, "abcdef")
        parcel = Direct("budi", "ana", 1_000, None, note)
        if realm not in self.one.realm.directory.peers.by_key:
            self.one.knows(realm)
        offset: int = self.result(self.one.federation.receiver.offer(realm, number, parcel))
        if part > offset:
            data = DATA[offset:part]
            self.result(self.one.federation.receiver.take(realm, number, offset, data))
        self.result(self.one.federation.receiver.lost(realm))
        return offset

    def result(self, done: Any) -> Any:
        return self.network.result(done)

    def parts(self, realm: str) -> dict[str, int]:
        found: dict[str, int] = self.result(self.one.realm.uploads.suspended(_keys(realm)))
        return found

    def test_resumed(self) -> None:
        self.assertEqual(self.brings("xé", 1), 0)
        self.assertEqual(self.brings("xé", 1), 500)

    def test_realms_with_similar_names(self) -> None:
        """No realm resumes another's file, however similar their names are."""
        names = ("xé", "x-e9-", "x", "x.1", "x-e9-.", "é" * 64, "界" * 64)
        for name in names:
            self.assertEqual(self.brings(name, 1), 0, name)
            self.assertEqual(len(self.parts(name)), 1, name)
        self.assertEqual(len({_key(name, 1) for name in names}), len(names))
        self.assertNotEqual(_key("x", 11), _key("x.1", 1))

    def test_many(self) -> None:
        """A realm that begins many files keeps the newest. Those of other realms are not removed."""
        self.brings("other", 1)
        for number in range(module.MAX_PARTS + 8):
            self.brings("realm2", number)
        parts = self.parts("realm2")
        self.assertEqual(len(parts), module.MAX_PARTS)
        self.assertNotIn(_key("realm2", 7), parts)
        self.assertIn(_key("realm2", module.MAX_PARTS + 7), parts)
        self.assertEqual(len(self.parts("other")), 1)

    def test_many_bytes(self) -> None:
        """They take no more bytes than the files that may arrive at a time."""
        self.patch(module, "MAX_ARRIVING", 2)
        self.one.federation.files._limits = Limits(file=1000)
        for number in range(8):
            self.brings("realm2", number, part=900)
        self.assertLessEqual(sum(self.parts("realm2").values()), 2000)

    def test_of_a_forgotten_realm(self) -> None:
        self.brings("realm2", 1)
        self.brings("realm3", 1)
        self.result(self.one.federation.receiver.forget("realm2"))
        self.assertEqual((self.parts("realm2"), len(self.parts("realm3"))), ({}, 1))


class RefusedTestCase(NetworkTestCase):
    """Offers and bytes that are refused."""

    def setUp(self) -> None:
        super().setUp()
        self.one: Server = self.network.server("realm1")
        self.files = self.one.federation.files

    def note(self, size: int = len(DATA)) -> FileNote:
        return FileNote("a.txt", size, hashlib.sha256(DATA).hexdigest(), "abcdef")

    def offer(self, size: int = len(DATA)) -> int:
        offset: int = self.result(self.files.offer("realm2", 1, self.note(size), OWNER))
        return offset

    def take(self, offset: int, data: bytes) -> None:
        self.result(self.files.take("realm2", 1, offset, data))

    def finish(self) -> Any:
        return self.result(self.files.finish("realm2", 1))

    def result(self, done: Any) -> Any:
        return self.network.result(Deferred.fromCoroutine(done))

    def test_too_large(self) -> None:
        self.files._limits = Limits(file=len(DATA) - 1)
        with self.assertRaises(FileTooLarge):
            self.offer()

    def test_folder_that_fails(self) -> None:
        """The sender is told to try again, and the next offer is not hindered."""
        with mock.patch.object(self.one.realm.uploads, "resume", side_effect=OSError("broken")):
            self.assertRaises(StorageFailed, self.offer)
        self.assertEqual(self.offer(), 0)

    def test_link_lost_while_it_is_opened(self) -> None:
        """The file does not count as one that arrives, and can be offered again."""
        resume = self.one.realm.uploads.resume

        async def slowly(*arguments: Any) -> Any:
            incoming = await resume(*arguments)
            await self.files.drop_all("realm2")
            return incoming

        with mock.patch.object(self.one.realm.uploads, "resume", slowly):
            self.assertRaises(FileIncomplete, self.offer)
        self.assertRaises(FileIncomplete, self.take, 0, DATA)
        self.assertEqual(self.offer(), 0)

    def test_bytes_out_of_place(self) -> None:
        """Neither a gap nor a repetition nor more than was offered."""
        self.assertRaises(FileIncomplete, self.take, 0, DATA)
        self.offer()
        self.take(0, DATA[:400])
        for offset, data in ((0, DATA[:400]), (500, DATA[500:]), (400, DATA)):
            self.assertRaises(FileIncomplete, self.take, offset, data)
        self.take(400, DATA[400:])
        self.assertEqual(self.finish().size, len(DATA))

    def test_finished_too_early(self) -> None:
        self.assertRaises(FileIncomplete, self.finish)
        self.offer()
        self.take(0, DATA[:999])
        self.assertRaises(FileIncomplete, self.finish)
        self.take(999, DATA[999:])
        self.assertEqual(self.finish().size, len(DATA))

    def test_other_bytes_than_were_announced(self) -> None:
        self.offer()
        self.take(0, DATA[::-1])
        self.assertRaises(FileIncomplete, self.finish)
        self.assertEqual(self.offer(), 0)

    def test_disk_that_fails(self) -> None:
        self.offer()
        incoming = self.files._arriving["realm2", 1].incoming
        incoming.error = OSError("full")
        self.assertRaises(StorageFailed, self.take, 0, DATA)
        with mock.patch.object(incoming, "finish", side_effect=OSError("full")):
            incoming.missing = 0
            self.assertRaises(StorageFailed, self.finish)
