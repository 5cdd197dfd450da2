"""Groups whose homes are lost are founded again by their members elsewhere, and all realms agree where."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import sqlalchemy as sa
from twisted.internet.defer import fail
from twisted.trial.unittest import TestCase

from chatd.base.errors import BadSignature, ChatError, HomeNotLost, NotFounder
from chatd.base.events import GroupRescue
from chatd.base.names import Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.federation import rescue_founding
from chatd.federation.lost_rosters import listed
from chatd.federation.rescue_parts import decode_proof
from chatd.federation.signing.group_rosters import (
    ADMIN,
    BANNED,
    MEMBER,
    RosterRow,
    decode_roster_statement,
)
from chatd.federation.signing.rescues import Rescue, RescueStatement
from chatd.federation.signing.statements import encode
from chatd.simulate.people import Person
from chatd.simulate.servers import Server
from chatd.store import group_rosters as roster_store
from chatd.store.groups import find_group
from chatd.store.rescued_members import take_guests
from chatd.store.schema import outbox
from tests.support.network import NetworkTestCase

LONG = 7200  # seconds after which a home counts as lost
SOON = 20.0
NAMES = ("ana", "budi", "citra", "dewi")


class RescueTestCase(NetworkTestCase):
    """Four realms. The group bagan lives in realm1, where ana is. budi, citra and dewi, of realm2 to realm4,
    are members; budi and citra are admins."""

    realms = 4

    def setUp(self) -> None:
        super().setUp()
        self.apart: list[set[str]] = []
        self.dial = self.network.connect
        self.patch(self.network, "connect", self.connect)
        settings = {"groups": {"rescue_after": LONG}}
        self.servers = [
            self.network.server(f"realm{n}", **settings) for n in range(1, self.realms + 1)
        ]
        for place, server in enumerate(self.servers):
            for other in self.servers[place + 1 :]:
                server.add(other)
        self.network.settle()
        self.people = {
            name: server.person(name) for name, server in zip(NAMES, self.servers, strict=False)
        }
        self.ana = self.people["ana"]
        self.home, self.second, self.third = self.servers[:3]
        self.ana.creates("bagan")
        for name in NAMES[1 : self.realms]:
            self.people[name].joins("bagan@realm1")
            self.network.advance(1)
        for name, realm in (("budi", "realm2"), ("citra", "realm3")):
            self.promote(f"{name}@{realm}")
            self.network.advance(1)
        self.posts("ana", "one")
        self.listen()
        self.network.advance(SOON)

    def listen(self) -> None:
        """Let everybody whose realm runs follow all events."""
        for name, server in zip(NAMES, self.servers, strict=False):
            if server.is_open:
                self.people[name].does(ask.SetListening("all"))

    @property
    def budi(self) -> Person:
        return self.people["budi"]

    @property
    def citra(self) -> Person:
        return self.people["citra"]

    def promote(self, name: str) -> None:
        self.ana.does(ask.PromoteMember(parse_address("bagan"), parse_address(name)))

    def posts(self, name: str, text: str, group: str | None = None) -> None:
        where = group or ("bagan" if name == "ana" else "bagan@realm1")
        self.people[name].begins_to_post(where, text).addErrback(lambda _failure: None)
        self.network.settle()

    def rescues(self, name: str, group: str = "bagan@realm1") -> Any:
        done = self.people[name].begins(ask.RescueGroup(parse_address(group)))
        return self.network.result(done, 5.0)

    def away(self, *lost: Server, seconds: float = LONG + 60.0) -> None:
        """The realms `lost` are away for so long. The others are restarted, which takes less time here."""
        running = [each for each in self.servers if each.is_open]
        for server in running:
            server.kill()
        self.network.advance(seconds)
        for server in running:
            if server not in lost:
                server.open()
        self.listen()
        self.network.advance(SOON)

    def comes_back(self, server: Server) -> None:
        server.open()
        self.network.advance(2 * SOON)

    def partition(self, *sides: Sequence[Server]) -> None:
        """Realms of different sides do not reach each other. No sides: all do."""
        self.apart = [
            {one.name, two.name}
            for side, other in combinations(sides, 2)
            for one in side
            for two in other
        ]
        for connection in self.network.connections:
            hosts = [getattr(end.protocol, "host", None) for end in connection.ends]
            names = {each.name for each in self.servers if each.is_open and each.host in hosts}
            if connection.is_open and names in self.apart:
                connection.cut()
        self.network.settle()

    def connect(self, near: Any, where: tuple[str, int]) -> Any:
        """As `Network.connect`, for realms that are not apart."""
        host = near.protocol.host
        names = {each.name for each in self.servers if each.is_open and each.host is host}
        names |= {each.name for each in self.servers if each.where == where}
        return fail(OSError()) if names in self.apart else self.dial(near, where)

    def shown(self, name: str, group: str = "bagan@realm1") -> list[str]:
        """The texts that somebody sees in the group."""
        place = Place(
            None, parse_group("bagan" if name == "ana" and group.endswith("@realm1") else group)
        )
        found = self.people[name].does(ask.ShowHistory(place, 500)).items
        return [f"{each.sender.partition('@')[0]}: {each.text}" for each in found]

    def same(self, *names: str) -> list[str]:
        """All see the same, whatever the order. Returns it."""
        logs = {name: sorted(self.shown(name)) for name in names}
        first = logs[names[0]]
        for name, log in logs.items():
            self.assertEqual(log, first, name)
            self.assertEqual(len(set(log)), len(log), f"{name} sees something twice")
        return first

    def address(self, name: str) -> str:
        """Where the group lives, as somebody sees it."""
        [group] = self.people[name].mine()
        return group

    def announced(self, name: str) -> str | None:
        """The address with which the group goes on, as somebody sees it while that is pending."""
        [found] = self.people[name].does(ask.ListConversations()).items
        rescue: str | None = found.rescue
        return rescue

    def nothing_waits(self) -> None:
        for server in self.servers:
            if server.is_open:
                count = server.realm.database.now(
                    lambda db: db.scalar(sa.select(sa.func.count()).select_from(outbox))
                )
                self.assertEqual(count, 0, server.name)

    def events(self, name: str) -> list[str]:
        found = [each for each in self.people[name].events if isinstance(each, GroupRescue)]
        return [f"{each.state} {each.was} {each.to}" for each in found]


class LostHomeTestCase(RescueTestCase):
    def test_not_lost(self) -> None:
        with self.assertRaises(HomeNotLost):
            self.rescues("budi")
        self.away(self.home, seconds=LONG / 2)
        with self.assertRaises(HomeNotLost):
            self.rescues("budi")

    def test_no_founder(self) -> None:
        self.away(self.home)
        with self.assertRaises(NotFounder):
            self.rescues("dewi")

    def test_written_while_a_realm_follows(self) -> None:
        """A message that was on its way into the database when a realm followed reaches that realm."""
        self.away(self.home)

        def write(*arguments: Any) -> None:
            take_guests(*arguments)
            self.budi.begins_to_post("bagan", f"follower {len(written)}")
            written.append(arguments)

        written: list[Any] = []
        self.patch(rescue_founding, "take_guests", write)
        self.rescues("budi")
        self.network.advance(SOON)
        self.assertEqual(len(written), 2)
        self.assertIn("budi: follower 1", self.same("budi", "citra", "dewi"))

    def test_rescue(self) -> None:
        self.home.kill()
        self.posts("dewi", "while it is lost")
        self.posts("budi", "I write, too")
        self.away()
        self.rescues("budi")
        self.network.advance(SOON)
        self.assertEqual(self.address("budi"), "bagan")
        self.assertEqual(self.address("citra"), "bagan@realm2")
        self.assertEqual(self.address("dewi"), "bagan@realm2")
        for name in ("budi", "citra", "dewi"):
            self.posts(name, f"from {name}")
        self.network.advance(SOON)
        log = self.same("budi", "citra", "dewi")
        self.assertEqual(len(log), 6)
        self.assertEqual(
            sorted(self.people["budi"].members("bagan")),
            sorted(["*budi+", "*citra@realm3+", "dewi@realm4+"]),
        )
        self.nothing_waits()
        self.assertEqual(self.events("dewi"), ["moved bagan@realm1 bagan@realm2"])

    def test_taken_name(self) -> None:
        """The group gets a free name, and the old address keeps leading to it."""
        self.budi.creates("bagan2")
        self.second.person("eko").does(ask.AddGroup("other"))
        self.second.person("bagan")
        self.away(self.home)
        self.rescues("budi")
        self.network.advance(SOON)
        self.assertEqual(sorted(self.budi.mine()), ["bagan-2", "bagan2"])
        self.assertEqual(self.address("citra"), "bagan-2@realm2")
        self.posts("citra", "to the old address", "bagan@realm1")
        self.posts("budi", "so do I", "bagan@realm1")
        self.network.advance(SOON)
        self.same("budi", "citra")

    def test_killed_in_between(self) -> None:
        """Both the founder's realm and those that follow are killed at any step."""
        self.away(self.home)
        self.rescues("budi")
        for steps in (1, 5, 20, 60):
            for server in (self.second, self.third):
                for _ in range(steps):
                    self.network.step()
                server.restart()
        self.network.advance(3 * SOON)
        self.posts("citra", "after all that")
        self.network.advance(SOON)
        self.assertEqual(self.address("citra"), "bagan@realm2")
        self.assertEqual(self.same("budi", "citra"), ["ana: one", "citra: after all that"])
        self.nothing_waits()

    def test_kicked_people_stay_out(self) -> None:
        self.ana.does(ask.KickMember(parse_address("bagan"), parse_address("citra@realm3")))
        self.network.advance(SOON)
        self.away(self.home)
        self.rescues("budi")
        self.network.advance(SOON)
        with self.assertRaises(ChatError):
            self.citra.joins("bagan@realm2")

    def test_command_of_admins(self) -> None:
        """The founder is an admin, and the admins of other realms still are."""
        self.away(self.home)
        self.rescues("budi")
        self.network.advance(SOON)
        for name, where in (("budi", "bagan"), ("citra", "bagan@realm2")):
            self.people[name].does(ask.SetGroup(parse_address(where), "topic", f"by {name}"))
        self.network.advance(SOON)
        self.same("budi", "citra")


