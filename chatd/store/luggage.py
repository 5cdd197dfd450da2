"""What an account takes along when it moves: its contacts, blocks and groups, whom it talks with, and its
invitations. Jobs for the Database.

It crosses in pages. All addresses in it have a realm. Messages stay: an archive has them
(chatd.service.exports).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, TypeAlias

import msgspec
import sqlalchemy as sa

from chatd.base.errors import (
    BadName,
    BadSignature,
    ContactExists,
    TooManyContacts,
    TooManyInvitations,
)
from chatd.base.model import Account
from chatd.base.names import (
    ARCHIVE_SIGN,
    SYSTEM,
    Address,
    key_of,
    parse_foreign_address,
    parse_foreign_name,
    printable,
)
from chatd.store.accounts import add_contact, find_account
from chatd.store.conversations import open_remote
from chatd.store.invitations import LIFE, NewInvitation, add_invitation, forget_invited
from chatd.store.schema import (
    blocks,
    contacts,
    groups,
    invitations,
    invited,
    messages,
    moving_groups,
    participants,
)

MAX_PAGE = 40_000  # bytes
MAX_PAGES = 40
MAX_DIRECTS = 1000  # people who talked with the account last
MAX_CONVERSATIONS = 5000  # of an account, until luggage begins no more
MAX_BLOCKS = 1000
MAX_MOVING = 1000  # groups of one account

_Text: TypeAlias = Annotated[str, msgspec.Meta(max_length=200)]
_Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Number: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class PackedContact(msgspec.Struct, frozen=True, array_like=True, tag="contact"):
    address: _Text


class PackedDirect(msgspec.Struct, frozen=True, array_like=True, tag="direct"):
    """Somebody who has a direct conversation with the account."""

    address: _Text


class PackedBlock(msgspec.Struct, frozen=True, array_like=True, tag="block"):
    """A blocked person; without a name before the `@`, a blocked realm."""

    address: _Text


class PackedGroup(msgspec.Struct, frozen=True, array_like=True, tag="group"):
    """A group of the realm with that key, and the read mark."""

    realm: _Name
    home_id: _Number
    name: _Name
    read: _Number


class PackedInvitation(msgspec.Struct, frozen=True, array_like=True, tag="invitation"):
    """An open invitation to a group of the realm with that key, by an address."""

    realm: _Name
    home_id: _Number
    name: _Name
    title: Annotated[str, msgspec.Meta(max_length=200)] | None
    by: _Text


Packed: TypeAlias = PackedContact | PackedDirect | PackedBlock | PackedGroup | PackedInvitation

_encode = msgspec.msgpack.Encoder().encode
_decoder = msgspec.msgpack.Decoder(list[Packed])


def pack(connection: sa.Connection, account: Account, realm: str, now: int) -> list[bytes]:
    """The pages of what an account of the realm with that name takes along; at least one."""

    def full(address: str) -> str:
        return address if "@" in address else f"{address}@{realm}"

    items: list[Packed] = [PackedBlock(full(each)) for each in _blocked(connection, account)]
    items += [PackedContact(full(each)) for each in _contacts(connection, account)]
    items += [PackedDirect(full(each)) for each in _directs(connection, account)]
    items += _groups(connection, account, key_of(realm))
    for row in connection.execute(
        sa.select(invitations).where(
            invitations.c.account_id == account.id,
            invitations.c.declined.is_(False),
            invitations.c.at > now - LIFE,
        )
    ):
        name = row.group.partition("@")[0]
        home = row.realm or key_of(realm)
        items.append(PackedInvitation(home, row.home_id, name, row.title, full(row.by)))
    return _pages(items)


def _pages(items: Sequence[Packed]) -> list[bytes]:
    pages: list[list[Packed]] = [[]]
    size = 0
    for each in items:
        size += len(_encode(each))
        if size > MAX_PAGE:
            pages.append([])
            size = len(_encode(each))
        pages[-1].append(each)
    return [_encode(page) for page in pages[:MAX_PAGES]]


def _blocked(connection: sa.Connection, account: Account) -> Sequence[str]:
    """Keys of addresses, and `@` with keys of realms."""
    mine = sa.select(blocks.c.key).where(blocks.c.account_id == account.id)
    return connection.scalars(mine.order_by(blocks.c.key).limit(MAX_BLOCKS)).all()


def _contacts(connection: sa.Connection, account: Account) -> Sequence[str]:
    mine = sa.select(contacts.c.address).where(contacts.c.account_id == account.id)
    return connection.scalars(mine.order_by(contacts.c.key)).all()


def _directs(connection: sa.Connection, account: Account) -> Sequence[str]:
    newest = (
        sa.select(sa.func.max(messages.c.id))
        .where(messages.c.conversation_id == participants.c.conversation_id)
        .correlate(participants)
        .scalar_subquery()
    )
    return connection.scalars(
        sa.select(participants.c.peer)
        .where(
            participants.c.account_id == account.id,
            participants.c.peer_key.is_not(None),
            participants.c.peer_key.not_in([SYSTEM, account.key]),
            ~participants.c.peer_key.startswith(ARCHIVE_SIGN),
        )
        .order_by(newest.desc())
        .limit(MAX_DIRECTS)
    ).all()


def _groups(connection: sa.Connection, account: Account, realm: str) -> list[Packed]:
    rows = connection.execute(
        sa.select(
            groups.c.realm,
            sa.func.coalesce(groups.c.home_id, groups.c.conversation_id),
            groups.c.name,
            participants.c.read_seq,
        )
        .join(participants, participants.c.conversation_id == groups.c.conversation_id)
        .where(participants.c.account_id == account.id, groups.c.key.is_not(None))
        .order_by(groups.c.name)
        .limit(MAX_MOVING)
    )
    return [
        PackedGroup(home or realm, ident, name.partition("@")[0], max(0, read))
        for home, ident, name, read in rows
    ]


class LuggageRoom(msgspec.Struct, frozen=True):
    """For whom luggage is: the key `own` of their realm, how many contacts an account may have, and the
    address `old` which they had in the realm that sends it."""

    own: str
    contacts: int
    old: Address


def unpack(
    connection: sa.Connection, account: Account, page: bytes, room: LuggageRoom, now: int
) -> list[str]:
    """Give a page to the new address, `account`: what there is already, or is too much, is left out. Returns
    the keys of new blocks. Raises BadSignature if it can't be read."""
    try:
        items = _decoder.decode(page)
    except (msgspec.DecodeError, RecursionError):
        raise BadSignature(reason="the luggage can't be read") from None
    blocked: list[str] = []
    for each in items:
        with suppress(BadName, ContactExists, TooManyContacts, TooManyInvitations):
            match each:
                case PackedContact(text):
                    _unpack_person(connection, account, _local(text, room), room, now, listed=True)
                case PackedDirect(text):
                    _unpack_person(connection, account, _local(text, room), room, now, listed=False)
                case PackedBlock(text):
                    blocked += _block(connection, account, text, room, now)
                case PackedGroup():
                    _unpack_group(connection, account, each, room, now)
                case _:
                    _unpack_invitation(connection, account, each, room, now)
    return blocked


