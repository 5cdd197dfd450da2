"""Building the index in SQLite, a short piece at a time.

A conversation's blocks cover its log without gaps from the beginning to some number (seq); the rest is its
*tail*, which searches read from `messages`. A few messages make a small block, which is merged with the ones
after it, so that writing stays cheap and blocks become few.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from chatd.base.model import Account
from chatd.store import driver
from chatd.store.history import Page
from chatd.store.schema import search_blocks, search_changes
from chatd.store.search import blocks
from chatd.store.search.blocks import MAX_MESSAGES, MAX_TEXT, PARTS, Part, Record
from chatd.store.search.interface import Wanted
from chatd.store.search.records import SEARCHED, SEQ, WITH_FILE, record_of
from chatd.store.search.signatures import MIN_TEXT, make_signature
from chatd.store.search.sqlite_query import Search
from chatd.store.settings import get_setting, put_setting

_PROGRESS = "searchable up to message"
_RANGE = 50_000  # messages whose conversations are looked up at a time
_BREATH = 0.001  # seconds for other threads, while a piece is prepared
_GROWTH = 4  # a block is merged with following messages unless it has this many times more
_LITTLE = 2 << 10  # bytes of text that are merged in any case
MAX_PIECE = 64  # blocks
MAX_ROWS = 1024  # of a block whose messages are read again

_TOUCHED = "SELECT DISTINCT conversation_id FROM messages WHERE id > ? AND id <= ?"
_AFTER = f"""
SELECT {SEARCHED} FROM messages {WITH_FILE}
WHERE conversation_id = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?
"""
_LAST = f"""
SELECT id, first_seq, last_seq, messages, size FROM search_blocks
WHERE conversation_id = ? ORDER BY last_seq DESC LIMIT {MAX_PIECE}
"""
_PARTS = "SELECT data FROM search_parts WHERE id BETWEEN ? AND ? ORDER BY id"
# Of these messages, those that are after a place.
_LATER = """
SELECT messages.id FROM json_each(?) CROSS JOIN messages ON messages.id = value
WHERE conversation_id = ? AND seq > ?
"""
_WITHIN = """
SELECT id FROM search_changes WHERE conversation_id = ? AND seq BETWEEN ? AND ? LIMIT ?
"""
_INSERT = """
INSERT INTO search_blocks
(conversation_id, first_seq, last_seq, earliest, latest, messages, size)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_INSERT_PART = "INSERT INTO search_parts (id, data) VALUES (?, ?)"
_DELETE = "DELETE FROM search_blocks WHERE id = ?"
_DELETE_PART = "DELETE FROM search_parts WHERE id = ?"
_NEWEST = "SELECT coalesce(max(id), 0) FROM messages"
_NO_END = (1 << 63) - 1
_FIRST_CHANGED = sa.select(search_changes).order_by(search_changes.c.id).limit(1)


class Block(NamedTuple):
    id: int
    first_seq: int
    last_seq: int
    messages: int
    size: int


class NewBlock(msgspec.Struct, frozen=True):
    """What is stored of a block, without its id. `row` has the values of _INSERT."""

    row: tuple[int, ...]
    parts: dict[Part, bytes]


class Piece(msgspec.Struct):
    """Blocks that are replaced by new ones, the changes that these have, and how far the index is then."""

    old: list[int] = []
    new: list[NewBlock] = []
    changes: list[int] = []
    progress: int | None = None


