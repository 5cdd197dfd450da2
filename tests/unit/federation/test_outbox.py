"""The outbox with the real database."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatd.base.errors import GroupClosed
from chatd.base.model import DELIVERED, QUEUED, REFUSED, Message
from chatd.federation import outbox as module
from chatd.federation.outbox import Settled
from chatd.federation.parcels import Direct
from chatd.store.outbox import NewParcel
from chatd.store.outcomes import Acknowledged
from tests.support.common import RealmTestCase
from tests.unit.federation.test_bounces import AT, ReturnsTestCase


def acknowledged(numbers: list[int]) -> Acknowledged:
    """As of parcels that were read from the disk."""
    return Acknowledged([*numbers], unknown=[*numbers])


class UntilGone(RealmTestCase):
    async def test_acknowledged_and_not_removed_yet(self) -> None:
        """A parcel that was acknowledged a moment ago is gone, although its row is removed later."""
        outbox = self.realm.federation.outbox
        number = await outbox.put(NewParcel("realm2", b"parcel", 0))
        outbox.done("realm2", acknowledged([number]))
        self.assertTrue(await outbox.until_gone("realm2", number, 0.2))
        self.assertEqual(outbox._watched, {})

    async def test_being_removed(self) -> None:
        outbox = self.realm.federation.outbox
        number = await outbox.put(NewParcel("realm2", b"parcel", 0))
        outbox.done("realm2", acknowledged([number]))
        outbox.tidy()
        self.assertTrue(await outbox.until_gone("realm2", number, 0.2))

    async def test_not_acknowledged(self) -> None:
        outbox = self.realm.federation.outbox
        number = await outbox.put(NewParcel("realm2", b"parcel", 0))
        self.assertFalse(await outbox.until_gone("realm2", number, 0.05))
        self.assertEqual(outbox._watched, {})


class Outcomes(SynchronousTestCase):
    """What a read of the database finds waiting, although its outcome is known."""

    def setUp(self) -> None:
        self.settled = Settled([("realm2", [1, 2])])

    def message(self, realm: str, number: int) -> Message:
        return Message(9, 1, 1, 0, "ana", state=QUEUED, waits=(realm, number))

    def state(self, realm: str, number: int) -> tuple[str, str | None]:
        found = self.settled.fresh(self.message(realm, number))
        return found.state, found.reason

    def test_fresh(self) -> None:
        """A message has the outcome of its own parcel, and not of one that another realm numbers alike."""
        self.settled.delivered("realm2", [5])
        self.settled.refused("realm2", 6, "no room")
        for number in (1, 2, 5):
            self.assertEqual(self.state("realm2", number), (DELIVERED, None))
        self.assertEqual(self.state("realm2", 6), (REFUSED, "no room"))
        for realm, number in (("realm2", 7), ("realm3", 1), ("realm3", 6)):
            self.assertEqual(self.state(realm, number), (QUEUED, None))

    def test_waits_for_nothing(self) -> None:
        """A message that waits for no realm stays as it was read."""
        message = Message(9, 1, 1, 0, "ana")
        self.assertIs(self.settled.fresh(message), message)


class Watching(ReturnsTestCase):
    """Outcomes that come while messages are read."""

    def direct(self) -> int:
        return self.put(Direct("ana", "budi", AT, "halo"))

    def state(self, settled: Settled, number: int) -> tuple[str, str | None]:
        found = settled.fresh(Message(9, 1, 1, 0, "ana", state=QUEUED, waits=("realm2", number)))
        return found.state, found.reason

    def test_while_reading(self) -> None:
        """What is settled before or during the watch is known to it; after it nothing is kept for it."""
        outbox = self.one.federation.outbox
        before, during, refused, left = [self.direct() for _ in range(4)]
        outbox.done("realm2", acknowledged([before]))
        with outbox.watch() as settled:
            outbox.done("realm2", acknowledged([during]))
            self.network.result(self.returns.refuse("realm2", refused, GroupClosed(group="x")))
            states = [self.state(settled, each) for each in (before, during, refused, left)]
        reason = str(GroupClosed(group="x"))
        expected = [(DELIVERED, None), (DELIVERED, None), (REFUSED, reason), (QUEUED, None)]
        self.assertEqual(states, expected)
        self.assertEqual(outbox._watches, [])

    def test_many_delivered(self) -> None:
        """Beyond a number of delivered parcels, they are removed at once and not a moment later."""
        self.patch(module, "MAX_UNTIDY", 3)
        numbers = [self.direct() for _ in range(4)]
        self.one.federation.outbox.done("realm2", acknowledged(numbers[:3]))
        self.network.settle()  # no time passes
        self.assertEqual(self.one.parcels_waiting(), 1)

    def test_disk_full_at_the_end(self) -> None:
        """What can't be removed when the realm stops is not tried again; it is sent and ignored later."""
        outbox = self.one.federation.outbox
        outbox.done("realm2", acknowledged([self.direct()]))
        self.one.realm.database.full = True
        self.network.result(outbox.stop())
        self.one.realm.database.full = False
        self.network.advance(2 * module.TRY_AGAIN)
        self.assertEqual(self.one.parcels_waiting(), 1)
        self.assertEqual(self.flushLoggedErrors(), [])  # the database logs why

    def test_depths(self) -> None:
        """What is acknowledged does not count as waiting."""
        outbox = self.one.federation.outbox
        first, _ = self.direct(), self.direct()
        outbox.done("realm2", acknowledged([first]))
        depths = self.network.result(outbox.depths())
        self.assertEqual(depths["realm2"].queued, 1)
