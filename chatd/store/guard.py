"""Checks messages that are read against what was signed: a text that was altered on disk is not shown as the
original. Queries for the Database.
"""

from __future__ import annotations

from collections import defaultdict
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
    places: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for place, message in enumerate(found):
        if message.group is not None and not message.deleted:
            places[message.conversation][message.seq] = place
    for conversation, by_seq in places.items():
        for seq, *signature in _signatures(connection, conversation, list(by_seq)):
            found[by_seq[seq]] = _checked(found[by_seq[seq]], signature)
        edited = [seq for seq, place in by_seq.items() if found[place].edited is not None]
        for seq, *signature in _of_edits(connection, conversation, edited) if edited else ():
            found[by_seq[seq]] = _checked(found[by_seq[seq]], signature)
    return found


def _signatures(
    connection: sa.Connection, conversation: int, seqs: Sequence[int]
) -> Sequence[Sequence[Any]]:
    return connection.execute(
        sa.select(signatures.c.seq, *_COLUMNS).where(
            signatures.c.conversation_id == conversation, signatures.c.seq.in_(seqs)
        )
    ).all()


def _of_edits(
    connection: sa.Connection, conversation: int, seqs: Sequence[int]
) -> Sequence[Sequence[Any]]:
    """The signatures of edits that gave these messages their present content. Earlier edits have no salt."""
    return connection.execute(
        sa.select(changes.c.target, *_COLUMNS)
        .join_from(
            changes,
            signatures,
            (signatures.c.conversation_id == changes.c.conversation_id)
            & (signatures.c.seq == changes.c.seq),
        )
        .where(
            changes.c.conversation_id == conversation,
            changes.c.target.in_(seqs),
            changes.c.kind == "edited",
            signatures.c.salt.is_not(None),
        )
    ).all()


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
