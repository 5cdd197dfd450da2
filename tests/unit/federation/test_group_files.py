"""Files in groups with members of several realms."""

from __future__ import annotations

from chatd.base.errors import BadFileName
from chatd.base.names import Place, parse_address
from chatd.commands import values as ask
from chatd.federation import announced_files
from chatd.store.schema import posted_files
from tests.unit.federation.test_realm_files import FilesTestCase, many, rows


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

    def test_forwarded_by_a_member(self) -> None:
        """The file of somebody else in the home, which has it: neither realm waits for the other."""
        self.budi.sends_file("ana@realm1", "a.bin", many(100_000))
        self.network.settle()
        self.ana.does(
            ask.ForwardMessage(
                Place(parse_address("budi@realm2"), None),
                1,
                Place(None, parse_address("bagan@realm2")),
            )
        )
        self.network.settle()
        for person in (self.ana, self.citra):
            self.assertEqual(person.fetches(self.code(who=person)), many(100_000))
        self.assertEqual(len(self.stored(self.one)), 1)
        self.assertEqual(rows(self.one, posted_files), 0)

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

    def test_name_that_only_the_mirror_refuses(self) -> None:
        """The message is kept as the home has it, with another name of the file."""

        def only_file(name: str) -> str:
            if name != "file":
                raise BadFileName(name=name)
            return name

        self.patch(announced_files, "safe_name", only_file)
        self.budi.sends_file("#bagan", "a.bin", b"bytes")
        self.network.advance(5)
        self.assertEqual(self.ana.history(group="bagan@realm2"), ["budi@realm2: file file"])
        (file,) = self.ana.files()
        self.assertEqual(self.ana.fetches(file.code), b"bytes")

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
