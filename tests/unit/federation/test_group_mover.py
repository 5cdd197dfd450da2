"""How the new home of a group takes it over, when something is in the way."""

from __future__ import annotations

from typing import Any
from unittest import mock

import msgspec
import sqlalchemy as sa
from twisted.internet.defer import Deferred, fail, succeed

from chatd.base.errors import RealmQuota
from chatd.base.names import Place, parse_address
from chatd.commands import values as ask
from chatd.federation import handing_over
from chatd.federation.group_mover import AGAIN, PATIENCE
from chatd.federation.handed_groups import HandedGroup
from chatd.federation.package_fetcher import MAX_PACKAGE
from chatd.federation.parcels import KEPT, Moved, Post
from chatd.federation.past_pages import PastPage
from chatd.federation.signing.entries import SignedEntry
from chatd.federation.signing.statements import GroupAttributes, encode
from chatd.store import avatars, past_pages
from chatd.store.groups import find_group
from chatd.store.move_agreements import GroupMove, end_move, move_of, put_move
from chatd.store.schema import groups
from tests.support.network import Person
from tests.support.signing import START, SigningRealm
from tests.unit.federation.test_group_moves import MovingTestCase, log_of
from tests.unit.federation.test_hostile_home import BAGAN, HomeTestCase
from tests.unit.federation.test_profiles import FIRST, InlineScaler


