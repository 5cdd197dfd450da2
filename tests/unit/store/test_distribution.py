"""What tables and keys would have to change if conversations were distributed over several database servers
(docs/scaling/beyond-one-primary.md)."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from chatd.store.schema import metadata

PAGE = Path(__file__).parents[3] / "docs/scaling/beyond-one-primary.md"
KEY = "conversation_id"  # of the distribution

# Unique keys of tables of conversations that lack KEY. A server that has a part of the rows can't check them.
WITHOUT_KEY = {
    "announcements": {("id",)},
    "change_requests": {("number",)},
    "groups": {("key",), ("code",), ("realm", "home_id")},
    "import_places": {("account_id", "origin")},
    "imported_messages": {("account_id", "key")},
    "messages": {("id",)},
    "participants": {("account_id", "peer_key")},
    "pending": {("number",), ("id",)},
    "reports": {("id",)},
    "requests": {("name", "sender")},
    "search_blocks": {("id",)},
    "search_changes": {("id",)},
    "sends": {("account_id", "key", "place")},
}
# Tables that they refer to, and that have no KEY
REFERRED = {"accounts", "attachments"}


def of_conversations() -> list[sa.Table]:
    return [table for table in metadata.sorted_tables if KEY in table.c]


def unique_keys(table: sa.Table) -> set[tuple[str, ...]]:
    kinds = (sa.UniqueConstraint, sa.PrimaryKeyConstraint)
    found = {tuple(each.columns.keys()) for each in table.constraints if isinstance(each, kinds)}
    return found | {tuple(each.columns.keys()) for each in table.indexes if each.unique}


class Distribution(SynchronousTestCase):
    def test_keys(self) -> None:
        """Every other unique key of a conversation's table has the conversation."""
        lacking = {
            table.name: keys
            for table in of_conversations()
            if (keys := {key for key in unique_keys(table) if KEY not in key})
        }
        self.assertEqual(lacking, WITHOUT_KEY)

    def test_foreign_keys(self) -> None:
        """Foreign keys stay within a conversation, but for those to people and files."""
        places = {table.name for table in of_conversations()} | {"conversations"}
        referred = {
            each.column.table.name for table in of_conversations() for each in table.foreign_keys
        }
        self.assertEqual(referred - places, REFERRED)

    def test_page(self) -> None:
        """The page names each of these tables."""
        page = PAGE.read_text(encoding="utf-8")
        self.assertEqual([name for name in sorted(WITHOUT_KEY) if f"`{name}`" not in page], [])
