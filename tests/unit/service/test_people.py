"""Lists of people, and what they show and hide: being online, away, and their status."""

from __future__ import annotations

from unittest import mock

import msgspec

from chatd.base.events import ProfileChange
from chatd.base.model import Account, Privacy, PrivacyKey
from chatd.base.names import Address, parse_address
from chatd.commands.idleness import IDLE_AFTER, INTERVAL, ROUNDS, Idleness
from chatd.service import people as module
from chatd.service.online_accounts import AWAY
from chatd.service.presence import IListener
from chatd.service.remote import TheirState
from tests.support.common import Listener
from tests.support.inline import result_of
from tests.unit.service.test_presence_news import PresenceNewsTestCase


class PeopleTestCase(PresenceNewsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.people = self.service.people

    def arrive(self, *accounts: Account) -> list[IListener]:
        listeners: list[IListener] = [Listener() for _ in accounts]
        for account, listener in zip(accounts, listeners, strict=True):
            self.presence.arrive(account.id, listener)
        return listeners

    def active(self, viewer: Account) -> list[str]:
        found, _ = result_of(self.people.active(viewer))
        return [f"{each.username}{' away' if each.away else ''}" for each in found]

    def choose(self, account: Account, key: PrivacyKey, on: bool) -> None:
        result_of(self.service.privacy.choose(account, key, on))

    def within(self, seconds: float) -> list[str]:
        """The news that ana gets in the next `seconds`."""
        self.wait(seconds)
        return self.told(self.ana)


class Lists(PeopleTestCase):
    def test_by_name(self) -> None:
        users, more = result_of(self.people.all(self.ana))
        self.assertEqual([each.username for each in users], ["ana", "Budi", "citra"])
        self.assertEqual(more, 0)
        self.assertFalse(any(each.online for each in users))

    def test_active(self) -> None:
        """An account is active if it is logged in on some connection."""
        (listener,) = self.arrive(self.budi)
        self.assertEqual(self.active(self.ana), ["Budi"])
        self.presence.leave(self.budi.id, listener)
        self.assertEqual(self.active(self.ana), [])

    def test_long_lists_are_cut(self) -> None:
        """A list is limited, and says how many more there are."""
        self.arrive(self.ana, self.budi, self.citra)
        with mock.patch.object(module, "MAX_LISTED", 2):
            for found, more in (
                result_of(self.people.all(self.ana)),
                result_of(self.people.active(self.ana)),
            ):
                self.assertEqual((len(found), more), (2, 1))

    def test_blocks(self) -> None:
        """If one of two people has blocked the other, both see each other offline in every list."""
        self.arrive(self.ana, self.budi, self.citra)
        self.send(self.ana, "budi", "1")
        result_of(self.service.contacts.add(self.ana, Address("budi")))
        self.group(self.ana, self.budi)
        result_of(self.service.blocks.block(self.budi, Address("ana")))
        self.assertEqual(self.active(self.ana), ["ana", "citra"])
        self.assertEqual(self.active(self.budi), ["Budi", "citra"])
        (contact,) = result_of(self.service.contacts.all(self.ana))
        self.assertFalse(contact.online)
        conversations, _ = result_of(self.service.conversations.all(self.ana, {}))
        self.assertEqual([each.online for each in conversations if each.user], [False])
        _, members = result_of(self.service.groups.members(self.ana, Address("bagan")))
        self.assertEqual([each.online for each in members], [True, False])


class Hidden(PeopleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.send(self.ana, "budi", "1")

    def test_hidden(self) -> None:
        """Others are told once that a hidden account is offline. It sees itself online."""
        self.arrive(self.budi)
        self.assertEqual(self.within(INTERVAL), ["Budi online"])
        self.choose(self.budi, "presence", False)
        self.assertEqual(self.within(INTERVAL), ["Budi offline"])
        self.assertEqual(self.active(self.ana), [])
        self.assertEqual(self.active(self.budi), ["Budi"])
        self.assertEqual(self.seen_in_realm2(), {"budi": "offline"})
        self.presence.set_away(self.budi.id, True)
        (more,) = self.arrive(self.budi)
        self.presence.leave(self.budi.id, more)
        self.assertEqual(self.within(10), [])
        self.choose(self.budi, "presence", True)
        self.assertEqual(self.within(INTERVAL), ["Budi away"])

    def test_while_offline(self) -> None:
        """An account that hides while it is offline causes no news, also when it comes online."""
        for on in (True, False):
            self.choose(self.budi, "presence", on)
        self.arrive(self.budi)
        self.assertEqual(self.within(10), [])

    def test_blocked_realm(self) -> None:
        self.arrive(self.budi)
        self.assertEqual(self.seen_in_realm2(), {"budi": "online"})
        result_of(self.service.blocks.block(self.budi, "realm2"))
        self.assertEqual(self.seen_in_realm2(), {"budi": "offline"})

    def test_blocked_people(self) -> None:
        """A realm is told for whom an account is offline. If there are many of them, or if the realm does not
        take that, the account is offline for all of the realm."""
        self.arrive(self.budi)
        for name in ("cici@realm2", "dodi@realm2", "dodi@another.realm2"):
            result_of(self.service.blocks.block(self.budi, parse_address(name)))
        found = result_of(self.people.states_for_realm("realm2", ["budi"], True))
        self.assertEqual(found, {"budi": TheirState("budi", "online", (), ("cici", "dodi"))})
        self.assertEqual(self.seen_in_realm2(False), {"budi": "offline"})
        self.patch(module, "MAX_UNSEEN", 1)
        self.assertEqual(self.seen_in_realm2(), {"budi": "offline"})

    def seen_in_realm2(self, takes_unseen: bool = True) -> dict[str, str]:
        asked = self.people.states_for_realm("realm2", ["budi", "nobody"], takes_unseen)
        return {name: each.state for name, each in result_of(asked).items()}


class Away(PeopleTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.send(self.ana, "budi", "1")
        (self.line,) = self.arrive(self.budi)
        self.wait(INTERVAL)
        self.told(self.ana)

    def test_said(self) -> None:
        """Being away ends when the account says so, or goes offline."""
        for away, told in ((True, "Budi away"), (True, None), (False, "Budi online")):
            self.presence.set_away(self.budi.id, away)
            self.assertEqual(self.within(INTERVAL), [] if told is None else [told])
        self.presence.set_away(self.budi.id, True)
        self.assertEqual(self.active(self.ana), ["Budi away"])
        self.presence.leave(self.budi.id, self.line)
        self.presence.set_away(self.budi.id, True)
        self.arrive(self.budi)
        self.assertEqual(self.active(self.ana), ["Budi"])

    def test_idle(self) -> None:
        """An account is away when no connection of it has sent anything for a while."""
        sessions = mock.Mock(service=self.service)
        heard = self.clock.seconds()
        sessions.last_heard.side_effect = lambda _account: heard
        idleness = Idleness(sessions)
        idleness.start()
        self.clock.advance(IDLE_AFTER)
        self.assertEqual(self.active(self.ana), ["Budi"])
        self.clock.pump([INTERVAL] * 2)
        self.assertEqual(self.active(self.ana), ["Budi away"])
        heard = self.clock.seconds()
        self.clock.pump([INTERVAL] * 2)
        self.assertEqual(self.active(self.ana), ["Budi"])
        idleness.stop()

    def test_many_idle(self) -> None:
        """The rounds of a turn check all accounts, however many there are."""
        accounts = range(1000, 3000)
        for account_id in accounts:
            self.presence.arrive(account_id, Listener())
        sessions = mock.Mock(service=self.service)
        sessions.last_heard.return_value = self.clock.seconds() - IDLE_AFTER - 1
        idleness = Idleness(sessions)
        idleness.start()
        self.clock.pump([INTERVAL] * ROUNDS)
        self.assertEqual({self.presence.state(each) for each in accounts}, {AWAY})
        idleness.stop()

    def test_back_while_idle(self) -> None:
        """An idle account that says that it is back is seen online at once."""
        self.presence.set_idle(self.budi.id, True)
        self.assertEqual(self.within(INTERVAL), ["Budi away"])
        self.presence.set_away(self.budi.id, False)
        self.assertEqual(self.within(INTERVAL), ["Budi online"])


class Settings(PeopleTestCase):
    def test_choices(self) -> None:
        """Each choice is kept without the others, also over a restart."""
        keys: tuple[PrivacyKey, ...] = ("receipts", "presence", "invitations")
        for key in keys:
            self.choose(self.ana, key, False)
            expected = msgspec.structs.replace(Privacy(), **{key: False})
            self.reopen()
            self.assertEqual(result_of(self.service.privacy.of(self.ana)), expected)
            self.choose(self.ana, key, True)
        self.assertEqual(result_of(self.service.privacy.of(self.budi)), Privacy())

    def test_status(self) -> None:
        """A status is shown in lists, and its change is told to people who share a conversation."""
        self.send(self.ana, "budi", "1")
        for text in ("di kantor", ""):
            account = result_of(self.service.accounts.set_status(self.budi, text))
            self.service.presence_news.profile_changed(account, None)
            heard = self.devices[self.ana.id].heard
            news = [each for each in heard if isinstance(each, ProfileChange)]
            self.assertEqual(news, [ProfileChange("Budi", "Budi", "", text)])
            self.devices[self.ana.id].heard.clear()
            users, _ = result_of(self.people.all(self.ana))
            self.assertEqual([each.status for each in users], ["", text, ""])
