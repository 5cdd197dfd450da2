"""What becomes of a message to several recipients."""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import ChatError, UnknownUser
from chatd.base.model import Receipt, Sent
from chatd.service.publisher import collect


class Collecting(SynchronousTestCase):
    def test_failures(self) -> None:
        """All posts end before the first failure is raised, and the others are logged."""
        last: Deferred[Sent] = Deferred()
        posts = {
            "ana": fail(ValueError("one")),
            "budi": fail(KeyError("two")),
            "citra": fail(UnknownUser(name="citra")),
            "dewi": last,
        }
        errors: dict[str, ChatError] = {}
        collecting = Deferred.fromCoroutine(collect(posts, errors))
        self.assertNoResult(collecting)
        last.callback(Sent((Receipt(1, 1, 1, "dewi"),)))
        self.failureResultOf(collecting, ValueError)
        self.assertEqual(list(errors), ["citra"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_receipts(self) -> None:
        receipts = [Receipt(number, 1, number, name) for number, name in enumerate("ab", 1)]
        posts = {each.to: succeed(Sent((each,))) for each in receipts}
        found = self.successResultOf(Deferred.fromCoroutine(collect(posts, {})))
        self.assertEqual(found, receipts)
