"""Admins of two realms agree that a group moves, or do not."""

from __future__ import annotations

from typing import Any
from unittest import mock

import msgspec
from twisted.internet.defer import Deferred

from chatd.base.errors import (
    ChatError,
    GroupFull,
    NoGroupMove,
    NotMovable,
    RealmDown,
    RealmFull,
    UnknownGroup,
)
from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.federation import handing_over
from chatd.federation.capabilities import MOVES
from chatd.federation.parcels import MoveOffer
from chatd.service import group_relocation
from chatd.store.groups import find_group
from chatd.store.move_agreements import GroupMove, move_of, put_move
from tests.support.network import Person, Server, lacks
from tests.unit.federation.test_group_moves import MovingTestCase, log_of

HOUR = 3600.0


async def held_room(*_asked: Any) -> None:
    """In place of the check whether a realm has room for a group."""


class RelocationTestCase(MovingTestCase):
    def told(self, person: Person) -> list[str]:
        """What the system has written to somebody of moves since the last time."""
        texts = [each for each in person.reads() if each.startswith("system: ")]
        return [each.partition(": ")[2].partition(". ")[0] for each in texts if "move" in each]

    def agrees(self, person: Person, group: str = "bagan@realm1") -> str:
        state = self.move(person, group, "realm3" if person is self.citra else "realm2")
        self.network.settle()
        return state

    def offers(self, realm: str = "realm2") -> str:
        state = self.move(self.ana, "bagan", realm)
        self.network.settle()
        return state

    def conversation(self, server: Server, name: str) -> int:
        found = self.network.result(server.realm.service.database.read(find_group, name))
        return int(found.id)

    def known(self, server: Server, name: str) -> GroupMove | None:
        database, place = server.realm.service.database, self.conversation(server, name)
        found: GroupMove | None = self.network.result(database.read(move_of, place))
        return found

    def refused(self, error: type[ChatError], person: Person, group: str, realm: str) -> str:
        with self.assertRaises(error) as caught:
            self.move(person, group, realm)
        return str(caught.exception)


