"""The greeting of a link: certificates and Hello."""

from __future__ import annotations

import msgspec
from twisted.protocols import amp

from chatd.base.errors import (
    BadCertificate,
    OtherVersion,
    RealmNotAllowed,
    RealmUnreachable,
    WrongRealm,
)
from chatd.federation.amp import link as module
from chatd.federation.amp import wire
from chatd.federation.amp.link_manager import LinkManager
from tests.support.amp_peer import AmpPeer, AmpPeerTestCase, batch, direct, hello
from tests.support.network import NetworkTestCase


class GreetingTestCase(AmpPeerTestCase):
    def test_nothing_before(self) -> None:
        """Requests before Hello are refused, and the link stays."""
        self.assertEqual(
            self.refuses(wire.DeliverCommand, parcels=batch((1, direct("halo")))), "not-greeted"
        )
        self.assertEqual(self.refuses(wire.PingCommand), "not-greeted")
        self.assertEqual(
            self.refuses(wire.JoinCommand, user="budi", group="bagan", entry=b""), "not-greeted"
        )
        self.assertEqual(self.refuses(wire.PresenceCommand, users=["ana"]), "not-greeted")
        asked = {"realm": "realm1", "number": 1, "offset": 0, "size": 10}
        self.assertEqual(self.refuses(wire.FileCommand, **asked), "not-greeted")
        self.assertEqual(self.ana.inbox(), [])
        self.greets()

    def test_hello(self) -> None:
        answer = self.asks(wire.HelloCommand, **hello())
        self.assertEqual(answer["realm"], "realm1")
        self.assertEqual(answer["version"], 2)
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

    def test_other_version(self) -> None:
        """A realm of another version gets a sentence. `realms` shows it, too."""
        self.greets()
        self.network.cut()
        for version in (0, 1, 3, 1 << 40):
            self.raw = self.network.connect_by_hand(self.one, "realm2", AmpPeer())
            self.begins(wire.HelloCommand, **hello(version=version))
            self.network.advance(2)
            self.assertTrue(self.raw.is_lost)
            reason = (
                "it speaks version 2 of the protocol between realms, and this realm version "
                f"{version}; the operator of the older one has to update it"
            )
            self.assertEqual(self.raw.told, [("other-version", reason)])
            self.assertEqual(
                self.one.peers()["realm2"].error,
                f"realm2 speaks version {version} of the protocol between realms, and this realm "
                "version 2; the operator of the older one has to update it",
            )
        self.raw = self.network.connect_by_hand(self.one, "realm2", AmpPeer())
        self.greets()
        self.assertIsNone(self.one.peers()["realm2"].error)

    def test_version_1(self) -> None:
        """Its Hello has one argument more."""
        box = amp.Box(
            _command=b"Hello",
            _ask=b"1",
            realm=b"realm2",
            version=b"1",
            capabilities=b"",
            instance=b"i",
            last=b"12",
        )
        self.raw.sendBox(box)
        self.network.advance(2)
        self.assertTrue(self.raw.is_lost)
        self.assertEqual([code for code, _ in self.raw.told], ["other-version"])

    def test_unknown_capabilities(self) -> None:
        """They are ignored."""
        answer = self.asks(wire.HelloCommand, **hello(capabilities=["what", "ever"]))
        self.assertEqual(answer["realm"], "realm1")

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


class DiallingTestCase(NetworkTestCase):
    """Dialling a realm that does not behave as expected."""

    def test_wrong_name(self) -> None:
        one, two = self.network.server("realm1"), self.network.server("realm2")
        with self.assertRaises(WrongRealm):
            one.add(two, "realm3")
        self.assertEqual(one.peers(), {})
        self.assertEqual(two.peers(), {})

    def test_other_version(self) -> None:
        """The answer to Hello is of another version: both sides read a sentence."""
        one, two = self.network.server("realm1"), self.network.server("realm2")
        introduce = LinkManager.introduce

        def older(manager: LinkManager) -> wire.Introduction:
            own = introduce(manager)
            version = 1 if own.realm == "realm2" else own.version
            return msgspec.structs.replace(own, version=version)

        self.patch(LinkManager, "introduce", older)
        with self.assertRaises(OtherVersion) as caught:
            one.add(two)
        self.assertEqual(
            str(caught.exception),
            "realm2 speaks version 1 of the protocol between realms, and this realm version 2; the operator "
            "of the older one has to update it",
        )

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
