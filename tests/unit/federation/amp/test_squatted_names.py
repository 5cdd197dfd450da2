"""Impostors: realms that link under the name of another before an operator adds that."""

from __future__ import annotations

from typing import Any

import msgspec

from chatd.base.errors import (
    RealmExists,
    RealmNotAllowed,
    RealmUnreachable,
)
from chatd.base.names import parse_address
from chatd.base.realms import Exposure
from chatd.commands import values as ask
from tests.support.network import NetworkTestCase, Server, certificate_of, outcome


class SquattedTestCase(NetworkTestCase):
    """An impostor linked as realm2 before realm2 did, so its certificate is remembered (`pinned`)."""

    def setUp(self) -> None:
        super().setUp()
        self.one, self.two = self.network.server("realm1"), self.network.server("realm2")
        self.ana = self.one.person("ana", operator=True)
        self.dewi = self.one.person("dewi", operator=False)
        self.false = Server(self.network, "realm2", self.network._folder / "false")
        self.false.certificate = certificate_of("realm2", 7)
        self.network.servers["false"] = self.false
        self.false.where = ("false.test", 7000)
        self.false.add(self.one)
        self.network.settle()

    def adds(self) -> Any:
        return self.ana.does(ask.AddRealm("realm2", *self.two.where))

    def test_replaced(self) -> None:
        """An operator's `addrealm` replaces it by the right certificate, and shows both fingerprints."""
        before = self.one.realm.directory.peers.find("realm2").remembered_fingerprint
        reply = self.adds()
        now = self.one.realm.directory.peers.find("realm2").remembered_fingerprint
        self.assertNotEqual(before, now)
        self.assertEqual((reply.fields["fingerprint"], reply.fields["replaced"]), (now, before))
        self.assertIn("another realm had connected under that name", reply.message)
        self.assertIn("nothing was sent to it", reply.message)
        self.network.advance(60)
        self.assertEqual(len(self.network.open_connections(self.one, self.two)), 1)
        self.assertEqual(self.network.open_connections(self.one, self.false), [])

    def test_for_good(self) -> None:
        self.adds()
        self.one.restart()
        self.network.advance(60)
        self.assertEqual(len(self.network.open_connections(self.one, self.two)), 1)
        self.assertEqual(self.network.open_connections(self.one, self.false), [])

    def test_what_was_exchanged_is_listed(self) -> None:
        """For each conversation: what was sent to the impostor, and what came from it."""
        mallory = self.false.person("henderson")
        mallory.sends("dewi@realm1", "halo")
        self.dewi.sends("henderson@realm2", "ini rahasia")
        self.dewi.sends("henderson@realm2", "dan ini")
        self.ana.creates("bagan")
        mallory.does(ask.JoinGroup(parse_address("bagan@realm1")))
        self.network.advance(1)
        self.ana.posts("bagan", "untuk semua")
        mallory.creates("palsu")
        self.dewi.does(ask.JoinGroup(parse_address("palsu@realm2")))
        self.dewi.posts("palsu@realm2", "kepada yang salah")
        reply = self.adds()
        self.assertIn("the messages sent to it and received from it", reply.message)
        self.assertEqual(
            set(reply.items),
            {
                Exposure("dewi and henderson@realm2", 2, 1),
                Exposure("bagan", 1, 0),
                Exposure("palsu@realm2", 1, 0),
            },
        )

    def test_what_still_waits_goes_to_the_right_one(self) -> None:
        self.network.cut()
        self.false.close()
        henderson = self.two.person("henderson")
        self.network.settle()
        self.assertIn("queued", self.dewi.sends("henderson@realm2", "halo").message)
        reply = self.adds()
        self.assertEqual(reply.items, (), "it was not sent")
        self.network.advance(3)
        self.assertEqual(henderson.reads(), ["dewi@realm1: halo"])

    def test_same_certificate(self) -> None:
        """The operator adds the same realm that linked by itself: nothing is replaced."""
        reply = self.ana.does(ask.AddRealm("realm2", *self.false.where))
        self.assertEqual(reply.message, "realm2 is a peer")
        self.assertNotIn("replaced", reply.fields)
        with self.assertRaises(RealmExists):
            self.adds()

    def test_not_replaced_by_a_user(self) -> None:
        with self.assertRaises(RealmUnreachable):
            self.dewi.does(ask.AddRealm("realm2", *self.two.where))
        self.assertEqual(len(self.network.open_connections(self.one, self.false)), 1)

    def test_not_replaced_by_an_incoming_link(self) -> None:
        """The right realm links by itself: it is refused until an operator adds it."""
        with self.assertRaises(RealmNotAllowed):
            self.two.add(self.one)
        self.adds()
        self.network.settle()
        self.assertEqual(self.two.peers()["realm1"].state, "up")

    def test_the_right_one_does_not_let_this_one_in(self) -> None:
        """Its certificate is accepted nevertheless, and the other link ends."""
        peers = msgspec.structs.replace(self.two.config.peers, trust="known")
        self.two.kill()
        self.two.config = msgspec.structs.replace(self.two.config, peers=peers)
        self.two.open()
        with self.assertRaises(RealmNotAllowed):
            self.adds()
        self.network.advance(60)
        self.assertEqual(self.network.open_connections(self.one, self.false), [])
        self.two.add(self.one)
        self.network.advance(60)
        self.assertEqual(self.one.peers()["realm2"].state, "up")

    def test_added_by_a_user(self) -> None:
        """An operator's `addrealm` overrides that of a user who has named a wrong address."""
        self.dewi.does(ask.AddRealm("realm2", *self.false.where))
        reply = self.adds()
        self.assertIn("replaced", reply.fields)
        self.assertEqual(self.one.peers()["realm2"].address, "realm2.test:7000")

    def test_two_at_once(self) -> None:
        """Two realms link under one new name at the same time: one of them gets it."""
        for server in (self.two, self.false):
            server.knows("realm9")
        nine = self.network.server("realm9")
        found = [
            outcome(server.realm.directory.add("realm9", *nine.where, True))
            for server in (self.two, self.false)
        ]
        self.network.advance(1)
        errors = [each for each in found if isinstance(each[0], Exception)]
        self.assertEqual(len(errors), 1, found)
        self.assertEqual(nine.peers()["realm2"].state, "up")