class SQLiteIndex:
    """A SearchIndex (chatd.store.search.interface). `pause` is called while Python's lock was held for a
    while."""

    def __init__(self, pause: Callable[[], None] = lambda: time.sleep(_BREATH)) -> None:
        self._pause = pause
        self._waiting: deque[int] = deque()  # conversations with messages to add
        self._progress: int | None = None  # the id of a message; all up to it are in the index
        self._upto = 0  # as `_progress`, once nothing is waiting

    def search(self, connection: Connection, account: Account, wanted: Wanted, limit: int) -> Page:
        return Search(connection, account, wanted, limit).run()

    def forget(self) -> None:
        self._waiting.clear()
        self._progress = None

    def prepare(self, connection: Connection) -> Piece | None:
        return self._changed(connection) or self._added(connection)

    def store(self, connection: Connection, piece: object) -> None:
        assert isinstance(piece, Piece)  # noqa: S101 - made by `prepare`
        if piece.old:
            _delete(connection, piece.old)
        parts: list[tuple[int, bytes]] = []
        for block in piece.new:
            ident = driver.execute(connection, _INSERT, block.row).lastrowid
            parts += [(ident * PARTS + part, data) for part, data in block.parts.items()]
        if parts:
            driver.execute_many(connection, _INSERT_PART, parts)
        if piece.changes:
            connection.execute(
                sa.delete(search_changes).where(search_changes.c.id.in_(piece.changes))
            )
        if piece.progress is not None:
            put_setting(connection, _PROGRESS, str(piece.progress))

    def _changed(self, connection: Connection) -> Piece | None:
        """The block with the message that was changed first, as its messages are now."""
        first = connection.execute(_FIRST_CHANGED).first()
        if first is None:
            return None
        block = _block_with(connection, first.conversation_id, first.seq)
        if block is None:
            later = sa.select(search_changes.c.id).where(
                search_changes.c.conversation_id == first.conversation_id,
                search_changes.c.seq >= first.seq,
            )
            # In no block yet, like those after it
            return Piece(changes=list(connection.scalars(later.limit(MAX_MESSAGES))))
        return self._renewed(connection, first.conversation_id, block)

    def _renewed(self, connection: Connection, conversation: int, block: Block) -> Piece:
        """A block as its messages are now. Earlier messages may have come into it in any number: if there are
        more than MAX_ROWS, the others keep what the block has of them, in a block of their own."""
        rows = _rows(connection, conversation, block.first_seq - 1, block.last_seq, MAX_ROWS)
        last_seq = block.last_seq
        rest: list[NewBlock] = []
        if len(rows) == MAX_ROWS and rows[-1][SEQ] < last_seq:
            last_seq = rows[-1][SEQ]
            later = _records_after(connection, block, conversation, last_seq)
            rest = [self._make((conversation, last_seq + 1, block.last_seq), later)]
        elif _block_with(connection, conversation, last_seq + 1) is None:
            # The newest messages may have been removed, and their numbers are used again.
            last_seq = rows[-1][SEQ] if rows else 0
        place = (conversation, block.first_seq, last_seq)
        new = self._split(place, rows) if last_seq else []
        within = (conversation, block.first_seq, last_seq if rest else block.last_seq, MAX_ROWS)
        changes = [ident for (ident,) in driver.fetch(connection, _WITHIN, within)]
        return Piece([block.id], new + rest, changes)

    def _split(self, place: tuple[int, int, int], rows: Sequence[Any]) -> list[NewBlock]:
        """One block, or several if these messages are too much for it: earlier ones have come since."""
        conversation, first_seq, last_seq = place
        made: list[NewBlock] = []
        records: list[Record] = []
        size = 0
        for row in rows:
            record = record_of(row)
            if record is None:
                continue
            added = len(record.text) + 1
            if records and (len(records) == MAX_MESSAGES or size + added > MAX_TEXT):
                made.append(self._make((conversation, first_seq, row[SEQ] - 1), records))
                first_seq, records, size = row[SEQ], [], 0
            records.append(record)
            size += added
        made.append(self._make((conversation, first_seq, last_seq), records))
        return made

    def _added(self, connection: Connection) -> Piece | None:
        """The next messages of the conversations that have some after their blocks."""
        if not self._waiting and not self._look(connection):
            return None
        piece = Piece()
        texts = 0
        while self._waiting and len(piece.new) < MAX_PIECE and texts < MAX_TEXT:
            conversation = self._waiting.popleft()
            size, is_whole = self._add(connection, conversation, piece)
            texts += size
            if not is_whole:
                self._waiting.appendleft(conversation)
                break  # what follows builds on what is prepared now
        if not self._waiting:
            piece.progress = self._progress = self._upto
        return piece

    def _look(self, connection: Connection) -> bool:
        """Find the conversations that have new messages. Returns whether there are new messages."""
        if self._progress is None:
            self._progress = int(get_setting(connection, _PROGRESS) or 0)
        [(newest,)] = driver.fetch(connection, _NEWEST)
        self._upto = min(newest, self._progress + _RANGE)
        if self._upto <= self._progress:
            return False
        found = driver.fetch(connection, _TOUCHED, (self._progress, self._upto))
        self._waiting.extend([conversation for (conversation,) in found])
        return True

    def _add(self, connection: Connection, conversation: int, piece: Piece) -> tuple[int, bool]:
        """Add a block with the next messages of a conversation. Returns the size of their texts, and whether
        there are no more."""
        last = [Block._make(row) for row in driver.fetch(connection, _LAST, (conversation,))]
        after = last[0].last_seq if last else 0
        rows = _rows(connection, conversation, after, _NO_END, MAX_MESSAGES)
        records: list[Record] = []
        covered, size = after, 0
        for row in rows:
            record = record_of(row)
            if record is not None:
                size += len(record.text) + 1
                if records and size > MAX_TEXT:
                    break
                records.append(record)
            covered = row[SEQ]
        if covered == after:
            return 0, True
        merged = _mergeable(last, len(records), size)
        piece.old += [block.id for block in merged]
        first = merged[-1].first_seq if merged else after + 1
        older = [each for block in reversed(merged) for each in _records(connection, block)]
        place = (conversation, first, covered)
        piece.new.append(self._make(place, [*older, *records]))
        return size, len(rows) < MAX_MESSAGES and covered == rows[-1][SEQ]

    def _make(self, place: tuple[int, int, int], records: Sequence[Record]) -> NewBlock:
        """The block with these records. `place`: its conversation, first and last seq."""
        records = sorted(records, key=blocks.order_of)
        texts = blocks.encode_texts(records)
        earliest, latest = (records[0].at, records[-1].at) if records else (0, 0)
        row = (*place, earliest, latest, len(records), len(texts))
        if not records:
            return NewBlock(row, {})
        parts = {
            Part.KEYS: blocks.encode_keys(records),
            Part.TEXTS: texts,
            Part.FACTS: blocks.encode_facts(records),
        }
        if len(texts) >= MIN_TEXT:
            parts[Part.SIGNATURE] = make_signature(texts, self._pause)
        return NewBlock(row, parts)


