"""Entries whose signatures could not be verified when they came, and what was found out since. Jobs and
queries for the Database.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from chatd.store.access import viewers
from chatd.store.prepared import prepared
from chatd.store.schema import changes, messages, signatures
from chatd.store.sealing import UNVERIFIED
from chatd.store.versions import Kind, Subject, VersionWriter


class UnverifiedEntry(msgspec.Struct, frozen=True):
    """An entry whose signature could not be verified when it came."""

    conversation: int
    seq: int
    statement: bytes
    proof: bytes


class JudgedEntry(NamedTuple):
    """An entry whose signature is `verified` or `forged` now, and the accounts that see it. `id` is 0 if it
    is no message; `sender` is its author."""

    conversation: int
    seq: int
    id: int
    sender: str
    status: str
    accounts: Collection[int]


def unverified(
    connection: sa.Connection,
    realm: str,
    keys: Collection[bytes],
    after: tuple[int, int],
    limit: int,
) -> list[UnverifiedEntry]:
    """The first unverified entries of a realm that name one of these keys, after that conversation and seq,
    in order."""
    rows = connection.execute(*_unverified(realm, list(keys), *after, limit))
    return [UnverifiedEntry(*row) for row in rows]


@prepared
def _unverified(realm: Any, keys: Any, conversation: Any, seq: Any, limit: Any) -> sa.Select[Any]:
    place = signatures.c.conversation_id, signatures.c.seq
    return (
        sa.select(*place, signatures.c.statement, signatures.c.proof)
        .where(
            signatures.c.status == UNVERIFIED,
            signatures.c.realm == realm,
            signatures.c.key.in_(keys),
            sa.tuple_(*place) > sa.tuple_(conversation, seq),
        )
        .order_by(*place)
        .limit(limit)
    )


def judge(
    connection: sa.Connection, versions: VersionWriter, status: Mapping[UnverifiedEntry, str]
) -> list[JudgedEntry]:
    """Note what was found out about these entries. Returns those that readers see."""
    judged: list[JudgedEntry] = []
    for entry, found in status.items():
        place = entry.conversation, entry.seq
        connection.execute(
            sa.update(signatures)
            .where(signatures.c.conversation_id == place[0], signatures.c.seq == place[1])
            .values(status=found)
        )
        shown = None if found == UNVERIFIED else _shown(connection, *place)
        if shown is not None:
            judged.append(JudgedEntry(*place, *shown, found, viewers(connection, *place)))
    subjects = [Subject(each.conversation, Kind.TRUST, str(each.seq)) for each in judged]
    versions.note(connection, subjects)
    return judged


def _shown(connection: sa.Connection, conversation: int, seq: int) -> tuple[int, str] | None:
    """The id and the sender of a message that was not deleted, or 0 and the author of an entry about a group;
    None if it is neither."""
    message = connection.execute(
        sa.select(messages.c.id, messages.c.sender).where(
            messages.c.conversation_id == conversation,
            messages.c.seq == seq,
            messages.c.deleted_at.is_(None),
        )
    ).first()
    if message is not None:
        return message.id, message.sender
    author = connection.scalar(
        sa.select(changes.c.author).where(
            changes.c.conversation_id == conversation,
            changes.c.seq == seq,
            changes.c.kind.in_(("member", "group")),
        )
    )
    return None if author is None else (0, author)
