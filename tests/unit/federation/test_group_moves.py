"""A group that moves from one realm to another, with members of three realms."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from chatd.base.names import Place, parse_address, parse_group
from chatd.commands import values as ask
from chatd.store.schema import changes, messages
from tests.support.network import Person, Server
from tests.unit.federation.test_realm_groups import GroupTestCase


def log_of(server: Server, person: Person, group: str) -> list[tuple[Any, ...]]:
    """The whole log of a group in a realm: the seq, the author's address for all realms, and what is said."""
    page = person.does(ask.ShowHistory(Place(None, parse_group(group)), 1))
    conversation = int(page.fields["conversation"])

    def read(connection: sa.Connection) -> list[tuple[Any, ...]]:
        rows = [
            (row.seq, row.sender, row.text)
            for row in connection.execute(
                sa.select(messages).where(messages.c.conversation_id == conversation)
            )
        ]
        rows += [
            (row.seq, row.author, f"{row.kind} {row.data}")
            for row in connection.execute(
                sa.select(changes).where(changes.c.conversation_id == conversation)
            )
        ]
        return sorted(rows)

    found = server.network.result(server.realm.service.database.read(read))
    name = server.name
    return [
        (seq, who if "@" in who or who == "system" else f"{who}@{name}", what)
        for seq, who, what in found
    ]


class MovingTestCase(GroupTestCase):
    """bagan moves from realm1 to realm2, where budi is an admin."""

    def setUp(self) -> None:
        super().setUp()
        self.budi.joins("bagan@realm1")
        self.citra.joins("bagan@realm1")
        self.agus.joins("bagan")
        self.promote(self.ana, "budi@realm2")
        for person, group in (
            (self.ana, "bagan"),
            (self.budi, "bagan@realm1"),
            (self.citra, "bagan@realm1"),
        ):
            person.posts(group, f"before, {person.name}")
        self.network.settle()

    def move(self, who: Person, group: str, realm: str) -> str:
        reply = who.does(ask.MoveGroup(parse_address(group), realm))
        return str(reply.fields["state"])

    def moves(self) -> None:
        self.assertEqual(self.move(self.ana, "bagan", "realm2"), "proposed")
        self.assertEqual(self.move(self.budi, "bagan@realm1", "realm2"), "agreed")
        self.network.settle()

    def histories(self) -> list[list[str]]:
        return [
            self.ana.history(group="bagan@realm2"),
            self.budi.history(group="bagan"),
            self.citra.history(group="bagan@realm2"),
        ]


class Moving(MovingTestCase):
    def test_moves(self) -> None:
        self.moves()
        self.assertEqual(self.budi.mine(), ["bagan"])
        self.assertEqual(self.ana.mine(), ["bagan@realm2"])
        self.assertEqual(self.citra.mine(), ["bagan@realm2"])
        self.assertEqual(
            self.budi.members("bagan"), ["*ana@realm1+", "*budi+", "citra@realm3+", "agus@realm1+"]
        )
        self.ana.posts("bagan@realm2", "after, ana")
        self.budi.posts("bagan", "after, budi")
        self.citra.posts("bagan@realm2", "after, citra")
        self.network.settle()
        for person, group in (
            (self.ana, "bagan@realm2"),
            (self.budi, "bagan"),
            (self.citra, "bagan@realm2"),
        ):
            texts = [each.partition(": ")[2] for each in person.history(group=group)]
            self.assertEqual(
                texts,
                [
                    *("before, ana", "before, budi", "before, citra"),
                    *("after, ana", "after, budi", "after, citra"),
                ],
            )
