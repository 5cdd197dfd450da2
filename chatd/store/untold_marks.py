"""Read marks that other realms have yet to be told. Jobs for the Database.

A mark is noted in the transaction that moves it, and forgotten in the one that stores what other realms are
told. So they are told of it also if a crash or a full disk comes between (chatd.service.receipts).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from chatd.base.model import MAX_READERS, Account
from chatd.base.names import Address
from chatd.store.driver import execute, execute_many
from chatd.store.engine import placeholder
from chatd.store.prepared import prepared
from chatd.store.privacy import with_receipts
from chatd.store.schema import groups, participants, remote_members, rosters


def note_own(connection: sa.Connection, account: Account, moved: Mapping[int, int]) -> None:
    """Note that the account has read these conversations up to these seqs, where other realms see that."""
    if not moved:
        return
    shared = connection.scalars(*_shared_of(account.id, list(moved))).all()
    _note(connection, [(place, account.key, moved[place]) for place in shared])


def note_guest(connection: sa.Connection, conversation: int, reader: Address, seq: int) -> None:
    """As `note_own`, for a person of another realm: the home of a group tells the other realms."""
    if connection.scalar(*_is_home_of_others(conversation, reader.realm)):
        _note(connection, [(conversation, reader.key, seq)])


def _note(connection: sa.Connection, rows: Sequence[tuple[int, str, int]]) -> None:
    if rows:
        mark = placeholder(connection)
        execute_many(
            connection,
            "INSERT INTO untold_marks (conversation_id, key, seq) "  # noqa: S608
            f"VALUES ({mark}, {mark}, {mark}) "
            "ON CONFLICT (conversation_id, key) DO UPDATE SET seq = excluded.seq",
            rows,
        )


def forget(connection: sa.Connection, conversation: int, key: str, upto: int) -> None:
    """Forget that the mark of the person with that key is to be told, unless it is higher than `upto`."""
    mark = placeholder(connection)
    execute(
        connection,
        "DELETE FROM untold_marks "  # noqa: S608
        f"WHERE conversation_id = {mark} AND key = {mark} AND seq <= {mark}",
        (conversation, key, upto),
    )


@prepared
def _shared_of(account_id: Any, places: Any) -> sa.Select[Any]:
    """Those conversations of an account whose other people include some of other realms."""
    in_group = participants.c.conversation_id == groups.c.conversation_id
    elsewhere = groups.c.realm.is_not(None) | sa.exists().where(
        remote_members.c.conversation_id == participants.c.conversation_id
    )
    return (
        sa.select(participants.c.conversation_id)
        .outerjoin(groups, in_group)
        .outerjoin(rosters, rosters.c.conversation_id == groups.c.conversation_id)
        .where(
            participants.c.account_id == account_id,
            participants.c.conversation_id.in_(places),
            with_receipts(participants.c.account_id),
            participants.c.realm.is_not(None) | ((rosters.c.members <= MAX_READERS) & elsewhere),
        )
    )


@prepared
def _is_home_of_others(conversation: Any, realm: Any) -> sa.Select[Any]:
    """Select the conversation if it is a group here with members of other realms than that one."""
    others = (remote_members.c.conversation_id == conversation) & (remote_members.c.realm != realm)
    return (
        sa.select(groups.c.conversation_id)
        .join(rosters, rosters.c.conversation_id == groups.c.conversation_id)
        .where(
            groups.c.conversation_id == conversation,
            groups.c.realm.is_(None),
            rosters.c.members <= MAX_READERS,
            sa.exists().where(others),
        )
    )
