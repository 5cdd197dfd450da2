"""The newest messages of blocks are found by reading only the ends of their values, and blocks without the
words by a few bits."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import text
from twisted.trial.unittest import SynchronousTestCase

from chatd.store.engine import backend_of
from chatd.store.search import query
from chatd.store.search.blocks import MAX_MESSAGES, Keys, make_facts
from chatd.store.search.ends import End, Span, decode_end, span_of, whole_messages
from chatd.store.search.interface import Wanted
from chatd.store.search.signatures import grams_of, make_signature, may_contain, places_of
from tests.support.search_index import ALONE, ANA, TOGETHER, IndexTestCase
from tests.unit.store.search.test_postgres import OnPostgres

LIMIT = 10
_INSERT = text(
    "INSERT INTO messages (id, conversation_id, seq, sender, at, text) "
    "VALUES (:id, :place, :seq, :sender, :at, :text)"
)


class Spans(SynchronousTestCase):
    def test_regular(self) -> None:
        """A tenth of the messages, and some more of them than are expected."""
        self.assertEqual(span_of(1000, 50_000, 1, 1000, 901), Span(3 * 133, 8312 + 256))

    def test_too_many(self) -> None:
        self.assertIsNone(span_of(1000, 50_000, 1, 1000, 501))
        self.assertIsNone(span_of(10, 500, 1, 10, 10))

    def test_one_time(self) -> None:
        self.assertIsNone(span_of(1000, 50_000, 7, 7, 7))


class Decoding(SynchronousTestCase):
    def end(self, texts: bytes, times: Sequence[int]) -> End:
        ids = array("q", range(100, 100 + len(times)))
        return End(texts, array("q", times).tobytes(), ids.tobytes())

    def test_whole(self) -> None:
        """The first text may lack its beginning, so it does not count."""
        end = self.end(b"lo\nsatu\ndua", (5, 6, 7, 8))
        self.assertEqual(whole_messages(end, 8), 2)
        texts, keys, facts = decode_end(end, 2)
        self.assertEqual((texts, facts), (b"satu\ndua", None))
        self.assertEqual((list(keys.times), list(keys.ids)), ([7, 8], [102, 103]))

    def test_not_enough(self) -> None:
        """A message that is new enough may be before those that were read."""
        self.assertEqual(whole_messages(self.end(b"lo\nsatu\ndua", (5, 6, 7, 8)), 7), 0)
        self.assertEqual(whole_messages(self.end(b"lo", (8,)), 9), 0)

    def test_fewer_keys(self) -> None:
        self.assertEqual(whole_messages(self.end(b"lo\nsatu\ndua\n", (5, 6)), 9), 0)

    def test_facts(self) -> None:
        facts = make_facts(["ana", "budi", "cici"], bytes([0, 0, 1]))
        end = self.end(b"lo\nsatu\ndua", (6, 7, 8))._replace(facts=msgspec.msgpack.encode(facts))
        _, keys, found = decode_end(end, 2)
        assert found is not None
        senders = [found.senders[code] for code in memoryview(found.codes).cast("H")]
        self.assertEqual((senders, list(found.files)), (["budi", "cici"], [0, 1]))
        self.assertIsInstance(keys, Keys)


class Places(SynchronousTestCase):
    def test_as_in_the_signature(self) -> None:
        """The bits that are looked at are those that decide."""
        texts = "\n".join(f"halo nomor {number}" for number in range(900)).encode()
        signature = make_signature(texts, lambda: None)
        for word in (b"halo", b"899", b"zebra", b"xyz", b"qqq"):
            grams = grams_of([word])
            places = places_of(len(texts), grams)
            are_set = [signature[place >> 3] >> (place & 7) & 1 for place in places]
            self.assertEqual(all(are_set), may_contain(signature, grams), word)


class Newest(OnPostgres, IndexTestCase):
    """Two conversations with a full block each; hits beyond the page are not counted."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(query, "MAX_COUNTED_TEXT", 0)
        self.patch(query, "_CHUNK", 1)
        self.ends = 0

        def counted(*args: Any) -> Any:
            self.ends += 1
            return decode_end(*args)

        self.patch(query, "decode_end", counted)

    def fill(self, step: int = 1) -> None:
        """In turns, one message in both every `step` ms; every third one is found."""
        rows = [
            {
                "id": n + 1,
                "place": (TOGETHER, ALONE)[n % 2],
                "seq": n // 2 + 1,
                "sender": ("ana", "budi")[n // 4 % 2],
                "at": n * step,
                "text": f"pesan {n} {'halo' if n // 2 % 3 else 'hai'} semua teman",
            }
            for n in range(2 * MAX_MESSAGES)
        ]
        with self.engine.begin() as connection:
            connection.execute(_INSERT, rows)
        self.update()

    def found(self, wanted: Wanted) -> list[int]:
        with self.reading.connect() as connection, connection.begin():
            page = self.index.search(connection, ANA, wanted, LIMIT)
        return [message.id for message in page.messages]

    def newest(self, chosen: str) -> list[int]:
        statement = f"SELECT id FROM messages WHERE {chosen} ORDER BY at DESC, id DESC"  # noqa: S608 - constants
        return self.numbers(statement)[:LIMIT]

    def test_newest(self) -> None:
        self.fill()
        self.assertEqual(self.found(Wanted(("halo",))), self.newest("strpos(text, 'halo') > 0"))
        self.assertEqual(self.ends, 1)

    def test_filters(self) -> None:
        self.fill()
        wanted = Wanted(("halo",), senders=frozenset({"budi"}))
        chosen = "strpos(text, 'halo') > 0 AND sender = 'budi'"
        self.assertEqual(self.found(wanted), self.newest(chosen))
        self.assertEqual(self.ends, 1)
        senders = Wanted(senders=frozenset({"ana"}))
        self.assertEqual(self.found(senders), self.newest("sender = 'ana'"))
        self.assertEqual(self.ends, 2)

    def test_all_at_once(self) -> None:
        """More messages than expected are new enough: the block is read whole."""
        self.fill(0)
        self.run_sql("UPDATE search_blocks SET earliest = -1000000 WHERE conversation_id = 1")
        self.assertEqual(self.found(Wanted(("halo",))), self.newest("strpos(text, 'halo') > 0"))
        self.assertEqual(self.ends, 0)

    def test_lacking(self) -> None:
        """Blocks whose signatures lack a word are not read."""
        self.fill()
        read: list[int] = []
        look = query.Search._read_chunk

        def noted(search: query.Search, heads: Sequence[query.Head]) -> bool:
            read.extend(head.id for head in heads)
            return look(search, heads)

        self.patch(query.Search, "_read_chunk", noted)
        for word in ("zyx", "pesan xyzzy qwrtp"):  # the bits of many grams are looked at here
            self.assertEqual(self.found(Wanted((word,))), [])
        self.assertEqual(read, [])
        self.assertEqual(self.found(Wanted(("pesan 700 ",))), [701])
        self.assertEqual(self.found(Wanted(("700",))), [701])

    def test_stored_inline(self) -> None:
        """A start changes how rows are stored once."""
        with self.engine.begin() as connection:
            for _ in range(2):
                backend_of(connection).inform_planner(connection)
            options = connection.exec_driver_sql(
                "SELECT reloptions::text FROM pg_class WHERE relname = 'search_parts'"
            ).scalar_one()
        self.assertEqual(options, "{toast_tuple_target=8160}")
