"""Files between realms: their messages go at once, and their bytes are fetched."""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.errors import ChatError, UnknownUser
from chatd.base.names import Place, parse_address
from chatd.commands import values as ask
from chatd.federation import file_arrivals as module
from chatd.federation.file_arrivals import PIECE
from chatd.store.schema import arrivals, attachments
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


def rows(server: Server, table: Any) -> int:
    """How many rows a table has."""
    count = sa.select(sa.func.count()).select_from(table)
    return int(server.realm.database.now(lambda connection: connection.scalar(count)))


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
