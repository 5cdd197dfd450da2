"""Checks a message again that was checked before its group changed."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from chatd.base.entries import NO_PARTS, SentParts
from chatd.base.model import Group
from chatd.base.names import key_of
from chatd.service.message_parts import parts_of
from chatd.service.remote import IForwarder
from chatd.service.targets import Target
from chatd.store import rights as store
from chatd.store.accounts import account_of
from chatd.store.earlier_numbers import ref_of
from chatd.store.files import get_attachment
from chatd.store.groups import group_of
from chatd.store.lineage import check_home
from chatd.store.members import realms_of
from chatd.store.new_entries import NewMessage, RemoteCopies


class PostRights:
    """For messages to groups of this realm."""

    def __init__(self, forwarder: IForwarder) -> None:
        self._forwarder = forwarder

    def check_again(self, connection: Connection, new: NewMessage) -> NewMessage:
        """The message as it is stored in this transaction, with copies for the realms that have members of
        the group now. Runs in the writer's thread. Raises NotMember, UnknownGroup, Banned, GroupClosed,
        GroupShut, and GroupMoved if the group lives in another realm now."""
        group = group_of(connection, new.conversation)
        assert group is not None  # noqa: S101 - the rows of groups stay
        check_home(group, None)
        if new.sender_id is not None:
            store.check_account(connection, group, new.sender_id)
        else:
            store.check_guest(connection, group, key_of(new.sender))
        realms = realms_of(connection, group.id)
        copies = self._copies(connection, group, new, realms) if realms else None
        return msgspec.structs.replace(new, copies=copies)

    def _copies(
        self, connection: Connection, group: Group, new: NewMessage, realms: tuple[str, ...]
    ) -> RemoteCopies:
        if new.copies is not None:
            return msgspec.structs.replace(new.copies, realms=realms)
        assert new.sender_id is not None  # noqa: S101 - messages of guests have copies
        sender = account_of(connection, new.sender_id)
        file = None if new.attachment_id is None else get_attachment(connection, new.attachment_id)
        target = Target(group.id, (), group=group.name, realms=realms)
        parts = _parts(connection, new)
        return self._forwarder.copies(sender, target, new.at, new.text, file, parts)


def _parts(connection: Connection, new: NewMessage) -> SentParts:
    """What other realms get of the message besides its text or file."""
    extras = new.extras
    if extras is None:
        return NO_PARTS
    reply = None
    if extras.reply is not None:
        reply = ref_of(connection, new.conversation, extras.reply)
    return parts_of(extras, reply)
