"""Groups as operators and moderators see them. Queries for the Database.

They are the groups of this realm, and those of other realms with members here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.folding import fold
from chatd.base.group_records import GroupRecord
from chatd.base.model import PRIVATE, PUBLIC, Group, Party
from chatd.base.names import key_of
from chatd.base.records import RetentionInfo
from chatd.store.disk_usage import group_usage
from chatd.store.groups import group_of
from chatd.store.members import find_named
from chatd.store.retention import list_limits
from chatd.store.schema import (
    accounts,
    changes,
    conversations,
    groups,
    messages,
    participants,
    remote_members,
    rosters,
    shut_groups,
)
from chatd.store.shut_groups import Shutting, shutting_of

MANY = 10_000  # messages up to which a list counts
MAX_NAMED = 20  # admins and realms that are named


class GroupFilter(msgspec.Struct, frozen=True):
    """Which groups are listed. `text` is a part of the name or title, `home` is `here` or `elsewhere`,
    `members` the least number of members, `state` is `open` or `closed`, and `after` the last address of the
    page before."""

    text: str | None = None
    visibility: str | None = None
    home: str | None = None
    members: int | None = None
    state: str | None = None
    after: str | None = None


class GroupFacts(msgspec.Struct, frozen=True):
    """What is stored of a group. `created` is in ms since 1970 UTC. Of a group elsewhere, only the members of
    this realm are known, who are `here`. `realms` counts the members of other realms by the keys of these.
    `admins` is how many there are, and `named` are the addresses of some. Bytes are those of texts and of
    files."""

    group: Group
    created: int
    here: int
    realms: Mapping[str, int]
    admins: int
    named: Sequence[str]
    messages: int
    text_size: int
    files: int
    size: int
    newest: int | None
    shutting: Shutting | None
    retention: RetentionInfo | None


_here = groups.c.conversation_id
_SHUT = sa.exists().where(shut_groups.c.conversation_id == _here)


def _known_to(moderator: int | None) -> sa.ColumnElement[bool]:
    """A condition on rows of `groups`, the only one that decides which groups operators and moderators know:
    operators know all of them, and a moderator, by the id of the account, the public ones and their own."""
    has_members = sa.exists().where(participants.c.conversation_id == _here)
    # Of a group elsewhere, a copy is kept after the last member here has left.
    alive = groups.c.key.is_not(None) & (groups.c.realm.is_(None) | has_members)
    if moderator is None:
        return alive
    is_own = sa.exists().where(
        participants.c.conversation_id == _here, participants.c.account_id == moderator
    )
    return alive & (groups.c.private.is_(False) | is_own)


def find_managed(connection: sa.Connection, key: str, moderator: int | None) -> Group | None:
    """The group with that name or code, if it is known to an operator (None) or a moderator."""
    group = find_named(connection, key)
    if group is None:
        return None
    return group if is_known(connection, group.id, moderator) else None


def is_known(connection: sa.Connection, conversation: int, moderator: int | None) -> bool:
    """Whether a group is known to an operator (None) or a moderator."""
    known = sa.select(_here).where(_here == conversation, _known_to(moderator))
    return connection.scalar(known) is not None


def find_listed(
    connection: sa.Connection, wanted: GroupFilter, moderator: int | None, limit: int
) -> tuple[list[int], int]:
    """The conversations of the first `limit` groups by name, and how many more there are."""
    rows = connection.execute(
        sa.select(_here, groups.c.name, groups.c.title)
        .join(rosters, rosters.c.conversation_id == _here)
        .where(_known_to(moderator), *_conditions(wanted))
        .order_by(groups.c.key)
    )
    text = None if wanted.text is None else fold(wanted.text)
    found = [
        row[0] for row in rows if text is None or text in fold(f"{row.name} {row.title or ''}")
    ]
    return found[:limit], max(0, len(found) - limit)


def records_of(
    connection: sa.Connection, found: Sequence[int], moderator: int | None
) -> list[GroupRecord]:
    """The groups with these conversations as they are listed, without those that are not known any more. It
    counts up to MANY messages of each, so that a list of many groups is read in parts."""
    records = (_record(connection, each, moderator) for each in found)
    return [each for each in records if each is not None]


def _conditions(wanted: GroupFilter) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if wanted.visibility is not None:
        found.append(groups.c.private.is_(wanted.visibility == PRIVATE))
    if wanted.home is not None:
        is_here = groups.c.realm.is_(None)
        found.append(is_here if wanted.home == "here" else ~is_here)
    if wanted.members is not None:
        found.append(rosters.c.members >= wanted.members)
    if wanted.state is not None:
        found.append(_SHUT if wanted.state == "closed" else ~_SHUT)
    if wanted.after is not None:
        found.append(groups.c.key > key_of(wanted.after))
    return found


def _record(
    connection: sa.Connection, conversation: int, moderator: int | None
) -> GroupRecord | None:
    columns = groups.c.name, groups.c.title, groups.c.private, rosters.c.members, _SHUT
    row = connection.execute(
        sa.select(*columns)
        .join(rosters, rosters.c.conversation_id == _here)
        .where(_here == conversation, _known_to(moderator))
    ).first()
    if row is None:
        return None
    name, title, private, members, shut = row
    # It reads an index only.
    written = sa.select(messages.c.seq).where(messages.c.conversation_id == conversation)
    return GroupRecord(
        name,
        PRIVATE if private else PUBLIC,
        members,
        _admins(connection, conversation),
        _count(connection, written.limit(MANY)),
        title or "",
        _newest(connection, conversation),
        bool(shut),
    )


def _count(connection: sa.Connection, rows: sa.Select[Any]) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(rows.subquery())) or 0


def _admins(connection: sa.Connection, conversation: int) -> int:
    return sum(
        _count(
            connection,
            sa.select(table.c.admin).where(
                table.c.conversation_id == conversation, table.c.admin.is_(True)
            ),
        )
        for table in (participants, remote_members)
    )


def _newest(connection: sa.Connection, conversation: int) -> int | None:
    """The time of the newest entry."""
    found: list[Any] = []
    for table in (messages, changes):
        last = (
            sa.select(table.c.seq, table.c.at)
            .where(table.c.conversation_id == conversation)
            .order_by(table.c.seq.desc())
            .limit(1)
        )
        found += connection.execute(last).all()
    return max(found, default=(0, None))[1]


def facts_of(connection: sa.Connection, conversation: int) -> GroupFacts | None:
    """What is stored of a group; None if it has ended. It reads all messages of the group."""
    group = group_of(connection, conversation)
    if group is None or not group.key:
        return None
    place = remote_members.c.conversation_id == conversation
    by_realm = sa.select(remote_members.c.realm, sa.func.count()).where(place)
    rows = connection.execute(by_realm.group_by(remote_members.c.realm))
    here = sa.select(participants.c.admin).where(participants.c.conversation_id == conversation)
    created = sa.select(conversations.c.created_at).where(conversations.c.id == conversation)
    used = group_usage(connection, conversation)
    return GroupFacts(
        group,
        connection.scalar(created) or 0,
        _count(connection, here),
        {row[0]: row[1] for row in rows},
        _admins(connection, conversation),
        _named_admins(connection, conversation),
        *used,
        _newest(connection, conversation),
        shutting_of(connection, conversation),
        _retention(connection, group),
    )


def _named_admins(connection: sa.Connection, conversation: int) -> list[str]:
    """The addresses of the longest-standing admins."""
    one, two = participants.c, remote_members.c
    here = (
        sa.select(accounts.c.name.label("name"), one.joined_at.label("since"))
        .join_from(participants, accounts)
        .where(one.conversation_id == conversation, one.admin.is_(True))
    )
    there = sa.select(two.address, two.joined_at).where(
        two.conversation_id == conversation, two.admin.is_(True)
    )
    both = sa.union_all(here, there).subquery()
    chosen = sa.select(both.c.name).order_by(both.c.since, both.c.name).limit(MAX_NAMED)
    return list(connection.scalars(chosen))


def other_admins(connection: sa.Connection, group: Group, party: Party, count: int) -> list[Party]:
    """At most `count` admins of a group besides `party`."""
    one, two = participants.c, remote_members.c
    here = (
        sa.select(accounts.c.key, accounts.c.name, accounts.c.id)
        .join_from(participants, accounts)
        .where(one.conversation_id == group.id, one.admin.is_(True))
        .limit(count + 1)
    )
    there = (
        sa.select(two.key, two.address, two.realm)
        .where(two.conversation_id == group.id, two.admin.is_(True))
        .limit(count + 1)
    )
    found = [Party(*row) for row in connection.execute(here)]
    found += [Party(row.key, row.address, realm=row.realm) for row in connection.execute(there)]
    return [each for each in found if each.key != party.key][:count]


def _retention(connection: sa.Connection, group: Group) -> RetentionInfo | None:
    """The group's own limits, if it has any."""
    scope = f"#{group.name}"
    return next((each for each in list_limits(connection) if each.scope == scope), None)