class ListedTestCase(TestCase):
    def test_no_address(self) -> None:
        """A hostile home has lost its group: what is no address in its roster is left out."""
        good = [
            RosterRow("budi@realm2", ADMIN, 1),
            RosterRow("citra@realm3", MEMBER, 1),
            RosterRow("eka@realm4", BANNED, 1),
        ]
        bad = [
            RosterRow(text, role, 1)
            for text in ("budi", "@realm2", "a b@realm2", "x\x1b[2J@realm2", "y@z@realm2", "y@", "")
            for role in (MEMBER, BANNED)
        ]
        found = listed([*bad, *good])
        self.assertEqual([each.address for each in found.members], ["budi@realm2", "citra@realm3"])
        self.assertEqual([each.address for each in found.bans], ["eka@realm4"])


class ReturningHomeTestCase(RescueTestCase):
    realms = 3

    def test_after_the_rescue(self) -> None:
        """It becomes a copy, and hands over what only it had."""
        self.partition([self.home], [self.second, self.third])
        self.posts("ana", "only here")
        self.home.kill()
        self.away()
        self.partition()
        self.rescues("budi")
        self.network.advance(SOON)
        self.posts("citra", "meanwhile")
        self.network.advance(SOON)
        self.comes_back(self.home)
        self.network.advance(SOON)
        self.assertEqual(self.address("ana"), "bagan@realm2")
        self.posts("ana", "back", "bagan@realm2")
        self.network.advance(SOON)
        log = self.same("ana", "budi", "citra")
        self.assertEqual(log, ["ana: back", "ana: one", "ana: only here", "citra: meanwhile"])
        self.nothing_waits()

    def test_that_was_not_lost(self) -> None:
        """It was only not reached by the founder's realm: the group goes back, with all that was written."""
        self.partition([self.second], [self.home, self.third])
        self.network.advance(LONG + SOON)
        self.rescues("budi")
        self.posts("budi", "in the rescued group", "bagan")
        self.posts("ana", "at home")
        self.posts("citra", "at home too")
        self.network.advance(SOON)
        self.partition([self.second, self.third], [self.home])
        self.network.until(lambda: self.network.open_connections(self.second, self.third))
        self.network.advance(SOON)
        self.assertEqual(self.address("citra"), "bagan@realm1")
        self.assertEqual(self.events("citra"), ["pending bagan@realm1 bagan@realm2"])
        self.partition()
        self.network.advance(600)
        self.assertEqual(self.address("budi"), "bagan@realm1")
        self.assertEqual(self.address("ana"), "bagan")
        self.assertIn("void bagan@realm1 bagan@realm2", self.events("citra"))
        for name in ("ana", "budi", "citra"):
            self.posts(name, f"{name} at the end")
        self.network.advance(SOON)
        log = self.same("ana", "budi", "citra")
        self.assertIn("budi: in the rescued group", log)
        self.assertEqual(len(log), 7)
        self.nothing_waits()

    def test_pending(self) -> None:
        """A realm that has reached the home later waits, and follows when it has not for long enough."""
        self.partition([self.second], [self.home, self.third])
        self.network.advance(LONG / 2)
        self.home.kill()
        self.network.advance(LONG / 2 + SOON)
        self.rescues("budi")
        self.partition()
        self.network.until(lambda: self.network.open_connections(self.second, self.third))
        self.network.advance(SOON)
        self.assertEqual(self.events("citra"), ["pending bagan@realm1 bagan@realm2"])
        self.assertEqual(self.announced("citra"), "bagan@realm2")
        self.posts("citra", "while it is pending")
        self.away()
        self.network.advance(SOON)
        self.assertIsNone(self.announced("citra"))
        self.assertEqual(self.address("citra"), "bagan@realm2")
        self.assertEqual(self.same("budi", "citra"), ["ana: one", "citra: while it is pending"])
        self.nothing_waits()


