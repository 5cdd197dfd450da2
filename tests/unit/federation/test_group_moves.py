"""A group that moves from one realm to another, with members of three realms."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.errors import NoGroupMove, NotAdmin, NotMember, NotMovable, UnknownGroup
from chatd.base.names import Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.federation.parcels import Moved
from chatd.federation.signing.entries import SignedEntry
from chatd.store.groups import find_group
from chatd.store.schema import changes, handovers, messages
from tests.support.network import Person, Server
from tests.unit.federation.test_realm_groups import GroupTestCase

decode, encode = msgspec.msgpack.decode, msgspec.msgpack.encode


def log_of(server: Server, person: Person, group: str) -> list[tuple[Any, ...]]:
    """The whole log of a group in a realm: the seq, the author's address for all realms, and what is said."""
    page = person.does(ask.ShowHistory(Place(None, parse_group(group)), 1))
    conversation = page.items[0].conversation

    def read(connection: sa.Connection) -> list[tuple[Any, ...]]:
        rows = [
            (row.seq, row.sender, row.text)
            for row in connection.execute(
                sa.select(messages).where(messages.c.conversation_id == conversation)
            )
        ]
        rows += [
            (row.seq, row.author, f"{row.kind} {row.data}")
            for row in connection.execute(
                sa.select(changes).where(changes.c.conversation_id == conversation)
            )
        ]
        return sorted(rows)

    found = server.network.result(server.realm.service.database.read(read))
    name = server.name
    return [
        (seq, who if "@" in who or who == "system" else f"{who}@{name}", what)
        for seq, who, what in found
    ]


class MovingTestCase(GroupTestCase):
    """bagan moves from realm1 to realm2, where budi is an admin."""

    def setUp(self) -> None:
        super().setUp()
        self.budi.joins("bagan@realm1")
        self.citra.joins("bagan@realm1")
        self.agus.joins("bagan")
        self.promote(self.ana, "budi@realm2")
        for person, group in (
            (self.ana, "bagan"),
            (self.budi, "bagan@realm1"),
            (self.citra, "bagan@realm1"),
        ):
            person.posts(group, f"before, {person.name}")
        self.network.settle()

    def move(self, who: Person, group: str, realm: str) -> str:
        reply = who.does(ask.MoveGroup(parse_address(group), realm))
        return str(reply.fields["state"])

    def moves(self) -> None:
        self.assertEqual(self.move(self.ana, "bagan", "realm2"), "proposed")
        self.assertEqual(self.move(self.budi, "bagan@realm1", "realm2"), "agreed")
        self.network.settle()

    def histories(self) -> list[list[str]]:
        return [
            self.ana.history(group="bagan@realm2"),
            self.budi.history(group="bagan"),
            self.citra.history(group="bagan@realm2"),
        ]


