"""Members and settings of rescued groups: the lost home's last changes count if a realm has them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from chatd.base.entries import GroupFact, MadeFact, MemberFact
from chatd.base.model import Party
from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.federation import parcels
from chatd.federation.group_entries import unused
from chatd.federation.group_rosters import SOON as ROSTER_SOON
from chatd.federation.parcels import Post
from chatd.federation.signing.drafts import EntryPlace, sign_now
from chatd.simulate.servers import Server
from chatd.store.schema import changes
from tests.unit.federation.test_rescues import SOON, RescueTestCase


class FactsTestCase(RescueTestCase):
    """realm2, whose budi rescues the group, does not get what the home says last."""

    def setUp(self) -> None:
        super().setUp()
        self.fourth = self.servers[3]
        self.network.advance(2 * ROSTER_SOON)

    def lose_home(self) -> None:
        """The home is lost, and budi has founded the group again, before others come back."""
        self.home.kill()
        self.third.kill()
        self.fourth.kill()
        self.away()
        self.partition()
        self.rescues("budi")
        self.network.advance(SOON)

    def comes_back(self, server: Server) -> None:
        server.open()
        self.network.until(lambda: self.network.open_connections(server, self.second))
        self.network.advance(SOON)

    def changes(self, name: str, verb: Any, *arguments: Any) -> None:
        group = "bagan" if name == "ana" else "bagan@realm1"
        self.people[name].does(verb(parse_address(group), *arguments))
        self.network.settle()

    def title(self, name: str) -> str | None:
        [group] = self.people[name].does(ask.ListOwnGroups()).items
        return group.title  # type: ignore[no-any-return]

    def members(self) -> list[str]:
        """Without who is online."""
        return sorted(each.rstrip("+") for each in self.budi.members("bagan"))


class HomesFactsTestCase(FactsTestCase):
    """What the people of the lost home have changed, and only realm4 knows."""

    def setUp(self) -> None:
        super().setUp()
        self.partition([self.second], [self.home, self.third, self.fourth])

    def test_settings(self) -> None:
        self.changes("ana", ask.SetGroup, "title", "The last title")
        self.lose_home()
        self.assertIsNone(self.title("budi"))
        self.changes_here("topic", "of the new home")
        self.comes_back(self.fourth)
        for name in ("budi", "dewi"):
            self.assertEqual(self.title(name), "The last title")
        self.nothing_waits()

    def changes_here(self, key: str, value: str) -> None:
        self.budi.does(ask.SetGroup(parse_address("bagan"), key, value))
        self.network.settle()

    def test_later_settings(self) -> None:
        """What the members have decided since counts."""
        self.changes("ana", ask.SetGroup, "title", "The last title")
        self.lose_home()
        self.changes_here("title", "A later title")
        self.comes_back(self.fourth)
        for name in ("budi", "dewi"):
            self.assertEqual(self.title(name), "A later title")

    def test_kicked(self) -> None:
        """Somebody whom the home has kicked is no member, in the new home either, and is told so."""
        self.changes("ana", ask.KickMember, parse_address("citra@realm3"))
        self.lose_home()
        self.comes_back(self.fourth)
        self.comes_back(self.third)
        self.assertEqual(self.members(), ["*budi", "dewi@realm4"])
        self.assertEqual(self.citra.mine(), [])
        bans = self.budi.does(ask.ListBans(parse_address("bagan"))).items
        self.assertEqual([each.username for each in bans], ["citra@realm3"])

    def test_kicked_after_following(self) -> None:
        """The realm of the person who was kicked follows before the entry comes."""
        self.partition([self.second, self.third], [self.home, self.fourth])
        self.network.settle()
        self.changes("ana", ask.KickMember, parse_address("citra@realm3"))
        self.lose_home()
        self.comes_back(self.third)
        self.assertIn("*citra@realm3", self.members())
        self.comes_back(self.fourth)
        self.assertEqual(self.members(), ["*budi", "dewi@realm4"])
        self.assertEqual(self.citra.mine(), [])

    def test_roles(self) -> None:
        """A realm gets no right for its own people by what it hands over; others may get one."""
        self.partition([self.second, self.third], [self.home, self.fourth])
        self.network.settle()
        self.changes("ana", ask.PromoteMember, parse_address("dewi@realm4"))
        self.changes("ana", ask.DemoteAdmin, parse_address("citra@realm3"))
        self.lose_home()
        self.comes_back(self.third)
        self.assertIn("*citra@realm3", self.members())
        self.comes_back(self.fourth)
        self.assertEqual(self.members(), ["*budi", "citra@realm3", "dewi@realm4"])

    def test_home_is_back(self) -> None:
        """What it says then, and what others say that it has said, changes nothing."""
        self.changes("ana", ask.SetGroup, "title", "The last title")
        self.lose_home()
        self.comes_back(self.home)
        self.assertEqual(self.address("ana"), "bagan@realm2")
        self.comes_back(self.fourth)
        self.assertIsNone(self.title("budi"))
        self.posts("dewi", "after that")
        self.network.advance(SOON)
        self.assertEqual(self.same("ana", "budi", "dewi"), ["ana: one", "dewi: after that"])


class GuestsFactsTestCase(FactsTestCase):
    """What people of realm3 and realm4 have changed in the lost home."""

    def setUp(self) -> None:
        super().setUp()
        self.partition([self.second], [self.home, self.third, self.fourth])

    def test_admin(self) -> None:
        """It counts if they are an admin of the new home, which they are not before their realm follows."""
        self.changes("citra", ask.SetGroup, "title", "By an admin")
        self.lose_home()
        self.comes_back(self.fourth)
        self.assertIsNone(self.title("budi"))
        self.comes_back(self.third)
        self.assertEqual(self.title("budi"), "By an admin")

    def test_left(self) -> None:
        """The realm of somebody who has left does not list them; others say so, too."""
        self.changes("dewi", ask.LeaveGroup)
        self.lose_home()
        self.comes_back(self.third)
        self.comes_back(self.fourth)
        self.assertEqual(self.members(), ["*budi", "*citra@realm3"])
        self.assertEqual(self.people["dewi"].mine(), [])


class HostileFactsTestCase(FactsTestCase):
    """realm4 hands over entries that realm1 and realm4 have signed, and nobody else has seen."""

    def setUp(self) -> None:
        super().setUp()
        [group] = self.ana.does(ask.ListConversations()).items
        self.place = EntryPlace("realm1", group.conversation)
        self.number = 1 << 60
        self.signed: list[bytes] = []

    def says(
        self, fact: MemberFact | GroupFact, by: str = "ana", number: int = 0, at: int = 0
    ) -> None:
        """Let somebody's realm sign that."""
        server = self.fourth if by == "dewi" else self.home
        self.number += 1
        made = MadeFact(fact, Party(by, by), at or int(self.network.now * 1000) + 10_000_000)
        draft = server.realm.federation.forwarder.entries.fact(made, self.place, unused)
        [entry] = sign_now([draft], [number or self.number])
        self.signed.append(parcels.encode(Post(entry, "bagan")))

    def hands_over(self) -> None:
        self.lose_home()
        self.comes_back(self.fourth)
        done = self.fourth.realm.directory.hand_over("realm2", self.signed)
        self.network.result(done, 5.0)
        self.network.advance(SOON)

    def entries(self) -> list[str]:
        """What other realms say of the group in the log of realm2."""
        rows = self.second.realm.database.now(
            lambda db: (
                db.execute(
                    sa.select(changes.c.data).where(
                        changes.c.kind.in_(("group", "member")), changes.c.origin_id.is_not(None)
                    )
                )
                .scalars()
                .all()
            )
        )
        return [each for each in rows if each]

    def test_nothing_counts(self) -> None:
        before = len(self.entries())
        joko = Party("joko@realm4", "joko@realm4", realm="realm4")
        dewi = Party("dewi@realm4", "dewi@realm4", realm="realm4")
        title = GroupFact({"title": "Another"})
        self.says(title, number=1)  # before the roster
        self.says(title, "dewi")  # who is no admin
        self.says(title, "dewi", at=1)
        self.says(MemberFact(joko, "joined"), "dewi")
        self.says(MemberFact(joko, "joined"))
        self.says(MemberFact(dewi, "promoted"), "dewi")
        self.says(MemberFact(Party("budi@realm2", "budi@realm2"), "ended"))
        self.says(MemberFact(joko, "moved"))
        self.says(GroupFact({"home": "bagan@realm4", "home_id": "1", "last": "9"}))
        for author in ("ana", "system", "dewi"):
            self.says(GroupFact({"shut": "spam"}), author)
        self.hands_over()
        self.assertEqual(self.members(), ["*budi", "dewi@realm4"])
        self.assertIsNone(self.title("budi"))
        self.posts("budi", "still open", "bagan")
        self.assertIn("budi: still open", self.shown("budi", "bagan"))
        self.assertEqual(len(self.entries()), before)

    def test_what_counts(self) -> None:
        """So the test above would see if these counted."""
        before = len(self.entries())
        self.says(GroupFact({"title": "Another"}))
        joko = Party("joko@realm1", "joko@realm1")
        self.says(MemberFact(joko, "joined"))
        self.says(MemberFact(joko, "joined"))
        dewi = Party("dewi@realm4", "dewi@realm4", realm="realm4")
        self.says(MemberFact(dewi, "left"), "dewi")
        self.signed.insert(0, self.signed[0])
        self.hands_over()
        self.assertEqual(self.title("budi"), "Another")
        self.assertEqual(self.members(), ["*budi"])
        self.assertEqual(len(self.entries()), before + 4)

    def test_no_rights_for_own_people(self) -> None:
        """The home says at once that somebody of the realm which hands that over is no admin."""
        dewi = Party("dewi@realm4", "dewi@realm4", realm="realm4")
        self.says(MemberFact(dewi, "promoted"))
        self.hands_over()
        self.assertEqual(self.members(), ["*budi", "dewi@realm4"])

    def test_kicked(self) -> None:
        """Somebody of the realm that hands over that they were kicked."""
        dewi = Party("dewi@realm4", "dewi@realm4", realm="realm4")
        self.says(MemberFact(dewi, "kicked"))
        self.hands_over()
        self.assertEqual(self.members(), ["*budi"])
        self.assertEqual(self.people["dewi"].mine(), [])
        bans = self.budi.does(ask.ListBans(parse_address("bagan"))).items
        self.assertEqual([each.username for each in bans], ["dewi@realm4"])

    def test_later_rights(self) -> None:
        """What the new home has decided since counts, for whoever was made an admin in the lost one."""
        dewi = Party("dewi@realm4", "dewi@realm4", realm="realm4")
        budi = Party("budi@realm2", "budi@realm2", realm="realm2")
        now = int(self.network.now * 1000) + 1
        self.says(MemberFact(dewi, "promoted"), at=now)
        self.says(MemberFact(budi, "demoted"), at=now)
        self.says(MemberFact(dewi, "promoted"), at=now)
        self.lose_home()
        self.comes_back(self.fourth)
        bagan = parse_address("bagan")
        self.budi.does(ask.PromoteMember(bagan, parse_address("dewi@realm4")))
        done = self.fourth.realm.directory.hand_over("realm2", self.signed[:1])
        self.network.result(done, 5.0)
        self.assertEqual(self.members(), ["*budi", "*dewi@realm4"])
        self.budi.does(ask.DemoteAdmin(bagan, parse_address("dewi@realm4")))
        self.budi.does(ask.PromoteMember(bagan, parse_address("dewi@realm4")))
        self.people["dewi"].does(
            ask.DemoteAdmin(parse_address("bagan@realm2"), parse_address("budi@realm2"))
        )
        self.network.settle()
        self.people["dewi"].does(
            ask.PromoteMember(parse_address("bagan@realm2"), parse_address("budi@realm2"))
        )
        self.network.settle()
        self.budi.does(ask.DemoteAdmin(bagan, parse_address("dewi@realm4")))
        done = self.fourth.realm.directory.hand_over("realm2", self.signed[1:])
        self.network.result(done, 5.0)
        self.assertEqual(self.members(), ["*budi", "dewi@realm4"])

    def test_removed_by_the_home(self) -> None:
        """Somebody whom the lost home has removed by itself is no member, but is not banned."""
        dewi = Party("dewi@realm4", "dewi@realm4", realm="realm4")
        self.says(MemberFact(dewi, "kicked"), "system")
        self.hands_over()
        self.assertEqual(self.members(), ["*budi"])
        self.assertEqual(self.budi.does(ask.ListBans(parse_address("bagan"))).items, ())
