"""Who is online, who listens, and in which order listeners get events."""

from __future__ import annotations

from collections.abc import Sequence
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from chatd.base.errors import ChatError
from chatd.base.events import Event
from chatd.base.model import Message
from chatd.service import presence as module
from chatd.service.presence import IListener, Presence


@implementer(IListener)
class Listener:
    def __init__(self) -> None:
        self.given: list[Sequence[Event]] = []

    def deliver(self, events: Sequence[Event]) -> None:
        self.given.append(events)

    def refuse(self, error: ChatError) -> None:
        raise AssertionError(error)

    def drop(self) -> None:
        raise AssertionError("it was dropped")

    @property
    def heard(self) -> list[Event]:
        return [event for events in self.given for event in events]


def message(number: int) -> Message:
    return Message(number, 1, number, 1000, "messi", to="lineker", text=f"number {number}")


ONE, TWO, THREE = message(1), message(2), message(3)


class Dropped(SynchronousTestCase):
    def test_each_once(self) -> None:
        """All connections that listen end, each once, also after one has failed to."""
        presence = Presence()
        dropped: list[int] = []
        for account in (1, 2, 3):
            listener = Listener()
            presence.listen(account, listener, account != 3, all_events=True)

            def drop(account: int = account) -> None:
                dropped.append(account)
                if account == 1:
                    raise ValueError("broken")

            self.patch(listener, "drop", drop)
        presence.drop_listeners()
        self.assertEqual(dropped, [1, 2])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class Online(SynchronousTestCase):
    def setUp(self) -> None:
        self.presence = Presence()

    def test_while_connected(self) -> None:
        """An account is online from its first connection to its last."""
        first, second = Listener(), Listener()
        self.assertFalse(self.presence.is_online(7))
        self.presence.arrive(7, first)
        self.presence.arrive(7, second)
        self.presence.leave(7, first)
        self.assertTrue(self.presence.is_online(7))
        self.assertEqual(list(self.presence.online()), [7])
        self.presence.leave(7, second)
        self.assertFalse(self.presence.is_online(7))
        self.assertEqual(list(self.presence.online()), [])

    def test_leaving_twice(self) -> None:
        """A connection that leaves twice does not remove another one."""
        first, second = Listener(), Listener()
        self.presence.arrive(7, first)
        self.presence.arrive(7, second)
        self.presence.leave(7, first)
        self.presence.leave(7, first)
        self.assertTrue(self.presence.is_online(7))