def _local(text: str, room: LuggageRoom) -> Address:
    """Raises BadName."""
    address = parse_foreign_address(text)
    if address.realm is None:
        raise BadName(name=text)
    return Address(address.name) if key_of(address.realm) == room.own else address


def _unpack_person(
    connection: sa.Connection,
    account: Account,
    address: Address,
    room: LuggageRoom,
    now: int,
    listed: bool,
) -> None:
    """Raises ContactExists, TooManyContacts."""
    found = address
    if address.realm is None:
        local = find_account(connection, address.key)
        if local is None or local.id == account.id:
            return
        found = Address(local.name)
    if listed:
        add_contact(connection, account.id, found, room.contacts)
    elif address.realm is not None and _has_room(connection, account):
        open_remote(connection, account.id, address, now)  # so they are no stranger


def _has_room(connection: sa.Connection, account: Account) -> bool:
    """Whether the luggage of an account may begin another conversation. A hostile old realm sends any
    number of pages."""
    mine = participants.c.account_id == account.id, participants.c.peer_key.is_not(None)
    count = sa.select(sa.func.count()).select_from(participants).where(*mine)
    return (connection.scalar(count) or 0) < MAX_CONVERSATIONS


def _block(
    connection: sa.Connection, account: Account, text: str, room: LuggageRoom, now: int
) -> list[str]:
    name, _, realm = text.partition("@")
    if name:
        address = _local(text, room)
        key, shown = address.key, str(address)
    else:
        key, shown = f"@{key_of(parse_foreign_name(realm))}", f"@@{realm}"
    mine = blocks.c.account_id == account.id
    known = connection.scalar(sa.select(blocks.c.key).where(mine, blocks.c.key == key))
    count = connection.scalar(sa.select(sa.func.count()).select_from(blocks).where(mine)) or 0
    if known is not None or count >= MAX_BLOCKS or key in (account.key, f"@{room.own}"):
        return []
    connection.execute(
        sa.insert(blocks).values(account_id=account.id, key=key, address=shown, at=now)
    )
    return [key]