class CompetingTestCase(RescueTestCase):
    realms = 4

    def test_partition(self) -> None:
        """Two rescues in a partition settle on the one of the admin who is that longer, with all that was
        written in both."""
        self.home.kill()
        self.partition([self.second], [self.third, self.servers[3]])
        self.away()
        self.rescues("citra")
        self.network.advance(SOON)
        self.rescues("budi")
        self.posts("budi", "in the first", "bagan")
        self.posts("citra", "in the second", "bagan")
        self.posts("dewi", "in the second, too", "bagan@realm3")
        self.network.advance(SOON)
        self.assertEqual(self.address("dewi"), "bagan@realm3")
        self.partition()
        self.network.advance(600)
        self.assertEqual(self.address("budi"), "bagan")
        self.assertEqual(self.address("citra"), "bagan@realm2")
        self.assertEqual(self.address("dewi"), "bagan@realm2")
        for name in ("budi", "citra", "dewi"):
            self.posts(name, f"{name} at the end")
        self.network.advance(SOON)
        log = self.same("budi", "citra", "dewi")
        self.assertEqual(len(log), 7)
        self.comes_back(self.home)
        self.network.advance(SOON)
        self.assertEqual(self.address("ana"), "bagan@realm2")
        self.assertEqual(self.same("ana", "budi", "citra", "dewi"), log)
        self.nothing_waits()


