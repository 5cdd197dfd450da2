"""Searching: in the blocks of the index, and in the messages that are not in them yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import starmap
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from chatd.base.model import Account
from chatd.store import driver
from chatd.store.backend import Backend
from chatd.store.engine import backend_of
from chatd.store.history import Page, build_messages, select_messages
from chatd.store.schema import messages
from chatd.store.search.blocks import PARTS, Keys, Part, decode_facts, decode_keys, order_of
from chatd.store.search.ends import End, decode_end, span_of, whole_messages
from chatd.store.search.ends import statement as statement_for_ends
from chatd.store.search.interface import MAX_REMAINING, Wanted
from chatd.store.search.matching import Matcher, NewestHits
from chatd.store.search.records import BEGINNING, SEARCHED, WITH_FILE, record_of
from chatd.store.search.signatures import MIN_TEXT, grams_of, may_contain, places_of

# Once a page is full, counting what remains reads at most as many bytes of text.
MAX_COUNTED_TEXT = 6 << 20
_CHUNK = 128  # blocks that are looked up at a time
_MAX_GRAMS = 4  # of words, whose bits in signatures the server looks at
_LARGEST = (1 << 63) - 1
_NO_END = _LARGEST, _LARGEST  # a time and an id


class QueryStatements(NamedTuple):
    """As a kind of database knows them."""

    blocks: str
    hidden: str
    tail: str  # messages after the blocks
    changed: str
    signatures: str
    lacking: str | None  # as Backend.lacking_bits
    contents: str
    contents_with_facts: str
    ends: str | None  # see chatd.store.search.ends
    ends_with_facts: str | None


@cache
def _statements(backend: Backend) -> QueryStatements:
    mark = backend.placeholder
    return QueryStatements(
        blocks=_BLOCKS.replace("?", mark),
        hidden="SELECT id FROM messages WHERE conversation_id = ? AND seq >= ? AND seq < ?".replace(
            "?", mark
        ),
        tail=backend.lookup(
            SEARCHED,
            "participants",
            f"messages {WITH_FILE}",
            f"participants.account_id = {mark}",
            f"messages.conversation_id = participants.conversation_id AND {_AFTER_BLOCKS} AND {_SEES}",
        ),
        changed=backend.lookup(
            SEARCHED,
            "search_changes JOIN participants "
            "ON participants.conversation_id = search_changes.conversation_id",
            f"messages {WITH_FILE}",
            f"participants.account_id = {mark}",
            "messages.conversation_id = search_changes.conversation_id "
            f"AND messages.seq = search_changes.seq AND {_SEES}",
        ),
        signatures=_parts(backend, Part.SIGNATURE),
        lacking=backend.lacking_bits(
            "search_parts", f"id = ids.value * {PARTS} + {Part.SIGNATURE:d}"
        ),
        contents=_parts(backend, Part.TEXTS, Part.KEYS),
        contents_with_facts=_parts(backend, Part.TEXTS, Part.KEYS, Part.FACTS),
        ends=statement_for_ends(backend, with_facts=False),
        ends_with_facts=statement_for_ends(backend, with_facts=True),
    )


def _parts(backend: Backend, *parts: Part) -> str:
    """A query for these parts of blocks, in the order of their ids."""
    names = [part.name.lower() for part in parts]
    return (
        backend.lookup(
            ", ".join(["ids.value", *[f"{name}.data AS {name}" for name in names]]),
            backend.each_id,
            " CROSS JOIN ".join([f"search_parts AS {name}" for name in names]),
            "TRUE",
            " AND ".join(
                [
                    f"{name}.id = ids.value * {PARTS} + {part:d}"
                    for name, part in zip(names, parts, strict=True)
                ]
            ),
        )
        + f" {backend.in_order}"
    )


# `hidden` is the seq before which the account sees nothing, if that is in the block.
_BLOCKS = """
SELECT id, b.conversation_id, earliest, latest, messages, size, b.first_seq,
    CASE WHEN b.first_seq < p.first_seq THEN p.first_seq END AS hidden