class Moving(MovingTestCase):
    def test_old_address_is_no_way_in(self) -> None:
        """People of the new home who are no members write to the group by neither address. Before the move
        they did as guests, and people of the former home do now."""
        dewi, eka = self.two.person("dewi"), self.one.person("eka")
        dewi.posts("bagan@realm1", "before, dewi")
        self.moves()
        for address in ("bagan", "bagan@realm1"):
            with self.assertRaises(NotMember):
                dewi.posts(address, "after, dewi")
        eka.posts("bagan@realm2", "after, eka")
        self.network.advance(5)
        texts = [each.partition(": ")[2] for each in self.budi.history(group="bagan")]
        self.assertEqual(texts[-2:], ["before, dewi", "after, eka"])

    def test_moves(self) -> None:
        self.moves()
        self.assertEqual(self.budi.mine(), ["bagan"])
        self.assertEqual(self.ana.mine(), ["bagan@realm2"])
        self.assertEqual(self.citra.mine(), ["bagan@realm2"])
        self.assertEqual(
            self.budi.members("bagan"), ["*ana@realm1+", "*budi+", "citra@realm3+", "agus@realm1+"]
        )
        self.ana.posts("bagan@realm2", "after, ana")
        self.budi.posts("bagan", "after, budi")
        self.citra.posts("bagan@realm2", "after, citra")
        self.network.settle()
        for person, group in (
            (self.ana, "bagan@realm2"),
            (self.budi, "bagan"),
            (self.citra, "bagan@realm2"),
        ):
            texts = [each.partition(": ")[2] for each in person.history(group=group)]
            self.assertEqual(
                texts,
                [
                    *("before, ana", "before, budi", "before, citra"),
                    *("after, ana", "after, budi", "after, citra"),
                ],
            )

    def test_one_log(self) -> None:
        """All realms have the same log, which says where the group lives now."""
        self.moves()
        self.citra.posts("bagan@realm2", "after")
        self.network.settle()
        logs = [
            log_of(self.one, self.ana, "bagan@realm2"),
            log_of(self.two, self.budi, "bagan"),
            log_of(self.three, self.citra, "bagan@realm2"),
        ]
        seqs = [[entry[0] for entry in log] for log in logs]
        self.assertEqual(seqs[0], seqs[1])
        self.assertEqual(seqs[2], [seq for seq in seqs[1] if seq >= seqs[2][0]])
        self.assertTrue(any('"home":"bagan@realm2"' in (entry[2] or "") for entry in logs[1]))

    def test_former_address(self) -> None:
        """Commands on the former address work, in the former home and elsewhere."""
        self.moves()
        self.ana.posts("bagan", "one")
        self.citra.posts("bagan@realm1", "two")
        self.budi.posts("bagan@realm1", "three")
        self.network.settle()
        for history in self.histories():
            texts = [each.partition(": ")[2] for each in history]
            self.assertEqual(texts[-3:], ["one", "two", "three"])
        self.kick(self.ana, "citra@realm3")
        self.network.settle()
        self.assertEqual(self.citra.mine(), [])

    def test_private(self) -> None:
        """A private group stays private, also for those who know its former name."""
        self.ana.does(ask.SetGroup(parse_address("bagan"), visibility="private"))
        self.network.settle()
        self.moves()
        self.citra.posts("bagan@realm1", "still here")
        self.network.settle()
        self.assertIn("citra@realm3: still here", self.budi.history(group="bagan"))
        stranger = self.one.person("fajar")
        with self.assertRaises(UnknownGroup):
            stranger.joins("bagan")
        with self.assertRaises(UnknownGroup):
            self.bela.joins("bagan")

    def test_back(self) -> None:
        """A group may go on to a third realm, and come back."""
        self.moves()
        self.promote(self.budi, "citra@realm3")
        self.network.settle()
        self.assertEqual(self.move(self.budi, "bagan", "realm3"), "proposed")
        self.assertEqual(self.move(self.citra, "bagan@realm1", "realm3"), "agreed")
        self.network.settle()
        self.assertEqual(self.citra.mine(), ["bagan"])
        self.assertEqual(self.move(self.citra, "bagan", "realm1"), "proposed")
        self.assertEqual(self.move(self.ana, "bagan", "realm1"), "agreed")
        self.network.settle()
        self.assertEqual(self.ana.mine(), ["bagan"])
        self.budi.posts("bagan@realm2", "home again")
        self.network.settle()
        self.assertEqual(self.ana.history(group="bagan")[-1], "budi@realm2: home again")
        self.assertEqual(self.citra.history(group="bagan@realm1")[-1], "budi@realm2: home again")

    def test_there_again(self) -> None:
        """A group that has come back can move to the same realm again."""
        self.moves()
        self.move(self.budi, "bagan", "realm1")
        self.move(self.ana, "bagan@realm2", "realm1")
        self.network.settle()
        self.assertEqual(self.ana.mine(), ["bagan"])
        self.moves()
        self.assertEqual(self.budi.mine(), ["bagan"])
        self.citra.posts("bagan@realm1", "again")
        self.network.settle()
        self.assertEqual(self.ana.history(group="bagan@realm2")[-1], "citra@realm3: again")

    def test_killed(self) -> None:
        """The new realm is killed when both have agreed: the move goes on when it is back."""
        self.assertEqual(self.move(self.ana, "bagan", "realm2"), "proposed")
        self.assertEqual(self.move(self.budi, "bagan@realm1", "realm2"), "agreed")
        self.two.kill()
        self.two.open()
        self.network.advance(400)
        self.assertEqual(self.budi.mine(), ["bagan"])
        self.citra.posts("bagan@realm2", "after")
        self.network.settle()
        self.assertEqual(self.ana.history(group="bagan@realm2")[-1], "citra@realm3: after")


