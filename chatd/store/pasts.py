"""How much of the logs of other realms' groups is here. Jobs and queries for the Database.

A group elsewhere has a row in `pasts` once it has had a member here. Entries of its range are fetched from
the group's home, the newest ones first, so the range shrinks from above. A change of a message that is
missing, and a reply to it, are noted in `awaiting` until the message comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.entries import EntryRef
from chatd.store.conversations import last_seq
from chatd.store.macs import protect
from chatd.store.prepared import prepared
from chatd.store.retention import look_again
from chatd.store.schema import awaiting, changes, groups, messages, participants, pasts, rosters

MAX_AWAITING = 10_000  # entries of one group
MAX_STEPS = 100  # places that are tried for an entry


class Past(msgspec.Struct, frozen=True):
    """A group of the realm with that key, which has the id `home_id` there. Entries with seqs above `after`
    and up to `upto` are missing that members here may see: `earlier` messages, as its home says. `fetched`
    entries of which were asked for."""

    conversation: int
    name: str
    realm: str
    home_id: int
    after: int
    upto: int
    earlier: int
    fetched: int


# What members here may see is missing up to this seq.
_AFTER = sa.case((pasts.c.first - 1 > pasts.c.after, pasts.c.first - 1), else_=pasts.c.after)
_MISSING = (
    sa.select(
        pasts.c.conversation_id,
        groups.c.name,
        groups.c.realm,
        groups.c.home_id,
        _AFTER.label("low"),
        pasts.c.upto,
        pasts.c.earlier,
        pasts.c.fetched,
    )
    .join(groups, groups.c.conversation_id == pasts.c.conversation_id)
    .join(rosters, rosters.c.conversation_id == pasts.c.conversation_id)
    .where(groups.c.key.is_not(None), rosters.c.members > 0, pasts.c.upto > _AFTER)
)


def past_of(connection: sa.Connection, conversation: int) -> Past | None:
    """What is missing of a group elsewhere; None if it is nothing."""
    row = connection.execute(*_missing_in(conversation)).first()
    return None if row is None else Past(*row)


@prepared
def _missing_in(conversation: Any) -> sa.Select[Any]:
    return _MISSING.where(pasts.c.conversation_id == conversation)


def past_for(connection: sa.Connection, account_id: int, conversation: int) -> Past | None:
    """As `past_of`, for one of the members."""
    past = past_of(connection, conversation)
    if past is None:
        return None
    first = connection.scalar(
        sa.select(participants.c.first_seq).where(
            participants.c.account_id == account_id,
            participants.c.conversation_id == conversation,
        )
    )
    if first is None or first > past.upto:
        return None
    seen = past.upto - max(past.after, first - 1)
    return msgspec.structs.replace(past, earlier=min(past.earlier, seen))


def pasts_of(connection: sa.Connection, realm: str, fetched: int, limit: int) -> list[int]:
    """The conversations of that realm's groups of which something is missing, and fewer than `fetched`
    entries of which were asked for."""
    rows = connection.execute(*_missing_of(realm, fetched, limit))
    return [row.conversation_id for row in rows]


@prepared
def _missing_of(realm: Any, fetched: Any, limit: Any) -> sa.Select[Any]:
    query = _MISSING.where(groups.c.realm == realm, pasts.c.fetched < fetched)
    return query.order_by(pasts.c.fetched, pasts.c.conversation_id).limit(limit)


def open_past(
    connection: sa.Connection, conversation: int, first: int, seq: int, newest: int | None
) -> None:
    """A member has joined who sees the entries from `first` on, and gets those after `seq`. If there was no
    member here, or this realm has lost entries, the log here ends at `newest`. What follows is missing. If
    the home was restored, its seqs can't be compared with `newest`, and everything may be missing."""
    here = pasts.c.conversation_id == conversation
    known = connection.execute(sa.select(pasts).where(here)).first()
    before = max(0, first - 1)
    if known is None:
        values = {"conversation_id": conversation, "first": first, "after": before, "upto": seq}
        connection.execute(sa.insert(pasts).values(values))
        return
    is_more, wanted = first < known.first, min(first, known.first)
    if not is_more and newest is None:
        return
    after = min(known.after, before) if is_more else known.after
    if newest is not None and known.renumbered:
        after = max(0, wanted - 1)
    elif newest is not None and not is_more and known.upto <= max(known.after, known.first - 1):
        # Nothing else is missing. The log may have gone on after what this realm has lost.
        after = newest if known.lost_after is None else min(newest, known.lost_after)
    # What is here already may be fetched again, and is recognised.
    values = {"first": wanted, "after": after, "fetched": 0}
    values["upto"] = max(seq, known.upto)
    connection.execute(sa.update(pasts).where(here).values(lost_after=None, **values))


