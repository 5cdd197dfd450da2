"""The greeting of a link: certificates and Hello."""

from __future__ import annotations

from chatd.base.errors import BadCertificate, RealmNotAllowed, RealmUnreachable, WrongRealm
from chatd.federation import parcels
from chatd.federation.amp import link as module
from chatd.federation.amp import wire
from tests.support.amp_peer import AmpPeer, AmpPeerTestCase, batch, direct, hello
from tests.support.network import NetworkTestCase


class GreetingTestCase(AmpPeerTestCase):
    def test_nothing_before(self) -> None:
        """Requests before Hello are refused, and the link stays."""
        self.assertEqual(
            self.refuses(wire.DeliverCommand, parcels=batch((1, direct("halo")))), "not-greeted"
        )
        self.assertEqual(self.refuses(wire.PingCommand), "not-greeted")
        self.assertEqual(self.refuses(wire.JoinCommand, user="budi", group="bagan"), "not-greeted")
        self.assertEqual(self.refuses(wire.PresenceCommand, users=["ana"]), "not-greeted")
        parcel = parcels.encode(direct("halo"))
        self.assertEqual(self.refuses(wire.OfferCommand, number=1, parcel=parcel), "not-greeted")
        self.assertEqual(
            self.refuses(wire.ChunkCommand, number=1, offset=0, data=b"bytes"), "not-greeted"
        )
        self.assertEqual(self.ana.inbox(), [])
        self.greets()

    def test_hello(self) -> None:
        answer = self.asks(wire.HelloCommand, **hello())
        self.assertEqual(answer["realm"], "realm1")
        self.assertEqual(answer["version"], 1)
        self.assertEqual(answer["last"], 0)
        self.assertEqual(len(answer["instance"]), 16)
        self.assertIn("files", answer["capabilities"])

    def test_twice(self) -> None:
        self.greets()
        self.assertEqual(self.refuses(wire.HelloCommand, **hello()), "already-greeted")
        self.assertEqual(self.asks(wire.PingCommand), {})

    def test_other_name(self) -> None:
        """A realm with the certificate of realm2 can't greet as realm3."""
        self.assertEqual(self.refuses(wire.HelloCommand, **hello("realm3")), "wrong-name")
        self.network.advance(2)
        self.assertTrue(self.raw.is_lost)
        self.assertEqual(self.one.peers(), {})

    def test_no_name(self) -> None:
        self.assertEqual(self.refuses(wire.HelloCommand, **hello("no name at all")), "wrong-name")

    def test_no_version(self) -> None:
        self.assertEqual(self.refuses(wire.HelloCommand, **hello(version=0)), "version")
        self.network.advance(2)
        self.assertTrue(self.raw.is_lost)

    def test_later_version(self) -> None:
        answer = self.asks(wire.HelloCommand, **hello(version=7, capabilities=["what", "ever"]))
        self.assertEqual(answer["version"], 1)

    def test_as_written(self) -> None:
        """The name of a realm is shown in its own spelling."""
        self.asks(wire.HelloCommand, **hello("Realm2"))
        self.assertEqual(list(self.one.peers()), ["Realm2"])

    def test_silence(self) -> None:
        """A realm that says nothing is dropped."""
        self.network.advance(module.HANDSHAKE_TIME - 1)
        self.assertFalse(self.raw.is_lost)
        self.network.advance(2)
        self.assertTrue(self.raw.is_lost)

    def test_closed_before_it_is_up(self) -> None:
        """A link that is closing does not come up any more."""
        link = self.end.other.protocol
        link.greeted()
        link.close()
        link.come_up()
        self.assertFalse(link.is_up)
        self.network.settle()
        self.assertTrue(self.raw.is_lost)

    def test_own_certificate(self) -> None:
        raw = self.network.connect_by_hand(self.one, "realm1", AmpPeer())
        self.assertTrue(raw.is_lost)

    def test_absurd_last(self) -> None:
        """Another realm can't use up this realm's numbers."""
        self.asks(wire.HelloCommand, **hello(last=1 << 80))
        self.network.cut()
        for last in (1 << 63, (1 << 63) - 1, 1 << 62, -1, -(1 << 70)):
            self.raw = self.network.connect_by_hand(self.one, "realm2", AmpPeer())
            self.asks(wire.HelloCommand, **hello(last=last))
            self.network.cut()
        self.network.settle()
        self.assertIn("queued", self.ana.sends("budi@realm2", "halo").message)
        self.assertEqual(self.one.parcels_waiting(), 1)


class DiallingTestCase(NetworkTestCase):
    """Dialling a realm that does not behave as expected."""

    def test_wrong_name(self) -> None:
        one, two = self.network.server("realm1"), self.network.server("realm2")
        with self.assertRaises(WrongRealm):
            one.add(two, "realm3")
        self.assertEqual(one.peers(), {})
        self.assertEqual(two.peers(), {})

    def test_out_of_date(self) -> None:
        one, two = self.network.server("realm1"), self.network.server("realm2")
        self.network.now += 200 * 365 * 86400
        self.network.advance(0)
        with self.assertRaises((BadCertificate, RealmUnreachable)):
            one.add(two)

    def test_not_let_in(self) -> None:
        """realm2 lets in only realms that it has added: realm1 is told so, and is let in once it is added."""
        one, two = self.network.server("realm1"), self.network.server("realm2", trust="known")
        with self.assertRaises(RealmNotAllowed) as caught:
            one.add(two)
        self.assertIn("only realms that were added there may", str(caught.exception))
        self.assertEqual(one.peers()["realm2"].state, "down")
        two.add(one)
        self.network.settle()
        self.assertEqual(one.peers()["realm2"].state, "up")
        self.assertEqual(two.peers()["realm1"].state, "up")
