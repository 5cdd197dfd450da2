"""Contact lists, and which contacts are online, here and in other realms."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed

from chatd.base.errors import (
    ContactExists,
    RealmDown,
    UnknownContact,
    UnknownRealm,
    UnknownUser,
)
from chatd.base.model import Account
from chatd.base.names import Address
from chatd.base.replies import Contact
from chatd.service.contacts import Contacts
from chatd.service.online_accounts import AWAY, OFFLINE
from chatd.service.presence_elsewhere import PresenceElsewhere
from chatd.service.remote import TheirState
from chatd.service.remote_presence import RemotePresence
from tests.support.common import ClockedTestCase, Listener
from tests.support.no_realms import NoRealms


class TwoRealms(NoRealms):
    """Realm2 answers, and Realm3 is down."""

    def __init__(self) -> None:
        self.people = {"lineker": AWAY, "henderson": OFFLINE}
        self.asked: list[tuple[str, list[str]]] = []
        self.broken: str | None = None  # a realm about which nobody has thought of everything

    def name_of(self, realm: str) -> str:
        if realm not in ("realm2", "realm3"):
            raise UnknownRealm(realm=realm)
        return realm.title()

    def presence(self, realm: str, *args: Any) -> Deferred[dict[str, TheirState]]:
        users: Collection[str] = args[0]
        self.asked.append((realm, list(users)))
        if realm == self.broken:
            return fail(ZeroDivisionError())
        if realm == "realm3":
            return fail(RealmDown(realm="Realm3"))
        known = [name for name in users if name in self.people]
        return succeed({name: TheirState(name, self.people[name]) for name in known})


class ContactsTestCase(ClockedTestCase):
    @property
    def contacts(self) -> Contacts:
        return self.realm.service.contacts

    async def register(self, name: str) -> Account:
        return (await self.realm.service.accounts.register(name, "surabaya", None, None)).account


class Here(ContactsTestCase):
    async def test_list(self) -> None:
        """Contacts are sorted by name, written as registered, with their online state, and survive
        restarts."""
        messi = await self.register("messi")
        await self.register("Lineker")
        henderson = await self.register("henderson")
        added = await self.contacts.add(messi, Address("lineker"))
        self.assertEqual(added, Address("Lineker"))
        await self.contacts.add(messi, Address("henderson", "realm1"))
        await self.contacts.add(messi, Address("messi"))
        await self.reopen()
        self.realm.service.presence.arrive(henderson.id, Listener())
        expected = (Contact("henderson", True), Contact("Lineker", False), Contact("messi", False))
        self.assertEqual(await self.contacts.all(messi), expected)
        self.assertEqual(await self.contacts.all(henderson), ())

    async def test_delete(self) -> None:
        messi = await self.register("messi")
        await self.register("Lineker")
        await self.contacts.add(messi, Address("lineker"))
        await self.contacts.delete(messi, Address("LINEKER", "realm1"))
        self.assertEqual(await self.contacts.all(messi), ())
        for address in (Address("lineker"), Address("lineker", "realm2")):
            done = self.contacts.delete(messi, address)
            self.assertIs(await self.refused(done), UnknownContact)

    async def test_refused(self) -> None:
        messi = await self.register("messi")
        await self.register("Lineker")
        await self.contacts.add(messi, Address("lineker"))
        for address, error in (
            (Address("LINEKER"), ContactExists),
            (Address("lineker", "REALM1"), ContactExists),
            (Address("nobody"), UnknownUser),
            (Address("lineker", "realm2"), UnknownRealm),
        ):
            self.assertIs(await self.refused(self.contacts.add(messi, address)), error)


class Elsewhere(ContactsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.realms = TwoRealms()

    @property
    def contacts(self) -> Contacts:
        service = self.realm.service
        there = RemotePresence(
            service.context,
            self.realms,
            service.presence,
            PresenceElsewhere(self.clock, self.realms),
            service.blocks,
        )
        return Contacts(
            service.context,
            service.accounts,
            service.blocks,
            self.realms,
            service.directs.answers,
            there,
        )

    async def test_list(self) -> None:
        """People of other realms are listed among the others, and each realm is asked once. Those whose realm
        is down or no longer known are offline."""
        messi = await self.register("messi")
        for name, realm, shown in (
            ("lineker", "REALM2", "lineker@Realm2"),
            ("Henderson", "realm2", "Henderson@Realm2"),
            ("maradona", "realm3", "maradona@Realm3"),
            ("messi", None, "messi"),
        ):
            self.assertEqual(str(await self.contacts.add(messi, Address(name, realm))), shown)
        self.realms.asked.clear()
        self.assertEqual(
            set(await self.contacts.all(messi)),
            {
                Contact("lineker@Realm2", True, True),
                Contact("Henderson@Realm2", False),
                Contact("maradona@Realm3", False),
                Contact("messi", False),
            },
        )
        self.assertEqual(
            sorted((realm, sorted(names)) for realm, names in self.realms.asked),
            [("realm2", ["henderson", "lineker"]), ("realm3", ["maradona"])],
        )
        alone = self.realm.service.contacts
        self.assertFalse(any(contact.online for contact in await alone.all(messi)))

    async def test_answer_fails(self) -> None:
        """What is unexpected about one realm is logged, and the people of the others are shown."""
        messi = await self.register("messi")
        for name, realm in (("lineker", "realm2"), ("maradona", "realm3")):
            await self.contacts.add(messi, Address(name, realm))
        for broken in ("realm3", "realm2"):
            self.realms.broken = broken
            shown = {each.username: each.online for each in await self.contacts.all(messi)}
            here = {"lineker@Realm2": broken == "realm3", "maradona@Realm3": False}
            self.assertEqual(shown, here)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_delete(self) -> None:
        """A contact can be deleted after its realm was forgotten."""
        messi = await self.register("messi")
        await self.contacts.add(messi, Address("Lineker", "realm2"))
        await self.realm.service.contacts.delete(messi, Address("lineker", "REALM2"))
        self.assertEqual(await self.contacts.all(messi), ())

    async def test_refused(self) -> None:
        """Unknown users are refused as far as their realm answers."""
        messi = await self.register("messi")
        await self.contacts.add(messi, Address("lineker", "realm2"))
        for address, error in (
            (Address("LINEKER", "realm2"), ContactExists),
            (Address("nobody", "realm2"), UnknownUser),
            (Address("lineker", "realm4"), UnknownRealm),
            (Address("nobody", "realm3"), None),
        ):
            done = self.contacts.add(messi, address)
            self.assertIs(await self.refused(done), error, address)
        with self.assertRaises(UnknownUser) as caught:
            await self.contacts.add(messi, Address("nobody", "realm2"))
        self.assertEqual(str(caught.exception), "There is no user nobody in Realm2")
