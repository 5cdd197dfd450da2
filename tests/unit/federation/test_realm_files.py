"""Files between realms: their bytes are sent before the messages that carry them."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

from chatd.base.errors import ChatError, UnknownUser
from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.federation.amp import file_sender as module
from chatd.federation.amp import link_sender, wire
from tests.support.network import FakeConnection, NetworkTestCase, Server, outcome

MIB = 1 << 20


def many(size: int) -> bytes:
    """Bytes that differ from chunk to chunk."""
    numbers = array("I", range(size // 4 + 1))
    return numbers.tobytes()[:size]


class FilesTestCase(NetworkTestCase):
    """ana lives in realm1, budi and bela in realm2, citra in realm3."""

    limits_there: dict[str, Any] = {}
    settings_there: dict[str, Any] = {}

    def setUp(self) -> None:
        super().setUp()
        self.one = self.network.server("realm1")
        self.two = self.network.server("realm2", limits=self.limits_there, **self.settings_there)
        self.one.add(self.two)
        self.ana = self.one.person("ana")
        self.budi, self.bela = self.two.person("budi"), self.two.person("bela")

    @property
    def connection(self) -> FakeConnection:
        return self.network.connection(self.one, self.two)

    @property
    def log(self) -> list[str]:
        """The commands that realm2 has received from realm1 over the open connection."""
        return self.connection.transport_of(self.one).log

    def code(self, name: str = "a.bin", who: Any = None) -> str:
        (code,) = [each.code for each in (who or self.budi).files() if each.name == name]
        return str(code)

    def stored(self, server: Server) -> list[Path]:
        return [each for each in (server.config.state / "uploads").iterdir() if each.is_file()]


class SendingTestCase(FilesTestCase):
    def test_direct(self) -> None:
        data = many(300_000)
        reply = self.ana.sends_file("budi@realm2", "a.bin", data)
        self.assertEqual(reply.message, "File sent")
        (message,) = self.budi.inbox()
        self.assertEqual(message.sender, "ana@realm1")
        assert message.file is not None
        self.assertEqual((message.file.name, message.file.size), ("a.bin", 300_000))
        self.assertEqual(message.file.sha256, reply.fields["sha256"])
        self.assertEqual(self.budi.fetches(message.file.code), data)
        self.assertEqual(self.ana.fetches(str(reply.fields["code"])), data)
        self.assertEqual(self.log.count("Chunk"), 10)
        self.assertEqual(self.two.realm.uploads.parts, [])

    def test_name_on_disk(self) -> None:
        """It tells when the file was sent, not when it arrived."""
        self.connection.transport_of(self.one).holding = {"Chunk"}
        self.ana.begins_to_send_file("budi@realm2", "a b.bin", b"bytes")
        self.network.advance(6)
        (sent,) = self.stored(self.one)
        self.connection.transport_of(self.one).holding = set()
        self.network.settle()
        self.assertEqual(self.budi.fetches(self.code("a b.bin")), b"bytes")
        (arrived,) = self.stored(self.two)
        self.assertEqual(arrived.name, sent.name)
        self.assertRegex(arrived.name, r"\A\d{4}(_\d\d){5}_a_b\.bin\Z")

    def test_own_copy(self) -> None:
        """The receiving realm serves its own copy, even if the other realm is down."""
        self.ana.sends_file("budi@realm2", "a.bin", b"bytes")
        self.one.kill()
        self.assertEqual(self.budi.fetches(self.code()), b"bytes")
        with self.assertRaises(ChatError):
            self.bela.fetches(self.code())
        self.one.open()

    def test_empty(self) -> None:
        self.ana.sends_file("budi@realm2", "a.bin", b"")
        self.assertEqual(self.budi.fetches(self.code()), b"")

    def test_one_byte_and_one_chunk(self) -> None:
        for size in (1, wire.CHUNK - 1, wire.CHUNK, wire.CHUNK + 1, 8 * wire.CHUNK):
            self.ana.sends_file("budi@realm2", f"{size}.bin", many(size))
            self.assertEqual(self.budi.fetches(self.code(f"{size}.bin")), many(size))

    def test_list(self) -> None:
        """For two recipients in one realm the bytes are sent once."""
        data = many(200_000)
        reply = self.ana.sends_file("budi@realm2,bela@realm2,nobody@realm2", "a.bin", data)
        self.assertEqual(reply.message, "File sent; there is no user nobody@realm2")
        self.assertEqual(self.budi.fetches(self.code()), data)
        self.assertEqual(self.bela.fetches(self.code(who=self.bela)), data)
        self.assertEqual(self.log.count("Chunk"), 7)
        self.assertEqual(len(self.stored(self.two)), 1)
        self.assertEqual(self.two.realm.uploads.parts, [])

    def test_again(self) -> None:
        """The same bytes from the same sender are not sent again."""
        self.ana.sends_file("budi@realm2", "a.bin", many(100_000))
        self.ana.sends_file("bela@realm2", "a.bin", many(100_000))
        self.assertEqual(self.log.count("Chunk"), 4)
        self.assertEqual(len(self.stored(self.two)), 1)

    def test_again_under_another_name(self) -> None:
        """Each file keeps the name that its sender gave it."""
        self.ana.sends_file("budi@realm2", "a.bin", many(100_000))
        self.ana.sends_file("budi@realm2", "b.bin", many(100_000))
        self.assertEqual(self.budi.reads(), ["ana@realm1: file a.bin", "ana@realm1: file b.bin"])

    def test_unknown(self) -> None:
        """It is refused before the bytes are sent, and stays with its sender."""
        with self.assertRaises(UnknownUser):
            self.ana.sends_file("nobody@realm2", "a.bin", many(100_000))
        self.assertEqual(self.log.count("Chunk"), 0)
        self.assertEqual(len(self.stored(self.one)), 1)
        self.assertEqual([each.name for each in self.ana.files()], ["a.bin"])

    def test_slow(self) -> None:
        self.connection.transport_of(self.one).holding = {"Chunk"}
        found = outcome(self.ana.begins_to_send_file("budi@realm2", "a.bin", many(100_000)))
        self.network.advance(6)
        self.assertEqual(
            found[0].message, "File sent; queued until it can be delivered: budi@realm2"
        )
        self.connection.transport_of(self.one).holding = set()
        self.network.settle()
        self.assertEqual(self.budi.fetches(self.code()), many(100_000))
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_others_pass(self) -> None:
        """While a file is being sent, messages of others overtake it. Those of its sender to the same person
        wait."""
        agus = self.one.person("agus")
        log = self.log
        self.ana.begins_to_send_file("budi@realm2", "a.bin", many(5 * MIB))
        while log.count("Chunk") < 20:
            self.network.step()
        replies = [
            outcome(self.ana.begins_to_send("budi@realm2", "behind")),
            outcome(self.ana.begins_to_send("bela@realm2", "by")),
            outcome(agus.begins_to_send("budi@realm2", "by")),
        ]
        while not (replies[1] and replies[2]):
            self.network.step()
        self.assertLess(log.count("Chunk"), 20 + 2 * module.WINDOW)
        self.assertEqual(replies[0], [])
        self.network.settle()
        self.assertEqual(log.count("Chunk"), 160)
        self.assertEqual(
            self.budi.reads(), ["agus@realm1: by", "ana@realm1: file a.bin", "ana@realm1: behind"]
        )
        self.assertEqual(self.bela.reads(), ["ana@realm1: by"])

    def test_as_many_behind_a_file_as_may_wait(self) -> None:
        """They do not keep the message of the file from being sent."""
        self.patch(link_sender, "MAX_HELD", 3)
        end = self.connection.transport_of(self.one)
        end.holding = {"Chunk"}
        self.ana.begins_to_send_file("budi@realm2", "a.bin", many(100_000))
        self.network.settle()
        for number in range(8):
            self.ana.begins_to_send("budi@realm2", str(number))
            self.network.settle()
        end.holding = set()
        self.network.settle()
        expected = ["file a.bin", *map(str, range(8))]
        self.assertEqual(self.budi.reads(), [f"ana@realm1: {each}" for each in expected])
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_few_chunks_under_way(self) -> None:
        """So that other messages are sent in between."""
        end = self.connection.transport_of(self.two)
        end.holding = {"Chunk answer"}
        self.ana.begins_to_send_file("budi@realm2", "a.bin", many(5 * MIB))
        self.network.settle()
        self.assertEqual(self.log.count("Chunk"), module.WINDOW)
        end.holding = set()
        self.network.settle()
        self.assertEqual(self.log.count("Chunk"), 160)

    def test_order_of_many(self) -> None:
        """Files and texts in turn, to one person, arrive in the order in which they were sent."""
        for number in range(6):
            self.ana.begins_to_send_file("budi@realm2", f"{number}.bin", many(40_000 + number))
            self.network.settle() if number % 2 else None
            self.ana.begins_to_send("budi@realm2", str(number))
        self.network.settle()
        texts = self.budi.reads()
        self.assertEqual(len(texts), 12)
        history = [each.partition(": ")[2] for each in self.ana.history("budi@realm2")]
        self.assertEqual([each.partition(": ")[2] for each in texts], history)

    def test_vanished(self) -> None:
        """If the file is missing when its turn comes, the sender is told."""
        self.network.refusing[self.two.where] = OSError()
        self.network.cut()
        self.ana.sends_file("budi@realm2", "a.bin", b"bytes")
        self.ana.sends("budi@realm2", "after")
        for path in self.stored(self.one):
            path.unlink()
        self.network.refusing.clear()
        self.network.advance(5)
        self.assertEqual(self.budi.reads(), ["ana@realm1: after"])
        (notice,) = self.ana.reads()
        self.assertIn("Your file a.bin", notice)
        self.assertEqual(self.one.parcels_waiting(), 0)


class BreaksTestCase(FilesTestCase):
    """The link breaks while a file is being sent."""

    def begin(self, size: int, chunks: int) -> list[Any]:
        """Send that many chunks, then break the link."""
        end = self.connection.transport_of(self.one)
        found = outcome(self.ana.begins_to_send_file("budi@realm2", "a.bin", many(size)))
        end.holding = {"Chunk"}
        self.network.settle()
        for _ in range(chunks):
            end.holding = set()
            end.deliver()
            end.holding = {"Chunk"}
            self.network.settle()
        return found

    def test_goes_on(self) -> None:
        """The transfer resumes where it ended."""
        self.begin(500_000, 6)
        self.connection.cut()
        self.network.advance(3)
        self.assertEqual(self.log.count("Chunk"), 16 - 6)
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
        self.assertEqual(self.log.count("Chunk"), 16 - 6)
        self.assertEqual(self.budi.fetches(self.code()), many(500_000))

    def test_receiver_dies(self) -> None:
        self.begin(500_000, 6)
        self.two.restart()
        self.network.advance(3)
        self.assertEqual(self.budi.fetches(self.code()), many(500_000))
        self.assertLess(self.log.count("Chunk"), 17)

    def test_receiver_stops(self) -> None:
        """After a clean stop nothing that has arrived is sent again."""
        self.begin(500_000, 6)
        self.two.close()
        self.two.open()
        self.network.advance(3)
        self.assertEqual(self.log.count("Chunk"), 16 - 6)
        self.assertEqual(self.budi.fetches(self.code()), many(500_000))

    def test_again_and_again(self) -> None:
        found = self.begin(500_000, 2)
        for _ in range(5):
            self.connection.cut()

            def slow(connection: FakeConnection) -> None:
                connection.transport_of(self.one).holding = {"Chunk"}

            self.network.on_connection = slow
            self.network.advance(3)
            end = self.connection.transport_of(self.one)
            for _ in range(2):
                end.holding = set()
                end.deliver()
                end.holding = {"Chunk"}
                self.network.settle()
        self.network.on_connection = lambda _cable: None
        self.connection.cut()
        self.network.advance(3)
        self.assertEqual(self.log.count("Chunk"), 16 - 12)
        self.assertEqual(self.budi.fetches(self.code()), many(500_000))
        self.assertIn("queued", found[0].message)

    def test_all_there_but_the_message(self) -> None:
        """All bytes have arrived, but the message has not."""
        end = self.connection.transport_of(self.one)
        end.holding = {"Deliver"}
        self.ana.begins_to_send_file("budi@realm2", "a.bin", many(100_000))
        self.network.settle()
        self.assertEqual(end.log.count("Chunk"), 4)
        self.connection.cut()
        self.network.advance(3)
        self.assertEqual(self.log.count("Chunk"), 0)
        self.assertEqual(self.budi.fetches(self.code()), many(100_000))

    def test_acknowledgement_lost(self) -> None:
        self.connection.transport_of(self.two).losing = {"Deliver answer"}
        self.ana.begins_to_send_file("budi@realm2", "a.bin", many(100_000))
        self.network.settle()
        self.connection.cut()
        self.network.advance(3)
        self.assertEqual(self.log.count("Chunk"), 0)
        self.assertEqual(self.budi.reads(), ["ana@realm1: file a.bin"])
        self.assertEqual(len(self.stored(self.two)), 1)
        self.assertEqual(self.one.parcels_waiting(), 0)
        self.assertEqual(self.two.realm.uploads.parts, [])

    def test_damaged_part(self) -> None:
        """If the part was damaged on disk, its SHA-256 is wrong, and the file is sent again. Later messages
        wait for it."""
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
        self.assertEqual(self.log.count("Chunk"), 10 + 16)
        self.assertEqual(self.budi.reads(), ["ana@realm1: file a.bin", "ana@realm1: after"])

    def test_of_a_parcel_that_never_comes(self) -> None:
        """The part of a file that is refused in the end is removed from the receiver's disk."""
        code = self.budi.creates("bagan")
        del code
        end = self.connection.transport_of(self.one)
        end.holding = {"Deliver"}
        found = outcome(self.ana.begins_to_send_file("#bagan@realm2", "a.bin", many(100_000)))
        self.network.settle()
        self.assertEqual(end.log.count("Chunk"), 4)
        self.budi.does(ask.CloseGroup(parse_address("bagan")))
        end.holding = set()
        self.network.settle()
        self.assertEqual(getattr(found[0], "code", ""), "group-closed")
        self.assertEqual(self.two.realm.uploads.parts, [])
        self.assertEqual(self.two.federation.files._arriving, {})

    def test_disk_full(self) -> None:
        """When the receiver's disk is full, nothing is lost, and other messages are delivered."""
        disk = self.two.service.disk
        self.patch(disk, "_measure", lambda: 50_000)  # bytes above the reserve: enough for texts
        disk.look()
        found = outcome(self.ana.begins_to_send_file("budi@realm2", "a.bin", many(100_000)))
        self.network.advance(20)
        self.assertIn("queued", found[0].message)
        self.assertEqual(self.ana.sends("bela@realm2", "halo").message, "Message sent")
        self.patch(disk, "_measure", lambda: 1 << 30)
        self.network.advance(40)
        self.assertEqual(self.budi.fetches(self.code()), many(100_000))

    def test_sent_again_after_it_was_damaged(self) -> None:
        """The same file is received again if the stored one is damaged."""
        self.ana.sends_file("budi@realm2", "a.bin", many(1000))
        (stored,) = [path for path in self.two.realm.uploads.folder.iterdir() if path.is_file()]
        stored.write_bytes(bytes(1000))
        self.ana.sends_file("budi@realm2", "a.bin", many(1000))
        self.assertEqual(self.budi.fetches(self.budi.files()[-1].code), many(1000))

    def test_changed_on_the_senders_disk(self) -> None:
        """A changed file is not delivered as if it were whole, and the sender is told."""
        self.network.refusing[self.two.where] = OSError()
        self.network.cut()
        self.ana.sends_file("budi@realm2", "a.bin", many(100_000))
        (stored,) = [path for path in self.one.realm.uploads.folder.iterdir() if path.is_file()]
        stored.write_bytes(many(99_999) + b"?")
        self.network.refusing.clear()
        self.network.advance(5)
        (notice,) = self.ana.reads()
        self.assertIn("file a.bin", notice)
        self.assertIn("is damaged", notice)
        self.assertEqual(self.budi.files(), [])


