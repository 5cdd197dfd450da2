"""Groups whose home is lost after they have been rescued once, or have moved."""

from __future__ import annotations

from chatd.base.names import parse_address
from chatd.commands import values as ask
from chatd.federation.group_rosters import SOON as ROSTER_SOON
from chatd.federation.rescue_parts import RescueAnswer, decode_proof
from chatd.federation.signing.group_rosters import decode_roster_statement
from chatd.federation.signing.rescues import Rescue, RescueStatement
from chatd.federation.signing.statements import encode
from chatd.simulate.servers import Server
from chatd.store.group_rosters import roster_of_mirror
from chatd.store.groups import find_group
from tests.unit.federation.test_rescues import SOON, RescueTestCase


class ChainTestCase(RescueTestCase):
    def claim(self, by: Server, to: Server, founder: str, home: str, group: str) -> RescueAnswer:
        """Let a realm tell another one that it has founded a group again, which it has not."""

        def state(connection: object) -> Rescue:
            mirror = find_group(connection, group)  # type: ignore[arg-type]
            assert mirror is not None
            kept = roster_of_mirror(connection, mirror.id, home)  # type: ignore[arg-type]
            assert kept is not None
            roster = decode_roster_statement(kept.statement)
            about = home, roster.group, roster.number
            now = int(self.network.now * 1000)
            said = RescueStatement(by.name, 1, *about, founder, 9, "bagan", roster.seq, now)
            statement = encode(said)
            proof = by.realm.federation.forwarder.sign(statement)
            return Rescue(statement, proof, kept.statement, decode_proof(kept.proof))

        asked = by.realm.directory.rescue(to.name, by.realm.database.now(state))
        answer: RescueAnswer = self.network.result(asked, 5.0)
        self.network.advance(SOON)
        return answer


class SecondRescueTestCase(ChainTestCase):
    """realm1 is lost, and realm2 after it."""

    def setUp(self) -> None:
        super().setUp()
        self.away(self.home)
        self.rescues("budi")
        self.network.advance(SOON)
        self.posts("dewi", "in the second home", "bagan@realm2")
        self.network.advance(2 * ROSTER_SOON)

    def lose_second(self) -> None:
        self.second.kill()
        self.away()
        self.rescues("citra", "bagan@realm2")
        self.network.advance(SOON)

    def test_rescue(self) -> None:
        self.lose_second()
        self.assertEqual(self.address("citra"), "bagan")
        self.assertEqual(self.address("dewi"), "bagan@realm3")
        for name in ("citra", "dewi"):
            self.posts(name, f"{name} in the third", "bagan@realm2")
        self.network.advance(SOON)
        self.assertEqual(len(self.same("citra", "dewi")), 4)
        self.nothing_waits()

    def test_all_return(self) -> None:
        """Both lost homes follow, the first one too, which has not heard of the first rescue."""
        self.lose_second()
        self.comes_back(self.second)
        self.assertEqual(self.address("budi"), "bagan@realm3")
        self.comes_back(self.home)
        self.network.advance(SOON)
        self.assertEqual(self.address("ana"), "bagan@realm3")
        for name in ("ana", "budi", "citra", "dewi"):
            self.posts(name, f"{name} at the end")
        self.network.advance(SOON)
        self.assertEqual(len(self.same("ana", "budi", "citra", "dewi")), 6)
        self.nothing_waits()

    def test_home_is_alive(self) -> None:
        """That a realm has followed one rescue does not make it follow a second one at once."""
        answer = self.claim(self.third, self.servers[3], "citra", "realm2", "bagan@realm2")
        self.assertEqual(answer.state, "pending")
        self.assertEqual(self.address("dewi"), "bagan@realm2")

    def test_rescue_of_a_former_home(self) -> None:
        """An admin of the first home, which is lost, does not get the group of the second one."""
        self.second.kill()
        self.away()
        self.rescues("citra", "bagan@realm2")
        self.network.advance(SOON)
        answer = self.claim(self.third, self.servers[3], "citra", "realm1", "bagan")
        self.assertEqual(answer.state, "ended")
        self.assertEqual(self.address("dewi"), "bagan@realm3")


class MissedRescueTestCase(ChainTestCase):
    """realm1 and realm4 have heard of nothing when realm2, which has rescued the group, is lost."""

    def setUp(self) -> None:
        super().setUp()
        self.fourth = self.servers[3]
        self.partition([self.home], [self.fourth], [self.second, self.third])
        self.posts("ana", "only in the first home")
        self.posts("dewi", "not sent yet")
        self.home.kill()
        self.fourth.kill()
        self.away()
        self.rescues("budi")
        self.network.advance(2 * SOON)
        self.posts("citra", "in the second home", "bagan@realm2")
        self.network.advance(SOON)
        self.second.kill()
        self.away()
        self.rescues("citra", "bagan@realm2")
        self.posts("citra", "in the third home", "bagan")
        self.partition()

    def test_realms_that_come_back(self) -> None:
        self.comes_back(self.fourth)
        self.assertEqual(self.address("dewi"), "bagan@realm3")
        self.comes_back(self.home)
        self.network.advance(SOON)
        self.assertEqual(self.address("ana"), "bagan@realm3")
        for name in ("ana", "citra", "dewi"):
            self.posts(name, f"{name} at the end")
        self.network.advance(SOON)
        log = self.same("ana", "citra", "dewi")
        self.assertEqual(len(log), 8)
        self.assertIn("ana: only in the first home", log)
        self.assertEqual(
            sorted(self.citra.members("bagan")),
            ["*ana@realm1+", "*citra+", "dewi@realm4+"],
        )
        for server in (self.home, self.third, self.fourth):
            self.assertEqual(server.parcels_waiting("realm2"), 0, server.name)


class MovedTestCase(ChainTestCase):
    """The group has moved to realm3 as planned, and realm1 was closed since."""

    def setUp(self) -> None:
        super().setUp()
        self.ana.does(ask.MoveGroup(parse_address("bagan"), "realm3"))
        self.network.advance(SOON)
        self.citra.does(ask.MoveGroup(parse_address("bagan@realm1"), "realm3"))
        self.network.advance(6 * SOON)
        self.assertEqual(self.address("dewi"), "bagan@realm3")
        self.away(self.home)

    def test_former_home(self) -> None:
        """An admin in realm2 does not get the group because the former home is lost."""
        answer = self.claim(self.second, self.servers[3], "budi", "realm1", "bagan@realm3")
        self.assertEqual(answer.state, "ended")
        self.assertEqual(self.address("dewi"), "bagan@realm3")

    def test_rescue(self) -> None:
        """The new home has told its roster, so the group can be rescued from there."""
        self.third.kill()
        self.away()
        self.rescues("budi", "bagan@realm3")
        self.network.advance(SOON)
        self.assertEqual(self.address("dewi"), "bagan@realm2")
        self.posts("dewi", "after that", "bagan@realm1")
        self.network.advance(SOON)
        self.assertEqual(self.same("budi", "dewi"), ["ana: one", "dewi: after that"])
