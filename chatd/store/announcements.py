"""Messages of operators to all accounts, or to the members of a group, which get them a few at a time. Jobs
and queries for the Database."""

from __future__ import annotations

import msgspec
import sqlalchemy as sa

from chatd.base.errors import Busy
from chatd.store.accounts import DELETED
from chatd.store.engine import inserted_id
from chatd.store.schema import accounts, announcements, participants

EVERYBODY = 0  # stands for all accounts of this realm
MAX_WAITING = 20  # announcements that not all accounts have


class Announcement(msgspec.Struct, frozen=True):
    """The accounts with ids above `done` and up to `last` are to get the text; those of `group` only, unless
    that is EVERYBODY."""

    id: int
    group: int
    text: str
    done: int
    last: int


def add_announcement(connection: sa.Connection, group: int, text: str, now: int) -> int:
    """Store an announcement, which no account has yet. Returns how many accounts are to get it. Raises
    Busy if too many wait."""
    waiting = connection.scalar(sa.select(sa.func.count()).select_from(announcements)) or 0
    if waiting >= MAX_WAITING:
        raise Busy
    last = connection.scalar(sa.select(sa.func.max(accounts.c.id))) or 0
    values = {"at": now, "conversation_id": group, "text": text, "done": 0, "last": last}
    ident = inserted_id(connection.execute(sa.insert(announcements), values))
    wanted = _receivers(Announcement(ident, group, text, 0, last)).subquery()
    return connection.scalar(sa.select(sa.func.count()).select_from(wanted)) or 0


def next_announcement(connection: sa.Connection) -> Announcement | None:
    """The oldest announcement that not all accounts have."""
    columns = (
        announcements.c.id,
        announcements.c.conversation_id,
        announcements.c.text,
        announcements.c.done,
        announcements.c.last,
    )
    row = connection.execute(sa.select(*columns).order_by(announcements.c.id).limit(1)).first()
    return None if row is None else Announcement(*row)


def take(connection: sa.Connection, announcement: Announcement, limit: int) -> list[int]:
    """The next `limit` accounts that are to get it, which count as having it from now on. After the last ones
    the announcement is removed."""
    found: list[int] = [*connection.scalars(_receivers(announcement).limit(limit))]
    here = announcements.c.id == announcement.id
    if len(found) < limit:
        connection.execute(sa.delete(announcements).where(here))
    else:
        connection.execute(sa.update(announcements).where(here).values(done=found[-1]))
    return found


def _receivers(announcement: Announcement) -> sa.Select[tuple[int]]:
    """The ids of the accounts that are still to get it, in order."""
    wanted = sa.select(accounts.c.id).where(
        accounts.c.id > announcement.done,
        accounts.c.id <= announcement.last,
        ~accounts.c.key.startswith(DELETED),
    )
    if announcement.group != EVERYBODY:
        wanted = wanted.where(
            sa.exists().where(
                participants.c.account_id == accounts.c.id,
                participants.c.conversation_id == announcement.group,
            )
        )
    return wanted.order_by(accounts.c.id)
