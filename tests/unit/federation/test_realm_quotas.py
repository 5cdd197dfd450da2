"""Files from other realms: limits, and malformed requests."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from chatd.base.errors import FileTooLarge, PeerFailed, QuotaExceeded
from chatd.federation import file_receive as arrivals_module
from chatd.federation.parcel_fields import FileNote
from chatd.federation.parcels import Direct, encode, try_decode
from tests.support.network import outcome
from tests.unit.federation.test_realm_files import FilesTestCase, many


class LimitsTestCase(FilesTestCase):
    limits_there = {"file": 200_000, "account_files": 300_000}
    settings_there = {"files": 500_000}

    def test_too_large(self) -> None:
        """It is refused before its bytes are sent."""
        with self.assertRaises(FileTooLarge) as caught:
            self.ana.sends_file("budi@realm2", "a.bin", many(200_001))
        self.assertIn("200001 bytes and 200000 are allowed", str(caught.exception))
        self.assertEqual(self.log.count("Chunk"), 0)

    def test_too_large_and_late(self) -> None:
        self.network.refusing[self.two.where] = OSError()
        self.network.cut()
        self.ana.sends_file("budi@realm2", "a.bin", many(200_001))
        self.network.refusing.clear()
        self.network.advance(5)
        (notice,) = self.ana.reads()
        self.assertIn("file a.bin", notice)
        self.assertIn("200000 are allowed", notice)

    def test_quota_of_a_sender(self) -> None:
        self.ana.sends_file("budi@realm2", "a.bin", many(200_000))
        with self.assertRaises(QuotaExceeded):
            self.ana.sends_file("budi@realm2", "b.bin", many(150_000))
        self.one.person("agus").sends_file("budi@realm2", "c.bin", many(150_000))

    def test_quota_of_a_realm(self) -> None:
        self.ana.sends_file("budi@realm2", "a.bin", many(200_000))
        self.one.person("agus").sends_file("budi@realm2", "b.bin", many(200_000))
        with self.assertRaises(QuotaExceeded):
            self.one.person("andi").sends_file("budi@realm2", "c.bin", many(150_000))

    def test_what_is_arriving_counts(self) -> None:
        """Of two simultaneous files only one fits."""
        end = self.connection.transport_of(self.one)
        end.holding = {"Chunk"}
        found = [
            outcome(self.ana.begins_to_send_file("budi@realm2", "a.bin", many(190_000))),
            outcome(self.ana.begins_to_send_file("bela@realm2", "b.bin", many(180_000))),
        ]
        self.network.settle()
        self.assertIsInstance(found[1][0], QuotaExceeded)
        end.holding = set()
        self.network.settle()
        self.assertEqual(found[0][0].message, "File sent")

    def test_incomplete_files_count(self) -> None:
        """Files that a realm begins and never completes count for its quota."""
        arrivals = self.two.federation.files
        taken = 0
        for number in range(1, 20):
            note = FileNote(f"{number}.bin", 150_000, f"{number:064x}", "abcdef")
            parcel = Direct(f"a{number}", "budi", 0, None, note)
            try:
                offering = self.two.federation.receiver.offer("realm1", number, parcel)
                self.assertEqual(self.network.result(offering), 0)
            except QuotaExceeded:
                break
            taking = arrivals.take("realm1", number, 0, b"x" * 140_000)
            self.network.result(Deferred.fromCoroutine(taking))
            self.network.result(Deferred.fromCoroutine(arrivals.drop_all("realm1")))
            taken += 1
        self.assertLessEqual(taken, 4)


class OddTestCase(FilesTestCase):
    """Malformed answers and requests about a file."""

    def test_offset_beyond(self) -> None:
        """The other realm claims to have more bytes than the file has."""
        inbound = self.two.federation.receiver

        async def offer(*_: object) -> int:
            return 1 << 40

        self.patch(inbound, "offer", offer)
        with self.assertRaises(PeerFailed):
            self.ana.sends_file("budi@realm2", "a.bin", many(100_000))
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_never_enough(self) -> None:
        """It refuses each chunk as out of order. The sender gives up after some tries."""
        arrivals = self.two.federation.files

        async def take(*_: object) -> None:
            raise arrivals_module.FileIncomplete

        self.patch(arrivals, "take", take)
        with self.assertRaises(PeerFailed):
            self.ana.sends_file("budi@realm2", "a.bin", many(100_000))
        self.assertLess(self.log.count("Offer"), 10)
        self.assertEqual(self.one.parcels_waiting(), 0)
        self.ana.sends("budi@realm2", "halo")

    def test_chunks(self) -> None:
        """Chunks with too many bytes, or at a wrong offset, are refused."""
        arrivals = self.two.federation.files
        note = FileNote("a.bin", 10, "0" * 64, "abcdef")
        self.network.result(
            self.two.federation.receiver.offer("realm1", 1, Direct("ana", "budi", 0, None, note))
        )
        for offset, data in ((0, b"x" * 11), (1, b"x"), (-1, b"x"), (5, b"x")):
            with self.assertRaises(arrivals_module.FileIncomplete):
                self.network.result(
                    Deferred.fromCoroutine(arrivals.take("realm1", 1, offset, data))
                )
        self.network.result(Deferred.fromCoroutine(arrivals.drop_all()))

    def test_names(self) -> None:
        """A file name from another realm is made safe, or refused, and sizes are checked."""

        def offer(name: str, size: int = 10) -> Any:
            note = FileNote(name, size, "0" * 64, "abcdef")
            parcel = Direct("ana", "budi", 0, None, note)
            try:
                return self.network.result(self.two.federation.receiver.offer("realm1", 1, parcel))
            except Exception as error:
                return getattr(error, "code", repr(error))

        self.assertEqual(offer("../../etc/passwd"), 0)
        self.assertEqual(offer("x" * 5000), 0)
        self.assertEqual(offer("\x00"), "bad-filename")
        self.assertEqual(offer(".."), "bad-filename")
        self.assertEqual(offer("a", 1 << 50), "file-too-large")
        for size in (-1, 1 << 63):
            parcel = ["direct", "ana", "budi", 0, None, ["a", size, "0" * 64, "abcdef"]]
            self.assertIsNone(try_decode(encode(parcel)))
        self.network.result(Deferred.fromCoroutine(self.two.federation.files.drop_all()))
