"""Messages whose sender or recipient has moved while they were on their way to the disk."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from chatd.base.errors import AccountMoved, MovedAway
from chatd.base.names import key_of
from chatd.service.remote import IMover, IRealms
from chatd.store.account_moves import moved_account
from chatd.store.conversations import with_peer
from chatd.store.new_entries import NewMessage
from chatd.store.sides import side_of


class Readdressing:
    """Called in the writer's thread, in the transaction that stores a message."""

    def __init__(self, realms: IRealms, mover: IMover) -> None:
        self._realms = realms
        self._mover = mover

    def readdress(self, connection: Connection, new: NewMessage) -> NewMessage:
        """The message as it is to be stored now. Raises MovedAway, AccountMoved."""
        if new.sender_id is None:
            self._check_recipient(connection, new)
            return new
        moved = moved_account(connection, new.sender_id)
        if moved is not None:
            raise MovedAway(to=moved.move.new.name)
        side = side_of(connection, new.sender_id, new.conversation)
        if side is None or side.peer is None:
            return new
        if side.realm is None:
            return new if new.copies is None else msgspec.structs.replace(new, copies=None)
        copies = self._mover.readdress(connection, new, side.peer, side.realm)
        return msgspec.structs.replace(new, copies=copies)

    def _check_recipient(self, connection: Connection, new: NewMessage) -> None:
        """A message from another realm is taken for an account that has moved only if that realm does not
        follow. Raises AccountMoved."""
        realm = None if new.origin is None else new.origin[0]
        if realm is None or not self._realms.follows_moves(realm):
            return
        account_id = with_peer(connection, new.conversation, key_of(new.sender))
        stored = None if account_id is None else moved_account(connection, account_id)
        if stored is not None:
            raise moved_error(stored.move.old.name, stored.move.new.name, stored.move.proof)


def moved_error(old: str, new: str, proof: bytes) -> AccountMoved:
    """The error that tells another realm of a move, with the proof."""
    return AccountMoved(name=old, to=new).proven(proof)
