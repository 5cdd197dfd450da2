"""Links that do not read, and links that break the protocol: they stay bounded, and so does the log."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.protocols import amp
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from chatd.base.errors import RealmDown
from chatd.federation.amp import flow_control, requests, wire
from chatd.federation.amp import rate_limited_log as log_module
from chatd.federation.amp.link import CLOSE_TIME, PeerLink
from chatd.federation.amp.rate_limited_log import EVERY, MAX_LINES, RateLimitedLog
from chatd.federation.amp.requests import MAX_ASKED
from chatd.simulate import connections
from tests.support.amp_peer import AmpPeer, AmpPeerTestCase, batch, direct, hello
from tests.support.network import outcome


class Watched:
    """Collects the log of a test."""

    def __init__(self, case: SynchronousTestCase) -> None:
        self.events: list[LogEvent] = []

        @implementer(ILogObserver)
        def hear(event: LogEvent) -> None:
            self.events.append(event)

        globalLogPublisher.addObserver(hear)
        case.addCleanup(globalLogPublisher.removeObserver, hear)

    @property
    def warnings(self) -> list[str]:
        return [
            event["log_format"].format(**event)
            for event in self.events
            if event["log_level"] is LogLevel.warn
        ]

    @property
    def tracebacks(self) -> list[LogEvent]:
        return [event for event in self.events if "log_failure" in event]


class UnreadTestCase(AmpPeerTestCase):
    """The other end sends requests and reads no answers."""

    settings = {"messages_per_second": 0}

    def setUp(self) -> None:
        self.patch(flow_control, "MAX_UNREAD", 4 << 10)
        self.patch(flow_control, "STALL_TIME", 20.0)
        self.patch(connections, "BUFFER", 1 << 10)
        super().setUp()
        self.greets()
        link = self.one.realm.directory.peers.find("realm2").link
        assert link is not None
        self.link: PeerLink = link
        self.raw.hears = False
        self.near = cast(Any, self.link.transport)
        self.near.held = True  # nothing that is written here is taken

    def asks_on(self, box: bytes, count: int) -> int:
        """Send a box again and again while it is read. Returns how often it was."""
        for sent in range(count):
            if self.near.paused:
                return sent
            self.link.dataReceived(box)
            if sent % 16 == 0:
                self.network.settle()
        return count

    def box(self, command: type[wire.PeerCommand], **arguments: Any) -> bytes:
        strings = command.makeArguments(arguments, self.raw)
        strings[b"_command"], strings[b"_ask"] = command.commandName, b"1"
        data: bytes = strings.serialize()
        return data

    def test_answers_are_bounded(self) -> None:
        """For every kind of request, refused and unknown ones included."""
        names = ["ana" + " " * 200 for _ in range(100)]
        unknown = amp.AmpBox({b"_command": b"x" * 5000, b"_ask": b"1"}).serialize()
        for box in (
            self.box(wire.PingCommand),
            self.box(wire.PresenceCommand, users=names),
            self.box(
                wire.DeliverCommand,
                parcels=batch(*((n, direct("x", to="y" * 60)) for n in range(1, 20))),
            ),
            self.box(wire.JoinCommand, user="budi", group="g" * 64, entry=b""),
            unknown,
        ):
            read = self.asks_on(box, 20_000)
            self.network.settle()
            self.assertLess(read, 20_000, box[:40])
            self.assertLess(
                self.near.waiting_bytes,
                2 * flow_control.MAX_UNREAD + connections.BUFFER + 32 * 2000,
                box[:40],
            )
            self.near.held = False
            self.network.settle()
            self.assertFalse(self.near.paused, "it reads on once its answers are taken")
            self.near.held = True

    def test_dropped_in_the_end(self) -> None:
        self.asks_on(self.box(wire.PingCommand), 20_000)
        self.network.advance(flow_control.STALL_TIME - 1)
        self.assertFalse(self.raw.is_lost)
        self.network.advance(2)
        self.assertTrue(self.raw.is_lost)
        self.assertEqual(self.one.peers()["realm2"].state, "down")

    def test_slow_is_not_stalled(self) -> None:
        """A link that reads everything in time stays up."""
        for _ in range(4):
            self.asks_on(self.box(wire.PingCommand), 20_000)
            self.network.advance(flow_control.STALL_TIME - 5)
            self.near.held = False
            self.network.settle()
            self.near.held = True
        self.assertFalse(self.raw.is_lost)

    def test_before_hello(self) -> None:
        """A link without Hello is bounded too."""
        raw = self.network.connect_by_hand(self.one, "realm3", AmpPeer())
        raw.hears = False
        near = raw.transport.other
        near.held = True
        sent = 0
        while not near.paused and sent < 20_000:
            near.protocol.dataReceived(self.box(wire.PingCommand))
            sent += 1
        self.assertLess(near.waiting_bytes, 2 * flow_control.MAX_UNREAD)

    def test_a_refused_link_that_does_not_read(self) -> None:
        """A closed link is dropped after a while."""
        self.link.close()
        self.network.advance(CLOSE_TIME + 1)
        self.assertTrue(self.raw.is_lost)

    def test_questions_under_way_are_bounded(self) -> None:
        """Beyond a number of requests without an answer, further ones fail at once."""
        found = [
            outcome(Deferred.fromCoroutine(self.link.requests.presence(["x"])))
            for _ in range(MAX_ASKED + 10)
        ]
        self.assertEqual(sum(bool(each) for each in found), 10)

    def test_a_realm_that_answers_no_questions(self) -> None:
        """The link is closed before the requests that got no answer fill the memory."""
        self.patch(requests, "MAX_UNANSWERED", 2)
        link = self.network.connect_by_hand(self.one, "realm3", AmpPeer()).transport.other.protocol
        link.call = lambda *_args, **_arguments: fail(RealmDown(realm="realm3"))
        for expected in (False, True):
            self.failureResultOf(Deferred.fromCoroutine(link.requests.presence(["x"])), RealmDown)
            self.assertEqual(link._closing, expected)


class GarbageTestCase(AmpPeerTestCase):
    """A link that breaks the protocol is closed, with one line in the log and no traceback."""

    def setUp(self) -> None:
        super().setUp()
        self.log = Watched(self)

    def sends(self, data: bytes, *, greeted: bool = True) -> None:
        raw = self.network.connect_by_hand(self.one, "realm2", AmpPeer())
        if greeted:
            raw.callRemote(wire.HelloCommand, **hello()).addErrback(lambda _: None)
            self.network.settle()
        raw.transport.other.protocol.dataReceived(data)
        self.network.advance(CLOSE_TIME + 1)
        self.assertTrue(raw.is_lost, data[:40])
        self.assertEqual(self.log.tracebacks, [], data[:40])

    def test_no_sense(self) -> None:
        arguments = amp.AmpBox({b"_command": b"Deliver", b"_ask": b"1"}).serialize()
        numbers = amp.AmpBox(
            {
                b"_command": b"File",
                b"_ask": b"1",
                b"realm": b"realm1",
                b"number": b"many",
                b"offset": b"0",
                b"size": b"1",
            }
        ).serialize()
        text = amp.AmpBox(
            {b"_command": b"Join", b"_ask": b"1", b"user": b"\xff\xfe", b"group": b"x"}
        ).serialize()
        unasked = amp.AmpBox({b"_command": b"Deliver"}).serialize()
        for data in (
            b"\0\0",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\xff" * 100,
            amp.AmpBox({b"_answer": b"77"}).serialize(),
            amp.AmpBox({b"_error": b"77"}).serialize(),
            amp.AmpBox({b"what": b"ever"}).serialize(),
            arguments,
            numbers,
            text,
            unasked,
        ):
            self.log.events.clear()
            self.network.advance(2 * EVERY)
            self.sends(data)
            said = [line for line in self.log.warnings if "broke the protocol" in line]
            self.assertEqual(len(said), 1, (data[:40], self.log.warnings))

    def test_a_box_without_end(self) -> None:
        """Its memory stays bounded."""
        data = b"".join(b"\0\x02%02d\0\x01x" % number for number in range(99))
        self.sends(data)
        self.assertEqual(len(self.log.warnings), 1)

    def test_starttls(self) -> None:
        """AMP's own StartTLS command is not answered, because a link uses TLS already."""
        self.greets()
        found = self.begins(amp.StartTLS)  # type: ignore[arg-type]
        self.network.settle()
        self.assertIsInstance(found[0], amp.UnhandledCommand)

    def test_wrong_hello(self) -> None:
        for changes in ({"realm": "realm3"}, {"version": 0}):
            raw = self.network.connect_by_hand(self.one, "realm2", AmpPeer())
            raw.callRemote(wire.HelloCommand, **hello(**changes)).addErrback(lambda _: None)
            self.network.advance(2)
            self.assertTrue(raw.is_lost)
        self.assertEqual(len(self.log.warnings), 1, self.log.warnings)
        self.assertEqual(self.log.tracebacks, [])

    def test_many(self) -> None:
        for _ in range(50):
            raw = self.network.connect_by_hand(self.one, "realm2", AmpPeer())
            raw.transport.other.protocol.dataReceived(b"\0\0")
            self.network.settle()
        self.assertEqual(len(self.log.warnings), 1)


class RateLimitedLogTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.log = Watched(self)
        self.complaints = RateLimitedLog(self.clock)

    def test_one_a_minute_for_each_source(self) -> None:
        for _ in range(5):
            self.complaints.warn("192.0.2.1", "it sent no sense")
        self.complaints.warn("192.0.2.2", "it sent no sense")
        self.assertEqual(self.log.warnings, ["it sent no sense"] * 2)
        self.clock.advance(EVERY)
        self.complaints.warn("192.0.2.1", "again")
        self.assertEqual(
            self.log.warnings[2], "again (and 4 more from 192.0.2.1 that were not logged)"
        )

    def test_many_sources(self) -> None:
        self.patch(log_module, "MAX_SOURCES", 100)
        complaints = RateLimitedLog(self.clock)
        for number in range(5000):
            complaints.warn(f"2001:db8:{number:x}::/64", "it sent no sense")
        self.assertEqual(len(self.log.warnings), MAX_LINES)
        self.assertLessEqual(len(complaints._left_out), 100)
        self.clock.advance(EVERY)
        complaints.warn("192.0.2.1", "it sent no sense")
        self.assertEqual(len(self.log.warnings), MAX_LINES + 1)
