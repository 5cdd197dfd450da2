"""The outbox with the real database."""

from __future__ import annotations

from chatd.store.outbox import NewParcel
from tests.support.common import RealmTestCase


class UntilGone(RealmTestCase):
    async def test_acknowledged_and_not_removed_yet(self) -> None:
        """A parcel that was acknowledged a moment ago is gone, although its row is removed later."""
        outbox = self.realm.federation.outbox
        number = await outbox.put(NewParcel("realm2", b"parcel", 0))
        outbox.done("realm2", [number])
        self.assertTrue(await outbox.until_gone("realm2", number, 0.2))
        self.assertEqual(outbox._watched, {})

    async def test_being_removed(self) -> None:
        outbox = self.realm.federation.outbox
        number = await outbox.put(NewParcel("realm2", b"parcel", 0))
        outbox.done("realm2", [number])
        outbox.tidy()
        self.assertTrue(await outbox.until_gone("realm2", number, 0.2))

    async def test_not_acknowledged(self) -> None:
        outbox = self.realm.federation.outbox
        number = await outbox.put(NewParcel("realm2", b"parcel", 0))
        self.assertFalse(await outbox.until_gone("realm2", number, 0.05))
        self.assertEqual(outbox._watched, {})
