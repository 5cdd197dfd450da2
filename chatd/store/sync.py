"""What a client missed: the entries of a log after a seq, and what has changed there without an entry.

Queries for the Database. A client has read a log up to a cursor: a seq, and the term in which it was told of
it. After a restore of a backup the log may have ended before that seq; then the client reads again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from heapq import merge
from operator import itemgetter
from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base import events
from chatd.base.errors import UnknownConversation
from chatd.base.model import Account, Message
from chatd.base.replies import SyncedLog
from chatd.store.access import LogView, view_of
from chatd.store.conversations import last_seq
from chatd.store.guard import is_change_intact, reason_of
from chatd.store.history import build_checked, build_messages, select_messages, select_seen_by
from chatd.store.macs import KeyedHash, keyed_hash
from chatd.store.pending import pending_of
from chatd.store.prepared import prepared
from chatd.store.receipts import switches, visible_marks
from chatd.store.schema import (
    changes,
    groups,
    heads,
    messages,
    participants,
    rosters,
    signatures,
)
from chatd.store.sealing import UNVERIFIED
from chatd.store.signatures import FORGED, same_place
from chatd.store.terms import end_of_term
from chatd.store.versions import (
    STATES,
    Kind,
    changed_between,
    first_of,
    page_end,
    term_of,
    version_of,
)

MAX_SUBJECTS = 100  # whose states one page has, each of STATES messages

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Cursor(msgspec.Struct, frozen=True):
    """What a client has of a log: the entries up to `after`, and what had changed up to `version`. Both are
    of the term `term`, or else of that of the version."""

    after: int = 0
    version: int | None = None
    term: int | None = None


class SyncPage(msgspec.Struct, frozen=True):
    """Entries, oldest first, and the seq at which the log ends (`seq`).

    `states` (of messages that the reader has sent, and of those that are verified now or found to be forged),
    `files` (messages whose files have come or are lost) and `marks` have changed since the cursor, up to
    `version`. A mark of 0 is not shown any more. `more`: further pages follow. `reset`: the last seq that the
    client and the log have in common, if the log has lost later entries; the page begins after it. `missing`:
    of the entries above the first of these seqs and up to the second, some are still to come from the home of
    the group, and are not in the page.
    """

    entries: list[Message | events.Change]
    seq: int
    version: int
    term: int
    states: list[Message]
    files: list[Message]
    marks: list[events.ReadMoved]
    pending: list[Message]
    more: bool
    reset: int | None = None
    missing: tuple[int, int] | None = None


def sync(
    connection: sa.Connection,
    account: Account,
    conversation: int,
    cursor: Cursor,
    limit: int,
    term: int,
) -> SyncPage:
    """At most `limit` entries after a cursor. `term` is that of this start. Raises UnknownConversation."""
    view = view_of(connection, account.id, conversation)
    if view is None:
        raise UnknownConversation(name=conversation)
    last = last_seq(connection, conversation)
    switched = switches(connection, account, conversation)
    current = max(version_of(connection, conversation), first_of(term), *switched.values())
    after, since = cursor.after, cursor.version
    known = cursor.term
    if known is None:
        known = term_of(since) if since else term
    end = min(end_of_term(connection, conversation, known, last), last)
    reset = end if end < after else None
    if reset is not None:
        after = reset
    if reset is not None or (since or 0) > current:
        since = None  # it counts changes that are lost
    entries = _entries(connection, account, view, after, limit)
    upto = page_end(connection, conversation, since or 0, MAX_SUBJECTS) or current
    return SyncPage(
        entries,
        last,
        upto,
        term,
        _states(connection, account, conversation, after, (since or 0, upto))
        + _judged(connection, view, after, (since or 0, upto)),
        _files(connection, account, conversation, after, (since or 0, upto)),
        _marks(connection, account, conversation, since, upto, switched),
        pending_of(connection, account, conversation),
        more=upto < current or (len(entries) == limit and entries[-1].seq < last),
        reset=reset,
    )


def entries_after(
    connection: sa.Connection, account: Account, conversation: int, after: int, limit: int
) -> list[Message | events.Change]:
    """At most `limit` entries of a conversation after a seq, as the account sees them; none if it takes no
    part in it."""
    view = view_of(connection, account.id, conversation)
    return [] if view is None else _entries(connection, account, view, after, limit)


def _entries(
    connection: sa.Connection, account: Account, view: LogView, after: int, limit: int
) -> list[Message | events.Change]:
    """Messages and changes, merged by their seq."""
    here = view.conversation, view.first, after, limit
    rows = connection.execute(*_messages_after(account.id, *here)).all()
    made = connection.execute(*_changes_after(*here)).all()
    seqs = sorted(row.seq for row in (*rows, *made))[:limit]
    if not seqs:
        return []
    end = seqs[-1]
    shown = build_messages(connection, [row for row in rows if row.seq <= end], account)
    made = [row for row in made if row.seq <= end]
    edited = {row.target for row in made if row.kind == "edited"}
    present = _present(connection, account, view.conversation, edited)
    keyed = keyed_hash(connection)
    changed = [_change(keyed, row, present.get(row.target)) for row in made]
    return list(merge(shown, changed, key=_seq_of))


@prepared
def _messages_after(
    account_id: Any, conversation: Any, first: Any, after: Any, limit: Any
) -> sa.Select[Any]:
    seq, view = messages.c.seq, LogView(conversation, first)
    return (
        select_seen_by(account_id).where(view.has(messages, seq > after)).order_by(seq).limit(limit)
    )


@prepared
def _changes_after(conversation: Any, first: Any, after: Any, limit: Any) -> sa.Select[Any]:
    seq, view = changes.c.seq, LogView(conversation, first)
    return _select_changes().where(view.has(changes, seq > after)).order_by(seq).limit(limit)


def _present(
    connection: sa.Connection, account: Account, conversation: int, seqs: Collection[int]
) -> dict[int, Message]:
    """These messages by their seqs, without contents that were altered."""
    if not seqs:
        return {}
    wanted = select_messages(account).where(
        messages.c.conversation_id == conversation, messages.c.seq.in_(seqs)
    )
    found = build_checked(connection, connection.execute(wanted).all(), account)
    return {message.seq: message for message in found}


def _seq_of(entry: Message | events.Change) -> int:
    return entry.seq


def _select_changes() -> sa.Select[Any]:
    """Select changes, with the names of their groups, and what is known of their signatures."""
    return (
        sa.select(
            changes.c.conversation_id,
            changes.c.seq,
            changes.c.kind,
            changes.c.at,
            changes.c.author,
            changes.c.target,
            changes.c.data,
            changes.c.mac,
            groups.c.name.label("group"),
            signatures.c.status,
        )
        .select_from(changes)
        .outerjoin(signatures, same_place(signatures, changes))
        .outerjoin(groups, groups.c.conversation_id == changes.c.conversation_id)
    )


def _change(keyed: KeyedHash | None, row: sa.Row[Any], edited: Message | None) -> events.Change:
    """An entry that is no message. `edited` is the message that it has edited. One that was altered on disk
    is not verified."""
    data = {} if row.data is None else _decode(row.data)
    here, seq, at, by, group = row.conversation_id, row.seq, row.at, row.author, row.group
    unverified = row.status in (UNVERIFIED, FORGED) or not is_change_intact(keyed, row)
    match row.kind:
        case "edited":
            text, mentions = (None, ()) if edited is None else (edited.text, edited.mentions)
            what = here, seq, row.target, text, at, by, group, mentions
            return events.Edited(*what, unverified=unverified)
        case "deleted":
            return events.Deleted(here, seq, row.target, at, by, group, unverified)
        case "reaction":
            emoji, on = data["emoji"], data["on"]
            return events.Reaction(here, seq, row.target, at, by, emoji, on, group, unverified)
        case "pinned":
            return events.Pinned(here, seq, row.target, at, by, data["on"], group, unverified)
        case "member":
            about = here, group, data["who"], data["what"], seq, at, by
            return events.MemberChange(*about, unverified=unverified)
        case "moved":
            return events.AddressChange(here, seq, at, by, data["to"], unverified=unverified)
        case _:
            return events.GroupChange(here, seq, group, at, by, data, unverified)


def _states(
    connection: sa.Connection,
    account: Account,
    conversation: int,
    after: int,
    between: tuple[int, int],
) -> list[Message]:
    """The messages of the account whose states have changed between two versions, up to the seq `after`: the
    states of later ones come with their entries."""
    names = changed_between(connection, conversation, Kind.STATE, *between)
    firsts = sorted(first for first in map(int, names) if first <= after)
    if not firsts:
        return []
    seq = messages.c.seq
    wanted = select_messages(account).where(
        sa.or_(*(seq.between(each, each + STATES - 1) for each in firsts)),
        seq <= after,
        messages.c.sender_id == account.id,
        messages.c.number.is_not(None),
    )
    return _select(connection, account, conversation, wanted)


def _files(
    connection: sa.Connection,
    account: Account,
    conversation: int,
    after: int,
    between: tuple[int, int],
) -> list[Message]:
    """The messages whose files have changed their states between two versions, up to the seq `after`."""
    names = changed_between(connection, conversation, Kind.FILE, *between)
    seqs = sorted(seq for seq in map(int, names) if seq <= after)
    if not seqs:
        return []
    wanted = select_messages(account).where(
        messages.c.seq.in_(seqs), messages.c.attachment_id.is_not(None)
    )
    return _select(connection, account, conversation, wanted)


def _select(
    connection: sa.Connection, account: Account, conversation: int, wanted: sa.Select[Any]
) -> list[Message]:
    """The messages of a conversation that a query selects, oldest first."""
    here = wanted.where(messages.c.conversation_id == conversation).order_by(messages.c.seq)
    return build_messages(connection, connection.execute(here).all(), account)


def _judged(
    connection: sa.Connection, view: LogView, after: int, between: tuple[int, int]
) -> list[Message]:
    """The entries whose signatures were verified or found to be forged between two versions, up to the seq
    `after`. This is their state, as in the event, and they have no content. The id of an entry that is
    no message is 0."""
    names = changed_between(connection, view.conversation, Kind.TRUST, *between)
    seqs = sorted(seq for seq in map(int, names) if seq <= after)
    if not seqs:
        return []
    rows: list[Any] = []
    for table, ident, author in (
        (messages, messages.c.id, messages.c.sender),
        (changes, sa.literal(0), changes.c.author),
    ):
        query = (
            sa.select(ident, table.c.seq, table.c.at, author, signatures.c.status)
            .join_from(table, signatures, same_place(signatures, table))
            .where(view.has(table, table.c.seq.in_(seqs)))
        )
        if table is messages:
            query = query.where(messages.c.deleted_at.is_(None))
        rows += connection.execute(query)
    return [
        Message(
            ident,
            view.conversation,
            seq,
            at,
            sender,
            state=status,
            reason=reason_of(status, sender),
        )
        for ident, seq, at, sender, status in sorted(rows, key=itemgetter(1))
    ]


def _marks(
    connection: sa.Connection,
    account: Account,
    conversation: int,
    since: int | None,
    upto: int,
    switched: Mapping[str, int],
) -> list[events.ReadMoved]:
    """The read marks that have changed between two versions; without `since`, all. `switched` as from
    `switches`."""
    names: Collection[str] | None = None
    if since is not None:
        names = changed_between(connection, conversation, Kind.MARK, since, upto)
        names |= {key for key, version in switched.items() if since < version <= upto}
        if not names:
            return []
        if account.key in names and since < switched.get(account.key, 0) <= upto:
            names = None  # it sees the marks of others now, or does not see them any more
    found: Sequence[tuple[str, str, int]] = visible_marks(connection, account, conversation)
    return [
        events.ReadMoved(conversation, seq, who)
        for key, who, seq in found
        if names is None or key in names
    ]


def logs(
    connection: sa.Connection, account: Account, after: int, limit: int
) -> tuple[list[SyncedLog], bool]:
    """The ends of at most `limit` logs of the account and their epochs, by conversation, from the first one
    above `after`. Also returns whether there are more."""
    here = participants.c.conversation_id
    newest = [
        sa.func.coalesce(
            sa.select(sa.func.max(table.c.seq))
            .where(table.c.conversation_id == here)
            .correlate(participants)
            .scalar_subquery(),
            0,
        )
        for table in (messages, changes)
    ]
    rows = connection.execute(
        sa.select(
            here,
            *newest,
            sa.func.coalesce(rosters.c.floor, participants.c.read_seq),
            sa.func.coalesce(heads.c.epoch, 0),
        )
        .outerjoin(rosters, rosters.c.conversation_id == here)
        .outerjoin(heads, heads.c.conversation_id == here)
        .where(participants.c.account_id == account.id, here > after)
        .order_by(here)
        .limit(limit + 1)
    )
    found = [SyncedLog(place, max(seqs), epoch) for place, *seqs, epoch in rows]
    return found[:limit], len(found) > limit
