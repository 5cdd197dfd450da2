"""Files of a realm that does with them what it likes: their bytes are made up by the test."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred, fail, maybeDeferred

from chatd.base import errors
from chatd.base.attachments import Attachment
from chatd.base.events import FileChange
from chatd.base.names import Place, parse_address
from chatd.commands import values as ask
from chatd.federation import file_arrivals as module
from chatd.federation.file_arrivals import PIECE
from chatd.federation.parcel_fields import FileNote
from chatd.federation.parcels import Direct, DirectDeletion, FileLoss, Ref, decode
from chatd.store import arrivals as store
from chatd.store import content
from chatd.store.schema import arrivals
from tests.support.network import NetworkTestCase
from tests.unit.federation.test_realm_files import many, rows

DATA = many(100_000)
HOUR = 3600
Asked = tuple[str, int, int, int]


class StrangerTestCase(NetworkTestCase):
    """realm1 with ana. realm2, which is not there, answers what the test says."""

    settings: dict[str, Any] = {}

    def setUp(self) -> None:
        super().setUp()
        self.one = self.network.server("realm1", **self.settings)
        self.one.knows("realm2")
        self.ana = self.one.person("ana")
        self.asked: list[Asked] = []
        self.unanswered: list[Deferred[bytes]] = []
        self.addCleanup(self.gives_up)
        self.answer: Callable[[int, int], Any] = lambda offset, size: DATA[offset : offset + size]
        self.number = 1 << 40
        self.links()

    def links(self) -> None:
        self.really = type(self.one.realm.directory).file.__get__(self.one.realm.directory)
        self.patch(self.one.realm.directory, "file", self.file)
        self.one.federation.arrivals.link_up("realm2")

    def silent(self, _offset: int, _size: int) -> Deferred[bytes]:
        """An answer that does not come."""
        self.unanswered.append(Deferred())
        return self.unanswered[-1]

    def gives_up(self) -> None:
        """What is not answered fails, as when a link is lost."""
        self.unlinks()
        for answer in self.unanswered:
            if not answer.called:
                answer.errback(errors.RealmDown(realm="realm2"))

    def unlinks(self) -> None:
        self.one.federation.arrivals.link_down("realm2")

    def file(self, realm: str, origin: str, number: int, offset: int, size: int) -> Deferred[bytes]:
        self.assertEqual(realm, "realm2")
        if size:
            self.asked.append((origin, number, offset, size))
        return maybeDeferred(self.answer, offset, size)

    def announces(self, data: bytes = DATA, size: int | None = None, name: str = "a.bin") -> None:
        """citra of realm2 sends ana a file."""
        self.number += 1
        digest = hashlib.sha256(data).hexdigest()
        note = FileNote(name, len(data) if size is None else size, digest, "abcdef", "a/b")
        parcel = Direct("citra", "ana", 1, None, note)
        (verdict,) = self.one.receives("realm2", (self.number, parcel))
        self.assertEqual(verdict.code, "")

    def states(self) -> list[str]:
        place = Place(user=parse_address("citra@realm2"))
        shown = self.ana.does(ask.ShowHistory(place, 99)).items
        return [each.file.arrival or each.file.state for each in shown if each.file is not None]

    def told(self) -> list[tuple[int, str]]:
        """What waits for realm2: the numbers of lost files, with the reasons."""
        waiting = self.network.result(self.one.federation.outbox.waiting("realm2", 0, 99))
        losses = [decode(each.parcel) for each in waiting]
        return [(each.number, each.reason) for each in losses if isinstance(each, FileLoss)]


class Arriving(StrangerTestCase):
    def test_arrives(self) -> None:
        """Its listeners are told, and `sync` reports it to those who were away."""
        self.unlinks()
        self.announces()
        cursor = self.ana.does(ask.SyncLog(1)).data
        self.assertEqual(self.states(), ["arriving"])
        heard: list[Any] = []
        self.patch(self.one.service.presence, "tell_followers", lambda *told: heard.append(told))
        self.links()
        self.network.settle()
        self.assertEqual(self.states(), ["here"])
        self.assertEqual(heard, [([self.ana.account.id], FileChange(1, 1, "here"), None)])
        synced = self.ana.does(ask.SyncLog(1, after=1, version=cursor["version"]))
        self.assertEqual(synced.data["files"], [{"seq": 1, "state": "here"}])
        self.assertEqual([each[:2] for each in self.asked], [("realm2", self.number)] * 4)
        self.assertEqual(self.told(), [])

    def test_many_messages_with_one_file(self) -> None:
        """The readers of a conversation are looked up once for all of them."""
        self.unlinks()
        for _ in range(5):
            self.announces()
        with mock.patch.object(store, "_readers", wraps=store._readers) as look:
            self.links()
            self.network.settle()
        self.assertEqual(self.states(), ["here"] * 5)
        self.assertEqual(look.call_count, 1)

    def test_media_type(self) -> None:
        """While it arrives, it has the type that its realm says; then that of its bytes."""
        self.unlinks()
        self.announces()
        self.assertEqual(self.mime(), "a/b")
        self.links()
        self.network.settle()
        self.assertEqual(self.mime(), "application/octet-stream")

    def mime(self) -> str:
        place = Place(user=parse_address("citra@realm2"))
        (message,) = self.ana.does(ask.ShowHistory(place, 9)).items
        return str(message.file.mime)

    def test_wrong_bytes(self) -> None:
        """They are never served; the file is lost, and nothing of it is left."""
        self.answer = lambda _offset, size: bytes(size)
        self.announces()
        self.network.settle()
        self.assertEqual(self.states(), ["file-damaged"])
        self.assertEqual(self.told(), [(self.number, "file-damaged")])
        self.nothing_left()
        (message,) = self.ana.inbox()
        assert message.file is not None
        with self.assertRaises(errors.FileLost):
            self.ana.fetches(message.file.code)
        self.assertEqual(self.ana.files(), [])

    def nothing_left(self) -> None:
        self.assertEqual(self.one.realm.uploads.parts, [])
        self.assertEqual(list((self.one.config.state / "uploads" / "incoming").iterdir()), [])

    def test_wrong_sizes(self) -> None:
        """More or fewer bytes than were asked for are not taken. It is asked again, more and more rarely."""
        for answer in (b"", b"x", bytes(2 * PIECE)):
            self.answer = lambda _offset, _size, answer=answer: answer  # type: ignore[misc]
            self.announces(name=f"{len(answer)}.bin", data=DATA + answer)
        self.network.advance(300)
        self.assertEqual(self.states(), ["arriving"] * 3)
        self.assertLess(len(self.asked), 3 * 11)

    def test_errors(self) -> None:
        """What means that the file will not come, and what that it may come later."""
        for error, state in (
            (errors.UnknownFile(name="x"), "file-gone"),
            (errors.FileLost(name="x", reason="y"), "file-gone"),
            (errors.FileMissing(name="x"), "file-missing"),
            (errors.FileDamaged(name="x"), "file-damaged"),
            (errors.FileArriving(name="x"), "arriving"),
            (errors.PeerFailed(realm="x"), "arriving"),
            (errors.StorageFailed(), "arriving"),
            (errors.RealmDown(realm="x"), "arriving"),
        ):
            self.answer = lambda _offset, _size, error=error: fail(error)  # type: ignore[misc]
            self.announces(name=f"{error.code}.bin")
            self.network.settle()
            self.assertEqual(self.states()[-1], state, error.code)

    def test_mistake(self) -> None:
        """An unexpected error is logged, and the file is tried again later."""
        self.answer = lambda _offset, _size: fail(ZeroDivisionError())
        self.announces()
        self.network.settle()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.answer = lambda offset, size: DATA[offset : offset + size]
        self.network.advance(5)
        self.assertEqual(self.states(), ["here"])

    def test_no_realm_hinders_others(self) -> None:
        """A realm that never answers keeps its own files waiting, not those of others."""
        self.answer = self.silent
        for number in range(10):
            self.announces(name=f"{number}.bin")
        self.network.settle()
        self.assertEqual(len(self.asked), module.MAX_ACTIVE)
        two = self.network.server("realm3")
        self.one.add(two)
        dewi = two.person("dewi")
        self.patch(self.one.realm.directory, "file", self.really)
        dewi.sends_file("ana@realm1", "b.bin", DATA)
        self.assertEqual([each.name for each in self.ana.files()], ["b.bin"])

    def test_folder_fails(self) -> None:
        with mock.patch.object(self.one.realm.uploads, "resume", side_effect=OSError("broken")):
            self.announces()
            self.network.settle()
        self.assertEqual(self.states(), ["arriving"])
        self.network.advance(5)
        self.assertEqual(self.states(), ["here"])

    def test_full_database(self) -> None:
        """A disk that is full when the file is complete: it is fetched again."""
        run = self.one.realm.database.run

        def failing(job: Any, *args: Any) -> Any:
            if job is store.arrived:
                return fail(errors.StorageFailed())
            return run(job, *args)

        self.patch(self.one.realm.database, "run", failing)
        self.announces()
        self.network.settle()
        self.assertEqual(self.states(), ["arriving"])
        self.patch(self.one.realm.database, "run", run)
        self.network.advance(5)
        self.assertEqual(self.states(), ["here"])
        (stored,) = [
            each for each in (self.one.config.state / "uploads").iterdir() if each.is_file()
        ]
        self.assertEqual(stored.read_bytes(), DATA)

    def test_full_database_when_it_is_lost(self) -> None:
        """Without room to note the loss, the file is asked for again, more and more rarely."""
        self.answer = lambda _offset, _size: fail(errors.UnknownFile(name="x"))
        with mock.patch.object(store, "lose", side_effect=errors.StorageFailed()):
            self.announces()
            self.network.advance(300)
        self.assertLess(len(self.asked), 12)
        self.assertEqual(self.states(), ["arriving"])
        self.network.advance(100)
        self.assertEqual(self.states(), ["file-gone"])

    def test_database_fails(self) -> None:
        """If the files to fetch can't be looked up, they are looked up a minute later."""
        with mock.patch.object(store, "arriving", side_effect=ZeroDivisionError()):
            self.announces()
            self.network.settle()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.states(), ["arriving"])
        self.network.advance(60)
        self.assertEqual(self.states(), ["here"])

    def test_deleted_while_it_is_paused(self) -> None:
        """Nothing is looked up for it any more."""
        self.answer = lambda _offset, _size: fail(errors.FileArriving(name="x"))
        self.announces()
        self.network.settle()
        parcel = DirectDeletion("citra", "ana", 2, Ref(True, self.number))
        self.one.receives("realm2", (self.number + 1, parcel))
        self.network.advance(10)
        with mock.patch.object(store, "arriving") as look:
            self.network.advance(100)
        look.assert_not_called()

    def test_deleted_while_it_is_announced_again(self) -> None:
        """The second message comes again, and its file is fetched anew."""
        self.announces()
        self.network.settle()
        whole = self.one.realm.uploads.is_whole

        async def deleting(file: Attachment) -> bool:
            found = await whole(file)
            await self.one.realm.database.run(content.erase, 1, 1, 1)
            return found

        with (
            mock.patch.object(self.one.realm.uploads, "is_whole", deleting),
            self.assertRaises(errors.StorageFailed),
        ):
            self.announces()
        self.assertEqual(self.states(), [])
        self.announces()
        self.network.settle()
        self.assertEqual(self.states(), ["here"])