class Agreeing(RelocationTestCase):
    def test_withdrawn(self) -> None:
        """What was withdrawn at home is agreed again by both, in the other order."""
        self.assertEqual(self.offers(), "proposed")
        self.assertEqual(self.told(self.budi), ["ana@realm1 wants bagan@realm1 to move to realm2"])
        self.assertEqual(self.move(self.ana, "bagan", "none"), "ended")
        self.network.settle()
        self.refused(NoGroupMove, self.ana, "bagan", "none")
        self.refused(NoGroupMove, self.budi, "bagan@realm1", "none")
        self.assertEqual(self.agrees(self.budi), "proposed")
        self.assertEqual(self.budi.mine(), ["bagan@realm1"])
        self.assertEqual(self.told(self.ana), ["budi@realm2 agrees that bagan moves to realm2"])
        self.assertEqual(self.offers(), "agreed")
        self.assertEqual(self.budi.mine(), ["bagan"])

    def test_other_realm(self) -> None:
        """A proposal takes the place of the one before, whose realm can't agree any more."""
        self.promote(self.ana, "citra@realm3")
        self.offers("realm2")
        self.offers("realm3")
        why = self.refused(NotMovable, self.budi, "bagan@realm1", "realm2")
        self.assertIn("another move of it is proposed", why)
        found = self.known(self.two, "bagan@realm1")
        self.assertIsNone(found)
        self.budi.creates("bagan")  # its name is not kept there
        self.assertEqual(self.agrees(self.citra), "agreed")
        self.assertEqual(self.citra.mine(), ["bagan"])

    def test_two_realms_agree(self) -> None:
        """Admins of two other realms agree before anybody at home does: the admins there are told of both,
        once, and the last one counts."""
        self.promote(self.ana, "citra@realm3")
        self.network.settle()
        for person in (self.budi, self.budi, self.citra):
            self.assertEqual(self.agrees(person), "proposed")
        self.assertEqual(
            self.told(self.ana),
            [
                "budi@realm2 agrees that bagan moves to realm2",
                "citra@realm3 agrees that bagan moves to realm3",
            ],
        )
        self.assertEqual(self.offers("realm3"), "agreed")
        self.assertEqual(self.citra.mine(), ["bagan"])

    def test_demoted_since(self) -> None:
        """What an admin of the new realm has agreed does not count once they are none."""
        self.bela.joins("bagan@realm1")
        self.network.settle()
        self.promote(self.ana, "bela@realm2")
        self.assertEqual(self.agrees(self.budi), "proposed")
        self.ana.does(ask.DemoteAdmin(parse_address("bagan"), parse_address("budi@realm2")))
        self.assertEqual(self.offers(), "proposed")
        self.assertEqual(self.bela.mine(), ["bagan@realm1"])
        self.assertEqual(self.agrees(self.bela), "agreed")
        self.assertEqual(self.bela.mine(), ["bagan"])

    def test_declined_elsewhere(self) -> None:
        """A realm that declines what is not proposed to it any more does not end the move to another one."""
        self.promote(self.ana, "citra@realm3")
        self.network.settle()
        self.agrees(self.citra)
        self.offers("realm2")
        self.assertEqual(self.move(self.citra, "bagan@realm1", "none"), "ended")
        self.network.settle()
        self.assertEqual(self.agrees(self.budi), "agreed")
        self.assertEqual(self.budi.mine(), ["bagan"])

    def test_offer_comes_late(self) -> None:
        """The answer of the home says that it agrees, also if its offer has not come."""
        relocation = self.two.realm.service.relocation

        async def late(*_offer: Any) -> None:
            pass

        with mock.patch.object(relocation, "offered", late):
            self.offers()
        self.assertEqual(self.agrees(self.budi), "agreed")
        self.assertEqual(self.budi.mine(), ["bagan"])

    def test_told_once(self) -> None:
        """An admin at home who changes their mind again and again does not fill the inboxes elsewhere."""
        for _ in range(3):
            self.offers()
            self.move(self.ana, "bagan", "none")
        self.assertEqual(len(self.told(self.budi)), 1)

    def test_lapsed(self) -> None:
        """What was agreed a week ago does not count, and is news again."""
        self.assertEqual(self.agrees(self.budi), "proposed")
        self.told(self.ana)
        for server, name in ((self.one, "bagan"), (self.two, "bagan@realm1")):
            move = self.known(server, name)
            assert move is not None
            old = msgspec.structs.replace(move, at=1)
            self.network.result(server.realm.service.database.run(put_move, old))
        self.refused(NoGroupMove, self.ana, "bagan", "none")
        self.refused(NoGroupMove, self.budi, "bagan@realm1", "none")
        self.assertEqual(self.offers(), "proposed")
        self.assertEqual(len(self.told(self.budi)), 1)
        self.assertEqual(self.agrees(self.budi), "agreed")
        self.assertEqual(self.budi.mine(), ["bagan"])

    def test_lapsed_in_the_new_realm(self) -> None:
        self.agrees(self.budi)
        move = self.known(self.two, "bagan@realm1")
        assert move is not None
        old = msgspec.structs.replace(move, at=1)
        self.network.result(self.two.realm.service.database.run(put_move, old))
        self.assertEqual(self.agrees(self.budi), "proposed")
        self.offers()
        self.assertEqual(self.budi.mine(), ["bagan"])

    def test_home_is_away(self) -> None:
        """Nothing is agreed, and the name is free again."""
        self.part(self.two)
        self.refused(RealmDown, self.budi, "bagan@realm1", "realm2")
        self.assertIsNone(self.known(self.two, "bagan@realm1"))
        self.bela.creates("bagan")

    def test_declines_what_nobody_proposes(self) -> None:
        self.refused(NoGroupMove, self.budi, "bagan@realm1", "none")

    def test_too_late(self) -> None:
        """What the home has closed can't be declined. An offer that comes late changes nothing."""
        held: Deferred[None] = Deferred()
        self.patch(self.two.federation.mover, "_take_over", lambda *_: held)
        self.moves()
        why = self.refused(NotMovable, self.budi, "bagan@realm1", "none")
        self.assertIn("it has left its former home", why)
        with mock.patch.object(self.two.realm.service.relocation, "_check_room", held_room):
            why = self.refused(NotMovable, self.budi, "bagan@realm1", "realm2")
        self.assertIn("it has left its former home", why)
        before = self.known(self.two, "bagan@realm1")
        assert before is not None
        self.assertIsNotNone(before.steps)
        offer = MoveOffer("bagan", self.conversation(self.one, "bagan@realm2"), "ana", False)
        self.two.receives("realm1", (10**6, offer))
        self.assertEqual(self.known(self.two, "bagan@realm1"), before)


