"""Groups that operators delete, a few members and messages at a time. Jobs and queries for the Database."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from chatd.base.errors import GroupEnding
from chatd.base.model import Group, Party
from chatd.store.deletion_pages import erase_between
from chatd.store.members import end_group, row_of
from chatd.store.roster import Delta
from chatd.store.schema import (
    accounts,
    bans,
    changes,
    group_removals,
    groups,
    home_rosters,
    invited,
    messages,
    participants,
    remote_members,
    removed_messages,
    reports,
    retention,
    retention_marks,
    rosters,
)

_T = group_removals.c
# What may be many rows, with the rest of their keys.
_MANY = (
    (invited, invited.c.key),
    (bans, bans.c.key),
    (removed_messages, removed_messages.c.seq),
    (reports, reports.c.id),
)


class Removal(NamedTuple):
    """A group that is deleted. The messages up to the seq `told` are deleted in other realms, too, and those
    up to `erased` are erased here."""

    conversation: int
    told: int = 0
    erased: int = 0


def begin_removal(connection: sa.Connection, conversation: int, actor: str, now: int) -> None:
    """Note that a group is to be deleted."""
    fresh = Removal(conversation)
    values = {"conversation_id": conversation, "told": fresh.told, "erased": fresh.erased}
    connection.execute(sa.insert(group_removals).values(**values, actor=actor, at=now))


def check_not_ending(connection: sa.Connection, group: Group) -> None:
    """Raises GroupEnding if a group is being deleted."""
    if is_being_removed(connection, group.id):
        raise GroupEnding(group=group.name)


def next_removal(connection: sa.Connection, but: Collection[int], last: int) -> Removal | None:
    """The group that is to be deleted whose turn comes after that with the id `last`, except those with the
    ids `but`."""
    columns = _T.conversation_id, _T.told, _T.erased
    chosen = sa.select(*columns).where(_T.conversation_id.not_in(but)).limit(1)
    has_had_its_turn = _T.conversation_id <= last
    row = connection.execute(chosen.order_by(has_had_its_turn, _T.conversation_id)).first()
    return None if row is None else Removal(*row)


def local_members(connection: sa.Connection, conversation: int, count: int) -> list[Party]:
    """The next `count` members of this realm, admins last."""
    rows = connection.execute(
        sa.select(accounts.c.key, accounts.c.name, accounts.c.id)
        .join_from(participants, accounts)
        .where(participants.c.conversation_id == conversation)
        .order_by(participants.c.admin, participants.c.joined_at)
        .limit(count)
    )
    return [Party(*row) for row in rows]


def guest_members(connection: sa.Connection, conversation: int, count: int) -> list[Party]:
    """The next `count` members of other realms, admins last."""
    rows = connection.execute(
        sa.select(remote_members.c.key, remote_members.c.address, remote_members.c.realm)
        .where(remote_members.c.conversation_id == conversation)
        .order_by(remote_members.c.admin, remote_members.c.joined_at)
        .limit(count)
    )
    return [Party(key, address, realm=realm) for key, address, realm in rows]


def remove_members(connection: sa.Connection, group: Group, parties: Sequence[Party]) -> Delta:
    """Remove people, if they are members. Nobody else becomes an admin, and with the last member the group
    ends."""
    gone = []
    for party in parties:
        table, is_party = row_of(group, party)
        if connection.execute(sa.delete(table).where(is_party)).rowcount:
            gone.append(party)
    if not gone:
        return Delta(group.id)
    sized = rosters.c.conversation_id == group.id
    connection.execute(
        sa.update(rosters).where(sized).values(members=rosters.c.members - len(gone))
    )
    roles = tuple((party, None) for party in gone)
    if local_members(connection, group.id, 1) or guest_members(connection, group.id, 1):
        return Delta(group.id, roles)
    return end_group(connection, group, roles)


def untold_after(connection: sa.Connection, conversation: int, seq: int, count: int) -> list[int]:
    """The seqs of the next `count` messages after `seq` that other realms may have: also of those that only
    this realm has removed."""
    is_told = sa.exists().where(
        changes.c.conversation_id == messages.c.conversation_id,
        changes.c.target == messages.c.seq,
        changes.c.kind == "deleted",
    )
    return list(
        connection.scalars(
            sa.select(messages.c.seq)
            .where(
                messages.c.conversation_id == conversation,
                messages.c.seq > max(seq, 0),
                messages.c.imported.is_(None),
                ~is_told,
            )
            .order_by(messages.c.seq)
            .limit(count)
        )
    )


def left_after(connection: sa.Connection, conversation: int, seq: int, count: int) -> list[int]:
    """The seqs of the next `count` messages after `seq` that are not deleted. Imported messages belong to an
    account."""
    return list(
        connection.scalars(
            sa.select(messages.c.seq)
            .where(
                messages.c.conversation_id == conversation,
                messages.c.seq > max(seq, 0),
                messages.c.deleted_at.is_(None),
                messages.c.imported.is_(None),
            )
            .order_by(messages.c.seq)
            .limit(count)
        )
    )


def was_told(connection: sa.Connection, conversation: int, seq: int) -> None:
    """Note that the messages up to `seq` are deleted in other realms, too."""
    _move(connection, conversation, told=seq)


def erase_messages(
    connection: sa.Connection, conversation: int, seqs: Sequence[int], now: int
) -> tuple[str, ...]:
    """Erase these messages of a group that has ended. Returns the names of files in the uploads folder that
    are to be removed."""
    erased = erase_between(connection, conversation, seqs[0], seqs[-1], now)
    _move(connection, conversation, erased=seqs[-1])
    return erased


def _move(connection: sa.Connection, conversation: int, **seqs: int) -> None:
    here = _T.conversation_id == conversation
    connection.execute(sa.update(group_removals).where(here).values(**seqs))


def finish_removal(connection: sa.Connection, conversation: int, count: int) -> None:
    """Remove the next `count` rows of what else is stored of an ended group. After the last one, the removal
    is done: what is left are the numbers of its log."""
    for table, key in _MANY:
        some = sa.select(key).where(table.c.conversation_id == conversation).limit(count)
        here = table.c.conversation_id == conversation
        count -= connection.execute(sa.delete(table).where(here, key.in_(some))).rowcount
        if count <= 0:
            return
    for table in (home_rosters, retention, retention_marks):
        connection.execute(sa.delete(table).where(table.c.conversation_id == conversation))
    connection.execute(
        sa.update(groups)
        .where(groups.c.conversation_id == conversation)
        .values(title=None, topic=None)
    )
    cancel_removal(connection, conversation)


def cancel_removal(connection: sa.Connection, conversation: int) -> None:
    """A group is not deleted any more, because it lives in another realm now. What this realm has noted of it
    stays, such as reports and limits: members here may still be in it."""
    connection.execute(sa.delete(group_removals).where(_T.conversation_id == conversation))


def is_being_removed(connection: sa.Connection, conversation: int) -> bool:
    """Whether a group is being deleted."""
    return connection.scalar(sa.select(_T.at).where(_T.conversation_id == conversation)) is not None
