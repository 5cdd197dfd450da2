"""What directs from other realms have besides their text: replies, mentions, opaque bytes, or nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from chatd.base.names import Place, parse_address
from chatd.commands import values as ask
from chatd.federation.parcels import KEPT, Direct, Ref, encode, try_decode
from chatd.store.schema import messages
from tests.unit.federation.test_receive import NOW, InboundTestCase


class DirectParts(InboundTestCase):
    def direct(self, text: str | None = "halo", **changes: Any) -> Direct:
        said: dict[str, Any] = {"sender": "citra", "to": "ana", "at": NOW, "text": text}
        return Direct(**{**said, **changes})

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        def read(connection: sa.Connection) -> list[tuple[Any, ...]]:
            found = connection.execute(
                sa.select(*(messages.c[each] for each in columns)).order_by(messages.c.id)
            )
            return [tuple(row) for row in found]

        rows: list[tuple[Any, ...]] = self.one.realm.database.now(read)
        return rows

    def test_reply(self) -> None:
        """A reply to an entry of either realm; other refs are ignored."""
        self.says(self.direct("satu"), number=11)
        self.ana.sends("citra@realm2", "dua")
        number = self.rows("number")[1][0]
        for ref in (Ref(True, 11), Ref(False, number), Ref(True, 99), Ref(False, 11)):
            self.assertEqual(self.says(self.direct("ya", reply=ref)), KEPT)
        self.assertEqual([reply for (reply,) in self.rows("reply")], [None, None, 1, 2, None, None])

    def test_live(self) -> None:
        """What listeners are told has all parts that the history has."""
        self.ana.inbox()  # her connection listens
        self.says(self.direct("satu"), number=11)
        self.says(
            self.direct("dua", reply=Ref(True, 11), forwarded="dewi", mentions=("ana@realm1",))
        )
        self.says(self.direct(None, media="application/x-box", body=b"abc", reply=Ref(True, 11)))
        shown = self.ana.does(ask.ShowHistory(Place(parse_address("citra@realm2")), 10)).items
        self.assertEqual([each.reply for each in shown], [None, 1, 1])
        self.assertEqual(self.ana.events, list(shown))

    def test_reply_in_another_conversation(self) -> None:
        """A ref does not lead into the conversations of others."""
        self.says(self.direct("rahasia", to="budi"), number=11)
        self.says(self.direct("ya", reply=Ref(True, 11)))
        self.assertEqual([reply for (reply,) in self.rows("reply")], [None, None])

    def test_addresses(self) -> None:
        """Addresses are as this realm writes them."""
        self.says(
            self.direct(forwarded="dewi", mentions=("ana@realm1", "dewi", "eka@realm3")),
        )
        ((forwarded, mentions),) = self.rows("forwarded", "mentions")
        self.assertEqual(forwarded, "dewi@realm2")
        self.assertEqual(msgspec.json.decode(mentions), ["ana", "dewi@realm2", "eka@realm3"])

    def test_bad_addresses(self) -> None:
        for bad in ("a b", "a@b@c", "\x1b[2J", "x" * 65):
            self.assertEqual(self.code_of(self.direct(forwarded=bad)), "bad-name")
            self.assertEqual(self.code_of(self.direct(mentions=(bad,))), "bad-name")
        self.assertEqual(self.rows("id"), [])

    def test_opaque(self) -> None:
        self.says(self.direct(None, media="application/x-secret", body=b"\x00\xff"))
        self.assertEqual(
            self.rows("text", "media", "body"), [(None, "application/x-secret", b"\x00\xff")]
        )

    def test_malformed(self) -> None:
        """A message has one content, within its bounds."""
        for fields in (
            ["direct", "citra", "ana", 1, "a", None, None, None, [], "a/b", b"c"],
            ["direct", "citra", "ana", 1, None, None, None, None, [], "a/b", None],
            ["direct", "citra", "ana", 1, None, None, None, None, [], None, b"c"],
            ["direct", "citra", "ana", 1, None, None, None, None, [], "a/b", b"c" * 32769],
            ["direct", "citra", "ana", 1, "a", None, None, None, ["b"] * 101],
            ["direct", "citra", "ana", 1, "a", None, [True, -1]],
            ["direct", "citra", "ana", 1, "a", None, [True, 2**63]],
        ):
            self.assertIsNone(try_decode(encode(fields)), fields)

    def test_blank(self) -> None:
        """A message that was deleted before it came is a tombstone, and not unread. If it came before, the
        empty parcel changes nothing."""
        self.says(self.direct("satu"), number=11)
        self.assertEqual(self.says(self.direct(None), number=11), KEPT)
        self.assertEqual(self.says(self.direct(None), number=12), KEPT)
        self.assertEqual(self.rows("text", "deleted_at"), [("satu", None), (None, NOW)])