def extend_past(connection: sa.Connection, conversation: int, after: int, upto: int) -> None:
    """The group has another home. Its entries after the seq `after` and up to `upto` may be missing here."""
    here = pasts.c.conversation_id == conversation
    known = connection.execute(sa.select(pasts).where(here)).first()
    if known is None:
        values = {"conversation_id": conversation, "first": 0, "after": after, "upto": upto}
        connection.execute(sa.insert(pasts).values(values))
        return
    is_complete = known.upto <= max(known.after, known.first - 1)
    changed: dict[str, int | None] = {
        "after": after if is_complete else min(known.after, after),
        "upto": max(known.upto, upto),
        "fetched": 0,
        "lost_after": None,
    }
    connection.execute(sa.update(pasts).where(here).values(changed))


def expect_entries(connection: sa.Connection, conversation: int, newest: int, upto: int) -> None:
    """The home of a group has closed its log with the seq `upto`. Here the log ends at `newest`. What is
    missing will be fetched. If this realm was restored, entries before the newest one may be missing, too:
    the former home sends what waits, and does not return what it has sent before."""
    lost = connection.scalar(
        sa.select(pasts.c.lost_after).where(pasts.c.conversation_id == conversation)
    )
    after = newest if lost is None else min(newest, lost)
    if after < upto:
        extend_past(connection, conversation, after, upto)


def want_all(connection: sa.Connection, conversation: int) -> None:
    """All of the log of a group is wanted here, also what its members may not see: it moves to this realm."""
    here = pasts.c.conversation_id == conversation
    known = connection.execute(sa.select(pasts).where(here)).first()
    if known is not None and known.first > 0:
        values = {"first": 0, "after": 0, "fetched": 0}
        connection.execute(sa.update(pasts).where(here).values(values))


def note_loss(connection: sa.Connection, realm: str) -> None:
    """Note that this realm was restored, and had lost parcels of the realm with that key, which has returned
    those for its present members. If the home of a group knows no member here, entries are still
    missing after the newest ones. They are fetched when the next member joins."""
    theirs = sa.select(groups.c.conversation_id).where(groups.c.realm == realm)
    written, changed = (
        sa.func.coalesce(
            sa.select(sa.func.max(table.c.seq))
            .where(table.c.conversation_id == pasts.c.conversation_id)
            .scalar_subquery(),
            0,
        )
        for table in (messages, changes)
    )
    connection.execute(
        sa.update(pasts)
        .where(pasts.c.conversation_id.in_(theirs), pasts.c.lost_after.is_(None))
        .values(lost_after=sa.case((written > changed, written), else_=changed))
    )


def renumber_pasts(connection: sa.Connection, realm: str) -> None:
    """Note that the realm with that key has lost entries. In all its groups, others get their seqs."""
    theirs = sa.select(groups.c.conversation_id).where(groups.c.realm == realm)
    connection.execute(
        sa.update(pasts).where(pasts.c.conversation_id.in_(theirs)).values(renumbered=True)
    )


def renumber_past(connection: sa.Connection, conversation: int) -> None:
    """Note that entries of a group that has moved have other seqs here than elsewhere, and that any of them
    may be missing."""
    here = pasts.c.conversation_id == conversation
    values = {"renumbered": True, "first": 0, "after": 0, "fetched": 0}
    connection.execute(sa.update(pasts).where(here).values(values))


def first_here(connection: sa.Connection, conversation: int, first: int, newest: int) -> int:
    """The first entry here for a member who sees nothing from before they join, and for the home sees the
    entries from `first` on. The log here ends at `newest`."""
    query = sa.select(pasts.c.renumbered).where(pasts.c.conversation_id == conversation)
    return max(first, newest + 1) if connection.scalar(query) else first


class Reached(msgspec.Struct, frozen=True):
    """A page has come of what was missing up to the seq `asked`. It begins after the seq `upto`. The home
    says that `earlier` messages are left, and that members here see the entries from `first` on. `fetched`
    entries were asked for."""

    asked: int
    upto: int
    first: int
    earlier: int
    fetched: int


def reach_past(connection: sa.Connection, conversation: int, reached: Reached) -> None:
    """Note how far the past of a group has come, unless more is missing since the page was asked for, because
    somebody has joined."""
    look_again(connection, conversation, reached.upto + 1)
    here = pasts.c.conversation_id == conversation
    connection.execute(
        sa.update(pasts)
        .where(here, pasts.c.upto == reached.asked)
        .values(
            upto=reached.upto,
            first=sa.case((pasts.c.first < reached.first, reached.first), else_=pasts.c.first),
            earlier=reached.earlier,
            fetched=pasts.c.fetched + reached.fetched,
        )
    )
    if past_of(connection, conversation) is None:
        connection.execute(sa.delete(awaiting).where(awaiting.c.conversation_id == conversation))