FROM participants AS p JOIN search_blocks AS b
ON b.conversation_id = p.conversation_id AND b.last_seq >= p.first_seq
WHERE p.account_id = ? AND earliest <= ? AND messages > 0 ORDER BY latest DESC
"""
_AFTER_BLOCKS = f"""messages.seq > coalesce((SELECT max(last_seq) FROM search_blocks
    WHERE search_blocks.conversation_id = participants.conversation_id), {BEGINNING})"""
# A difference, because SQLite would read all messages from `first_seq` on, and not those after the blocks.
_SEES = "participants.first_seq - messages.seq <= 0"


class Head(NamedTuple):
    id: int
    conversation: int
    earliest: int
    latest: int
    messages: int
    size: int
    first_seq: int
    hidden: int | None


class Search:
    """One search, in one transaction."""

    def __init__(
        self, connection: Connection, account: Account, wanted: Wanted, limit: int
    ) -> None:
        self._connection = connection
        self._backend = backend_of(connection)
        self._statements = _statements(self._backend)
        self._account = account
        self._wanted = wanted
        self._limit = limit
        self._end = _NO_END
        self._matcher = Matcher(wanted)
        self._grams = grams_of(self._matcher.words)
        self._step = self._backend.values_at_once
        self._found = 0
        self._read_bytes = 0  # of text
        self._newest = NewestHits(limit)
        # conversation -> ids of messages that have changed since they came into the index
        self._changed: dict[int, set[int]] = defaultdict(set)

    def run(self) -> Page:
        if not (self._wanted.words or self._matcher.filters or self._wanted.conversations):
            return Page([])
        self._end = self._end_of_page()
        self._read_loose()
        self._read_blocks()
        ids = self._newest.ids()
        remaining = min(self._found - len(ids), MAX_REMAINING)
        # A parameter for each id would make another statement for each number of them.
        query = select_messages(self._account, known=True).where(
            messages.c.id.in_(self._backend.integers("ids"))
        )
        rows = self._connection.execute(
            query.order_by(messages.c.at.desc(), messages.c.id.desc()),
            {"ids": self._backend.ids(ids)},
        ).all()
        return Page(build_messages(self._connection, rows, self._account), remaining)

    def _end_of_page(self) -> tuple[int, int]:
        """The time and the id that all messages of the page are before. A message that was pending is shown
        with another id than the one by which messages are ordered. If there is no such message, the page
        begins with the one that has the next lower id."""
        shown = self._wanted.before_id
        if shown is None or shown >= _LARGEST:
            return _NO_END
        query = select(messages.c.at, messages.c.id)
        found = self._connection.execute(query.where(messages.c.shown_id == shown)).first()
        if found is not None:
            return found.at, found.id
        nearest = query.where(messages.c.id <= shown).order_by(messages.c.id.desc()).limit(1)
        found = self._connection.execute(nearest).first()
        if found is None:
            return 0, 0
        return found.at, found.id if found.id == shown else found.id + 1

    def _rows(self, statement: str, *values: Any) -> Any:
        return self._connection.exec_driver_sql(statement, values)

    def _read_loose(self) -> None:
        """Read the messages that the index lacks, or has an older version of."""
        account = self._account.id
        for row in self._rows(self._statements.changed, account):
            changed = self._changed[row.conversation_id]
            if row.id not in changed:  # it may have been changed several times
                changed.add(row.id)
                self._look_at(row)
        for row in self._rows(self._statements.tail, account):
            if row.id not in self._changed.get(row.conversation_id, ()):
                self._look_at(row)

    def _look_at(self, row: Any) -> None:
        places = self._wanted.conversations
        if (row.at, row.id) >= self._end or (
            places is not None and row.conversation_id not in places
        ):
            return
        record = record_of(row)
        if record is not None and self._matcher.wants(record):
            self._found += 1
            self._newest.add(order_of(record))

    def _read_blocks(self) -> None:
        places, in_time = self._wanted.conversations, self._matcher.in_time
        rows = driver.fetch(
            self._connection, self._statements.blocks, (self._account.id, self._end[0])
        )
        heads = [
            head
            for head in starmap(Head, rows)
            if (places is None or head.conversation in places)
            and in_time(head.earliest, head.latest)
        ]
        for start in range(0, len(heads), _CHUNK):
            some: Sequence[Head] = heads[start : start + _CHUNK]
            if not self._is_counting():
                some = self._without_read_ends(some)
            some = self._with_grams(some)
            while some:
                if self._read_chunk(some[: self._step]):
                    return
                some = some[self._step :]
                self._step *= 2

    def _without_read_ends(self, heads: Sequence[Head]) -> Sequence[Head]:
        """Look into the newest messages of blocks, once hits are not counted. Returns the blocks of which
        more has to be read."""
        made = self._statements
        statement = made.ends_with_facts if self._matcher.filters else made.ends
        floor = self._newest.floor[0]
        some = [head for head in heads if head.latest >= floor]
        if statement is None:
            return some
        spans = {
            head.id: span
            for head in some
            if (span := span_of(head.messages, head.size, head.earliest, head.latest, floor))
        }
        if not spans:
            return some
        read = set()
        values = [self._backend.ids(each) for each in (spans, *zip(*spans.values(), strict=True))]
        by_id = {head.id: head for head in some}
        cursor = self._backend.bytes_cursor(self._connection)
        words = self._matcher.words
        for ident, *parts in driver.execute(self._connection, statement, values, cursor):
            end = End(*parts)
            if count := whole_messages(end, floor):
                read.add(ident)
                if not words or end.texts.rfind(words[0]) >= 0:
                    texts, keys, facts = decode_end(end, count)
                    numbers = self._matcher.numbers(texts, keys, facts, 0)
                    self._read_block(by_id[ident], keys, numbers, counting=False)
        return [head for head in some if head.id not in read]

    def _with_grams(self, heads: Sequence[Head]) -> Sequence[Head]:
        """Those that may contain all words."""
        signed = [head for head in heads if head.size >= MIN_TEXT] if self._grams else []
        if not signed:
            return heads
        lacking = self._lacking_grams(signed)
        return [head for head in heads if head.id not in lacking]

    def _lacking_grams(self, heads: Sequence[Head]) -> set[int]:
        """The ids of the blocks that lack some of the words, by their signatures."""
        statement = self._statements.lacking
        if statement is None or len(self._grams) > _MAX_GRAMS:
            signatures = self._read(self._statements.signatures, [head.id for head in heads])
            return {ident for ident, data in signatures if not may_contain(data, self._grams)}
        bits = [(head.id, bit) for head in heads for bit in places_of(head.size, self._grams)]
        values = [self._backend.ids(each) for each in zip(*bits, strict=True)]
        return {ident for (ident,) in driver.fetch(self._connection, statement, values)}

    def _read(self, statement: str, ids: Sequence[int]) -> Any:
        """Parts of the blocks with these ids, in their order."""
        cursor = self._backend.bytes_cursor(self._connection)
        return driver.execute(self._connection, statement, (self._backend.ids(ids),), cursor)

    def _read_chunk(self, heads: Sequence[Head]) -> bool:
        """Look into these blocks. Returns whether no other one matters."""
        made = self._statements
        statement = made.contents_with_facts if self._matcher.filters else made.contents
        contents = self._read(statement, [head.id for head in heads])
        words = self._matcher.words
        for head in heads:
            counting, floor = self._is_counting(), self._newest.floor[0]
            if not counting and head.latest < floor:
                contents.close()
                return True
            _, texts, keys, *more = contents.fetchone()
            self._read_bytes += head.size
            # Most blocks have the word; if not, this finds that out faster than `in`.
            if not words or texts.rfind(words[0]) >= 0:
                facts = decode_facts(more[0]) if more else None
                decoded = decode_keys(keys)
                since = 0 if counting else floor
                numbers = self._matcher.numbers(texts, decoded, facts, since)
                self._read_block(head, decoded, numbers, counting)
        return False

    def _is_counting(self) -> bool:
        """Whether hits beyond the page are still counted. At least one of them always is."""
        more = self._found - self._limit
        return more <= 0 or (more < MAX_REMAINING and self._read_bytes < MAX_COUNTED_TEXT)

    def _read_block(self, head: Head, keys: Keys, numbers: Iterable[int], counting: bool) -> None:
        """Add those of the messages with these `numbers`, newest first, that the account sees. Older ones
        than those of the page may be left out unless hits are `counting`."""
        times, idents = keys
        changed = self._changed.get(head.conversation, ())
        hidden = () if head.hidden is None else self._hidden(head, head.hidden)
        newest, end, most = self._newest, self._end, self._limit + MAX_REMAINING
        for number in numbers:
            ident = idents[number]
            hit = times[number], ident
            if hit >= end or ident in changed or ident in hidden:
                continue
            if (not counting or self._found >= most) and hit <= newest.floor:
                return
            self._found += 1
            newest.add(hit)

    def _hidden(self, head: Head, before: int) -> set[int]:
        """The ids of the messages of a block that the account does not see, those before a seq."""
        rows = self._rows(self._statements.hidden, head.conversation, head.first_seq, before)
        return {row[0] for row in rows}
