"""Pictures of groups cross to realms with members: the hash with the log, the picture on demand."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed

from chatd.base.errors import NotMember, RealmDown, UnknownGroup, UnknownPicture
from chatd.base.events import GroupChange
from chatd.base.model import Group
from chatd.base.names import Place, parse_address
from chatd.base.replies import ConversationInfo
from chatd.commands import values as ask
from chatd.federation.amp.link import OtherSide
from chatd.federation.capabilities import PROFILES
from chatd.service.remote import RemotePicture
from chatd.store import avatars as store
from chatd.store.roster import Roster
from tests.support.network import Person, Server
from tests.unit.federation.test_profiles import FIRST, SECOND, InlineScaler
from tests.unit.federation.test_realm_groups import GroupTestCase

THERE = parse_address("bagan@realm1")
HASH = store.new_avatar(FIRST).hash


class GroupPicturesTestCase(GroupTestCase):
    """budi of realm2 is a member of bagan of realm1, which has a picture. bela of realm2 is not."""

    def setUp(self) -> None:
        super().setUp()
        for server in (self.one, self.two, self.three):
            server.service.avatars._scaler = InlineScaler()
        self.sets(FIRST)
        self.budi.joins("bagan@realm1")
        self.network.settle()
        self.link = self.network.connection(self.one, self.two)

    def group(self, server: Server, name: str) -> Group:
        found: Roster = self.network.result(server.service.rosters.find(parse_address(name)), 60)
        return found.group

    def sets(self, body: bytes | None) -> None:
        """The picture of bagan is set, or removed."""
        pictures, account = self.one.service.pictures, self.ana.client.account
        group = self.group(self.one, "bagan")
        avatar = None if body is None else store.new_avatar(body)
        self.network.result(pictures._keep_of_group(account, group, None, avatar), 60)
        self.network.settle()

    def get(self, who: Person, group: str = "bagan@realm1") -> bytes:
        give = who.does(ask.GetPicture(Place(group=parse_address(group))))
        return bytes(self.network.result(give.download.file.read(1 << 20)))

    def listed(self, who: Person) -> str | None:
        found: ConversationInfo
        (found,) = who.does(ask.ListConversations()).items
        return found.picture

    def questions(self) -> int:
        end = self.link.transport_of(self.two)
        return sum(box.get(b"_command") == b"GroupPicture" for box in end.boxes)

    def test_on_demand(self) -> None:
        """Members know at once that there is a picture. It crosses once, when somebody wants to see it."""
        path = f"/pictures/%23bagan@realm1?v={HASH}"
        self.assertEqual((self.listed(self.budi), self.questions()), (path, 0))
        self.assertEqual([self.get(self.budi), self.get(self.budi)], [FIRST, FIRST])
        self.assertEqual(self.questions(), 1)

    def test_change(self) -> None:
        """The entry of the log tells listeners of another picture, and of none."""
        self.get(self.budi)
        self.budi.does(ask.SetListening(True, True))
        self.sets(SECOND)
        self.assertEqual(self.get(self.budi), SECOND)
        self.sets(None)
        with self.assertRaises(UnknownPicture):
            self.get(self.budi)
        self.assertIsNone(self.listed(self.budi))
        told = [each.fields for each in self.budi.events if isinstance(each, GroupChange)]
        self.assertEqual(told, [{"picture": store.new_avatar(SECOND).hash}, {"picture": None}])
        self.assertEqual(self.questions(), 2)

    def test_outsiders(self) -> None:
        """The picture of a private group is for its members alone, even if this realm has it."""
        self.assertEqual(self.get(self.bela), FIRST, "the group is public")
        self.get(self.budi)
        self.ana.does(ask.SetGroup(parse_address("bagan"), visibility="private"))
        self.network.settle()
        for group in ("bagan@realm1", "takada@realm1"):
            with self.assertRaises(NotMember):
                self.get(self.bela, group)
        asked = self.three.realm.directory.group_picture("realm1", "citra", "bagan")
        with self.assertRaises(UnknownGroup):
            self.network.result(asked, 60)

    def test_without_the_home(self) -> None:
        """A kept picture is shown. One that is not kept can be fetched later."""
        self.part(self.two)
        with self.assertRaises(RealmDown):
            self.get(self.budi)
        self.meet()
        self.assertEqual(self.get(self.budi), FIRST)
        self.part(self.two)
        self.assertEqual(self.get(self.budi), FIRST)

    def test_many_want_it(self) -> None:
        """The home is asked once."""
        self.bela.joins("bagan@realm1")
        people = [self.budi, self.bela, self.budi]
        asked: list[Deferred[Any]] = [
            each.begins(ask.GetPicture(Place(group=THERE))) for each in people
        ]
        self.network.settle()
        for each in asked:
            self.assertEqual(self.successResultOf(each).download.file.size, len(FIRST))
        self.assertEqual(self.questions(), 1)

    def test_hostile_home(self) -> None:
        """Pictures and hashes that are none show no picture, and the home is not asked again and again."""
        questions = self.one.realm.federation.questions
        answers = (
            RemotePicture(HASH, b"bad"),
            RemotePicture(HASH, b""),
            RemotePicture("", FIRST),
        )
        for answer in answers:
            self.sets(SECOND)
            self.sets(FIRST)
            self.patch(questions, "group_picture", lambda *_, found=answer: succeed(found))
            for _ in range(2):
                with self.assertRaises(UnknownPicture):
                    self.get(self.budi)
        self.assertEqual(self.questions(), len(answers))
        database = self.two.service.database
        group = self.group(self.two, "bagan@realm1")
        for found in ("../../etc", 5, None, "a" * 33):
            self.network.result(database.run(store.note_of_mirror, group, found, 1), 1)
            self.assertIsNone(self.listed(self.budi))

    def test_older_homes(self) -> None:
        """A realm that tells no pictures is not asked."""
        self.link.transport_of(self.two).protocol.other = OtherSide(lacks=frozenset({PROFILES}))
        with self.assertRaises(UnknownPicture):
            self.get(self.budi)
        self.assertEqual(self.questions(), 0)

    def test_no_longer_known_there(self) -> None:
        """The home does not know the member any more."""

        async def unknown(*_: Any) -> RemotePicture:
            raise UnknownGroup(name="bagan")

        self.patch(self.one.realm.federation.questions, "group_picture", unknown)
        with self.assertRaises(UnknownPicture):
            self.get(self.budi)

    def test_too_many(self) -> None:
        """The pictures that were fetched the longest ago make room, but their hashes stay."""
        self.patch(store, "MAX_MIRRORED", 1)
        second = self.ana.creates("kedua")
        group = self.group(self.one, "kedua")
        kept = self.one.service.pictures._keep_of_group(
            self.ana.client.account, group, None, store.new_avatar(SECOND)
        )
        self.network.result(kept, 60)
        self.budi.joins(f"{second}@realm1")
        self.network.settle()
        self.get(self.budi)
        self.network.advance(1)
        self.assertEqual(self.get(self.budi, "kedua@realm1"), SECOND)
        database = self.two.service.database
        places = ["#bagan@realm1", "#kedua@realm1"]
        known = self.network.result(database.read(store.all_known, places), 1)
        self.assertEqual(sorted(known), places)
        held = [self.network.result(database.read(store.find, each), 1) for each in places]
        self.assertEqual([each is None for each in held], [True, False])
