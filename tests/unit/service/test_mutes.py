"""Mutes: which messages to groups are refused, also those of people of other realms."""

from __future__ import annotations

from typing import Any

from chatd.base.errors import Muted, NotMuted, TooManyMutes
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR
from chatd.service.audit import Act
from chatd.store import mutes as store
from chatd.store.mutes import EVERYWHERE
from tests.support.common import ClockedTestCase


class MuteTests(ClockedTestCase):
    @property
    def mutes(self) -> Any:
        return self.realm.service.mutes

    def act(self) -> Act:
        return self.realm.service.audit.act(Principal("local", OPERATOR), "admin.mute", None, "")

    async def mute(self, place: int, seconds: int | None = None, key: str = "budi") -> None:
        await self.mutes.add(self.act(), key, key, place, "loud", seconds)

    def may_write(self, key: str, group: int) -> bool:
        try:
            self.mutes.check(key, group, "g")
        except Muted:
            return False
        return True

    async def test_in_one_group_and_in_all(self) -> None:
        await self.mute(5)
        await self.mute(EVERYWHERE, key="citra@realm2")
        found = [self.may_write("budi", 5), self.may_write("budi", 6), self.may_write("ana", 5)]
        self.assertEqual(found, [False, True, True])
        self.assertFalse(self.may_write("citra@realm2", 6))
        await self.mutes.remove(self.act(), "budi", "budi", 5)
        self.assertTrue(self.may_write("budi", 5))
        again = self.mutes.remove(self.act(), "budi", "budi", 5)
        self.assertIs(await self.refused(again), NotMuted)

    async def test_it_ends_and_lasts_over_a_restart(self) -> None:
        await self.mute(5, 60)
        with self.assertRaises(Muted) as caught:
            self.mutes.check("budi", 5, "bagan")
        self.assertIn("until 1970-01-12T13:47:40Z (loud)", str(caught.exception))
        await self.reopen()
        self.assertFalse(self.may_write("budi", 5))
        self.clock.advance(60)
        self.assertTrue(self.may_write("budi", 5))
        self.assertEqual(await self.mutes.list(10), ([], 0))

    async def test_limit(self) -> None:
        """Expired mutes make room."""
        self.patch(store, "MAX_MUTES", 1)
        await self.mute(1, 60)
        self.assertIs(await self.refused(self.mute(2)), TooManyMutes)
        self.clock.advance(60)
        await self.mute(2)
