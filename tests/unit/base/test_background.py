"""Work in the background: which failures are logged."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.background import in_background
from chatd.base.errors import DiskFull, ShuttingDown, StorageFailed


class InBackground(SynchronousTestCase):
    def test_a_failure_is_logged_with_its_sentence(self) -> None:
        done = in_background("{realm} is not told", fail(ValueError("broken")), realm="realm2")
        self.assertIsNone(self.successResultOf(done))
        (logged,) = self.flushLoggedErrors(ValueError)
        self.assertEqual(logged.getErrorMessage(), "broken")

    def test_a_full_disk_and_a_stopping_daemon_are_no_failures(self) -> None:
        for error in (StorageFailed(), DiskFull(), ShuttingDown()):
            self.assertIsNone(self.successResultOf(in_background("not stored", fail(error))))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_result_is_passed_on(self) -> None:
        self.assertEqual(self.successResultOf(in_background("not found", succeed(3))), 3)

    def test_a_coroutine_begins_at_once(self) -> None:
        begun: Deferred[int] = Deferred()

        async def work() -> int:
            return await begun

        done = in_background("not found", work())
        self.assertNoResult(done)
        begun.callback(4)
        self.assertEqual(self.successResultOf(done), 4)
