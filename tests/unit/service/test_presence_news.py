"""Who is told that somebody has come online, gone offline or changed their profile."""

from __future__ import annotations

from typing import Any
from unittest import mock

import msgspec
from twisted.internet.defer import fail

from chatd.base.errors import StorageFailed
from chatd.base.events import PresenceChange, ProfileChange
from chatd.base.model import MAX_READERS, Account
from chatd.base.names import Address
from chatd.service import presence_news
from chatd.service.presence_news import GRACE, INTERVAL
from chatd.store import watchers
from chatd.store.watchers import watchers_of
from tests.support.common import Listener
from tests.support.inline import result_of
from tests.unit.service.test_messages import MessagesTestCase


class PresenceNewsTestCase(MessagesTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.presence, self.news = self.service.presence, self.service.presence_news
        self.patch(
            self.news, "_on_profile", []
        )  # other realms: tests/unit/federation/test_profiles.py
        self.devices = {each.id: self.follow(each) for each in (self.ana, self.budi, self.citra)}

    def follow(self, account: Account) -> Listener:
        """A connection that listens for all events of an account, which does not appear online by it."""
        listener = Listener()
        self.presence.listen(account.id, listener, True, all_events=True)
        return listener

    def told(self, account: Account) -> list[str]:
        """The changes that an account was told since the last call."""
        heard = self.devices[account.id].heard
        found = [f"{each.who} {each.state}" for each in heard if isinstance(each, PresenceChange)]
        heard.clear()
        return found

    def scheduled(self) -> bool:
        """Whether a round is due."""
        return self.news._timer.due is not None

    def wait(self, seconds: float) -> None:
        self.clock.pump([INTERVAL] * int(seconds / INTERVAL + 1))


class Told(PresenceNewsTestCase):
    def test_an_open_conversation(self) -> None:
        """The other side is told, at once of coming and after a while of going. Others are not."""
        self.send(self.ana, "budi", "1")
        line = Listener()
        self.presence.arrive(self.budi.id, line)
        self.wait(INTERVAL)
        self.assertEqual(self.told(self.ana), ["Budi online"])
        self.presence.leave(self.budi.id, line)
        self.wait(GRACE - 2 * INTERVAL)
        self.assertEqual(self.told(self.ana), [])
        self.wait(2 * INTERVAL)
        self.assertEqual(self.told(self.ana), ["Budi offline"])
        self.assertEqual((self.told(self.budi), self.told(self.citra)), ([], []))

    def test_several_connections(self) -> None:
        """Only the first connection and the last are news."""
        self.send(self.ana, "budi", "1")
        lines = [Listener(), Listener()]
        for line in lines:
            self.presence.arrive(self.budi.id, line)
            self.wait(INTERVAL)
        self.presence.leave(self.budi.id, lines[0])
        self.wait(GRACE)
        self.assertEqual(self.told(self.ana), ["Budi online"])

    def test_a_page_that_is_loaded_again(self) -> None:
        """While a client comes and goes, nothing is told. In the end its state is."""
        self.send(self.ana, "budi", "1")
        line = Listener()
        self.presence.arrive(self.budi.id, line)
        self.wait(INTERVAL)
        self.told(self.ana)
        for _ in range(20):
            self.presence.leave(self.budi.id, line)
            self.wait(INTERVAL)
            self.presence.arrive(self.budi.id, line)
            self.wait(INTERVAL)
        self.assertEqual(self.told(self.ana), [])
        self.wait(GRACE)
        self.assertEqual(self.told(self.ana), ["Budi online"])

    def test_blocks(self) -> None:
        """A block, and its end, are told to both as far as they have something to do with each other."""
        blocks, ana = self.service.blocks, Address("ana")
        for account in (self.ana, self.budi):
            self.presence.arrive(account.id, Listener())
        self.wait(INTERVAL)
        self.told(self.ana), self.told(self.budi)
        result_of(blocks.block(self.budi, ana))
        result_of(blocks.unblock(self.budi, ana))
        self.assertEqual((self.told(self.ana), self.told(self.budi)), ([], []), "strangers")
        result_of(self.service.contacts.add(self.ana, Address("budi")))
        result_of(blocks.block(self.budi, ana))
        self.assertEqual((self.told(self.ana), self.told(self.budi)), (["Budi offline"], []))
        self.send(self.ana, "citra", "1")
        result_of(blocks.block(self.ana, Address("citra")))
        self.assertEqual(self.told(self.citra), ["ana offline"])
        self.assertEqual(self.told(self.ana), [], "citra was offline before")
        result_of(blocks.unblock(self.ana, Address("citra")))
        self.assertEqual(self.told(self.citra), ["ana online"])
        result_of(blocks.block(self.ana, Address("budi")))
        result_of(blocks.unblock(self.budi, ana))
        self.assertEqual(set(self.told(self.ana)), {"Budi offline"}, "one block is left")
        result_of(blocks.unblock(self.ana, Address("budi")))
        self.assertEqual(self.told(self.ana), ["Budi online"])

    def test_contacts_and_groups(self) -> None:
        result_of(self.service.contacts.add(self.ana, Address("budi")))
        self.group(self.budi, self.citra)
        self.presence.arrive(self.budi.id, Listener())
        self.wait(INTERVAL)
        self.assertEqual(self.told(self.ana), ["Budi online"])
        self.assertEqual(self.told(self.citra), ["Budi online"])

    def test_large_groups(self) -> None:
        """The members of a large group are not told. The number of people that are told is bounded."""
        self.group(self.budi, self.citra)
        with mock.patch.object(watchers, "MAX_READERS", 1):
            self.assertEqual(self.watchers(self.budi), set())
        self.assertGreater(MAX_READERS, 1)
        result_of(self.service.contacts.add(self.ana, Address("budi")))
        self.assertEqual(self.watchers(self.budi), {self.ana.id, self.citra.id})
        with mock.patch.object(watchers, "MAX_WATCHERS", 1):
            self.assertEqual(len(self.watchers(self.budi)), 1)

    def watchers(self, account: Account) -> set[int]:
        return set(result_of(self.database.read(watchers_of, account.id)).watchers)

    def test_profile(self) -> None:
        """A changed name is told to the same people, and to the account's own connections but one."""
        self.send(self.ana, "budi", "1")
        self.presence.flush()
        here = self.follow(self.budi)
        for who in (self.ana, self.budi):
            self.told(who)
        changed = result_of(self.service.accounts.change_profile(self.budi, "Mr B", None))
        self.news.profile_changed(changed, here)
        for who in (self.ana, self.budi):
            event = ProfileChange("Budi", "Mr B", changed.country)
            self.assertEqual(self.devices[who.id].heard, [event])
        self.assertEqual((here.heard, self.devices[self.citra.id].heard), ([], []))


class Trouble(PresenceNewsTestCase):
    def test_nobody_listens(self) -> None:
        """Then nothing is looked up for people here, and nothing is scheduled."""
        for account_id, device in self.devices.items():
            self.presence.listen(account_id, device, False)
        with mock.patch.object(self.database, "read") as read:
            self.presence.arrive(self.budi.id, Listener())
            self.news.profile_changed(self.budi, None)
        read.assert_not_called()
        self.assertFalse(self.scheduled())

    def test_many_at_once(self) -> None:
        """They are told in rounds, each once."""
        self.patch(presence_news, "MAX_ROUND", 1)
        self.group(self.ana, self.budi, self.citra)
        for account in (self.budi, self.citra):
            self.presence.arrive(account.id, Listener())
        self.clock.advance(INTERVAL)
        self.assertEqual(self.told(self.ana), ["Budi online"])
        self.clock.advance(INTERVAL)
        self.assertEqual(self.told(self.ana), ["citra online"])
        self.assertFalse(self.scheduled())

    def test_many_watchers(self) -> None:
        """A round ends when it has told enough accounts. The next one continues."""
        self.patch(presence_news, "MAX_TOLD", 1)
        self.group(self.ana, self.budi, self.citra)
        for account in (self.budi, self.citra):
            self.presence.arrive(account.id, Listener())
        self.clock.advance(INTERVAL)
        self.assertEqual(self.told(self.ana), ["Budi online"])
        self.clock.advance(INTERVAL)
        self.assertEqual(self.told(self.ana), ["citra online"])
        self.assertFalse(self.scheduled())

    def test_change_during_a_round(self) -> None:
        """An account that leaves during the lookup of another one is not announced before GRACE is over."""
        self.group(self.ana, self.budi, self.citra)
        line = Listener()
        self.presence.arrive(self.budi.id, Listener())
        self.presence.arrive(self.citra.id, line)
        self.database.held_reads = True
        self.clock.advance(INTERVAL)
        self.presence.leave(self.citra.id, line)
        self.database.held_reads = False
        self.database.answer()
        self.assertEqual(self.told(self.ana), ["Budi online"])
        self.wait(GRACE - 2 * INTERVAL)
        self.assertEqual(self.told(self.ana), [])
        self.wait(2 * INTERVAL)
        self.assertEqual(self.told(self.ana), ["citra offline"])

    def test_slow_database(self) -> None:
        """Further changes wait until the lookup is over."""
        self.send(self.ana, "budi", "1")
        self.database.held_reads = True
        self.presence.arrive(self.budi.id, Listener())
        self.clock.advance(INTERVAL)
        self.presence.arrive(self.ana.id, Listener())
        self.wait(GRACE)
        self.assertEqual((self.told(self.ana), self.told(self.budi)), ([], []))
        self.database.held_reads = False
        self.database.answer()
        self.wait(INTERVAL)
        self.assertEqual(self.told(self.ana), ["Budi online"])
        self.assertEqual(self.told(self.budi), ["ana online"])

    def test_failing_database(self) -> None:
        """What can't be looked up is not told. Only an unexpected error is logged."""
        self.send(self.ana, "budi", "1")
        for error, logged in ((StorageFailed(), 0), (ValueError("x"), 1)):
            line = Listener()
            failing: Any = lambda *_args, error=error: fail(error)  # noqa: E731
            with mock.patch.object(self.database, "read", failing):
                self.presence.arrive(self.budi.id, line)
                self.wait(GRACE)
                self.news.profile_changed(self.budi, None)
                self.presence.leave(self.budi.id, line)
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2 * logged)
            self.wait(GRACE)
            self.assertEqual(self.told(self.ana), ["Budi offline"])

    def test_one_lookup_fails(self) -> None:
        """The other accounts of the round are told."""
        self.group(self.ana, self.budi, self.citra)
        read = self.database.read

        def failing(query: Any, account_id: int, *rest: Any) -> Any:
            if account_id == self.budi.id:
                return fail(ValueError("x"))
            return read(query, account_id, *rest)

        with mock.patch.object(self.database, "read", failing):
            for account in (self.budi, self.citra):
                self.presence.arrive(account.id, Listener())
            self.wait(INTERVAL)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.told(self.ana), ["citra online"])

    def test_many_changes_of_a_profile(self) -> None:
        """While the first one is looked up, the others are not. Of these, only the last one is told."""
        self.send(self.ana, "budi", "1")
        self.told(self.ana)
        self.database.held_reads = True
        with mock.patch.object(self.database, "read", wraps=self.database.read) as read:
            for number in range(20):
                renamed = msgspec.structs.replace(self.budi, display_name=f"B{number}")
                self.news.profile_changed(renamed, None)
            self.assertEqual(read.call_count, 1)
            self.database.held_reads = False
            self.database.answer()
            self.assertEqual(read.call_count, 2)
        heard = self.devices[self.ana.id].heard
        names = [each.name for each in heard if isinstance(each, ProfileChange)]
        self.assertEqual(names, ["B0", "B19"])

    def test_end_during_a_lookup(self) -> None:
        """Nothing is told any more."""
        self.send(self.ana, "budi", "1")
        self.told(self.ana)
        self.database.held_reads = True
        self.presence.arrive(self.budi.id, Listener())
        self.clock.advance(INTERVAL)
        self.news.stop()
        self.database.answer()
        self.assertEqual(self.told(self.ana), [])
        self.assertFalse(self.scheduled())

    def test_unknown_account(self) -> None:
        self.assertIsNone(result_of(self.database.read(watchers_of, 999)))

    def test_after_the_end(self) -> None:
        self.send(self.ana, "budi", "1")
        self.presence.arrive(self.budi.id, Listener())
        self.assertTrue(self.scheduled())
        self.told(self.ana)
        self.news.stop()
        self.presence.arrive(self.citra.id, Listener())
        self.news.profile_changed(self.budi, None)
        self.assertFalse(self.scheduled())
        self.assertEqual(self.devices[self.ana.id].heard, [])