def free_place(connection: sa.Connection, conversation: int, seq: int) -> int | None:
    """The seq, or the next free one below it. Entries have the same seqs as at the home, unless that was
    restored from a backup. If many are in use, the place is after the newest entry; None if a member here may
    not see that entry, and would see it there."""
    if not _used_places(connection, conversation, seq, seq):
        return seq
    last = max(0, seq - MAX_STEPS) + 1
    used = _used_places(connection, conversation, last, seq)
    for place in range(seq, last - 1, -1):
        if place not in used:
            return place
    hidden = connection.scalar(
        sa.select(sa.func.max(participants.c.first_seq)).where(
            participants.c.conversation_id == conversation
        )
    )
    return None if (hidden or 0) > seq else last_seq(connection, conversation) + 1


def is_last(given: int | None, place: int) -> bool:
    """Whether `free_place` has put the entry with the seq `given` after the newest one."""
    return given is not None and place > given


def _used_places(connection: sa.Connection, conversation: int, first: int, last: int) -> set[int]:
    """The seqs from `first` to `last` that entries have."""
    return set(connection.scalars(*_seqs_between(conversation, first, last)))


@prepared
def _seqs_between(conversation: Any, first: Any, last: Any) -> sa.CompoundSelect[Any]:
    return sa.union_all(
        *(
            sa.select(table.c.seq).where(
                table.c.conversation_id == conversation, table.c.seq.between(first, last)
            )
            for table in (messages, changes)
        )
    )


# What waits for a message


def await_message(
    connection: sa.Connection,
    conversation: int,
    seq: int,
    message: EntryRef,
    parcel: bytes | None = None,
) -> None:
    """Note that the entry `seq` is about a message that is missing: a change that `parcel` brings, or a reply
    that is here. Does nothing if the message can't come."""
    if past_of(connection, conversation) is None:
        return
    here = awaiting.c.conversation_id == conversation
    count = connection.scalar(sa.select(sa.func.count()).select_from(awaiting).where(here)) or 0
    known = sa.select(awaiting.c.seq).where(here, awaiting.c.seq == seq)
    if count >= MAX_AWAITING or connection.scalar(known) is not None:
        return
    connection.execute(
        sa.insert(awaiting).values(
            conversation_id=conversation,
            seq=seq,
            realm=message.realm or "",
            number=message.number,
            parcel=parcel,
        )
    )


def awaited(
    connection: sa.Connection, conversation: int, wanted: Sequence[EntryRef], after: int, limit: int
) -> list[tuple[int, bytes]]:
    """The first changes above the seq `after` that wait for these messages, in order: the seqs and the
    parcels."""
    seqs = sorted(
        seq
        for message in wanted
        for seq in connection.scalars(
            sa.select(awaiting.c.seq)
            .where(
                _about(conversation, message),
                awaiting.c.parcel.is_not(None),
                awaiting.c.seq > after,
            )
            .order_by(awaiting.c.seq)
            .limit(limit)
        )
    )[:limit]
    if not seqs:
        return []
    rows = connection.execute(
        sa.select(awaiting.c.seq, awaiting.c.parcel)
        .where(awaiting.c.conversation_id == conversation, awaiting.c.seq.in_(seqs))
        .order_by(awaiting.c.seq)
    )
    return [(seq, parcel) for seq, parcel in rows]


def _about(conversation: int, message: EntryRef) -> sa.ColumnElement[bool]:
    return sa.and_(
        awaiting.c.conversation_id == conversation,
        awaiting.c.realm == (message.realm or ""),
        awaiting.c.number == message.number,
    )


def answer_replies(
    connection: sa.Connection, conversation: int, message: EntryRef, seq: int
) -> None:
    """Let the replies to a message that has come lead to its place."""
    replies = _about(conversation, message) & awaiting.c.parcel.is_(None)
    for reply in connection.scalars(sa.select(awaiting.c.seq).where(replies)).all():
        ident = connection.scalar(
            sa.update(messages)
            .where(
                messages.c.conversation_id == conversation,
                messages.c.seq == reply,
                messages.c.deleted_at.is_(None),
            )
            .values(reply=seq)
            .returning(messages.c.id)
        )
        if ident is not None:
            protect(connection, ident)
    connection.execute(sa.delete(awaiting).where(replies))


def forget_awaited(connection: sa.Connection, conversation: int, seq: int) -> None:
    """A change that has waited was made, or can't be."""
    connection.execute(
        sa.delete(awaiting).where(awaiting.c.conversation_id == conversation, awaiting.c.seq == seq)
    )
