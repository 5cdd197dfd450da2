"""Messages as operators and moderators find them, who need not take part in their conversations. Queries for
the Database.
"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.errors import (
    ImportedMessage,
    NoConversation,
    NotOperator,
    UnknownGroup,
    UnknownMessage,
)
from chatd.base.model import Account, Message, Opaque
from chatd.base.names import Address, key_of
from chatd.base.principals import Principal
from chatd.base.roles import OPERATOR, includes
from chatd.store.accounts import account_of
from chatd.store.change_effects import is_deleted
from chatd.store.files import get_attachment
from chatd.store.groups import find_former, find_group, find_group_by_code
from chatd.store.guard import checked, is_row_intact, noted_altered
from chatd.store.macs import GUARDED
from chatd.store.managed_groups import is_known
from chatd.store.removed_messages import is_message_removed
from chatd.store.reports import is_reported
from chatd.store.schema import accounts, conversations, groups, messages, participants


class FoundMessage(msgspec.Struct, frozen=True):
    """A message in a conversation, which is the `group` with that name or a direct of the accounts with the
    ids `sides`. `realm` is the key of another realm that the group lives in, or that the other person is of.
    `author` is the account of this realm that has written it."""

    conversation: int
    seq: int
    sender: str
    author: Account | None
    deleted: bool
    group: str | None = None
    realm: str | None = None
    sides: tuple[int, ...] = ()

    @property
    def is_mirrored(self) -> bool:
        """Whether it is in a group of another realm."""
        return self.group is not None and self.realm is not None


def find_conversation(connection: sa.Connection, where: Address | int) -> int:
    """The id of a conversation that is given by its id, or of a group by its localized address or its code.
    Raises NoConversation, UnknownGroup."""
    if isinstance(where, int):
        here = sa.select(conversations.c.id).where(conversations.c.id == where)
        if connection.scalar(here) is None:
            raise NoConversation(name=where)
        return where
    group = (
        find_group(connection, where.key)
        or find_group_by_code(connection, where.key)
        or find_former(connection, where.key, None)
    )
    if group is None:
        raise UnknownGroup(name=where)
    return group.id


def find_message(connection: sa.Connection, where: Address | int, seq: int) -> FoundMessage:
    """A message of a conversation, which is given as for `find_conversation`. Raises NoConversation,
    UnknownGroup, UnknownMessage, ImportedMessage."""
    conversation = find_conversation(connection, where)
    row = connection.execute(
        sa.select(
            messages.c.sender,
            messages.c.sender_id,
            messages.c.deleted_at,
            messages.c.imported,
            groups.c.name,
            groups.c.realm,
        )
        .outerjoin(groups, groups.c.conversation_id == messages.c.conversation_id)
        .where(messages.c.conversation_id == conversation, messages.c.seq == seq)
    ).first()
    if row is None:
        raise UnknownMessage(seq=seq)
    if row.imported is not None:
        raise ImportedMessage(seq=seq)
    author = None if row.sender_id is None else _author(connection, row.sender_id)
    message = FoundMessage(conversation, seq, row.sender, author, row.deleted_at is not None)
    if row.name is not None:
        return msgspec.structs.replace(message, group=row.name, realm=row.realm)
    sides = connection.execute(
        sa.select(participants.c.account_id, participants.c.realm)
        .where(participants.c.conversation_id == conversation)
        .order_by(participants.c.account_id)
    ).all()
    return msgspec.structs.replace(
        message,
        realm=next((side.realm for side in sides if side.realm is not None), None),
        sides=tuple(side.account_id for side in sides),
    )


def find_known_message(
    connection: sa.Connection, actor: Principal, where: Address | int, seq: int
) -> FoundMessage:
    """As `find_message`. A name does not tell moderators that there is a group which they do not know, unless
    the message is reported."""
    if isinstance(where, Address) and not includes(actor.role, OPERATOR):
        place = find_conversation(connection, where)
        is_named = is_known(connection, place, actor.account or 0)
        if not is_named and not is_reported(connection, place, seq):
            raise UnknownGroup(name=where)
    return find_message(connection, where, seq)


def names_of(connection: sa.Connection, direct: int) -> tuple[str, ...]:
    """The addresses of the two people of a direct conversation."""
    rows = connection.execute(
        sa.select(accounts.c.name, participants.c.peer)
        .join_from(participants, accounts, accounts.c.id == participants.c.account_id)
        .where(participants.c.conversation_id == direct)
    )
    return tuple(sorted({name for row in rows for name in row}))


def _author(connection: sa.Connection, account_id: int) -> Account:
    """An account with the key that its name has, also if it was deleted."""
    account = account_of(connection, account_id)
    return msgspec.structs.replace(account, key=key_of(account.name))


def check_may_delete(connection: sa.Connection, actor: Principal, message: FoundMessage) -> None:
    """Operators delete any message. Moderators delete reported messages, and those that they see in groups;
    both also those of operators, as the admins of a group may. What is deleted may be deleted again, because
    that closes the reports. Raises NotOperator."""
    place = message.conversation, message.seq
    if _is_trusted(connection, actor, message) or is_deleted(connection, *place):
        return
    if is_message_removed(connection, *place):
        return
    sees = sa.select(participants.c.account_id).where(
        participants.c.account_id == (actor.account or 0),
        participants.c.conversation_id == message.conversation,
        participants.c.first_seq <= message.seq,
    )
    if message.group is None or connection.scalar(sees) is None:
        raise NotOperator


def check_may_read(connection: sa.Connection, actor: Principal, message: FoundMessage) -> None:
    """Operators read any message, and moderators reported ones. Raises NotOperator."""
    if not _is_trusted(connection, actor, message):
        raise NotOperator


def _is_trusted(connection: sa.Connection, actor: Principal, message: FoundMessage) -> bool:
    is_operator = includes(actor.role, OPERATOR)
    return is_operator or is_reported(connection, message.conversation, message.seq)


def shown_message(connection: sa.Connection, found: FoundMessage) -> Message:
    """The content of a message. One that was altered on disk, or that its author's realm has not signed, is
    not shown."""
    columns: tuple[Any, ...] = (messages.c.id, messages.c.edited_at, *GUARDED)
    row = connection.execute(
        sa.select(*columns).where(
            messages.c.conversation_id == found.conversation, messages.c.seq == found.seq
        )
    ).one()
    file = None if row.attachment_id is None else get_attachment(connection, row.attachment_id)
    message = Message(
        row.id,
        found.conversation,
        found.seq,
        row.at,
        row.sender,
        group=found.group,
        text=row.text,
        file=file,
        edited=row.edited_at,
        deleted=row.deleted_at is not None,
        forwarded=row.forwarded,
        opaque=None if row.media is None else Opaque(row.media, row.body or b""),
    )
    if not is_row_intact(connection, row):
        return noted_altered(message)
    return checked(connection, [message])[0]