class Expiring(StrangerTestCase):
    settings = {"expire": 3 * 24 * HOUR}

    def test_no_bytes_for_a_day(self) -> None:
        self.answer = lambda offset, size: DATA[:size] if not offset else fail(self.down)
        self.announces()
        self.network.settle()
        self.unlinks()
        self.later(23)
        self.assertEqual(self.states(), ["arriving"])
        self.later(2)
        self.assertEqual(self.states(), ["file-stalled"])
        self.assertEqual(self.told(), [(self.number, "file-stalled")])
        self.assertEqual(self.one.realm.uploads.parts, [])

    def later(self, hours: float) -> None:
        """That many hours later, files are given up that are overdue."""
        self.one.stepped += hours * HOUR
        expire = self.one.config.peers.expire * 1000
        self.network.result(self.one.federation.arrivals.expire(expire))
        self.network.settle()

    down = errors.RealmDown(realm="realm2")

    def test_never_in_time(self) -> None:
        """A realm that always says that the file will come, or sends a byte a day, keeps its room for as long
        as messages may wait."""
        self.answer = lambda _offset, _size: fail(errors.FileArriving(name="x"))
        self.announces()
        for _ in range(3):
            self.network.settle()
            self.later(23.5)
            self.one.federation.arrivals.ready("realm2")
        self.network.settle()
        self.assertEqual(self.states(), ["arriving"])
        self.later(2)
        self.assertEqual(self.states(), ["file-expired"])

    def test_while_it_arrives(self) -> None:
        """A transfer that is under way ends with the file."""
        self.answer = self.silent
        self.announces()
        self.network.settle()
        self.network.result(self.one.federation.arrivals.lose(1, "file-expired"))
        self.unanswered[0].callback(DATA[:PIECE])
        self.network.settle()
        self.assertEqual(len(self.asked), 1)
        self.assertEqual(self.states(), ["file-expired"])
        self.network.result(self.one.federation.arrivals.lose(1, "file-gone"))
        self.assertEqual(self.states(), ["file-expired"])

    def test_forgotten_realm(self) -> None:
        self.answer = lambda _offset, _size: fail(errors.FileArriving(name="x"))
        for number in range(3):
            self.announces(name=f"{number}.bin")
        self.network.settle()
        self.network.result(self.one.federation.arrivals.forget("realm2"))
        self.assertEqual(self.states(), ["file-gone"] * 3)

    def test_deleted_after_it_was_lost(self) -> None:
        self.answer = lambda _offset, _size: fail(errors.UnknownFile(name="x"))
        self.announces()
        self.network.settle()
        self.assertEqual(rows(self.one, arrivals), 1)
        parcel = DirectDeletion("citra", "ana", 2, Ref(True, self.number))
        self.one.receives("realm2", (self.number + 1, parcel))
        self.assertEqual(rows(self.one, arrivals), 0)

    def test_announced_again_after_it_was_lost(self) -> None:
        self.answer = lambda _offset, _size: fail(errors.UnknownFile(name="x"))
        self.announces()
        self.network.settle()
        self.answer = lambda offset, size: DATA[offset : offset + size]
        self.announces()
        self.network.settle()
        self.assertEqual(self.states(), ["file-gone", "here"])


