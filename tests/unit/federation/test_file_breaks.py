"""Files between realms over links that break, and on disks that fail."""

from __future__ import annotations

from typing import Any

from chatd.base.errors import FileLost
from chatd.store.schema import arrivals
from tests.support.network import FakeConnection, outcome
from tests.unit.federation.test_realm_files import FilesTestCase, many, rows


class BreaksTestCase(FilesTestCase):
    """The link breaks while a file is being sent."""

    def begin(self, size: int, chunks: int) -> list[Any]:
        """Send that many pieces."""
        end = self.connection.transport_of(self.one)
        end.holding = {"File answer"}
        found = outcome(self.ana.begins_to_send_file("budi@realm2", "a.bin", many(size)))
        self.network.settle()
        for _ in range(chunks):
            end.holding = set()
            end.deliver()
            end.holding = {"File answer"}
            self.network.settle()
        return found

    def test_goes_on(self) -> None:
        """The transfer resumes where it ended."""
        self.begin(500_000, 6)
        self.connection.cut()
        self.network.advance(3)
        self.assertEqual(self.pieces, 16 - 6)
        self.assertEqual(self.budi.fetches(self.code()), many(500_000))
        self.assertEqual(self.two.realm.uploads.parts, [])

    def test_goes_on_in_the_middle_of_a_box(self) -> None:
        self.begin(500_000, 6)
        self.connection.split()
        self.network.advance(3)
        self.assertEqual(self.budi.fetches(self.code()), many(500_000))

    def test_sender_dies(self) -> None:
        self.begin(500_000, 6)
        self.one.restart()
        self.network.advance(3)
        self.assertEqual(self.pieces, 16 - 6)
        self.assertEqual(self.budi.fetches(self.code()), many(500_000))

    def test_receiver_dies(self) -> None:
        self.begin(500_000, 6)
        self.two.restart()
        self.network.advance(3)
        self.assertEqual(self.budi.fetches(self.code()), many(500_000))
        self.assertLess(self.pieces, 17)

    def test_receiver_stops(self) -> None:
        """After a clean stop nothing that has arrived is sent again."""
        self.begin(500_000, 6)
        self.two.close()
        self.two.open()
        self.network.advance(3)
        self.assertEqual(self.pieces, 16 - 6)
        self.assertEqual(self.budi.fetches(self.code()), many(500_000))

    def test_again_and_again(self) -> None:
        found = self.begin(500_000, 2)

        def slow(connection: FakeConnection) -> None:
            connection.transport_of(self.one).holding = {"File answer"}

        self.network.on_connection = slow
        for _ in range(5):
            self.connection.cut()
            self.network.advance(3)
            end = self.connection.transport_of(self.one)
            for _ in range(2):
                end.holding = set()
                end.deliver()
                end.holding = {"File answer"}
                self.network.settle()
        self.network.on_connection = lambda _cable: None
        self.connection.cut()
        self.network.advance(3)
        self.assertEqual(self.pieces, 16 - 12)
        self.assertEqual(self.budi.fetches(self.code()), many(500_000))
        self.assertEqual(found[0].message, "File sent")

    def test_dies_at_each_moment(self) -> None:
        """The receiver is killed after each step of the transfer; nothing is lost, nothing is left."""
        for steps in range(0, 60, 3):
            name = f"{steps}.bin"
            self.ana.begins_to_send_file("budi@realm2", name, many(100_000 + steps))
            for _ in range(steps):
                self.network.step()
            (self.two if steps % 2 else self.one).restart()
            self.network.advance(10)
            if steps > 9:  # before that the killed realm may not have stored the message
                self.assertEqual(self.budi.fetches(self.code(name)), many(100_000 + steps))
        self.assertEqual(self.two.realm.uploads.parts, [])
        self.assertEqual(rows(self.two, arrivals), 0)

    def test_acknowledgement_lost(self) -> None:
        self.connection.transport_of(self.two).losing = {"Deliver answer"}
        self.ana.begins_to_send_file("budi@realm2", "a.bin", many(100_000))
        self.network.settle()
        self.connection.cut()
        self.network.advance(3)
        self.assertEqual(self.pieces, 0)
        self.assertEqual(self.budi.reads(), ["ana@realm1: file a.bin"])
        self.assertEqual(len(self.stored(self.two)), 1)
        self.assertEqual(self.one.parcels_waiting(), 0)
        self.assertEqual(self.two.realm.uploads.parts, [])

    def test_damaged_part(self) -> None:
        """If the part was damaged on disk, its SHA-256 is wrong, and the file is fetched again."""
        self.begin(500_000, 6)
        self.ana.begins_to_send("budi@realm2", "after")
        self.connection.cut()
        self.network.settle()
        (part,) = self.two.realm.uploads.parts
        data = bytearray(part.read_bytes())
        data[1000] ^= 1
        part.write_bytes(data)
        self.network.advance(5)
        self.assertEqual(self.budi.fetches(self.code()), many(500_000))
        self.assertEqual(self.pieces, 10 + 16)
        self.assertEqual(self.budi.reads(), ["ana@realm1: file a.bin", "ana@realm1: after"])

    def test_disk_full(self) -> None:
        """When the receiver's disk is full, the message is kept, and its file is fetched later."""
        disk = self.two.service.disk
        self.patch(disk, "_measure", lambda: 50_000)  # bytes above the reserve: enough for texts
        disk.look()
        self.ana.begins_to_send_file("budi@realm2", "a.bin", many(100_000))
        self.network.advance(20)
        self.assertEqual(self.states(), ["arriving"])
        self.assertEqual(self.ana.sends("bela@realm2", "halo").message, "Message sent")
        self.patch(disk, "_measure", lambda: 1 << 30)
        self.network.advance(60)
        self.assertEqual(self.budi.fetches(self.code()), many(100_000))

    def test_disk_fails_in_the_middle(self) -> None:
        self.begin(500_000, 3)
        part = self.two.federation.arrivals
        self.assertEqual(len(part._realms["realm1"].active), 1)
        (incoming,) = self.two.realm.uploads._claims.active.values()
        incoming.error = OSError("full")
        self.connection.transport_of(self.one).holding = set()
        self.network.settle()
        self.assertEqual(self.states(), ["arriving"])
        self.network.advance(10)
        self.assertEqual(self.budi.fetches(self.code()), many(500_000))

    def test_sent_again_after_it_was_damaged(self) -> None:
        """The same file is received again if the stored one is damaged."""
        self.ana.sends_file("budi@realm2", "a.bin", many(1000))
        (stored,) = [path for path in self.two.realm.uploads.folder.iterdir() if path.is_file()]
        stored.write_bytes(bytes(1000))
        self.ana.sends_file("budi@realm2", "a.bin", many(1000))
        self.assertEqual(self.budi.fetches(self.budi.files()[-1].code), many(1000))

    def test_changed_on_the_senders_disk(self) -> None:
        """A changed file is not delivered as if it were whole, and the sender is told."""
        self.part()
        self.ana.sends_file("budi@realm2", "a.bin", many(100_000))
        (stored,) = self.stored(self.one)
        stored.write_bytes(many(99_999) + b"?")
        self.meet()
        self.network.advance(5)
        (notice,) = self.ana.reads()
        self.assertIn("file a.bin", notice)
        self.assertEqual(self.states(), ["lost"])
        with self.assertRaises(FileLost):
            file = self.budi.inbox()[0].file
            assert file is not None
            self.budi.fetches(file.code)
