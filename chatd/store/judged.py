"""Entries whose signatures could not be verified when they came, and what was found out since. Jobs and
queries for the Database.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from chatd.store.access import viewers
from chatd.store.schema import messages, signatures
from chatd.store.sealing import UNVERIFIED
from chatd.store.versions import Kind, Subject, VersionWriter


class UnverifiedEntry(msgspec.Struct, frozen=True):
    """An entry whose signature could not be verified when it came."""

    conversation: int
    seq: int
    statement: bytes
    proof: bytes


class JudgedMessage(NamedTuple):
    """A message whose signature is `verified` or `forged` now, and the accounts that see it."""

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
    place = sa.tuple_(signatures.c.conversation_id, signatures.c.seq)
    rows = connection.execute(
        sa.select(
            signatures.c.conversation_id,
            signatures.c.seq,
            signatures.c.statement,
            signatures.c.proof,
        )
        .where(
            signatures.c.status == UNVERIFIED,
            signatures.c.realm == realm,
            signatures.c.key.in_(keys),
            place > after,
        )
        .order_by(signatures.c.conversation_id, signatures.c.seq)
        .limit(limit)
    )
    return [UnverifiedEntry(*row) for row in rows]


def judge(
    connection: sa.Connection, versions: VersionWriter, status: Mapping[UnverifiedEntry, str]
) -> list[JudgedMessage]:
    """Note what was found out about these entries. Returns those that are messages, for their readers."""
    judged: list[JudgedMessage] = []
    for entry, found in status.items():
        place = entry.conversation, entry.seq
        connection.execute(
            sa.update(signatures)
            .where(signatures.c.conversation_id == place[0], signatures.c.seq == place[1])
            .values(status=found)
        )
        message = connection.execute(
            sa.select(messages.c.id, messages.c.sender).where(
                messages.c.conversation_id == place[0],
                messages.c.seq == place[1],
                messages.c.deleted_at.is_(None),
            )
        ).first()
        if message is None or found == UNVERIFIED:
            continue
        judged.append(JudgedMessage(*place, *message, found, viewers(connection, *place)))
    subjects = [Subject(each.conversation, Kind.TRUST, str(each.seq)) for each in judged]
    versions.note(connection, subjects)
    return judged
