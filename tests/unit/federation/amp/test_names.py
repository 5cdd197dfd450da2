"""Misleading names of realms: names that look like another, and names that mix scripts."""

from __future__ import annotations

from typing import Any

from chatd.base.config import PeerConfig
from chatd.base.errors import BadName, RealmNotAllowed
from chatd.commands import values as ask
from chatd.federation.amp import wire
from tests.support.amp_peer import AmpPeer, hello
from tests.support.network import NetworkTestCase, Server

CYRILLIC = "\u0441amp"  # its first letter is, and the others are not


class NamesTestCase(NetworkTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.one: Server = self.network.server("realm1")
        self.ana = self.one.person("ana", operator=True)
        self.budi = self.one.person("budi", operator=False)

    def comes(self, realm: str) -> bool:
        """Whether a realm that links by itself is let in."""
        raw: AmpPeer = self.network.connect_by_hand(self.one, realm, AmpPeer())
        answers: list[Any] = []
        raw.callRemote(wire.HelloCommand, **hello(realm)).addBoth(answers.append)
        self.network.settle()
        self.network.cut()
        self.network.settle()
        return isinstance(answers[0], dict)

    def known(self) -> set[str]:
        return set(self.one.peers())

    def test_like_this_realm(self) -> None:
        for name in ("realml", "rea1m1", "realrn1", "rеalm1"):  # noqa: RUF001 - the last has a Cyrillic letter
            self.assertFalse(self.comes(name), name)
        self.assertEqual(self.known(), set())
        self.assertTrue(self.comes("realm2"))

    def test_like_another(self) -> None:
        """The realm that came first keeps the look of its name."""
        self.assertTrue(self.comes("campus"))
        self.assertFalse(self.comes("carnpus"))
        self.assertTrue(self.comes("campus"), "it is known")
        self.assertEqual(self.known(), {"campus"})

    def test_mixed_scripts(self) -> None:
        self.assertFalse(self.comes(CYRILLIC))
        self.assertTrue(self.comes("\u043f\u0440\u0438\u0432\u0435\u0442"))
        self.assertTrue(self.comes("東京"))

    def test_added(self) -> None:
        """`addrealm` refuses a name that looks like that of an added realm or of this one."""
        two = self.network.server("campus")
        self.one.add(two)
        for name in ("carnpus", "realml"):
            for person in (self.ana, self.budi):
                with self.assertRaises(RealmNotAllowed) as caught:
                    person.does(ask.AddRealm(name, "host.test", 7000))
                self.assertIn("can be mistaken for", str(caught.exception))
        with self.assertRaises(BadName):
            self.ana.does(ask.AddRealm(CYRILLIC, "host.test", 7000))
        self.assertEqual(len(self.network.dialled), 1)

    def test_an_operator_knows_better(self) -> None:
        """An unconfirmed realm does not keep operators from adding a similar name, only other users."""
        self.comes("carnpus")
        two = self.network.server("campus")
        with self.assertRaises(RealmNotAllowed):
            self.budi.does(ask.AddRealm("campus", *two.where))
        self.ana.does(ask.AddRealm("campus", *two.where))
        self.assertEqual(self.one.peers()["campus"].state, "up")

    def test_by_configuration(self) -> None:
        """Names in the configuration are not checked."""
        three = self.network.server("realm3", known={"rea1m3": PeerConfig()})
        raw: AmpPeer = self.network.connect_by_hand(three, "rea1m3", AmpPeer())
        answers: list[Any] = []
        raw.callRemote(wire.HelloCommand, **hello("rea1m3")).addBoth(answers.append)
        self.network.settle()
        self.assertIsInstance(answers[0], dict)
