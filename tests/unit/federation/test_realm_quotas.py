"""Files from other realms: limits, and malformed announcements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from chatd.base.errors import FileLost, FileTooLarge, QuotaExceeded, RealmDown, TooMuchArriving
from chatd.base.names import Place, parse_address
from chatd.commands import values as ask
from chatd.federation.parcel_fields import FileNote
from chatd.federation.parcels import Direct, encode, try_decode
from chatd.store import arrivals as store
from tests.support.network import outcome
from tests.unit.federation.test_realm_files import FilesTestCase, many


class LimitsTestCase(FilesTestCase):
    limits_there = {"file": 200_000, "account_files": 300_000}
    settings_there = {"files": 2_000_000}

    def test_too_large(self) -> None:
        """It is refused before its bytes are fetched, and stays with its sender as a refused message."""
        with self.assertRaises(FileTooLarge) as caught:
            self.ana.sends_file("budi@realm2", "a.bin", many(200_001))
        self.assertIn("200001 bytes and 200000 are allowed", str(caught.exception))
        self.assertEqual(self.pieces, 0)
        self.assertEqual(self.budi.inbox(), [])

    def test_too_large_and_late(self) -> None:
        self.part()
        self.ana.sends_file("budi@realm2", "a.bin", many(200_001))
        self.meet()
        (notice,) = self.ana.reads()
        self.assertIn("file a.bin", notice)
        self.assertIn("200000 are allowed", notice)

    def test_quota_of_a_sender(self) -> None:
        self.ana.sends_file("budi@realm2", "a.bin", many(200_000))
        with self.assertRaises(QuotaExceeded):
            self.ana.sends_file("budi@realm2", "b.bin", many(150_000))
        self.one.person("agus").sends_file("budi@realm2", "c.bin", many(150_000))

    def test_quota_of_a_realm(self) -> None:
        for number in range(10):
            person = self.one.person(f"agus{number}")
            person.sends_file("budi@realm2", f"{number}.bin", many(190_000 + number))
        with self.assertRaises(QuotaExceeded):
            self.one.person("andi").sends_file("budi@realm2", "c.bin", many(150_000))

    def test_a_tenth_may_arrive(self) -> None:
        """Of two files at the same time only one fits. The other one fits later."""
        slow = self.slow()
        self.ana.begins_to_send_file("budi@realm2", "a.bin", many(190_000))
        self.network.settle()
        late = outcome(self.ana.begins_to_send_file("bela@realm2", "b.bin", many(80_000)))
        self.network.settle()
        self.assertIsInstance(late[0], TooMuchArriving)
        self.assertIn("Files of 200000 bytes may be on their way", str(late[0]))
        slow()
        self.network.advance(5)
        self.ana.sends_file("bela@realm2", "b.bin", many(80_000))

    def test_files_of_groups_wait(self) -> None:
        """A file of a group elsewhere waits until others have arrived, as long as not too many wait."""
        self.patch(store, "MAX_ARRIVING", 1)
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        slow = self.slow()
        for number, size in enumerate((190_000, 60_000, 40_000)):
            self.ana.sends_file("#bagan", f"{number}.bin", many(size + number))
        self.network.settle()
        self.assertEqual(self.shown(), ["arriving", "arriving", "lost"])
        slow()
        self.network.advance(5)
        self.assertEqual(self.shown(), ["here", "here", "lost"])
        for number, size in enumerate((190_000, 60_000)):
            code = self.code(f"{number}.bin")
            self.assertEqual(self.budi.fetches(code), many(size + number))

    def test_files_that_wait_of_a_forgotten_realm(self) -> None:
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.slow()
        for number in range(2):
            self.ana.sends_file("#bagan", f"{number}.bin", many(190_000 + number))
        self.network.settle()
        self.network.result(Deferred.fromCoroutine(self.two.federation.arrivals.forget("realm1")))
        self.assertEqual(self.shown(), ["lost", "lost"])

    def shown(self) -> list[str]:
        """The states of the files of bagan in realm2."""
        place = Place(group=parse_address("bagan@realm1"))
        items = self.budi.does(ask.ShowHistory(place, 50)).items
        return [each.file.state for each in items if each.file is not None]

    def slow(self) -> Callable[[], None]:
        """realm1 does not answer requests for files until the function is called that this returns."""
        waiting: list[Deferred[bytes]] = []
        real = self.two.realm.directory.file

        def silent(*_args: Any) -> Deferred[bytes]:
            waiting.append(Deferred())
            return waiting[-1]

        def answers() -> None:
            self.patch(self.two.realm.directory, "file", real)
            for each in waiting:
                each.errback(RealmDown(realm="realm1"))
            waiting.clear()

        self.patch(self.two.realm.directory, "file", silent)
        self.addCleanup(answers)
        return answers

    def test_many_small_files(self) -> None:
        """The number of files that arrive is limited, too."""
        self.patch(store, "MAX_ARRIVING", 3)
        self.slow()
        found = []
        for number in range(5):
            sending = self.ana.begins_to_send_file("budi@realm2", f"{number}.bin", b"x")
            found.append(outcome(sending))
            self.network.settle()
        codes = [getattr(each[0], "code", "") if each else "" for each in found]
        self.assertEqual(codes, ["", "", "", "too-much-arriving", "too-much-arriving"])

    def test_lost_files_do_not_count(self) -> None:
        """What a lost file would have taken is free again."""
        for number in range(12):
            self.announces(f"{number}.bin", 190_000, number)
            self.network.settle()
        self.assertEqual(self.announces("b.bin", 190_000, 99), "")

    def announces(self, name: str, size: int, number: int) -> str:
        """realm1 announces a file that it has not got. Returns the code of the verdict."""
        note = FileNote(name, size, f"{number:064x}", "abcdef")
        parcel = Direct("citra", "budi", 0, None, note)
        (verdict,) = self.two.receives("realm1", (1 << 40 | number, parcel))
        return verdict.code


class NamesTestCase(FilesTestCase):
    def test_names(self) -> None:
        """A file name from another realm is made safe, or refused, and sizes and hashes are checked."""
        number = 1 << 40

        def announce(name: str, size: int = 10) -> str:
            nonlocal number
            number += 1
            note = FileNote(name, size, f"{number:064x}", "abcdef", "text/plain\r\n")
            parcel = Direct("citra", "budi", 0, None, note)
            (verdict,) = self.two.receives("realm1", (number, parcel))
            return verdict.code

        self.assertEqual(announce("../../etc/passwd"), "")
        self.assertEqual(announce("x" * 5000), "")
        self.assertEqual(announce("\x00"), "bad-filename")
        self.assertEqual(announce(".."), "bad-filename")
        self.assertEqual(announce("a", 1 << 50), "file-too-large")
        files = [message.file for message in self.budi.inbox()]
        self.assertEqual([each and each.name for each in files], ["passwd", "x" * 200])
        self.assertEqual({each and each.mime for each in files}, {"application/octet-stream"})
        wrong: tuple[list[Any], ...] = (
            ["a", -1, "0" * 64, "abcdef"],
            ["a", 1 << 63, "0" * 64, "abcdef"],
            ["a", 1, "0" * 63, "abcdef"],
            ["a", 1, "../" * 21 + "a", "abcdef"],
            ["a", 1, "0" * 64, "x" * 65],
        )
        for note in wrong:
            self.assertIsNone(try_decode(encode(["direct", "ana", "budi", 0, None, note])))


class MirrorLimitsTestCase(FilesTestCase):
    """bagan lives in realm1; realm2 takes small files only."""

    limits_there = {"file": 1000}

    def test_group_elsewhere(self) -> None:
        """The message is in the log of the realm that does not take its file."""
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.ana.sends_file("#bagan", "a.bin", many(1001))
        self.ana.posts("bagan", "halo")
        self.network.settle()
        place = Place(group=parse_address("bagan@realm1"))
        file, text = self.budi.does(ask.ShowHistory(place, 2)).items
        self.assertEqual((file.file.state, file.file.arrival), ("lost", "file-refused"))
        self.assertEqual(text.text, "halo")
        self.assertEqual(self.ana.reads(), [])
        with self.assertRaises(FileLost):
            self.budi.fetches(file.file.code)
