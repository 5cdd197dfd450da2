"""Mirrors: what this realm stores of groups that live in other realms. Jobs for the Database."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, update

from chatd.base.errors import TooManyGroups
from chatd.base.model import Account, Group, party_of
from chatd.base.names import Address
from chatd.store import received
from chatd.store.conversations import add_conversation, last_seq, takes_part
from chatd.store.groups import find_group, find_mirror
from chatd.store.members import check_groups
from chatd.store.origins import FIRST_NUMBER
from chatd.store.pasts import first_here, open_past
from chatd.store.roster import Delta
from chatd.store.schema import admissions, groups, participants, rosters
from chatd.store.settings import get_setting

MAX_MIRRORS = 10_000  # groups of one other realm that are known here
# Prefix of a setting's name, before the realm and the group, in databases of versions before 0009
_SEEN = "who is in groups, "


class MirrorJoin(msgspec.Struct, frozen=True):
    """A home has reported that `account` is a member of its group with the id `home_id`. Messages after `seq`
    are unread, and the account sees the entries from `first` on. If the membership is `returned` after a
    restore, older entries may follow, and it takes the place of an earlier one, whose end is lost."""

    home_id: int
    account: Account
    seq: int
    first: int = 0
    returned: bool = False


def join_mirror(
    connection: Connection, name: Address, realm: str, join: MirrorJoin, now: int, limit: int
) -> Delta:
    """Make an account a member of another realm's group, unless it is one.

    Raises TooManyGroups if the account is in `limit` groups, UnknownUser if it was deleted.
    """
    account = join.account
    conversation = _open_mirror(connection, name, realm, join.home_id, now)
    if takes_part(connection, account.id, conversation):
        if not join.returned:
            return Delta(conversation)
        return _replace_membership(connection, conversation, join, now)
    check_groups(connection, account.id, account.name, limit)
    return _add_member(connection, conversation, realm, join, now)


def _replace_membership(
    connection: Connection, conversation: int, join: MirrorJoin, now: int
) -> Delta:
    account, first = join.account, join.first
    party = party_of(account)
    connection.execute(
        update(participants)
        .where(
            participants.c.account_id == account.id,
            participants.c.conversation_id == conversation,
        )
        .values(joined_at=now, first_seq=first)
    )
    # This realm may have lost what came between its last entry and the join.
    newest = last_seq(connection, conversation)
    open_past(connection, conversation, first, join.seq + 1, newest)
    return Delta(conversation, ((party, None), (party, False)), first=first)


def _add_member(
    connection: Connection, conversation: int, realm: str, join: MirrorJoin, now: int
) -> Delta:
    account, seq, first = join.account, join.seq, join.first
    returned = join.returned
    newest = last_seq(connection, conversation)
    is_first = not connection.scalar(
        select(rosters.c.members).where(rosters.c.conversation_id == conversation)
    )
    mark = max(seq, newest)
    seen = first if first <= seq else first_here(connection, conversation, first, newest)
    connection.execute(
        insert(participants).values(
            account_id=account.id,
            conversation_id=conversation,
            read_seq=mark,
            joined_at=now,
            realm=realm,
            first_seq=seen,
        )
    )
    connection.execute(
        update(rosters)
        .where(rosters.c.conversation_id == conversation)
        .values(members=rosters.c.members + 1, joined_at=now, floor=newest if returned else mark)
    )
    is_behind = is_first or returned
    upto = seq + 1 if returned else seq  # the entry that says so
    open_past(connection, conversation, first, upto, newest if is_behind else None)
    return Delta(conversation, ((party_of(account), False),), first=seen)


class MemberProof(msgspec.Struct, frozen=True):
    """What a home has reported with the parcel `number`: that somebody is a member since the time `at`. Its
    seal, which only the home can check, proves that to it."""

    number: int
    at: int
    seal: bytes


def keep_admission(
    connection: Connection, conversation: int, account: Account, admission: MemberProof
) -> None:
    """Keep the newest report that an account is a member of another realm's group. One without a seal leaves
    none."""
    key = {"account_id": account.id, "conversation_id": conversation}
    known = connection.scalar(select(admissions.c.number).filter_by(**key))
    if known is not None and known > admission.number:
        return  # a home that was restored sends older parcels again
    connection.execute(delete(admissions).filter_by(**key))
    if admission.seal:
        values = msgspec.structs.asdict(admission)
        connection.execute(insert(admissions).values(**key, **values))


def _open_mirror(connection: Connection, name: Address, realm: str, home_id: int, now: int) -> int:
    """Return the conversation of a group of another realm, created if necessary.

    If the name belongs here to a group with another id, that group has ended at its home.
    """
    group = find_group(connection, name.key)
    if group is not None and group.home_id != home_id:
        _end(connection, group)
        group = find_mirror(connection, realm, home_id)
        if group is not None:  # this realm believed that it has ended
            connection.execute(
                update(groups).where(groups.c.conversation_id == group.id).values(key=name.key)
            )
    return _add(connection, name, realm, home_id, now) if group is None else group.id


def _end(connection: Connection, group: Group) -> None:
    connection.execute(update(groups).where(groups.c.conversation_id == group.id).values(key=None))
    connection.execute(delete(participants).where(participants.c.conversation_id == group.id))
    connection.execute(
        update(rosters).where(rosters.c.conversation_id == group.id).values(members=0)
    )


def _add(connection: Connection, name: Address, realm: str, home_id: int, now: int) -> int:
    known = connection.execute(
        select(func.count()).select_from(groups).where(groups.c.realm == realm)
    ).scalar_one()
    if known >= MAX_MIRRORS:
        raise TooManyGroups(name=name.realm, limit=MAX_MIRRORS)
    conversation = add_conversation(connection, "group", now)
    connection.execute(
        insert(groups).values(
            conversation_id=conversation, name=str(name), key=name.key, realm=realm, home_id=home_id
        )
    )
    connection.execute(insert(rosters).values(conversation_id=conversation, members=0))
    return conversation


def leave_mirror(connection: Connection, group: Group, account: Account) -> Delta:
    """Remove an account from another realm's group. The Delta has no roles if it was not a member."""
    gone = connection.execute(
        delete(participants).where(
            participants.c.conversation_id == group.id, participants.c.account_id == account.id
        )
    )
    if not gone.rowcount:
        return Delta(group.id)
    connection.execute(
        update(rosters)
        .where(rosters.c.conversation_id == group.id)
        .values(members=rosters.c.members - 1)
    )
    return Delta(group.id, ((party_of(account), None),))


def is_news(connection: Connection, realm: str, group: str, number: int) -> bool:
    """Whether a realm's parcel about the members of a group (by its key at its home) is new. Records its
    number. Such parcels are repeated if an acknowledgement was lost, or a backup was restored."""
    if is_repeated(connection, realm, group, number):
        return False
    received.note(connection, realm, number)
    return True


def is_repeated(connection: Connection, realm: str, group: str, number: int) -> bool:
    """Whether `is_news` has recorded that number."""
    if number < FIRST_NUMBER:
        # A parcel of version 1. Of its numbers, the newest of each group was recorded.
        seen = get_setting(connection, f"{_SEEN}{realm} {group}")
        if seen is not None and number <= int(seen):
            return True
    return received.is_known(connection, realm, number)
