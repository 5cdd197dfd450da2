"""The newest messages, for clients that read them all each time, and what is read with them.

Queries for the Database. `given` has marks that are ahead of the stored ones: conversation -> mark.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import sqlalchemy as sa

from chatd.base.model import Account, Message
from chatd.base.names import InboxFilter
from chatd.base.read_marks import MAX_LEFT, ReadMark
from chatd.store.history import Page, build_messages, select_messages
from chatd.store.schema import messages, participants, skipped
from chatd.store.unread import Scope, as_text, conditions_of, is_among, marks_of, select_unread

# These clients read in small pieces.
NEWEST_TEXT = 256 << 10


def newest(
    connection: sa.Connection,
    account: Account,
    given: Mapping[int, ReadMark],
    conversation: int | None,
    limit: int,
) -> Page:
    """The newest `limit` messages, read or unread: of one conversation those of both sides, else the direct
    ones that the account has received. They are fewer if their texts have more than NEWEST_TEXT characters.

    A conversation with more than MAX_LEFT older unread messages keeps its mark.
    """
    if conversation is None:
        wanted = _newest_directs(account, limit)
    else:
        wanted = _newest_in(account, conversation, limit)
    page = build_messages(connection, connection.execute(wanted).all()[::-1], account)
    # The clients that ask for the newest messages can't show that one was deleted.
    page = _that_fit([each for each in page if not each.deleted])
    scope = Scope(InboxFilter(direct=conversation is None, own=True), conversation)
    oldest = _oldest_unread(connection, account, given, scope)
    older = partial(_unread_before, connection, given, _older(account, scope.only))
    first: dict[int, int] = {}
    for each in page:
        first.setdefault(each.conversation, each.seq)
    marks: dict[int, ReadMark] = {}
    for place, mark in marks_of(page).items():
        left: frozenset[int] = frozenset()
        if place not in oldest:
            continue
        if oldest[place] < first[place]:
            left = older(place, first[place])
        if len(left) <= MAX_LEFT:
            marks[place] = ReadMark(mark.seq, left)
    return Page(page, marks=marks)


def _that_fit(page: list[Message]) -> list[Message]:
    """The last messages, whose texts have NEWEST_TEXT characters together, and at least one."""
    left = NEWEST_TEXT
    for place in range(len(page) - 1, -1, -1):
        left -= len(page[place].text or "")
        if left < 0:
            return page[min(place + 1, len(page) - 1) :]
    return page


def _newest_in(account: Account, conversation: int, limit: int) -> sa.Select[Any]:
    """Select the newest messages of a conversation."""
    here = select_messages(account).where(messages.c.conversation_id == conversation)
    return here.order_by(messages.c.seq.desc()).limit(limit)


def _newest_directs(account: Account, limit: int) -> sa.Select[Any]:
    """Select the newest direct messages that the account has received."""
    each = messages.alias("each")
    to_self = participants.c.peer_key == account.key
    # The last that counts in a conversation, so that its older messages are not read.
    last = (
        sa.select(each.c.seq)
        .where(
            each.c.conversation_id == participants.c.conversation_id,
            each.c.sender_id.is_distinct_from(account.id) | to_self,
        )
        .order_by(each.c.seq.desc())
        .limit(1)
        .offset(limit - 1)
        .correlate(participants)
        .scalar_subquery()
    )
    newest = (
        sa.select(messages.c.id)
        .select_from(participants)
        .join(messages, messages.c.conversation_id == participants.c.conversation_id)
        .where(
            participants.c.account_id == account.id,
            participants.c.peer_key.is_not(None),
            messages.c.seq >= sa.func.coalesce(last, 0),
            messages.c.imported.is_(None),  # their ids are new
            messages.c.sender_id.is_distinct_from(account.id) | to_self,
        )
        .order_by(messages.c.id.desc())
        .limit(limit)
        .correlate(None)
    )
    return select_messages(account).where(messages.c.id.in_(newest)).order_by(messages.c.id.desc())


def _oldest_unread(
    connection: sa.Connection, account: Account, given: Mapping[int, ReadMark], scope: Scope
) -> dict[int, int]:
    """The number of the oldest unread message of each conversation that has any."""
    parts = select_unread(account, given, scope, messages.c.conversation_id, messages.c.seq)
    found = sa.union_all(*parts).subquery()
    rows = connection.execute(
        sa.select(found.c.conversation_id, sa.func.min(found.c.seq)).group_by(
            found.c.conversation_id
        )
    )
    return {row[0]: row[1] for row in rows}


def _older(account: Account, only: InboxFilter) -> sa.CompoundSelect[Any]:
    """Select the numbers of the unread messages of the conversation `place` before `first`, at most one more
    than MAX_LEFT. `mark` and `but` are the mark that was given for it.

    It is made once and executed for each conversation, because making it takes longer than executing it.
    """
    place, first = (
        sa.bindparam("place", type_=sa.BigInteger),
        sa.bindparam("first", type_=sa.BigInteger),
    )
    mark, but = sa.bindparam("mark", type_=sa.BigInteger), sa.bindparam("but", type_=sa.Text)
    side = (participants.c.account_id == account.id) & (participants.c.conversation_id == place)
    wanted = [
        messages.c.conversation_id == place,
        messages.c.deleted_at.is_(None),
        *conditions_of(account, Scope(only)),
    ]
    seq = sa.select(messages.c.seq)
    after = seq.join_from(messages, participants, side).where(
        messages.c.seq > participants.c.read_seq,
        messages.c.seq < first,
        (messages.c.seq > mark) | is_among(messages.c.seq, but),
        *wanted,
    )
    before = (
        seq.select_from(skipped)
        .join(participants, side)
        .join(messages, messages.c.seq == skipped.c.seq)
        .where(
            skipped.c.account_id == account.id,
            skipped.c.conversation_id == place,
            skipped.c.seq < first,
            (skipped.c.seq > mark) | is_among(skipped.c.seq, but),
            *wanted,
        )
    )
    return sa.union_all(after, before).limit(MAX_LEFT + 1)


def _unread_before(
    connection: sa.Connection,
    given: Mapping[int, ReadMark],
    older: sa.CompoundSelect[Any],
    place: int,
    first: int,
) -> frozenset[int]:
    """The numbers that `older` selects of the conversation `place`."""
    mark = given.get(place, ReadMark(0))
    values = {"place": place, "first": first, "mark": mark.seq, "but": as_text(mark.left)}
    return frozenset(connection.scalars(older, values))
