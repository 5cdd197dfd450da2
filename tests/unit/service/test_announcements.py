"""Messages of operators to all accounts, or to those that are in a group."""

from __future__ import annotations

from typing import Any
from unittest import mock

from chatd.base.errors import Busy, DiskFull, MessageTooLong, StorageFailed
from chatd.base.model import Account
from chatd.base.names import SYSTEM
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR
from chatd.service import announcements as module
from chatd.service.announcements import RETRY
from chatd.store import announcements as store
from chatd.store import conversations
from tests.support.inline import outcome_of, result_of
from tests.unit.service.test_messages import MessagesTestCase

TEXT = "Back at noon"


class AnnouncementsTestCase(MessagesTestCase):
    def setUp(self) -> None:
        self.patch(module, "STEP", 2)
        super().setUp()
        self.people = self.ana, self.budi, self.citra
        self.service.announcements._work.start(0.0)

    def announce(self, text: str = TEXT, group: int | None = None) -> Any:
        """The number of accounts, or the class of the error."""
        actor = Principal("local:root", OPERATOR)
        act = self.service.audit.act(actor, "admin.announce", text, "")
        return outcome_of(self.service.announcements.announce(act, text, group))

    def work(self, seconds: float = 1.0) -> None:
        for _ in range(int(seconds / 0.05)):
            self.clock.advance(0.05)

    def inboxes(self) -> list[list[str | None]]:
        return [self.inbox(each) for each in self.people]


class Receivers(AnnouncementsTestCase):
    def test_all(self) -> None:
        """Everybody has it in the inbox, and reads it at once who listens."""
        listener = self.listen(self.budi)
        self.assertEqual(self.announce(), 3)
        self.work()
        self.service.presence.flush()
        self.assertEqual(self.inboxes(), [[TEXT]] * 3)
        self.assertEqual(listener.texts, [TEXT])
        self.assertEqual(self.page(self.ana).messages[0].sender, SYSTEM)

    def test_a_group(self) -> None:
        group = self.group(self.ana, self.citra)
        self.assertEqual(self.announce(group=group), 2)
        self.work()
        self.assertEqual(self.inboxes(), [[TEXT], [], [TEXT]])

    def test_in_order(self) -> None:
        self.announce("1")
        self.announce("2")
        self.work()
        self.assertEqual(self.inboxes(), [["1", "2"]] * 3)

    def test_others(self) -> None:
        """Neither deleted accounts get it, nor those that are made later."""
        deleting = self.service.departures.delete(self.citra, "surabaya", False, "here")
        self.assertIsNone(outcome_of(deleting))
        self.assertEqual(self.announce(), 2)
        dewi: Account = self.account("dewi")
        self.work()
        self.assertEqual([self.inbox(each) for each in (self.ana, self.budi)], [[TEXT]] * 2)
        self.assertEqual(self.inbox(dewi), [])


class Interruptions(AnnouncementsTestCase):
    def waiting(self) -> Any:
        return result_of(self.database.read(store.next_announcement))

    def test_restarts(self) -> None:
        """After each step, the next start continues, and nobody gets it twice."""
        self.patch(module, "STEP", 1)
        self.announce()
        for count in range(4):
            self.assertEqual(sum(map(bool, self.inboxes())), count)
            for call in self.clock.getDelayedCalls():  # as after a kill
                call.cancel()
            self.reopen()
            self.service.announcements._work.start(0.0)
            self.clock.advance(0)
        self.assertEqual(self.inboxes(), [[TEXT]] * 3)
        self.assertIsNone(self.waiting())

    def test_stop(self) -> None:
        self.announce()
        self.clock.advance(0)
        result_of(self.service.announcements.stop())
        self.work()
        self.assertEqual(sum(map(bool, self.inboxes())), 2)
        self.reopen()
        self.service.context.work.start()
        self.work()
        self.assertEqual(self.inboxes(), [[TEXT]] * 3)

    def test_storage_that_fails(self) -> None:
        self.announce()
        refusing = mock.Mock(side_effect=StorageFailed)
        with mock.patch.object(self.service.announcements, "_step", refusing):
            self.work()
        self.assertEqual(self.inboxes(), [[]] * 3)
        self.clock.advance(RETRY)
        self.work()
        self.assertEqual(self.inboxes(), [[TEXT]] * 3)

    def test_one_account_that_fails(self) -> None:
        """The others get it all the same."""
        opened = conversations.open_system

        def fails(connection: Any, account: int, now: int) -> int:
            if account == self.budi.id:
                raise ValueError("boom")
            return opened(connection, account, now)

        self.patch(conversations, "open_system", fails)
        self.announce()
        self.work()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.inboxes(), [[TEXT], [], [TEXT]])
        self.assertIsNone(self.waiting())


class Refusals(AnnouncementsTestCase):
    def test_too_long(self) -> None:
        self.assertIs(self.announce("x" * 10_000), MessageTooLong)

    def test_disk(self) -> None:
        with mock.patch.object(self.service.disk, "room", return_value=-1):
            self.assertIs(self.announce(), DiskFull)

    def test_too_many(self) -> None:
        for _ in range(store.MAX_WAITING):
            self.assertEqual(self.announce(), 3)
        self.assertIs(self.announce(), Busy)
        self.work(10)
        self.assertEqual(self.announce(), 3)
