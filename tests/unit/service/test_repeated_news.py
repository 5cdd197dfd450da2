"""News that were lost on the bus between nodes are told again."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatd.service import repeated_news
from chatd.service.node_news import NodeNews
from chatd.service.repeated_news import ASK_EVERY, ASKS, KEPT_FOR, ON_ITS_WAY, RepeatedTopic
from tests.support.buses import MemoryBus


class Repeated(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.all: list[MemoryBus] = []
        self.heard: list[int] = []
        self.losses: list[float] = []  # since when values may be lost, as the second node is told
        self.bus, self.one = self.node("one", 1, [])
        self.other_bus, self.two = self.node("two", 1, self.heard)
        self.bus.start("one", 1)
        self.wait()

    def node(self, name: str, start: int, heard: list[int]) -> tuple[MemoryBus, RepeatedTopic[int]]:
        bus = MemoryBus(name, self.all)
        news = NodeNews(bus, self.clock)
        news.start = start

        def hear(value: int) -> None:
            if value < 0:
                raise ValueError
            heard.append(value)

        losses = self.losses if name == "two" else []
        return bus, RepeatedTopic(news, "numbers", int, hear, losses.append)

    def wait(self, seconds: float = ASK_EVERY) -> None:
        """Let what nodes tell each other later arrive."""
        self.clock.pump([0.0, seconds, 0.0])

    def lose(self, *values: int) -> None:
        self.bus.lost = True
        for value in values:
            self.one.tell(value)
        self.bus.lost = False

    def test_as_usual(self) -> None:
        for value in range(5):
            self.one.tell(value)
        self.assertEqual(self.heard, [0, 1, 2, 3, 4])
        self.wait()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_in_between(self) -> None:
        """What was lost comes before what was told later, and each value once."""
        self.one.tell(0)
        self.lose(1, 2)
        self.one.tell(3)
        self.wait()
        self.one.tell(4)
        self.assertEqual(self.heard, [0, 1, 2, 3, 4])

    def test_at_the_end(self) -> None:
        """A gap is told although nothing else comes."""
        self.one.tell(0)
        self.lose(1, 2)
        self.wait()
        self.assertEqual(self.heard, [0, 1, 2])

    def test_end(self) -> None:
        """A node that ends does not ask again."""
        self.other_bus.lost = True
        self.lose(1)
        self.one.tell(2)
        self.clock.advance(0.0)  # the topics have forgotten what they keep
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.two._news.end()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.one.tell(3)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_lost_question(self) -> None:
        """The other direction is broken for a while, too."""
        self.one.tell(0)
        self.other_bus.lost = True
        self.lose(1)
        self.one.tell(2)
        self.wait()
        self.assertEqual(self.heard, [0])
        self.other_bus.lost = False
        self.wait()
        self.assertEqual(self.heard, [0, 1, 2])

    def test_much(self) -> None:
        """An answer has a limited size, and the next question follows at once."""
        self.patch(repeated_news, "ANSWER", 3)
        self.one.tell(0)
        self.lose(*range(1, 50))
        self.wait()
        self.assertEqual(self.heard, [*range(50)])

    def test_never(self) -> None:
        """What can't be told again does not keep later news for long."""
        self.one.tell(0)
        self.other_bus.lost = True
        self.lose(1)
        self.one.tell(2)
        for _ in range(ASKS + 1):
            self.wait()
        self.assertEqual(self.heard, [0, 2])
        self.assertEqual(self.losses, [ASK_EVERY])
        self.one.tell(3)
        self.assertEqual(self.heard, [0, 2, 3])

    def test_not_kept(self) -> None:
        """What is too old or too much is not kept."""
        self.patch(repeated_news, "MAX_KEPT", 10)
        self.one.tell(0)
        self.lose(*range(1, 30))
        self.wait()
        self.assertEqual(self.heard, [0, *range(20, 30)])
        self.assertEqual(self.losses, [ASK_EVERY])  # when nothing was missing
        self.other_bus.lost = True
        self.lose(30)
        self.clock.advance(KEPT_FOR + 1)
        self.other_bus.lost = False
        self.one.tell(31)
        self.wait()
        self.assertEqual(self.heard[-2:], [29, 31])

    def test_unusable(self) -> None:
        """A value that can't be used does not keep others behind it, also of a node that is dead."""
        for is_dead in (False, True):
            with self.subTest(is_dead):
                self.heard.clear()
                self.one.tell(0)
                self.other_bus.lost = True
                self.lose(1)
                for value in (-1, 2):
                    self.one.tell(value)
                self.other_bus.lost = False
                if is_dead:
                    self.two._news.gone("one")
                else:
                    self.wait()
                self.assertEqual(self.heard, [0, 2] if is_dead else [0, 1, 2])
                self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_many_wait(self) -> None:
        """The number of values that wait for an earlier one is limited."""
        self.patch(repeated_news, "MAX_WAITING", 3)
        self.one.tell(0)
        self.other_bus.lost = True
        self.lose(1)
        for value in range(2, 6):
            self.one.tell(value)
        self.assertEqual(self.heard, [0, 2, 3, 4, 5])
        self.assertEqual(self.losses, [ASK_EVERY])

    def test_restarted(self) -> None:
        """A node that was started again counts anew, and all of that start is heard."""
        self.one.tell(0)
        self.bus.stop()
        bus, again = self.node("one", 2, [])
        bus.lost = True
        again.tell(10)
        bus.lost = False
        again.tell(11)
        self.wait()
        self.assertEqual(self.heard, [0, 10, 11])

    def test_first_is_lost(self) -> None:
        """A node that was never heard has told what number comes next."""
        self.lose(0)
        self.wait()
        self.assertEqual(self.heard, [0])

    def test_not_heard_at_first(self) -> None:
        """A node that does not hear another one for some time after its start hears later what that has told
        since, in order, and nothing from before."""
        self.one.tell(0)
        heard: list[int] = []
        self.clock.advance(ON_ITS_WAY + 1)
        bus, _ = self.node("late", 1, heard)
        bus.lost = True
        for lost in (True, False):
            self.clock.advance(1)
            self.bus.lost = lost
            self.one.tell(1 if lost else 2)
        self.wait()
        self.assertEqual(heard, [])
        bus.lost = False
        self.wait()
        self.assertEqual(heard, [1, 2])
        self.assertEqual(self.heard, [0, 1, 2])

    def test_gone(self) -> None:
        """What has waited for a node that is dead now is passed on."""
        self.one.tell(0)
        self.other_bus.lost = True
        self.lose(1)
        self.one.tell(2)
        self.clock.advance(1.0)
        self.assertEqual(self.losses, [])
        self.two._news.gone("one")
        self.assertEqual(self.heard, [0, 2])
        self.assertEqual(self.losses, [ASK_EVERY])
        self.two._news.gone("three")  # it was never heard
        self.assertEqual(self.losses, [ASK_EVERY, self.clock.seconds()])
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
