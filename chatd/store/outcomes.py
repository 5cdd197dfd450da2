"""What other realms have made of messages from here. Jobs for the Database.

A message that has not arrived is `queued` while its parcel is in the outbox. Nothing is written when it is
delivered: the parcel is gone then. A refusal is kept with the message.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import sqlalchemy as sa

from chatd.base.errors import ChatError
from chatd.base.model import DELIVERED, QUEUED, REFUSED, REQUESTED, STORED
from chatd.store import change_requests
from chatd.store import outbox as outbox_store
from chatd.store.acceptances import Acceptance, is_accepted, keep_acceptance
from chatd.store.driver import execute_many, fetch
from chatd.store.engine import placeholder
from chatd.store.new_entries import NewMessage
from chatd.store.number_pages import ROWS, pages_of
from chatd.store.peer_marks import PeerMark, raise_mark
from chatd.store.schema import messages, participants, pending, sends
from chatd.store.versions import Subject, VersionWriter, state_of

# The id of a message as people see it: the one that it had while it was pending, so that it stays the same.
# Rows are in the order in which the realm took them by `messages.c.id` only.
SHOWN_ID = sa.func.coalesce(messages.c.shown_id, messages.c.id)

# The columns of a message and of its reader's participation that `delivery_of` takes.
DELIVERY = (
    messages.c.number,
    messages.c.refused,
    participants.c.realm,
    outbox_store.waits(participants.c.realm, messages.c.number),
)


class SentEntry(NamedTuple):
    """A message of an account here that goes to another realm. `seq` is 0 while the home of its group has not
    numbered it, `conversation` if the account is no member of that."""

    account_id: int
    conversation: int
    seq: int
    id: int


class Acknowledged(msgspec.Struct):
    """Parcels that a realm has acknowledged, and the states of messages that change with that. Which of them
    those in `unknown` change is looked up."""

    numbers: list[int] = []
    states: set[Subject] = set()
    unknown: list[int] = []

    def add(self, other: Acknowledged) -> None:
        self.numbers += other.numbers
        self.states |= other.states
        self.unknown += other.unknown


class SentState(NamedTuple):
    """A message that an account here has sent. A number that is not known is 0."""

    conversation: int
    seq: int
    id: int
    state: str
    refusal: KeptRefusal | None


class KeptRefusal(msgspec.Struct, frozen=True, array_like=True):
    """Why a message was refused: the code of the error, and its sentence."""

    code: str
    sentence: str


_decoder = msgspec.json.Decoder(KeptRefusal)
# In place of a refusal: the message was kept as a message request
KEPT_REQUEST = msgspec.json.encode(KeptRefusal(REQUESTED, "")).decode()


def refusal_of(error: ChatError) -> str:
    """The error as it is kept with the message."""
    return msgspec.json.encode(KeptRefusal(error.code, str(error))).decode()


def read_refusal(stored: str | None) -> KeptRefusal | None:
    """The refusal that is kept with a message."""
    return None if stored in (None, KEPT_REQUEST) else _decoder.decode(stored or "")


def delivery_of(
    own: bool, number: int | None, refused: str | None, realm: str | None, queued: bool
) -> tuple[str, str | None, tuple[str, int] | None]:
    """Return the state of a message as its reader sees it, the reason if it was refused, and what it waits
    for if it is queued (Message.waits). `own`: the reader has sent it."""
    if not own or number is None or realm is None:
        return STORED, None, None
    if refused == KEPT_REQUEST:
        return REQUESTED, None, None
    refusal = read_refusal(refused)
    if refusal is not None:
        return REFUSED, refusal.sentence, None
    return (QUEUED, None, (realm, number)) if queued else (DELIVERED, None, None)


def sent_state(connection: sa.Connection, account_id: int, ident: int) -> SentState | None:
    """Return the state of a message that an account has sent, by the id of its row; None if it is not here
    any more."""
    row = connection.execute(
        sa.select(messages.c.conversation_id, messages.c.seq, SHOWN_ID, *DELIVERY)
        .outerjoin(
            participants,
            sa.and_(
                participants.c.account_id == account_id,
                participants.c.conversation_id == messages.c.conversation_id,
            ),
        )
        .where(messages.c.id == ident)
    ).first()
    if row is not None:
        conversation, seq, shown, *delivery = row
        state, _, _ = delivery_of(True, *delivery)
        return SentState(conversation, seq, shown, state, read_refusal(row.refused))
    waiting = outbox_store.waits(pending.c.realm, pending.c.number)
    post = connection.execute(
        sa.select(pending.c.conversation_id, pending.c.refused, waiting).where(
            pending.c.id == ident
        )
    ).first()
    if post is None:
        return None
    conversation, refused, waits = post
    state = REFUSED if refused else QUEUED if waits else DELIVERED
    return SentState(conversation or 0, 0, ident, state, read_refusal(refused))


def sent_entries(connection: sa.Connection, numbers: Sequence[int]) -> dict[int, SentEntry]:
    """Return the messages with these numbers that accounts here have sent, by number."""
    ours = sa.select(
        messages.c.number,
        messages.c.sender_id,
        messages.c.conversation_id,
        messages.c.seq,
        SHOWN_ID,
    ).where(messages.c.number.in_(numbers), messages.c.sender_id.is_not(None))
    waiting = sa.select(
        pending.c.number,
        pending.c.account_id,
        sa.func.coalesce(pending.c.conversation_id, 0),
        sa.literal(0),
        pending.c.id,
    ).where(pending.c.number.in_(numbers))
    found = connection.execute(sa.union_all(waiting, ours))
    return {number: SentEntry(*entry) for number, *entry in found}


def take_returned(
    connection: sa.Connection, items: Sequence[NewMessage], first: int
) -> dict[int, int]:
    """As `_take_pending`, for those of `items` that come back. They are stored with the ids from `first`
    on."""
    back = {
        (item.conversation, item.origin[1]): ident
        for ident, item in enumerate(items, first)
        if item.origin is not None and item.origin[0] is None
    }
    return _take_pending(connection, back) if back else {}


def _take_pending(
    connection: sa.Connection, arrived: Mapping[tuple[int, int], int]
) -> dict[int, int]:
    """Messages have come back from their groups' homes: by conversation and number, the ids as which they are
    stored. Remove them from `pending`, and their parcels, which have arrived. Returns the ids that they had
    while they were pending, by those as which they are stored."""
    marks = ", ".join([placeholder(connection)] * ROWS)
    find = (
        'SELECT conversation_id, number, id, account_id, realm, "key" FROM pending '  # noqa: S608
        f"WHERE number IN ({marks})"
    )
    rows = [
        row
        for page in pages_of([number for _, number in arrived])
        for row in fetch(connection, find, page)
    ]
    taken: dict[int, int] = {}
    numbers: defaultdict[str, list[int]] = defaultdict(list)
    for conversation, number, ident, account_id, realm, key in rows:
        stored = arrived.get((conversation, number))
        if stored is None:
            continue
        taken[stored] = ident
        numbers[realm].append(number)
        if key is not None:
            _follow(connection, account_id, key, ident, stored)
    if not taken:
        return {}
    delete = f"DELETE FROM pending WHERE id IN ({marks})"  # noqa: S608
    execute_many(connection, delete, pages_of(list(taken.values())))
    for realm, some in numbers.items():
        outbox_store.done(connection, realm, some)
    return taken


def _follow(connection: sa.Connection, account_id: int, key: str, ident: int, stored: int) -> None:
    """Let the keyed send of a message that was pending lead to the id as which it is stored now."""
    connection.execute(
        sa.update(sends)
        .where(sends.c.account_id == account_id, sends.c.key == key, sends.c.message_id == ident)
        .values(message_id=stored)
    )


def refuse(
    connection: sa.Connection, versions: VersionWriter, number: int, refusal: str
) -> SentEntry | None:
    """Keep a refusal with the message of that number. Returns the message, or None if there is none. A change
    is not asked for again."""
    entry = sent_entries(connection, [number]).get(number)
    if entry is None:
        change_requests.forget(connection, number)
        return None
    table = messages if entry.seq else pending
    connection.execute(sa.update(table).where(table.c.id == entry.id).values(refused=refusal))
    if entry.seq:
        versions.note(connection, [state_of(entry.conversation, entry.seq)])
    return entry


def note_requested(
    connection: sa.Connection, versions: VersionWriter, realm: str, number: int
) -> SentEntry | None:
    """Keep that the direct message of that number to that realm is a message request. Returns it, or None if
    there is none, or if it was accepted already."""
    asked = _sent_to(realm, number) & ~is_accepted(realm, number)
    return _note(connection, versions, asked, KEPT_REQUEST, number)


def note_accepted(
    connection: sa.Connection, versions: VersionWriter, realm: str, acceptance: Acceptance
) -> SentEntry | None:
    """A person of that realm has accepted a message request. Returns it, or None if it was accepted before,
    went elsewhere, or is not known to be a request yet: the answer that says so may come later."""
    number = acceptance.request
    asked = sa.and_(_sent_to(realm, number), messages.c.refused == KEPT_REQUEST)
    entry = _note(connection, versions, asked, None, number)
    if entry is not None or _waits(connection, realm, number):
        keep_acceptance(connection, realm, acceptance)
    return entry


def _waits(connection: sa.Connection, realm: str, number: int) -> bool:
    """Whether the direct message of that number to that realm has no answer yet."""
    query = sa.select(messages.c.id).where(
        _sent_to(realm, number),
        messages.c.refused.is_(None),
        outbox_store.waits(sa.literal(realm), messages.c.number),
    )
    return connection.scalar(query) is not None


def _sent_to(realm: str, number: int) -> sa.ColumnElement[bool]:
    """A condition: the direct message of that number to a person of that realm."""
    with_them = sa.select(participants.c.conversation_id).where(
        participants.c.realm == realm, participants.c.peer_key.is_not(None)
    )
    return sa.and_(messages.c.number == number, messages.c.conversation_id.in_(with_them))


def _note(
    connection: sa.Connection,
    versions: VersionWriter,
    which: sa.ColumnElement[bool],
    refused: str | None,
    number: int,
) -> SentEntry | None:
    """Set what is kept in place of a refusal. Returns the message, or None if there is none."""
    if not connection.execute(sa.update(messages).where(which).values(refused=refused)).rowcount:
        return None
    entry = sent_entries(connection, [number]).get(number)
    if entry is not None:
        versions.note(connection, [state_of(entry.conversation, entry.seq)])
    return entry


def delivered(
    connection: sa.Connection, versions: VersionWriter, realm: str, parcels: Acknowledged
) -> None:
    """Remove parcels that a realm has acknowledged, and note that, and whose states have changed with it."""
    raise_mark(connection, realm, PeerMark(acknowledged=max(parcels.numbers)))
    changed = parcels.states
    if parcels.unknown:
        changed = changed.union(_changed_states(connection, realm, parcels.unknown))
    versions.note(connection, changed)
    outbox_store.done(connection, realm, parcels.numbers)


def _changed_states(
    connection: sa.Connection, realm: str, numbers: Sequence[int]
) -> Iterable[Subject]:
    """The states that change with the removal of these parcels."""
    mark = placeholder(connection)
    # Notices and copies of a group's messages have no sender who could be told of their delivery.
    statement = (
        "SELECT m.conversation_id, max(m.seq) FROM outbox o JOIN messages m ON m.number = o.id "  # noqa: S608
        f"WHERE o.realm = {mark} AND o.id IN ({', '.join([mark] * ROWS)}) "
        "AND o.sender_id IS NOT NULL GROUP BY m.conversation_id, m.seq / 64"
    )
    for page in pages_of(numbers):
        for conversation, seq in fetch(connection, statement, (realm, *page)):
            yield state_of(conversation, seq)