class GroupFilesTestCase(FilesTestCase):
    """bagan lives in realm2."""

    def setUp(self) -> None:
        super().setUp()
        self.three = self.network.server("realm3")
        self.three.add(self.two)
        self.citra = self.three.person("citra")
        self.budi.creates("bagan")
        self.ana.joins("bagan@realm2")
        self.citra.joins("bagan@realm2")

    def test_from_the_home(self) -> None:
        reply = self.budi.sends_file("#bagan", "a.bin", many(100_000))
        self.assertEqual(reply.message, "File sent")
        self.assertEqual(self.ana.fetches(self.code(who=self.ana)), many(100_000))
        self.assertEqual(self.citra.fetches(self.code(who=self.citra)), many(100_000))

    def test_from_a_member(self) -> None:
        """The file goes to the home, and from there to the third realm. The first realm uses its own copy."""
        reply = self.ana.sends_file("#bagan@realm2", "a.bin", many(100_000))
        self.assertEqual((reply.message, reply.data["seq"]), ("File sent", 4))
        self.network.settle()
        self.assertEqual(self.budi.fetches(self.code()), many(100_000))
        self.assertEqual(self.citra.fetches(self.code(who=self.citra)), many(100_000))
        self.assertEqual(self.ana.history(group="bagan@realm2"), ["ana: file a.bin"])
        self.assertEqual(self.citra.reads(), ["ana@realm1: file a.bin"])
        back = self.connection.transport_of(self.two).log
        self.assertEqual((back.count("Offer"), back.count("Chunk")), (0, 0))
        self.assertEqual(len(self.stored(self.one)), 1)
        self.assertEqual(self.code(who=self.ana), reply.fields["code"])

    def test_from_a_stranger(self) -> None:
        """A file from someone who is not a member, to an open group."""
        agus = self.one.person("agus")
        agus.sends_file("#bagan@realm2", "a.bin", many(100_000))
        self.assertEqual(self.ana.fetches(self.code(who=self.ana)), many(100_000))
        self.assertEqual(self.budi.reads(), ["agus@realm1: file a.bin"])

    def test_echo_lost(self) -> None:
        self.connection.transport_of(self.one).losing = {"Deliver answer"}
        self.ana.sends_file("#bagan@realm2", "a.bin", many(100_000))
        self.network.settle()
        self.connection.cut()
        self.network.advance(3)
        self.assertEqual(self.ana.history(group="bagan@realm2"), ["ana: file a.bin"])
        self.assertEqual(self.two.parcels_waiting(), 0)

    def test_order(self) -> None:
        """A file and later messages of others, in a group elsewhere."""
        end = self.connection.transport_of(self.two)
        end.holding = {"Chunk"}
        self.budi.begins_to_send_file("#bagan", "a.bin", many(100_000))
        self.network.settle()
        self.citra.posts("bagan@realm2", "after")
        self.assertEqual(self.ana.inbox(), [])
        end.holding = set()
        self.network.settle()
        self.assertEqual(self.ana.reads(), ["budi@realm2: file a.bin", "citra@realm3: after"])