def _unpack_group(
    connection: sa.Connection, account: Account, packed: PackedGroup, room: LuggageRoom, now: int
) -> None:
    """Note a group whose home, maybe this realm, may make the account a member. Raises BadName."""
    parse_foreign_name(packed.name)
    mine = moving_groups.c.account_id == account.id
    count = sa.select(sa.func.count()).select_from(moving_groups).where(mine)
    if (connection.scalar(count) or 0) >= MAX_MOVING:
        return
    here = (moving_groups.c.realm == packed.realm, moving_groups.c.home_id == packed.home_id)
    connection.execute(sa.delete(moving_groups).where(mine, *here))
    connection.execute(
        sa.insert(moving_groups).values(
            account_id=account.id,
            realm=packed.realm,
            home_id=packed.home_id,
            name=packed.name,
            read_seq=packed.read,
            at=now,
        )
    )


def _unpack_invitation(
    connection: sa.Connection,
    account: Account,
    packed: PackedInvitation,
    room: LuggageRoom,
    now: int,
) -> None:
    """Store an invitation. The old realm can name only its own people as inviters to a group elsewhere: in
    place of others, the invitation is from the old address. Raises BadName, TooManyInvitations."""
    is_here = packed.realm == room.own
    if is_here and not _take_invited(connection, account, packed.home_id, now):
        return  # the old realm would let the account into a private group
    home = None if is_here else parse_foreign_name(packed.realm)
    group = Address(parse_foreign_name(packed.name), home)
    by = _local(packed.by, room)
    if not is_here and key_of(by.realm or "") != key_of(room.old.realm or ""):
        by = room.old
    realm = "" if is_here else packed.realm
    title = printable(packed.title) if packed.title else None
    new = NewInvitation(str(group), group.key, realm, packed.home_id, str(by), now, title)
    add_invitation(connection, account, new)


def _take_invited(connection: sa.Connection, account: Account, group: int, now: int) -> bool:
    """Take the invitation to a group of this realm that was sent to the old address, and has followed (see
    chatd.store.following). Returns whether there was one."""
    found = sa.select(invited.c.at).where(
        invited.c.conversation_id == group, invited.c.key == account.key, invited.c.at > now - LIFE
    )
    if connection.scalar(found) is None:
        return False
    forget_invited(connection, group, account.key)
    return True


class MovingGroup(msgspec.Struct, frozen=True):
    """A group in which an account here takes the place of its old address."""

    account_id: int
    realm: str
    home_id: int
    name: str
    read_seq: int


def take_moving_group(
    connection: sa.Connection, account_id: int, realm: str, home_id: int
) -> MovingGroup | None:
    """Take the row of a group whose home reports the new member."""
    here = sa.and_(
        moving_groups.c.account_id == account_id,
        moving_groups.c.realm == realm,
        moving_groups.c.home_id == home_id,
    )
    row = connection.execute(sa.select(moving_groups).where(here)).first()
    if row is None:
        return None
    connection.execute(sa.delete(moving_groups).where(here))
    return MovingGroup(row.account_id, row.realm, row.home_id, row.name, row.read_seq)


def set_read(connection: sa.Connection, account_id: int, conversation: int, seq: int) -> None:
    """The account has read a group as far as its old address had."""
    connection.execute(
        sa.update(participants)
        .where(
            participants.c.account_id == account_id,
            participants.c.conversation_id == conversation,
            participants.c.read_seq > seq,
        )
        .values(read_seq=seq)
    )
