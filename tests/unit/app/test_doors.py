"""The doors that can be configured are the doors that can be opened."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatd.app.doors import PLANS
from chatd.base.config import DEFAULT_DOORS, OTHER_DOORS


class Names(SynchronousTestCase):
    def test_every_door_of_the_configuration_has_a_plan(self) -> None:
        self.assertEqual({*DEFAULT_DOORS, *OTHER_DOORS}, set(PLANS))
