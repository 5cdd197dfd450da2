"""How many rescues of a group are kept."""

from __future__ import annotations

from typing import Any

import msgspec

from chatd.store.rescues import (
    MAX_OF_REALM,
    MAX_RESCUES,
    KnownRescue,
    add_rescue,
    rescue_with,
    rescues_of,
)
from tests.unit.store.test_group_moves import GROUP, MoveTestCase


class RoomTestCase(MoveTestCase):
    number = 0

    def setUp(self) -> None:
        super().setUp()
        self.group()

    def tells(self, realm: str, **more: Any) -> bool:
        self.number += 1
        digest = str(self.number).encode()
        said = KnownRescue(
            GROUP, digest, "pending", realm, 9, "bagan", "realm1", 5, self.number, b"x"
        )
        return add_rescue(self.connection, msgspec.structs.replace(said, **more))

    def test_one_realm(self) -> None:
        """A realm can't use up the room for the rescues of others."""
        told = [self.tells("realm3") for _ in range(MAX_OF_REALM + 1)]
        self.assertEqual(told, [True] * MAX_OF_REALM + [False])
        self.assertTrue(self.tells("realm4"))

    def test_one_that_is_known(self) -> None:
        for _ in range(MAX_OF_REALM):
            self.tells("realm3")
        self.assertTrue(self.tells("realm3", hash=b"1", state="ended"))
        known = rescue_with(self.connection, GROUP, b"1")
        assert known is not None
        self.assertEqual(known.state, "ended")

    def test_all(self) -> None:
        """What is founded here is kept in any case: else nobody would ever hear of it."""
        told = [self.tells(f"realm{number}") for number in range(3, MAX_RESCUES + 4)]
        self.assertEqual(told, [True] * MAX_RESCUES + [False])
        self.assertTrue(self.tells("realm2", state="own"))
        self.assertEqual(len(rescues_of(self.connection, GROUP)), MAX_RESCUES + 1)
