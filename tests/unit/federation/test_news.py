"""Read marks and typing between realms."""

from __future__ import annotations

from typing import Any

from chatd.base.errors import BadName, StorageFailed
from chatd.federation.news import mark_parcel, news_of, typing_in, typing_to
from chatd.federation.parcels import DirectMark, GroupMark, decode
from chatd.service.realm_news import DirectRead, DirectTyping, GroupRead, GroupTyping
from tests.support.network import LinkedTestCase
from tests.support.receipts import tell_read

MARKS = (DirectRead("ana", "budi", 7), GroupRead("ana@realm3", "realm1", 5, 9))
TYPING = (DirectTyping("ana", "budi"), GroupTyping("ana@realm3", "realm1", 5))


class NewsTestCase(LinkedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.heard: list[Any] = []
        self.fails: Exception | None = None

        async def hear(realm: str, news: Any) -> None:
            self.heard.append((realm, news))
            if self.fails is not None:
                raise self.fails

        receiver = self.two.federation.news
        receiver._on_read = receiver._on_typing = hear

    def test_encoding(self) -> None:
        for mark in MARKS:
            data = mark_parcel("realm2", mark, 1).parcel
            assert isinstance(data, bytes)
            parcel = decode(data)
            assert isinstance(parcel, DirectMark | GroupMark)
            self.assertEqual(news_of(parcel), mark)
        for typing in TYPING:
            self.assertEqual(typing_in(*typing_to(typing)), typing)
        for odd in ("#", "#5@", "#x@realm1", "#99999999999999999999@realm1"):
            self.assertEqual(typing_in("ana", odd), DirectTyping("ana", odd))

    def test_marks(self) -> None:
        """A mark arrives, also after a break; then only the newest."""
        tell_read(self.one, "realm2", MARKS[0])
        self.network.settle()
        self.part()
        for number in (8, 9):
            tell_read(self.one, "realm2", DirectRead("ana", "budi", number))
        tell_read(self.one, "realm2", MARKS[1])
        self.network.settle()
        self.meet()
        self.network.advance(3)
        expected = [MARKS[0], DirectRead("ana", "budi", 9), MARKS[1]]
        self.assertEqual(self.heard, [("realm1", news) for news in expected])
        self.assertEqual(self.one.parcels_waiting(), 0)

    def test_mark_that_is_refused(self) -> None:
        """The sender is not told, and nothing waits."""
        self.fails = BadName(name="x")
        tell_read(self.one, "realm2", MARKS[0])
        self.network.advance(3)
        self.assertEqual(self.one.parcels_waiting(), 0)
        self.assertEqual(self.ana.reads(), [])

    def test_typing(self) -> None:
        """It is told while the realms are linked, and never later."""
        forwarder = self.one.federation.forwarder
        for news in TYPING:
            forwarder.tell_typing("realm2", news)
        self.network.settle()
        self.part()
        forwarder.tell_typing("realm2", TYPING[0])
        self.meet()
        self.network.advance(3)
        self.assertEqual(self.heard, [("realm1", news) for news in TYPING])

    def test_typing_that_fails(self) -> None:
        """The link stays."""
        for error in (BadName(name="x"), StorageFailed(), ZeroDivisionError()):
            self.fails = error
            self.one.federation.forwarder.tell_typing("realm2", TYPING[0])
            self.network.settle()
        self.assertEqual(len(self.heard), 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.ana.sends("budi@realm2", "halo")
        self.assertEqual(len(self.network.dialled), 1)