def _mergeable(last: Iterable[Block], count: int, size: int) -> list[Block]:
    """Those of the last blocks, newest first, that are replaced by one with `count` messages more."""
    merged = []
    for block in last:
        is_small = block.messages < _GROWTH * count or block.size < _LITTLE
        count, size = count + block.messages, size + block.size
        if not is_small or count > MAX_MESSAGES or size > MAX_TEXT:
            break
        merged.append(block)
    return merged


def _rows(
    connection: Connection, conversation: int, after: int, upto: int, limit: int = -1
) -> Sequence[Any]:
    values = (conversation, after, upto, limit)
    return driver.fetch(connection, _AFTER, values)


def _block_with(connection: Connection, conversation: int, seq: int) -> Block | None:
    columns = [search_blocks.c[name] for name in Block.__match_args__]
    row = connection.execute(
        sa.select(*columns)
        .where(search_blocks.c.conversation_id == conversation, search_blocks.c.last_seq >= seq)
        .order_by(search_blocks.c.last_seq)
        .limit(1)
    ).first()
    return None if row is None else Block._make(row)


def _records(connection: Connection, block: Block) -> list[Record]:
    if not block.messages:
        return []
    first = block.id * PARTS
    wanted = (first + Part.KEYS, first + Part.FACTS)
    (keys,), (texts,), (facts,) = driver.fetch(connection, _PARTS, wanted)
    return blocks.decode_records(keys, texts, facts)


def _records_after(
    connection: Connection, block: Block, conversation: int, seq: int
) -> list[Record]:
    """What a block has of the messages after `seq` that are still there."""
    records = _records(connection, block)
    idents = msgspec.json.encode([each.id for each in records]).decode()
    later = set(driver.fetch(connection, _LATER, (idents, conversation, seq)))
    return [each for each in records if (each.id,) in later]


def _delete(connection: Connection, idents: Sequence[int]) -> None:
    parts = [(ident * PARTS + part,) for ident in idents for part in Part]
    driver.execute_many(connection, _DELETE_PART, parts)
    driver.execute_many(connection, _DELETE, [(ident,) for ident in idents])
