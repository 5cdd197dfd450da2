"""Display names and pictures cross to other realms: on demand, kept, and asked for again after a change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from chatd.base.errors import NotLoggedIn, NotMember, UnknownPicture
from chatd.base.events import ProfileChange
from chatd.base.names import Place, parse_address
from chatd.commands import values as ask
from chatd.federation.amp.link import OtherSide
from chatd.federation.capabilities import PROFILES
from chatd.media.process import PictureRefused, ScaledPicture
from chatd.service import downloads, realm_turns, remote_profiles
from chatd.service.remote import RemoteProfile
from chatd.store import avatars as store
from tests.support.network import LinkedTestCase, Server

FIRST, SECOND = b"first picture", b"second picture"


class InlineScaler:
    """Returns every picture as it is, except bad ones."""

    def scale(self, _owner: Any, open_: Callable[[], Any], _form: Any) -> Deferred[ScaledPicture]:
        async def read() -> ScaledPicture:
            file = await open_()
            body = await file.read(file.size)
            if body == b"bad":
                raise PictureRefused("it is damaged")
            return ScaledPicture(1, 1, body)

        return Deferred.fromCoroutine(read())


class Profiles(LinkedTestCase):
    """ana lives in realm1, budi in realm2."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(remote_profiles, "FRESH", 100.0)
        for server in (self.one, self.two):
            server.service.avatars._scaler = InlineScaler()
        self.two.add(self.one)
        self.ana.sends("budi@realm2", "halo")

    def sets(self, body: bytes | None) -> None:
        """Budi's picture is set, or removed."""
        service = self.two.service
        account = self.budi.client.account
        if body is None:
            self.network.result(service.avatars.keep_own(account, None, None), 1)
            return
        self.network.result(service.avatars.keep_own(account, None, store.new_avatar(body)), 1)
        self.network.settle()

    def listed(self) -> tuple[str, str | None]:
        """The name and the picture of budi in ana's list of conversations."""
        (found,) = self.ana.does(ask.ListConversations()).items
        self.network.settle()
        return found.name, found.picture

    def news(self) -> list[ProfileChange]:
        return [each for each in self.ana.events if isinstance(each, ProfileChange)]

    def picture(self, server: Server, user: str) -> bytes:
        found = self.network.result(server.service.profiles.find(parse_address(user)), 60)
        return bytes(found.body)

    def questions(self) -> int:
        end = self.connection.transport_of(self.one)
        return sum(box.get(b"_command") == b"Profile" for box in end.boxes)

    def test_on_demand(self) -> None:
        """The list is not delayed. It shows name and picture when they are known, and listeners hear it."""
        self.budi.does(ask.ChangeProfile(name="Budi Santoso"))
        self.sets(FIRST)
        self.ana.does(ask.SetListening(True, True))
        self.assertEqual(self.listed(), ("budi@realm2", None))
        path = f"/pictures/@budi@realm2?v={store.new_avatar(FIRST).hash}"
        self.assertEqual(self.listed(), ("Budi Santoso", path))
        (event,) = self.news()
        self.assertEqual(
            (event.who, event.name, event.picture), ("budi@realm2", "Budi Santoso", path)
        )
        self.assertEqual(self.picture(self.one, "budi@realm2"), FIRST)
        self.assertEqual(self.picture(self.two, "budi"), FIRST)

    def test_in_lists(self) -> None:
        """Contacts and members have the names and pictures of people of other realms, as far as known."""
        self.budi.does(ask.ChangeProfile(name="Budi Santoso"))
        self.sets(FIRST)
        self.ana.creates("bola")
        self.budi.does(ask.JoinGroup(parse_address("bola@realm1")))
        self.ana.does(ask.AddContact(parse_address("budi@realm2")))
        path = f"/pictures/@budi@realm2?v={store.new_avatar(FIRST).hash}"
        lists = (ask.ListContacts(), ask.ListMembers(parse_address("bola")))
        expected: tuple[str, str | None] = ("", None)
        for asked in (*lists, lists[0]):
            found = {each.username: each for each in self.ana.does(asked).items}
            there = found["budi@realm2"]
            self.assertEqual((there.name, there.picture), expected)
            self.network.settle()
            expected = "Budi Santoso", path
        found = {each.username: each for each in self.ana.does(lists[1]).items}
        self.assertEqual((found["ana"].name, found["ana"].picture), ("", None))

    def test_by_command(self) -> None:
        """A person sets the picture, and another one elsewhere fetches it."""
        place = Place(user=parse_address("budi"))
        receive = self.budi.does(ask.SetPicture(place, "me.png", len(FIRST)))
        receive.upload.write(FIRST)
        reply = self.network.result(receive.finish(), 60)
        path = f"/pictures/@budi?v={store.new_avatar(FIRST).hash}"
        self.assertEqual(reply.fields["picture"], path)
        self.assertEqual(self.budi.does(ask.ShowAccount()).fields["picture"], path)
        there = Place(user=parse_address("budi@realm2"))
        give = self.ana.does(ask.GetPicture(there))
        self.assertEqual(self.network.result(give.download.file.read(1000)), FIRST)
        self.assertEqual(give.reply.fields["name"], "budi@realm2.webp")
        ended = self.budi.does(ask.SetPicture(place, "me.png", 5))
        self.budi.client.detach()
        with self.assertRaises(NotLoggedIn):
            self.network.result(ended.finish())

    def test_complete_when_the_connection_ends(self) -> None:
        """The picture is set, as a file would be sent."""
        receive = self.budi.does(
            ask.SetPicture(Place(user=parse_address("budi")), "me.png", len(FIRST))
        )
        receive.upload.write(FIRST)
        self.budi.client.connection.leave(clean=False)
        self.network.result(receive.finish(), 60)
        self.assertEqual(self.picture(self.two, "budi"), FIRST)
        self.assertEqual(self.two.service.avatars._counts.files, {})

    def test_deleted_file(self) -> None:
        """A file is deleted where it went, with all its messages. What can't be deleted is the reason of the
        reply."""
        self.patch(downloads, "MAX_LISTED", 1)
        self.ana.creates("bola")
        sent = self.ana.sends_file("budi@realm2", "a.txt", b"halo").data
        group = Place(group=parse_address("bola"))
        self.ana.does(ask.ForwardMessage(sent["conversation"], sent["seq"], group))
        (code,) = [each.code for each in self.ana.files()]
        self.network.settle()
        self.assertEqual(len(self.budi.files()), 1)
        reply = self.ana.does(ask.DeleteFile(code))
        self.network.settle()
        self.assertEqual((reply.data["messages"], self.ana.files(), self.budi.files()), (2, [], []))
        self.ana.sends_file("#bola", "b.txt", b"halo")
        (code,) = [each.code for each in self.ana.files()]
        self.patch(self.one.service.changes, "change", lambda *_: fail(NotMember(group="bola")))
        with self.assertRaises(NotMember):
            self.ana.does(ask.DeleteFile(code))

    def test_changes(self) -> None:
        """A change is announced. The picture crosses only if it is another one."""
        self.sets(FIRST)
        self.listed()
        asked = self.questions()
        self.network.advance(remote_profiles.CHANGED)
        self.budi.does(ask.ChangeProfile(name="Budi"))
        self.network.settle()
        self.assertEqual(self.listed()[0], "Budi")
        self.network.advance(remote_profiles.CHANGED)
        self.sets(SECOND)
        self.assertEqual(self.picture(self.one, "budi@realm2"), SECOND)
        self.network.advance(remote_profiles.CHANGED)
        self.sets(None)
        self.network.settle()
        self.assertEqual(self.listed(), ("Budi", None))
        self.assertEqual(self.questions() - asked, 3)
        for _ in range(20):  # a realm that says so all the time is not asked all the time
            self.sets(FIRST)
        self.assertEqual(self.questions() - asked, 3)

    def test_announced_once(self) -> None:
        """However often a profile changes, and whether or not the lookup succeeds."""
        profiles, looked = self.two.service.profiles, []
        waiting: list[Deferred[Any]] = []

        def read(*_args: Any) -> Deferred[Any]:
            looked.append(1)
            waiting.append(Deferred())
            return waiting[-1]

        self.patch(profiles._database, "read", read)
        for _ in range(20):
            profiles.changed_here(self.budi.client.account)
        self.assertEqual(len(looked), 1)
        waiting.pop().errback(ValueError("x"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        profiles.changed_here(self.budi.client.account)
        self.assertEqual(len(looked), 2)
        waiting.pop().callback([])
        self.assertEqual(profiles._changed, {})

    def test_slow_realm(self) -> None:
        """Lists do not pile up questions about a person who is being asked about."""
        profiles = self.one.service.profiles
        asked: list[Deferred[Any]] = []

        def never(*_args: Any) -> Deferred[Any]:
            asked.append(Deferred())
            return asked[-1]

        self.patch(profiles._realms, "profile", never)
        for _ in range(3):
            profiles.soon(["budi@realm2", "citra@realm2"])
            self.network.advance(remote_profiles.AGAIN)
        self.assertEqual(len(asked), 2)
        waiting = [len(each) for each in profiles._asking.values()]
        self.assertEqual(waiting, [0, 0])
        for each in asked:
            each.callback(RemoteProfile("", ""))

    def test_picture_of_a_slow_realm(self) -> None:
        """A kept picture is given at once. One that is not known is waited for, but not long."""
        self.sets(FIRST)
        self.listed()
        self.network.advance(remote_profiles.FRESH)
        answers: list[Deferred[Any]] = []

        def slow(*_args: Any) -> Deferred[Any]:
            answers.append(Deferred())
            return answers[-1]

        profiles = self.one.service.profiles
        self.patch(profiles._realms, "profile", slow)
        kept = Deferred.fromCoroutine(profiles.find(parse_address("budi@realm2")))
        self.network.settle()
        self.assertEqual(self.successResultOf(kept).body, FIRST)
        self.assertEqual(len(answers), 1)
        unknown = Deferred.fromCoroutine(profiles.find(parse_address("citra@realm2")))
        self.network.settle()
        self.assertNoResult(unknown)
        self.network.advance(remote_profiles.PATIENCE)
        self.failureResultOf(unknown, UnknownPicture)
        for each in answers:
            each.callback(RemoteProfile("", ""))
        self.network.settle()
        self.assertEqual(profiles._asking, {})

    def test_many_questions_to_a_slow_realm(self) -> None:
        """Few are under way, some wait, and the others are given up."""
        answers: list[Deferred[Any]] = []

        def slow(*_args: Any) -> Deferred[Any]:
            answers.append(Deferred())
            return answers[-1]

        profiles = self.one.service.profiles
        self.patch(realm_turns, "MAX_WAITING", 3)
        self.patch(profiles._realms, "profile", slow)
        for at in range(20):
            profiles.soon([f"u{at}@realm2"])
        self.network.settle()
        self.assertEqual(len(answers), realm_turns.MAX_ASKED)
        self.assertEqual(len(profiles._asking), realm_turns.MAX_ASKED + 3)
        for each in answers:  # it grows meanwhile
            each.callback(RemoteProfile("", ""))
            self.network.settle()
        self.assertEqual(len(answers), realm_turns.MAX_ASKED + 3)
        self.assertEqual((profiles._asking, len(profiles._turns)), ({}, 0))

    def test_changed_just_after_the_question(self) -> None:
        """The answer is older, so the next list asks again, but not at once."""
        self.assertEqual(self.listed()[0], "budi@realm2")
        for name in ("Budi Santoso", "Budi S."):
            self.budi.does(ask.ChangeProfile(name=name))
            self.network.settle()
        self.listed()
        self.assertEqual(self.questions(), 1)
        self.network.advance(remote_profiles.CHANGED)
        self.listed()
        self.assertEqual((self.questions(), self.listed()[0]), (2, "Budi S."))

    def test_changed_during_the_question(self) -> None:
        """The next list asks again. However often the realm says so, no questions pile up."""
        profiles = self.one.service.profiles
        answers: list[Deferred[Any]] = []

        def slow(*_args: Any) -> Deferred[Any]:
            answers.append(Deferred())
            return answers[-1]

        self.patch(profiles._realms, "profile", slow)
        profiles.soon(["budi@realm2"])
        self.network.advance(remote_profiles.CHANGED + 1)
        for _ in range(3):
            profiles.changed_there("realm2", "budi")
        self.assertEqual([len(each) for each in profiles._asking.values()], [0])
        answers[0].callback(RemoteProfile("Budi", ""))
        self.network.settle()
        profiles.soon(["budi@realm2"])
        self.network.settle()
        self.assertEqual(len(answers), 2)
        answers[1].callback(RemoteProfile("Budi", ""))

    def test_announcing_fails(self) -> None:
        """A failure of one link does not end the announcements."""
        profiles = self.two.service.profiles
        self.patch(profiles._realms, "profile_changed", lambda *_: 1 / 0)
        profiles.changed_here(self.budi.client.account)
        self.network.settle()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(profiles._changed, {})

    def test_rarely(self) -> None:
        for _ in range(3):
            self.listed()
        self.assertEqual(self.questions(), 1)
        self.network.advance(remote_profiles.FRESH)
        self.listed()
        self.assertEqual(self.questions(), 2)

    def test_without_a_link(self) -> None:
        """The known name and picture stay, and the realm is asked again later."""
        self.sets(FIRST)
        self.listed()
        self.network.advance(remote_profiles.FRESH)
        self.part()
        self.assertEqual(self.picture(self.one, "budi@realm2"), FIRST)
        self.meet()
        self.network.advance(remote_profiles.AGAIN)
        self.listed()
        self.assertEqual(self.questions(), 1)

    def test_hostile_answers(self) -> None:
        """Answers are checked for hidden characters, and for pictures and hashes that are none."""
        for name, picture, body, expected in (
            ("Leo\u202emessi", "a" * 32, FIRST, "Leomessi"),
            ("\x07", "b" * 32, b"bad", "budi@realm2"),
            ("x" * 5000, "c" * 32, b"", "x" * 128),
            ("Budi", "../../etc", FIRST, "x" * 128),
            ("Budi", "d" * 32, bytes(60_000), "Budi"),
        ):
            answer = RemoteProfile(name, picture, body)
            self.patch(
                self.two.realm.federation.questions,
                "profile",
                lambda *_, found=answer: succeed(found),
            )
            self.network.advance(remote_profiles.FRESH)
            self.listed()
            self.assertEqual(self.listed()[0], expected)

    def test_unknown(self) -> None:
        for user, code in (
            ("nobody@realm2", "unknown-picture"),
            ("budi@realm2", "unknown-picture"),
            ("budi@realm9", "unknown-realm"),
            ("nobody", "unknown-user"),
        ):
            with self.assertRaises(Exception) as caught:
                self.picture(self.one, user)
            self.assertEqual(caught.exception.code, code)

    def test_strangers(self) -> None:
        """A realm that was not added is told only of people who have something to do with it."""
        self.patch(self.two.realm.directory, "is_welcome", lambda _realm: False)
        self.sets(FIRST)
        self.assertEqual(self.picture(self.one, "budi@realm2"), FIRST)
        with self.assertRaises(Exception):  # noqa: B017
            self.picture(self.one, "citra@realm2")
        asked = self.questions()
        self.network.advance(remote_profiles.CHANGED)
        self.sets(SECOND)
        self.assertEqual(self.questions(), asked, "nothing is announced to it")

    def test_older_realms(self) -> None:
        self.connection.transport_of(self.one).protocol.other = OtherSide(
            lacks=frozenset({PROFILES})
        )
        self.sets(FIRST)
        self.listed()
        self.assertEqual(self.questions(), 0)

    def test_too_many(self) -> None:
        """The people of a realm about whom it was not asked for the longest time make room."""
        self.patch(store, "MAX_REMOTE", 2)
        database = self.one.service.database
        for at in range(4):
            whose = (f"@u{at}@realm2", "realm2")
            profile = store.KnownProfile(None, f"U {at}")
            self.network.result(database.run(store.keep_remote, whose, profile, None, at), 1)
        known = self.network.result(
            database.read(store.all_known, [f"@u{at}@realm2" for at in range(4)]), 1
        )
        self.assertEqual(sorted(known), ["@u2@realm2", "@u3@realm2"])
