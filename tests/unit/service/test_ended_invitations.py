"""Invitations to the realm are removed some time after they have ended, a few at a time."""

from __future__ import annotations

from typing import Any
from unittest import mock

from chatd.base.errors import StorageFailed
from chatd.service import ended_invitations as module
from chatd.service.ended_invitations import AFTER_FAILURE, EVERY, FIRST, KEPT
from chatd.store import realm_invitations as store
from chatd.store.realm_invitations import RealmInvitation
from tests.support.inline import result_of
from tests.unit.service.test_messages import MessagesTestCase

DAY = 86_400
MINUTE = 60
LONG = 90 * DAY  # a lifetime, in seconds


class EndedTestCase(MessagesTestCase):
    def run_job(self, job: Any, *args: Any) -> Any:
        return result_of(self.database.run(job, *args))

    def now(self) -> int:
        return int(self.clock.seconds() * 1000)

    def invite(self, uses: int = 1, lifetime: int = LONG) -> int:
        """Make an invitation. Returns its number; its code has the same hash."""
        self.made = getattr(self, "made", 0) + 1
        expires_at = self.now() + lifetime * 1000
        new = RealmInvitation(b"%d" % self.made, "messi", uses, self.now(), expires_at, "")
        number: int = self.run_job(store.add_invitation, new)
        self.assertEqual(number, self.made, "no number is used again")
        return number

    def use(self, number: int) -> None:
        name = f"guest-{self.now()}-{number}"
        self.run_job(store.add_invited_account, b"%d" % number, name, "x", name, "", self.now())

    def revoke(self, number: int) -> None:
        self.run_job(store.revoke_invitation, number, self.now())

    def left(self) -> list[int]:
        """The numbers of those that are still stored, after the job has looked at them."""
        self.clock.pump([EVERY, *[0.05] * 20])
        found, _ = self.run_job(store.list_invitations, self.now(), 100, None)
        return [each.invitation for each in found]

    def start(self) -> None:
        self.service.context.work.start()
        self.clock.advance(FIRST)


class Ends(EndedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.start()

    def assert_removed_after(self, seconds: float, number: int) -> None:
        """Within a day after that time, and not before."""
        self.clock.advance(seconds - DAY - MINUTE)
        self.assertIn(number, self.left())
        self.clock.advance(MINUTE)
        self.assertNotIn(number, self.left())

    def test_revoked(self) -> None:
        number = self.invite()
        self.clock.advance(5 * DAY)
        self.revoke(number)
        self.assert_removed_after(KEPT / 1000, number)

    def test_expired(self) -> None:
        number = self.invite(lifetime=3 * DAY)
        self.assert_removed_after(3 * DAY + KEPT / 1000, number)

    def test_used_up(self) -> None:
        """The last use counts, and not an earlier one."""
        number = self.invite(2)
        self.use(number)
        self.clock.advance(10 * DAY)
        self.use(number)
        self.assert_removed_after(KEPT / 1000, number)

    def test_others_stay(self) -> None:
        """Those that may be used stay, also with some uses; numbers are not used again."""
        number = self.invite(2)
        self.use(number)
        last = self.invite()
        self.revoke(last)
        self.clock.advance(80 * DAY)
        self.assertEqual(self.left(), [number])
        self.use(number)
        self.invite()


class Steps(EndedTestCase):
    def test_many(self) -> None:
        """They are removed in steps, and a stop is between two."""
        self.patch(module, "STEP", 2)
        for number in [self.invite() for _ in range(5)]:
            self.revoke(number)
        self.clock.advance(40 * DAY)
        self.start()
        stopped = self.service.ended_invitations.stop()
        self.assertTrue(stopped.called)
        self.assertEqual(self.left(), [5, 4, 3])
        self.start()
        self.assertEqual(self.left(), [])

    def test_full_disk(self) -> None:
        self.revoke(self.invite())
        self.clock.advance(40 * DAY)
        with mock.patch.object(store, "remove_invitations", side_effect=StorageFailed()):
            self.start()
        self.clock.advance(AFTER_FAILURE)
        found, _ = self.run_job(store.list_invitations, self.now(), 100, None)
        self.assertEqual(found, [])

    def test_wrong_date(self) -> None:
        """Invitations that have not ended survive a clock that is set forward for less than a day."""
        self.start()
        number = self.invite(lifetime=DAY)
        self.patch(self.service.context, "wall", lambda: self.clock.seconds() + 1000 * DAY)
        self.assertEqual(self.left(), [number])
