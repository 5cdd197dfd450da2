"""How many bytes the messages and files of each account, group or realm have. Queries for the Database, which
read all messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import sqlalchemy as sa

from chatd.base.records import UsageInfo
from chatd.store.files import IS_HERE
from chatd.store.retention import byte_length
from chatd.store.schema import accounts, attachments, groups, messages

# How many things, and their bytes, by what they belong to
Totals: TypeAlias = Mapping[Any, tuple[int, int]]

_MESSAGES = (sa.func.count(), sa.func.coalesce(sa.func.sum(byte_length()), 0))
_FILES = (sa.func.count(), sa.func.coalesce(sa.func.sum(attachments.c.size), 0))
_HAS_CONTENT = messages.c.deleted_at.is_(None)


def usage_by_account(connection: sa.Connection, limit: int) -> tuple[list[UsageInfo], int]:
    """The `limit` accounts that use most, and how many more there are."""
    said = _totals(connection, messages.c.sender_id, _MESSAGES, _HAS_CONTENT)
    sent = _totals(connection, attachments.c.owner_id, _FILES, IS_HERE)
    names = sa.select(accounts.c.id, accounts.c.name)
    return _largest(said, sent, dict(connection.execute(names).all()), limit)


def usage_by_group(connection: sa.Connection, limit: int) -> tuple[list[UsageInfo], int]:
    """As `usage_by_account`, for groups, also those of other realms that have members here."""
    place = messages.c.conversation_id
    in_group = place.in_(sa.select(groups.c.conversation_id))
    said = _totals(connection, place, _MESSAGES, _HAS_CONTENT, in_group)
    carried = (
        sa.select(place, messages.c.attachment_id)
        .where(in_group, messages.c.attachment_id.is_not(None))
        .distinct()
        .subquery()
    )
    rows = connection.execute(
        sa.select(carried.c.conversation_id, *_FILES)
        .join_from(carried, attachments, attachments.c.id == carried.c.attachment_id)
        .where(IS_HERE)
        .group_by(carried.c.conversation_id)
    )
    sent = {row[0]: (row[1], row[2]) for row in rows}
    names = sa.select(groups.c.conversation_id, groups.c.name)
    return _largest(said, sent, dict(connection.execute(names).all()), limit)


def group_usage(connection: sa.Connection, conversation: int) -> tuple[int, int, int, int]:
    """How many messages of a conversation have content, the bytes of their texts, how many files they carry,
    and the bytes of these. Reads all messages of the conversation."""
    here = messages.c.conversation_id == conversation
    said = connection.execute(sa.select(*_MESSAGES).where(here, _HAS_CONTENT)).one()
    carried = sa.select(messages.c.attachment_id).where(here, messages.c.attachment_id.is_not(None))
    sent = sa.select(*_FILES).where(attachments.c.id.in_(carried), IS_HERE)
    return (*said, *connection.execute(sent).one())


def usage_by_realm(connection: sa.Connection, limit: int, own: str) -> tuple[list[UsageInfo], int]:
    """As `usage_by_account`, for the realms of the authors. `own` is the name of this one."""
    said = _totals(connection, messages.c.origin_realm, _MESSAGES, _HAS_CONTENT)
    sent = _totals(connection, attachments.c.realm, _FILES, IS_HERE)
    names = {key: own if key is None else key for key in {*said, *sent}}
    return _largest(said, sent, names, limit)


def _totals(
    connection: sa.Connection,
    by: sa.ColumnElement[Any],
    counted: Iterable[sa.ColumnElement[int]],
    *conditions: sa.ColumnElement[bool],
) -> dict[Any, tuple[int, int]]:
    rows = connection.execute(sa.select(by, *counted).where(*conditions).group_by(by))
    return {row[0]: (row[1], row[2]) for row in rows}


def _largest(
    said: Totals, sent: Totals, names: Mapping[Any, str], limit: int
) -> tuple[list[UsageInfo], int]:
    found = [
        UsageInfo(name, *said.get(key, (0, 0)), *sent.get(key, (0, 0)))
        for key, name in names.items()
        if key in said or key in sent
    ]
    found.sort(key=lambda each: (-each.text_size - each.size, each.name))
    return found[:limit], max(0, len(found) - limit)
