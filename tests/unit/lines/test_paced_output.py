"""A client that takes everything it reads at once for one message is sent one message at a time."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from chatd.base.throttle import Budget
from chatd.lines import paced_output
from chatd.lines.input_control import Hold
from chatd.lines.output import Backlog
from chatd.lines.paced_output import (
    AFTER_FILE,
    AFTER_LINES,
    APART,
    LOOK,
    MAX_BYTES,
    MAX_LOOKS,
    MAX_PASSED,
    MAX_WAITING,
    READING,
    READING_TEXT,
    PacedOutput,
)
from chatd.net.eager import FlushQueue

GAP = 0.05
SOON = GAP + 0.001  # with the time to read a few bytes
LONG = GAP * APART + 0.01


class Transport(StringTransport):
    """Keeps each write by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)


class Host:
    """What an output tells its connection."""

    def __init__(self) -> None:
        self.held = 0
        self.cut = False
        self.requests: list[str] = []  # under way
        self.flow = self

    def hold(self, reason: int) -> None:
        self.held |= reason

    def release(self, reason: int) -> None:
        self.held &= ~reason

    def cut_off(self) -> None:
        self.cut = True

    def output_full(self) -> None: ...

    def output_drained(self) -> None: ...


class File:
    """An open file with the bytes `data`."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data

    def read(self, size: int) -> Deferred[bytes]:
        data, self._data = self._data[:size], self._data[size:]
        return succeed(data)

    def close(self) -> Deferred[None]:
        return succeed(None)


class PacedOutputTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.transport = Transport()
        self.host = Host()
        self.output = PacedOutput(
            cast(Any, self.transport),
            FlushQueue(self.clock),
            self.clock,
            cast(Any, self.host),
            Backlog(Budget(1 << 20), lambda: 1),
        )

    def turn(self, seconds: float = 0.0) -> list[bytes]:
        """What is written within `seconds`."""
        self.transport.writes.clear()
        self.clock.advance(seconds)
        return list(self.transport.writes)

    def test_without_a_gap_a_turn_is_one_write(self) -> None:
        self.output.write(b"a")
        self.output.write(b"b")
        self.assertEqual(self.turn(), [b"ab"])

    def test_one_write_each_gap(self) -> None:
        self.output.set_gap(GAP)
        self.output.write(b"a")
        self.assertEqual(self.turn(), [b"a"])
        self.output.write(b"b")
        self.assertEqual([self.turn(GAP / 2), self.turn(SOON / 2)], [[], [b"b"]])
        self.assertEqual(self.turn(SOON), [])
        self.output.write(b"c")
        self.assertEqual(self.turn(), [b"c"])

    def test_longer_gaps_between_replies_to_pipelined_requests(self) -> None:
        self.output.set_gap(GAP)
        self.output.write(b"a")
        self.output.write(b"b")
        self.host.requests.append("c")
        self.assertEqual(self.turn(), [b"a"])
        self.assertEqual([self.turn(SOON), self.turn(LONG)], [[], [b"b"]])
        self.host.requests.clear()
        self.output.write(b"c")
        self.assertEqual([self.turn(SOON), self.turn(LONG)], [[], [b"c"]])
        self.output.write(b"d")
        self.assertEqual(self.turn(SOON), [b"d"])

    def test_the_first_one_waits_for_the_greeting_to_be_read(self) -> None:
        self.output.write(b"greeting")
        self.turn()
        self.output.set_gap(GAP)
        self.output.write(b"a")
        self.assertEqual(self.turn(), [])
        self.assertEqual(self.turn(AFTER_LINES), [b"a"])

    def test_no_requests_are_read_while_many_replies_wait(self) -> None:
        self.output.set_gap(GAP)
        for _ in range(MAX_WAITING + 2):
            self.output.write(b"a")
        self.turn()
        self.assertTrue(self.host.held & Hold.PACE)
        for _ in range(MAX_WAITING + 2):
            self.turn(LONG)
        self.assertFalse(self.host.held & Hold.PACE)

    def test_many_bytes_that_wait_are_bounded(self) -> None:
        self.output.set_gap(GAP)
        self.output.write(b"a")
        self.output.write(b"b" * (MAX_BYTES + 1))
        self.turn()
        self.assertTrue(self.host.held & Hold.PACE)
        self.turn(LONG)
        self.turn(LONG)
        self.assertFalse(self.host.held & Hold.PACE)

    def test_the_oldest_of_many_events_are_dropped(self) -> None:
        self.output.set_gap(GAP)
        events = [b"%08d" % number for number in range(MAX_BYTES // 8 + 10)]
        for event in events:
            self.output.push(event)
        self.assertEqual(self.turn() + self.turn(LONG), events[10:12])
        self.assertFalse(self.host.cut)

    def test_replies_come_before_events(self) -> None:
        self.output.set_gap(GAP)
        self.output.push(b"event")
        self.output.push(b"event 2")
        self.output.write(b"reply")
        self.assertEqual([self.turn(), self.turn(SOON)], [[b"reply"], []])
        self.assertEqual(self.turn(LONG), [b"event"])
        self.output.write(b"reply")
        self.assertEqual([self.turn(SOON), self.turn(LONG)], [[], [b"reply"]])

    def test_events_do_not_wait_forever(self) -> None:
        self.output.set_gap(GAP)
        self.output.write(b"reply")
        self.turn()
        self.output.push(b"event")
        sent = []
        for _ in range(20):
            self.output.write(b"reply")
            sent += self.turn(LONG)
        self.assertEqual(sent.index(b"event"), MAX_PASSED)

    def test_a_long_reply_takes_longer_to_read(self) -> None:
        self.output.set_gap(GAP)
        self.output.write(b"x" * (READING_TEXT // 10))
        self.output.write(b"a")
        self.assertEqual([len(each) for each in self.turn()], [READING_TEXT // 10])
        self.assertEqual([self.turn(0.1), self.turn(LONG)], [[], [b"a"]])

    def test_held_events_wait(self) -> None:
        self.output.set_gap(GAP)
        self.output.hold_events()
        self.output.push(b"event")
        self.output.write(b"reply")
        self.assertEqual([self.turn(), self.turn(LONG)], [[b"reply"], []])
        self.output.release_events()
        self.assertEqual(self.turn(), [b"event"])

    def test_events_wait_for_a_client_that_does_not_read(self) -> None:
        self.output.set_gap(GAP)
        self.output.pauseProducing()
        self.output.push(b"event")
        self.assertEqual(self.turn(1), [])
        self.output.resumeProducing()
        self.assertEqual(self.turn(), [b"event"])

    def test_nothing_is_no_write(self) -> None:
        self.output.set_gap(GAP)
        self.output.write(b"")
        self.output.push(b"")
        self.output.write(b"a")
        self.assertEqual(self.turn(), [b"a"])

    def test_close_sends_everything_first(self) -> None:
        self.output.set_gap(GAP)
        for data in (b"a", b"b", b"c"):
            self.output.write(data)
        self.output.push(b"an event")
        self.output.push(b"why")
        self.output.close()
        self.assertFalse(self.transport.disconnecting)
        sent = [each for _ in range(5) for each in self.turn(LONG)]
        self.assertEqual([b"a", *sent], [b"a", b"b", b"c", b"why"])
        self.assertTrue(self.transport.disconnecting)

    def test_bytes_of_a_file_follow_their_reply(self) -> None:
        self.output.set_gap(GAP)
        self.output.write(b"earlier")
        parts = [(b"head", lambda: succeed(cast(Any, File(b"bytes"))))]
        sending = Deferred.fromCoroutine(self.output.stream(parts))
        self.output.push(b"event")
        self.assertEqual(self.transport.writes, [b"earlier"])
        self.assertEqual(self.turn(LONG), [b"head", b"bytes"])
        self.successResultOf(sending)
        self.assertEqual(self.turn(AFTER_FILE / 2), [])
        self.assertEqual(self.turn(AFTER_FILE), [b"event"])

    def test_events_wait_longer_after_a_large_file(self) -> None:
        """The client's system has received bytes that the client has not read yet."""
        self.output.set_gap(GAP)
        size = 2 * READING
        parts = [(b"head", lambda: succeed(cast(Any, File(bytes(size)))))]
        self.successResultOf(Deferred.fromCoroutine(self.output.stream(parts)))
        self.output.push(b"event")
        self.output.write(b"reply")
        self.assertEqual(self.turn(AFTER_FILE), [b"reply"])
        self.assertEqual(self.turn(size / READING - 0.01), [])
        self.assertEqual(self.turn(0.01), [b"event"])

    def test_a_file_has_to_arrive(self) -> None:
        """Bytes that are still on their way are followed by nothing."""
        left = [1000, 10, 0]
        self.patch(paced_output, "unacknowledged", lambda _transport: left.pop(0))
        self.output.set_gap(GAP)
        parts = [(b"head", lambda: succeed(cast(Any, File(b"bytes"))))]
        sending = Deferred.fromCoroutine(self.output.stream(parts))
        self.turn(LOOK)
        self.assertNoResult(sending)
        self.turn(LOOK)
        self.successResultOf(sending)

    def test_a_file_that_never_arrives_is_not_waited_for_forever(self) -> None:
        self.patch(paced_output, "unacknowledged", lambda _transport: 1)
        self.output.set_gap(GAP)
        parts = [(b"head", lambda: succeed(cast(Any, File(b"bytes"))))]
        sending = Deferred.fromCoroutine(self.output.stream(parts))
        self.clock.pump([LOOK] * MAX_LOOKS)
        self.successResultOf(sending)

    def test_a_lost_connection_leaves_no_timer(self) -> None:
        self.output.set_gap(GAP)
        self.output.write(b"a")
        self.output.write(b"b")
        self.turn()
        self.output.lost()
        self.assertEqual(self.clock.getDelayedCalls(), [])
