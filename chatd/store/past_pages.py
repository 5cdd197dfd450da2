"""The entries of a group of this realm that another realm asks for, which were made before its first member
joined. Queries for the Database.

chatd.federation.past_supply makes parcels of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from chatd.base.errors import UnknownGroup
from chatd.base.names import SYSTEM
from chatd.store.groups import group_of
from chatd.store.held import FILE_COLUMNS, SIGNATURE_COLUMNS, about_seen
from chatd.store.lineage import PLANNED, steps_of
from chatd.store.move_agreements import is_agreed, move_of
from chatd.store.schema import attachments, changes, groups, messages, remote_members, signatures
from chatd.store.signatures import same_place

PAGE = 100  # entries
MAX_COUNTED = 10_000  # messages, for each page


class PastQuestion(msgspec.Struct, frozen=True):
    """The realm with that key asks for entries of the group with that id, with seqs below `before` and above
    `after`."""

    realm: str
    group: int
    before: int
    after: int


class PastRows(msgspec.Struct, frozen=True):
    """The newest of the entries that were asked for, in order: all from the seq `start` on that members of
    the realm see. If these are all, `start` follows `after`. The members see the entries from `first` on, and
    the answer has none before `low`."""

    name: str
    rows: Sequence[sa.Row[Any]]
    start: int
    low: int
    first: int


def past_rows(connection: sa.Connection, asked: PastQuestion) -> PastRows:
    """Raises UnknownGroup if the realm has no members of it."""
    group = _present(connection, asked) or _former(connection, asked)
    if group is None:
        raise UnknownGroup(name=asked.group)
    low = max(asked.after + 1, group.first)
    found: list[sa.Row[Any]] = []
    for table in (messages, changes):
        found += connection.execute(_select(table, asked, low, group.first))
    found.sort(key=lambda row: -row.seq)
    is_full = len(found) >= PAGE
    rows = found[:PAGE][::-1]
    return PastRows(group.name, rows, rows[0].seq if is_full else asked.after + 1, low, group.first)


class _Given(NamedTuple):
    """A group that a realm may ask for, and the first entry that the realm sees."""

    name: str
    first: int


def _present(connection: sa.Connection, asked: PastQuestion) -> _Given | None:
    """A group of this realm with members of that one. If it moves there, as admins of both agree, all of its
    log is given."""
    group = connection.execute(
        sa.select(groups.c.name, sa.func.min(remote_members.c.first_seq).label("first"))
        .join(remote_members, remote_members.c.conversation_id == groups.c.conversation_id)
        .where(
            groups.c.conversation_id == asked.group,
            groups.c.realm.is_(None),
            remote_members.c.realm == asked.realm,
        )
        .group_by(groups.c.name)
    ).first()
    if group is None:
        return None
    move = move_of(connection, asked.group)
    moves = move is not None and move.realm == asked.realm and is_agreed(connection, move)
    return _Given(group.name, 0 if moves else group.first)


def _former(connection: sa.Connection, asked: PastQuestion) -> _Given | None:
    """A group that has left this realm, for its new home, and for the realms that had members then. After
    a rescue, the new home is only one of these: nobody here has agreed to that. It is given by the name that
    it had here."""
    group = group_of(connection, asked.group)
    if group is None or group.realm is None:
        return None
    steps = steps_of(connection, asked.group)
    guests = [each for each in steps if each.guests is not None]
    if not guests:
        return None
    if group.realm == asked.realm and all(each.kind == PLANNED for each in steps):
        return _Given(guests[-1].name, 0)
    first = (guests[-1].guests or {}).get(asked.realm)
    return None if first is None else _Given(guests[-1].name, first)


def _select(table: sa.Table, asked: PastQuestion, low: int, first: int) -> sa.Select[Any]:
    query = (
        sa.select(table, *SIGNATURE_COLUMNS, signatures.c.status)
        .outerjoin(signatures, same_place(signatures, table))
        .where(
            table.c.conversation_id == asked.group,
            table.c.seq >= low,
            table.c.seq < asked.before,
        )
        .order_by(table.c.seq.desc())
        .limit(PAGE)
    )
    if table is changes:
        return query.where(about_seen(first))
    return query.add_columns(*FILE_COLUMNS).outerjoin(
        attachments, attachments.c.id == messages.c.attachment_id
    )


def unsigned_rows(
    connection: sa.Connection, conversation: int, after: int, limit: int
) -> list[sa.Row[Any]]:
    """The first entries of this realm after a seq that are not signed."""
    found: list[sa.Row[Any]] = []
    for table in (messages, changes):
        query = (
            sa.select(table, *SIGNATURE_COLUMNS, signatures.c.status)
            .outerjoin(signatures, same_place(signatures, table))
            .where(
                table.c.conversation_id == conversation,
                table.c.seq > after,
                table.c.origin_id.is_(None),
                signatures.c.statement.is_(None),
            )
            .order_by(table.c.seq)
            .limit(limit)
        )
        if table is messages:
            query = query.add_columns(*FILE_COLUMNS).outerjoin(
                attachments, attachments.c.id == messages.c.attachment_id
            )
        found += connection.execute(query)
    return [row for row in sorted(found, key=lambda row: row.seq) if is_unsigned(row)][:limit]


def is_unsigned(row: sa.Row[Any]) -> bool:
    """Whether a row is an entry of this realm that is older than signatures."""
    if row.statement is not None or row.origin_id is not None:
        return False
    return bool(row.author_id is not None or row.author == SYSTEM) if is_change(row) else True


def is_change(row: sa.Row[Any]) -> bool:
    """Whether a row is a change, and no message."""
    return hasattr(row, "kind")


def count_before(connection: sa.Connection, group: int, low: int, start: int) -> int:
    """How many messages there are from `low` on and before `start`: at most MAX_COUNTED."""
    some = (
        sa.select(messages.c.seq)
        .where(messages.c.conversation_id == group, messages.c.seq >= low, messages.c.seq < start)
        .limit(MAX_COUNTED)
        .subquery()
    )
    return connection.scalar(sa.select(sa.func.count()).select_from(some)) or 0