class Telling(SynchronousTestCase):
    def setUp(self) -> None:
        self.presence = Presence()

    def listener(self, account_id: int) -> Listener:
        listener = Listener()
        self.presence.arrive(account_id, listener)
        self.presence.listen(account_id, listener, on=True)
        return listener

    def test_waits_for_the_flush(self) -> None:
        listener = self.listener(1)
        self.presence.tell((1,), ONE, None)
        self.assertEqual(listener.heard, [])
        self.presence.flush()
        self.assertEqual(listener.heard, [ONE])
        self.presence.flush()
        self.assertEqual(listener.heard, [ONE])

    def test_only_listeners_of_the_account(self) -> None:
        meant, other, deaf = self.listener(1), self.listener(2), Listener()
        self.presence.arrive(1, deaf)
        self.presence.tell((1,), ONE, None)
        self.presence.flush()
        self.assertEqual((meant.heard, other.heard, deaf.heard), ([ONE], [], []))

    def test_not_where_it_came_from(self) -> None:
        """The sender's connection does not get the event; the sender's other connections do."""
        origin, elsewhere = self.listener(1), self.listener(1)
        self.presence.tell((1,), ONE, origin)
        self.presence.flush()
        self.assertEqual((origin.heard, elsewhere.heard), ([], [ONE]))

    def test_each_origin_hears_the_others(self) -> None:
        """Of events that are passed together, each sending connection gets all but its own, in order."""
        audience = frozenset((1, 2, 3))
        first, second, third = self.listener(1), self.listener(2), self.listener(3)
        self.presence.tell(audience, ONE, first)
        self.presence.tell(audience, TWO, second)
        self.presence.tell(audience, THREE, first)
        self.presence.flush()
        self.assertEqual(first.heard, [TWO])
        self.assertEqual(second.heard, [ONE, THREE])
        self.assertEqual(third.heard, [ONE, TWO, THREE])

    def test_one_origin_for_all(self) -> None:
        audience = frozenset((1, 2))
        first, second = self.listener(1), self.listener(2)
        self.presence.tell(audience, ONE, first)
        self.presence.tell(audience, TWO, first)
        self.presence.flush()
        self.assertEqual(first.heard, [])
        self.assertEqual(second.heard, [ONE, TWO])

    def test_given_together(self) -> None:
        """Consecutive events for the same accounts are one sequence object for all listeners."""
        audience = frozenset((1, 2))
        first, second = self.listener(1), self.listener(2)
        self.presence.tell(audience, ONE, None)
        self.presence.tell(audience, TWO, None)
        self.presence.flush()
        self.assertEqual(len(first.given), 1)
        self.assertIs(first.given[0], second.given[0])

    def test_order_across_audiences(self) -> None:
        listener = self.listener(1)
        for accounts, event in (((1,), ONE), ((1, 2), TWO), ((1,), THREE)):
            self.presence.tell(accounts, event, None)
        self.presence.flush()
        self.assertEqual(listener.heard, [ONE, TWO, THREE])

    def test_large_audiences(self) -> None:
        """They get their events in parts. What is told later waits behind them, unless too much waits."""
        self.patch(module, "MAX_AT_ONCE", 2)
        self.patch(module, "MAX_WAITING", 4)
        flushes = mock.Mock()
        self.presence.on_waiting(flushes)
        listeners = {account: Listener() for account in range(11, 16)}
        for account, listener in listeners.items():
            self.presence.listen(account, listener, True)
        self.presence.tell(listeners.keys(), ONE, listeners[15])
        self.presence.tell([15, 11], TWO, None)

        def heard() -> list[int]:
            return [len(each.heard) for each in listeners.values()]

        for expected in ([1, 1, 0, 0, 0], [1, 1, 1, 1, 0], [2, 1, 1, 1, 1]):
            self.presence.flush()
            self.assertEqual(heard(), expected)
        self.assertEqual(flushes.call_count, 2)
        for _ in range(4):
            self.presence.tell(listeners.keys(), THREE, None)
        self.presence.flush()
        self.assertEqual(heard(), [6, 5, 5, 5, 5])

    def test_listening_twice(self) -> None:
        """A connection that starts to listen twice gets each event once."""
        listener = self.listener(1)
        self.presence.listen(1, listener, on=True)
        self.presence.tell((1,), ONE, None)
        self.presence.flush()
        self.assertEqual(listener.heard, [ONE])

    def test_no_longer(self) -> None:
        listener, gone = self.listener(1), self.listener(1)
        self.presence.listen(1, listener, on=False)
        self.presence.leave(1, gone)
        self.presence.tell((1,), ONE, None)
        self.presence.flush()
        self.assertEqual((listener.heard, gone.heard), ([], []))
        self.assertTrue(self.presence.is_online(1))

    def test_events_without_listeners_are_dropped(self) -> None:
        """Events without listeners are dropped."""
        self.presence.tell((1,), ONE, None)
        self.presence.flush()
        listener = self.listener(1)
        self.presence.flush()
        self.assertEqual(listener.heard, [])

    def test_leaving_while_hearing(self) -> None:
        """A connection that leaves while it gets an event does not stop the others from getting it."""
        presence = self.presence

        @implementer(IListener)
        class Shy:
            def deliver(self, _events: Sequence[Event]) -> None:
                presence.leave(1, self)

            def refuse(self, error: ChatError) -> None:
                raise AssertionError(error)

            def drop(self) -> None:
                raise AssertionError("it was dropped")

        first, shy = self.listener(1), Shy()
        presence.arrive(1, shy)
        presence.listen(1, shy, on=True)
        last = self.listener(1)
        presence.tell((1,), ONE, None)
        presence.flush()
        self.assertEqual((first.heard, last.heard), ([ONE], [ONE]))
        presence.tell((1,), TWO, None)
        presence.flush()
        self.assertEqual(last.heard, [ONE, TWO])

    @given(
        st.lists(st.tuples(st.sampled_from((0, 1, 2)), st.none() | st.integers(0, 4)), max_size=12),
        st.lists(st.integers(0, 20), max_size=3),
    )
    def test_any_order(self, told: list[tuple[int, int | None]], flushes: list[int]) -> None:
        """In any order of events and flushes, each listener gets all events for it once, in order, except its
        own."""
        presence = Presence()
        audiences = (frozenset((0,)), frozenset((0, 1)), frozenset(range(5)))
        listeners = []
        for account_id in range(5):
            listener = Listener()
            presence.arrive(account_id, listener)
            presence.listen(account_id, listener, on=True)
            listeners.append(listener)
        expected: list[list[Event]] = [[] for _ in listeners]
        for number, (audience, origin) in enumerate(told):
            event = message(number)
            presence.tell(audiences[audience], event, None if origin is None else listeners[origin])
            for account_id in audiences[audience]:
                if account_id != origin:
                    expected[account_id].append(event)
            if number in flushes:
                presence.flush()
        presence.flush()
        self.assertEqual([listener.heard for listener in listeners], expected)
