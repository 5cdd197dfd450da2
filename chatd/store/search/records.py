"""From rows of messages to what is searched of them."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from chatd.base.folding import fold, fold_lines
from chatd.base.names import key_of
from chatd.store.search.blocks import MAX_TEXT, Columns, Record, columns_of, make_facts
from chatd.store.search.fresh import Row

# What these functions need, from `messages` and WITH_FILE.
SEARCHED = (
    "messages.id, messages.conversation_id, messages.seq, messages.at, messages.sender, "
    "messages.text, attachments.name, messages.deleted_at, messages.media"
)
BEGINNING = -(1 << 62)  # before the seqs of all messages; imported ones have negative seqs
SEQ = 2  # the place of `seq` in it
_by_order = itemgetter(3, 0)  # the key of chatd.store.search.blocks.order_of
WITH_FILE = "LEFT JOIN attachments ON attachments.id = messages.attachment_id"


def record_of(row: Any) -> Record | None:
    """What is searched of a message: its text and the name of its file. None of a message that
    is deleted, or opaque."""
    ident, _, _, at, sender, text, name, deleted_at, media = row
    if deleted_at is not None or media is not None:
        return None
    folded = fold(text or "")
    if name is not None:
        folded = fold(name) if text is None else f"{folded}\t{fold(name)}"
    data = folded.encode(errors="surrogatepass")
    return Record(ident, at, key_of(sender), name is not None, data)


def first_block(rows: Sequence[Any]) -> tuple[int, Columns]:
    """How many of the first `rows` fit into one block, and the messages of these. `rows` is not empty."""
    columns = _columns(rows)
    fits = len(columns.texts) <= MAX_TEXT or len(rows) == 1
    return (len(rows), columns) if fits else _cut(rows)


def first_fresh_block(rows: Sequence[Row]) -> tuple[int, Columns]:
    """As `first_block`, for messages that were stored lately and have only texts."""
    ids, _, _, _, senders, times, texts = list(zip(*rows, strict=False))[:7]
    if list(times) != sorted(times):
        return first_block([_as_searched(row) for row in rows])  # the clock was set back
    columns = _columns_of_texts(ids, times, senders, texts)
    if len(columns.texts) <= MAX_TEXT or len(rows) == 1:
        return len(rows), columns
    return _cut([_as_searched(row) for row in rows])


def _as_searched(row: Row) -> Sequence[Any]:
    ident, conversation, seq, _, sender, at, text = row[:7]
    return ident, conversation, seq, at, sender, text, None, None, None


def _cut(rows: Sequence[Any]) -> tuple[int, Columns]:
    """As `first_block`, for rows that are too many for one block."""
    records: list[Record] = []
    size = 0
    for number, row in enumerate(rows):
        record = record_of(row)
        if record is not None:
            size += len(record.text) + 1
            if records and size > MAX_TEXT:
                return number, columns_of(records)
            records.append(record)
    return len(rows), columns_of(records)


def _columns(rows: Sequence[Any]) -> Columns:
    """As `columns_of` the records of `rows`, in a third of the time."""
    live = [row for row in rows if row[7] is None and row[8] is None]
    if not live:
        return columns_of(())
    live.sort(key=_by_order)
    ids, _, _, times, senders, texts, names, _, _ = zip(*live, strict=True)
    if names.count(None) < len(names) or None in texts:
        return columns_of([record for row in live if (record := record_of(row)) is not None])
    return _columns_of_texts(ids, times, senders, texts)


def _columns_of_texts(
    ids: Sequence[int], times: Sequence[int], senders: Sequence[str], texts: Sequence[str]
) -> Columns:
    """The columns of messages that have only texts, in the order of their times and ids."""
    keys = {sender: key_of(sender) for sender in dict.fromkeys(senders)}
    return Columns(
        array("q", times),
        array("q", ids),
        make_facts([keys[sender] for sender in senders], bytes(len(ids))),
        fold_lines(texts).encode(errors="surrogatepass"),
    )