class HostileTestCase(RescueTestCase):
    """What a realm gets that means harm."""

    realms = 3

    def offer(self, **changed: Any) -> str:
        """Let realm2 tell realm3 of a rescue that was never founded. Returns the state there."""
        kept = self.second.realm.database.now(
            lambda db: roster_store.roster_of_mirror(db, _mirror(db), "realm1")
        )
        roster = decode_roster_statement(kept.statement)
        said = {"founder": "budi", "number": 5, "at": int(self.network.now * 1000), **changed}
        statement = encode(
            RescueStatement(
                "realm2",
                said["number"],
                roster.home,
                roster.group,
                roster.number,
                said["founder"],
                9,
                "bagan",
                2**40,
                said["at"],
            )
        )
        forwarder = self.second.realm.federation.forwarder
        proof = said.get("proof") or forwarder.sign(statement)
        rescue = Rescue(statement, proof, kept.statement, decode_proof(kept.proof))
        answer = self.network.result(self.second.realm.directory.rescue("realm3", rescue), 5.0)
        self.network.advance(SOON)
        return str(answer.state)

    def test_home_is_alive(self) -> None:
        """Nothing changes, and the home recalls it."""
        self.assertEqual(self.offer(), "pending")
        self.network.advance(3700)
        self.assertEqual(self.address("citra"), "bagan@realm1")
        self.posts("citra", "still here")
        self.network.advance(SOON)
        self.assertEqual(self.same("ana", "budi", "citra"), ["ana: one", "citra: still here"])

    def test_no_founder(self) -> None:
        with self.assertRaises(BadSignature):
            self.offer(founder="joko")

    def test_wrong_proof(self) -> None:
        other = self.second.realm.federation.forwarder.sign(b"something else")
        with self.assertRaises(BadSignature):
            self.offer(proof=other)

    def test_kicked_founder(self) -> None:
        """realm2 withholds that budi was kicked, and has an older roster than realm3."""
        kept = self.second.realm.database.now(
            lambda db: roster_store.roster_of_mirror(db, _mirror(db), "realm1")
        )
        self.partition([self.second], [self.home, self.third])
        self.ana.does(ask.KickMember(parse_address("bagan"), parse_address("budi@realm2")))
        self.network.advance(SOON)
        self.assertTrue(kept)
        self.home.kill()
        self.away()
        self.partition()
        self.network.until(lambda: self.network.open_connections(self.second, self.third))
        self.rescues("budi")
        self.network.advance(SOON)
        self.assertEqual(self.address("citra"), "bagan@realm1")
        self.assertEqual(self.address("budi"), "bagan@realm1")  # shown the roster, it went back
        self.rescues("citra")
        self.network.advance(SOON)
        self.assertEqual(self.address("citra"), "bagan")

    def test_absent_on_purpose(self) -> None:
        """A realm that only stays away, while people write at home, gets nothing."""
        self.partition([self.second], [self.home, self.third])
        self.network.advance(LONG + SOON)
        self.posts("ana", "we are here")
        self.rescues("budi")
        self.partition()
        self.network.advance(600)
        for name in ("ana", "budi", "citra"):
            self.assertIn(self.address(name), ("bagan", "bagan@realm1"))
        self.assertEqual(self.address("budi"), "bagan@realm1")
        self.assertEqual(self.same("ana", "budi", "citra"), ["ana: one", "ana: we are here"])


def _mirror(connection: Any) -> int:
    found = find_group(connection, "bagan@realm1")
    assert found is not None
    return found.id
