"""Opaque messages between realms."""

from __future__ import annotations

from typing import Any

import msgspec
from twisted.trial.unittest import TestCase

from chatd.base.errors import NotSupportedThere
from chatd.base.model import MAX_OPAQUE, Opaque
from chatd.base.names import Address, Place, parse_address
from chatd.commands import values as ask
from chatd.federation import capabilities
from chatd.federation.parcels import Direct, encode, try_decode
from tests.support.network import LinkedTestCase, Person, lacks

SEALED = Opaque("application/x-sealed", bytes(range(256)) * (MAX_OPAQUE // 256))


def send(person: Person, *to: str) -> Any:
    return person.does(ask.SendMessage(tuple(map(parse_address, to)), opaque=SEALED))


def post(person: Person, group: str) -> Any:
    return person.does(ask.SendGroupMessage(parse_address(group), opaque=SEALED))


def shown(person: Person, place: Place) -> list[Opaque | None]:
    return [each.opaque for each in person.does(ask.ShowHistory(place, 500)).items]


class Crossing(LinkedTestCase):
    def test_direct(self) -> None:
        """The largest one arrives with the same bytes, and its deletion too."""
        there = Place(user=parse_address("ana@realm1"))
        send(self.ana, "budi@realm2")
        self.assertEqual(shown(self.budi, there), [SEALED])
        self.ana.does(ask.DeleteMessage(Place(user=parse_address("budi@realm2")), 1))
        self.network.settle()
        self.assertEqual(shown(self.budi, there), [None])

    def test_group(self) -> None:
        """The signature of one from either realm is verified."""
        self.ana.creates("bagan")
        self.budi.joins("bagan@realm1")
        post(self.ana, "bagan")
        post(self.budi, "bagan@realm1")
        self.network.settle()
        here, there = Place(group=Address("bagan")), Place(group=parse_address("bagan@realm1"))
        for person, place in ((self.ana, here), (self.budi, there)):
            found = person.does(ask.ShowHistory(place, 500)).items
            self.assertEqual([each.opaque for each in found], [SEALED, SEALED])
            self.assertEqual([each.unverified for each in found], [False, False])


class Types(TestCase):
    def test_only_media_types(self) -> None:
        """What another realm calls a type is shown to people and given to their clients."""
        good = Direct("budi", "ana", 0, None, media="application/x-sealed", body=b"1")
        self.assertEqual(try_decode(encode(good)), good)
        for media in ("", "text", "text/html; charset=x", "a/b\n", "a/\x1b[31m", "a/" + "b" * 65):
            bad = msgspec.structs.replace(good, media=media)
            self.assertIsNone(try_decode(encode(bad)), media)


class OtherLacksThem(LinkedTestCase):
    """realm2 does not take opaque messages."""

    def setUp(self) -> None:
        lacks(self, "realm2", capabilities.OPAQUE)
        super().setUp()

    def test_one(self) -> None:
        with self.assertRaises(NotSupportedThere):
            send(self.ana, "budi@realm2")
        self.assertEqual(self.one.parcels_waiting(), 0)
        self.ana.sends("budi@realm2", "halo")
        self.assertEqual(self.budi.reads(), ["ana@realm1: halo"])

    def test_several(self) -> None:
        """The others get it."""
        dewi = self.one.person("dewi")
        reply = send(self.ana, "dewi", "budi@realm2")
        self.assertEqual([each["to"] for each in reply.data["sent"]], ["dewi"])
        self.assertEqual(shown(dewi, Place(user=Address("ana"))), [SEALED])

    def test_queued(self) -> None:
        """A sender who is not waiting any more is told later."""
        self.part()
        self.assertEqual(send(self.ana, "budi@realm2").data["state"], "queued")
        self.meet()
        (notice,) = self.ana.reads()
        self.assertRegex(notice, r"\Asystem: .* was not delivered: realm2 does not support opaque")
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_group(self) -> None:
        """Its members elsewhere do not get it; those of this realm do."""
        self.ana.creates("bagan")
        dewi = self.one.person("dewi")
        dewi.joins("bagan")
        self.budi.joins("bagan@realm1")
        post(self.ana, "bagan")
        self.network.settle()
        self.assertEqual(shown(dewi, Place(group=Address("bagan"))), [SEALED])
        self.assertEqual(shown(self.budi, Place(group=parse_address("bagan@realm1"))), [])
