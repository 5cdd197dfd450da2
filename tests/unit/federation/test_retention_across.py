"""Realms that remove old messages, and other realms that have them too, or are restored from a backup."""

from __future__ import annotations

from typing import Any
from unittest import mock

import sqlalchemy as sa

from chatd.base.names import Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.federation import pasts
from chatd.service import retention as module
from chatd.store import past_pages
from chatd.store import retention as store
from chatd.store.retention import REALM, RetentionLimits
from chatd.store.schema import messages, signatures
from tests.support.inline import result_of
from tests.support.network import LinkedTestCase
from tests.support.restores import RestoredTestCase


class AcrossRealms(LinkedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(module, "MIN_AGE", 0)
        self.budi.creates("bagan")
        self.ana.joins("bagan@realm2")

    def remove(self, service: Any) -> None:
        """Let a realm remove what there is."""
        self.network.advance(120)
        if not service.retention._limits:
            service.database.run(store.put_limits, REALM, RetentionLimits(age=60_000))
            self.network.settle()
        service.retention.changed()
        self.network.advance(1)

    def texts(self, person: Any, group: str) -> list[str | None]:
        return [each.text for each in self.items(person, group)]

    def items(self, person: Any, group: str) -> Any:
        return person.does(ask.ShowHistory(Place(None, parse_group(group)), 500)).items

    def place(self, group: str) -> tuple[Place, int]:
        """The first message of a group."""
        [item] = self.items(self.ana, "bagan@realm2")
        return Place(None, parse_group(group)), item.seq

    def both(self) -> tuple[list[str | None], list[str | None]]:
        return self.texts(self.ana, "bagan@realm2"), self.texts(self.budi, "bagan")

    def test_each_realm_keeps_what_it_wants(self) -> None:
        """What a home has removed stays in another realm."""
        self.budi.posts("bagan", "satu")
        self.remove(self.two.service)
        self.assertEqual(self.both(), (["satu"], [None]))
        self.budi.posts("bagan", "dua")
        self.assertEqual(self.both()[0], ["satu", "dua"])

    def test_content_can_not_be_guessed(self) -> None:
        """The salts of signed contents go too, so that realms get them as deleted ones."""
        self.budi.posts("bagan", "satu")
        before = self.salts()
        self.remove(self.two.service)
        self.assertEqual((before, self.salts()), (1, 0))

    def salts(self) -> int:
        count = sa.select(sa.func.count()).where(
            signatures.c.salt.is_not(None),
            signatures.c.conversation_id == messages.c.conversation_id,
            signatures.c.seq == messages.c.seq,
        )
        found = self.two.service.database.read(lambda db: db.scalar(count))
        self.network.settle()
        return int(result_of(found))

    def test_edit_of_a_removed_message(self) -> None:
        """It does not come back."""
        self.ana.posts("bagan@realm2", "satu")
        self.remove(self.two.service)
        self.ana.does(ask.EditMessage(*self.place("bagan@realm2"), "dua"))
        self.assertEqual(self.both()[1], [None])

    def test_deletion_of_a_removed_message(self) -> None:
        """Its author can remove it from other realms."""
        self.budi.posts("bagan", "satu")
        self.remove(self.two.service)
        self.budi.does(ask.DeleteMessage(*self.place("bagan")))
        self.assertEqual(self.both(), ([None], [None]))

    def test_author_is_erased(self) -> None:
        """What this realm has removed leaves the other realm too when its author's account is erased."""
        self.ana.posts("bagan@realm2", "satu")
        self.ana.sends("budi@realm2", "dua")
        service = self.one.realm.service
        self.remove(service)
        self.assertEqual(self.both()[1], ["satu"])
        with mock.patch.object(service.accounts, "check_own_password"):
            self.network.result(service.departures.delete(self.ana.account, "", True, "here"))
        self.network.settle()
        self.assertEqual(self.texts(self.budi, "bagan"), [None])
        self.assertEqual(self.budi.history("ana@realm1"), ["ana@realm1: file None"])

    def test_past_that_is_fetched_later(self) -> None:
        """It is as old as what was removed before it came."""
        self.patch(past_pages, "PAGE", 2)
        self.patch(pasts, "BACKGROUND", 2)
        self.ana.creates("biru")
        for text in ("satu", "dua", "tiga", "empat", "lima"):
            self.ana.posts("biru", text)
        self.budi.joins("biru@realm1")
        self.remove(self.two.service)
        newest = [None] * 2
        self.assertEqual(self.texts(self.budi, "biru@realm1")[-2:], newest)
        for _ in range(5):
            self.texts(self.budi, "biru@realm1")
        self.assertIn("satu", self.texts(self.budi, "biru@realm1"))
        self.remove(self.two.service)
        self.assertEqual(self.texts(self.budi, "biru@realm1"), [None] * 5)


class Restored(RestoredTestCase):
    """What one realm has removed is not new to the other one after a restore, and later messages arrive."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(module, "MIN_AGE", 0)

    def remove(self, service: Any) -> None:
        """Let a realm remove what there is."""
        self.network.advance(120)
        service.database.run(store.put_limits, REALM, RetentionLimits(age=60_000))
        self.network.settle()
        service.retention.changed()
        self.network.advance(1)

    def texts(self, person: Any, place: Place) -> list[str | None]:
        return [each.text for each in person.does(ask.ShowHistory(place, 500)).items]

    def test_direct(self) -> None:
        here, there = (Place(parse_address(each), None) for each in ("budi@realm2", "ana@realm1"))
        self.ana.sends("budi@realm2", "satu")
        copy = self.back_up(self.one)
        self.ana.sends("budi@realm2", "dua")
        self.budi.sends("ana@realm1", "tiga")
        self.remove(self.two.service)
        self.restore(self.one, copy)
        self.ana.sends("budi@realm2", "empat")
        self.network.advance(5)
        self.assertEqual(self.texts(self.budi, there), [None, None, None, "empat"])
        self.assertEqual(self.texts(self.ana, here), ["satu", None, "empat"])
        self.assertEqual(self.one.parcels_waiting() + self.two.parcels_waiting(), 0)

    def test_group(self) -> None:
        """Whether the home or the other realm is restored."""
        for name, restored, remover in (
            ("bagan", self.one, self.two),
            ("biru", self.two, self.one),
        ):
            self.budi.creates(name)
            there, here = (Place(None, parse_group(each)) for each in (name, f"{name}@realm2"))
            self.ana.joins(f"{name}@realm2")
            self.ana.posts(f"{name}@realm2", "satu")
            copy = self.back_up(restored)
            self.ana.posts(f"{name}@realm2", "dua")
            self.budi.posts(name, "tiga")
            self.remove(remover.service)
            self.restore(restored, copy)
            self.ana.posts(f"{name}@realm2", "empat")
            self.network.advance(5)
            found = self.texts(self.ana, here), self.texts(self.budi, there)
            kept, gone = found if restored is self.one else found[::-1]
            self.assertEqual(gone, [None, None, None, "empat"])
            self.assertEqual(kept, ["satu", None, None, "empat"])
