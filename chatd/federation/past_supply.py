"""Gives another realm the entries of a group from before its first member joined, page by page, newest first.

Entries of people of this realm that were not signed when they were made are signed when they first cross.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.entries import (
    HAPPENINGS,
    Deletion,
    Edit,
    GroupFact,
    MadeChange,
    MadeFact,
    MemberFact,
    Pin,
    React,
)
from chatd.base.model import Party
from chatd.base.names import key_of
from chatd.federation import parcels
from chatd.federation.group_entries import GroupEntries
from chatd.federation.parcels import Relay
from chatd.federation.past_pages import PastPage
from chatd.federation.restores import entry_of
from chatd.federation.signing.drafts import EntryDraft, sign_now, signature_of
from chatd.federation.signing.entries import SignedEntry
from chatd.service.context import Context
from chatd.store.details import mentions_of
from chatd.store.earlier_numbers import number_entry, ref_of
from chatd.store.guard import is_row_intact
from chatd.store.held import held_message, last_content, signed_entry
from chatd.store.macs import GUARDED
from chatd.store.past_pages import (
    PastQuestion,
    PastRows,
    count_before,
    is_change,
    is_unsigned,
    past_rows,
    unsigned_rows,
)
from chatd.store.schema import changes, messages
from chatd.store.sealing import NewSignature
from chatd.store.signatures import FORGED, SignatureWriter

AT_ONCE = 20  # entries that are signed before other jobs of the database get their turn
MAX_BYTES = 50_000  # of the parcels of a page; one parcel may be larger

_data = msgspec.json.Decoder(dict[str, Any])


class PastSupply:
    def __init__(self, context: Context, entries: GroupEntries) -> None:
        self._database = context.database
        self._realm = context.realm_key
        self._entries = entries

    async def answer(self, asked: PastQuestion) -> PastPage:
        """Raises UnknownGroup."""
        while (page := await self._database.read(self._page, asked)) is None:
            await self._database.run(self._sign_some, asked)
        return page

    def _page(self, connection: sa.Connection, asked: PastQuestion) -> PastPage | None:
        """The page, or None if some of its entries have to be signed first."""
        found = past_rows(connection, asked)
        if any(map(is_unsigned, found.rows)):
            return None
        return _page_of(connection, asked.group, found)

    # Signing

    async def sign_after(self, conversation: int, after: int) -> None:
        """Sign the entries that people of this realm made after a seq while the group lived here and no other
        realm had members."""

        def job(connection: sa.Connection) -> int:
            rows = unsigned_rows(connection, conversation, after, AT_ONCE)
            self._sign(connection, conversation, rows)
            return len(rows)

        while await self._database.run(job) == AT_ONCE:
            pass

    def _sign_some(self, connection: sa.Connection, asked: PastQuestion) -> None:
        """Sign entries of the page. Runs in the writer's thread."""
        unsigned = [row for row in past_rows(connection, asked).rows if is_unsigned(row)]
        self._sign(connection, asked.group, unsigned[:AT_ONCE])

    def _sign(self, connection: sa.Connection, group: int, rows: Sequence[sa.Row[Any]]) -> None:
        """Sign entries, in order, and give numbers to those that have none."""
        drafts: list[EntryDraft] = []
        numbers: list[int] = []
        for row in rows:
            table = changes if is_change(row) else messages
            numbers.append(number_entry(connection, table, group, row.seq))
            drafts.append(self._draft(connection, group, row))
        if not drafts:
            return  # another request has signed all entries of the page
        signed = zip(rows, sign_now(drafts, numbers), strict=True)
        SignatureWriter().add(
            connection,
            [(group, row.seq, self._signature(connection, row, each)) for row, each in signed],
        )

    def _signature(
        self, connection: sa.Connection, row: sa.Row[Any], entry: SignedEntry
    ) -> NewSignature:
        """What is stored of an entry. A content that was deleted or replaced is left out."""
        if is_change(row):
            is_blank = row.kind == "edited" and not entry.body
        else:
            is_blank = row.deleted_at is not None or not is_row_intact(connection, row)
        return signature_of(entry.blank() if is_blank else entry, self._realm)

    def _draft(self, connection: sa.Connection, group: int, row: sa.Row[Any]) -> EntryDraft:
        if not is_change(row):
            return self._entries.earlier(held_message(connection, group, row), group)
        author = Party(key_of(row.author), row.author)
        data = {} if row.data is None else _data.decode(row.data)
        match row.kind:
            case "member":
                who = data["who"]
                member = MemberFact(Party(key_of(who), who), HAPPENINGS[data["what"]])
                return self._entries.earlier_fact(MadeFact(member, author, row.at), group)
            case "group":
                return self._entries.earlier_fact(MadeFact(GroupFact(data), author, row.at), group)
            case "edited":
                change: Edit | Deletion | React | Pin = self._edit(connection, group, row)
            case "deleted":
                change = Deletion()
            case "reaction":
                change = React(data["emoji"], data["on"])
            case _:
                change = Pin(data["on"])
        number_target(connection, group, row.target)
        ref = ref_of(connection, group, row.target)
        made = MadeChange(change, author, row.at, row.target, ref)
        return self._entries.earlier_change(made, group)

    def _edit(self, connection: sa.Connection, group: int, row: sa.Row[Any]) -> Edit:
        """An edit with the text of its message; a blank one if that was edited again or deleted, or was
        altered on disk."""
        newest = last_content(connection, group, row.target)
        message = connection.execute(
            sa.select(*GUARDED).where(
                messages.c.conversation_id == group, messages.c.seq == row.target
            )
        ).one()
        if newest is None or newest.seq != row.seq or not is_row_intact(connection, message):
            return Edit("")
        reply = None
        if message.reply is not None:
            number_target(connection, group, message.reply)
            reply = ref_of(connection, group, message.reply)
        return Edit(message.text or "", mentions_of(message.mentions), reply)


def number_target(connection: sa.Connection, group: int, seq: int) -> None:
    """Give the message that a change is about its number, if it is of this realm."""
    is_own = sa.select(messages.c.id).where(
        messages.c.conversation_id == group,
        messages.c.seq == seq,
        messages.c.origin_id.is_(None),
    )
    if connection.scalar(is_own) is not None:
        number_entry(connection, messages, group, seq)


def _page_of(connection: sa.Connection, group: int, found: PastRows) -> PastPage:
    """The page with as many of the newest entries as fit."""
    entries: list[msgspec.Raw] = []
    size, start = 0, found.start
    for row in reversed(found.rows):
        held = None if row.status == FORGED else signed_entry(connection, group, row)
        if held is None:
            continue
        relay = parcels.encode(Relay(entry_of(held), found.name, group, row.seq))
        if entries and size + len(relay) > MAX_BYTES:
            start = row.seq + 1
            break
        size += len(relay)
        entries.append(msgspec.Raw(relay))
    earlier = count_before(connection, group, found.low, start)
    return PastPage(tuple(reversed(entries)), start, earlier, found.first)
