"""Lets what this realm has with an address follow it to a new one: direct conversations, contacts, blocks,
requests, invitations and bans. Jobs for the Database.

A conversation keeps its id and its log, and gets an entry that tells of the new address. It follows once no
parcel of it waits for the old realm: those are judged there, and what is not taken is sent to the new
address, in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from chatd.base.model import Account, Party
from chatd.store.account_moves import Move, note_earlier
from chatd.store.blocks import is_blocked
from chatd.store.conversations import find_direct, last_seq
from chatd.store.messages import MessageWriter
from chatd.store.new_entries import NewChange
from chatd.store.resending import waiting_numbers
from chatd.store.schema import (
    accounts,
    bans,
    blocks,
    changes,
    contacts,
    invitations,
    invited,
    participants,
    requests,
)

KIND = "moved"  # of the entry


class FollowedDirect(NamedTuple):
    """A conversation of an account here that has followed, and the seq and time of the entry that says so."""

    account_id: int
    conversation: int
    seq: int
    at: int


class Following(msgspec.Struct, frozen=True):
    """What has followed. `waits`: some conversations still have parcels on their way to the old realm.
    `blockers` are the accounts that block the new address now, as they do the old one. `banned` are the
    groups that ban it now, with the epochs of their logs."""

    directs: list[FollowedDirect]
    waits: bool
    blockers: list[int] = []
    banned: dict[int, int] = {}


class _DirectSide(NamedTuple):
    """The side of an account here in a conversation with the old address."""

    account_id: int
    key: str
    name: str
    conversation: int


def follow(connection: sa.Connection, writer: MessageWriter, move: Move, now: int) -> Following:
    """Let everything follow that can by now. May be called again, while something waits."""
    blockers = _follow_blocks(connection, move)
    directs, waits = [], False
    for side in list(_sides(connection, move.old)):
        is_own = side.account_id in (move.old.id, move.new.id)
        if is_own or refuses(connection, side.account_id, move):
            continue
        realm = move.old.realm
        if realm is not None and waiting_numbers(connection, realm, side.conversation, 1):
            waits = True
            continue
        _follow_request(connection, side, move)
        followed = _follow_direct(connection, writer, side, move, now)
        if followed is not None:
            directs.append(followed)
    _follow_contacts(connection, move)
    _follow_invitations(connection, move)
    banned = {
        group: writer.epochs.move(connection, group) for group in _follow_bans(connection, move)
    }
    return Following(directs, waits, blockers, banned)


def follow_one(
    connection: sa.Connection,
    writer: MessageWriter,
    account: Account,
    old: Party,
    new: Party,
    now: int,
) -> FollowedDirect | None:
    """Let the conversation and the contact of one account follow, who has confirmed the new address. Returns
    the conversation, if there is one."""
    move = Move(old, new, 0, 0, now, b"")
    known = sa.select(contacts.c.key).where(
        contacts.c.account_id == account.id, contacts.c.key == new.key
    )
    mine = sa.and_(contacts.c.account_id == account.id, contacts.c.key == old.key)
    if connection.scalar(known) is None:
        connection.execute(
            sa.update(contacts).where(mine).values(key=new.key, address=new.name, realm=new.realm)
        )
    else:
        connection.execute(sa.delete(contacts).where(mine))
    place = find_direct(connection, account.id, old.key)
    if place is None:
        return None
    side = _DirectSide(account.id, account.key, account.name, place)
    return _follow_direct(connection, writer, side, move, now)


def stays(connection: sa.Connection, account_id: int, new: Party) -> bool:
    """Whether the conversation of an account with an old address does not follow, because the account talks
    with the new one already."""
    existing = find_direct(connection, account_id, new.key)
    return existing is not None and bool(last_seq(connection, existing))


def refuses(connection: sa.Connection, account_id: int, move: Move) -> bool:
    """Whether an account does not want to follow: it has blocked the new address, or its realm, and not the
    old one."""
    if is_blocked(connection, account_id, move.old.key):
        return False
    return is_blocked(connection, account_id, move.new.key)


def _sides(connection: sa.Connection, old: Party) -> Iterator[_DirectSide]:
    columns = accounts.c.id, accounts.c.key, accounts.c.name, participants.c.conversation_id
    query = sa.select(*columns).join(participants, participants.c.account_id == accounts.c.id)
    if old.id is None:
        query = query.where(participants.c.realm == old.realm, participants.c.peer_key == old.key)
    else:
        own = participants.alias()
        of_old = sa.select(own.c.conversation_id).where(
            own.c.account_id == old.id, own.c.peer_key.is_not(None)
        )
        query = query.where(
            participants.c.conversation_id.in_(of_old),
            participants.c.peer_key == old.key,
            participants.c.realm.is_(None),
        )
    for row in connection.execute(query.order_by(participants.c.conversation_id)):
        yield _DirectSide(*row)


def _follow_direct(
    connection: sa.Connection, writer: MessageWriter, side: _DirectSide, move: Move, now: int
) -> FollowedDirect | None:
    """Give a conversation the new address, unless the two have one already that is not empty: then only the
    entry is added, there. Returns None if that has told of it before."""
    old, new, place = move.old, move.new, side.conversation
    existing = find_direct(connection, side.account_id, new.key)
    if existing is not None and stays(connection, side.account_id, new):
        if _is_told(connection, existing, old):
            return None
        return _tell(connection, writer, side.account_id, existing, move, now)
    if existing is not None:
        connection.execute(
            sa.delete(participants).where(participants.c.conversation_id == existing)
        )
    upto = note_earlier(connection, place, writer.newest(connection, place), old)
    connection.execute(
        sa.update(participants)
        .where(
            participants.c.account_id == side.account_id, participants.c.conversation_id == place
        )
        .values(peer=new.name, peer_key=new.key, realm=new.realm)
    )
    if new.id is not None and find_direct(connection, new.id, side.key) is None:
        connection.execute(
            sa.insert(participants).values(
                account_id=new.id,
                conversation_id=place,
                peer=side.name,
                peer_key=side.key,
                joined_at=now,
                read_seq=upto,
            )
        )
    writer.rerouted.add(place)
    return _tell(connection, writer, side.account_id, place, move, now)


def _tell(
    connection: sa.Connection,
    writer: MessageWriter,
    account_id: int,
    conversation: int,
    move: Move,
    now: int,
) -> FollowedDirect:
    data = msgspec.json.encode({"to": move.new.name}).decode()
    new = NewChange(conversation, KIND, None, move.old.name, now, data=data)
    place = writer.add_change(connection, new)
    return FollowedDirect(account_id, conversation, place.seq, now)


def _is_told(connection: sa.Connection, conversation: int, old: Party) -> bool:
    """Whether the last entry of that kind tells of that address."""
    author = connection.scalar(
        sa.select(changes.c.author)
        .where(changes.c.conversation_id == conversation, changes.c.kind == KIND)
        .order_by(changes.c.seq.desc())
        .limit(1)
    )
    return author == old.name


def _follow_request(connection: sa.Connection, side: _DirectSide, move: Move) -> None:
    """A message request that waits for an answer is one of the new address. People of this realm need not
    ask."""
    this = sa.and_(requests.c.name == side.key, requests.c.sender == move.old.key)
    if move.new.realm is None:
        connection.execute(sa.delete(requests).where(this))
        return
    same = sa.select(requests.c.name).where(
        requests.c.name == side.key, requests.c.sender == move.new.key
    )
    if connection.scalar(same) is None:
        connection.execute(
            sa.update(requests).where(this).values(sender=move.new.key, address=move.new.name)
        )


def _follow_contacts(connection: sa.Connection, move: Move) -> None:
    old, new = move.old, move.new
    theirs = contacts.alias()
    doubled = sa.select(theirs.c.account_id).where(theirs.c.key == new.key)
    mine = contacts.c.key == old.key
    unwanted = sa.select(blocks.c.account_id).where(
        blocks.c.key.in_([new.key, f"@{new.realm}"]),
        blocks.c.account_id.not_in(
            sa.select(blocks.c.account_id).where(blocks.c.key.in_([old.key, f"@{old.realm}"]))
        ),
    )
    follows = sa.and_(mine, contacts.c.account_id.not_in(unwanted))
    connection.execute(
        sa.delete(contacts).where(
            follows,
            sa.or_(contacts.c.account_id.in_(doubled), contacts.c.account_id == new.id),
        )
    )
    connection.execute(
        sa.update(contacts).where(follows).values(key=new.key, address=new.name, realm=new.realm)
    )


def _follow_blocks(connection: sa.Connection, move: Move) -> list[int]:
    """A block stays, and is one of the new address, too. Returns whose it is."""
    new = move.new
    known = sa.select(blocks.c.account_id).where(blocks.c.key == new.key)
    found = connection.scalars(
        sa.select(blocks.c.account_id).where(
            blocks.c.key == move.old.key, blocks.c.account_id.not_in(known)
        )
    ).all()
    blockers = [each for each in found if each != new.id]
    if blockers:
        connection.execute(
            sa.insert(blocks),
            [
                {"account_id": each, "key": new.key, "address": new.name, "at": move.at}
                for each in blockers
            ],
        )
    return blockers


def _follow_invitations(connection: sa.Connection, move: Move) -> None:
    """Open invitations: those by the old address to groups elsewhere, and those of it to groups here."""
    connection.execute(
        sa.update(invitations).where(invitations.c.by == move.old.name).values(by=move.new.name)
    )
    others = invited.alias()
    doubled = sa.select(others.c.conversation_id).where(others.c.key == move.new.key)
    mine = invited.c.key == move.old.key
    connection.execute(sa.delete(invited).where(mine, invited.c.conversation_id.in_(doubled)))
    connection.execute(sa.update(invited).where(mine).values(key=move.new.key))


def _follow_bans(connection: sa.Connection, move: Move) -> list[int]:
    """Groups that ban the old address ban the new one, too. Returns those groups."""
    known = sa.select(bans.c.conversation_id).where(bans.c.key == move.new.key)
    found = connection.scalars(
        sa.select(bans.c.conversation_id).where(
            bans.c.key == move.old.key, bans.c.conversation_id.not_in(known)
        )
    ).all()
    if found:
        connection.execute(
            sa.insert(bans),
            [
                {
                    "conversation_id": each,
                    "key": move.new.key,
                    "address": move.new.name,
                    "at": move.at,
                }
                for each in found
            ],
        )
    return list(found)
