"""Bounces: what senders are told about messages that another realm refused or did not take in time."""

from __future__ import annotations

from typing import Any

from chatd.base.errors import GroupClosed, MessageTooLong, StorageFailed, UnknownGroup, UnknownUser
from chatd.federation import bounces as module
from chatd.federation import outcomes, parcels
from chatd.federation.parcel_fields import FileNote
from chatd.federation.parcels import Direct, Joined, Left, Parcel
from chatd.store.outbox import NewParcel
from tests.support.network import NetworkTestCase
from tests.support.signing import SigningRealm, example_post, example_relay

AT = 1_795_169_703_000


class ReturnsTestCase(NetworkTestCase):
    """realm1, where ana lives; realm2 is known there."""

    def setUp(self) -> None:
        super().setUp()
        self.one = self.network.server("realm1")
        self.one.knows("realm2")
        self.ana = self.one.person("ana")
        self.returns = self.one.federation.outcomes

    def put(self, parcel: Parcel, realm: str = "realm2", at: int = AT, sender: bool = True) -> int:
        account = self.ana.account.id if sender else None
        item = NewParcel(realm, parcels.encode(parcel), at, account)
        number: int = self.network.result(self.one.federation.outbox.put(item))
        return number

    def refuse(self, parcel: Parcel, error: Any, realm: str = "realm2", **put: Any) -> list[str]:
        """Refuse a parcel, and return what ana finds in her inbox."""
        number = self.put(parcel, realm, **put)
        self.network.result(self.returns.refuse(realm, number, error))
        return [each.partition("system: ")[2] for each in self.ana.reads()]

    def test_message(self) -> None:
        (told,) = self.refuse(
            Direct("ana", "budi", AT, "halo"), UnknownUser(name="budi", where="realm2")
        )
        self.assertEqual(
            told,
            'Your message "halo" of 2026-11-20T10:15:03Z to budi@realm2 was not delivered: '
            "There is no user budi in realm2",
        )

    def test_long_message(self) -> None:
        (told,) = self.refuse(
            Direct("ana", "budi", AT, "é" * 5000), MessageTooLong(size=10_000, limit=8192)
        )
        self.assertIn(f'"{"é" * module.MAX_QUOTED}…"', told)
        self.assertIn("8192 are allowed", told)

    def test_file(self) -> None:
        note = FileNote("a.txt", 5, "0" * 64, "abcdef")
        (told,) = self.refuse(Direct("ana", "budi", AT, None, note), UnknownUser(name="budi"))
        self.assertIn("Your file a.txt of 2026", told)

    def test_post(self) -> None:
        (told,) = self.refuse(example_post(), GroupClosed(group="bagan"))
        self.assertIn("to the group bagan@realm2 was not delivered: Only members", told)

    def test_something_else(self) -> None:
        (told,) = self.refuse(Left("ana", "bagan"), UnknownGroup(name="bagan"))
        self.assertIn("realm2 was not told: There is no group bagan", told)

    def test_parcel_without_a_sender(self) -> None:
        relay = example_relay()
        self.assertEqual(self.refuse(relay, UnknownGroup(name="bagan"), sender=False), [])
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_forgotten_realm(self) -> None:
        (told,) = self.refuse(Direct("ana", "budi", AT, "x"), UnknownUser(name="budi"), "realm9")
        self.assertIn("to budi@realm9", told)

    def test_once(self) -> None:
        """The sender is told once, even if a parcel is refused several times."""
        number = self.put(Direct("ana", "budi", AT, "halo"))
        error = UnknownUser(name="budi")
        first = self.returns.refuse("realm2", number, error)
        second = self.returns.refuse("realm2", number, error)
        self.network.result(first)
        self.network.result(second)
        self.network.result(self.returns.refuse("realm2", number, error))
        self.assertEqual(len(self.ana.inbox()), 1)

    def test_expire(self) -> None:
        """All expired parcels for all realms are returned, a large number in several transactions."""
        self.patch(outcomes, "MAX_EXPIRED", 4)
        for number in range(6):
            self.put(Direct("ana", "budi", AT, str(number)), at=number)
        self.put(Direct("ana", "budi", AT, "9"), "realm9", at=1)
        self.put(Direct("ana", "budi", AT, "young"), at=100)
        expired = [self.network.result(self.returns.expire(50)) for _ in range(3)]
        self.assertEqual(expired, [4, 3, 0])
        told = self.ana.reads()
        self.assertEqual(len(told), 7)
        self.assertIn("could not be reached in time", told[0])
        self.assertEqual(self.one.parcels_waiting(), 1)

    def test_expire_that_fails(self) -> None:
        """A parcel whose sender can't be told is removed, and the senders of the others are told. While the
        disk is full, all stay."""
        for number in range(3):
            self.put(Direct("ana", "budi", AT, f"no. {number}"), at=number)
        settle = self.returns._settle

        async def failing(undelivered: Any) -> None:
            if any(getattr(each.parcel, "text", "") == "no. 1" for each in undelivered):
                raise ZeroDivisionError
            await settle(undelivered)

        self.one.realm.database.full = True
        with self.assertRaises(StorageFailed):
            self.network.result(self.returns.expire(50))
        self.one.realm.database.full = False
        self.assertEqual(self.one.parcels_waiting(), 3)
        self.patch(self.returns, "_settle", failing)
        self.assertEqual(self.network.result(self.returns.expire(50)), 3)
        self.assertEqual(self.one.parcels_waiting(), 0)
        told = self.ana.reads()
        self.assertEqual(
            [f"no. {each}" in " ".join(told) for each in range(3)], [True, False, True]
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.flushLoggedErrors(StorageFailed)

    def test_refusals_that_are_not_kept(self) -> None:
        """Their number is bounded: the oldest is forgotten. Once the link is down, all of the realm are, and
        those of other realms stay."""
        self.patch(outcomes, "MAX_UNKEPT", 3)
        self.one.knows("realm3")
        error = UnknownUser(name="budi")
        numbers = [self.put(Direct("ana", "budi", AT, str(each))) for each in range(3)]
        other = self.put(Direct("ana", "budi", AT, "x"), "realm3")
        self.one.realm.database.full = True
        for number in numbers:
            self.network.result(self.returns.refuse("realm2", number, error))
        self.network.result(self.returns.refuse("realm3", other, error))
        self.returns.link_down("realm2")
        self.one.realm.database.full = False
        self.network.advance(2 * outcomes.TRY_AGAIN)
        self.assertEqual(len(self.ana.inbox()), 1)
        self.assertEqual(self.one.parcels_waiting(), 3)
        self.one.realm.database.full = True
        self.network.result(self.returns.refuse("realm2", numbers[0], error))
        self.returns.link_down("realm2")
        self.one.realm.database.full = False
        self.network.advance(2 * outcomes.TRY_AGAIN)
        self.assertEqual(self.one.parcels_waiting(), 3)
        self.flushLoggedErrors(StorageFailed)

    def test_members_that_do_not_exist(self) -> None:
        """A member that does not exist in its realm is removed from the group. Other refusals change
        nothing."""
        code = self.ana.creates("bagan")
        self.assertTrue(code)
        signer = SigningRealm("realm2")
        signer.announces(self.one)
        for name in ("budi", "citra"):
            entry = signer.joins(name, group="bagan")
            joining = self.one.federation.questions.join("realm2", name, "bagan", entry)
            membership = self.network.result(joining)
        group = membership.group_id
        unknown = UnknownUser(name="budi")
        self.refuse(
            Joined("bagan", group, "budi", 0), MessageTooLong(size=1, limit=1), sender=False
        )
        self.refuse(Joined("bagan", group + 1, "budi", 0), unknown, sender=False)
        self.refuse(Joined("nusantara", group, "budi", 0), unknown, sender=False)
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "budi@realm2", "citra@realm2"])
        self.refuse(Joined("bagan", group, "budi", 0), unknown, sender=False)
        self.assertEqual(self.ana.members("bagan"), ["*ana+", "citra@realm2"])
        relay = example_relay(group_id=group)
        self.refuse(relay, UnknownGroup(name="bagan"), sender=False)
        self.assertEqual(self.ana.members("bagan"), ["*ana+"])
