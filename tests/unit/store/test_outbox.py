"""The numbers of what goes to other realms, over restarts and restores."""

from __future__ import annotations

import sqlalchemy as sa
from twisted.trial.unittest import SynchronousTestCase

from chatd.store.outbox import SPREAD, OutboxWriter
from chatd.store.schema import metadata
from chatd.store.settings import get_or_add_setting, put_setting
from chatd.store.starts import gaps_since

NOW = 1_795_169_000_000  # ms since 1970 UTC


class Numbers(SynchronousTestCase):
    def setUp(self) -> None:
        engine = sa.create_engine("sqlite://")
        self.addCleanup(engine.dispose)
        metadata.create_all(engine)
        self.connection = engine.connect()
        self.addCleanup(self.connection.close)

    def start(self, now: int, random: int = 7) -> OutboxWriter:
        """The writer of a start at that time."""
        writer = OutboxWriter(lambda: now, lambda size: random.to_bytes(size))
        writer.term(self.connection)
        return writer

    def test_in_a_start(self) -> None:
        writer = self.start(NOW)
        numbers = [writer.take(self.connection) for _ in range(3)]
        self.assertEqual(numbers, [numbers[0], numbers[0] + 1, numbers[0] + 2])

    def test_starts(self) -> None:
        """Each start has higher numbers than the earlier ones, also if the clock is behind."""
        numbers = [self.start(now).take(self.connection) for now in (NOW, NOW, NOW - 5000, NOW + 1)]
        self.assertEqual(numbers, sorted(set(numbers)))

    def test_many_in_a_start(self) -> None:
        """A million messages a second leave the later start its own numbers."""
        earlier = self.start(NOW)
        last = earlier.take(self.connection) + 1_000_000
        self.assertGreater(self.start(NOW + 1000).take(self.connection), last)

    def test_restored(self) -> None:
        """Three starts in one second, the last one from a backup that was made before the second."""
        self.start(NOW)
        backup = get_or_add_setting(self.connection, "term", "0")
        lost = self.start(NOW + 300).take(self.connection)
        put_setting(self.connection, "term", backup)
        self.assertGreater(self.start(NOW + 600).take(self.connection), lost)

    def test_restored_while_the_clock_is_behind(self) -> None:
        """The numbers differ from those of lost starts. Once a lost number is proved, later ones are higher,
        and the numbers in between may be lost, too."""
        self.start(NOW)
        backup = get_or_add_setting(self.connection, "term", "0")
        lost = self.start(NOW - 5000, random=90_000).take(self.connection)
        put_setting(self.connection, "term", backup)
        writer = self.start(NOW - 9000, random=SPREAD + 5)
        own = writer.take(self.connection)
        self.assertLess(own, lost)
        writer.given(self.connection, own)
        self.assertEqual(writer.take(self.connection), own + 1)
        writer.given(self.connection, lost)
        later = writer.take(self.connection)
        self.assertGreater(later, lost)
        self.assertEqual(gaps_since(self.connection, lost), [(own + 2, later - 1)])
        self.assertEqual(writer.span(self.connection), (later - 1, later))
        writer.forget()
        self.assertEqual(writer.take(self.connection), later + 1)
        self.assertGreater(self.start(NOW - 20_000).take(self.connection), later)
