"""Messages to groups of another realm that it has acknowledged and not sent back. Queries for the Database.

If that realm was restored from a backup, it may not know them any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from chatd.base.attachments import Attachment
from chatd.base.entries import SentParts
from chatd.base.model import Opaque
from chatd.store import files
from chatd.store.crossing import entry_at
from chatd.store.details import mentions_of
from chatd.store.macs import keyed_hash
from chatd.store.outbox import waits
from chatd.store.pending import GUARDED, is_intact
from chatd.store.prepared import prepared
from chatd.store.schema import accounts, attachments, groups, pending


class UnreturnedPost(msgspec.Struct, frozen=True):
    """A message to `group`, as it is shown, which has the id `home_id` in its realm; None: the sender is no
    member. `number` is that of its parcel, `sender` the name of its account."""

    id: int
    conversation: int
    group: str
    home_id: int | None
    number: int
    account_id: int
    sender: str
    at: int
    text: str | None
    file: Attachment | None
    parts: SentParts


_COLUMNS: tuple[Any, ...] = (
    pending.c.id,
    pending.c.conversation_id,
    pending.c.group,
    pending.c.number,
    pending.c.account_id,
    pending.c.at,
    pending.c.text,
    pending.c.reply,
    pending.c.forwarded,
    pending.c.mentions,
    pending.c.media,
    pending.c.body,
    accounts.c.name.label("sender"),
    groups.c.home_id,
    *files.COLUMNS,
    *GUARDED,
)
_FILE = _COLUMNS.index(files.COLUMNS[0])


class UnreturnedPage(NamedTuple):
    """Posts in order, and the id up to which these are all; None: to the end."""

    posts: Sequence[UnreturnedPost]
    upto: int | None


def unreturned(connection: sa.Connection, realm: str, after: int, limit: int) -> UnreturnedPage:
    """The first messages with ids above `after` that the realm has acknowledged and not sent back. Those that
    were altered on disk are left out."""
    rows = connection.execute(*_unreturned(realm, after, limit)).all()
    posts = [_post(connection, row) for row in rows if is_intact(connection, row)]
    return UnreturnedPage(posts, rows[-1].id if len(rows) == limit else None)


@prepared
def _unreturned(realm: Any, after: Any, limit: Any) -> sa.Select[Any]:
    return (
        sa.select(*_COLUMNS)
        .join(accounts, accounts.c.id == pending.c.account_id)
        .outerjoin(groups, groups.c.conversation_id == pending.c.conversation_id)
        .outerjoin(attachments, attachments.c.id == pending.c.attachment_id)
        .where(
            pending.c.realm == realm,
            pending.c.refused.is_(None),
            pending.c.id > after,
            sa.not_(waits(pending.c.realm, pending.c.number)),
        )
        .order_by(pending.c.id)
        .limit(limit)
    )


def _post(connection: sa.Connection, row: sa.Row[Any]) -> UnreturnedPost:
    place, file = row.conversation_id or 0, tuple(row)[_FILE : -len(GUARDED)]
    parts = SentParts(
        None if row.reply is None else entry_at(connection, place, row.reply),
        row.forwarded,
        mentions_of(row.mentions),
        None if row.media is None else Opaque(row.media, row.body or b""),
    )
    return UnreturnedPost(
        row[0],
        place,
        row.group,
        row.home_id,
        row.number,
        row.account_id,
        row.sender,
        row.at,
        row.text,
        None if file[0] is None else files.file_in(keyed_hash(connection), file),
        parts,
    )
