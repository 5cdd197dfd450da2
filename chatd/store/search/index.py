"""Building the index, a short piece at a time.

A conversation's blocks cover its log without gaps from the beginning to some number (seq); the rest is its
*tail*, which searches read from `messages`. A few messages make a small block, which is merged with the ones
after it, so that writing stays cheap and blocks become few.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy import Connection

from chatd.base.model import Account
from chatd.store import driver
from chatd.store.backend import Backend
from chatd.store.engine import backend_of
from chatd.store.history import Page
from chatd.store.schema import search_blocks, search_changes
from chatd.store.search.blocks import (
    MAX_MESSAGES,
    MAX_TEXT,
    PARTS,
    Columns,
    Part,
    columns_of,
    decode_columns,
    encode_columns,
    merge,
    records_in,
)
from chatd.store.search.fresh import FreshMessages
from chatd.store.search.interface import Wanted
from chatd.store.search.progress import index_version, raise_version
from chatd.store.search.query import Search
from chatd.store.search.records import (
    BEGINNING,
    SEARCHED,
    SEQ,
    WITH_FILE,
    first_block,
    first_fresh_block,
)
from chatd.store.search.signatures import MIN_TEXT, make_signature
from chatd.store.search.unindexed import Unindexed

_BREATH = 0.001  # seconds for other threads, while a piece is prepared
_GROWTH = 2  # a block is merged with following messages unless it has this many times more
_LITTLE = 2 << 10  # bytes of text that are merged in any case
MAX_BLOCKS = 64  # of a piece
# Pieces that are prepared in one transaction. The next one reads all pages of the database again, because the
# database was changed in between, and there are messages of many conversations in each page.
MAX_PIECES = 8
MAX_ROWS = 1024  # of a block whose messages are read again

_AFTER = f"""
SELECT {SEARCHED} FROM messages {WITH_FILE}
WHERE conversation_id = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?
"""
_LAST = f"""
SELECT id, first_seq, last_seq, messages, size FROM search_blocks
WHERE conversation_id = ? ORDER BY last_seq DESC LIMIT {MAX_BLOCKS}
"""
_WITHIN = """
SELECT id FROM search_changes WHERE conversation_id = ? AND seq BETWEEN ? AND ? LIMIT ?
"""
_COLUMNS = "conversation_id, first_seq, last_seq, earliest, latest, messages, size"
_NO_END = (1 << 63) - 1
_FIRST_CHANGED = sa.select(search_changes).order_by(search_changes.c.id).limit(1)


class IndexStatements(NamedTuple):
    """As a kind of database knows them."""

    after: str
    last: str
    parts: str
    later: str  # of some messages, those that are after a place
    within: str
    new_row: str  # of a block
    insert_part: str
    delete: str
    delete_part: str


@cache
def _statements(backend: Backend) -> IndexStatements:
    mark = backend.placeholder
    return IndexStatements(
        after=_AFTER.replace("?", mark),
        last=_LAST.replace("?", mark),
        parts=f"SELECT data FROM search_parts WHERE id BETWEEN {mark} AND {mark} ORDER BY id",
        later=backend.lookup(
            "messages.id",
            backend.each_id,
            "messages",
            "TRUE",
            f"messages.id = ids.value AND conversation_id = {mark} AND seq > {mark}",
        ),
        within=_WITHIN.replace("?", mark),
        new_row=f"({', '.join([mark] * (_COLUMNS.count(',') + 1))})",
        insert_part=f"INSERT INTO search_parts (id, data) VALUES ({mark}, {mark})",
        delete=f"DELETE FROM search_blocks WHERE id = {mark}",
        delete_part=f"DELETE FROM search_parts WHERE id = {mark}",
    )


class Block(NamedTuple):
    id: int
    first_seq: int
    last_seq: int
    messages: int
    size: int


class NewBlock(msgspec.Struct, frozen=True):
    """What is stored of a block, without its id. `row` has the values of _COLUMNS."""

    row: tuple[int, ...]
    parts: dict[Part, bytes]


class Piece(msgspec.Struct):
    """Blocks that are replaced by new ones, the changes that these have, and how far the index is then.
    `version` is the one that the index has before."""

    old: list[int] = []
    new: list[NewBlock] = []
    changes: list[int] = []
    progress: int | None = None
    version: int = 0


class BlockIndex:
    """A SearchIndex (chatd.store.search.interface). `pause` is called while Python's lock was held for a
    while."""

    def __init__(
        self,
        fresh: FreshMessages,
        pause: Callable[[], None] = lambda: time.sleep(_BREATH),
    ) -> None:
        self._fresh = fresh
        self._pause = pause
        self._unindexed = Unindexed(fresh, pause)

    @property
    def is_behind(self) -> bool:
        return self._fresh.are_many

    def search(self, connection: Connection, account: Account, wanted: Wanted, limit: int) -> Page:
        return Search(connection, account, wanted, limit).run()

    def forget(self) -> None:
        self._unindexed.forget()

    def prepare(self, connection: Connection) -> list[Piece]:
        version = index_version(connection)
        changed = self._changed(connection)
        pieces = self._added(connection) if changed is None else [changed]
        for number, piece in enumerate(pieces):
            piece.version = version + number
        return pieces

    def store(self, connection: Connection, piece: object) -> None:
        assert isinstance(piece, Piece)  # noqa: S101 - made by `prepare`
        raise_version(connection, piece.version)
        if piece.old:
            _delete(connection, piece.old)
        if piece.new:
            _insert(connection, piece.new)
        if piece.changes:
            connection.execute(
                sa.delete(search_changes).where(search_changes.c.id.in_(piece.changes))
            )
        if piece.progress is not None:
            self._unindexed.note_stored(connection, piece.progress)

    def _changed(self, connection: Connection) -> Piece | None:
        """The block with the message that was changed first, as its messages are now."""
        first = connection.execute(_FIRST_CHANGED).first()
        if first is None:
            return None
        self._unindexed.distrust(connection, first.conversation_id)
        block = _block_with(connection, first.conversation_id, first.seq)
        if block is not None and first.seq < block.first_seq:
            block = Block(block.id, first.seq, *block[2:])  # it is imported
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
            later = _columns_after(connection, block, conversation, last_seq)
            rest = [self._make((conversation, last_seq + 1, block.last_seq), later)]
        elif _block_with(connection, conversation, last_seq + 1) is None:
            # The newest messages may have been removed, and their numbers are used again.
            last_seq = rows[-1][SEQ] if rows else block.first_seq - 1
        place = (conversation, block.first_seq, last_seq)
        new = self._split(place, rows) if last_seq >= block.first_seq else []
        within = (conversation, block.first_seq, last_seq if rest else block.last_seq, MAX_ROWS)
        made = _statements(backend_of(connection))
        changes = [ident for (ident,) in driver.fetch(connection, made.within, within)]
        return Piece([block.id], new + rest, changes)

    def _split(self, place: tuple[int, int, int], rows: Sequence[Any]) -> list[NewBlock]:
        """One block, or several if these messages are too much for it: earlier ones have come since."""
        conversation, first_seq, last_seq = place
        made: list[NewBlock] = []
        while rows:
            count, columns = first_block(rows[:MAX_MESSAGES])
            end = rows[count - 1][SEQ] if count < len(rows) else last_seq
            made.append(self._make((conversation, first_seq, end), columns))
            first_seq, rows = end + 1, rows[count:]
        return made or [self._make(place, columns_of(()))]

    def _added(self, connection: Connection) -> list[Piece]:
        """The next messages of the conversations that have some after their blocks."""
        waiting = self._unindexed.waiting
        if not waiting and not self._unindexed.look(connection):
            return []
        pieces: list[Piece] = []
        unfinished: list[int] = []
        while waiting and len(pieces) < MAX_PIECES:
            pieces.append(self._next_piece(connection, unfinished))
        # What follows in these builds on what is prepared now.
        waiting.extendleft(unfinished)
        if not waiting:
            pieces = pieces or [Piece()]
            pieces[-1].progress = self._unindexed.note_prepared()
        return pieces

    def _next_piece(self, connection: Connection, unfinished: list[int]) -> Piece:
        """A block for each of the next conversations. Adds those that need another one to `unfinished`."""
        piece = Piece()
        texts = 0
        waiting = self._unindexed.waiting
        while waiting and len(piece.new) < MAX_BLOCKS and texts < MAX_TEXT:
            conversation = waiting.popleft()
            size, is_whole = self._add(connection, conversation, piece)
            texts += size
            if not is_whole:
                unfinished.append(conversation)
        return piece

    def _add(self, connection: Connection, conversation: int, piece: Piece) -> tuple[int, bool]:
        """Add a block with the next messages of a conversation. Returns the size of their texts, and whether
        there are no more."""
        found = driver.fetch(connection, _statements(backend_of(connection)).last, (conversation,))
        last = [Block._make(row) for row in found]
        after = last[0].last_seq if last else BEGINNING
        rows: Sequence[Any] | None = self._unindexed.fresh(conversation, after)
        if rows is None:
            rows = _rows(connection, conversation, after, _NO_END, MAX_MESSAGES)
            are_all, make = len(rows) < MAX_MESSAGES, first_block
        else:
            are_all, make = len(rows) <= MAX_MESSAGES, first_fresh_block
            rows = rows[:MAX_MESSAGES]
        if not rows:
            return 0, True
        count, added = make(rows)
        size = len(added.texts)
        merged = _mergeable(last, len(added.ids), size)
        piece.old += [block.id for block in merged]
        first = after + 1 if last else min(rows[0][SEQ], 1)  # earlier ones may come later
        first = merged[-1].first_seq if merged else first
        place = conversation, first, rows[count - 1][SEQ]
        older = [_columns(connection, block) for block in reversed(merged)]
        piece.new.append(self._make(place, merge([*older, added])))
        return size, are_all and count == len(rows)

    def _make(self, place: tuple[int, int, int], columns: Columns) -> NewBlock:
        """The block with these messages. `place`: its conversation, first and last seq."""
        times, ids, _, texts = columns
        if not ids:
            return NewBlock((*place, 0, 0, 0, 0), {})
        parts = encode_columns(columns)
        if len(texts) >= MIN_TEXT:
            parts[Part.SIGNATURE] = make_signature(texts, self._pause)
        return NewBlock((*place, times[0], times[-1], len(ids), len(texts)), parts)


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
    connection: Connection, conversation: int, after: int, upto: int, limit: int
) -> Sequence[Any]:
    values = (conversation, after, upto, limit)
    return driver.fetch(connection, _statements(backend_of(connection)).after, values)


def _block_with(connection: Connection, conversation: int, seq: int) -> Block | None:
    columns = [search_blocks.c[name] for name in Block.__match_args__]
    row = connection.execute(
        sa.select(*columns)
        .where(search_blocks.c.conversation_id == conversation, search_blocks.c.last_seq >= seq)
        .order_by(search_blocks.c.last_seq)
        .limit(1)
    ).first()
    return None if row is None else Block._make(row)


def _columns(connection: Connection, block: Block) -> Columns:
    if not block.messages:
        return columns_of(())
    first = block.id * PARTS
    wanted = (first + Part.KEYS, first + Part.FACTS)
    backend = backend_of(connection)
    cursor = backend.bytes_cursor(connection)
    found = driver.execute(connection, _statements(backend).parts, wanted, cursor)
    (keys,), (texts,), (facts,) = found.fetchall()
    return decode_columns(keys, texts, facts)


def _columns_after(connection: Connection, block: Block, conversation: int, seq: int) -> Columns:
    """What a block has of the messages after `seq` that are still there."""
    columns = _columns(connection, block)
    backend = backend_of(connection)
    wanted = (backend.ids(columns.ids.tolist()), conversation, seq)
    later = {ident for (ident,) in driver.fetch(connection, _statements(backend).later, wanted)}
    return columns_of([each for each in records_in(columns) if each.id in later])


def _insert(connection: Connection, blocks: Sequence[NewBlock]) -> None:
    """Store blocks. All have another place."""
    made = _statements(backend_of(connection))
    rows = ", ".join([made.new_row] * len(blocks))
    ids = driver.fetch(
        connection,
        f"INSERT INTO search_blocks ({_COLUMNS}) VALUES {rows} RETURNING conversation_id, last_seq, id",
        [value for block in blocks for value in block.row],
    )
    id_at = {(conversation, last_seq): ident for conversation, last_seq, ident in ids}
    parts = [
        (id_at[block.row[0], block.row[2]] * PARTS + part, data)
        for block in blocks
        for part, data in block.parts.items()
    ]
    if parts:
        driver.execute_many(connection, made.insert_part, parts)


def _delete(connection: Connection, idents: Sequence[int]) -> None:
    parts = [(ident * PARTS + part,) for ident in idents for part in Part]
    made = _statements(backend_of(connection))
    driver.execute_many(connection, made.delete_part, parts)
    driver.execute_many(connection, made.delete, [(ident,) for ident in idents])