class Refused(MovingTestCase):
    def test_who_may(self) -> None:
        """One admin of each of the two realms has to agree, and nobody else can."""
        for person, group, realm, error in (
            (self.agus, "bagan", "realm2", NotAdmin),
            (self.ana, "bagan", "realm3", NotMovable),  # it has no admin there
            (self.ana, "bagan", "realm1", NotMovable),
            (self.citra, "bagan@realm1", "realm3", NotAdmin),
            (self.budi, "bagan@realm1", "realm3", NotMovable),
        ):
            with self.assertRaises(error):
                self.move(person, group, realm)
        with self.assertRaises(NoGroupMove):
            self.move(self.ana, "bagan", "none")

    def test_declined(self) -> None:
        self.move(self.ana, "bagan", "realm2")
        self.network.settle()
        self.assertEqual(self.move(self.budi, "bagan@realm1", "none"), "ended")
        self.assertEqual(self.move(self.budi, "bagan@realm1", "realm2"), "proposed")
        self.network.settle()
        self.assertEqual(self.ana.mine(), ["bagan"])

    def test_no_admin_any_more(self) -> None:
        """Who has agreed and is demoted after that does not decide any more, in either realm."""
        self.promote(self.ana, "agus")
        self.move(self.agus, "bagan", "realm2")
        self.ana.does(ask.DemoteAdmin(parse_address("bagan"), parse_address("agus")))
        self.network.settle()
        self.assertEqual(self.move(self.budi, "bagan@realm1", "realm2"), "proposed")
        self.network.settle()
        self.assertEqual(self.ana.mine(), ["bagan"])
        self.promote(self.ana, "citra@realm3")
        self.ana.does(ask.DemoteAdmin(parse_address("bagan"), parse_address("budi@realm2")))
        self.network.settle()
        with self.assertRaises(NotMovable):
            self.move(self.ana, "bagan", "realm2")

    def test_bad_package(self) -> None:
        """What a home hands over is not taken if it has what nobody can be called, or can't be stored."""
        handing_over = self.one.federation.handing_over
        package = handing_over._package
        bad: list[Any] = [
            ("x\r\nsystem: hello@realm3", False, 1, 1),
            ("nobody", False, 1, 1),
            ("nobody@realm3", False, 1 << 63, 1),
            ("nobody@realm3", False, -1, 1),
        ]

        def hostile(*args: Any) -> bytes:
            handed = decode(package(*args))
            return encode([[*handed[0], bad[0]], *handed[1:-3], "budi", *handed[-2:]])

        self.patch(handing_over, "_package", hostile)
        self.moves()
        database = self.one.realm.service.database
        read = database.read(lambda connection: connection.scalar(sa.select(handovers.c.package)))
        whole = decode(self.network.result(read))
        members = whole[0][:-1]

        def hands_over(*more: Any) -> list[str]:
            package = encode([[*members, *more], *whole[1:]])
            job = sa.update(handovers).values(package=package)
            self.network.result(database.run(lambda connection: connection.execute(job).rowcount))
            self.two.federation.mover.begin("realm1")
            self.network.advance(1)
            return self.budi.mine()

        for member in bad:
            self.assertEqual(hands_over(member), ["bagan@realm1"])
        self.assertEqual(hands_over(), ["bagan"])
        found = self.two.realm.service.database.read(find_group, "bagan")
        self.assertIn(":", self.network.result(found).code)

    def test_forged(self) -> None:
        """No realm can say of a group of another one that it has moved."""
        entry = SignedEntry(b"", None, b"", b"")
        [verdict] = self.three.receives("realm2", (1, Moved((entry,))))
        self.assertEqual(verdict.code, "bad-signature")
        self.assertEqual(self.citra.mine(), ["bagan@realm1"])