class TakingOver(MovingTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.mover = self.two.federation.mover

    def has_moved(self) -> bool:
        return self.budi.mine() == ["bagan"]

    def later(self) -> None:
        self.assertFalse(self.has_moved())
        self.network.advance(AGAIN + 1)
        self.assertTrue(self.has_moved())

    def handovers(self, *answers: Any) -> None:
        """What realm2 is answered first when it asks for the package of the closed group."""
        links, left = self.mover._links, list(answers)
        handover = links.handover
        has_asked: list[Any] = []

        def answer(*asked: Any) -> Deferred[tuple[bytes, int]]:
            if has_asked and left:
                return succeed(left.pop(0))
            has_asked.append(asked)
            found: Deferred[tuple[bytes, int]] = handover(*asked)
            return found

        self.patch(links, "handover", answer)

    def fails_once(self, name: str, error: Exception) -> None:
        """Let the mover fail once where it calls its method of that name."""
        method, left = getattr(self.mover, name), [error]

        async def failing(*args: Any) -> Any:
            if left:
                raise left.pop()
            return await method(*args)

        self.patch(self.mover, name, failing)

    def test_pieces(self) -> None:
        """A package comes in as many pieces as it needs."""
        self.patch(handing_over, "SLICE", 50)
        self.moves()
        self.assertTrue(self.has_moved())

    def test_sizes(self) -> None:
        """A package that is too large, or does not come whole, is asked for again later."""
        self.handovers((b"", 9), (b"x", MAX_PACKAGE + 1))
        self.moves()
        self.network.advance(AGAIN + 1)
        self.assertFalse(self.has_moved())
        self.network.advance(2 * AGAIN)
        self.assertTrue(self.has_moved())

    def test_unexpected(self) -> None:
        """A group that can't be taken over does not stop others, and is tried again."""
        self.ana.creates("kota")
        self.budi.joins("kota@realm1")
        self.promote(self.ana, "budi@realm2", "kota")
        self.network.settle()
        self.fails_once("_take_over", ZeroDivisionError())
        with mock.patch.object(self.mover, "begin"):
            for group in ("bagan", "kota"):
                self.move(self.ana, group, "realm2")
                self.move(self.budi, f"{group}@realm1", "realm2")
            self.network.settle()
        self.mover.begin("realm1")
        self.network.settle()
        self.assertEqual(len(self.budi.mine()), 2)
        self.network.advance(AGAIN + 1)
        self.assertEqual(sorted(self.budi.mine()), ["bagan", "kota"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_moves_can_not_be_read(self) -> None:
        with mock.patch.object(self.mover, "begin"):
            self.moves()
        with mock.patch.object(self.mover, "_database") as database:
            database.read.side_effect = ZeroDivisionError
            self.mover.begin("realm1")
            self.network.settle()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.later()

    def test_log_is_not_complete(self) -> None:
        """The group is not taken over without its whole log."""
        fetch, answers = self.mover._fetch_log, [True, False]

        async def fetching(move: GroupMove) -> bool:
            return await fetch(move) and (not answers or answers.pop(0))

        self.patch(self.mover, "_fetch_log", fetching)
        self.moves()
        self.later()
        self.assertEqual(answers, [])

    def test_is_here_already(self) -> None:
        """A move that was read before the group came here is done."""
        self.moves()
        place = self.network.result(self.two.realm.service.database.read(find_group, "bagan")).id
        handover = mock.Mock()
        self.patch(self.mover._links, "handover", handover)
        self.assertTrue(self.network.result(self.mover._try(GroupMove(place, "realm1"))))
        self.assertEqual(handover.call_count, 0)

    def test_declined_meanwhile(self) -> None:
        """What is not known any more when the package has come is not taken over."""
        database = self.two.realm.service.database
        picture = self.mover._picture

        def forget(connection: sa.Connection) -> None:
            group = find_group(connection, "bagan@realm1")
            move = None if group is None else move_of(connection, group.id)
            assert move is not None
            end_move(connection, move, "realm2")

        async def forgets(*args: Any) -> Any:
            await database.run(forget)
            return await picture(*args)

        self.patch(self.mover, "_picture", forgets)
        self.moves()
        self.network.advance(AGAIN + 1)
        self.assertFalse(self.has_moved())

    def test_stops(self) -> None:
        """A realm that stops meanwhile does not begin again."""
        held: Deferred[None] = Deferred()
        self.patch(self.mover, "_take_over", lambda *_: held)
        self.moves()
        self.mover.stop()
        held.errback(ZeroDivisionError())
        self.network.settle()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.mover._timers, {})
        self.two.restart()
        self.network.advance(60)
        self.assertTrue(self.has_moved())


class Contents(MovingTestCase):
    """What the new home gets of a group besides its members."""

    def setUp(self) -> None:
        super().setUp()
        for server in (self.one, self.two, self.three):
            server.service.avatars._scaler = InlineScaler()

    def has_picture(self, body: bytes) -> None:
        pictures, account = self.one.service.pictures, self.ana.client.account
        group = self.network.result(self.one.service.rosters.find(parse_address("bagan"))).group
        self.network.result(
            pictures._keep_of_group(account, group, None, avatars.new_avatar(body)), 60
        )
        self.network.settle()

    def picture(self, person: Person, group: str) -> bytes:
        give = person.does(ask.GetPicture(Place(group=parse_address(group))))
        return bytes(self.network.result(give.download.file.read(1 << 20)))

    def test_picture(self) -> None:
        self.has_picture(FIRST)
        self.moves()
        self.one.close()
        self.assertEqual(self.picture(self.budi, "bagan"), FIRST)
        self.assertEqual(self.picture(self.citra, "bagan@realm2"), FIRST)

    def test_bad_picture(self) -> None:
        """A picture that can't be read does not keep a group where it is."""
        self.has_picture(b"bad")
        self.moves()
        self.assertEqual(self.budi.mine(), ["bagan"])

    def test_whole_log(self) -> None:
        """The new home has all of the log, also what its members may not see, in spite of a refusal."""
        self.ana.creates("kota")
        self.citra.joins("kota@realm1")
        self.ana.does(ask.SetGroup(parse_address("kota"), past="joined"))
        for number in range(5):
            self.ana.posts("kota", f"early {number}")
        self.budi.joins("kota@realm1")
        self.promote(self.ana, "budi@realm2", "kota")
        self.network.settle()
        self.patch(past_pages, "PAGE", 2)
        self.fetches_late()
        self.move(self.ana, "kota", "realm2")
        self.move(self.budi, "kota@realm1", "realm2")
        self.network.settle()
        self.network.advance(AGAIN + 1)
        self.assertIn("kota@realm1", self.budi.mine())
        self.network.advance(2 * AGAIN)
        self.assertIn("kota", self.budi.mine())
        self.assertEqual(self.budi.history(group="kota"), [])
        early = [f"early {number}" for number in range(5)]
        shown = self.citra.history(group="kota@realm2")
        self.assertEqual(shown, [f"ana@realm1: {each}" for each in early])
        self.ana.posts("kota@realm2", "late")
        self.network.settle()
        logs = log_of(self.one, self.ana, "kota@realm2"), log_of(self.two, self.budi, "kota")
        said = [[(seq, text) for seq, _, text in log if text in early] for log in logs]
        self.assertEqual(said[1], said[0])
        self.assertEqual(len(said[0]), len(early))

    def fetches_late(self) -> None:
        """Nothing comes at first, and the first page is refused then."""
        pasts = self.two.federation.mover._pasts
        links, left = pasts._links, [RealmQuota(limit=1, minutes=1)]
        past, fetch_now, waits = links.past, pasts.fetch_now, [succeed(None)]

        def refusing(*asked: Any) -> Any:
            return fail(left.pop()) if left else past(*asked)

        def waiting(conversation: int) -> Any:
            return waits.pop() if waits else fetch_now(conversation)

        self.patch(links, "past", refusing)
        self.patch(pasts, "fetch_now", waiting)


class Coming(MovingTestCase):
    def test_posts(self) -> None:
        """Posts that come before the group wait at their senders, the first for a while here."""
        held: Deferred[None] = Deferred()
        mover = self.two.federation.mover
        take_over = mover._take_over

        async def slow(*args: Any) -> None:
            await held
            await take_over(*args)

        self.patch(mover, "_take_over", slow)
        self.moves()
        self.ana.begins_to_post("bagan", "one")
        self.network.advance(PATIENCE - 1)
        self.assertEqual(mover._late, set())
        self.network.advance(2)
        self.assertEqual(len(mover._late), 1)
        self.ana.begins_to_post("bagan", "two")
        self.network.settle()
        self.assertEqual(self.one.parcels_waiting("realm3"), 2)
        held.callback(None)
        self.network.advance(1)
        self.assertEqual(self.one.parcels_waiting(), 0)
        self.assertEqual(mover._late, set())
        shown = self.budi.history(group="bagan")
        self.assertEqual(shown[-2:], ["ana@realm1: one", "ana@realm1: two"])


class HostileHome(HomeTestCase):
    """realm2 says that its group bagan is a group of this realm now."""

    def setUp(self) -> None:
        super().setUp()
        self.database = self.one.realm.service.database
        self.mover = self.one.federation.mover
        self.group = self.network.result(self.database.read(find_group, "bagan@realm2"))

    def moved(self, name: str = "bagan") -> Moved:
        home: dict[str, str | bool | None] = {
            "home": f"{name}@realm1",
            "home_id": str(self.group.id),
            "last": "10",
        }
        entry = self.signers["realm2"].signs(
            GroupAttributes(home), home="realm2", group=BAGAN, author="system"
        )
        return Moved((entry,))

    def hands_over(self, consent: bytes) -> mock.Mock:
        """Let realm2 answer with a package that has this consent."""
        package = encode(HandedGroup([], [], [], {}, "", b"", consent))
        answer = mock.Mock(side_effect=lambda *_: succeed((package, len(package))))
        self.patch(self.mover._links, "handover", answer)
        return answer

    def known(self) -> GroupMove | None:
        found: GroupMove | None = self.network.result(self.database.read(move_of, self.group.id))
        return found

    def consent(self, signer: SigningRealm, home_id: int, **said: Any) -> SignedEntry:
        fields: dict[str, str | bool | None] = {"home": "bagan@realm1", "home_id": str(home_id)}
        said = {"home": "realm2", "group": BAGAN, "author": "ana", **said}
        return signer.signs(GroupAttributes(fields), **said)

    def unsigned(self, entry: SignedEntry) -> SignedEntry:
        """The entry as version 1 would have sent it, which is still taken."""
        self.patch(self.one.federation.keys, "unsigned_until", 2 * START)
        return msgspec.structs.replace(entry, proof=None)

    def test_consents(self) -> None:
        """Only what this realm has signed of this group and this home is its consent."""
        ours, theirs = self.signers["realm1"], self.signers["realm2"]
        forged = SigningRealm("realm1", theirs.key)
        ident = self.group.id
        for entry in (
            self.consent(theirs, ident),
            self.consent(forged, ident),
            self.consent(ours, ident + 1),
            self.consent(ours, ident, group=BAGAN + 1),
            self.consent(ours, ident, home="realm3"),
            self.unsigned(self.consent(ours, ident)),
        ):
            answer = self.hands_over(encode(entry))
            self.assertEqual(self.says(self.moved()), KEPT)
            self.network.settle()
            self.assertEqual(answer.call_count, 1)
            self.assertIsNone(self.known())
            self.assertIn("bagan@realm2", self.ana.mine())

    def test_other_name(self) -> None:
        """This realm has agreed to another name than that which the home gives the group."""
        self.hands_over(encode(self.consent(self.signers["realm1"], self.group.id)))
        self.says(self.moved("rahasia"))
        self.network.settle()
        self.assertIsNone(self.known())

    def test_forgotten_agreement(self) -> None:
        """What was agreed for an earlier home of the group does not stand in the way of another move."""
        before = GroupMove(
            self.group.id, "realm3", "dewi", "ana", b"", self.group.id, "lama", START, b""
        )
        self.network.result(self.database.run(put_move, before))
        self.patch(self.mover._links, "past", lambda *_: succeed(PastPage((), 1, 0, 1)))
        self.hands_over(encode(self.consent(self.signers["realm1"], self.group.id)))
        self.says(self.moved())
        self.network.settle()
        self.assertIsNone(self.known())
        self.assertIn("bagan", self.network.result(self.database.read(_names_here)))

    def test_post_to_a_group_that_does_not_come(self) -> None:
        held: Deferred[tuple[bytes, int]] = Deferred()
        self.patch(self.mover._links, "handover", lambda *_: held)
        self.says(self.moved())
        post = Post(self.signers["realm2"].says(group=BAGAN, home="realm2"), "bagan")
        received = self.one.federation.receiver.receive("realm2", [(99, post)])
        verdicts = Deferred.fromCoroutine(received)
        self.network.settle()
        self.assertFalse(verdicts.called)
        held.callback((b"x", 1))
        [verdict] = self.network.result(verdicts)
        self.assertEqual(verdict.code, "unknown-group")


def _names_here(connection: sa.Connection) -> list[str]:
    """The names of the groups of this realm."""
    return list(connection.scalars(sa.select(groups.c.name).where(groups.c.realm.is_(None))))