class Limits(RelocationTestCase):
    def configure(self, **sections: Any) -> None:
        """Start realm2 again with other settings."""
        config = self.two.config
        for section, values in sections.items():
            changed = msgspec.structs.replace(getattr(config, section), **values)
            config = msgspec.structs.replace(config, **{section: changed})
        self.two.config = config
        self.two.restart()
        self.network.until(lambda: self.network.open_connections(self.one, self.two))
        self.network.settle()

    def test_new_realm(self) -> None:
        """The new realm takes only what its operator allows."""
        for error, sections in (
            (NotMovable, {"groups": {"adopt": False}}),
            (GroupFull, {"limits": {"group_members": 3}}),
            (RealmFull, {"peers": {"group_members": 1}}),
        ):
            before = self.two.config
            self.configure(**sections)
            self.refused(error, self.budi, "bagan@realm1", "realm2")
            self.two.config = before
        self.assertIsNone(self.known(self.two, "bagan@realm1"))
        self.configure(limits={"group_members": 4}, peers={"group_members": 2})
        self.assertEqual(self.agrees(self.budi), "proposed")

    def test_names(self) -> None:
        """A group that comes gets no name that is taken, or that this realm has reserved."""
        self.bela.creates("bagan")
        self.ana.creates("realm2")
        self.budi.joins("realm2@realm1")
        self.promote(self.ana, "budi@realm2", "realm2")
        for name in ("bagan", "realm2"):
            self.move(self.ana, name, "realm2")
            self.assertEqual(self.move(self.budi, f"{name}@realm1", "realm2"), "agreed")
        self.network.settle()
        self.assertEqual(sorted(self.budi.mine()), ["bagan_2", "realm2_2"])

    def test_no_name(self) -> None:
        self.patch(self.two.realm.service.homes, "names_like", lambda _title: ["budi"])
        why = self.refused(NotMovable, self.budi, "bagan@realm1", "realm2")
        self.assertIn("its name is taken there", why)

    def test_too_many_members(self) -> None:
        """A home can't hand over more members than this realm takes: the group waits."""
        config = self.two.realm.service.context.config
        self.agrees(self.budi)
        limits = msgspec.structs.replace(config.limits, group_members=3)
        with mock.patch.object(
            self.two.federation.mover._context,
            "config",
            msgspec.structs.replace(config, limits=limits),
        ):
            self.offers()
        self.assertEqual(self.budi.mine(), ["bagan@realm1"])
        self.network.advance(60)
        self.assertEqual(self.budi.mine(), ["bagan"])

    def test_too_often(self) -> None:
        self.patch(group_relocation, "MAX_MOVES", 1)
        why = self.refused(NotMovable, self.ana, "bagan", "realm2")
        self.assertIn("it has moved 0 times, which is the limit", why)


class OldVersions(RelocationTestCase):
    def reconnect(self) -> None:
        for connection in self.network.connections:
            if connection.is_open:
                connection.cut()
        self.meet()

    def test_guests(self) -> None:
        """A group does not leave the members of a realm behind that can't follow."""
        lacks(self, "realm3", MOVES)
        self.reconnect()
        why = self.refused(NotMovable, self.ana, "bagan", "realm2")
        self.assertIn("realm3 can't follow", why)

    def test_home(self) -> None:
        lacks(self, "realm1", MOVES)
        self.reconnect()
        why = self.refused(NotMovable, self.budi, "bagan@realm1", "realm2")
        self.assertIn("realm1 can't hand it over", why)


class HandingOver(RelocationTestCase):
    """What the home answers to a realm that asks for a group."""

    def asks(self, realm: str, ident: int, have: int = 100, start: int = 0) -> tuple[bytes, int]:
        answer = self.one.federation.handing_over.answer(realm, ident, have, start)
        found: tuple[bytes, int] = self.network.result(Deferred.fromCoroutine(answer))
        return found

    def refuses(self, realm: str, *asked: int) -> None:
        with self.assertRaises(UnknownGroup):
            self.asks(realm, *asked)

    def test_refused(self) -> None:
        """A realm that has no part in a move gets nothing, and learns nothing, also not why the group could
        not move."""
        bagan = self.conversation(self.one, "bagan")
        self.patch(group_relocation, "MAX_MOVES", 1)
        for asked in ((bagan,), (bagan + 100,), (0,), (bagan, -1), (bagan, 1, 1 << 80)):
            self.refuses("realm2", *asked)
        self.agrees(self.budi)
        self.refuses("realm2", bagan)
        self.patch(group_relocation, "MAX_MOVES", 2)
        self.patch(self.two.federation.mover, "begin", lambda _realm: None)
        self.offers()
        self.refuses("realm3", bagan)
        data, size = self.asks("realm2", bagan)
        self.assertEqual((len(data), size > 0), (size, True))
        self.assertEqual(self.asks("realm2", bagan, 0, size - 1), (data[-1:], size))
        self.refuses("realm3", bagan)

    def test_behind(self) -> None:
        """The home does not close the group while the new one lacks much of its log."""
        self.patch(self.two.federation.mover, "begin", lambda _realm: None)
        self.agrees(self.budi)
        self.offers()
        self.patch(handing_over, "MAX_BEHIND", 2)
        bagan = self.conversation(self.one, "bagan")
        newest = log_of(self.one, self.ana, "bagan")[-1][0]
        self.assertEqual(self.asks("realm2", bagan, newest - 3), (b"", 0))
        self.assertEqual(self.ana.mine(), ["bagan"])
        self.assertGreater(self.asks("realm2", bagan, newest - 2)[1], 0)
        self.network.settle()
        self.assertEqual(self.ana.mine(), ["bagan@realm2"])
