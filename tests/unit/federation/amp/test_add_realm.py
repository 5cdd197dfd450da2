"""`addrealm` and `delrealm`: how realms become peers, and the errors when that fails."""

from __future__ import annotations

from typing import Any

from twisted.internet import error as net

from chatd.base.errors import (
    ForbiddenAddress,
    NotOperator,
    OwnRealm,
    RealmExists,
    RealmNotAllowed,
    RealmUnreachable,
    UnknownRealm,
    WrongRealm,
)
from chatd.commands import values as ask
from chatd.federation.amp import link as link_module
from tests.support.network import NetworkTestCase, certificate_of, outcome


class AddingTestCase(NetworkTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.network.server("realm1"), self.network.server("realm2")
        self.ana = self.one.person("ana", operator=True)

    def adds(self, realm: str = "realm2", host: str = "realm2.test", port: int = 7000) -> Any:
        return self.ana.does(ask.AddRealm(realm, host, port))

    def test_added(self) -> None:
        self.assertEqual(self.adds().message, "realm2 is a peer")
        (info,) = self.ana.does(ask.ListRealms()).items
        self.assertEqual(
            (info.realm, info.state, info.direction, info.address, info.queued, info.error),
            ("realm2", "up", "out", "realm2.test:7000", 0, None),
        )
        there = self.two.peers()["realm1"]
        self.assertEqual((there.state, there.direction, there.address), ("up", "in", None))

    def test_for_good(self) -> None:
        """The realm is remembered, with its address and its certificate."""
        self.adds()
        self.one.restart()
        self.network.settle()
        self.assertEqual(self.one.peers()["realm2"].state, "up")
        self.two.certificate = certificate_of("realm2", 1)
        self.network.cut()
        self.network.advance(3)
        info = self.one.peers()["realm2"]
        self.assertEqual(info.state, "down")
        self.assertIn("presented a certificate", info.error)

    def test_what_went_wrong(self) -> None:
        for error, said in (
            (net.ConnectionRefusedError(), "nothing listens there"),
            (net.NoRouteError(), "no route"),
            (net.TimeoutError(), "timed out"),
            (net.DNSLookupError(), "no such host"),
            (OSError(), "was not reached"),
        ):
            self.network.refusing[self.two.where] = error
            with self.assertRaises(RealmUnreachable) as caught:
                self.adds()
            self.assertIn(said, str(caught.exception))
            self.assertIn("realm2.test:7000", str(caught.exception))
            self.assertEqual(self.one.peers(), {}, "it was not remembered")
        self.network.advance(600)
        self.assertEqual(len(self.network.dialled), 5, "nor tried again")

    def test_unknown_host(self) -> None:
        with self.assertRaises(RealmUnreachable):
            self.adds(host="nowhere.test")

    def test_silent_server(self) -> None:
        """The server at that address accepts the connection and sends nothing."""
        self.network.on_connection = lambda connection: setattr(connection.far, "held", True)
        found = outcome(self.ana.begins(ask.AddRealm("realm2", *self.two.where)))
        self.network.advance(link_module.HANDSHAKE_TIME + 1)
        self.assertIsInstance(found[0], RealmUnreachable)
        self.assertEqual(self.one.peers(), {})

    def test_wrong_name(self) -> None:
        with self.assertRaises(WrongRealm) as caught:
            self.adds("realm3")
        self.assertIn("is realm2, not realm3", str(caught.exception))
        self.assertEqual(self.one.peers(), {})

    def test_itself(self) -> None:
        with self.assertRaises(OwnRealm):
            self.adds("Realm1", "realm1.test")
        with self.assertRaises(WrongRealm):
            self.adds("realm2", "realm1.test")

    def test_twice(self) -> None:
        self.adds()
        with self.assertRaises(RealmExists):
            self.adds()
        with self.assertRaises(RealmExists):
            self.adds("REALM2")

    def test_twice_at_once(self) -> None:
        found = [outcome(self.ana.begins(ask.AddRealm("realm2", *self.two.where)))]
        found.append(outcome(self.ana.begins(ask.AddRealm("realm2", *self.two.where))))
        self.network.settle()
        self.assertEqual(found[0][0].message, "realm2 is a peer")
        self.assertIsInstance(found[1][0], RealmExists)

    def test_realm_that_has_linked(self) -> None:
        """realm1 has dialled; realm2 may still add it, so that it dials too."""
        self.adds()
        self.two.add(self.one)
        self.assertEqual(self.two.peers()["realm1"].address, "realm1.test:7000")
        self.network.settle()
        self.assertEqual(len(self.network.open_connections(self.one, self.two)), 1)
        self.network.advance(20)
        self.network.cut()
        self.network.advance(5)
        self.assertEqual(self.two.peers()["realm1"].state, "up")
        self.assertEqual(len(self.network.open_connections(self.one, self.two)), 1)

    def test_realm_that_linked_long_ago(self) -> None:
        self.adds()
        self.network.advance(100)
        self.two.add(self.one)
        self.network.settle()
        self.assertEqual(len(self.network.open_connections(self.one, self.two)), 1)
        self.assertEqual(self.one.peers()["realm2"].state, "up")
        self.assertEqual(self.two.peers()["realm1"].state, "up")

    def test_lost_at_once(self) -> None:
        """The link breaks while the realm is being stored; it is added nevertheless."""
        found = outcome(self.ana.begins(ask.AddRealm("realm2", *self.two.where)))
        directory = self.one.realm.directory
        for _ in range(100):
            self.network.step()
            peer = directory.peers.get("realm2")
            if peer is not None and peer.link is not None and peer.link.is_up:
                self.network.cut()
                break
        self.network.settle()
        self.assertEqual(found[0].message, "realm2 is a peer")
        self.assertNotEqual(self.one.peers()["realm2"].error, "None")
        self.network.advance(3)
        self.assertEqual(self.one.peers()["realm2"].state, "up")

    def test_operators_only(self) -> None:
        three = self.network.server("realm3", add="operators")
        three.person("first", operator=True)
        second = three.person("second", operator=False)
        with self.assertRaises(NotOperator):
            second.does(ask.AddRealm("realm2", *self.two.where))
        with self.assertRaises(NotOperator):
            second.does(ask.DeleteRealm("realm2"))
        three.person("first").does(ask.AddRealm("realm2", *self.two.where))

    def test_forgotten(self) -> None:
        self.adds()
        reply = self.ana.does(ask.DeleteRealm("realm2"))
        self.assertEqual(reply.message, "realm2 is no longer a peer")
        self.assertEqual(self.one.peers(), {})
        self.network.advance(600)
        self.assertEqual(self.one.peers(), {})
        self.assertEqual(self.two.peers()["realm1"].state, "down")
        with self.assertRaises(UnknownRealm):
            self.ana.does(ask.DeleteRealm("realm2"))
        self.one.restart()
        self.assertEqual(self.one.peers(), {})

    def test_forgotten_and_added_again(self) -> None:
        """The remembered certificate is forgotten too, so a new one is accepted."""
        self.adds()
        self.two.certificate = certificate_of("realm2", 1)
        self.network.cut()
        self.network.advance(5)
        with self.assertRaises(RealmExists):
            self.adds()
        self.ana.does(ask.DeleteRealm("realm2"))
        self.adds()
        self.assertEqual(self.one.peers()["realm2"].state, "up")

    def test_stranger_with_other_certificate(self) -> None:
        """A realm that claims to be realm2 with another certificate is not let in."""
        self.adds()
        self.network.cut()
        self.network.refusing[self.two.where] = OSError()
        self.one.certificate = certificate_of("realm1", 1)
        self.network.refusing.clear()
        self.network.advance(5)
        self.assertEqual(self.two.peers()["realm1"].state, "down")
        info = self.one.peers()["realm2"]
        self.assertIn("does not trust the certificate of this realm", info.error)

    def test_changed_certificate_says_what_to_do(self) -> None:
        """An operator had confirmed the old certificate."""
        self.adds()
        self.network.cut()
        self.two.kill()
        self.two.certificate = certificate_of("realm2", 1)
        self.two.open()
        self.network.advance(5)
        error = self.one.peers()["realm2"].error
        self.assertIn("delrealm realm2", error)
        with self.assertRaises(RealmExists):
            self.adds()

    def test_blocked(self) -> None:
        three = self.network.server("realm3", block=frozenset({"realm1"}))
        with self.assertRaises(RealmNotAllowed) as caught:
            self.one.add(three)
        self.assertIn("it is blocked there", str(caught.exception))
        self.assertEqual(three.peers(), {})


class ByAnybodyTestCase(NetworkTestCase):
    """`[peers] add = anyone`: what users who are not operators are told."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.network.server("realm1"), self.network.server("realm2")
        self.ana = self.one.person("ana", operator=True)
        self.budi = self.one.person("budi", operator=False)

    def fails(self, realm: str = "realm2", host: str = "realm2.test") -> str:
        with self.assertRaises(RealmUnreachable) as caught:
            self.budi.does(ask.AddRealm(realm, host, 7000))
        return str(caught.exception)

    def test_added(self) -> None:
        reply = self.budi.does(ask.AddRealm("realm2", *self.two.where))
        self.assertEqual(reply.message, "realm2 is a peer")

    def test_every_failure_reads_the_same(self) -> None:
        """They are told only that the realm was not reached, or `addrealm` would be a port scanner."""
        said = set[str]()
        for error in (
            net.ConnectionRefusedError(),
            net.NoRouteError(),
            net.TimeoutError(),
            net.DNSLookupError(),
            ForbiddenAddress(address="realm2.test"),
            OSError(),
        ):
            self.network.refusing[self.two.where] = error
            said.add(self.fails())
        self.network.refusing.clear()
        self.two.certificate = certificate_of("realm3")
        said.add(self.fails())
        self.network.now += 200 * 365 * 86400
        self.network.advance(0)
        self.two.certificate = certificate_of("realm2")
        said.add(self.fails())
        self.assertEqual(
            said,
            {
                "realm2 was not reached at realm2.test:7000: check its name, address and port",
            },
        )
        self.assertEqual(self.one.peers(), {})

    def test_not_let_in(self) -> None:
        """The realm is remembered as if an operator had added it, and the reply says no more."""
        self.network.server("realm3", trust="known")
        self.assertIn("check its name", self.fails("realm3", "realm3.test"))
        self.assertEqual(self.one.peers()["realm3"].address, "realm3.test:7000")

    def test_realms_hides_why(self) -> None:
        """`realms` does not reveal what listens at an address that a user has named."""
        self.budi.does(ask.AddRealm("realm2", *self.two.where))
        self.network.refusing[self.two.where] = net.ConnectionRefusedError()
        self.network.cut()
        self.network.advance(5)
        (info,) = self.budi.does(ask.ListRealms()).items
        self.assertEqual(info.error, "check its name, address and port")
        (info,) = self.ana.does(ask.ListRealms()).items
        self.assertIn("nothing listens there", info.error)

    def test_private_addresses(self) -> None:
        """Private addresses need `[peers] private = yes` or an operator; later dials need it too."""
        with self.assertRaises(ForbiddenAddress) as caught:
            self.budi.does(ask.AddRealm("realm2", "127.0.0.1", 7000))
        self.assertIn("only operators", str(caught.exception))
        self.assertEqual(self.network.dialled, [])
        self.budi.does(ask.AddRealm("realm2", *self.two.where))
        self.network.cut()
        self.network.advance(3)
        self.assertEqual(set(self.network.dialled_private), {False})
        self.network.dialled_private.clear()
        self.ana.does(ask.AddRealm("realm2", *self.two.where))
        self.network.cut()
        self.network.advance(3)
        self.one.restart()
        self.network.advance(3)
        self.assertEqual(set(self.network.dialled_private), {True})

    def test_private_addresses_for_everybody(self) -> None:
        three = self.network.server("realm3", private=True)
        three.person("citra", operator=False).does(ask.AddRealm("realm2", *self.two.where))
        self.assertEqual(self.network.dialled_private, [True])

    def test_link_local_is_refused(self) -> None:
        for person in (self.ana, self.budi):
            for host in ("169.254.169.254", "[fe80::1]", "224.0.0.1", "0.0.0.0"):  # noqa: S104
                with self.assertRaises(ForbiddenAddress):
                    person.does(ask.AddRealm("realm2", host, 7000))
        self.assertEqual(self.network.dialled, [])