class LostThere(StrangerTestCase):
    """realm2 says that it has not got files."""

    def says_lost(self, number: int, reason: str = "file-stalled") -> None:
        self.number += 1
        (verdict,) = self.one.receives("realm2", (self.number, FileLoss(number, reason)))
        self.assertEqual(verdict.code, "")

    def test_what_it_may_say(self) -> None:
        """Only of files that were sent to it, and once of each."""
        self.ana.begins_to_send_file("citra@realm2", "a.bin", DATA)
        self.network.advance(6)
        self.ana.sends("citra@realm2", "halo")
        waiting = self.network.result(self.one.federation.outbox.waiting("realm2", 0, 9))
        file, text = (each.id for each in waiting)
        for number in (text, 0, 1, 1 << 62):
            self.says_lost(number)
        self.assertEqual(self.ana.reads(), [])
        self.one.knows("realm3")
        self.one.receives("realm3", (1, FileLoss(file, "file-gone")))
        self.assertEqual(self.ana.reads(), [])
        self.says_lost(file, "reason-of-later-versions")
        self.says_lost(file)
        (notice,) = self.ana.reads()
        self.assertIn("a.bin to citra@realm2 has not arrived: the realm that sent it", notice)
        self.assertEqual(self.states(), ["file-gone"])
        self.assertEqual(self.ana.fetches(self.ana.files()[0].code), DATA)
