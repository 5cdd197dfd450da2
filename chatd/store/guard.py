"""Checks messages that are read: a text that was altered on disk is not shown as the original, and neither is
one that its author's realm has not signed. Queries for the Database.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, TypeAlias

import msgspec
import sqlalchemy as sa

from chatd.base.content_hash import HASH, content_hash
from chatd.base.model import Message
from chatd.store.details import mentions_of
from chatd.store.engine import placeholder
from chatd.store.macs import (
    CHANGE,
    GUARDED,
    KeyedHash,
    is_intact,
    keyed_hash,
    mac_of,
    report_altered,
)
from chatd.store.sealing import UNVERIFIED
from chatd.store.signatures import FORGED

ALTERED = "(This message was altered on disk and is not shown; tell the operator of this realm)"
NOT_SIGNED = "the realm of {sender} did not sign it"
NOT_WRITTEN = f"(This message is not shown: {NOT_SIGNED})"

PLACES = 500  # in one statement

# The conversation and the seq of a message
Place: TypeAlias = tuple[int, int]

_COLUMNS = (
    "asked.conversation, asked.seq, signatures.status, signatures.statement, signatures.salt, "
    "signatures.attributes"
)
_OF_MESSAGES = f"""
SELECT {_COLUMNS} FROM asked JOIN signatures
ON signatures.conversation_id = asked.conversation AND signatures.seq = asked.seq
"""  # noqa: S608
_OF_EDITS = f"""
SELECT {_COLUMNS} FROM asked JOIN changes
ON changes.conversation_id = asked.conversation AND changes.target = asked.seq AND changes.kind = 'edited'
JOIN signatures ON signatures.conversation_id = changes.conversation_id
AND signatures.seq = changes.seq AND signatures.salt IS NOT NULL
"""  # noqa: S608


def reason_of(status: str, sender: str) -> str | None:
    """Why a message is not shown whose signature has this status; None if it is shown."""
    return NOT_SIGNED.format(sender=sender) if status == FORGED else None


def checked(connection: sa.Connection, found: list[Message]) -> list[Message]:
    """The messages. Those with signatures say if they are unverified, and do not have a content that was not
    signed."""
    places = {
        (message.conversation, message.seq): place
        for place, message in enumerate(found)
        if message.group is not None and not message.deleted
    }
    for conversation, seq, *signature in _signatures(connection, list(places)):
        place = places[conversation, seq]
        found[place] = _checked(found[place], signature)
    edited = [key for key, place in places.items() if found[place].edited is not None]
    for conversation, seq, *signature in _of_edits(connection, edited):
        place = places[conversation, seq]
        found[place] = _checked(found[place], signature)
    return found


def _signatures(connection: sa.Connection, places: Sequence[Place]) -> Iterator[Sequence[Any]]:
    """The signatures of messages in these places, each after its place."""
    return _ask(connection, _OF_MESSAGES, places)


def _of_edits(connection: sa.Connection, places: Sequence[Place]) -> Iterator[Sequence[Any]]:
    """The signatures of edits that gave the messages in these places their present content, each after its
    place. Earlier edits have no salt."""
    return _ask(connection, _OF_EDITS, places)


def _ask(
    connection: sa.Connection, statement: str, places: Sequence[Place]
) -> Iterator[Sequence[Any]]:
    """The rows of a statement about places, which are in its table `asked`. The statement is a text, because
    SQLAlchemy takes longer to compile hundreds of places than SQLite to look them up. SQLite uses no index
    for `IN` with pairs."""
    mark = placeholder(connection)
    for start in range(0, len(places), PLACES):
        page = places[start : start + PLACES]
        asked = ", ".join([f"({mark}, {mark})"] * len(page))
        with_asked = f"WITH asked (conversation, seq) AS (VALUES {asked}) {statement}"
        yield from connection.exec_driver_sql(with_asked, tuple(chain.from_iterable(page)))


def _checked(message: Message, signature: Sequence[Any]) -> Message:
    status, statement, salt, attributes = signature
    if status == FORGED:
        return _without_content(message, NOT_WRITTEN.format(sender=message.sender))
    if salt is not None:
        body = (message.text or "").encode() if message.opaque is None else message.opaque.body
        if content_hash(salt, attributes or b"", body) != statement[-HASH:]:
            return noted_altered(message)
    if status == UNVERIFIED:
        return msgspec.structs.replace(message, unverified=True)
    return message


def is_row_intact(connection: sa.Connection, row: Any) -> bool:
    """Whether the message in a row that has the columns GUARDED is as it was stored. If not, the log says so
    once."""
    intact = is_intact(keyed_hash(connection), tuple(getattr(row, each.name) for each in GUARDED))
    if not intact:
        _report(row.conversation_id, row.seq)
    return intact


def is_change_intact(keyed: KeyedHash | None, row: Any) -> bool:
    """Whether the entry in a row that has the columns CHANGE and its MAC is as it was stored. If not, the log
    says so once."""
    said = tuple(getattr(row, each.name) for each in CHANGE)
    intact = keyed is None or mac_of(keyed, said) == row.mac
    if not intact:
        report_altered(f"entry {row.seq} of conversation {row.conversation_id}")
    return intact


def content_of(connection: sa.Connection, row: Any) -> tuple[str | None, tuple[str, ...]]:
    """The text of the message in such a row, as it is shown, and the addresses that it mentions."""
    if is_row_intact(connection, row):
        return row.text, mentions_of(row.mentions)
    return ALTERED, ()


def noted_altered(message: Message) -> Message:
    """As `without_altered`, and the log says so once."""
    _report(message.conversation, message.seq)
    return without_altered(message)


def without_altered(message: Message) -> Message:
    """A message that was altered on disk, as it is shown."""
    return _without_content(message, ALTERED)


def _without_content(message: Message, sentence: str) -> Message:
    return msgspec.structs.replace(
        message, text=sentence, file=None, opaque=None, mentions=(), withheld=True
    )


def _report(conversation: int, seq: int) -> None:
    report_altered(f"message {seq} of conversation {conversation}")
