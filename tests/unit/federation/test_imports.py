"""Archives of groups with members of several realms: what their signatures prove in another realm."""

from __future__ import annotations

import inspect
import io
import zipfile
from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from chatd.base.account_archive import MESSAGES_BEGIN, ArchivedMessage
from chatd.base.model import Message
from chatd.base.names import Place, parse_group, parse_imported
from chatd.commands import values as ask
from chatd.service import import_run
from chatd.store.imports import DONE
from tests.support.network import NetworkTestCase, Person, outcome

Change = Callable[[Any], ArchivedMessage]


class SignedTestCase(NetworkTestCase):
    """bagan@realm1 has ana of realm1 and budi of realm2, who moves to realm3."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two, self.three = (
            self.network.server(name) for name in ("realm1", "realm2", "realm3")
        )
        for near, far in ((self.one, self.two), (self.one, self.three), (self.two, self.three)):
            near.add(far)
        self.network.settle()
        self.ana, self.budi = self.one.person("ana"), self.two.person("budi")
        self.moved = self.three.person("bud")
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        self.ana.posts("bagan", "satu")
        self.budi.posts("bagan@realm1", "dua")
        self.ana.posts("bagan", "tiga")
        self.network.settle()
        place = Place(None, parse_group("bagan@realm1"))
        mine = self.budi.does(ask.ShowHistory(place, 500)).items
        own = next(each.seq for each in mine if each.text == "dua")
        last = next(each.seq for each in mine if each.text == "tiga")
        self.budi.does(ask.EditMessage(place, own, "dua setengah"))
        self.budi.does(ask.ReactToMessage(place, last, "👍"))
        self.budi.does(ask.ReplyToMessage(place, own, "empat"))
        self.network.settle()

    def done(self, work: Any) -> Any:
        """The result of work that ends when everything has settled."""
        running = Deferred.fromCoroutine(work) if inspect.iscoroutine(work) else work
        self.network.settle()
        [result] = outcome(running)
        if isinstance(result, Exception):
            raise result
        return result

    def export(self, person: Person) -> bytes:
        """The archive of a person."""
        exports = person.client.service.exports
        download = self.done(exports.make(person.account, lambda: False))
        data: bytes = self.done(download.file.read(1 << 20))
        self.done(download.file.close())
        return data

    def take(self, person: Person, data: bytes) -> None:
        """Import an archive."""
        imports = person.client.service.imports
        upload = imports.begin(person.account, len(data))
        upload.write(data)
        self.done(upload.finish())
        self.network.settle()
        ended = self.done(imports.state(person.account))
        self.assertEqual((ended.refused, ended.state), (None, DONE))

    def log(self, person: Person, name: str = "~bagan@realm1") -> dict[str | None, Message]:
        """The messages that were imported, by their texts."""
        place = parse_imported(name)
        assert place is not None
        items: Any = person.does(ask.ShowHistory(place, 500)).items
        return {each.text: each for each in items}

    def altered(self, data: bytes, change: Change, **head: Any) -> bytes:
        """The archive with other messages, and with another head of each conversation."""
        file = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w") as new:
            for name in old.namelist():
                body = old.read(name)
                if name.startswith("conversations/"):
                    first, *lines, end = body.split(b"\n")
                    found = msgspec.json.decode(first.removesuffix(MESSAGES_BEGIN) + b"}")
                    first = msgspec.json.encode({**found, **head})[:-1] + MESSAGES_BEGIN
                    messages = [
                        msgspec.json.decode(each.rstrip(b","), type=ArchivedMessage)
                        for each in lines
                    ]
                    joined = b",\n".join(msgspec.json.encode(change(each)) for each in messages)
                    body = b"\n".join((first, joined, end))
                new.writestr(name, body)
        return file.getvalue()


class Signed(SignedTestCase):
    def test_verified(self) -> None:
        """What the authors' realms have signed has no mark, edits too. Reactions are not signed as a
        whole."""
        self.patch(import_run, "MAX_AT_ONCE", 1)  # other work has its turn after each of them
        data = self.export(self.budi)
        self.take(self.moved, data)
        log = self.log(self.moved)
        senders = {text: (each.sender, each.imported) for text, each in log.items()}
        expected = {
            "satu": ("ana@realm1", False),
            "dua setengah": ("budi@realm2", False),
            "tiga": ("ana@realm1", True),
            "empat": ("budi@realm2", False),
        }
        self.assertEqual(senders, expected)
        self.assertEqual(log["empat"].reply, log["dua setengah"].seq)
        # It stays verified from archive to archive.
        dewi = self.one.person("dewi")
        self.take(dewi, self.export(self.moved))
        again = self.log(dewi, "~bagan")
        found = {text: each.imported for text, each in again.items()}
        self.assertEqual(found, {text: marked for text, (_, marked) in expected.items()})
        self.assertEqual(again["satu"].sender, "ana")
        self.take(dewi, data)
        self.assertEqual(len(self.log(dewi, "~bagan")), 4)

    def test_member(self) -> None:
        """A member there gets nothing twice, and the group itself is as it was."""
        self.moved.joins("bagan@realm1")
        self.network.settle()
        place = Place(None, parse_group("bagan@realm1"))
        before = self.moved.does(ask.ShowHistory(place, 500)).items
        self.take(self.moved, self.export(self.budi))
        self.assertEqual(self.moved.does(ask.ShowHistory(place, 500)).items, before)
        ended = self.done(self.moved.client.service.imports.state(self.moved.account))
        self.assertEqual((ended.progress.messages, ended.progress.known), (0, 4))

    def test_forged(self) -> None:
        """Whatever is altered, the message is marked, or it is what was signed."""
        replace = msgspec.structs.replace
        data = self.export(self.budi)
        cases: dict[str, Change] = {
            "text": lambda each: replace(each, text="palsu"),
            "edited": lambda each: replace(each, edited="2026-01-02T03:04:05Z"),
            "number": lambda each: replace(each, origin=replace(each.origin, number=7)),
            "forwarded": lambda each: replace(each, forwarded="ana@realm1"),
            "proof": lambda each: replace(each, signed=replace(each.signed, proof=b"\x90")),
            "salt": lambda each: replace(each, signed=replace(each.signed, salt=b"")),
            "statement": lambda each: replace(each, signed=replace(each.signed, statement=b"x")),
            "opaque": lambda each: replace(each, opaque={"type": "a/b", "body": b"eA=="}),
        }
        for number, (what, change) in enumerate(cases.items()):
            with self.subTest(what):
                person = self.three.person(f"p{number}")
                self.take(person, self.altered(data, change))
                place = parse_imported("~bagan@realm1")
                assert place is not None
                found: Any = person.does(ask.ShowHistory(place, 500)).items
                marked = [
                    each.imported for each in found if what != "edited" or each.text == "satu"
                ]
                self.assertEqual(set(marked), {True})

    def test_moved_entries(self) -> None:
        """A signed message does not count in another group, or under another name. Its author and its time
        are those that are signed."""
        data = self.export(self.budi)
        heads: tuple[dict[str, Any], ...] = ({"home_id": 77}, {"home": "realm2"})
        for number, head in enumerate(heads):
            person = self.three.person(f"p{number}")
            self.take(person, self.altered(data, lambda each: each, **head))
            self.assertEqual({each.imported for each in self.log(person).values()}, {True})
        person = self.three.person("p9")
        replace = msgspec.structs.replace
        other = self.altered(data, lambda each: replace(each, sender="dewi@realm3", at="x"))
        self.take(person, other)
        first = self.log(person)["satu"]
        self.assertEqual((first.sender, first.imported), ("ana@realm1", False))
        self.assertGreater(first.at, 0)


class MovedGroup(SignedTestCase):
    """The group moves to realm2, where budi writes once more. eka of realm3 is a member, so realm3 knows."""

    def setUp(self) -> None:
        super().setUp()
        self.four = self.network.server("realm4")
        for near in (self.one, self.two):
            near.add(self.four)
        self.eka = self.three.person("eka")
        self.eka.joins("bagan@realm1")
        self.network.settle()
        self.before = self.export(self.budi)
        self.ana.does(ask.PromoteMember(parse_group("bagan"), parse_group("budi@realm2")))
        self.network.settle()
        for person, group in ((self.ana, "bagan"), (self.budi, "bagan@realm1")):
            person.does(ask.MoveGroup(parse_group(group), "realm2"))
        self.network.settle()
        self.budi.posts("bagan", "lima")
        self.network.settle()
        self.after = self.export(self.budi)

    def marks(self, person: Person, name: str) -> dict[str | None, bool]:
        return {text: each.imported for text, each in self.log(person, name).items()}

    def test_known(self) -> None:
        """A realm that knows the group verifies what was signed for its former home, too."""
        self.take(self.moved, self.after)
        expected = {"satu": False, "dua setengah": False, "tiga": True, "empat": False}
        self.assertEqual(self.marks(self.moved, "~bagan@realm2"), {**expected, "lima": False})
        other = self.three.person("dewi")
        self.take(other, self.before)
        self.assertEqual(self.marks(other, "~bagan@realm1"), expected)

    def test_unknown(self) -> None:
        """An archive can't prove that a group has moved."""
        person = self.four.person("fajar")
        self.take(person, self.after)
        marks = self.marks(person, "~bagan@realm2")
        self.assertEqual({text for text, marked in marks.items() if not marked}, {"lima"})

    def test_one_place(self) -> None:
        """Archives from before and after the move are of one group, and bring each message once."""
        self.take(self.moved, self.before)
        self.take(self.moved, self.after)
        log = self.log(self.moved)
        self.assertEqual(list(log), ["satu", "dua setengah", "tiga", "empat", "lima"])
        self.assertEqual(len({each.conversation for each in log.values()}), 1)

    def test_member(self) -> None:
        """A member gets nothing twice from an archive that was made before the move."""
        self.take(self.eka, self.before)
        ended = self.done(self.three.service.imports.state(self.eka.account))
        self.assertEqual((ended.progress.messages, ended.progress.known), (0, 4))
