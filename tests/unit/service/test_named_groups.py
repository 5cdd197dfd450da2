"""Lists of groups with the names of their members, and their bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from unittest import mock

from sqlalchemy import insert

from chatd.base.names import Address
from chatd.service import groups as module
from chatd.store.schema import remote_members
from tests.support.inline import result_of
from tests.unit.service.test_groups import GroupsTestCase


class NamedGroups(GroupsTestCase):
    def names(self) -> Mapping[str, Sequence[str]]:
        """The members by group, as budi is shown them."""
        _, names, _ = result_of(self.groups.list_with_names(self.budi))
        return dict(names)

    def guest(self, group: int, address: str) -> None:
        values = {
            "conversation_id": group,
            "key": address,
            "address": address,
            "realm": address.partition("@")[2],
            "joined_at": int(self.clock.seconds() * 1000),
        }
        with self.database._engine.begin() as connection:
            connection.execute(insert(remote_members).values(values))

    def test_longest_standing_first(self) -> None:
        self.assertEqual(self.names(), {})
        self.create(self.citra, "Bola")
        self.create(self.ana, "bagan")
        self.join(self.budi)
        self.join(self.citra)
        groups, names, more = result_of(self.groups.list_with_names(self.budi))
        self.assertEqual([each.group for each in groups], ["bagan", "Bola"])
        self.assertEqual(names, {"bagan": ["ana", "Budi", "citra"], "Bola": ["citra"]})
        self.assertEqual(more, 0)
        result_of(self.groups.leave(self.ana, Address("bagan")))
        self.assertEqual(self.names()["bagan"], ["Budi", "citra"])

    def test_people_of_other_realms(self) -> None:
        group = self.create(self.ana)
        self.clock.advance(1)
        self.guest(group.id, "eva@realm2")
        self.join(self.budi)
        self.assertEqual(self.names(), {"bagan": ["ana", "eva@realm2", "Budi"]})

    def test_bounded(self) -> None:
        """Of many members some are left out, but not the one who asks, and no admin if there is room."""
        group = self.create(self.ana)
        for who in (self.budi, self.citra, self.dewi):
            self.join(who)
        self.guest(group.id, "eva@realm2")
        with mock.patch.object(module, "MIN_NAMED_GROUPS", 1):
            for most, names in (
                (1, ["Budi"]),
                (2, ["ana", "Budi"]),
                (3, ["ana", "Budi", "dewi"]),
                (4, ["ana", "Budi", "citra", "dewi"]),
                (5, ["ana", "Budi", "citra", "dewi", "eva@realm2"]),
            ):
                with mock.patch.object(module, "MAX_NAMES", most):
                    self.assertEqual(self.names(), {"bagan": names})

    def test_many_groups(self) -> None:
        for number in range(4):
            self.create(self.ana, f"g{number}")
        with mock.patch.object(module, "MAX_NAMED_GROUPS", 3):
            groups, names, more = result_of(self.groups.list_with_names(self.budi))
        self.assertEqual((len(groups), len(names), more), (3, 3, 1))
