"""Files between realms: their messages go at once, and their bytes are fetched."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.errors import ChatError, FileLost, UnknownUser
from chatd.base.names import Place, parse_address
from chatd.commands import values as ask
from chatd.federation import file_arrivals as module
from chatd.federation.file_arrivals import PIECE
from chatd.store.schema import arrivals, attachments, posted_files
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
        """The commands that realm1 has received from realm2 over the open connection."""
        return self.connection.transport_of(self.two).log

    @property
    def pieces(self) -> int:
        """How many pieces realm2 has asked realm1 for over the open connection."""
        end = self.connection.transport_of(self.two)
        return sum(int(box[b"size"]) > 0 for box in end.boxes if box.get(b"_command") == b"File")

    def states(self, who: Any = None) -> list[str]:
        """The states of the files in the conversation of budi and ana."""
        person, other = (who, "budi@realm2") if who else (self.budi, "ana@realm1")
        place = Place(user=parse_address(other))
        shown = person.does(ask.ShowHistory(place, 50)).items
        return [each.file.state for each in shown if each.file is not None]

    def code(self, name: str = "a.bin", who: Any = None) -> str:
        (code,) = [each.code for each in (who or self.budi).files() if each.name == name]
        return str(code)

    def part(self) -> None:
        """End the link; realm2 can't be reached until `meet`."""
        self.network.refusing[self.two.where] = OSError()
        self.network.cut()
        self.network.settle()

    def meet(self) -> None:
        self.network.refusing.clear()
        self.network.until(lambda: self.network.open_connections(self.one, self.two))
        self.network.settle()

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
        self.assertEqual(self.pieces, 10)
        self.assertEqual(self.two.realm.uploads.parts, [])

    def test_name_on_disk(self) -> None:
        """It tells when the file was sent, not when it arrived."""
        self.connection.transport_of(self.two).holding = {"File"}
        self.ana.begins_to_send_file("budi@realm2", "a b.bin", b"bytes")
        self.network.advance(6)
        (sent,) = self.stored(self.one)
        self.connection.transport_of(self.two).holding = set()
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
        for size in (1, PIECE - 1, PIECE, PIECE + 1, 8 * PIECE):
            self.ana.sends_file("budi@realm2", f"{size}.bin", many(size))
            self.assertEqual(self.budi.fetches(self.code(f"{size}.bin")), many(size))

    def test_list(self) -> None:
        """For two recipients in one realm the bytes are sent once."""
        data = many(200_000)
        reply = self.ana.sends_file("budi@realm2,bela@realm2,nobody@realm2", "a.bin", data)
        self.assertEqual(reply.message, "File sent; there is no user nobody@realm2")
        self.assertEqual(self.budi.fetches(self.code()), data)
        self.assertEqual(self.bela.fetches(self.code(who=self.bela)), data)
        self.assertEqual(self.pieces, 7)
        self.assertEqual(len(self.stored(self.two)), 1)
        self.assertEqual(self.two.realm.uploads.parts, [])

    def test_again(self) -> None:
        """The same bytes from the same sender are not sent again."""
        self.ana.sends_file("budi@realm2", "a.bin", many(100_000))
        self.ana.sends_file("bela@realm2", "a.bin", many(100_000))
        self.assertEqual(self.pieces, 4)
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
        self.assertEqual(self.pieces, 0)
        self.assertEqual(len(self.stored(self.one)), 1)
        self.assertEqual([each.name for each in self.ana.files()], ["a.bin"])

    def test_slow(self) -> None:
        """The reply waits a few seconds until the file is there. The message is there at once."""
        self.connection.transport_of(self.two).holding = {"File"}
        found = outcome(self.ana.begins_to_send_file("budi@realm2", "a.bin", many(100_000)))
        self.network.settle()
        self.assertEqual(found, [])
        self.assertEqual(self.states(), ["arriving"])
        self.network.advance(6)
        self.assertEqual(found[0].message, "File sent")
        self.assertEqual(self.one.parcels_waiting(), 0)
        self.connection.transport_of(self.two).holding = set()
        self.network.settle()
        self.assertEqual(self.budi.fetches(self.code()), many(100_000))
        self.assertEqual(self.states(), ["here"])

    def test_fetching_waits(self) -> None:
        """A file that arrives can be fetched a moment before it is here."""
        end = self.connection.transport_of(self.two)
        end.holding = {"File"}
        self.ana.begins_to_send_file("budi@realm2", "a.bin", many(1000))
        self.network.settle()
        file = self.budi.inbox()[0].file
        assert file is not None
        early = outcome(self.budi.begins(ask.GetFile(file.code)))
        self.network.advance(6)
        self.assertEqual(early[0].code, "file-arriving")
        later = outcome(self.budi.begins(ask.GetFile(file.code)))
        self.network.advance(2)
        self.assertEqual((later, self.budi.files()), ([], []))
        end.holding = set()
        self.network.settle()
        self.assertEqual(later[0].download.attachment.size, 1000)
        self.network.result(later[0].download.file.close())
        self.assertEqual([each.name for each in self.budi.files()], ["a.bin"])

    def test_older_dialects(self) -> None:
        """Their inboxes have the message once the file is here, and it stays unread until then."""
        connection = self.budi.client.connection
        connection.traits = msgspec.structs.replace(connection.traits, detailed=True)
        end = self.connection.transport_of(self.one)
        end.holding = {"File answer"}
        self.ana.sends("budi@realm2", "before")
        self.ana.begins_to_send_file("budi@realm2", "a.bin", many(1000))
        self.network.settle()
        self.assertEqual(self.budi.reads(), ["ana@realm1: before"])
        self.assertEqual(self.budi.reads(), [])
        end.holding = set()
        self.network.settle()
        self.assertEqual(self.budi.reads(), ["ana@realm1: file a.bin"])
        self.assertEqual(self.budi.reads(), [])

    def test_others_pass(self) -> None:
        """Nothing waits for the bytes of a file."""
        self.ana.begins_to_send_file("budi@realm2", "a.bin", many(5 * MIB))
        while self.pieces < 20:
            self.network.step()
        reply = outcome(self.ana.begins_to_send("budi@realm2", "behind"))
        while not reply:
            self.network.step()
        self.assertLess(self.pieces, 20 + 3 * module.WINDOW)
        self.network.settle()
        self.assertEqual(self.budi.reads(), ["ana@realm1: file a.bin", "ana@realm1: behind"])
        self.assertEqual(self.pieces, 160)

    def test_few_pieces_under_way(self) -> None:
        """So that other messages are sent in between. The first piece comes alone."""
        end = self.connection.transport_of(self.one)
        end.holding = {"File answer"}
        self.ana.begins_to_send_file("budi@realm2", "a.bin", many(5 * MIB))
        self.network.settle()
        self.assertEqual(self.pieces, 1)
        end.holding = set()
        end.deliver()
        end.holding = {"File answer"}
        self.network.settle()
        self.assertEqual(self.pieces, 1 + module.WINDOW)
        end.holding = set()
        self.network.settle()
        self.assertEqual(self.pieces, 160)

    def test_few_files_at_a_time(self) -> None:
        end = self.connection.transport_of(self.one)
        end.holding = {"File answer"}
        for number in range(8):
            self.ana.begins_to_send_file("budi@realm2", f"{number}.bin", many(1000))
        self.network.settle()
        self.assertEqual(self.pieces, module.MAX_ACTIVE)
        end.holding = set()
        self.network.settle()
        self.assertEqual(len(self.budi.files()), 8)

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
        """If the file is missing at its sender's realm, it is lost, and the sender is told."""
        self.part()
        self.ana.sends_file("budi@realm2", "a.bin", b"bytes")
        self.ana.sends("budi@realm2", "after")
        for path in self.stored(self.one):
            path.unlink()
        self.meet()
        self.network.advance(5)
        self.assertEqual(self.budi.reads(), ["ana@realm1: file a.bin", "ana@realm1: after"])
        self.assertEqual((self.states(), self.states(self.ana)), (["lost"], ["lost"]))
        (notice,) = self.ana.reads()
        self.assertIn("Your file a.bin to budi@realm2 has not arrived: it is missing", notice)
        self.assertEqual((self.one.parcels_waiting(), self.two.parcels_waiting()), (0, 0))

    def test_deleted_while_it_arrives(self) -> None:
        """The transfer stops, and nothing of the file stays."""
        end = self.connection.transport_of(self.one)
        end.holding = {"File answer"}
        self.ana.begins_to_send_file("budi@realm2", "a.bin", many(5 * MIB))
        self.network.settle()
        end.holding = set()
        end.deliver()
        end.holding = {"File answer"}
        self.network.settle()
        self.assertEqual(len(self.two.realm.uploads.parts), 1)
        self.ana.does(ask.DeleteMessage(Place(user=parse_address("budi@realm2")), 1))
        end.holding = set()
        self.network.settle()
        self.assertLess(self.pieces, 20)
        self.assertEqual(self.two.realm.uploads.parts, [])
        self.assertEqual((self.stored(self.one), self.stored(self.two)), ([], []))
        self.assertEqual(rows(self.two, arrivals), 0)
        self.assertEqual(rows(self.two, attachments), 0)

    def test_deleted_by_its_reader(self) -> None:
        """A file that two messages carry arrives for the one that is left."""
        end = self.connection.transport_of(self.two)
        end.holding = {"File"}
        self.ana.begins_to_send_file("budi@realm2,bela@realm2", "a.bin", many(100_000))
        self.network.settle()
        self.ana.does(ask.DeleteMessage(Place(user=parse_address("budi@realm2")), 1))
        end.holding = set()
        self.network.settle()
        self.network.advance(60)
        self.assertEqual(self.bela.fetches(self.code(who=self.bela)), many(100_000))


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
        (incoming,) = self.two.realm.uploads._active.values()
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
        asked = self.connection.transport_of(self.one).log
        self.assertEqual(asked.count("File"), 0)
        self.assertEqual(len(self.stored(self.one)), 1)
        self.assertEqual(self.code(who=self.ana), reply.fields["code"])

    def test_from_a_stranger(self) -> None:
        """A file from someone who is not a member, to an open group."""
        agus = self.one.person("agus")
        agus.sends_file("#bagan@realm2", "a.bin", many(100_000))
        self.assertEqual(self.ana.fetches(self.code(who=self.ana)), many(100_000))
        self.assertEqual(self.budi.reads(), ["agus@realm1: file a.bin"])
        self.assertEqual(rows(self.one, posted_files), 0)

    def test_of_a_stranger_that_is_not_fetched(self) -> None:
        """The file of a post that is not kept here is kept for the home, but not for ever."""
        agus = self.one.person("agus")
        self.connection.transport_of(self.one).holding = {"File answer"}
        agus.begins_to_send_file("#bagan@realm2", "a.bin", many(100_000))
        self.network.settle()
        for days, kept in ((6, 1), (8, 0)):
            self.one.stepped = days * 86_400
            expire = self.one.config.peers.expire * 1000
            self.network.result(self.one.federation.arrivals.expire(expire))
            self.assertEqual(rows(self.one, posted_files), kept)

    def test_echo_lost(self) -> None:
        self.connection.transport_of(self.one).losing = {"Deliver answer"}
        self.ana.sends_file("#bagan@realm2", "a.bin", many(100_000))
        self.network.settle()
        self.connection.cut()
        self.network.advance(3)
        self.assertEqual(self.ana.history(group="bagan@realm2"), ["ana: file a.bin"])
        self.assertEqual(self.two.parcels_waiting(), 0)

    def test_order(self) -> None:
        """Nothing waits for a file in a group elsewhere."""
        end = self.connection.transport_of(self.one)
        end.holding = {"File"}
        self.budi.begins_to_send_file("#bagan", "a.bin", many(100_000))
        self.network.settle()
        self.citra.posts("bagan@realm2", "after")
        self.assertEqual(self.ana.reads(), ["budi@realm2: file a.bin", "citra@realm3: after"])
        end.holding = set()
        self.network.settle()
        self.assertEqual(self.ana.fetches(self.code(who=self.ana)), many(100_000))

    def test_two_hops(self) -> None:
        """The third realm fetches a file from the home as soon as the home has it."""
        end = self.connection.transport_of(self.two)
        end.holding = {"File"}
        self.ana.begins_to_send_file("#bagan@realm2", "a.bin", many(100_000))
        self.network.advance(20)
        self.assertEqual(self.citra.reads(), ["ana@realm1: file a.bin"])
        self.assertEqual(self.citra.files(), [])
        end.holding = set()
        self.network.settle()
        self.assertEqual(self.citra.fetches(self.code(who=self.citra)), many(100_000))

    def test_lost_at_the_home(self) -> None:
        """A file that the home has not got is lost in the third realm, too."""
        self.connection.transport_of(self.two).holding = {"File"}
        self.ana.begins_to_send_file("#bagan@realm2", "a.bin", many(100_000))
        self.network.settle()
        for path in self.stored(self.one):
            path.unlink()
        self.connection.transport_of(self.two).holding = set()
        self.network.settle()
        for person, group in ((self.citra, "bagan@realm2"), (self.ana, "bagan@realm2")):
            shown = person.does(ask.ShowHistory(Place(group=parse_address(group)), 9)).items
            self.assertEqual([each.file.state for each in shown if each.file], ["lost"])
        self.assertIn("the group bagan@realm2 has not arrived", self.ana.reads()[0])

    def test_non_member_loses_it(self) -> None:
        """Somebody who is no member is told, although the message is not kept here."""
        agus = self.one.person("agus")
        end = self.connection.transport_of(self.one)
        end.holding = {"File answer"}
        agus.begins_to_send_file("#bagan@realm2", "a.bin", many(500_000))
        self.network.settle()
        self.assertEqual(rows(self.one, posted_files), 1)
        for path in self.stored(self.one):
            path.unlink()
        end.holding = set()
        self.network.settle()
        self.assertIn("the group bagan@realm2 has not arrived", agus.reads()[0])
        self.assertEqual(rows(self.one, posted_files), 0)


def rows(server: Server, table: Any) -> int:
    """How many rows a table has."""
    count = sa.select(sa.func.count()).select_from(table)
    return int(server.realm.database.now(lambda connection: connection.scalar(count)))
