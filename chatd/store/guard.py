"""Checks messages that are read against what was signed: a text that was altered on disk is not shown as the
original. Queries for the Database.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
import sqlalchemy as sa
from twisted.logger import Logger

from chatd.base.content_hash import HASH, content_hash
from chatd.base.model import Message
from chatd.store.schema import changes, signatures
from chatd.store.sealing import UNVERIFIED
from chatd.store.signatures import FORGED

ALTERED = "(This message was altered on disk and is not shown; tell the operator of this realm)"
NOT_WRITTEN = "(This message is not shown: the realm of {sender} did not sign it)"

log = Logger()

_COLUMNS = (
    signatures.c.status,
    signatures.c.statement,
    signatures.c.salt,
    signatures.c.attributes,
)


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


def _asked(places: Sequence[tuple[int, int]]) -> sa.CTE:
    """The places (conversation, seq) as a table. SQLite would not use an index for `IN` with pairs."""
    columns = (sa.column("conversation", sa.BigInteger), sa.column("seq", sa.BigInteger))
    return sa.values(*columns, name="places").data(list(places)).cte("asked")


def _signatures(
    connection: sa.Connection, places: Sequence[tuple[int, int]]
) -> Sequence[Sequence[Any]]:
    """The signatures of messages in these places, each after its place."""
    if not places:
        return ()
    asked = _asked(places)
    here = (signatures.c.conversation_id == asked.c.conversation) & (
        signatures.c.seq == asked.c.seq
    )
    wanted = sa.select(asked.c.conversation, asked.c.seq, *_COLUMNS)
    return connection.execute(wanted.join_from(asked, signatures, here)).all()


def _of_edits(
    connection: sa.Connection, places: Sequence[tuple[int, int]]
) -> Sequence[Sequence[Any]]:
    """The signatures of edits that gave the messages in these places their present content, each after its
    place. Earlier edits have no salt."""
    if not places:
        return ()
    asked = _asked(places)
    is_edit = (
        (changes.c.conversation_id == asked.c.conversation)
        & (changes.c.target == asked.c.seq)
        & (changes.c.kind == "edited")
    )
    is_signed = (
        (signatures.c.conversation_id == changes.c.conversation_id)
        & (signatures.c.seq == changes.c.seq)
        & signatures.c.salt.is_not(None)
    )
    wanted = sa.select(asked.c.conversation, asked.c.seq, *_COLUMNS)
    joined = wanted.join_from(asked, changes, is_edit).join(signatures, is_signed)
    return connection.execute(joined).all()


def _checked(message: Message, signature: Sequence[Any]) -> Message:
    status, statement, salt, attributes = signature
    if status == FORGED:
        return _without_content(message, NOT_WRITTEN.format(sender=message.sender))
    if salt is not None:
        body = (message.text or "").encode() if message.opaque is None else message.opaque.body
        if content_hash(salt, attributes or b"", body) != statement[-HASH:]:
            _report(message.conversation, message.seq)
            return _without_content(message, ALTERED)
    if status == UNVERIFIED:
        return msgspec.structs.replace(message, unverified=True)
    return message


def _without_content(message: Message, sentence: str) -> Message:
    return msgspec.structs.replace(message, text=sentence, file=None, opaque=None, mentions=())


@lru_cache(maxsize=1000)
def _report(conversation: int, seq: int) -> None:
    """Log an altered message once."""
    log.critical(
        "a message was altered on disk: conversation {conversation}, seq {seq}",
        conversation=conversation,
        seq=seq,
    )
